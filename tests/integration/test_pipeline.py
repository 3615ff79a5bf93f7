"""Commands through the real broker and database: what comes back, and what the journal says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest

from adapter.errors import AdapterError
from adapter.exchange import Accepted, AnswerKind, Event, Prepared, Refused, Repeat, TryLater, Unanswered

if TYPE_CHECKING:
    from tests.integration.conftest import House


async def state_of(house: House, message_id: str) -> str:
    return await house.database.fetchval("select state from commands where message_id = $1", message_id)


async def until_state(house: House, message_id: str, state: str) -> None:
    await house.eventually("select state = $2 from commands where message_id = $1", message_id, state)


async def test_a_command_answered_by_its_service_comes_back_with_its_correlation_id(house: House) -> None:
    await house.upstream.publish("echo", {"a": 1}, message_id="m-1", correlation_id="c-1")
    reply = await house.upstream.reply()
    assert orjson.loads(reply.body) == {"result": {"a": 1}}
    assert reply.correlation_id == "c-1"
    assert reply.type == "echo"
    assert reply.message_id
    assert await state_of(house, "m-1") == "replied"


async def test_a_command_without_correlation_id_is_answered_under_its_message_id(house: House) -> None:
    await house.upstream.publish("echo", 1, message_id="m-2")
    assert (await house.upstream.reply()).correlation_id == "m-2"


async def test_a_command_without_reply_to_is_answered_on_the_actions_reply_queue(house: House) -> None:
    await house.upstream.publish("echo", 7, message_id="m-3", reply_to=None)
    message = await house.upstream.read(f"{house.environment['MQ_PREFIX']}echo.reply")
    assert orjson.loads(message.body) == {"result": 7}


async def test_a_call_waits_for_its_answer_and_then_replies(house: House) -> None:
    await house.upstream.publish("call", {"q": 1}, message_id="m-4")
    prepared, earlier = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert earlier == 0
    await until_state(house, "m-4", "waiting")
    assert await house.source.bring(house.answer(prepared, {"answer": 42}))
    assert orjson.loads((await house.upstream.reply()).body) == {"result": {"answer": 42}}
    kinds = [
        row["kind"]
        for row in await house.database.fetch(
            "select kind from proof join commands e on e.id = exchange_id where e.message_id = 'm-4' order by at"
        )
    ]
    assert kinds == ["request", "accepted", "answer", "outcome"]


async def test_an_answer_that_comes_with_the_acceptance_is_the_outcome(house: House) -> None:
    def at_once(prepared: Prepared, _: int) -> Accepted:
        return Accepted(b"200", house.answer(prepared, {"answer": prepared.gateway_id}))

    house.gateway.script = at_once
    await house.upstream.publish("call", {"q": 1}, message_id="m-sync")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert orjson.loads((await house.upstream.reply()).body) == {"result": {"answer": prepared.gateway_id}}
    rows = await house.database.fetch(
        "select kind from proof join commands c on c.id = exchange_id where c.message_id = 'm-sync' order by at"
    )
    assert [row["kind"] for row in rows] == ["request", "answer", "outcome"]


async def test_the_exact_bytes_sent_and_received_are_kept_as_proof(house: House) -> None:
    await house.upstream.publish("call", {"q": "bytes"}, message_id="m-5")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    answer = house.answer(prepared, 1)
    await house.source.bring(answer)
    await house.upstream.reply()
    rows = await house.database.fetch(
        "select p.kind, p.data from proof p join commands e on e.id = p.exchange_id where e.message_id = 'm-5'"
    )
    data = {row["kind"]: row["data"] for row in rows}
    assert data["request"] == prepared.body
    assert data["answer"] == answer.raw


async def test_an_answer_that_overtakes_the_acceptance_is_kept_and_delivered(house: House) -> None:
    house.gateway.hold.clear()
    await house.upstream.publish("call", 1, message_id="m-6")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    await house.source.bring(house.answer(prepared, "early"))
    house.gateway.hold.set()
    assert orjson.loads((await house.upstream.reply()).body) == {"result": "early"}


async def test_a_repeated_answer_is_confirmed_but_delivered_once(house: House) -> None:
    await house.upstream.publish("call", 1, message_id="m-7")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    answer = house.answer(prepared, "once")
    assert [await house.source.bring(answer) for _ in range(3)] == [True, True, True]
    await house.upstream.reply()
    with pytest.raises(TimeoutError):
        await house.upstream.reply(0.5)


async def test_an_answer_to_nothing_we_sent_is_confirmed_only_when_the_queue_is_ours(
    house: House,
) -> None:
    await house.upstream.ask("echo", 1)
    stranger = Prepared("Send", str(uuid4()), b"", datetime.now(UTC))
    assert await house.source.bring(house.answer(stranger, 1)) is True
    assert await house.source.bring(house.answer(stranger, 1, mine=False)) is False
    assert house.books.counts["answers-orphan"] == 2


async def test_a_refusal_comes_back_with_the_gateways_own_code(house: House) -> None:
    error = AdapterError("SMEV-100", "Подпись не верна", details={"class": "SignatureVerificationFault"})
    house.gateway.script = lambda *_: Refused(error, b"<Fault/>")
    reply = await house.upstream.ask("call", 1)
    assert reply == {
        "error": {
            "error_code": "SMEV-100",
            "description": "Подпись не верна",
            "details": {"class": "SignatureVerificationFault"},
        }
    }


async def test_a_rejection_by_the_provider_reaches_its_command(house: House) -> None:
    await house.upstream.publish("call", 1, message_id="m-8")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    fault = AdapterError("NO_DATA", "Нет данных")
    await house.source.bring(house.answer(prepared, 1, kind=AnswerKind.REJECTION, fault=fault))
    assert orjson.loads((await house.upstream.reply()).body)["error"]["error_code"] == "NO_DATA"
    assert await state_of(house, "m-8") == "failed"


async def test_a_status_is_an_event_and_the_command_stays_waiting(house: House) -> None:
    await house.upstream.publish("call", 1, message_id="m-9", correlation_id="c-9")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    await until_state(house, "m-9", "waiting")
    event = Event("smev3.request-status", {"status": "принят"})
    await house.source.bring(house.answer(prepared, 1, kind=AnswerKind.STATUS, event=event))
    message = await house.upstream.read(f"{house.environment['MQ_PREFIX']}smev3.request-status")
    assert orjson.loads(message.body)["status"] == "принят"
    assert message.correlation_id == "c-9"
    assert await state_of(house, "m-9") == "waiting"


async def test_a_call_refused_for_now_is_sent_again_under_the_same_id_and_bytes(house: House) -> None:
    results: list[Any] = [TryLater(AdapterError("SMEV-600", "занято"), after=0.05)]
    house.gateway.script = lambda *_: results.pop() if results else Accepted(b"ok")
    await house.upstream.publish("call", 1, message_id="m-10")
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    second, earlier = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert (first.gateway_id, first.body) == (second.gateway_id, second.body)
    assert earlier == 1
    assert len(house.gateway.prepared) == 1


async def test_an_unanswered_call_that_must_never_repeat_ends_uncertain_and_a_late_answer_is_marked(
    house: House,
) -> None:
    house.gateway.repeat_rules["Send"] = Repeat.NEVER
    house.gateway.script = lambda *_: Unanswered(AdapterError("ADAPTER-GATEWAY-UNAVAILABLE", "нет ответа"))
    await house.upstream.publish("call", 1, message_id="m-11")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    first = await house.upstream.reply()
    assert orjson.loads(first.body)["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    await house.source.bring(house.answer(prepared, "late"))
    second = await house.upstream.reply()
    assert orjson.loads(second.body) == {"result": "late"}
    assert second.headers["x-adapter-late"] is True
    assert second.message_id != first.message_id
    assert house.gateway.sent.empty()


async def test_the_same_command_published_again_gets_the_same_outcome_and_calls_once(house: House) -> None:
    for number in range(3):
        await house.upstream.publish("call", {"x": 1}, message_id="m-12", correlation_id=f"c-{number}")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    await house.source.bring(house.answer(prepared, "one"))
    replies = [await house.upstream.reply() for _ in range(3)]
    assert {reply.correlation_id for reply in replies} == {"c-0", "c-1", "c-2"}
    assert {reply.body for reply in replies} == {b'{"result":"one"}'}
    assert len({reply.message_id for reply in replies}) == 1
    await house.upstream.publish("call", {"x": 1}, message_id="m-12", correlation_id="after")
    assert (await house.upstream.reply()).correlation_id == "after"
    assert house.gateway.sent.empty()


async def test_another_body_under_a_used_message_id_is_refused(house: House) -> None:
    await house.upstream.ask("echo", 1, message_id="m-13")
    reply = await house.upstream.ask("echo", 2, message_id="m-13")
    assert reply["error"]["error_code"] == "ADAPTER-MESSAGE-ID-REUSED"


async def test_a_passed_deadline_is_answered_without_a_call(house: House) -> None:
    headers = {"x-deadline": "2020-01-01T00:00:00Z"}
    reply = await house.upstream.ask("call", 1, headers=headers)
    assert reply["error"]["error_code"] == "ADAPTER-EXPIRED"
    assert house.gateway.sent.empty()


async def test_a_waiting_command_expires_and_its_late_answer_still_comes(house: House) -> None:
    deadline = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    await house.upstream.publish("call", 1, message_id="m-14", headers={"x-deadline": deadline})
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert orjson.loads((await house.upstream.reply()).body)["error"]["error_code"] == "ADAPTER-EXPIRED"
    await house.source.bring(house.answer(prepared, "late"))
    late = await house.upstream.reply()
    assert late.headers["x-adapter-late"] is True


async def test_a_defect_in_a_service_is_answered_and_parked_and_tells_no_value(house: House) -> None:
    reply = await house.upstream.ask("echo", {"explode": True}, message_id="m-15")
    assert reply["error"]["error_code"] == "ADAPTER-INTERNAL"
    assert "secret" not in str(reply)
    assert await state_of(house, "m-15") == "dead"


async def test_a_dry_run_returns_what_would_be_sent_and_sends_nothing(house: House) -> None:
    reply = await house.upstream.ask("call", {"q": 1}, headers={"x-dry-run": True})
    assert reply["result"]["dry_run"] is True
    assert reply["result"]["json"] == {"q": 1}
    assert house.gateway.sent.empty()


async def test_a_dry_run_does_not_stand_in_the_way_of_the_command_it_rehearses(house: House) -> None:
    await house.upstream.ask("call", {"q": 1}, message_id="same", headers={"x-dry-run": True})
    await house.upstream.publish("call", {"q": 1}, message_id="same")
    await asyncio.wait_for(house.gateway.sent.get(), 10)


async def test_an_id_refused_at_the_first_attempt_is_minted_anew(house: House) -> None:
    results: list[Any] = [TryLater(AdapterError("SMEV-300", "устарел"), after=0.05, remint=True)]
    house.gateway.script = lambda *_: results.pop() if results else Accepted(b"ok")
    await house.upstream.publish("call", 1, message_id="m-20")
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    second, earlier = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert first.gateway_id != second.gateway_id
    assert earlier == 0


async def test_an_id_refused_after_an_attempt_that_may_have_got_through_is_uncertain(house: House) -> None:
    results: list[Any] = [
        TryLater(AdapterError("SMEV-300", "устарел"), remint=True),
        Unanswered(AdapterError("ADAPTER-GATEWAY-UNAVAILABLE", "нет ответа")),
    ]
    house.gateway.script = lambda *_: results.pop()
    reply = await house.upstream.ask("call", 1)
    assert reply["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    assert reply["error"]["details"]["cause"] == "SMEV-300"


async def test_progress_is_told_by_events_when_asked_for(house: House) -> None:
    await house.upstream.publish("call", 1, message_id="m-16", headers={"x-progress": "true"})
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    await house.source.bring(house.answer(prepared, 1))
    for number, stage in enumerate(("accepted", "sent", "answered"), start=1):
        message = await house.upstream.read(f"{house.environment['MQ_PREFIX']}adapter.{stage}")
        assert orjson.loads(message.body)["command"]["message_id"] == "m-16"
        assert message.headers["x-adapter-seq"] == number
    assert (await house.upstream.reply()).headers["x-adapter-seq"] == 4


async def test_a_reply_that_no_queue_takes_is_parked_and_goes_out_when_its_queue_is_there(house: House) -> None:
    name = f"late.{uuid4().hex[:8]}"
    await house.upstream.publish("echo", "kept", message_id="m-17", reply_to=name)
    await house.eventually("select count(*) > 0 from outbox where state = 'parked'")
    await house.upstream.channel.declare_queue(name, auto_delete=True)
    message = await house.upstream.read(name)
    assert orjson.loads(message.body) == {"result": "kept"}


async def test_a_reply_to_that_names_a_command_queue_is_refused_and_answered_elsewhere(house: House) -> None:
    prefix = house.environment["MQ_PREFIX"]
    await house.upstream.publish("echo", 1, message_id="m-18", reply_to=f"{prefix}echo")
    message = await house.upstream.read(f"{prefix}echo.reply")
    fault = orjson.loads(message.body)["error"]["fields"][0]
    assert fault["path"] == "properties.reply_to"


async def test_a_body_over_the_limit_is_answered_and_only_its_digest_is_kept(house: House) -> None:
    reply = await house.upstream.ask("echo", b'"' + b"x" * 200_000 + b'"', message_id="m-19")
    assert reply["error"]["error_code"] == "ADAPTER-INVALID-COMMAND"
    assert reply["error"]["fields"][0]["path"] == "body"
    row = await house.database.fetchrow("select body, body_size from commands where message_id = 'm-19'")
    assert (row["body"], row["body_size"]) == (None, 200_002)


async def test_a_thousand_commands_at_once_are_each_answered_once(house: House) -> None:
    await asyncio.gather(*(house.upstream.publish("echo", n, message_id=f"k-{n}") for n in range(1000)))
    got = [orjson.loads((await house.upstream.reply()).body)["result"] for _ in range(1000)]
    assert sorted(got) == list(range(1000))
