"""What gateways say about exchanges, journaled: matched to its exchange once, told from repeats and from strangers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from adapter.journal.operations import Operation
from adapter.journal.records import Exchange, OutboxRow, ProofRow, read_exchange
from adapter.journal.statements import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    import asyncpg


class EvidenceAs(Enum):
    """What a gateway's message turned out to be."""

    MATCHED = "matched"
    NEWS = "news"
    """About an exchange of ours, changing no state (a status, or an answer after the answer)."""
    REPEAT = "repeat"
    """Journaled before: only its confirmation was lost."""
    ORPHAN = "orphan"
    """Refers to nothing we sent."""


@dataclass(frozen=True, slots=True)
class EvidenceTaken:
    """Verdict on a gateway's message; ``exchange`` is the row it belongs to, in its new state."""

    kind: EvidenceAs
    exchange: Exchange | None = None


@dataclass(slots=True)
class Evidence(Operation[EvidenceTaken]):
    """Journal a gateway's message about ``gateway_id``. ``key`` is the message's identity.

    ``announce`` makes, and counts in the exchange, the event that tells of news: it is committed with the message, so
    that neither is without the other.
    """

    gateway: str
    gateway_id: str
    key: bytes
    raw_sha256: bytes
    record: ProofRow
    owner: UUID
    final: bool
    orphan_id: UUID
    announce: Callable[[Exchange], OutboxRow] | None = None
    rank: ClassVar[int] = 3

    @property
    def weight(self) -> int:
        """Bytes of the message."""
        return len(self.record.data or b"") + len(self.record.content or b"")

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Evidence]) -> list[EvidenceTaken]:
        """Match all at once: the first final message about an exchange answers it, what follows is news of it."""
        known = await _match(connection, [evidence for evidence in batch if evidence.final])
        answered = set(known)
        for row in await _find(connection, [evidence for evidence in batch if evidence.about not in known]):
            known[(row["gateway"], row["gateway_id"])] = read_exchange(row)
        ids = [known[one.about].id if one.about in known else one.orphan_id for one in batch]
        fresh = await connection.fetch(
            sql("take_keys"), [one.key for one in batch], ids, [one.raw_sha256 for one in batch]
        )
        unseen = {row["key"] for row in fresh}
        results = []
        told = []
        for evidence, exchange_id in zip(batch, ids, strict=True):
            evidence.proof = evidence.outbox = ()
            matched = evidence.final and evidence.about in answered
            if not matched and evidence.key not in unseen:
                results.append(EvidenceTaken(EvidenceAs.REPEAT, known.get(evidence.about)))
                continue
            unseen.discard(evidence.key)
            answered.discard(evidence.about)
            evidence.proof = (ProofRow(exchange_id, *_record_tail(evidence.record)),)
            kind = EvidenceAs.MATCHED if matched else EvidenceAs.NEWS
            exchange = known.get(evidence.about)
            if exchange and not matched and evidence.announce:
                evidence.outbox = (evidence.announce(exchange),)
                told.append(exchange.id)
            results.append(EvidenceTaken(kind if exchange else EvidenceAs.ORPHAN, exchange))
        if told:
            await connection.execute(sql("count_events"), told, [1] * len(told))
        return results

    @property
    def about(self) -> tuple[str, str]:
        """The request it refers to."""
        return self.gateway, self.gateway_id


async def _match(connection: asyncpg.Connection, finals: Sequence[Evidence]) -> dict[tuple[str, str], Exchange]:
    """Move the exchanges that wait for these messages to ``answered``; return them by request."""
    if not finals:
        return {}
    rows = await connection.fetch(
        sql("evidence"),
        [evidence.gateway for evidence in finals],
        [evidence.gateway_id for evidence in finals],
        [evidence.owner for evidence in finals],
    )
    return {(row["gateway"], row["gateway_id"]): read_exchange(row) for row in rows}


async def _find(connection: asyncpg.Connection, others: Sequence[Evidence]) -> list[asyncpg.Record]:
    """Return the exchanges that these messages are about, in whatever state."""
    if not others:
        return []
    gateways, ids = [evidence.gateway for evidence in others], [evidence.gateway_id for evidence in others]
    return list(await connection.fetch(sql("find_by_gateway_id"), gateways, ids))


def _record_tail(record: ProofRow) -> tuple[str, str | None, bytes | None, bytes | None, bytes | None]:
    return record.kind, record.message_id, record.data, record.content, record.meta
