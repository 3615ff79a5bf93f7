"""Gateway messages on their way in: made durable, matched to their exchange, then confirmed by their source."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from adapter.errors import AdapterError, Code, FieldFault, KnownError
from adapter.exchange import Answer, AnswerKind, Event, State, StoredFile
from adapter.faultpoints import reach
from adapter.ids import new_id
from adapter.journal.evidence import Evidence, EvidenceAs
from adapter.journal.records import ProofRow

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import asyncpg

    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange
    from adapter.pipeline.dispatch import Dispatcher
    from adapter.pipeline.envelope import Addressing
    from adapter.pipeline.ports import Observer
    from adapter.pipeline.relay import Relay

log = structlog.get_logger(__name__)

_FINAL: Final = frozenset({AnswerKind.ANSWER, AnswerKind.REJECTION})
#: States in which a final message is the exchange's answer; in the others it is news of it.
_ANSWERABLE: Final = frozenset({State.SUBMITTING, State.WAITING, State.RETRYING, State.UNCERTAIN, State.EXPIRED})
#: Matches the number of no event: a message numbered so is either the answer or asked to be numbered anew.
_UNLESS_ANSWER: Final = -1


class AnswerIntake:
    """Implements :class:`adapter.exchange.Intake` for every source."""

    def __init__(  # noqa: PLR0913 — the composition root hands every room over
        self,
        journal: Journal,
        dispatcher: Dispatcher,
        addressing: Addressing,
        relay: Relay,
        observer: Observer,
        *,
        events: Container[str] = (),
    ) -> None:
        """Answers start their exchange again by ``dispatcher``; statuses become events by ``relay``.

        ``events`` are those that may be told: with ``<action>.failed`` among them a rejection that comes after the
        outcome is told.
        """
        self._journal = journal
        self._dispatcher = dispatcher
        self._addressing = addressing
        self._relay = relay
        self._observer = observer
        self._events = events

    async def take(self, answer: Answer) -> bool:
        """Journal an answer; true when its source may confirm it. Raises JournalUnavailableError: do not confirm."""
        evidence = await self._evidence(answer)
        taken = await self._journal.write(evidence)
        while taken.kind is EvidenceAs.AGAIN:
            evidence = await self._evidence(answer)
            taken = await self._journal.write(evidence)
        reach("answer")
        self._observer.count(f"answers-{taken.kind.value}")
        exchange = taken.exchange
        if exchange is None:
            log.warning("answer to nothing we sent", source=answer.source, reference=answer.reference)
            return answer.mine
        log.debug("answer journaled", kind=answer.kind, verdict=taken.kind.value, exchange_id=str(exchange.id))
        if taken.kind is EvidenceAs.MATCHED:
            self._dispatcher.start(exchange, answer)
        elif taken.kind is EvidenceAs.NEWS:
            self._relay.offer(evidence.outbox)
        return True

    async def _evidence(self, answer: Answer) -> Evidence:
        """Return what is journaled of an answer, with the event that it publishes numbered for its exchange."""
        evidence = Evidence(
            answer.source,
            answer.reference,
            hashlib.sha256(f"{answer.source}\0{answer.key}".encode()).digest(),
            hashlib.sha256(answer.raw).digest(),
            _record(answer),
            self._journal.worker,
            answer.kind in _FINAL,
            new_id(),
        )
        rejected = answer.kind is AnswerKind.REJECTION and answer.fault is not None
        if answer.event is None and not rejected:
            return evidence
        exchange = await self._journal.about(answer.source, answer.reference)
        if exchange is None:
            return evidence
        event = answer.event
        if answer.kind in _FINAL and exchange.state in _ANSWERABLE:
            event, evidence.sequence = None, _UNLESS_ANSWER
        elif rejected and answer.fault is not None and f"{exchange.action}.failed" in self._events:
            event = Event(f"{exchange.action}.failed", {"error": answer.fault.to_wire()})
        if event is not None:
            evidence.sequence = exchange.events + exchange.replies
            evidence.outbox = (self._addressing.event(exchange, event),)
        return evidence


def _record(answer: Answer) -> ProofRow:
    """Turn an answer into the fact that :func:`read_answer` reads back."""
    meta: dict[str, Any] = {
        "kind": answer.kind,
        "source": answer.source,
        "reference": answer.reference,
        "verdicts": list(answer.verdicts),
    }
    if answer.fault is not None:
        meta["fault"] = answer.fault.to_wire()
    if answer.attachments:
        meta["attachments"] = [file_facts(file) for file in answer.attachments]
    kind = "answer" if answer.kind in _FINAL else "status"
    return ProofRow(new_id(), kind, answer.key, answer.raw, answer.content, orjson.dumps(meta))


def read_answer(rows: Sequence[asyncpg.Record], exchange: Exchange) -> Answer:
    """Return the first journaled answer to the exchange's last call. Raises KnownError when there is none."""
    facts = ((row, orjson.loads(row["meta"])) for row in rows)
    row, meta = next(((row, meta) for row, meta in facts if meta["reference"] == exchange.gateway_id), (None, None))
    if row is None or meta is None:
        raise KnownError(Code.INTERNAL)
    return _restored(row, meta)


def last_answer(rows: Sequence[asyncpg.Record]) -> Answer | None:
    """Return the last journaled answer to any call of an exchange."""
    return _restored(rows[-1], orjson.loads(rows[-1]["meta"])) if rows else None


def _restored(row: asyncpg.Record, meta: dict[str, Any]) -> Answer:
    fault = meta.get("fault")
    return Answer(
        source=meta["source"],
        key=row["message_id"],
        reference=meta["reference"],
        kind=AnswerKind(meta["kind"]),
        raw=bytes(row["data"] or b""),
        content=bytes(row["content"] or b""),
        fault=_read_fault(fault) if fault else None,
        verdicts=meta["verdicts"],
        attachments=tuple(read_file(facts) for facts in meta.get("attachments", ())),
    )


def file_facts(file: StoredFile) -> dict[str, Any]:
    """Return what is journaled of a file: by digest, size and name, and of a small one its content."""
    facts: dict[str, Any] = {
        "name": file.name,
        "mime_type": file.mime_type,
        "size": file.size,
        "sha256": file.sha256,
        "path": file.path,
    }
    if file.content is not None:
        facts["content_base64"] = base64.b64encode(file.content).decode()
    return facts


def read_file(facts: dict[str, Any]) -> StoredFile:
    """Return the file that :func:`file_facts` told of."""
    content = facts.pop("content_base64", None)
    return StoredFile(**facts, content=None if content is None else base64.b64decode(content))


def _read_fault(wire: dict[str, Any]) -> AdapterError:
    return AdapterError(
        wire["error_code"],
        wire["description"],
        fields=[FieldFault(**fault) for fault in wire.get("fields", ())],
        details=wire.get("details"),
        recommendation=wire.get("recommendation"),
    )
