"""Messages that begin an exchange at a gateway: journaled once, told, answered once, found again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest

from adapter.errors import AdapterError, Code, SignerError
from adapter.exchange import Accepted, Answer, AnswerKind, Prepared, Refused
from adapter.incoming import Incoming
from adapter.journal.writer import JournalUnavailableError
from adapter.recovery.dead import replay_command
from adapter.recovery.environment import Operator
from tests.integration.asking import RECEIVED, Answering, Asked, events, message

if TYPE_CHECKING:
    from tests.integration.conftest import House, HouseBuilder


@pytest.fixture(autouse=True)
def asked(builder: HouseBuilder) -> Asked:
    asked = Asked()
    builder.providers = {"ask": asked}
    builder.services = {"ask.answer": Answering()}
    return asked


@pytest.fixture
async def told(asked: Asked, house: House) -> asyncio.Queue[Any]:
    """Every event about messages, whatever its name."""
    prefix = house.environment["MQ_PREFIX"]
    queue = await house.upstream.channel.declare_queue(exclusive=True)
    await queue.bind(f"{prefix}adapter.events", "ask.#")
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    await queue.consume(arrived.put, no_ack=True)
    return arrived


def at_once(prepared: Prepared, _: int) -> Accepted:
    key = f"{prepared.gateway_id}:accepted"
    return Accepted(b"ok", Answer("scripted", key, prepared.gateway_id, AnswerKind.ANSWER, b"ok", b'"ok"'))


async def state_of(house: House, key: str) -> str:
    return await house.database.fetchval("select state from commands where message_id = $1", key)


async def ended(house: House, key: str, state: str) -> None:
    await house.eventually("select state = $2 from commands where message_id = $1", key, state)


async def ask_and_read(house: House, body: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return await house.upstream.ask("ask.answer", body, **properties)


def error_code(reply: dict[str, Any]) -> str:
    return reply["error"]["error_code"]


async def test_a_message_is_told_once_however_often_it_is_delivered(
    house: House, told: asyncio.Queue[Any], asked: Asked
) -> None:
    one = message(n=1)
    assert [await house.source.receive(one) for _ in range(3)] == [True, True, True]
    assert all(await asyncio.gather(*(house.source.receive(one) for _ in range(3))))
    await ended(house, one.key, "replied")
    event = await asyncio.wait_for(told.get(), 15)
    assert event.routing_key == RECEIVED
    assert event.correlation_id == one.key
    body = orjson.loads(event.body)
    assert (body["message_id"], body["exchange"]["message_id"], body["exchange"]["action"]) == (one.key, one.key, "ask")
    assert asked.begun == [one.key]
    assert await house.database.fetchval("select count(*) from exchanges where action = 'ask'") == 1
    assert await house.database.fetchval("select count(*) from outbox where kind = 'event'") == 1
    assert house.books.counts["requests-repeat"] == 5


async def test_the_exact_bytes_and_what_was_read_of_them_are_in_the_journal(
    house: House, told: asyncio.Queue[Any]
) -> None:
    one = message(n=1)
    await house.source.receive(one)
    await ended(house, one.key, "replied")
    row = await house.database.fetchrow("select * from commands where message_id = $1", one.key)
    proof = await house.database.fetchrow("select * from proof where exchange_id = $1 and kind = 'incoming'", row["id"])
    meta = orjson.loads(proof["meta"])
    assert (row["body"], proof["content"]) == (one.raw, one.content)
    assert (meta["reply_to"], meta["facts"]) == ("there", {"sender": "EXAMPLE"})
    assert await house.database.fetchval("select count(*) from exchanges where not settled") == 0


async def test_a_message_that_nobody_provides_is_told_and_kept_until_it_is_run_again(
    house: House, told: asyncio.Queue[Any], asked: Asked
) -> None:
    one = message(do="refuse")
    await house.source.receive(one)
    await ended(house, one.key, "dead")
    assert (await events(told, 1))[0]["message_id"] == one.key
    row = await house.database.fetchrow("select * from commands where message_id = $1", one.key)
    assert (row["body"], row["outcome_code"]) == (one.raw, "ADAPTER-UNKNOWN-REQUEST")
    asked.refuses = False
    await replay_command(house.database, row["id"], Operator("somebody", "here", "provided now"))
    await ended(house, one.key, "replied")
    assert asked.begun == [one.key] * 2
    assert await house.database.fetchval("select count(*) from outbox where routing_key = $1", RECEIVED) == 1


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (message(do="explode"), "ADAPTER-INTERNAL"),
        (Incoming("scripted", str(uuid4()), "ask", b"\x00raw", unreadable="no content"), "ADAPTER-REQUEST-UNREADABLE"),
        (Incoming("scripted", "a\x00b", "ask", b"raw", b"{}", facts={"x": "\x00"}), ""),
    ],
    ids=["a defect", "unreadable", "bytes that a table does not take as text"],
)
async def test_what_cannot_be_run_is_kept_with_its_bytes_and_told(
    house: House, told: asyncio.Queue[Any], one: Incoming, code: str
) -> None:
    assert await house.source.receive(one)
    await house.eventually("select count(*) = 1 from exchanges where state in ('dead', 'replied')")
    row = await house.database.fetchrow("select * from commands where action = 'ask'")
    assert row["body"] == one.raw
    (event,) = await events(told, 1)
    if code:
        assert row["state"] == "dead"
        assert event["error"]["error_code"] == code
        assert "secret" not in str(event)


async def test_a_call_of_the_providers_own_follows_its_durable_event_and_ends_the_exchange(
    house: House, told: asyncio.Queue[Any]
) -> None:
    house.gateway.hold.clear()
    house.gateway.script = at_once
    one = message(do="call", n=1)
    await house.source.receive(one)
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert (await events(told, 1))[0]["n"] == 1
    house.gateway.hold.set()
    assert (await events(told, 1))[0]["answer"] == "ok"
    await ended(house, one.key, "replied")
    assert await house.database.fetchval("select count(*) from outbox where kind = 'reply'") == 0
    assert prepared.body == one.content


async def test_a_refused_call_of_the_providers_own_is_told_and_dead(house: House, told: asyncio.Queue[Any]) -> None:
    house.gateway.script = lambda *_: Refused(AdapterError("GW-NO", "нет"), b"no")
    one = message(do="call")
    await house.source.receive(one)
    await ended(house, one.key, "dead")
    received, failed = await events(told, 2)
    assert received["message_id"] == one.key
    assert failed["error"]["error_code"] == "GW-NO"


async def test_an_expired_call_of_the_providers_own_is_told_and_dead(house: House, told: asyncio.Queue[Any]) -> None:
    one = message(do="call")
    await house.source.receive(one)
    await ended(house, one.key, "waiting")
    await house.database.execute("update exchanges set deadline = now() where action = 'ask'")
    await ended(house, one.key, "dead")
    _, failed = await events(told, 2)
    assert failed["error"]["error_code"] == "ADAPTER-EXPIRED"


async def test_events_of_a_call_are_told_once_though_its_id_is_minted_anew(
    house: House, told: asyncio.Queue[Any]
) -> None:
    from adapter.exchange import TryLater  # noqa: PLC0415 — of this test alone

    answers = iter([TryLater(AdapterError("GW-STALE", "устарел"), b"stale", after=0.01, remint=True)])
    house.gateway.script = lambda prepared, n: next(answers, None) or at_once(prepared, n)
    one = message(do="call")
    await house.source.receive(one)
    await ended(house, one.key, "replied")
    assert len(house.gateway.prepared) == 2
    assert [event["message_id"] for event in await events(told, 2)] == [one.key] * 2
    names = await house.database.fetch("select routing_key from outbox order by created_at")
    assert [row["routing_key"] for row in names] == [RECEIVED, "ask.answered"]


async def test_messages_of_one_subject_are_told_in_order(house: House, told: asyncio.Queue[Any]) -> None:
    for n in range(20):
        await house.source.receive(message(n=n, subject="order-1"))
        await house.source.receive(message(n=n + 100, subject=f"order-{n + 2}"))
    numbers = [event["n"] for event in await events(told, 40)]
    assert [n for n in numbers if n < 100] == list(range(20))
    assert await house.database.fetchval("select count(*) from subjects where subject = 'order-1'") == 20


async def test_two_workers_journal_a_message_once_and_tell_a_subject_in_order(
    builder: HouseBuilder, house: House, told: asyncio.Queue[Any]
) -> None:
    async with builder.worker() as (_, _, other, _, _, _):
        both = message(n=-1)
        assert all(await asyncio.gather(*(source.receive(both) for source in (house.source, other) * 5)))
        for n in range(8):
            await (house.source, other)[n % 2].receive(message(n=n, subject="order-1"))
        numbers = [event["n"] for event in await events(told, 9, 30)]
    assert [n for n in numbers if n >= 0] == list(range(8))
    assert numbers.count(-1) == 1
    assert await house.database.fetchval("select max(crash_attempts) from exchanges") == 0


async def test_an_answer_is_said_once_and_statuses_only_before_it(house: House, told: asyncio.Queue[Any]) -> None:
    house.gateway.script = at_once
    one = message()
    await house.source.receive(one)
    await ended(house, one.key, "replied")
    for _ in range(2):
        assert "result" in await ask_and_read(house, {"key": one.key, "status": True})
    final = str(uuid4())
    first = await ask_and_read(house, {"key": one.key}, message_id=final)
    assert "result" in first
    assert await ask_and_read(house, {"key": one.key}, message_id=final) == first
    assert error_code(await ask_and_read(house, {"key": one.key})) == "ADAPTER-ALREADY-ANSWERED"
    assert error_code(await ask_and_read(house, {"key": one.key, "status": True})) == "ADAPTER-ALREADY-ANSWERED"
    assert error_code(await ask_and_read(house, {"key": "unknown"})) == "ADAPTER-REQUEST-NOT-FOUND"
    assert house.gateway.sent.qsize() == 3


async def test_of_answers_at_the_same_time_one_is_said(house: House, told: asyncio.Queue[Any]) -> None:
    house.gateway.script = at_once
    one = message()
    await house.source.receive(one)
    for _ in range(8):
        await house.upstream.publish("ask.answer", {"key": one.key}, message_id=str(uuid4()))
    replies = [orjson.loads((await house.upstream.reply()).body) for _ in range(8)]
    assert sum("result" in reply for reply in replies) == 1
    assert {error_code(reply) for reply in replies if "error" in reply} == {"ADAPTER-ALREADY-ANSWERED"}
    assert house.gateway.sent.qsize() == 1


async def test_an_answer_that_the_gateway_refused_gives_way_to_another(house: House, told: asyncio.Queue[Any]) -> None:
    house.gateway.script = lambda *_: Refused(AdapterError("GW-NO", "нет"), b"no")
    one = message()
    await house.source.receive(one)
    await ended(house, one.key, "replied")
    assert error_code(await ask_and_read(house, {"key": one.key})) == "GW-NO"
    house.gateway.script = at_once
    assert "result" in await ask_and_read(house, {"key": one.key})


async def test_an_answer_that_is_rejected_after_its_reply_is_told_once(house: House, told: asyncio.Queue[Any]) -> None:
    house.gateway.script = at_once
    one = message()
    await house.source.receive(one)
    await events(told, 1)
    said = (await ask_and_read(house, {"key": one.key}))["result"]["message_id"]
    fault = AdapterError("SMEV-403", "не по схеме")
    late = Answer("scripted", "late", said, AnswerKind.REJECTION, b"raw", fault=fault)
    assert [await house.source.bring(late) for _ in range(2)] == [True, True]
    (event,) = await events(told, 1)
    assert (event["error"]["error_code"], event["command"]["action"]) == ("SMEV-403", "ask.answer")
    assert await house.database.fetchval("select count(*) from outbox where routing_key = 'ask.answer.failed'") == 1
    assert "result" in await ask_and_read(house, {"key": one.key})
    assert error_code(await ask_and_read(house, {"key": one.key})) == "ADAPTER-ALREADY-ANSWERED"


async def test_the_news_of_a_message_does_not_wait_for_a_gateway_that_is_away(
    house: House, told: asyncio.Queue[Any]
) -> None:
    house.gateway.prepare_error = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    one = message(do="call", n=5)
    await house.source.receive(one)
    assert (await events(told, 1))[0]["n"] == 5
    assert await state_of(house, one.key) in ("retrying", "received")
    house.gateway.prepare_error, house.gateway.script = None, at_once
    await ended(house, one.key, "replied")
    assert await house.database.fetchval("select count(*) from outbox where routing_key = $1", RECEIVED) == 1


async def test_a_rejection_that_overtakes_the_acceptance_is_the_answer(house: House, told: asyncio.Queue[Any]) -> None:
    house.gateway.script = at_once
    house.gateway.hold.clear()
    one = message()
    await house.source.receive(one)
    await house.upstream.publish("ask.answer", {"key": one.key}, message_id="early")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    fault = AdapterError("SMEV-403", "не по схеме")
    await house.source.bring(Answer("scripted", "k", prepared.gateway_id, AnswerKind.REJECTION, b"raw", fault=fault))
    house.gateway.hold.set()
    assert error_code(orjson.loads((await house.upstream.reply()).body)) == "SMEV-403"
    assert await house.database.fetchval("select count(*) from outbox where routing_key = 'ask.answer.failed'") == 0


async def test_what_a_call_of_a_subject_left_noted_is_found_by_the_next_one(
    house: House, told: asyncio.Queue[Any]
) -> None:
    house.gateway.script = at_once
    one = message(subject="order-7")
    await house.source.receive(one)
    await ended(house, one.key, "replied")
    assert "result" in await ask_and_read(house, {"key": "order-7", "note": "message-allowed"})
    rows = await house.database.fetch("select note from subjects where subject = 'order-7' order by at")
    assert [row["note"] for row in rows] == ["", "message-allowed"]
    await house.database.execute("update exchanges set action = 'gone' where action = 'ask'")
    error = (await ask_and_read(house, {"key": "order-7"}))["error"]
    assert error["details"] == {"notes": ["message-allowed"]}


async def test_a_caller_who_holds_the_message_open_gets_the_word_that_another_worker_says(
    builder: HouseBuilder, house: House, told: asyncio.Queue[Any]
) -> None:
    one = message()
    # Both consume the commands: eight answers to eight callers are spread over the two.
    async with builder.worker():
        callers = []
        for _ in range(8):
            held = message()
            await house.source.receive(held)
            callers.append((held, asyncio.create_task(house.source.word(held, 15))))
            await house.upstream.publish("ask.answer", {"key": held.key, "say": held.key}, message_id=str(uuid4()))
        for held, word in callers:
            assert await word == held.key.encode()
        for _ in callers:
            assert orjson.loads((await house.upstream.reply()).body) == {"result": "said"}
        held = callers[0][0]
        joined = "select count(*) from subjects where subject = $1"
        assert await house.database.fetchval(joined, held.key) == 1
        assert await house.source.word(held, 15) == held.key.encode()
        assert error_code(await ask_and_read(house, {"key": held.key, "say": "other"})) == "ADAPTER-ALREADY-ANSWERED"
        await house.source.receive(one)
        rehearsal = await ask_and_read(house, {"key": one.key, "say": "x"}, headers={"x-dry-run": "true"})
        assert rehearsal == {"result": {"dry_run": True}}
        assert await house.source.word(one, 0.3) is None
        assert error_code(await ask_and_read(house, {"key": one.key, "say": "late"})) == "ADAPTER-TOO-LATE"
        assert await house.source.word(one, 15) is None


async def test_a_message_is_not_confirmed_while_it_cannot_be_made_durable(house: House, asked: Asked) -> None:
    await house.database.execute("alter table exchanges rename to hidden")
    try:
        with pytest.raises(JournalUnavailableError):
            await asyncio.wait_for(house.source.receive(message()), 10)
    finally:
        await house.database.execute("alter table hidden rename to exchanges")
