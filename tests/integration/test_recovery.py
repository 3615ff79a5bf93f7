"""Rows of workers that are gone: taken over once, finished by what the journal says of them."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import orjson

from adapter.broker.codec import write_properties
from adapter.exchange import Prepared, Repeat
from tests.integration.conftest import ScriptedGateway

if TYPE_CHECKING:
    from tests.conftest import Database
    from tests.integration.conftest import House, HouseBuilder

#: Columns of a command that are written once, in a table of their own.
INCOMING = ("body", "body_sha256", "body_size", "properties", "correlation", "message_id")


async def leave_behind(house: House, action: str, state: str, *, request: bytes | None = None, **more: Any) -> UUID:
    """Journal a row as a worker would have left it that died a moment later."""
    body = b'{"left": "behind"}'
    row = {
        "id": uuid4(),
        "action": action,
        "source": f"{house.environment['MQ_PREFIX']}{action}",
        "state": state,
        "deadline": datetime.now(UTC) + timedelta(minutes=5),
        "body": body,
        "body_sha256": hashlib.sha256(body).digest(),
        "body_size": len(body),
        "properties": write_properties(
            message_id=b"left", message_type=b"t", reply_to=house.upstream.queue.name.encode()
        ),
        "fingerprint": b"f",
        "owner": uuid4(),
    } | more
    if request is not None:
        await house.database.execute(
            "insert into proof (exchange_id, kind, message_id, data, meta) values ($1, 'request', $2, $3, '{}')",
            row["id"],
            row["gateway_id"],
            request,
        )
    came = {name: row.pop(name) for name in INCOMING if name in row}
    for table, columns in (("incoming", {"id": row["id"], **came}), ("exchanges", row)):
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await house.database.execute(
            f"insert into {table} ({', '.join(columns)}) values ({places})",  # noqa: S608 — our own names
            *columns.values(),
        )
    return row["id"]


def submitted(**more: Any) -> dict[str, Any]:
    ids = {"gateway": "scripted", "operation": "Send", "gateway_id": str(uuid4()), "attempts": 1}
    return ids | {"minted_at": datetime.now(UTC)} | more


async def test_the_answer_to_an_action_that_others_serve_is_left_to_them(house: House) -> None:
    exchange_id = await leave_behind(house, "elsewhere", "waiting", **submitted(gateway_id="g-other", owner=None))
    prepared = Prepared("Send", "g-other", b"{}", datetime.now(UTC))
    assert await house.source.bring(house.answer(prepared, {"answer": 1}))
    await house.eventually("select state = 'answered' and owner is null from exchanges where id = $1", exchange_id)
    assert await house.database.fetchval("select count(*) from outbox") == 0


async def test_a_received_command_of_a_dead_worker_is_answered(house: House) -> None:
    await leave_behind(house, "echo", "received")
    assert orjson.loads((await house.upstream.reply()).body) == {"result": {"left": "behind"}}


async def test_a_call_that_may_have_left_is_sent_again_with_the_same_bytes_and_id(house: House) -> None:
    call = submitted()
    await leave_behind(house, "call", "submitting", request=b"exact bytes", **call)
    prepared, earlier = await asyncio.wait_for(house.gateway.sent.get(), 15)
    assert (prepared.gateway_id, prepared.body) == (call["gateway_id"], b"exact bytes")
    assert earlier == 1
    assert house.gateway.prepared == []


async def test_a_call_that_may_never_repeat_is_not_sent_again_but_told_uncertain(house: House) -> None:
    house.gateway.repeat_rules["Send"] = Repeat.NEVER
    await leave_behind(house, "call", "submitting", request=b"x", **submitted())
    reply = orjson.loads((await house.upstream.reply()).body)
    assert reply["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    assert house.gateway.sent.empty()


async def test_a_call_whose_id_has_outlived_its_time_is_told_uncertain(house: House) -> None:
    house.gateway.id_lifetime = timedelta(hours=1)
    minted = datetime.now(UTC) - timedelta(hours=2)
    await leave_behind(house, "call", "submitting", request=b"x", **submitted(minted_at=minted))
    reply = orjson.loads((await house.upstream.reply()).body)
    assert reply["error"]["error_code"] == "ADAPTER-UNCERTAIN"


async def test_an_answered_exchange_of_a_dead_worker_is_replied_from_the_journal(house: House) -> None:
    call = submitted()
    exchange_id = await leave_behind(house, "call", "answered", **call)
    meta = orjson.dumps({"kind": "answer", "source": "scripted", "reference": call["gateway_id"], "verdicts": []})
    await house.database.execute(
        "insert into proof (exchange_id, kind, message_id, data, content, meta) values ($1, 'answer', 'k', $2, $2, $3)",
        exchange_id,
        b'"from the journal"',
        meta,
    )
    assert orjson.loads((await house.upstream.reply()).body) == {"result": "from the journal"}


async def test_a_row_that_has_killed_its_workers_is_parked_and_answered(house: House) -> None:
    exchange_id = await leave_behind(house, "echo", "received", crash_attempts=3)
    reply = orjson.loads((await house.upstream.reply()).body)
    assert reply["error"]["error_code"] == "ADAPTER-DEAD"
    assert await house.database.fetchval("select state from exchanges where id = $1", exchange_id) == "dead"


async def leave_unpublished(house: House, message_id: str, *queues: str) -> None:
    """Journal replies under one id as a worker would have left them that died before it published them."""
    section = write_properties(message_id=message_id.encode(), message_type=b"echo", correlation_id=b"c")
    async with house.database.transaction():
        for number, queue in enumerate(queues):
            await house.database.execute(
                "insert into outbox (id, created_at, exchange_id, kind, target, routing_key, message_id, body,"
                " properties, owner) values ($1, now() + $2, $3, 'reply', '', $4, $5, '{\"result\":1}', $6, $7)",
                uuid4(),
                timedelta(milliseconds=number),
                uuid4(),
                queue,
                message_id,
                section,
                uuid4(),
            )


async def test_what_a_stopped_worker_hands_back_burns_no_crash_attempt(
    builder: HouseBuilder, database: Database
) -> None:
    gateway = ScriptedGateway()
    gateway.hold.clear()
    async with builder.upstream() as upstream:
        async with builder.worker(gateway, SHUTDOWN_GRACE="1"):
            await upstream.publish("call", 1, message_id="handed-back")
            first, _ = await asyncio.wait_for(gateway.sent.get(), 15)
        gateway.hold.set()
        async with builder.worker(gateway):
            again, earlier = await asyncio.wait_for(gateway.sent.get(), 15)
    connection = await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
    )
    burned = await connection.fetchval("select crash_attempts from commands where message_id = 'handed-back'")
    await connection.close()
    assert (again.gateway_id, earlier, burned) == (first.gateway_id, 1, 0)


async def test_an_unpublished_reply_of_a_dead_worker_goes_out_under_its_own_id(house: House) -> None:
    await leave_unpublished(house, "the-reply", house.upstream.queue.name)
    assert (await house.upstream.reply()).message_id == "the-reply"


async def test_of_two_replies_under_one_id_the_one_without_a_queue_is_parked(house: House) -> None:
    await leave_unpublished(house, "twin", "no.such.queue", house.upstream.queue.name)
    assert (await house.upstream.reply()).message_id == "twin"
    await house.eventually("select count(*) = 2 from outbox where state <> 'pending'")
    rows = await house.database.fetch("select routing_key, state, reason from outbox order by created_at")
    assert [(row["state"], row["reason"]) for row in rows] == [("parked", "unroutable"), ("sent", None)]


async def test_a_reply_that_cannot_be_encoded_parks_itself_and_the_others_go_out(house: House) -> None:
    await leave_unpublished(house, "sick", "q" * 300)
    await leave_unpublished(house, "well", house.upstream.queue.name)
    assert (await house.upstream.reply()).message_id == "well"
    await house.eventually("select state = 'parked' from outbox where message_id = 'sick'")
    assert all(house.worker.parts().values())


async def test_a_refused_delivery_of_a_dead_worker_is_refused_and_never_run(house: House) -> None:
    await leave_behind(house, "call", "received", refusal="message-id-reused")
    reply = orjson.loads((await house.upstream.reply()).body)
    assert reply["error"]["error_code"] == "ADAPTER-MESSAGE-ID-REUSED"
    assert house.gateway.sent.empty()


async def test_a_returned_command_of_an_action_that_nobody_serves_is_rescued_too(house: House) -> None:
    returned = f"{house.environment['MQ_PREFIX']}adapter.returned"
    await leave_behind(house, "unserved", "received", source=returned, refusal="expired")
    reply = orjson.loads((await house.upstream.reply()).body)
    assert reply["error"]["error_code"] == "ADAPTER-EXPIRED"


async def test_a_repeat_left_waiting_hears_the_outcome_of_its_command(house: House) -> None:
    first = await leave_behind(
        house, "echo", "replied", outcome=b'{"result":"old"}', finished_at=datetime.now(UTC), replies=1, owner=None
    )
    await leave_behind(house, "echo", "waiting", repeat_of=first, owner=None)
    assert orjson.loads((await house.upstream.reply()).body) == {"result": "old"}
