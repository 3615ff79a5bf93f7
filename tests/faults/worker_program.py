"""A worker process with three small actions and a gateway that talks to the recorder: what the fault tests kill.

``python tests/faults/worker_program.py`` reads the adapter's own variables, RECORDER (URL) and REPEAT_RULES (JSON:
operation to rule; the first one is what ``call`` uses). Actions: ``echo`` answers at once, ``call`` asks the recorder,
``die`` ends the process at once when its body says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import orjson

from adapter import faultpoints
from adapter import settings as configuration
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
from adapter.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS = {"echo": "recorder", "call": "recorder", "die": "recorder"}
_TIMEOUT = aiohttp.ClientTimeout(total=20)


class SmallService:
    """Echoes, calls, raises or ends the process, as its body says."""

    title = "Проба"
    gateway = "recorder"
    deadline = timedelta(minutes=5)
    schema = None
    examples = ()

    def __init__(self, action: str, operation: str) -> None:
        """``operation`` is what ``call`` asks of the gateway."""
        self.action = action
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
        if self.action == "call":
            return Call("recorder", self._operation, command.body)
        return Reply({"result": body if len(command.body) < 100_000 else len(command.body)})

    def resume(self, command: Command, answer: Answer) -> Step:
        return Reply({"result": orjson.loads(answer.content)})

    def command_schema(self) -> Mapping[str, Any]:
        return {}


class RecorderGateway:
    """Posts every call to the recorder."""

    name = "recorder"
    id_lifetime = None

    def __init__(self, url: str, session: aiohttp.ClientSession, rules: Mapping[str, Repeat]) -> None:
        """``rules`` is the repeat table under test."""
        self._url = url
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
        except (aiohttp.ClientError, TimeoutError):
            return Unanswered(AdapterError("TEST-NO-ANSWER", "нет ответа"))
        if answer.status == 503:
            return TryLater(AdapterError("TEST-LATER", "позже"), raw, after=0.1)
        if answer.status >= 400:
            return Refused(AdapterError("TEST-NO", "отказ"), raw)
        return Accepted(raw)


class RecorderSource:
    """Fetches answers, hands them over, acks them."""

    name = "recorder"

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        """``url`` is the recorder's."""
        self._url = url
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
            Answer("recorder", answer["key"], answer["reference"], AnswerKind.ANSWER, content, content)
        )
        if taken:
            async with self._session.post(f"{self._url}/ack/{answer['key']}"):
                pass


class Silent:
    """An observer that keeps nothing."""

    def command_finished(self, exchange: Any, *, outcome: str, code: str | None, reply_bytes: int) -> None: ...

    def gateway_call(self, operation: str, outcome: str, seconds: float, bytes_out: int, bytes_in: int) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...


async def serve() -> None:
    settings = configuration.load(os.environ, ACTIONS)
    configure(settings.logging.level, "json")
    faultpoints.arm(os.environ)
    rules = {name: Repeat(rule) for name, rule in orjson.loads(os.environ["REPEAT_RULES"]).items()}
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        gateway = RecorderGateway(os.environ["RECORDER"], session, rules)
        services = {action: SmallService(action, next(iter(rules))) for action in settings.services.actions}
        source = RecorderSource(os.environ["RECORDER"], session)
        worker = Worker(settings, Registry(services, {"recorder": gateway}), [source], Silent())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(serve())
    sys.exit(0)
