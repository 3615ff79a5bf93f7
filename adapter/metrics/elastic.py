"""Metrics in Elasticsearch: a bounded queue, one task that sends bulks, counters for what could not be sent.

A document gets its ``_id`` here and is sent with ``create``, so that a bulk whose answer was lost can be repeated:
a 409 says that the document is there already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypedDict
from uuid import uuid4

import structlog
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch

from adapter.metrics.documents import Pseudonyms, milliseconds, stamped
from adapter.metrics.port import CountingMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapter.metrics.port import FinishedCommand, GatewayCall
    from adapter.settings import Elastic

log = structlog.get_logger(__name__)

_REQUEST_TIMEOUT = 10.0
_LONGEST_PAUSE = 30.0
#: Answers to a whole bulk that a repetition may change: not let in, overloaded, or ill.
_LATER = frozenset({401, 403, 408, 429})


class _Bulk(TypedDict, total=False):
    errors: bool
    items: list[dict[str, dict[str, Any]]]


class _Document:
    """One document with where it goes; ``settled`` once the server has it or refused it for good."""

    __slots__ = ("header", "settled", "source")

    def __init__(self, index: str, source: dict[str, Any]) -> None:
        self.header = {"create": {"_index": index, "_id": uuid4().hex}}
        self.source = source
        self.settled = False


class ElasticMetrics(CountingMetrics):
    """Counts like its base and sends documents besides, over a bounded queue; see :meth:`connect`."""

    def __init__(  # noqa: PLR0913  — bounds with good defaults, named at the call
        self,
        client: AsyncElasticsearch,
        prefix: str,
        *,
        hash_key: str | None = None,
        capacity: int = 10_000,
        batch: int = 500,
        gather: float = 1.0,
        pause: float = 1.0,
        grace: float = 3.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Own ``client`` and start the sending task in the running loop.

        ``capacity`` documents are held, the oldest go first when it is reached. ``gather`` seconds are waited for
        ``batch`` documents to come together; ``pause`` seconds after a failed bulk, doubled up to 30; ``grace``
        seconds bound the last sending on :meth:`close`.
        """
        super().__init__()
        self._client = client
        self._prefix = prefix
        self._pseudonyms = Pseudonyms(hash_key)
        self._capacity, self._batch = capacity, batch
        self._gather, self._pause, self._grace = gather, pause, grace
        self._clock = clock
        self._queue: deque[_Document] = deque()
        self._some, self._full, self._closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._down = False
        self._task = asyncio.create_task(self._run(), name="metrics")

    @classmethod
    def connect(cls, elastic: Elastic, **bounds: Any) -> Self:
        """Return metrics for ``elastic``; no connection is made before the first document. Needs a running loop."""
        options: dict[str, Any] = {}
        if elastic.user is not None and elastic.password is not None:
            options["basic_auth"] = (elastic.user, elastic.password)
        if (context := elastic.ssl_context()) is not None:
            options["ssl_context"] = context
        client = AsyncElasticsearch(elastic.url, request_timeout=_REQUEST_TIMEOUT, max_retries=0, **options)
        return cls(client, elastic.prefix, hash_key=elastic.hash_key, **bounds)

    @property
    def dropped(self) -> int:
        """How many documents were given up."""
        return self.counters.value("metrics_dropped")

    def command_finished(self, command: FinishedCommand) -> None:
        """Queue a document of index ``PREFIX-commands-YYYY.MM.DD``."""
        super().command_finished(command)
        fields = {
            "action": command.action,
            "exchange": self._pseudonyms.of(command.exchange_id),
            "outcome": command.outcome,
            "code": command.code,
            "duration_ms": milliseconds(command.seconds),
            "request_bytes": command.request_bytes,
            "reply_bytes": command.reply_bytes,
            "attempt": command.attempts,
            "late": command.late,
        }
        self._offer("commands", fields)

    def gateway_call(self, call: GatewayCall) -> None:
        """Queue a document of index ``PREFIX-calls-YYYY.MM.DD``, unless the call only found an empty queue."""
        super().gateway_call(call)
        if call.outcome == "empty":
            return
        fields = {
            "gateway": call.gateway,
            "operation": call.operation,
            "action": call.action,
            "exchange": None if call.exchange_id is None else self._pseudonyms.of(call.exchange_id),
            "outcome": call.outcome,
            "code": call.code,
            "duration_ms": milliseconds(call.seconds),
            "sent_bytes": call.sent_bytes,
            "received_bytes": call.received_bytes,
            "attempt": call.attempt,
        }
        self._offer("calls", fields)

    async def close(self) -> None:
        """Send what is held within the grace, then end the task and the client; a second call does nothing more."""
        self._closing.set()
        self._some.set()
        self._full.set()
        try:
            await asyncio.wait({self._task}, timeout=self._grace)
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._drop(len(self._queue), "closing")
            self._queue.clear()
            await self._client.close()

    def _offer(self, kind: str, fields: dict[str, Any]) -> None:
        if self._closing.is_set():
            self._drop(1, "closing")
            return
        if len(self._queue) >= self._capacity:
            self._queue.popleft()  # the newest tell what is going on now
            self._drop(1, "overflow")
        now = self._clock()
        self._queue.append(_Document(f"{self._prefix}-{kind}-{now:%Y.%m.%d}", stamped(now, fields)))
        self._some.set()
        if len(self._queue) >= self._batch:
            self._full.set()

    def _drop(self, n: int, reason: str) -> None:
        if n:
            self.counters.increment("metrics_dropped", n, reason=reason)

    async def _run(self) -> None:
        """Send until closed and empty, or closed and refused."""
        failures = 0
        while self._queue or not self._closing.is_set():
            await self._some.wait()
            await _heard(self._full, self._gather)
            batch = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            if not self._queue and not self._closing.is_set():
                self._some.clear()
            if len(self._queue) < self._batch and not self._closing.is_set():
                self._full.clear()
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._put_back(batch)
                raise
            except (ApiError, TransportError) as error:
                self._put_back(batch)
                self._say_down(error)
                if self._closing.is_set():
                    return
                failures += 1
                await _heard(self._closing, min(self._pause * 2 ** (failures - 1), _LONGEST_PAUSE))
            except Exception as error:  # noqa: BLE001  — a fault of ours costs these documents, never the task
                self._drop(len(batch), "fault")
                log.error("metrics lost by an unexpected fault", error=error)  # noqa: TRY400  — reduced by the log
            else:
                failures = 0
                self._say_up()

    def _put_back(self, batch: Sequence[_Document]) -> None:
        """Put what is not settled back in front, in its order; the oldest are dropped where room is short."""
        open_ones = [document for document in batch if not document.settled]
        room = max(self._capacity - len(self._queue), 0)
        kept = open_ones[max(len(open_ones) - room, 0) :]
        self._drop(len(open_ones) - len(kept), "overflow")
        self._queue.extendleft(reversed(kept))
        self._some.set()

    async def _send(self, batch: Sequence[_Document]) -> None:
        """Send one bulk and, once more, those of its documents that the server had no room for."""
        refused = await self._bulk(batch)
        if refused:
            await _heard(self._closing, self._pause)
            for document in await self._bulk(refused):
                document.settled = True
                self._drop(1, "overloaded")

    async def _bulk(self, batch: Sequence[_Document]) -> list[_Document]:
        """Send one request; return the documents worth a second try, count those that are refused for good."""
        if not batch:
            return []
        operations = [part for document in batch for part in (document.header, document.source)]
        try:
            answer = await self._client.bulk(operations=operations, filter_path="errors,items.*.status")
        except ApiError as error:
            status = error.meta.status
            if status == 413 and len(batch) > 1:
                half = len(batch) // 2
                return await self._bulk(batch[:half]) + await self._bulk(batch[half:])
            if 400 <= status < 500 and status not in _LATER:
                self._reject(batch)
                return []
            raise
        return self._sort_out(batch, answer.body)

    def _reject(self, documents: Sequence[_Document]) -> None:
        self._drop(len(documents), "rejected")
        for document in documents:
            document.settled = True

    def _sort_out(self, batch: Sequence[_Document], answer: _Bulk) -> list[_Document]:
        """Settle each document by its own status; return those that met an overloaded or ill shard."""
        statuses = [next(iter(item.values()))["status"] for item in answer.get("items", [])]
        again: list[_Document] = []
        for document, status in zip(batch, statuses, strict=True):
            if status == 429 or status >= 500:
                again.append(document)
            elif status >= 400 and status != 409:
                self._reject([document])
            else:
                document.settled = True
        return again

    def _say_down(self, error: ApiError | TransportError) -> None:
        if not self._down:
            self._down = True
            status = error.meta.status if isinstance(error, ApiError) else None
            log.warning("metrics cannot be sent: held, then dropped", error=error, status=status)

    def _say_up(self) -> None:
        if self._down:
            self._down = False
            log.info("metrics are sent again", dropped=self.dropped)


async def _heard(event: asyncio.Event, seconds: float) -> None:
    """Wait for ``event``, at most ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
