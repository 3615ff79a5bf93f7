"""Messages that begin an exchange on their way in: journaled once, then confirmed by their source, then run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
import structlog

from adapter.errors import AdapterError
from adapter.exchange import State
from adapter.faultpoints import reach
from adapter.ids import new_id
from adapter.incoming import Incoming
from adapter.journal.records import Exchange
from adapter.journal.requests import Receive, request_key
from adapter.journal.writer import RowRefusedError
from adapter.pipeline.answers import file_facts, read_file
from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Answer, Intake
    from adapter.incoming import Provider
    from adapter.journal.journal import Journal
    from adapter.pipeline.dispatch import Dispatcher
    from adapter.pipeline.held import HeldRequests
    from adapter.pipeline.ports import Observer, Registry

log = structlog.get_logger(__name__)

#: Deadline of what no provider here takes: such a message is for a person, who has no deadline.
_FALLBACK_DEADLINE: Final = timedelta(days=1)
#: Characters of a subject: what identifies an order is short, and an index takes no more than 2704 bytes.
_LONGEST_SUBJECT: Final = 200


class WayIn:
    """Implements :class:`adapter.incoming.Arrivals`: the one way in that every source is handed."""

    def __init__(self, answers: Intake, requests: RequestIntake, held: HeldRequests) -> None:
        """Answers go to ``answers``, everything else to ``requests``; callers wait in ``held``."""
        self._answers = answers
        self._requests = requests
        self._held = held

    async def take(self, answer: Answer) -> bool:
        """Journal an answer; see :class:`adapter.exchange.Intake`."""
        return await self._answers.take(answer)

    async def receive(self, incoming: Incoming) -> bool:
        """Journal a message that begins an exchange."""
        return await self._requests.receive(incoming)

    async def word(self, incoming: Incoming, seconds: float) -> bytes | None:
        """Wait for the last word to a received message."""
        return await self._held.word(request_key(incoming.source, incoming.key), seconds)


class RequestIntake:
    """Journals what a gateway brings and starts what is new."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher, registry: Registry, observer: Observer) -> None:
        """What is new is started by ``dispatcher``."""
        self._journal = journal
        self._dispatcher = dispatcher
        self._registry = registry
        self._observer = observer

    async def receive(self, incoming: Incoming) -> bool:
        """Journal ``incoming`` unless it is there; true: confirm it. Raises JournalUnavailableError: do not."""
        async with self._dispatcher.admitting(incoming.source, 1, len(incoming.raw)):
            await self._take(incoming)
        return True

    async def _take(self, incoming: Incoming) -> None:
        incoming = replace(incoming, subject=self._subject(incoming))
        try:
            exchange, new = await self._write(incoming)
        except RowRefusedError as error:
            log.warning("request kept by its bytes alone", sqlstate=error.sqlstate, source=incoming.source)
            bare = replace(incoming, content=b"", reply_to="", subject="", facts={}, verdicts=(), attachments=())
            exchange, new = await self._write(replace(bare, unreadable="cannot be stored as it was read"))
        reach("journal")
        self._observer.count("requests-new" if new else "requests-repeat")
        if new:
            log.info("request journaled", source=incoming.source, action=incoming.action, exchange_id=str(exchange.id))
            self._dispatcher.start(exchange)

    async def _write(self, incoming: Incoming) -> tuple[Exchange, bool]:
        receive = birth(incoming, self._registry.providers.get(incoming.action), self._journal.worker)
        return receive.exchange, await self._journal.write(receive)

    def _subject(self, incoming: Incoming) -> str:
        """Return the business id of a message; one that cannot be read has none, and its provider says why later."""
        provider = self._registry.providers.get(incoming.action)
        if incoming.subject or incoming.unreadable or provider is None:
            return incoming.subject
        try:
            subject = provider.subject(incoming)
        except (AdapterError, XmlError) as error:
            log.warning("request without a readable subject", action=incoming.action, error=type(error).__name__)
            return ""
        return subject if len(subject) <= _LONGEST_SUBJECT else ""


def birth(incoming: Incoming, provider: Provider | None, owner: UUID) -> Receive:
    """Return what journals a message as an exchange of the worker ``owner``."""
    now = datetime.now(UTC)
    exchange = Exchange(
        id=new_id(),
        action=incoming.action,
        source=incoming.source,
        state=State.RECEIVED,
        received_at=now,
        deadline=incoming.deadline or now + (provider.deadline if provider else _FALLBACK_DEADLINE),
        body=incoming.raw,
        body_sha256=hashlib.sha256(incoming.raw).digest(),
        body_size=len(incoming.raw),
        properties=b"",
        message_id=incoming.key.replace("\x00", "\\x00"),
        owner=owner,
        lane=incoming.subject or None,
    )
    key = request_key(incoming.source, incoming.key)
    return Receive(exchange, key, incoming.subject, incoming.content, _meta(incoming))


def _meta(incoming: Incoming) -> bytes:
    """Return what :func:`read_incoming` reads back, beside what the row itself holds."""
    facts: dict[str, Any] = {
        "source": incoming.source,
        "key": incoming.key,
        "action": incoming.action,
        "reply_to": incoming.reply_to,
        "subject": incoming.subject,
        "facts": incoming.facts,
        "verdicts": list(incoming.verdicts),
        "test": incoming.test,
        "deadline": incoming.deadline,
        "unreadable": incoming.unreadable,
        "attachments": [file_facts(file) for file in incoming.attachments],
        "after": [str(exchange_id) for exchange_id in incoming.after],
    }
    return orjson.dumps(facts)


def read_incoming(exchange: Exchange, content: bytes, meta: Mapping[str, Any]) -> Incoming:
    """Return the message that began ``exchange``, from its journaled fact."""
    deadline = meta["deadline"]
    return Incoming(
        source=meta["source"],
        key=meta["key"],
        action=meta["action"],
        raw=exchange.body or b"",
        content=content,
        reply_to=meta["reply_to"],
        subject=meta["subject"],
        facts=meta["facts"],
        verdicts=meta["verdicts"],
        test=meta["test"],
        deadline=datetime.fromisoformat(deadline) if deadline else None,
        unreadable=meta["unreadable"],
        attachments=tuple(read_file(facts) for facts in meta["attachments"]),
        # Messages that an earlier version journaled follow nothing.
        after=tuple(UUID(exchange_id) for exchange_id in meta.get("after", ())),
    )


async def load_incoming(journal: Journal, exchange: Exchange) -> Incoming:
    """Return the message that began ``exchange``. Raises JournalUnavailableError."""
    row = (await journal.proofs(exchange.id, "incoming"))[0]
    return read_incoming(exchange, bytes(row["content"] or b""), orjson.loads(row["meta"]))
