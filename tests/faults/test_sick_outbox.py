"""One message that cannot go out parks itself; the others go out beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from adapter.broker.codec import write_properties
from tests.faults.conftest import numbered

if TYPE_CHECKING:
    from tests.faults.conftest import Yard


async def put(yard: Yard, routing_key: str, body: bytes) -> None:
    """Journal a reply as a worker would have left it that died before the publish."""
    connection = await yard.connect()
    try:
        await connection.execute(
            "insert into outbox (id, exchange_id, kind, target, routing_key, message_id, body, properties, owner)"
            " values ($1, $2, 'reply', '', $3, $4, $5, $6, $7)",
            uuid4(),
            uuid4(),
            routing_key,
            str(uuid4()),
            body,
            write_properties(message_id=b"sick", message_type=b"echo"),
            uuid4(),
        )
    finally:
        await connection.close()


async def test_a_row_that_cannot_be_encoded_parks_itself_and_the_others_go_out(yard: Yard) -> None:
    async with yard.auditor("echo") as auditor, yard.worker() as victim:
        await put(yard, "k" * 300, b"{}")  # a routing key holds 255 bytes
        await auditor.publish(numbered(20))
        await auditor.answered(30)
        await yard.eventually("select count(*) = 1 from outbox where state = 'parked'")
        assert victim.alive


async def test_a_row_over_the_brokers_size_parks_itself_and_goes_out_when_it_is_let(yard: Yard) -> None:
    limit = "application:set_env(rabbit, max_message_size, {})."
    async with yard.auditor("echo") as auditor:
        yard.rabbit.ctl("eval", limit.format(20_000))
        try:
            async with yard.worker() as victim:
                await put(yard, auditor.reply_queue, b'{"result":"' + b"x" * 30_000 + b'"}')
                await auditor.publish(numbered(20))
                await auditor.progressed(20, 30)
                await yard.eventually("select count(*) = 1 from outbox where state = 'parked'", seconds=10)
                assert victim.alive
            await yard.bury(victim)
        finally:
            yard.rabbit.ctl("eval", limit.format(134_217_728))
        async with yard.worker():
            await auditor.progressed(21, 40)
            await yard.quiet()
    assert len(auditor.books.confirmed) == 20
