"""СМЭВ3, consumer and provider: SOAP with GOST signatures, in schema 1.1, 1.2 or 1.3.

``client`` sends requests and answers; ``source`` fetches answers, ``requests`` fetches requests (both by ``queue``),
``statuses`` what became of messages. Attachments go out by ``outgoing`` and come in by ``incoming``, in packages of
``mtom`` or through the file storage. All speak through ``transport``, write by ``messages`` and ``responses``, read by
``reading``, and judge by ``faults`` and ``trust``.
"""

from adapter.gateways.smev3.arrivals import Smev3Arrivals
from adapter.gateways.smev3.client import Smev3Gateway
from adapter.gateways.smev3.incoming import Incoming
from adapter.gateways.smev3.options import Observe, Smev3Options
from adapter.gateways.smev3.outgoing import Outgoing
from adapter.gateways.smev3.requests import ProvidedRequest, RequestIntake, Smev3RequestSource
from adapter.gateways.smev3.source import Smev3Source
from adapter.gateways.smev3.statuses import Smev3StatusSource

__all__ = [
    "Incoming",
    "Observe",
    "Outgoing",
    "ProvidedRequest",
    "RequestIntake",
    "Smev3Arrivals",
    "Smev3Gateway",
    "Smev3Options",
    "Smev3RequestSource",
    "Smev3Source",
    "Smev3StatusSource",
]
