"""The locker API served on a real database: the vendor's view of it, byte by byte."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from yarl import URL

from adapter.gateways.postamat.api import Operation
from adapter.incoming import RegistersAwayError
from adapter.lockers.rules import Case, CaseState, Locker
from adapter.lockers.store import LockerStore, Verdict
from adapter.web.postamat import AWAY, LockerTokens, add_routes
from tests.contract.sign_service_stand import serving
from tests.integration.lockers_database import empty_pool, filled_pool  # noqa: F401  — fixtures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from adapter.exchange import Event
    from adapter.gateways.postamat.api import LockerCall
NOW = datetime(2022, 3, 23, 8, 14, 1, tzinfo=UTC)
TOKEN, OTHER = "tok-12345-secret", "tok-77-secret"
PARAMETERS = {
    "casenum": "1.22-51",
    "postamatid": "1233",
    "timestamp": str(int(NOW.timestamp())),
    "token": TOKEN,
    "userid": "1139",
    "cellid": "10",
}
SAVED = (200, {"status": "ok", "message": "Сохранено"})


@dataclass
class PostgresDesk:
    """Carries calls out on the database, as the pipeline will: one transaction each."""

    pool: asyncpg.Pool
    events: list[Event] = field(default_factory=list)
    away: bool = False

    async def take(self, call: LockerCall, at: datetime) -> Verdict:
        if self.away:
            raise RegistersAwayError
        async with self.pool.acquire() as connection:
            verdict = await LockerStore(connection).take(call, at, timedelta(minutes=5))
        if verdict.event is not None:
            self.events.append(verdict.event)
        return verdict


@dataclass
class Portal:
    """The listener, its desk and what a vendor does with it."""

    port: int
    desk: PostgresDesk
    store: LockerStore

    async def raw(self, head: bytes) -> tuple[int, bytes]:
        """Send the bytes of one request and return status and body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head)
            await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    async def get(self, operation: str, query: str, method: str = "GET") -> tuple[int, bytes]:
        target = f"/rest-api/postamat/{operation}?{query}".encode("utf-8", "surrogateescape")
        return await self.raw(method.encode() + b" " + target + b" HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")

    async def tell(self, operation: str = "put-case", **changes: str | None) -> tuple[int, dict[str, str]]:
        given = {name: value for name, value in (PARAMETERS | changes).items() if value is not None}
        status, body = await self.get(operation, urlencode(given, quote_via=quote))
        return status, json.loads(body)

    async def state(self, casenum: str = "1.22-51") -> tuple[CaseState, int]:
        case, movements = await self.store.case(casenum)
        return case.state, len(movements)


@pytest.fixture
async def portal(pool: asyncpg.Pool) -> AsyncIterator[Portal]:
    async with pool.acquire() as connection:
        store = LockerStore(connection)
        for number in ("1233", "77"):
            await store.add_locker(Locker(number=number, address="Калуга", departments=("ТОСП-1",), storage_days=3))
        desk, app = PostgresDesk(pool), web.Application()
        add_routes(app, desk, LockerTokens(TOKEN, {"77": OTHER}), clock=lambda: NOW, timeout=5)
        async with serving(app) as url:
            portal = Portal(URL(url).port, desk, store)
            await register(portal, "1.22-51")
            yield portal


async def register(portal: Portal, casenum: str) -> None:
    case = Case(casenum=casenum, service="passport", department="ТОСП-1", phone="+7 (918) 555 55 54")
    await portal.store.register(case)


async def test_the_calls_of_the_description_move_a_case_and_tell_of_it(portal: Portal) -> None:
    status, body = await portal.get("put-case", urlencode(PARAMETERS))
    assert (status, body.decode()) == (200, '{"status": "ok", "message": "Сохранено"}')
    assert await portal.tell("back") == SAVED
    assert await portal.tell("put-case", cellid="11") == SAVED
    assert await portal.tell("issue") == SAVED
    assert await portal.state() == (CaseState.ISSUED, 4)
    told = [(event.name, event.body["operation"], event.body["state"]) for event in portal.desk.events]
    assert told == [
        ("postamat.case-moved", "put-case", "В постамате"),
        ("postamat.case-moved", "back", "на выдаче"),
        ("postamat.case-moved", "put-case", "В постамате"),
        ("postamat.case-moved", "issue", "Выдано заявителю"),
    ]


async def test_an_unknown_case_is_no_case(portal: Portal) -> None:
    status, body = await portal.tell(casenum="9")
    assert (status, body["name"]) == (400, "No case")
    assert set(body) == {"name", "message"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"postamatid": "5"}, "No postamat"),
        ({"timestamp": str(int(NOW.timestamp()) - 301)}, "Wrong timestamp"),
        ({"timestamp": "9" * 18}, "Wrong timestamp"),
        ({"userid": "abc"}, "Wrong call"),
        ({"cellid": ""}, "Wrong call"),
        ({"userid": None}, "Wrong call"),
        ({"casenum": "a|b"}, "Wrong call"),
        ({"token": None}, "Wrong token"),
        ({"token": ""}, "Wrong token"),
        ({"token": TOKEN[:-1]}, "Wrong token"),
        ({"token": OTHER}, "Wrong token"),
        ({"postamatid": "77"}, "Wrong token"),
        ({"token": "\udcff"}, "Wrong token"),
    ],
)
async def test_whatever_is_refused_is_a_400_by_name_and_moves_nothing(
    portal: Portal, changes: dict[str, str | None], name: str
) -> None:
    given = {key: value for key, value in (PARAMETERS | changes).items() if value is not None}
    status, body = await portal.get("put-case", urlencode(given, errors="surrogateescape"))
    assert (status, json.loads(body)["name"]) == (400, name)
    assert await portal.state() == (CaseState.READY, 0)


async def test_a_locker_with_a_token_of_its_own_has_that_one_alone(portal: Portal) -> None:
    assert await portal.tell(postamatid="77", token=OTHER) == SAVED


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
async def test_only_a_get_moves_a_case(portal: Portal, method: str) -> None:
    status, _ = await portal.get("put-case", urlencode(PARAMETERS), method)
    assert status == 400
    assert await portal.state() == (CaseState.READY, 0)


@pytest.mark.parametrize("operation", ["", "put-case/", "PUT-CASE", "status", "put-case%00", "../../health"])
async def test_a_call_that_there_is_not_is_refused_in_the_api_s_words(portal: Portal, operation: str) -> None:
    status, body = await portal.get(operation, urlencode(PARAMETERS))
    assert status == 400
    assert json.loads(body)["name"] == "Wrong call"


async def test_a_parameter_that_comes_twice_is_refused(portal: Portal) -> None:
    for name, value in PARAMETERS.items():
        status, body = await portal.get("put-case", f"{urlencode(PARAMETERS)}&{name}={value}")
        assert (status, json.loads(body)["name"]) == (400, "Wrong token" if name == "token" else "Wrong call")
    assert await portal.state() == (CaseState.READY, 0)


async def test_a_parameter_that_the_api_does_not_have_is_passed_over(portal: Portal) -> None:
    assert (await portal.get("put-case", f"{urlencode(PARAMETERS)}&_=1648023241"))[0] == 200


async def test_repeats_of_a_call_are_answered_alike_for_ever(portal: Portal) -> None:
    assert await portal.tell() == SAVED
    assert await portal.tell("issue") == SAVED
    assert [await portal.tell() for _ in range(3)] == [SAVED] * 3
    refused = await portal.tell(casenum="later")
    await register(portal, "later")
    assert await portal.tell(casenum="later") == refused
    assert await portal.state() == (CaseState.ISSUED, 2)
    assert len(portal.desk.events) == 2


async def test_two_lockers_at_the_same_moment_end_in_one_state(portal: Portal) -> None:
    answers = await asyncio.gather(portal.tell(), portal.tell(postamatid="77", token=OTHER))
    assert sorted(status for status, _ in answers) == [200, 400]
    winner = "1233" if answers[0][0] == 200 else "77"
    case, movements = await portal.store.case("1.22-51")
    assert (case.place, [one.postamatid for one in movements]) == (winner, [winner])


async def test_registers_that_are_away_are_a_neutral_500_and_the_repeat_is_carried_out(portal: Portal) -> None:
    portal.desk.away = True
    assert await portal.tell() == (500, dict(AWAY))
    portal.desk.away = False
    assert await portal.tell() == SAVED


async def test_registers_that_do_not_answer_are_a_neutral_500() -> None:
    class Frozen:
        async def take(self, call: LockerCall, at: datetime) -> Verdict:
            await asyncio.Event().wait()
            raise AssertionError

    app = web.Application()
    add_routes(app, Frozen(), LockerTokens(TOKEN), timeout=0.05)
    async with serving(app) as url:
        frozen = Portal(URL(url).port, None, None)
        assert await frozen.tell() == (500, dict(AWAY))


def test_without_any_token_nobody_may_call() -> None:
    assert not LockerTokens().fits("", "1233")
    assert not LockerTokens(by_locker={"77": OTHER}).fits(OTHER, "1233")
    assert TOKEN not in repr(LockerTokens(TOKEN, {"1": TOKEN}))


NAMES = st.sampled_from([*PARAMETERS, "tоken", "x"]) | st.text(max_size=8)
VALUES = st.sampled_from([*PARAMETERS.values(), OTHER, "77", "0", "1|2", "9" * 19, "%00", "\x00"]) | st.text(
    max_size=70
)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=8).map(lambda pairs: urlencode(pairs, errors="surrogatepass"))
CHANGED = st.dictionaries(st.sampled_from(sorted(PARAMETERS)), VALUES).map(
    lambda changes: urlencode(PARAMETERS | changes, errors="surrogatepass")
)
#: Bytes that may stand in a request line, percent signs and all.
WILD = st.binary(max_size=80).map(
    lambda raw: bytes(byte for byte in raw if byte > 0x20).decode("utf-8", "surrogateescape")
)


async def test_whatever_comes_is_answered_with_200_or_400_and_shows_no_token(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    loop, seen = asyncio.get_running_loop(), set()

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from([*Operation, "x"]), PAIRS | CHANGED | WILD, st.sampled_from(["GET", "GET", "POST"]))
    def ask(operation: str, query: str, method: str) -> None:
        told = asyncio.run_coroutine_threadsafe(portal.get(operation, query, method), loop)
        status, body = told.result(20)
        assert status in {200, 400}, body
        assert b"secret" not in body
        seen.add(status)

    with capture_logs() as logs, caplog.at_level(logging.INFO):
        await asyncio.to_thread(ask)
    assert "secret" not in repr(logs)
    assert "secret" not in caplog.text
    assert seen == {200, 400}
    case, movements = await portal.store.case("1.22-51")
    assert case.state is movements[-1].state


@pytest.mark.parametrize(
    "head",
    [
        b"GET /rest-api/postamat/issue?token=%b HTTP/9\r\n\r\n",
        b"GET /rest-api/postamat/issue?token=%b\r\n\r\n",
        b"G\x00T /rest-api/postamat/issue?token=%b HTTP/1.1\r\n\r\n",
        b"GET /rest-api/postamat/issue?token=%b HTTP/1.1\r\nHost\x00: x\r\n\r\n",
        b"GET /rest-api/postamat/issue?token=%b&" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET http://[token=%b HTTP/1.1\r\n\r\n",
        b"GET /rest-api/postamat/issue?token=%b HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_400_too(portal: Portal, head: bytes) -> None:
    status, _ = await portal.raw(head.replace(b"%b", TOKEN.encode()))
    assert status == 400
