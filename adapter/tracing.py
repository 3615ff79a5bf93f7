"""Spans of OpenTelemetry: one for each run of an exchange's step, below it one for each call of a gateway.

Imported only where OTEL_EXPORTER_OTLP_ENDPOINT is given. A step belongs to the trace that its command's header
``traceparent`` names; it is part of the journaled properties, so a worker that takes an exchange over goes on with the
trace. Without the header the steps of one exchange share a trace made from the exchange's id.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from time import time_ns
from typing import TYPE_CHECKING, Final

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapter.broker.codec import read_properties
from adapter.metrics.documents import Pseudonyms, word
from adapter.pipeline.envelope import trace_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from uuid import UUID

    from opentelemetry.sdk.trace import ReadableSpan

    from adapter.journal.records import Exchange
    from adapter.pipeline.ports import Observer
    from adapter.settings.groups import Elastic
    from adapter.settings.telemetry import Telemetry

#: Spans held for the collector; what is more is dropped and counted.
_MOST_HELD: Final = 2048
#: Seconds that the end of a process waits for spans that are still held.
_LAST_FLUSH: Final = 2.0
#: Who would log a line for every batch that a collector does not take: the counter says it.
_TALKATIVE: Final = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")
_GOOD: Final = frozenset({"ok", "empty", "cancelled"})


@dataclass(slots=True)
class Step:
    """A running step. ``state`` is the one it reached, once that is known."""

    span: Span
    exchange_id: UUID
    state: str | None = None


_step: ContextVar[Step | None] = ContextVar("step", default=None)
_trace_id: ContextVar[int | None] = ContextVar("trace_id", default=None)


class TraceIds(RandomIdGenerator):
    """Random ids, but for traces that begin here: those are made from the exchange's id, the same in every worker."""

    def generate_trace_id(self) -> int:
        """Return the id for the exchange whose step begins."""
        return _trace_id.get() or super().generate_trace_id()


class CountedExporter(SpanExporter):
    """Sends spans and counts those that the collector did not take; runs in the thread of the SDK."""

    def __init__(self, exporter: SpanExporter, lost: Callable[[int], None]) -> None:
        """``lost`` is told in the exporting thread."""
        self._exporter = exporter
        self._lost = lost
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch."""
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._lost(len(spans))
        return result

    def shutdown(self) -> None:
        """End; a batch that is being retried is given up."""
        self._exporter.shutdown()


class Overflow(SpanProcessor):
    """Counts the spans that end while as many as may be held wait for the collector: the SDK drops one for each."""

    def __init__(self, exporter: CountedExporter, lost: Callable[[int], None]) -> None:
        """``exporter`` tells how many have left."""
        self._exporter = exporter
        self._lost = lost
        self._ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Take note of one."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._ended - self._exporter.taken >= _MOST_HELD:
            self._lost(1)
        else:
            self._ended += 1


class TracingObserver:
    """Implements :class:`adapter.pipeline.ports.Observer` beside another one, which hears everything too."""

    def __init__(self, observer: Observer, provider: TracerProvider, hash_key: str | None = None) -> None:
        """``hash_key`` is that of metrics: with it spans bear the same hash of the exchange, without it none."""
        self._observer = observer
        self._tracer = provider.get_tracer("adapter")
        self._propagator = TraceContextTextMapPropagator()
        self._pseudonyms = Pseudonyms(hash_key) if hash_key else None

    @contextmanager
    def step(self, exchange: Exchange) -> Iterator[None]:
        """Write one span around a run of an exchange's step. What is raised passes, and none of its text is kept."""
        running = Step(self._begin(exchange), exchange.id)
        token = _step.set(running)
        try:
            yield
        except asyncio.CancelledError:
            running.state = running.state or "interrupted"
            raise
        finally:
            _step.reset(token)
            running.span.set_attribute("adapter.state", running.state or exchange.state.value)
            running.span.set_attribute("adapter.attempt", exchange.attempts)
            running.span.end()

    def _begin(self, exchange: Exchange) -> Span:
        carrier = trace_context(read_properties(exchange.properties)) if exchange.properties else {}
        attributes = {"adapter.action": word(exchange.action), "adapter.state.before": exchange.state.value}
        if self._pseudonyms:
            attributes["adapter.exchange"] = self._pseudonyms.of(exchange.id)
        token = _trace_id.set(int.from_bytes(blake2b(exchange.id.bytes, digest_size=16).digest(), "big"))
        try:
            return self._tracer.start_span(
                f"adapter {word(exchange.action)}",
                # Not the context of the task: a span that a library left there is no parent.
                context=self._propagator.extract(carrier, context=Context()),
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            )
        finally:
            _trace_id.reset(token)

    def command_finished(self, exchange: Exchange, *, outcome: str, code: str | None, reply_bytes: int) -> None:
        """Note on the span how the exchange ended."""
        self._observer.command_finished(exchange, outcome=outcome, code=code, reply_bytes=reply_bytes)
        running = _step.get()
        if running is None or running.exchange_id != exchange.id:
            return
        running.state = str(outcome)
        if code is not None:
            running.span.set_attribute("adapter.code", word(code))
            running.span.set_status(StatusCode.ERROR)

    def gateway_call(  # noqa: PLR0913, PLR0917  — the port's signature
        self, operation: str, outcome: str, seconds: float, bytes_out: int, bytes_in: int, gateway: str = "smev3"
    ) -> None:
        """Write the span of a call inside a step; polls, which belong to no exchange, have none."""
        self._observer.gateway_call(operation, outcome, seconds, bytes_out, bytes_in, gateway)
        running = _step.get()
        if running is None or not running.span.is_recording():
            return
        end = time_ns()
        span = self._tracer.start_span(
            f"{word(gateway)} {word(operation)}",
            context=set_span_in_context(running.span, Context()),
            kind=SpanKind.CLIENT,
            start_time=end - int(seconds * 1e9),
            attributes={
                "adapter.gateway": word(gateway),
                "adapter.operation": word(operation),
                "adapter.outcome": word(outcome),
                "adapter.seconds": round(seconds, 6),
            },
        )
        if outcome not in _GOOD:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def count(self, name: str, n: int = 1) -> None:
        """Pass it on; a retry is a state that a step reaches."""
        self._observer.count(name, n)
        running = _step.get()
        if name == "retries" and running is not None:
            running.state = "retrying"


@asynccontextmanager
async def make_tracing(
    telemetry: Telemetry, observer: Observer, elastic: Elastic | None = None
) -> AsyncIterator[TracingObserver]:
    """Open the way to the collector, and at the end send what is held, for two seconds at most."""
    loop = asyncio.get_running_loop()

    def lost(count: int) -> None:
        if not loop.is_closed():  # the last thread may outlive it; nobody reads counters then
            loop.call_soon_threadsafe(observer.count, "spans-lost", count)

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    resource = Resource.create()
    if SERVICE_NAME not in (telemetry.resource or ""):
        resource = resource.merge(Resource({SERVICE_NAME: telemetry.service}))
    provider = TracerProvider(resource=resource, id_generator=TraceIds(), shutdown_on_exit=False)
    exporter = CountedExporter(OTLPSpanExporter(endpoint=f"{telemetry.endpoint.rstrip('/')}/v1/traces"), lost)
    provider.add_span_processor(Overflow(exporter, lost))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_MOST_HELD))
    try:
        yield TracingObserver(observer, provider, elastic.hash_key if elastic else None)
    finally:
        await _shut_down(provider, exporter, loop)


async def _shut_down(provider: TracerProvider, exporter: SpanExporter, loop: asyncio.AbstractEventLoop) -> None:
    """Flush within the bound. The thread is a daemon of its own: a collector that hangs holds no process back."""
    ended = asyncio.Event()

    def flush() -> None:
        provider.shutdown()
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=flush, name="spans-flush", daemon=True).start()
    try:
        async with asyncio.timeout(_LAST_FLUSH):
            await ended.wait()
    except TimeoutError:
        exporter.shutdown()
        structlog.get_logger(__name__).warning("spans not sent: the collector did not take them in time")
