"""The product's worker with a null action: every command passes every state, its gateway is in this process.

Nothing is left out and nothing is fused: journal, ack with its barrier, intent with the exact bytes, call, wait,
answer, outcome with the outbox, mandatory publish with its confirm, mark. Actions: ``null`` (answered at once by the
gateway's own source), ``direct`` (answered by its service without a call), ``open`` (taken and never answered),
``stuck`` (a call that never returns).
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

import adapter.bootstrap
from adapter import settings as configuration
from adapter.cli_run import _loop_factory
from adapter.errors import FieldFault, InvalidCommandError
from adapter.exchange import Accepted, Answer, AnswerKind, Call, Prepared, Repeat, Reply
from adapter.log import configure
from adapter.observing import make_observer
from adapter.pipeline.ports import Limits, Registry
from adapter.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Command, Example, Intake, Sent, Step

assert adapter.bootstrap  # noqa: S101 — the memory of a worker includes what the real one imports
ACTIONS = ("null", "direct", "open", "stuck")


class NullService:
    """Reads the command and makes one call of it; the outcome is the answer as it came."""

    title = "Null"
    gateway = "null"
    deadline = timedelta(hours=1)
    schema: str | None = None
    examples: Sequence[Example] = ()

    def __init__(self, action: str) -> None:
        """``action`` is also the operation."""
        self.action = action

    def start(self, command: Command) -> Step:
        """Ask the gateway, or answer at once."""
        try:
            content = orjson.loads(command.body)
        except orjson.JSONDecodeError:
            raise InvalidCommandError([FieldFault("body", "тело не является JSON")]) from None
        return Reply({"result": content}) if self.action == "direct" else Call("null", self.action, command.body)

    def resume(self, command: Command, answer: Answer) -> Step:  # noqa: ARG002 — the port's arguments
        """Read the answer."""
        return Reply({"result": orjson.loads(answer.content)})

    def command_schema(self) -> Mapping[str, Any]:
        """Return that anything goes."""
        return {}


class NullGateway:
    """Accepts every call; its source brings the answer right after."""

    name = "null"
    repeat_rules: Mapping[str, Repeat] = dict.fromkeys(ACTIONS, Repeat.SAME_ID)
    id_lifetime: timedelta | None = None

    def __init__(self) -> None:
        """Nothing is on its way."""
        self.taken: asyncio.Queue[Prepared] = asyncio.Queue()
        #: Ids of a gateway cost the worker nothing: these are counted.
        self._name, self._ids = f"{uuid4()}-", count()

    async def prepare(self, call: Call) -> Prepared:
        """Mint an id."""
        return Prepared(call.operation, f"{self._name}{next(self._ids)}", call.content, datetime.now(UTC))

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:  # noqa: ARG002 — the port's arguments
        """Accept; the answer can only be seen after the acceptance was handed to the journal."""
        if prepared.operation == "stuck":
            await asyncio.Event().wait()
        if prepared.operation == "null":
            self.taken.put_nowait(prepared)
        return Accepted(b"accepted")


class NullSource:
    """Brings the answers, as many at once as there are."""

    name = "null"

    def __init__(self, gateway: NullGateway) -> None:
        """``gateway`` holds what was taken."""
        self._gateway = gateway

    async def run(self, intake: Intake) -> None:
        """Bring answers until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                prepared = await self._gateway.taken.get()
                key, body = f"answer-{prepared.gateway_id}", prepared.body
                answer = Answer("null", key, prepared.gateway_id, AnswerKind.ANSWER, body, body)
                group.create_task(_bring(intake, answer))


async def _bring(intake: Intake, answer: Answer) -> None:
    await intake.take(answer)


async def main() -> None:
    """Serve until SIGTERM."""
    settings = configuration.load(os.environ, dict.fromkeys(ACTIONS, "null"))
    configure(settings.logging.level, settings.logging.format, for_good=True)
    gateway = NullGateway()
    services = {action: NullService(action) for action in ACTIONS if action in settings.services.actions}
    async with make_observer(settings) as observer:
        # Nothing has to be kept from this gateway: as many may call it as may run.
        registry = Registry(services, {"null": gateway}, {"null": Limits().in_flight})
        worker = Worker(settings, registry, [NullSource(gateway)], observer)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())
