"""A trace from end to end: from a command's header through two workers to a collector, and on with the reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from adapter.exchange import Accepted, Answer, AnswerKind, Prepared, Sent
from adapter.settings import Telemetry
from adapter.tracing import make_tracing
from tests.integration.conftest import Books, ScriptedGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.tracing import TracingObserver
    from tests.integration.conftest import HouseBuilder

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Collector:
    """Takes OTLP over HTTP and keeps what is said of each span."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.spans: list[tuple[str, str, str, bytes, bytes, dict[str, str]]] = []

    async def take(self, request: web.Request) -> web.Response:
        said = ExportTraceServiceRequest.FromString(await request.read())
        for resource in said.resource_spans:
            named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for span in [span for scope in resource.scope_spans for span in scope.spans]:
                told = {pair.key: pair.value.string_value for pair in span.attributes}
                name = (named["service.name"], span.name, span.trace_id.hex())
                self.spans.append((*name, span.span_id, span.parent_span_id, told))
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with TestServer(app) as server:
        yield collector, str(server.make_url("/"))


def telemetry(endpoint: str, service: str) -> Telemetry:
    return Telemetry(
        endpoint=endpoint, headers=None, service=service, resource=None, sampler=None, sampler_argument=None
    )


class ToldGateway(ScriptedGateway):
    """Tells its calls as the gateways of the state do."""

    tracing: TracingObserver

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        self.tracing.gateway_call("Send", "ok", 0.001, 1, 1, self.name)
        return await super().send(prepared, earlier_attempts=earlier_attempts)


async def test_a_trace_goes_on_in_the_worker_that_takes_over_and_with_the_reply(
    builder: HouseBuilder, collector: tuple[Collector, str]
) -> None:
    book, endpoint = collector
    gateway = ToldGateway(script=lambda *_: Accepted(b"taken"))
    async with builder.upstream() as upstream:
        async with make_tracing(telemetry(endpoint, "first"), Books()) as gateway.tracing:
            builder.tracing = gateway.tracing
            async with builder.worker(gateway):
                await upstream.publish("call", 1, message_id="traced", headers={"traceparent": TRACEPARENT})
                prepared, _ = await asyncio.wait_for(gateway.sent.get(), 10)
        content = orjson.dumps("done")
        answer = Answer("scripted", "answer-1", prepared.gateway_id, AnswerKind.ANSWER, content, content)
        async with (
            make_tracing(telemetry(endpoint, "second"), Books()) as builder.tracing,
            builder.worker(gateway) as (_, _, source, *_),
        ):
            await source.bring(answer)
            reply = await upstream.reply()
    assert reply.headers["traceparent"] == TRACEPARENT
    assert {trace for _, _, trace, *_ in book.spans} == {TRACE}
    steps = {service: told["adapter.state"] for service, name, *_, told in book.spans if name == "adapter call"}
    assert steps == {"first": "waiting", "second": "replied"}
    assert {parent.hex() for _, name, _, _, parent, _ in book.spans if name == "adapter call"} == {PARENT}
    (called,) = [parent for _, name, _, _, parent, _ in book.spans if name == "scripted Send"]
    assert called in [own for service, name, _, own, *_ in book.spans if (service, name) == ("first", "adapter call")]
