"""The way in for commands: journal first, then ack. Nothing is judged here but identity; the runner does the rest."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from adapter.broker.codec import told_apart
from adapter.exchange import State
from adapter.faultpoints import reach
from adapter.ids import new_id
from adapter.journal.operations import TakeIn, Taken, TakenAs
from adapter.journal.records import Exchange
from adapter.journal.writer import RowRefusedError
from adapter.pipeline.envelope import Envelope, searchable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from adapter.broker.consumer import Delivery
    from adapter.broker.deliveries import Body
    from adapter.broker.topology import Names
    from adapter.journal.journal import Journal
    from adapter.pipeline.dispatch import Dispatcher
    from adapter.pipeline.envelope import Addressing
    from adapter.pipeline.ports import Registry

log = structlog.get_logger(__name__)

#: Deadline of what names no served action: long enough to be answered.
_FALLBACK_DEADLINE: Final = timedelta(hours=1)
#: Bytes of a queue's name that still leave room for ``.reply`` in the 255 bytes of a short string.
_LONGEST_NAME: Final = 200


def command_key(action: str, user_id: bytes | None, message_id: bytes) -> bytes:
    """Return the identity of a command: (action, user_id or '', message_id), hashed to a fixed size."""
    digest = hashlib.sha256()
    for part in (action.encode(), user_id or b"", message_id):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


class CommandIntake:
    """Takes batches of deliveries from the consumers."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher, addressing: Addressing, registry: Registry) -> None:
        """What is new is started by ``dispatcher``."""
        self._journal = journal
        self._dispatcher = dispatcher
        self._addressing = addressing
        self._registry = registry
        self._names = addressing.names
        self._taken: dict[str, tuple[str, dict[int, UUID]]] = {}

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Journal the batch and start what is new. Raises JournalUnavailableError: then nothing is acked."""
        # A batch comes from one consumer, so from one queue.
        size = sum(delivery.weight for delivery in deliveries)
        async with self._dispatcher.admitting(deliveries[0].queue, len(deliveries), size):
            await self._take(deliveries)

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        takes = [self._read(delivery) for delivery in deliveries]
        reach("decode")
        written = [self._journal.write(take) for take in takes]
        try:
            for delivery, take, future in zip(deliveries, takes, written, strict=True):
                self._begin(delivery, await self._taken_as(take, future))
        except BaseException:
            # Of a batch that failed in its middle, what is left has failed as well or is durable: recovery takes it up.
            await asyncio.gather(*written, return_exceptions=True)
            raise

    def _begin(self, delivery: Delivery, taken: Taken) -> None:
        reach("journal")
        self._book(delivery.queue, delivery.session)[delivery.tag] = taken.exchange_id
        if taken.exchange is None:
            return
        if taken.kind is TakenAs.REPEAT:
            self._dispatcher.start_repeat(taken.exchange)
        else:
            self._dispatcher.start(taken.exchange)

    def settle(self, queue: str, session: str, tags: Sequence[int]) -> None:
        """Have the rows marked settled soon: unmarked, one may pass for a later command that looks the same."""
        book = self._book(queue, session)
        self._journal.settlements.add([book.pop(tag) for tag in tags])

    def _book(self, queue: str, session: str) -> dict[int, UUID]:
        """Return the rows of a consumer's unsettled tags; a queue's new session closes the book of the old one."""
        known, book = self._taken.get(queue, ("", {}))
        if known != session:
            book = {}
            self._taken[queue] = (session, book)
        return book

    async def _taken_as(self, take: TakeIn, written: asyncio.Future[Taken]) -> Taken:
        try:
            return await written
        except RowRefusedError as result:
            # Even escaped text was refused: keep digest and size, answer it, let the commands behind it go on.
            log.warning("delivery kept without its content", sqlstate=result.sqlstate)
            exchange = take.exchange
            exchange.body, exchange.correlation, exchange.message_id = None, None, None
            exchange.refusal = exchange.refusal or "unstorable"
            return await self._journal.write(take)

    def _read(self, delivery: Delivery) -> TakeIn:
        """Turn a delivery into a row: everything here survives any bytes."""
        envelope = self._addressing.envelope(delivery.properties)
        properties = envelope.properties
        action, refusal = self._names.action(delivery.queue), None
        if delivery.queue == self._names.returned:
            action, refusal = _returned(envelope, self._names)
        now = datetime.now(UTC)
        service = self._registry.services.get(action)
        default = now + (service.deadline if service else _FALLBACK_DEADLINE)
        body, size, digest = _measured(delivery.body)
        exchange = Exchange(
            id=new_id(),
            action=action,
            source=delivery.queue,
            state=State.RECEIVED,
            received_at=now,
            deadline=envelope.deadline or default,
            body=body,
            body_sha256=digest,
            body_size=size,
            properties=delivery.properties,
            message_id=searchable(properties.message_id),
            correlation=searchable(properties.correlation_id),
            refusal=refusal,
            owner=self._journal.worker,
        )
        key = None
        # A dry run sends nothing, so it never stands in the way of the command it rehearses.
        if properties.message_id and not envelope.dry_run:
            key = command_key(action, properties.user_id, properties.message_id)
        fingerprint = hashlib.sha256(b"\0".join((delivery.queue.encode(), told_apart(properties), digest))).digest()
        return TakeIn(exchange, key, fingerprint, delivery.session, delivery.redelivered)


def _measured(body: Body) -> tuple[bytes | None, int, bytes]:
    """Return what is kept of a body, its size in bytes and its SHA-256."""
    if isinstance(body, bytes):
        return body, len(body), hashlib.sha256(body).digest()
    return None, body.size, body.sha256


def _returned(envelope: Envelope, names: Names) -> tuple[str, str | None]:
    """Read where a dead-lettered command came from and why; only an expired one is refused, others are handled."""
    deaths = envelope.properties.headers.get(b"x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    queue, reason = first.get(b"queue"), first.get(b"reason")
    # Anyone may publish here, so the history may be forged: a name that is no action's is not carried any further.
    name = queue.decode(errors="replace") if isinstance(queue, bytes) else ""
    action = names.action(name) if name.isprintable() and len(name.encode()) <= _LONGEST_NAME else ""
    return action or names.action(names.returned), "expired" if reason == b"expired" else None
