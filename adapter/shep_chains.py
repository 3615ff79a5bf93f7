"""How the messages of a chain of the ШЭП find the command that began it. No I/O.

The gateway numbers messages and chains itself; what ties its numbers to a command is the receipt. Before its bytes
leave a command is noted with its service; by the receipt it is tied to its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

#: Operations whose answer is a receipt; of the second one the business answer ends the command, not the receipt.
SEND: Final = "async.sendMessage"
SEND_ANSWERED: Final = "async.sendMessage.answered"
SENDS: Final = (SEND, SEND_ANSWERED)
#: The event that tells of a receipt which ends no command.
SENT: Final = "shep.message.sent"
#: The word of a tie to a message's number.
MESSAGE: Final = "message"


def sent(command: UUID) -> str:
    """Return the subject that is a command's own: nothing else is ever joined to it, so it keeps nothing alive."""
    return f"shep.sent:{command}"


def room(service_id: str) -> str:
    """Return the note of that subject: the service that the command began a chain of."""
    return f"room:{service_id}"


def chain(service_id: str) -> str:
    """Return the word of a tie to a chain's number; numbers are a gateway's, and a service is of one gateway."""
    return f"chain:{service_id}"


def ties(receipt: Mapping[str, Any], service_id: str, *, begins: bool) -> tuple[tuple[str, str], ...]:
    """Return the ties of a command to the numbers of its receipt; ``begins`` a chain of its own.

    The word ``follow:`` asks for the message to be watched until it is delivered.
    """
    message_id, correlation_id = str(receipt.get("message_id") or ""), str(receipt.get("correlation_id") or "")
    words: dict[str, list[str]] = {}
    if begins:
        words.setdefault(correlation_id, []).append(chain(service_id))
    words.setdefault(message_id, []).extend((MESSAGE, f"follow:{service_id}"))
    return tuple((subject, " ".join(notes)) for subject, notes in words.items() if subject)
