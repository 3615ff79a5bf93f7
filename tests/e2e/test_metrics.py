"""The page of metrics and the probes of a running adapter, read over HTTP."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.metrics.exposition import HELP
from adapter.services.zhkh_debt_requests import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.conftest import Process, Stack, Talk


@pytest.fixture
async def health(stack: Stack, running: Process) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{stack.health_port}") as session:
        yield session


async def test_a_command_is_counted_and_nothing_of_its_content_is_told(
    health: aiohttp.ClientSession, talk: Talk
) -> None:
    assert await talk.ask(EXAMPLES[0].request) == EXAMPLES[0].reply
    async with health.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        page = await answer.text()
    found = {family.name: family for family in text_string_to_metric_families(page)}
    assert set(found) <= set(HELP)
    # A breaker and a lag are told of what is open, a certificate of what is given; all else is always there.
    assert set(HELP) - set(found) <= {"adapter_lag_seconds"}
    ended = [s for s in found["adapter_commands"].samples if s.labels["outcome"] == "replied"]
    assert sum(s.value for s in ended) >= 1
    assert {s.labels["gateway"] for s in found["adapter_gateway_calls"].samples} == {"smev3"}
    assert [s.value for s in found["adapter_backlog_known"].samples] == [1.0]
    days = {s.labels["name"]: s.value for s in found["adapter_certificate_days_left"].samples}
    assert {"CA_CERT", "CLIENT_CERT", "SMEV_TRUST", "key ov", "key sp"} <= set(days)
    assert all(left > 0 for left in days.values())
    for canary in ("Иванов", "11111111145", "123456", "be03eb8e"):
        assert canary not in page


async def test_probes_name_what_they_look_at(health: aiohttp.ClientSession) -> None:
    async with health.get("/livez") as answer:
        assert (answer.status, await answer.json()) == (200, {"live": True, "stuck": []})
    async with health.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "failing": [], "away": []})


async def test_a_hang_up_looks_at_certificates_and_ends_nothing(
    health: aiohttp.ClientSession, running: Process
) -> None:
    running.process.send_signal(signal.SIGHUP)
    async with health.get("/readyz") as answer:
        assert answer.status == 200
    assert running.process.poll() is None
