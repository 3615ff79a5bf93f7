"""The client of the locker API against the simulated portal: what is sent, what answers mean, where the token is."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.errors import InvalidCommandError, KnownError
from adapter.exchange import Accepted, Call, Prepared, Refused, Repeat, TryLater, Unanswered
from adapter.gateways.postamat import client
from adapter.gateways.postamat.api import LockerCall, Operation, is_casenum
from adapter.gateways.postamat.client import HIDDEN, PostamatGateway, PostamatOptions
from adapter.http import make_session
from simulators.postamat.app import make_app
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from adapter.exchange import Sent

TOKEN = "s3cret/+&токен"
PARAMETERS = {
    "casenum": "1.22-51",
    "postamatid": "1233",
    "timestamp": "1648023241",
    "userid": "1139",
    "cellid": "10",
}


@dataclass
class Stand:
    """The simulator and a gateway that calls it."""

    url: str
    session: aiohttp.ClientSession
    gateway: PostamatGateway

    async def tell(self, operation: str = "put-case", **changes: str) -> Sent:
        return await self.gateway.send(await self.prepared(operation, **changes), earlier_attempts=0)

    async def prepared(self, operation: str = "put-case", **changes: str) -> Prepared:
        return await self.gateway.prepare(call(operation, **changes))

    async def known(self, casenum: str = "1.22-51", state: str = "на выдаче") -> None:
        async with self.session.post(f"{self.url}/_sim/cases", json={"casenum": casenum, "state": state}) as response:
            assert response.status == 201

    async def scenario(self, **rule: Any) -> None:
        async with self.session.post(f"{self.url}/_sim/scenario", json=rule) as response:
            assert response.status == 201, await response.text()

    async def told(self, name: str) -> Any:
        async with self.session.get(f"{self.url}/_sim/{name}") as response:
            return await response.json()


def call(operation: str = "put-case", **changes: Any) -> Call:
    return Call("postamat", operation, json.dumps(PARAMETERS | changes).encode())


def gateway(url: str, session: aiohttp.ClientSession, **options: Any) -> PostamatGateway:
    return PostamatGateway(PostamatOptions(url, TOKEN, **options), session=session)


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with serving(make_app([TOKEN])) as url, make_session(timeout=5) as session:
        yield Stand(url, session, gateway(url, session))


async def test_the_three_calls_take_a_case_the_whole_way(stand: Stand) -> None:
    await stand.known()
    for operation, state in (
        ("put-case", "В постамате"),
        ("back", "на выдаче"),
        ("put-case", "В постамате"),
        ("issue", "Выдано заявителю"),
    ):
        prepared = await stand.prepared(operation)
        sent = await stand.gateway.send(prepared, earlier_attempts=0)
        assert isinstance(sent, Accepted), sent
        assert sent.answer is not None
        assert sent.answer.reference == prepared.gateway_id
        assert json.loads(sent.answer.content) == {"status": "ok", "message": "Сохранено"}
        assert (await stand.told("cases"))["1.22-51"]["state"] == state
    first = (await stand.told("ledger"))[0]
    assert {name: first[name] for name in PARAMETERS} == PARAMETERS


async def test_a_case_number_of_any_letters_arrives_as_it_was(stand: Stand) -> None:
    casenum = "К-1/2026 №&=+%?#"
    await stand.known(casenum)
    assert isinstance(await stand.tell(casenum=casenum), Accepted)


async def test_a_refusal_is_final_with_the_portal_s_name_and_words(stand: Stand) -> None:
    sent = await stand.tell()
    assert isinstance(sent, Refused)
    assert (sent.error.code, sent.error.description) == ("No case", "Дело 1.22-51 не найдено")


async def test_an_exception_of_the_portal_is_final_and_says_what_to_check(stand: Stand) -> None:
    await stand.scenario(answer={"status": 500})
    sent = await stand.tell()
    assert isinstance(sent, Refused)
    assert sent.error.code == "Exception"
    assert sent.error.recommendation is not None


@pytest.mark.parametrize("body", ["garbage", "html", "truncated", "empty", "huge"])
async def test_an_unreadable_answer_leaves_it_open_what_became_of_the_call(stand: Stand, body: str) -> None:
    await stand.known()
    await stand.scenario(body=body)
    sent = await stand.tell()
    assert isinstance(sent, Unanswered)
    assert sent.error.code == "ADAPTER-GATEWAY-PROTOCOL"


@pytest.mark.parametrize("status", [201, 204, 302, 502, 503, 504])
async def test_a_status_that_is_not_described_leaves_it_open(stand: Stand, status: int) -> None:
    await stand.scenario(status=status, answer={"status": status, "name": "Name"})
    assert isinstance(await stand.tell(), Unanswered)


@pytest.mark.parametrize("drop", ["before", "after", "midway"])
async def test_a_broken_connection_leaves_it_open_and_is_never_tried_again(stand: Stand, drop: str) -> None:
    await stand.known()
    await stand.scenario(drop=drop)
    sent = await stand.tell()
    assert isinstance(sent, Unanswered)
    assert sent.error.code == "ADAPTER-GATEWAY-UNAVAILABLE"
    assert len(await stand.told("ledger")) == (0 if drop == "before" else 1)


async def test_a_get_whose_connection_breaks_reaches_the_portal_once() -> None:
    """The HTTP client repeats a GET by itself, above all on a connection that served before."""
    asked: list[str] = []

    async def portal(request: web.Request) -> web.Response:
        asked.append(request.path)
        assert request.transport is not None
        if len(asked) > 1:
            request.transport.abort()
        return web.json_response({"status": "ok", "message": "Сохранено"})

    app = web.Application()
    app.router.add_get("/rest-api/postamat/{operation}", portal)
    async with serving(app) as url, make_session(timeout=5) as session:
        calling = gateway(url, session)
        assert isinstance(await calling.send(await calling.prepare(call()), earlier_attempts=0), Accepted)
        assert isinstance(await calling.send(await calling.prepare(call("issue")), earlier_attempts=0), Unanswered)
    assert asked == ["/rest-api/postamat/put-case", "/rest-api/postamat/issue"]


async def test_a_portal_that_is_silent_leaves_it_open(stand: Stand) -> None:
    await stand.scenario(delay=30)
    sent = await gateway(stand.url, stand.session, timeout=0.2).send(await stand.prepared(), earlier_attempts=0)
    assert isinstance(sent, Unanswered)


async def test_a_portal_that_nobody_reaches_was_certainly_not_called(stand: Stand) -> None:
    async with serving(web.Application()) as url:
        pass
    sent = await gateway(url, stand.session).send(await stand.prepared(), earlier_attempts=0)
    assert isinstance(sent, TryLater)
    assert sent.error.details == {"reason": "ClientConnectorError"}


async def test_a_redirect_is_not_followed_with_the_token(stand: Stand) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"{stand.url}/rest-api/postamat/put-case")

    app = web.Application()
    app.router.add_get("/rest-api/postamat/put-case", elsewhere)
    async with serving(app) as url:
        sent = await gateway(url, stand.session).send(await stand.prepared(), earlier_attempts=0)
    assert isinstance(sent, Unanswered)
    assert await stand.told("ledger") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("postamatid", "12a"),
        ("timestamp", ""),
        ("userid", 1139),
        ("cellid", "١"),
        ("casenum", "1|2"),
        ("casenum", "x" * 65),
        ("casenum", "a\nb"),
    ],
)
async def test_what_would_fail_in_the_portal_s_database_is_not_sent(stand: Stand, name: str, value: object) -> None:
    with pytest.raises(InvalidCommandError) as error:
        await stand.gateway.prepare(call(**{name: value}))
    assert [fault.path for fault in error.value.fields] == [name]
    assert await stand.told("ledger") == []


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"'])
async def test_a_call_that_is_no_object_is_refused(stand: Stand, content: bytes) -> None:
    with pytest.raises(InvalidCommandError):
        await stand.gateway.prepare(Call("postamat", "issue", content))


@pytest.mark.parametrize(("operation", "content"), [("steal", b"{}"), ("issue", b"{")])
async def test_what_no_service_of_ours_asks_for_is_a_defect(stand: Stand, operation: str, content: bytes) -> None:
    with pytest.raises(KnownError, match="ADAPTER-INTERNAL"):
        await stand.gateway.prepare(Call("postamat", operation, content))


def test_nothing_may_be_repeated() -> None:
    assert {*PostamatGateway.repeat_rules} == {*Operation}
    assert {*PostamatGateway.repeat_rules.values()} == {Repeat.NEVER}


async def test_what_is_journaled_before_a_call_has_no_token(stand: Stand) -> None:
    prepared = await stand.prepared()
    assert prepared.body == (
        b"/rest-api/postamat/put-case?casenum=1.22-51&postamatid=1233&timestamp=1648023241&userid=1139&cellid=10"
    )
    assert TOKEN not in repr(stand.gateway._options)


@pytest.mark.parametrize("rule", [{"echo": True}, {"answer": {"status": 400, "name": "No case", "message": TOKEN}}])
async def test_a_token_that_the_portal_repeats_is_cut_out(stand: Stand, rule: dict[str, Any]) -> None:
    await stand.known()
    await stand.scenario(**rule)
    with capture_logs() as logs:
        sent = await stand.tell()
    shown = "".join((sent.raw.decode(), repr(sent), str(json.loads(sent.raw)), repr(logs)))
    assert HIDDEN in shown
    assert "s3cret" not in shown
    assert "токен" not in shown


async def test_failures_on_the_way_do_not_show_the_token(stand: Stand) -> None:
    for rule in ({"drop": "before"}, {"drop": "midway"}, {"body": "html"}):
        await stand.scenario(times=1, **rule)
        with capture_logs() as logs:
            sent = await stand.tell()
        assert "s3cret" not in repr((sent, logs))


async def test_every_call_is_observed_once(stand: Stand) -> None:
    seen: list[tuple[str, str]] = []
    options = PostamatOptions(stand.url, TOKEN)
    watched = PostamatGateway(
        options, session=stand.session, observe=lambda operation, outcome, *_: seen.append((operation, outcome))
    )
    await stand.known()
    for operation in ("put-case", "put-case"):
        await watched.send(await watched.prepare(call(operation)), earlier_attempts=0)
    await stand.scenario(delay=30, times=1)
    waiting = asyncio.create_task(watched.send(await watched.prepare(call("issue")), earlier_attempts=0))
    async with asyncio.timeout(10):
        while await stand.told("scenario"):  # the rule goes when the call has come
            continue
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert seen == [("put-case", "ok"), ("put-case", "Wrong state"), ("issue", "cancelled")]


@given(st.text(max_size=70).filter(is_casenum), st.from_regex("[0-9]{1,18}", fullmatch=True))
def test_what_is_written_is_read_back_by_any_web_server(casenum: str, number: str) -> None:
    from yarl import URL  # noqa: PLC0415  — the reader of this one test

    written = LockerCall(Operation.ISSUE, casenum, number, number, number, number)
    assert dict(URL(written.target(), encoded=True).query) == written.parameters()


WORDS = st.sampled_from(["status", "message", "name", "ok", "No case", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
ANSWERS = st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode())


@settings(max_examples=300)
@given(st.sampled_from([200, 201, 301, 400, 404, 429, 500, 502]), ANSWERS)
def test_only_what_is_described_ends_a_call(status: int, raw: bytes) -> None:
    prepared = Prepared("issue", "id", b"", datetime(2026, 1, 1, tzinfo=UTC))
    sent = client._judged(status, raw, prepared)
    try:
        said = json.loads(raw)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    if isinstance(sent, Accepted):
        assert (status, said["status"]) == (200, "ok")
    elif isinstance(sent, Refused):
        assert 400 <= status <= 500
        assert (sent.error.code, sent.error.description) == (said["name"].strip(), said["message"])
    else:
        assert isinstance(sent, Unanswered)
        described = isinstance(said.get("name"), str) and isinstance(said.get("message"), str) and said["name"].strip()
        assert not (400 <= status <= 500 and described)
