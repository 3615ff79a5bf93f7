"""What the ШЭП hears at our doors when a message cannot be kept, believed or read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Code
from adapter.gateways.shep import Level, Profile
from adapter.gateways.shep.data import BusinessData, Form
from adapter.gateways.shep.messages import Message, body, envelope, payload, read
from adapter.gateways.shep.operations import OPERATIONS, PUSH, PUSH_STATUS, SYNC_SEND
from adapter.gateways.shep.security import TransportSecurity
from adapter.journal.writer import JournalUnavailableError
from adapter.signing.kz_signer import unavailable
from adapter.web.shep import EndpointOptions, ShepEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.exchange import Answer
    from adapter.incoming import Incoming

NOW = "2026-11-20T10:11:12.131+05:00"
DATA = BusinessData(Form.CHILD, b"<a  x='1'/>")
SENDER = {"sender_id": "other", "password": "a-secret"}
INFO = {"message_id": "77", "service_id": "S", "message_date": NOW, "sender": SENDER}
PUSHED = {
    "message_info": {**INFO, "correlation_id": "7", "message_type": "REQUEST"},
    "message_data": {"data": DATA},
}
ASKED = {"request_info": INFO, "request_data": {"data": DATA}}


class Kept:
    """Arrivals in memory: what was kept, and what the upstream system says to it."""

    def __init__(self, word: dict[str, Any] | None = None, *, away: bool = False) -> None:
        self.incoming: list[Incoming] = []
        self.said = word
        self.away = away

    async def take(self, answer: Answer) -> bool:
        raise AssertionError(answer)

    async def receive(self, incoming: Incoming) -> bool:
        if self.away:
            raise JournalUnavailableError
        self.incoming.append(incoming)
        return True

    async def word(self, incoming: Incoming, seconds: float) -> bytes | None:
        assert incoming in self.incoming
        assert seconds == 50
        return None if self.said is None else orjson.dumps(self.said)


class NobodySigns:
    """A signing service that is away."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*_: Any, **__: Any) -> Any:
            raise unavailable("нет связи")

        return call


def endpoint(level: Level) -> ShepEndpoint:
    signer: Any = NobodySigns()
    options = EndpointOptions(
        listen=("127.0.0.1", 1),
        public_url="http://adapter.example.org",
        profile_of=lambda _: Profile(level=level),
        known=lambda service_id: service_id == "S",
    )
    return ShepEndpoint(options, TransportSecurity(signer, key="shep"))


def sent(key: str, values: dict[str, Any]) -> bytes:
    return envelope(body(payload(OPERATIONS[key], "request", values)))


async def call(kept: Kept, path: str, raw: bytes, level: Level = Level.NONE) -> tuple[int, Message]:
    async with (
        TestClient(TestServer(endpoint(level).app(kept))) as client,
        client.post(path, data=raw, headers={"Content-Type": "text/xml"}) as response,
    ):
        return response.status, read(await response.read())


def code_of(answer: tuple[int, Message]) -> tuple[int, str, str]:
    status, message = answer
    assert message.fault is not None
    assert message.fault.info is not None
    return status, message.fault.faultcode.rpartition(":")[2], message.fault.info.code


async def test_what_is_kept_is_echoed_and_carries_no_password() -> None:
    kept = Kept()
    status, answer = await call(kept, "/async", sent(PUSH, PUSHED))
    assert (status, answer.values["message_id"], answer.values["correlation_id"]) == (200, "77", "7")
    (incoming,) = kept.incoming
    assert (incoming.action, incoming.subject, incoming.facts["signature"]) == ("shep.message", "7", "none")
    assert orjson.loads(incoming.content) == DATA.to_json()
    assert SENDER["password"] not in orjson.dumps(dict(incoming.facts)).decode()


@pytest.mark.parametrize(("path", "key", "values"), [("/async", PUSH, PUSHED), ("/sync", SYNC_SEND, ASKED)])
async def test_what_is_not_durable_is_not_confirmed(path: str, key: str, values: dict[str, Any]) -> None:
    answer = await call(Kept({"status": {}}, away=True), path, sent(key, values))
    assert code_of(answer) == (500, "Server", Code.GATEWAY_UNAVAILABLE.wire)


class Watching:
    """Hears how calls on a delivery point went."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    async def failed(self, service_id: str) -> None:
        self.heard.append(("failed", service_id))

    async def delivered(self, service_id: str) -> None:
        self.heard.append(("delivered", service_id))
        await asyncio.Event().wait()

    async def told(self, message_id: str, state: str) -> None:
        self.heard.append((message_id, state))


class Slow(Kept):
    """A journal that does not answer."""

    async def receive(self, incoming: Incoming) -> bool:
        await asyncio.Event().wait()
        raise AssertionError(incoming)


async def watched(kept: Kept, raw: bytes, watching: Watching) -> tuple[int, Message]:
    door, points = endpoint(Level.NONE), cast("Any", watching)
    door.options = replace(door.options, in_time=0.2, points=points, told=watching.told)
    async with (
        TestClient(TestServer(door.app(kept))) as client,
        client.post("/async", data=raw, headers={"Content-Type": "text/xml"}) as response,
    ):
        return response.status, read(await response.read())


async def test_the_gateway_is_answered_in_time_and_its_failed_calls_are_counted() -> None:
    watching = Watching()
    answer = await watched(Slow(), sent(PUSH, PUSHED), watching)
    assert code_of(answer) == (500, "Server", Code.GATEWAY_UNAVAILABLE.wire)
    assert (await watched(Kept(), b"<html/>", watching))[0] == 500
    assert watching.heard == [("failed", "S"), ("failed", "")]


async def test_watchers_hear_what_went_well_and_hold_no_answer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.web.shep._NOTED", 0.05)
    watching = Watching()
    assert (await watched(Kept(), sent(PUSH, PUSHED), watching))[0] == 200
    told = {
        "notification": {
            "notification_id": "1",
            "message_id": "5",
            "notification_date": NOW,
            "message_state": "DELIVERED",
            "status": {"status_code": "c", "status_message": "m", "status_date": NOW},
        },
        "request_date": NOW,
    }
    assert (await watched(Kept(), sent(PUSH_STATUS, told), watching))[0] == 200
    assert watching.heard == [("delivered", "S"), ("5", "DELIVERED")]


async def test_what_nobody_can_judge_is_not_kept() -> None:
    kept = Kept()
    status, answer = await call(kept, "/async", sent(PUSH, PUSHED), Level.BOTH)
    assert status == 500
    assert answer.fault is not None
    assert kept.incoming == []


async def test_a_caller_hears_the_word_or_a_fault() -> None:
    word = {"status": {"code": "Success", "message": "Есть"}, "data": DATA.to_json()}
    status, answer = await call(Kept(word), "/sync", sent(SYNC_SEND, ASKED))
    assert (status, answer.values["response_data"]["data"]) == (200, DATA)
    assert answer.values["response_info"]["status"] == {"code": "Success", "message": "Есть"}
    assert code_of(await call(Kept(), "/sync", sent(SYNC_SEND, ASKED))) == (500, "Server", Code.EXPIRED.wire)
    refused = {"error": {"error_code": "NO", "error_message": "Нет"}}
    assert code_of(await call(Kept(refused), "/sync", sent(SYNC_SEND, ASKED))) == (500, "Server", "NO")


async def test_a_service_that_is_not_ours_is_refused_before_it_is_kept() -> None:
    kept, other = Kept(), {**ASKED, "request_info": {**INFO, "service_id": "Other"}}
    assert code_of(await call(kept, "/sync", sent(SYNC_SEND, other))) == (500, "Client", Code.UNKNOWN_REQUEST.wire)
    assert kept.incoming == []


async def test_each_door_has_its_own_operations() -> None:
    kept = Kept()
    for path, key, values in (("/sync", PUSH, PUSHED), ("/async", SYNC_SEND, ASKED)):
        status, answer = await call(kept, path, sent(key, values))
        assert (status, answer.fault is not None) == (500, True)
    assert kept.incoming == []


async def test_news_without_an_id_are_refused() -> None:
    kept = Kept()
    status = {"status_code": "S", "status_message": "M", "status_date": NOW}
    news = {
        "notification": {
            "notification_id": "",
            "message_id": "77",
            "notification_date": NOW,
            "message_state": "DELIVERED",
            "status": status,
        },
        "request_date": NOW,
    }
    answer = await call(kept, "/async", sent(PUSH_STATUS, news))
    assert code_of(answer) == (500, "Client", Code.REQUEST_UNREADABLE.wire)
    assert kept.incoming == []


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 900), rubbish=st.binary(max_size=40), path=st.sampled_from(["/async", "/sync"]))
def test_wild_bytes_get_a_fault_and_are_never_kept(cut: int, rubbish: bytes, path: str) -> None:
    message = sent(PUSH, PUSHED)
    raw = message[: min(cut, len(message) - 1)] + rubbish
    kept = Kept()
    status, answer = asyncio.run(call(kept, path, raw))
    assert (status, answer.fault is not None, kept.incoming) == (500, True, [])
