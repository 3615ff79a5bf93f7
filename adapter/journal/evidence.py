"""What gateways say about exchanges, journaled: matched to its exchange once, told from repeats and from strangers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from adapter.journal.operations import Operation
from adapter.journal.records import Exchange, ProofRow, read_exchange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from adapter.journal.commit import Arrays


class EvidenceAs(Enum):
    """What a gateway's message turned out to be."""

    MATCHED = "matched"
    NEWS = "news"
    """About an exchange of ours, changing no state (a status, or an answer after the answer)."""
    REPEAT = "repeat"
    """Journaled before: only its confirmation was lost."""
    ORPHAN = "orphan"
    """Refers to nothing we sent."""
    AGAIN = "again"
    """Not written: the number of its event was given away meanwhile."""


@dataclass(frozen=True, slots=True)
class EvidenceTaken:
    """Verdict on a gateway's message; ``exchange`` is the row it belongs to, in its new state."""

    kind: EvidenceAs
    exchange: Exchange | None = None


@dataclass(slots=True)
class Evidence(Operation[EvidenceTaken]):
    """Journal a gateway's message about ``gateway_id``. ``key`` is the message's identity.

    The event that tells of news goes with it as an outbox row: neither is committed without the other. ``sequence`` is
    the count of messages of the exchange that the event was numbered after, ``None`` when there is no event.
    """

    gateway: str
    gateway_id: str
    key: bytes
    raw_sha256: bytes
    record: ProofRow
    owner: UUID
    final: bool
    orphan_id: UUID
    sequence: int | None = None

    @property
    def weight(self) -> int:
        """Bytes of the message."""
        return len(self.record.data or b"") + len(self.record.content or b"")

    def put(self, arrays: Arrays, op: int) -> None:
        """Match it: the first final message about an exchange answers it, what follows is news of it."""
        fact = self.record
        arrays.evidence.append(
            (
                *(op, self.gateway, self.gateway_id, self.key, self.raw_sha256, self.owner, self.final, self.sequence),
                *(self.orphan_id, fact.kind, fact.message_id, fact.data, fact.content, fact.meta),
            )
        )

    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> EvidenceTaken:  # noqa: ARG002 — verdicts say all
        """Return what it turned out to be, and the exchange in its new state."""
        command = verdicts[0]["command"]
        return EvidenceTaken(EvidenceAs(verdicts[0]["kind"]), None if command is None else read_exchange(command))
