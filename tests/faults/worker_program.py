"""A worker process with a few small actions and a gateway that talks to the recorder: what the fault tests kill.

``python tests/faults/worker_program.py`` reads the adapter's own variables, RECORDER (URL) and REPEAT_RULES (JSON:
operation to rule; the first one is what ``call`` uses). Actions: ``echo`` answers at once, ``call`` asks the recorder,
``die`` ends the process at once when its body says so. With CALM_RECORDER (URL) there is ``calm``, which asks a
recorder of its own through a gateway of its own; with SMEV_SERVICE there are the real actions of СМЭВ3 beside them.
CALL_TIMEOUT is how long a call of a recorder may take, in seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import orjson

from adapter import faultpoints
from adapter import settings as configuration
from adapter.bootstrap import open_gateways
from adapter.errors import AdapterError, FieldFault, InvalidCommandError
from adapter.exchange import (
    Accepted,
    Answer,
    AnswerKind,
    Call,
    Command,
    Intake,
    Prepared,
    Refused,
    Repeat,
    Reply,
    Sent,
    Step,
    TryLater,
    Unanswered,
)
from adapter.journal.writer import JournalUnavailableError
from adapter.log import configure
from adapter.pipeline.ports import Registry
from adapter.services.registry import make_services
from adapter.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS = {"echo": "recorder", "call": "recorder", "die": "recorder"}
SMEV_ACTION = "zhkh-debt-requests"


class SmallService:
    """Echoes, calls, raises or ends the process, as its body says."""

    title = "Проба"
    deadline = timedelta(minutes=5)
    schema = None
    examples = ()

    def __init__(self, action: str, operation: str) -> None:
        """``operation`` is what ``call`` asks of the gateway."""
        self.action = action
        self.gateway = "calm" if action == "calm" else "recorder"
        self._operation = operation

    def start(self, command: Command) -> Step:
        try:
            body = orjson.loads(command.body)
        except orjson.JSONDecodeError:
            raise InvalidCommandError([FieldFault("body", "тело не является JSON")]) from None
        if isinstance(body, dict) and body.get("explode"):
            raise RuntimeError("a defect")
        if isinstance(body, dict) and body.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action in ("call", "calm"):
            lane = body.get("lane") if isinstance(body, dict) else None
            return Call(self.gateway, self._operation, command.body, lane=lane)
        return Reply({"result": body if len(command.body) < 100_000 else len(command.body)})

    def resume(self, command: Command, answer: Answer) -> Step:
        return Reply({"result": orjson.loads(answer.content)})

    def command_schema(self) -> Mapping[str, Any]:
        return {}


class RecorderGateway:
    """Posts every call to a recorder."""

    id_lifetime = None

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession, rules: Mapping[str, Repeat]) -> None:
        """``rules`` is the repeat table under test."""
        self.name = name
        self._url = url.rstrip("/")
        self._session = session
        self.repeat_rules = rules

    async def prepare(self, call: Call) -> Prepared:
        return Prepared(call.operation, str(uuid4()), call.content, datetime.now(UTC))

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        headers = {
            "X-Id": prepared.gateway_id,
            "X-Earlier": str(earlier_attempts),
            "X-Operation": prepared.operation,
        }
        try:
            async with self._session.post(f"{self._url}/send", data=prepared.body, headers=headers) as answer:
                raw = await answer.read()
        except aiohttp.ClientConnectorError:
            return TryLater(AdapterError("TEST-NO-CONNECTION", "нет связи"))
        except (aiohttp.ClientError, TimeoutError):
            return Unanswered(AdapterError("TEST-NO-ANSWER", "нет ответа"))
        if answer.status == 503:
            return TryLater(AdapterError("TEST-LATER", "позже"), raw, after=0.1)
        if answer.status >= 400:
            return Refused(AdapterError("TEST-NO", "отказ"), raw)
        return Accepted(raw)

    async def ask(self, prepared: Prepared) -> Sent:
        try:
            async with self._session.get(f"{self._url}/became/{prepared.gateway_id}") as told:
                raw = await told.read()
        except (aiohttp.ClientError, TimeoutError):
            return Unanswered(AdapterError("TEST-NO-ANSWER", "нет ответа"))
        if told.status == 404:
            return TryLater(AdapterError("TEST-NOT-THERE", "такого запроса не было"), raw)
        reference = prepared.gateway_id
        return Accepted(raw, Answer(self.name, f"about-{reference}", reference, AnswerKind.ANSWER, raw, raw))


class RecorderSource:
    """Fetches answers, hands them over, acks them."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        """``url`` is the recorder's."""
        self.name = name
        self._url = url.rstrip("/")
        self._session = session

    async def run(self, intake: Intake) -> None:
        while True:
            try:
                async with self._session.get(f"{self._url}/answers") as reply:
                    answers = await reply.json()
                await asyncio.gather(*(self._take(intake, answer) for answer in answers))
            except (aiohttp.ClientError, TimeoutError, JournalUnavailableError):
                await asyncio.sleep(0.2)  # not durable, so not acked: it comes again

    async def _take(self, intake: Intake, answer: dict[str, str]) -> None:
        content = answer["content"].encode()
        taken = await intake.take(
            Answer(self.name, answer["key"], answer["reference"], AnswerKind.ANSWER, content, content)
        )
        if taken:
            async with self._session.post(f"{self._url}/ack/{answer['key']}"):
                pass


class Silent:
    """An observer that keeps nothing."""

    def command_finished(self, exchange: Any, *, outcome: str, code: str | None, reply_bytes: int) -> None: ...

    def gateway_call(self, *_: object, **__: object) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...


def served() -> dict[str, str]:
    """Return the gateway of every action that this program can serve."""
    actions = dict(ACTIONS)
    if "CALM_RECORDER" in os.environ:
        actions["calm"] = "calm"
    if "SMEV_SERVICE" in os.environ:
        actions[SMEV_ACTION] = "smev3"
    return actions


async def serve() -> None:
    settings = configuration.load(os.environ, served())
    configure(settings.logging.level, "json")
    faultpoints.arm(os.environ)
    rules = {name: Repeat(rule) for name, rule in orjson.loads(os.environ["REPEAT_RULES"]).items()}
    timeout = aiohttp.ClientTimeout(total=float(os.environ.get("CALL_TIMEOUT", "20")))
    urls = {"recorder": os.environ["RECORDER"], "calm": os.environ.get("CALM_RECORDER", "")}
    async with AsyncExitStack() as stack:
        real = {name: service for name, service in make_services(os.environ).items() if name == SMEV_ACTION}
        registry, sources = await open_gateways(settings, real, Silent(), stack)
        services, gateways = {}, dict(registry.gateways)
        for name, url in urls.items():
            if url:
                # Answers have connections of their own: calls that hang do not hold them up.
                calls, fetches = [
                    await stack.enter_async_context(
                        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
                    )
                    for _ in range(2)
                ]
                gateways[name] = RecorderGateway(name, url, calls, rules)
                sources.append(RecorderSource(name, os.environ.get(f"{name.upper()}_ANSWERS", url), fetches))
        for action in settings.services.actions:
            services[action] = real.get(action) or SmallService(action, next(iter(rules)))
        worker = Worker(settings, Registry(services, gateways, registry.places), sources, Silent())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(serve())
    sys.exit(0)
