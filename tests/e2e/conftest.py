"""The whole product as separate processes: broker, database, signing service, СМЭВ3 simulator and adapter."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest
from jsonschema import Draft202012Validator

from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from deploy.local.certificates import Certificates
    from deploy.local.postgres import LocalPostgres
    from deploy.local.rabbitmq import LocalRabbit

PROJECT = Path(__file__).resolve().parents[2]
ACTION = "zhkh-debt-requests"
#: Whatever is replied has to be as the committed contract says.
CONTRACT = Draft202012Validator(json.loads((PROJECT / f"schemas/json/{ACTION}.reply.json").read_text("utf-8")))


class Process:
    """One of our programs: its output is read to the end by a thread, so that a line can be waited for."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        """Start ``argv`` with exactly this environment beside PATH and coverage's own."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or "COV" in name}
        self.process = subprocess.Popen(
            argv,
            cwd=PROJECT,
            env=kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    def wait_line(self, part: str, seconds: float = 30) -> str:
        """Return the first line that holds ``part``."""
        with self._news:
            found = self._news.wait_for(lambda: self._find(part) or self.process.poll() is not None, seconds)
        if not found or not self._find(part):
            pytest.fail(f"{part!r} was not said:\n{''.join(self.lines[-20:])}")
        return self._find(part)

    def _find(self, part: str) -> str:
        return next((line for line in self.lines if part in line), "")

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def end(self, number: int = signal.SIGTERM, seconds: float = 40) -> int:
        """Signal the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._thread.join(5)
        return code


@dataclass
class Stack:
    """Addresses of everything, and the environment an operator would set."""

    environment: dict[str, str]
    simulator_url: str
    health_port: int
    processes: list[Process] = field(default_factory=list)

    def start(self, **more: str) -> Process:
        """Start ``adapter run`` and leave the end to the caller."""
        return Process([sys.executable, "-m", "adapter", "run"], self.environment | more)

    @contextmanager
    def adapter(self, **more: str) -> Iterator[Process]:
        """Run ``adapter run`` until the block ends; it must then end by itself with code 0."""
        process = self.start(**more)
        try:
            process.wait_line("adapter consumes")
            yield process
        finally:
            assert process.end() == 0, process.output[-3000:]

    def command(self, *arguments: str, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
        """Run one command of the adapter's command line."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or "COV" in name}
        return subprocess.run(
            [sys.executable, "-m", "adapter", *arguments],
            cwd=PROJECT,
            env=kept | self.environment | more,
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def stack(rabbit: LocalRabbit, postgres: LocalPostgres, certificates: Certificates, gost_keys: Path) -> Iterator[Stack]:
    """Start signing service and simulator once; each test runs adapters on them."""
    name = f"e2e_{uuid4().hex[:8]}"
    postgres.create_database(name)
    keys = ["--keys", str(gost_keys), "--port", "0"]
    programs = [
        Process([sys.executable, "-m", f"simulators.{module}", *keys, *more], {})
        for module, more in (("sign_service", []), ("smev3", ["--ack-timeout", "5"]))
    ]
    sign_url, simulator_url = (json.loads(program.wait_line('"ready"'))["url"] for program in programs)
    tokens = json.loads((gost_keys / "tokens.json").read_text(encoding="utf-8"))
    pair = certificates.client("adapter")
    environment = {
        "CA_CERT": str(certificates.ca),
        "CLIENT_CERT": str(pair.certificate),
        "CLIENT_KEY": str(pair.key),
        "MQ_HOST": rabbit.host,
        "MQ_PORT": str(rabbit.port),
        "SMEV_SERVICE": f"{simulator_url}/smev/v1.2/ws",
        "SMEV_TRUST": str(gost_keys / "ca.crt.pem"),
        "SMEV_POLL_MAX": "0.5",
        "USE_PERSONAL_SIGNATURE": "true",
        "SIGN_SERVICE": sign_url,
        "SIGN_TOKEN_OV": tokens["ov"],
        "SIGN_TOKEN_SP": tokens["sp"],
        "DATABASE_HOST": postgres.host,
        "DATABASE_PORT": str(postgres.port),
        "DATABASE_NAME": name,
        "DATABASE_USER": postgres.user,
        "DATABASE_PASS": postgres.password,
        "HEALTH_PORT": "0",
        "LOG_FORMAT": "json",
    }
    yield Stack(environment, simulator_url, free_port(), programs)
    for program in programs:
        assert program.end() == 0, program.output[-3000:]


@pytest.fixture(scope="session")
def running(stack: Stack) -> Iterator[Process]:
    """One adapter for the tests that only talk to it."""
    with stack.adapter(HEALTH_PORT=str(stack.health_port)) as process:
        yield process


class Talk:
    """An upstream system with a certificate of its own."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, queue: aio_pika.abc.AbstractQueue) -> None:
        """Replies come to ``queue``."""
        self.channel = channel
        self.queue = queue
        self.replies: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()

    async def publish(self, body: Any, **properties: Any) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        values = {"message_id": str(uuid4()), "reply_to": self.queue.name} | properties
        message = aio_pika.Message(raw, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **values)
        await self.channel.default_exchange.publish(message, ACTION, timeout=10)

    async def reply(self, seconds: float = 30) -> aio_pika.abc.AbstractIncomingMessage:
        return await asyncio.wait_for(self.replies.get(), seconds)

    async def ask(self, body: Any, **properties: Any) -> dict[str, Any]:
        await self.publish(body, **properties)
        reply: dict[str, Any] = json.loads((await self.reply()).body)
        CONTRACT.validate(reply)
        return reply


@pytest.fixture
async def talk(running: Process, rabbit: LocalRabbit, certificates: Certificates) -> AsyncIterator[Talk]:
    """Open a conversation with the running adapter, logged in by certificate."""
    connection = await aio_pika.connect(
        f"amqps://{rabbit.host}:{rabbit.port}/?auth=external", ssl_context=upstream_context(certificates)
    )
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        talk = Talk(channel, queue)
        await queue.consume(talk.replies.put, no_ack=True)
        yield talk


class Simulator:
    """The simulator's side door."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        """``url`` is its root."""
        self._url = url
        self._session = session

    async def post(self, name: str, body: Any) -> None:
        async with self._session.post(f"{self._url}/_sim/{name}", json=body) as answer:
            answer.raise_for_status()

    async def ledger(self) -> list[dict[str, Any]]:
        async with self._session.get(f"{self._url}/_sim/ledger") as answer:
            return await answer.json()


@pytest.fixture
async def simulator(stack: Stack) -> AsyncIterator[Simulator]:
    async with aiohttp.ClientSession() as session:
        yield Simulator(stack.simulator_url, session)
