"""Metrics against a FAKE Elasticsearch: an HTTP server on loopback that answers as the real one documents it.

No real server is in play here. The fake keeps the product header, the ``compatible-with=8`` media types, NDJSON bulk
bodies, ``create`` that answers 409 for a known ``_id``, and an own status for each item.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import trustme
from aiohttp import web

from adapter.metrics import ElasticMetrics, FinishedCommand, GatewayCall, Metrics, NoMetrics, open_metrics
from adapter.settings import Elastic, Pem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOT = Path(__file__).parents[2]
MEDIA = "application/vnd.elasticsearch+{}; compatible-with=8"
PATIENCE = 10


class FakeElasticsearch:
    """The few rules of ``_bulk`` that the adapter leans on."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[str, dict[str, Any]]] = {}
        self.requests: list[web.Request] = []
        self.whole: list[int] = []  # statuses for the next whole requests; 0 cuts the connection
        self.items: list[int] = []  # statuses for the next items
        self.lose_answers = 0
        self.largest = 10_000
        self.frozen: asyncio.Event | None = None
        self.product = {"X-Elastic-Product": "Elasticsearch"}
        self._changed = asyncio.Condition()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.requests.append(request)
        try:
            if self.frozen is not None:
                await self._tell()
                await self.frozen.wait()
            return self._answer(request, text)
        finally:
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _answer(self, request: web.Request, text: str) -> web.StreamResponse:
        if not request.headers["Content-Type"].startswith("application/vnd.elasticsearch+x-ndjson"):
            return self._json(406, {"error": {"type": "media_type_header_exception"}})
        status = self.whole.pop(0) if self.whole else 200
        if status == 0:
            self._cut(request)
        if status != 200:
            return self._json(status, {"error": {"type": "scripted"}, "status": status})
        lines = [json.loads(line) for line in text.splitlines()]
        assert text.endswith("\n")
        if len(lines) // 2 > self.largest:
            return self._json(413, {"error": {"type": "too_large"}})
        items = [self._create(header["create"], source) for header, source in zip(lines[::2], lines[1::2], strict=True)]
        if self.lose_answers:
            self.lose_answers -= 1
            self._cut(request)
        return self._json(200, {"errors": any(item["create"]["status"] >= 300 for item in items), "items": items})

    def _create(self, header: dict[str, str], source: dict[str, Any]) -> dict[str, Any]:
        status = self.items.pop(0) if self.items else 201
        if header["_id"] in self.documents:
            status = 409
        elif status == 201:
            self.documents[header["_id"]] = (header["_index"], source)
        return {"create": {"status": status}}

    def _cut(self, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.abort()

    def _json(self, status: int, body: dict[str, Any]) -> web.Response:
        headers = self.product | {"Content-Type": MEDIA.format("json")}
        return web.Response(status=status, body=json.dumps(body).encode(), headers=headers)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [source for index, source in self.documents.values() if index.startswith(f"test-{kind}-")]


@asynccontextmanager
async def serving(fake: FakeElasticsearch, tls: ssl.SSLContext | None = None) -> AsyncIterator[Elastic]:
    app = web.Application()
    app.router.add_put("/_bulk", fake.bulk)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield Elastic(
            host="127.0.0.1",
            port=runner.addresses[0][1],
            prefix="test",
            scheme="https" if tls else "http",
            user="elastic",
            password="secret",
            ca=None,
            hash_key="k",
        )
    finally:
        await runner.cleanup()


@pytest.fixture
async def fake() -> FakeElasticsearch:
    return FakeElasticsearch()


@pytest.fixture
async def elastic(fake: FakeElasticsearch) -> AsyncIterator[Elastic]:
    async with serving(fake) as settings:
        yield settings


@pytest.fixture
async def metrics(elastic: Elastic) -> AsyncIterator[ElasticMetrics]:
    metrics = ElasticMetrics.connect(elastic, gather=0.0, pause=0.01)
    yield metrics
    await metrics.close()


def command(**changes: Any) -> FinishedCommand:
    fields: dict[str, Any] = {
        "action": "zhkh-debt-requests", "exchange_id": uuid4(), "outcome": "replied", "code": None, "seconds": 1.23456,
        "request_bytes": 900, "reply_bytes": 150, "attempts": 1,
    }  # fmt: skip
    return FinishedCommand(**fields | changes)


def call(**changes: Any) -> GatewayCall:
    fields: dict[str, Any] = {
        "gateway": "smev3", "operation": "SendRequest", "outcome": "ok", "seconds": 0.05, "sent_bytes": 9000,
        "received_bytes": 4000, "exchange_id": uuid4(), "action": "zhkh-debt-requests",
    }  # fmt: skip
    return GatewayCall(**fields | changes)


async def test_a_command_and_a_call_become_one_document_each_in_the_index_of_their_day(
    fake: FakeElasticsearch, elastic: Elastic
) -> None:
    moment = datetime(2026, 11, 30, 23, 59, 59, 999000, tzinfo=UTC)
    metrics = ElasticMetrics.connect(elastic, gather=0.0, clock=lambda: moment)
    exchange = uuid4()
    metrics.command_finished(command(exchange_id=exchange, code="EXP001000", outcome="failed"))
    metrics.gateway_call(call(exchange_id=str(exchange)))
    await metrics.close()
    assert {index for index, _ in fake.documents.values()} == {"test-commands-2026.11.30", "test-calls-2026.11.30"}
    (finished,), (called,) = fake.of("commands"), fake.of("calls")
    assert finished == {
        "@timestamp": "2026-11-30T23:59:59.999+00:00", "action": "zhkh-debt-requests", "exchange": called["exchange"],
        "outcome": "failed", "code": "EXP001000", "duration_ms": 1234.6, "request_bytes": 900, "reply_bytes": 150,
        "attempt": 1, "late": False,
    }  # fmt: skip
    assert (called["gateway"], called["operation"], called["duration_ms"]) == ("smev3", "SendRequest", 50.0)
    assert str(exchange) not in json.dumps([finished, called])


async def test_requests_speak_the_compatible_media_type_and_log_in(
    fake: FakeElasticsearch, metrics: ElasticMetrics
) -> None:
    metrics.command_finished(command())
    await fake.until(lambda: bool(fake.documents))
    headers = fake.requests[0].headers
    assert headers["Content-Type"] == MEDIA.format("x-ndjson")
    assert headers["Accept"] == MEDIA.format("json")
    assert headers["Authorization"].startswith("Basic ")
    assert "Content-Encoding" not in headers  # plain, so that any proxy or reader between understands it


async def test_https_trusts_the_given_authority_alone(fake: FakeElasticsearch) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(fake, tls) as elastic:
        for ca, expected in ((trustme.CA(), 0), (authority, 1)):
            trusted = replace(elastic, ca=Pem.of(ca.cert_pem.bytes().decode()), user=None, password=None)
            metrics = ElasticMetrics.connect(trusted, gather=0.0, pause=0.01)
            metrics.command_finished(command())
            await metrics.close()
            assert (len(fake.documents), metrics.dropped) == (expected, 1 - expected)
    assert "Authorization" not in fake.requests[0].headers


async def test_many_documents_go_in_few_requests(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=PATIENCE, batch=100)
    for _ in range(250):
        metrics.command_finished(command())
    await metrics.close()
    assert len(fake.documents) == 250
    assert len(fake.requests) == 3
    assert metrics.dropped == 0


async def test_a_look_into_an_empty_queue_is_counted_and_not_sent(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic)
    metrics.gateway_call(call(operation="GetResponse", outcome="empty"))
    metrics.count("retries", 2)
    await metrics.close()
    assert not fake.requests
    assert metrics.counters.value("gateway_calls", operation="GetResponse", outcome="empty") == 1
    assert metrics.counters.value("retries") == 2


async def test_an_overloaded_item_is_tried_once_more(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=PATIENCE, pause=0.01)
    fake.items = [201, 429, 201]
    for _ in range(3):
        metrics.command_finished(command())
    await metrics.close()
    assert (len(fake.documents), len(fake.requests), metrics.dropped) == (3, 2, 0)


async def test_an_item_that_stays_overloaded_is_dropped_and_counted(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=PATIENCE, pause=0.01)
    fake.items = [429, 503, 429, 503]
    for _ in range(2):
        metrics.command_finished(command())
    await metrics.close()
    assert (len(fake.documents), len(fake.requests)) == (0, 2)
    assert metrics.counters.value("metrics_dropped", reason="overloaded") == 2


async def test_a_refused_item_is_dropped_and_counted_and_its_neighbours_stay(
    fake: FakeElasticsearch, elastic: Elastic
) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=PATIENCE)
    fake.items = [201, 400, 201]
    for _ in range(3):
        metrics.command_finished(command())
    await metrics.close()
    assert (len(fake.documents), len(fake.requests)) == (2, 1)
    assert metrics.counters.value("metrics_dropped", reason="rejected") == 1


@pytest.mark.parametrize("status", [0, 401, 403, 429, 500, 503])
async def test_a_failed_request_is_repeated_and_nothing_is_lost(
    fake: FakeElasticsearch, metrics: ElasticMetrics, status: int
) -> None:
    fake.whole = [status, status]
    metrics.command_finished(command())
    await fake.until(lambda: bool(fake.documents))
    await metrics.close()
    assert len(fake.requests) == 3
    assert metrics.dropped == 0


async def test_a_bulk_whose_answer_was_lost_is_repeated_without_doubles(
    fake: FakeElasticsearch, metrics: ElasticMetrics
) -> None:
    fake.lose_answers = 1
    fake.items = [201, 400]
    metrics.command_finished(command())
    metrics.command_finished(command())
    await fake.until(lambda: len(fake.requests) >= 2 and len(fake.documents) == 2)
    await metrics.close()
    assert metrics.dropped == 0


async def test_a_refused_item_is_counted_once_even_when_its_bulk_is_repeated(
    fake: FakeElasticsearch, metrics: ElasticMetrics
) -> None:
    fake.items = [201, 400, 429, 201]
    fake.whole = [200, 503]
    for _ in range(3):
        metrics.command_finished(command())
    await fake.until(lambda: len(fake.documents) == 2)
    await metrics.close()
    assert (len(fake.requests), metrics.dropped) == (3, 1)


async def test_a_request_refused_as_malformed_is_not_repeated(fake: FakeElasticsearch, metrics: ElasticMetrics) -> None:
    fake.whole = [400]
    metrics.command_finished(command())
    await fake.until(lambda: len(fake.requests) == 1)
    metrics.command_finished(command())
    await fake.until(lambda: bool(fake.documents))
    assert len(fake.requests) == 2
    assert metrics.counters.value("metrics_dropped", reason="rejected") == 1


async def test_a_bulk_that_is_too_large_is_halved(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=PATIENCE)
    fake.largest = 3
    for _ in range(10):
        metrics.command_finished(command())
    await metrics.close()
    assert len(fake.documents) == 10


async def test_a_server_that_is_no_elasticsearch_is_not_fed(fake: FakeElasticsearch, metrics: ElasticMetrics) -> None:
    fake.product = {}
    metrics.command_finished(command())
    await fake.until(lambda: len(fake.requests) >= 2)
    fake.product = {"X-Elastic-Product": "Elasticsearch"}
    sent = len(fake.requests)
    await fake.until(lambda: len(fake.requests) > sent)
    assert len(fake.documents) == 1


async def test_a_dead_server_costs_only_a_counter_and_the_oldest_go_first(fake: FakeElasticsearch) -> None:
    async with serving(fake) as gone:
        pass
    metrics = ElasticMetrics.connect(gone, gather=0.0, pause=0.01, capacity=50)
    started = asyncio.get_running_loop().time()
    for _ in range(1000):
        metrics.command_finished(command())
    assert asyncio.get_running_loop().time() - started < 1
    assert metrics.counters.value("metrics_dropped", reason="overflow") == 950
    await metrics.close()
    assert metrics.dropped == 1000
    assert metrics.counters.value("commands", outcome="replied") == 1000


async def test_a_server_that_comes_back_gets_what_is_held(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=0.0, pause=0.01, capacity=5, batch=2)
    fake.whole = [503] * 3
    for number in range(8):
        metrics.command_finished(command(attempts=number))
    await fake.until(lambda: len(fake.documents) == 5)
    await metrics.close()
    assert sorted(document["attempt"] for document in fake.of("commands")) == [3, 4, 5, 6, 7]
    assert metrics.dropped == 3


async def test_closing_is_bounded_while_the_server_is_frozen(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=0.0, grace=0.1)
    fake.frozen = asyncio.Event()
    metrics.command_finished(command())
    await fake.until(lambda: bool(fake.requests))
    async with asyncio.timeout(PATIENCE):
        await metrics.close()
    fake.frozen.set()
    assert metrics.counters.value("metrics_dropped", reason="closing") == 1
    metrics.command_finished(command())
    assert metrics.dropped == 2


async def test_an_unexpected_fault_costs_its_documents_and_not_the_task(
    fake: FakeElasticsearch, elastic: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=0.0)
    struck = asyncio.Event()

    async def broken(**_: object) -> None:
        monkeypatch.undo()
        struck.set()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(metrics._client, "bulk", broken)
    metrics.command_finished(command())
    async with asyncio.timeout(PATIENCE):
        await struck.wait()
    metrics.command_finished(command())
    await fake.until(lambda: len(fake.documents) == 1)
    await metrics.close()
    assert metrics.counters.value("metrics_dropped", reason="fault") == 1


async def test_every_field_is_in_the_index_template_with_its_type(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=0.0)
    metrics.command_finished(command(code="EXP001000"))
    metrics.gateway_call(call(code="SMEV-403"))
    await metrics.close()
    template = json.loads((ROOT / "deploy/elasticsearch/index-template.json").read_text())
    properties = template["template"]["mappings"]["properties"]
    kinds = {"keyword": str, "date": str, "integer": int, "long": int, "double": float, "boolean": bool}
    seen: set[str] = set()
    for _, document in fake.documents.values():
        seen |= document.keys()
        for name, value in document.items():
            assert type(value) is kinds[properties[name]["type"]], name
    assert seen == properties.keys()


CANARY = "Иванов 112-233-445 95"


async def test_no_canary_reaches_a_document_or_a_counter(fake: FakeElasticsearch, elastic: Elastic) -> None:
    metrics = ElasticMetrics.connect(elastic, gather=0.0)
    for canary in (CANARY, "11223344595", "ivan@example.org"):
        metrics.command_finished(command(action=canary, exchange_id=canary, outcome=canary, code=canary))
        metrics.gateway_call(
            call(gateway=canary, operation=canary, outcome=canary, code=canary, exchange_id=canary, action=canary)
        )
    await metrics.close()
    told = json.dumps(list(fake.documents.values()), ensure_ascii=False) + repr(metrics.counters.snapshot())
    for canary in ("Иванов", "112-233", "11223344595", "ivan"):
        assert canary not in told


async def test_without_a_host_metrics_are_counted_and_sent_nowhere(elastic: Elastic) -> None:
    off: Metrics = open_metrics(None)
    off.command_finished(command(code="EXP001000"))
    off.gateway_call(call())
    off.count("retries")
    await off.close()
    assert isinstance(off, NoMetrics)
    assert off.counters.value("commands", code="EXP001000") == 1
    assert off.counters.value("gateway_calls", gateway="smev3") == 1
    on = open_metrics(elastic)
    assert isinstance(on, ElasticMetrics)
    await on.close()


def test_the_template_names_the_lifecycle_policy_that_the_page_installs() -> None:
    folder = ROOT / "deploy/elasticsearch"
    settings = json.loads((folder / "index-template.json").read_text())["template"]["settings"]
    phases = json.loads((folder / "lifecycle-policy.json").read_text())["policy"]["phases"]
    page = (folder / "README.md").read_text()
    assert f"_ilm/policy/{settings['index.lifecycle.name']}" in page
    assert f"older than\n{phases['delete']['min_age'].removesuffix('d')} are deleted" in page
