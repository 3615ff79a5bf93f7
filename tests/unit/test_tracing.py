"""Spans: whose trace they belong to, what they tell and what never, and that a collector that is away costs nothing."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, use_span

from adapter import bootstrap, cli_run, tracing
from adapter.broker.codec import write_properties
from adapter.errors import ConfigurationError
from adapter.exchange import State
from adapter.journal.records import Exchange
from adapter.metrics.documents import Pseudonyms
from adapter.settings.telemetry import Telemetry, load_telemetry
from adapter.tracing import CountedExporter, Overflow, TraceIds, TracingObserver, make_tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}


class Told:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.finished: list[str] = []
        self.calls: list[tuple[object, ...]] = []
        self.counts: dict[str, int] = {}
        self.counted = asyncio.Event()

    def command_finished(self, exchange: Exchange, *, outcome: str, code: str | None, reply_bytes: int) -> None:
        self.finished.append(outcome)

    def gateway_call(self, *call: object) -> None:
        self.calls.append(call)

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n
        self.counted.set()


class Stand:
    """A tracing observer whose spans stay in memory."""

    def __init__(self, hash_key: str | None = None) -> None:
        """``hash_key`` is that of metrics."""
        self.memory = InMemorySpanExporter()
        provider = TracerProvider(id_generator=TraceIds(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.told = Told()
        self.observer = TracingObserver(self.told, provider, hash_key)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.memory.get_finished_spans()


def exchange(headers: dict[str, str | int | bool] | None = None, **more: Any) -> Exchange:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    values = {
        "id": uuid4(),
        "action": "echo",
        "source": "echo",
        "state": State.RECEIVED,
        "received_at": now,
        "deadline": now,
        "body": b"{}",
        "body_sha256": b"",
        "body_size": 2,
        "properties": write_properties(message_id=b"m", message_type=b"echo", headers=headers),
    }
    return Exchange(**(values | more))


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format(span.context.trace_id, "032x")


def test_a_step_belongs_to_the_trace_that_its_command_names() -> None:
    stand = Stand()
    with stand.observer.step(exchange(HEADERS)):
        pass
    (span,) = stand.spans
    assert (span.name, span.kind, trace_of(span)) == ("adapter echo", SpanKind.CONSUMER, TRACE)
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == PARENT
    assert span.context is not None
    assert span.context.trace_state.to_header() == "vendor=1"


def test_a_trace_that_upstream_does_not_record_is_not_recorded_here() -> None:
    stand = Stand()
    with stand.observer.step(exchange({"traceparent": f"00-{TRACE}-{PARENT}-00"})):
        stand.observer.gateway_call("Send", "ok", 0.1, 1, 1)
    assert not stand.spans


def test_the_steps_of_a_command_without_a_trace_share_one_in_every_worker() -> None:
    one, other = Stand(), Stand()
    same = exchange()
    for stand, run in ((one, same), (other, same), (other, exchange())):
        with stand.observer.step(run):
            pass
    first, second, strange = trace_of(one.spans[0]), trace_of(other.spans[0]), trace_of(other.spans[1])
    assert first == second
    assert first != strange
    assert first != same.id.hex


def test_an_exchange_born_at_a_gateway_has_a_trace_of_its_own() -> None:
    stand = Stand()
    with stand.observer.step(exchange(properties=b"")):
        pass
    assert stand.spans[0].parent is None


def test_a_call_is_a_child_of_the_step_that_makes_it() -> None:
    stand = Stand()
    with stand.observer.step(exchange(HEADERS)):
        stand.observer.gateway_call("SendRequest", "SMEV-403", 0.25, 10, 20, "smev3")
    call, step = stand.spans
    assert call.parent is not None
    assert step.context is not None
    assert (call.parent.span_id, trace_of(call)) == (step.context.span_id, TRACE)
    assert dict(call.attributes or {}) == {
        "adapter.gateway": "smev3",
        "adapter.operation": "SendRequest",
        "adapter.outcome": "SMEV-403",
        "adapter.seconds": 0.25,
    }
    assert call.start_time is not None
    assert call.end_time is not None
    assert call.end_time - call.start_time == 250_000_000
    assert (call.kind, call.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert stand.told.calls == [("SendRequest", "SMEV-403", 0.25, 10, 20, "smev3")]


def test_a_poll_has_no_span() -> None:
    stand = Stand()
    stand.observer.gateway_call("GetResponse", "empty", 0.1, 1, 1)
    assert not stand.spans
    assert stand.told.calls


def test_a_step_tells_the_state_it_reached_the_code_and_the_attempt() -> None:
    stand = Stand()
    ended = exchange(state=State.ANSWERED, attempts=2)
    with stand.observer.step(ended):
        stand.observer.command_finished(ended, outcome="failed", code="SMEV-403", reply_bytes=1)
    (span,) = stand.spans
    assert dict(span.attributes or {}) == {
        "adapter.action": "echo",
        "adapter.state.before": "answered",
        "adapter.state": "failed",
        "adapter.code": "SMEV-403",
        "adapter.attempt": 2,
    }
    assert span.status.status_code is StatusCode.ERROR
    assert stand.told.finished == ["failed"]


def test_a_step_that_retries_and_one_that_waits_tell_so() -> None:
    stand = Stand()
    waiting = exchange()
    with stand.observer.step(exchange()):
        stand.observer.count("retries")
    with stand.observer.step(waiting):
        waiting.state = State.WAITING
    assert [(span.attributes or {})["adapter.state"] for span in stand.spans] == ["retrying", "waiting"]
    assert stand.told.counts == {"retries": 1}


def test_the_end_of_another_exchange_is_not_told_as_that_of_the_step() -> None:
    stand = Stand()
    with stand.observer.step(exchange()):
        stand.observer.command_finished(exchange(), outcome="failed", code="X", reply_bytes=1)
    assert (stand.spans[0].attributes or {})["adapter.state"] == "received"


async def test_a_step_started_inside_another_is_no_child_of_it() -> None:
    stand = Stand()

    async def run() -> None:
        with stand.observer.step(exchange()):
            pass

    with stand.observer.step(exchange(HEADERS)):
        await asyncio.create_task(run())
    inner, outer = stand.spans
    assert inner.parent is None
    assert trace_of(inner) != trace_of(outer)


def test_a_span_of_a_library_is_no_parent_of_a_step() -> None:
    stand = Stand()
    strange = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    with use_span(strange), stand.observer.step(exchange()):
        pass
    assert stand.spans[0].parent is None


@pytest.mark.parametrize("error", [asyncio.CancelledError("Иванов"), ValueError("Иванов 12345678901")])
def test_what_a_step_is_ended_by_passes_and_its_text_is_not_kept(error: BaseException) -> None:
    stand = Stand()
    with pytest.raises(type(error)), stand.observer.step(exchange()):
        raise error
    text = stand.spans[0].to_json()
    assert "Иванов" not in text
    assert "\\u0418" not in text
    assert "12345678901" not in text
    interrupted = isinstance(error, asyncio.CancelledError)
    assert ("interrupted" in text) is interrupted


def test_no_id_and_no_free_text_is_told_and_the_exchange_as_in_metrics() -> None:
    stand = Stand("key")
    canary = "canary-77"
    run = exchange({"x-canary": canary}, body=canary.encode(), message_id=canary, correlation=canary, lane=canary)
    with stand.observer.step(run):
        stand.observer.gateway_call("Send", "ФИО Иванов", 0.1, 1, 1, "smev3")
        stand.observer.command_finished(run, outcome="failed", code="112-233-445 95", reply_bytes=1)
    told = "".join(span.to_json() for span in stand.spans)
    assert canary not in told
    assert str(run.id) not in told
    assert "112-233-445" not in told
    call, step = stand.spans
    assert (call.attributes or {})["adapter.outcome"] == "other"
    assert (step.attributes or {})["adapter.exchange"] == Pseudonyms("key").of(run.id)


class Refusing(SpanExporter):
    """Takes nothing; raises where told to."""

    def __init__(self, error: Exception | None = None) -> None:
        """``error`` is what it ends by."""
        self.error = error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.error is not None:
            raise self.error
        return SpanExportResult.FAILURE


def finished_spans(count: int) -> Sequence[ReadableSpan]:
    stand = Stand()
    for _ in range(count):
        with stand.observer.step(exchange()):
            pass
    return stand.spans


def test_spans_that_the_collector_does_not_take_are_counted() -> None:
    lost: list[int] = []
    spans = finished_spans(3)
    assert CountedExporter(Refusing(), lost.append).export(spans) is SpanExportResult.FAILURE
    with pytest.raises(OSError, match="away"):
        CountedExporter(Refusing(OSError("away")), lost.append).export(spans[:1])
    taken = CountedExporter(InMemorySpanExporter(), lost.append)
    assert taken.export(spans) is SpanExportResult.SUCCESS
    assert (lost, taken.taken) == ([3, 1], 3)


def test_spans_beyond_what_may_be_held_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_MOST_HELD", 2)
    lost: list[int] = []
    exporter = CountedExporter(InMemorySpanExporter(), lost.append)
    overflow = Overflow(exporter, lost.append)
    spans = finished_spans(4)
    for span in spans[:3]:
        overflow.on_end(span)
    assert lost == [1]
    exporter.export(spans[:2])
    overflow.on_end(spans[3])
    assert lost == [1]


async def test_a_collector_that_is_away_holds_the_end_back_no_longer_than_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "_LAST_FLUSH", 0.1)
    with socket.socket() as nobody:  # bound and not listening: refuses
        nobody.bind(("127.0.0.1", 0))
        told = Told()
        settings = telemetry(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with asyncio.timeout(5):
            async with make_tracing(settings, told) as observer:
                with observer.step(exchange(HEADERS)):
                    pass
            await told.counted.wait()
    assert told.counts == {"spans-lost": 1}


def telemetry(endpoint: str) -> Telemetry:
    return Telemetry(
        endpoint=endpoint, headers=None, service="adapter", resource=None, sampler=None, sampler_argument=None
    )


async def test_a_worker_told_of_a_collector_runs_with_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[object, object]] = []

    async def run_worker(_settings: object, _environment: object, *room: object) -> None:
        observer, _, trace = room
        ran.append((observer, trace))

    monkeypatch.setattr(bootstrap, "run_worker", run_worker)
    monkeypatch.setattr(cli_run, "load_settings", lambda: SimpleNamespace(elastic=None))
    monkeypatch.setattr(cli_run, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(cli_run, "take_over_last_words", lambda: None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert await asyncio.to_thread(cli_run._run, argparse.Namespace()) == 0
    ((observer, trace),) = ran
    assert isinstance(observer, TracingObserver)
    assert trace == observer.step


def test_without_the_packages_the_endpoint_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adapter.tracing", None)
    with pytest.raises(ConfigurationError) as refused:
        cli_run._tracing()
    assert list(refused.value.faults) == ["OTEL_EXPORTER_OTLP_ENDPOINT"]


ACTIONS = {"zhkh-debt-requests": "smev3"}


def test_without_an_endpoint_nothing_of_opentelemetry_is_read() -> None:
    assert load_telemetry({"OTEL_TRACES_SAMPLER": "nonsense", "OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ACTIONS) is None


def test_an_endpoint_turns_it_on() -> None:
    found = load_telemetry({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, ACTIONS)
    assert found is not None
    assert (found.endpoint, found.service) == ("http://collector:4318", "state-gateway-adapter")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ],
)
def test_a_wrong_variable_is_named_at_start(name: str, text: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", name: text}
    with pytest.raises(ConfigurationError) as refused:
        load_telemetry(environment, ACTIONS)
    assert list(refused.value.faults) == [name]


def test_ids_of_no_exchange_are_random() -> None:
    assert TraceIds().generate_trace_id() != TraceIds().generate_trace_id()
