"""The external portal of an МФЦ with its locker API, as a small real server for the demo and the tests.

It refuses what the described one refuses: unknown cases and wrong steps with 400, what its database cannot read with
500. Run it by ``python -m simulators.postamat --port 0 --token FILE``; tests use
:func:`simulators.postamat.app.make_app`.

============ =====================================================================
module       what
============ =====================================================================
``app``      HTTP: the three calls, what a scenario breaks on the wire
``admin``    ``/_sim/*``: ledger, cases, scenarios, reset
``portal``   cases and their states, what a call does to them, the ledger
``scenario`` switches for bad days
============ =====================================================================
"""
