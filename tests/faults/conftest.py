"""Faults have a broker and a database of their own to break, workers that are real processes, and outsiders' books."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import asyncpg
import orjson
import pytest

from bench.chaos.auditor import Auditor
from bench.chaos.processes import PROJECT, Victim
from deploy.local.postgres import LocalPostgres
from deploy.local.rabbitmq import LocalRabbit
from tests.faults.proxy import Wire
from tests.faults.recorder import Recorder
from tests.integration.conftest import builder, house, upstream_context  # noqa: F401 — the same house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from deploy.local.certificates import Certificates
    from tests.conftest import Database

READY = "adapter consumes"
PROGRAM = [sys.executable, str(PROJECT / "tests/faults/worker_program.py")]
ADAPTER = [sys.executable, "-m", "adapter", "run"]


def later(value: Any) -> Any:
    """Make a variant of a fault one for the long run: its kin is in the short one."""
    return pytest.param(value, marks=pytest.mark.long)


@pytest.fixture(scope="session")
def rabbit(service_state: Path, certificates: Certificates) -> Iterator[LocalRabbit]:
    """Start a broker that tests may kill."""
    with LocalRabbit(service_state / "frail-rabbitmq", certificates, quiet=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres(service_state: Path) -> Iterator[LocalPostgres]:
    """Start a database that tests may kill."""
    server = LocalPostgres(service_state / "frail-postgres", quiet=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@dataclass
class Yard:
    """One deployment of a test: its own database, queues and recorder; workers are processes."""

    environment: dict[str, str]
    rabbit: LocalRabbit
    certificates: Certificates
    database: Database
    recorder: Recorder

    @asynccontextmanager
    async def worker(self, argv: list[str] | None = None, *, ready: str = READY, **more: str) -> AsyncIterator[Victim]:
        """Run a worker from the moment it says ``ready``; with an empty ``ready`` from its start on."""
        async with Victim.running(argv or PROGRAM, self.environment | more, ready) as victim:
            yield victim

    def auditor(self, action: str) -> Any:
        """Open the books of an upstream system that sends ``action``."""
        url = f"amqps://{self.rabbit.host}:{self.rabbit.port}/?auth=external"
        context = upstream_context(self.certificates)
        return Auditor.open(url, context, self.environment["MQ_PREFIX"] + action)

    async def connect(self) -> asyncpg.Connection:
        database = self.database
        return await asyncpg.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password,
            database=database.name,
        )

    async def ask(self, question: str, *arguments: Any) -> Any:
        connection = await self.connect()
        try:
            return await connection.fetchval(question, *arguments)
        finally:
            await connection.close()

    async def eventually(self, question: str, *arguments: Any, seconds: float = 30) -> None:
        """Wait until the journal answers a question with true: a table gives no signal."""
        connection = await self.connect()
        try:
            async with asyncio.timeout(seconds):
                while not await connection.fetchval(question, *arguments):  # noqa: ASYNC110 — a table gives no signal
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()

    async def bury(self, victim: Victim) -> None:
        """Let the lease of a dead worker lapse now instead of in a quarter of a minute."""
        assert not victim.alive
        await self.ask("delete from workers where name = $1", f"{socket.gethostname()}:{victim.pid}")

    async def quiet(self, seconds: float = 40) -> None:
        """Wait until the journal has nothing left to do: no open exchange, no unpublished message."""
        await self.eventually(
            "select not exists (select 1 from outbox where state <> 'sent') and not exists (select 1 from exchanges"
            " where state in ('received', 'submitting', 'waiting', 'answered', 'retrying'))",
            seconds=seconds,
        )

    async def settled(self, *queues: str) -> None:
        """Wait until the broker has written these queues' names to disk: a younger one does not survive SIGKILL."""
        wanted = [f"%2F_{queue}".encode() for queue in queues]
        async with asyncio.timeout(20):
            while True:
                files = self.rabbit.state_dir.glob("data/*/quorum/*/names.dets")
                known = b"".join([file.read_bytes() for file in files])
                if all(name in known for name in wanted):
                    return
                await asyncio.sleep(0.05)

    async def kill(self, victim: Victim) -> None:
        """End a worker as a power cut would, and let its lease lapse."""
        victim.send(signal.SIGKILL)
        assert await victim.ended(20) == -signal.SIGKILL
        await self.bury(victim)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    async with Recorder.listening() as recorder:
        yield recorder


@pytest.fixture
def yard(rabbit: LocalRabbit, certificates: Certificates, database: Database, recorder: Recorder) -> Yard:
    pair = certificates.client("adapter")
    rabbit.start()
    environment = {
        "CA_CERT": str(certificates.ca),
        "CLIENT_CERT": str(pair.certificate),
        "CLIENT_KEY": str(pair.key),
        "MQ_HOST": rabbit.host,
        "MQ_PORT": str(rabbit.port),
        "MQ_PREFIX": f"f{uuid4().hex[:8]}.",
        "MQ_MAX_BODY": "100kB",
        "SERVICES": "*",
        "HEALTH_PORT": "0",
        "LOG_FORMAT": "json",
        "RECORDER": recorder.url.rstrip("/"),
        "REPEAT_RULES": json.dumps({"Send": "same-id"}),
        **database.environment,
    }
    return Yard(environment, rabbit, certificates, database, recorder)


@pytest.fixture
async def wire(rabbit: LocalRabbit) -> AsyncIterator[Wire]:
    """Lay a wire to the broker: workers whose MQ_PORT is its port can be cut off."""
    rabbit.start()
    async with Wire.laid("127.0.0.1", rabbit.port) as wire:
        yield wire


def numbered(count: int, **body: Any) -> list[tuple[str, bytes]]:
    """Make commands whose transport_id is their message_id."""
    ids = [str(uuid4()) for _ in range(count)]
    return [(name, orjson.dumps({"transport_id": name} | body)) for name in ids]


@dataclass
class Contour:
    """Signing service and СМЭВ3 simulator as processes: the ledger is the simulator's own."""

    environment: dict[str, str]
    url: str

    async def ledger(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/_sim/ledger") as answer:
            return await answer.json()


@pytest.fixture(scope="session")
async def contour(gost_keys: Path) -> AsyncIterator[Contour]:
    keys = ["--keys", str(gost_keys), "--port", "0"]
    sign = [sys.executable, "-m", "simulators.sign_service", *keys]
    smev = [sys.executable, "-m", "simulators.smev3", *keys, "--ack-timeout", "2"]
    async with Victim.running(sign, {}, '"ready"') as signing, Victim.running(smev, {}, '"ready"') as simulator:
        sign_url, url = [json.loads(await program.said('"ready"'))["url"] for program in (signing, simulator)]
        tokens = json.loads((gost_keys / "tokens.json").read_text(encoding="utf-8"))
        environment = {
            "SERVICES": "zhkh-debt-requests",
            "SMEV_SERVICE": f"{url}/smev/v1.2/ws",
            "SMEV_TRUST": str(gost_keys / "ca.crt.pem"),
            "SMEV_POLL_MAX": "0.5",
            "USE_PERSONAL_SIGNATURE": "true",
            "SIGN_SERVICE": sign_url,
            "SIGN_TOKEN_OV": tokens["ov"],
            "SIGN_TOKEN_SP": tokens["sp"],
        }
        yield Contour(environment, url)
