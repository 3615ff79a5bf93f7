"""Findings of check: what is raised is one, clocks are judged by how far they are apart; and the probe of liveness."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from adapter.broker.consumer import QueueConsumer
from adapter.broker.differences import _INEQUIVALENT, _value
from adapter.checking import findings
from adapter.checking.findings import Finding, attempt, clock
from adapter.errors import Code, KnownError
from adapter.web.health import Probes, serve_health
from tests.faults.test_broker_away import free_port

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("apart", "fineness", "ok"),
    [(0, 0, True), (4, 0, True), (-4, 0, True), (5.5, 1, True), (30, 0, None), (-30, 0, None), (61, 0, False),
     (-3600, 0, False)],
    ids=str,
)  # fmt: skip
def test_clocks_are_judged_by_how_far_they_are_apart(apart: float, fineness: float, ok: object) -> None:
    found = clock("clock", NOW, NOW + timedelta(seconds=apart), fineness=fineness)
    assert found.ok is ok
    if not ok:
        assert ("ahead of" if apart > 0 else "behind") in found.sentence


@pytest.mark.parametrize(
    ("raised", "part"),
    [
        (LookupError("no key ov"), "no key ov"),
        (KnownError(Code.SIGNATURE_REFUSED), "ADAPTER-SIGNATURE-REFUSED"),
        (ConnectionRefusedError("user=secret"), "cannot be reached: ConnectionRefusedError"),
        (aiohttp.ClientPayloadError("secret"), "ClientPayloadError"),
        (TimeoutError(), "TimeoutError"),
    ],
    ids=["lookup", "known", "refused", "payload", "time"],
)
async def test_what_a_check_raises_is_a_fault_of_its_part_without_values(raised: Exception, part: str) -> None:
    async def check(_: Any) -> str:
        raise raised

    (found,) = await attempt("part", check, settings=None)  # type: ignore[arg-type]
    assert (found.name, found.ok) == ("part", False)
    assert part in found.sentence
    assert "secret" not in found.sentence


async def test_a_check_that_never_ends_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_: Any) -> str:
        await asyncio.Event().wait()
        return "never"

    monkeypatch.setattr(findings, "PATIENCE", 0.01)
    assert (await attempt("part", check, settings=None))[0].ok is False  # type: ignore[arg-type]


async def test_a_check_may_find_several_things() -> None:
    several = [Finding("one", ok=True, sentence=""), Finding("two", ok=None, sentence="")]

    async def check(_: Any) -> list[Finding]:
        return several

    assert await attempt("part", check, settings=None) == several  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("received 'quorum' but current is 'classic'", ("x", "classic")),
        ("received the value '5' of type 'signedint' but current is none", ("x", None)),
        ("received none but current is the value '20' of type 'signedint'", ("x", "20")),
        ("received 'true' but current is 'false'", ("x", "false")),
    ],
    ids=["type", "absent", "more", "flag"],
)
def test_the_words_of_the_broker_about_a_queue_are_read(told: str, found: tuple[str, str | None]) -> None:
    match = _INEQUIVALENT.search(f"PRECONDITION_FAILED - inequivalent arg 'x' for queue 'q' in vhost '/': {told}")
    assert match is not None
    assert (match[1], _value(match[3])) == found


def test_a_consumer_that_stands_still_is_stuck_and_one_that_is_away_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("adapter.broker.consumer.monotonic", lambda: now)
    consumer = QueueConsumer("q", None, prefetch=1, max_body=1000, timeout=10, patience=10)  # type: ignore[arg-type]
    now += 10_000
    assert not consumer.stuck, "it does not consume: readiness tells"
    consumer.consuming.set()
    assert consumer.stuck, "it should have been replaced long ago"
    consumer.last_delivery = now
    assert not consumer.stuck
    consumer._handing_since = now
    now += 1000
    assert not consumer.stuck, "a batch may wait for calls"
    now += 1000
    assert consumer.stuck


async def test_liveness_names_what_is_stuck_and_readiness_what_fails() -> None:
    port = free_port()
    stuck: list[str] = []

    async def page() -> bytes:
        return b"adapter_in_flight 1\n"

    probes = Probes(lambda: {"database": not stuck}, stuck=lambda: stuck, page=page)
    async with serve_health("127.0.0.1", port, probes), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/livez") as live:
            assert (live.status, await live.json()) == (200, {"live": True, "stuck": []})
        stuck.append("queue q")
        async with session.get("/livez") as live:
            assert (live.status, (await live.json())["stuck"]) == (503, ["queue q"])
        async with session.get("/readyz") as ready:
            assert (ready.status, (await ready.json())["failing"]) == (503, ["database"])
        async with session.get("/metrics") as metrics:
            assert await metrics.read() == b"adapter_in_flight 1\n"
