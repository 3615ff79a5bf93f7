"""Publishers that break the protocol's manners: they are answered by name, and the commands behind them go on."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from uuid import uuid4

import aiormq
import orjson
import pytest

from adapter.broker.codec import read_properties
from adapter.broker.transport import RawProperties
from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import House, HouseBuilder


def short(value: bytes) -> bytes:
    return bytes((len(value),)) + value


def properties(
    *,
    correlation: bytes = b"c",
    reply_to: bytes,
    message_id: bytes | None = b"m",
    headers: bytes | None = None,
    timestamp: int | None = None,
    message_type: bytes | None = None,
) -> bytes:
    flags, parts = 0, []
    if headers is not None:
        flags |= 1 << 13
        parts.append(struct.pack(">I", len(headers)) + headers)
    flags |= (1 << 10) | (1 << 9)
    parts += [short(correlation), short(reply_to)]
    if message_id is not None:
        flags |= 1 << 7
        parts.append(short(message_id))
    if timestamp is not None:
        flags |= 1 << 6
        parts.append(struct.pack(">Q", timestamp))
    if message_type is not None:
        flags |= 1 << 5
        parts.append(short(message_type))
    return struct.pack(">H", flags) + b"".join(parts)


class RawPublisher:
    """Publishes property sections byte by byte."""

    def __init__(self, channel: aiormq.abc.AbstractChannel, queue: str) -> None:
        """Publish to ``queue``."""
        self._channel = channel
        self._queue = queue

    async def publish(self, body: bytes, section: bytes, queue: str | None = None) -> None:
        await self._channel.basic_publish(
            body, routing_key=queue or self._queue, properties=RawProperties(section, uuid4().hex), timeout=10
        )


@pytest.fixture
async def raw(house: House, builder: HouseBuilder) -> AsyncIterator[RawPublisher]:
    rabbit = builder.rabbit
    url = f"amqps://{rabbit.username}:{rabbit.password}@{rabbit.host}:{rabbit.port}/"
    connection = await aiormq.connect(url, context=upstream_context(builder.certificates))
    try:
        yield RawPublisher(await connection.channel(), f"{house.environment['MQ_PREFIX']}echo")
    finally:
        await connection.close()


def reply_to(house: House) -> bytes:
    return house.upstream.queue.name.encode()


def nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01kF" + struct.pack(">I", len(table)) + table
    return table


CP1251 = "идентификатор".encode("cp1251")


async def test_a_correlation_id_that_is_not_utf8_is_returned_byte_for_byte(
    house: House, raw: RawPublisher, builder: HouseBuilder
) -> None:
    # A strict client cannot even read such a reply, so it is read from the journal's outbox and by our own reader.
    await raw.publish(b"1", properties(correlation=CP1251, reply_to=b"nobody.reads.this"))
    await house.upstream.ask("echo", 2)
    row = await house.database.fetchrow("select properties, body from outbox where routing_key = 'nobody.reads.this'")
    assert read_properties(row["properties"]).correlation_id == CP1251
    fault = orjson.loads(row["body"])["error"]["fields"][0]
    assert fault == {"path": "properties.correlation_id", "rule": "значение не в кодировке UTF-8"}


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"message_id": CP1251}, "properties.message_id"),
        ({"message_type": CP1251}, "properties.type"),
        ({"timestamp": 2**63}, "properties.timestamp"),
        ({"headers": nested(40)}, "properties.headers"),
        ({"headers": short(CP1251) + b"t\x01"}, "properties.headers"),
        ({"headers": short(b"x-deadline") + b"S" + struct.pack(">I", 5) + b"later"}, "properties.headers.x-deadline"),
        ({"headers": short(b"x-dry-run") + b"S" + struct.pack(">I", 5) + b"maybe"}, "properties.headers.x-dry-run"),
    ],
    ids=["message_id", "type", "timestamp", "deep headers", "header name", "deadline", "dry run"],
)
async def test_a_property_that_breaks_the_rules_is_named_and_the_next_command_is_served(
    house: House, raw: RawPublisher, more: dict[str, object], path: str
) -> None:
    await raw.publish(b"1", properties(reply_to=reply_to(house), **more))
    body = orjson.loads((await house.upstream.reply()).body)
    assert await house.upstream.ask("echo", 2) == {"result": 2}
    assert body["error"]["error_code"] == "ADAPTER-INVALID-COMMAND"
    assert body["error"]["fields"][0]["path"] == path


async def test_a_reply_to_that_is_not_utf8_is_answered_on_the_actions_reply_queue(
    house: House, raw: RawPublisher
) -> None:
    await raw.publish(b"1", properties(reply_to=CP1251, message_id=b"bad-reply-to"))
    await house.upstream.ask("echo", 2)
    message = await house.upstream.read(f"{house.environment['MQ_PREFIX']}echo.reply")
    assert orjson.loads(message.body)["error"]["fields"][0]["path"] == "properties.reply_to"


async def test_a_nul_in_reply_to_is_answered_on_the_actions_reply_queue(house: House, raw: RawPublisher) -> None:
    await raw.publish(b"1", properties(reply_to=b"a\x00b"))
    message = await house.upstream.read(f"{house.environment['MQ_PREFIX']}echo.reply")
    assert orjson.loads(message.body)["error"]["fields"][0]["path"] == "properties.reply_to"


@pytest.mark.parametrize("queue", [b"a\x00b", CP1251, b"q" * 300, b""], ids=["nul", "bytes", "long", "empty"])
async def test_a_forged_history_of_a_returned_command_is_answered_and_harms_nobody(
    house: House, raw: RawPublisher, queue: bytes
) -> None:
    death = short(b"queue") + b"S" + struct.pack(">I", len(queue)) + queue
    deaths = b"F" + struct.pack(">I", len(death)) + death
    headers = short(b"x-death") + b"A" + struct.pack(">I", len(deaths)) + deaths
    returned = f"{house.environment['MQ_PREFIX']}adapter.returned"
    await raw.publish(b"1", properties(reply_to=reply_to(house), headers=headers), returned)
    body = orjson.loads((await house.upstream.reply()).body)
    assert body["error"]["error_code"] == "ADAPTER-UNKNOWN-ACTION"
    assert await house.upstream.ask("echo", 2) == {"result": 2}
    assert house.worker._session == 1


async def test_a_nul_in_a_property_is_journaled_escaped_and_answered(house: House, raw: RawPublisher) -> None:
    await raw.publish(b"1", properties(reply_to=reply_to(house), message_id=b"a\x00b"))
    assert orjson.loads((await house.upstream.reply()).body) == {"result": 1}
    assert await house.database.fetchval("select count(*) from commands where message_id = 'a\\x00b'") == 1


async def test_the_broker_keeps_one_connection_through_all_of_it(house: House, raw: RawPublisher) -> None:
    for more in ({"message_id": CP1251}, {"timestamp": 2**63}, {"headers": short(CP1251) + b"V"}):
        await raw.publish(b"1", properties(reply_to=reply_to(house), **more))
        await house.upstream.reply()
    assert all(house.worker.parts().values())
    assert house.worker._session == 1
