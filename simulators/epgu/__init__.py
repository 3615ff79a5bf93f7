"""The REST API of ЕПГУ with ЕСИА beside it, as a small real server for the demo and the tests.

It refuses what the real ones refuse: tokens end, signatures are really verified, limits are really counted, archives
really opened. Run it by ``python -m simulators.epgu --port 0 --keys DIR``; tests use
:func:`simulators.epgu.app.make_app`.

================ ==================================================================================================
module           what
================ ==================================================================================================
``app``          HTTP: paths of the gateway and of ЕСИА, what a scenario breaks on the wire
``admin``        ``/_sim/*``: ledger, orders put in by hand, clock, settings, scenarios, reset
``simulator``    everything put together, and who may come in
``submission``   /order, /push, /push/chunked, and what then becomes of an order
``inquiry``      details, statuses, cancellation, files, dictionaries
``visit``        one call on its way
``wire``         what goes wrong with the bytes of an answer
``profiles``     what differs between versions of the specification
``settings``     what may change while it runs
``codes``        the tables of Приложения 1 and 4, statuses, codes of ЕСИА (``codes.json``)
``faults``       how it says no
``esia``         tokens by API-Key, renewal for persons
``tokens``       access tokens, minted and read
``accounts``     systems, users, API-Keys
``signatures``   detached PKCS#7 and bare values by GOST keys
``streebog``     digests of what does not fit into memory
``limits``       calendar counters and sliding windows
``catalogue``    services and what their archives have to hold
``upload``       multipart read as it comes
``chunks``       archives in chunks: order, sizes, the five minutes
``store``        archives on disk, or their digests
``archive``      archives judged: what the process code becomes
``orders``       orders, their plans, and which changed since
``details``      the escaped JSON of an order
``pages``        pages of statuses
``dictionaries`` dictionaries
``ledger``       what came to the door
``scenario``     switches for bad days
``clock``        the simulator's own time
================ ==================================================================================================
"""
