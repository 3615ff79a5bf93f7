"""How the messages of a chain of the ШЭП find the command that began it. No I/O.

The gateway numbers messages and chains itself; what ties its numbers to a command is the receipt. A command is joined
to a room of its service before its bytes leave, and by the receipt to its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Operations whose answer is a receipt; of the second one the business answer ends the command, not the receipt.
SEND: Final = "async.sendMessage"
SEND_ANSWERED: Final = "async.sendMessage.answered"
SENDS: Final = (SEND, SEND_ANSWERED)
#: The event that tells of a receipt which ends no command.
SENT: Final = "shep.message.sent"
#: The word of a tie to a message's number, and of a command in a room of which no receipt is known.
MESSAGE: Final = "message"
OPEN: Final = "open"
_KNOWN: Final = "known"


def room(service_id: str) -> str:
    """Return the subject of a service's commands whose receipt is not known."""
    return f"shep.sent:{service_id}"


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
        words.setdefault(room(service_id), []).append(_KNOWN)
    words.setdefault(message_id, []).extend((MESSAGE, f"follow:{service_id}"))
    return tuple((subject, " ".join(notes)) for subject, notes in words.items() if subject)
