"""ШЭП and ВШЭП, synchronous and asynchronous: SOAP with WS-Security of Kazakhstan.

``client`` makes the calls: it speaks through ``transport``, fills requests by ``calls``, writes and reads by
``messages`` (zeep) and ``data`` (business data, byte for byte), and judges by ``security`` and ``faults``.
"""

from adapter.gateways.shep.client import ShepGateway
from adapter.gateways.shep.options import Level, Profile, ShepOptions

__all__ = ["Level", "Profile", "ShepGateway", "ShepOptions"]
