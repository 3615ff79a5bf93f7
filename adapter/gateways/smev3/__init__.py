"""СМЭВ3: SendRequest, GetResponse, Ack over SOAP with GOST signatures.

``client`` sends requests, ``source`` fetches and confirms answers; both speak through ``transport``, write by
``messages``, read by ``reading``, and judge by ``faults`` and ``trust``.
"""

from adapter.gateways.smev3.client import Smev3Gateway
from adapter.gateways.smev3.options import Observe, Smev3Options
from adapter.gateways.smev3.source import Smev3Source

__all__ = ["Observe", "Smev3Gateway", "Smev3Options", "Smev3Source"]
