"""A СМЭВ3 message exchange service with ГИС ЖКХ behind it, as a small real server for the demo and the tests.

It refuses what the real one refuses: signatures are really verified, schemas really applied, identifiers really aged.
Run it by ``python -m simulators.smev3 --port 0 --keys DIR``; tests use :func:`simulators.smev3.app.make_app`.

============== ====================================================================================================
module         what
============== ====================================================================================================
``app``        HTTP: the SOAP endpoint, what a scenario breaks on the wire
``admin``      ``/_sim/*``: ledger, scenarios, drafts, acks, reset
``simulator``  everything put together, and the way of one message through it
``core``       the operations: SendRequest, GetResponse, Ack
``door``       what every message is checked for before an operation sees it
``signatures`` who signed what, and may they
``messages``   the envelopes it writes, signed
``faults``     what it says no with
``names``      namespaces, operations and versions
``queues``     answers waiting for their sender, leases, confirmations
``ledger``     what was taken or refused at the door, action by action
``scenario``   switches for bad days
``registry``   which information types exist, who provides them, their schemas
``giszhkh``    the provider of debt requests: a store with states, and the fixtures of the service's description
============== ====================================================================================================
"""
