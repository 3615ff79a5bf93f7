"""One adapter for applications to ЕПГУ with a portal of its own, and an upstream system that talks to it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
import pytest

from tests.e2e.conftest import Process
from tests.e2e.epgu_stand import ATTORNEY, HEAD, PREFIX, Applicant, Ground
from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from deploy.local.certificates import Certificates
    from deploy.local.postgres import LocalPostgres
    from deploy.local.rabbitmq import LocalRabbit
    from tests.e2e.conftest import Stack


@pytest.fixture(scope="session")
def ground(
    stack: Stack, postgres: LocalPostgres, gost_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    """Start a portal; its adapter has a journal, queues and files of its own."""
    argv = [sys.executable, "-m", "simulators.epgu", "--keys", str(gost_keys), "--port", "0"]
    program = Process([*argv, "--process-step", "0", "--status-step", "0"], {})
    url = json.loads(program.wait_line('"ready"'))["url"]
    name = f"applications_{uuid4().hex[:8]}"
    postgres.create_database(name)
    folder = tmp_path_factory.mktemp("applications")
    (folder / "given").mkdir()
    (folder / "kept").mkdir()
    more = {
        "DATABASE_NAME": name,
        "MQ_PREFIX": PREFIX,
        "SERVICES": "epgu.order.*,epgu.dictionary.get,epgu.file.download",
        "MQ_PREFETCH": "20",
        "FILES_ROOT": str(folder / "kept"),
        "FILES_IN_PATHS": str(folder / "given"),
        "EPGU_URL": url,
        "ESIA_URL": url,
        "EPGU_SYSTEM": "MNEMONIKA",
        "EPGU_CHUNK_SIZE": "1048576",
        "ESIA_API_KEYS": f"head={HEAD},attorney={ATTORNEY}",
    }
    yield Ground(stack.environment | more, url, folder)
    assert program.end() == 0, program.output[-3000:]


@pytest.fixture(scope="session")
def worker(stack: Stack, ground: Ground) -> Iterator[Process]:
    """Run the adapter; nothing secret may be in what it said."""
    with stack.adapter(**ground.environment) as process:
        yield process
    assert not [secret for secret in (HEAD, ATTORNEY, "eyJ") if secret in process.output]


@pytest.fixture
async def applicant(
    worker: Process, ground: Ground, rabbit: LocalRabbit, certificates: Certificates
) -> AsyncIterator[Applicant]:
    assert worker.process.poll() is None
    variables = ground.environment
    journal = await asyncpg.connect(
        host=variables["DATABASE_HOST"],
        port=int(variables["DATABASE_PORT"]),
        database=variables["DATABASE_NAME"],
        user=variables["DATABASE_USER"],
        password=variables["DATABASE_PASS"],
    )
    url = f"amqps://{rabbit.host}:{rabbit.port}/?auth=external"
    connection = await aio_pika.connect(url, ssl_context=upstream_context(certificates))
    async with connection, aiohttp.ClientSession(ground.portal) as side:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        one = Applicant(channel, queue, side, journal, variables, ground.files / "given")
        await queue.consume(one.replies.put, no_ack=True)
        yield one
        async with side.delete("/_sim/scenario") as answer:
            assert answer.ok
    await journal.close()
