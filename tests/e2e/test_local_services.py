"""The private broker and database do what the demo and the fault tests rely on."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import aio_pika
import aiormq
import asyncpg
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.local.certificates import Certificates
    from deploy.local.postgres import LocalPostgres
    from deploy.local.rabbitmq import LocalRabbit
    from tests.conftest import Database


def address(rabbit: LocalRabbit, certificates: Certificates, client: str) -> str:
    """Return the URL under which ``client`` logs in by certificate."""
    pair = certificates.client(client)
    files = f"cafile={certificates.ca}&certfile={pair.certificate}&keyfile={pair.key}"
    return f"amqps://{rabbit.host}:{rabbit.port}/?auth=EXTERNAL&{files}"


async def test_a_client_certificate_logs_in_and_a_quorum_queue_keeps_a_message(
    rabbit: LocalRabbit, certificates: Certificates
) -> None:
    async with await aio_pika.connect(address(rabbit, certificates, "upstream"), timeout=10) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("local.quorum", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(
            aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT), "local.quorum", timeout=10
        )
        message = await queue.get(timeout=10)
        await message.ack()
        await queue.delete(if_unused=False, if_empty=False)
    assert message.body == b"kept"


async def test_the_upstream_system_may_not_touch_the_queues_of_the_adapter(
    rabbit: LocalRabbit, certificates: Certificates
) -> None:
    async with await aio_pika.connect(address(rabbit, certificates, "upstream"), timeout=10) as connection:
        channel = await connection.channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await channel.declare_queue("adapter.returned", durable=True)


async def test_nobody_gets_in_without_a_client_certificate(rabbit: LocalRabbit, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=certificates.ca)

    async def greet() -> bytes:
        reader, writer = await asyncio.open_connection(rabbit.host, rabbit.port, ssl=context)
        try:
            writer.write(b"AMQP\x00\x00\x09\x01")
            return await reader.readexactly(1)
        finally:
            writer.transport.abort()

    # TLS 1.3 reports the refusal with the first read after the handshake, as an alert or as a reset.
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(greet(), timeout=10)


async def test_the_database_survives_a_killed_server(postgres: LocalPostgres, database: Database) -> None:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password,
            database=database.name,
            timeout=10,
        )

    connection = await connect()
    await connection.execute("CREATE TABLE kept (fact text)")
    await connection.execute("INSERT INTO kept VALUES ('committed')")
    postgres.kill()
    assert not postgres.running
    postgres.start()
    again = await connect()
    assert await again.fetchval("SELECT fact FROM kept") == "committed"
    await again.close()


def test_keys_are_readable_by_their_owner_alone(certificates: Certificates, service_state: Path) -> None:
    certificates.client("adapter")
    keys = sorted((service_state / "certificates").glob("*.key.pem"))
    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600] * len(keys)
    assert keys
