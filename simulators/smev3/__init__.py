"""A СМЭВ3 message exchange service with ГИС ЖКХ behind it, as a small real server for the demo and the tests.

It refuses what the real one refuses: signatures are really verified, schemas really applied, identifiers really aged.
Run it by ``python -m simulators.smev3 --port 0 --keys DIR``; tests use :func:`simulators.smev3.app.make_app`.

=============== ===================================================================================================
module          what
=============== ===================================================================================================
``app``         HTTP: the SOAP endpoints, what a scenario breaks on the wire
``wsdl``        ``?wsdl`` and ``?xsd=`` of an endpoint
``admin``       ``/_sim/*``: ledger, scenarios, requests put in by hand, answers, acks, reset
``simulator``   everything put together, and the way of one message through it
``mtom``        messages as multipart/related, read and written
``door``        what every message is checked for before an operation sees it
``signatures``  who signed what, and may they
``core``        one version of the service: its two desks, Ack, GetStatus, queue statistics
``consumer``    the desk of those who ask: SendRequest, GetResponse
``provider``    the desk of those who answer: GetRequest, SendResponse
``office``      what the desks of every version share
``incoming``    requests put in by hand, as if another system had sent them
``attachments`` what headers of attachments promise, held against what came
``makings``     attachments that the simulator makes itself
``ftp``         the file storage: a real FTP server
``streebog``    digests of files that do not fit into memory
``messages``    the envelopes it writes, signed
``contents``    what senders put into a message, written for its own providers and consumers
``faults``      what it says no with
``names``       namespaces, operations and versions
``queues``      messages waiting for their receiver, leases, confirmations, ends of life
``ledger``      what was taken or refused at the door, action by action
``scenario``    switches for bad days
``wish``        the header X-Sim: a bad day for one message
``registry``    which information types exist, who provides them, their schemas
``giszhkh``     the provider of debt requests: a store with states, and the fixtures of the service's description
=============== ===================================================================================================
"""
