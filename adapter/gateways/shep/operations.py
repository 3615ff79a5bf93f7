"""The seven operations of the ШЭП: where each is, how its elements are named, and whether it may be repeated.

Source: schemas/shep (held to the operator's WSDLs by tests) and ARCHITECTURE, Repeat rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapter.exchange import Repeat
from adapter.shep_chains import SEND, SEND_ANSWERED

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT: Final = "http://bip.bee.kz/"
SYNC_TYPES: Final = f"{_ROOT}SyncChannel/v10/Types"
ASYNC_TYPES: Final = f"{_ROOT}AsyncChannel/v10/Types"
CLIENT_TYPES: Final = f"{_ROOT}AsyncChannel/v10/Types/Client"

SYNC_SEND: Final = "sync.SendMessage"
#: The same call for a service whose profile says that asking twice does no harm.
SYNC_SEND_REPEATABLE: Final = "sync.SendMessage.repeatable"
ASYNC_SEND: Final = SEND
#: The same call where the business answer, a later message of the chain, is what the command waits for.
ASYNC_SEND_ANSWERED: Final = SEND_ANSWERED
NOTIFY_DELIVERY: Final = "async.sendDeliveryNotification"
GET_STATUS: Final = "async.getMessageStatus"
GET_MESSAGES: Final = "async.getMessages"
PUSH: Final = "client.sendMessage"
PUSH_STATUS: Final = "client.changeMassageStatusNotification"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``port`` is sync, async or client (the participant's own side), ``name`` the element's."""

    port: str
    name: str
    namespace: str
    repeat: Repeat

    @property
    def request(self) -> str:
        """Return the ``{namespace}name`` of what is sent."""
        return f"{{{self.namespace}}}{self.name}"

    @property
    def response(self) -> str:
        """Return the ``{namespace}name`` of what is answered."""
        return f"{{{self.namespace}}}{self.name}Response"

    @property
    def fault(self) -> str:
        """Return the ``{namespace}name`` of a fault's detail."""
        return f"{{{self.namespace}}}{self.name}Fault1_{self.name}Fault"


#: By key. What the gateway calls on a participant is idempotent there by messageId. A delivery notification says the
#: same of the same message however often it is said.
OPERATIONS: Final[Mapping[str, Operation]] = {
    SYNC_SEND: Operation("sync", "SendMessage", SYNC_TYPES, Repeat.NEVER),
    SYNC_SEND_REPEATABLE: Operation("sync", "SendMessage", SYNC_TYPES, Repeat.SAFE),
    ASYNC_SEND: Operation("async", "sendMessage", ASYNC_TYPES, Repeat.NEVER),
    ASYNC_SEND_ANSWERED: Operation("async", "sendMessage", ASYNC_TYPES, Repeat.NEVER),
    NOTIFY_DELIVERY: Operation("async", "sendDeliveryNotification", ASYNC_TYPES, Repeat.SAFE),
    GET_STATUS: Operation("async", "getMessageStatus", ASYNC_TYPES, Repeat.SAFE),
    GET_MESSAGES: Operation("async", "getMessages", ASYNC_TYPES, Repeat.SAFE),
    PUSH: Operation("client", "sendMessage", ASYNC_TYPES, Repeat.SAFE),
    PUSH_STATUS: Operation("client", "changeMassageStatusNotification", CLIENT_TYPES, Repeat.SAFE),
}
