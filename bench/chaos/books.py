"""What an outsider counts: commands the broker confirmed, replies that came back, submits the gateway took.

Nothing here asks the adapter or its journal: the publisher's confirms and the replies are read on connections of their
own, and submits are counted by (transport_id, action) from the simulator's ledger, which a re-minted MessageID cannot
fool.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: After one of these a second, late reply is legal (docs/state-machine.md).
OPEN_ENDS = frozenset({"ADAPTER-EXPIRED", "ADAPTER-UNCERTAIN"})


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply as it came."""

    message_id: str
    body: bytes
    late: bool

    @property
    def code(self) -> str | None:
        """Wire code of an error reply, ``None`` for a result."""
        error = json.loads(self.body).get("error")
        return error["error_code"] if error else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a run; everything but ``repeats`` has to be empty."""

    commands: int
    lost: tuple[str, ...]
    surplus: tuple[str, ...]
    repeats: int


@dataclass(slots=True)
class Books:
    """Commands by correlation_id (which is their message_id) and the replies to them."""

    confirmed: set[str] = field(default_factory=set)
    replies: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))

    def missing(self) -> set[str]:
        """Return the confirmed commands that nobody has answered yet."""
        return self.confirmed - self.replies.keys()

    def verdict(self) -> Verdict:
        """Close the books."""
        surplus, repeats = [], 0
        for command, replies in self.replies.items():
            distinct = dict.fromkeys(replies)
            repeats += len(replies) - len(distinct)
            if not is_legal(list(distinct)):
                surplus.append(command)
        return Verdict(len(self.confirmed), tuple(sorted(self.missing())), tuple(sorted(surplus)), repeats)

    def outcomes(self) -> Counter[str]:
        """Count the first reply of every command by code, ``result`` for a result."""
        return Counter(replies[0].code or "result" for replies in self.replies.values())


def is_legal(distinct: list[Reply]) -> bool:
    """Tell whether a command's distinct replies are one final one, or an open end and one late one."""
    if len({reply.message_id for reply in distinct}) != len(distinct):
        return False  # other bytes under a used message_id
    if len(distinct) == 1:
        return True
    first, *rest = sorted(distinct, key=lambda reply: reply.late)
    return first.code in OPEN_ENDS and not first.late and len(rest) == 1 and rest[0].late


def double_submits(ledger: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the transport_ids that a gateway took more than once for the same action.

    Messages of other kinds, which may be in the same ledger, have none.
    """
    accepted = (line for line in ledger if line["outcome"] == "accepted" and line["transport_id"])
    taken = Counter((line["transport_id"], line["action_type"]) for line in accepted)
    return sorted(transport for (transport, _), count in taken.items() if count > 1)


def never_submitted(ledger: Iterable[Mapping[str, Any]], expected: Iterable[str]) -> list[str]:
    """Return the transport_ids of ``expected`` that the gateway never took."""
    taken = {line["transport_id"] for line in ledger if line["outcome"] == "accepted"}
    return sorted(set(expected) - taken)
