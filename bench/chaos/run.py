"""One chaos run: commands flow in all the time while processes die, and in the end the books are compared."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from adapter.faultpoints import POINTS, VARIABLE
from adapter.services.zhkh_debt_requests import EXAMPLES
from bench.chaos.auditor import Auditor
from bench.chaos.books import double_submits, never_submitted
from bench.chaos.processes import Victim
from bench.chaos.services import fell, replace, rise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.chaos.contour import Contour

ACTION = "zhkh-debt-requests"
ADAPTER = [sys.executable, "-m", "adapter", "run"]
READY = "adapter consumes"
#: Workers that run at the same time; one of them is killed at a time, sometimes both.
WORKERS = 2
#: Seconds kept for the end: no more kills are begun when no more are left, and the run has failed.
RESERVE = 150
#: Commands that may be unanswered before the next kill.
WINDOW = 300


#: Passed once for all deliveries that are there: what is published before a worker is up may be one batch.
ONCE_A_BATCH = frozenset({"decode", "ack", "barrier"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it: ``commands`` to publish, ``kills`` of adapters beside the faults of broker and database."""

    commands: int
    kills: int


class Run:
    """Publishes, kills, counts."""

    def __init__(self, plan: Plan, contour: Contour, *, deadline: float) -> None:
        """``deadline`` is a moment of the monotonic clock."""
        self._plan = plan
        self._contour = contour
        self._deadline = deadline
        self._environment = contour.adapter_environment()
        self._chance = random.Random(20240229)  # noqa: S311  — a repeatable run, nothing is guarded
        self._kills = 0
        self._workers: list[Victim] = []
        self.at_points: Counter[str] = Counter()

    async def go(self) -> dict[str, int]:
        """Run to the end and return the figures."""
        contour = self._contour
        async with Auditor.open(contour.broker_urls, contour.upstream_tls(), ACTION) as auditor:
            try:
                await self._staff()
                try:
                    await self._faults(auditor)
                except TimeoutError as error:
                    say(f"time is over in the middle of the faults: {error}")
                await self._end(auditor)
            finally:
                for worker in self._workers:
                    worker.send(signal.SIGKILL)
                    await worker.ended(20)
        ledger = await asyncio.to_thread(contour.ledger)
        verdict = auditor.books.verdict()
        unsent = never_submitted(ledger, auditor.books.confirmed)
        say(f"kills at each point: {dict(self.at_points)}")
        say(f"outcomes: {dict(auditor.books.outcomes())}; never submitted: {len(unsent)}")
        return {
            "kills": self._kills,
            "commands": verdict.commands,
            "lost": len(verdict.lost),
            "double_submits": len(double_submits(ledger)),
            "surplus_replies": len(verdict.surplus),
            "repeats": verdict.repeats,
        }

    async def _faults(self, auditor: Auditor) -> None:
        """Kill until there were enough kills: at each fault point twice, then at random; services in between.

        Every step brings its share of the commands, so that there is traffic whenever something dies.
        """
        plan, services, step = self._plan, self._services(), 0
        while self._kills < plan.kills and self._left() > RESERVE:
            due = plan.commands * min(self._kills + 1, plan.kills) // plan.kills
            if step < 2 * len(POINTS):
                await self._kill_at(POINTS[step % len(POINTS)], auditor, due)
            else:
                await self._kill_at_random(auditor, due)
            if step % 8 == 4:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._bring(auditor, due + plan.commands // plan.kills))
                    say(f"fault: {await anext(services)}")
            step += 1
            if step % 5 == 0:
                say(f"{self._kills} kills, {len(auditor.books.replies)} of {len(auditor.books.confirmed)} answered")
            await auditor.progressed(len(auditor.books.confirmed) - WINDOW, self._left())
        await self._bring(auditor, plan.commands)

    async def _bring(self, auditor: Auditor, due: int) -> None:
        """Publish until ``due`` commands of the plan are confirmed."""
        while (left := min(due, self._plan.commands) - len(auditor.books.confirmed)) > 0:
            await auditor.publish([make_command() for _ in range(min(10, left))])

    async def _kill_at(self, point: str, auditor: Auditor, due: int) -> None:
        """Kill all workers under load, then let one run that ends itself at ``point``."""
        bringing = asyncio.create_task(self._bring(auditor, due))
        while self._workers:
            await self._kill(self._workers.pop())
        turn = 1 if point in ONCE_A_BATCH else self._chance.randint(1, 2)
        doomed = await Victim.start(ADAPTER, self._environment | {VARIABLE: f"{point}:{turn}"})
        await bringing
        try:
            code = await doomed.ended(min(90, self._left()))
        finally:
            if doomed.alive:
                doomed.send(signal.SIGKILL)
        if code != -signal.SIGKILL:
            raise RuntimeError(f"the worker of point {point} ended with {code}:\n{doomed.last_words}")
        self._kills += 1
        self.at_points[point] += 1
        await self._staff()

    async def _kill_at_random(self, auditor: Auditor, due: int) -> None:
        """Kill one worker, every fifth time both, at a random moment of work."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bring(auditor, due))
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            for _ in range(WORKERS if self._chance.random() < 0.2 else 1):
                await self._kill(self._workers.pop(0))
        await self._staff()

    async def _kill(self, worker: Victim) -> None:
        if not worker.alive:
            raise RuntimeError(f"a worker ended by itself:\n{worker.last_words}")
        worker.send(signal.SIGKILL)
        self._kills += await worker.ended(20) == -signal.SIGKILL

    async def _staff(self) -> None:
        """Bring the workers up to their number."""
        fresh = [await Victim.start(ADAPTER, self._environment) for _ in range(WORKERS - len(self._workers))]
        self._workers += fresh
        for worker in fresh:
            await worker.said(READY, 90)

    async def _services(self) -> AsyncIterator[str]:
        """Break broker and database, again and again, each in another way."""
        rabbit, postgres = self._contour.rabbit, self._contour.postgres
        while True:
            await replace(postgres)
            yield "PostgreSQL killed and started"
            await replace(rabbit)
            yield "RabbitMQ killed and started"
            await fell(postgres)
            await asyncio.sleep(60)
            await rise(postgres)
            yield "PostgreSQL away for 60 s"
            rabbit.pause()
            await asyncio.sleep(20)
            rabbit.resume()
            yield "RabbitMQ frozen for 20 s"
            ending = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'adapter'"
            await asyncio.to_thread(postgres.psql, ending)
            yield "every backend terminated"
            await asyncio.to_thread(rabbit.restart)
            yield "RabbitMQ restarted"

    async def _end(self, auditor: Auditor) -> None:
        """Wait for the last reply, then for the journal to come to rest; what is missing at the deadline is lost."""
        say(f"published and killed; waiting for {len(auditor.books.missing())} replies")
        try:
            await auditor.answered(self._left())
            await rest(self._contour, self._left())
            await auditor.caught_up()
        except TimeoutError as error:
            say(f"time is over: {error}")

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())


async def rest(contour: Contour, seconds: float) -> None:
    """Wait until the journal has nothing left to do. Raises TimeoutError."""
    question = (
        "select not exists (select 1 from outbox where state <> 'sent') and not exists (select 1 from exchanges"
        " where state in ('received', 'submitting', 'waiting', 'answered', 'retrying'))"
    )
    async with asyncio.timeout(seconds):
        while (await asyncio.to_thread(contour.postgres.psql, question, database="chaos")).strip() != "t":  # noqa: ASYNC110  — a table gives no signal
            await asyncio.sleep(0.5)


def make_command() -> tuple[str, bytes]:
    """Make a command of one action whose transport_id is the command's message_id."""
    name = str(uuid4())
    command = copy.deepcopy(dict(EXAMPLES[0].request))
    command["actions"][0]["transport_id"] = name
    return name, json.dumps(command, ensure_ascii=False).encode()


def say(line: str) -> None:
    """Tell a person how far it is."""
    print(f"  {time.strftime('%H:%M:%S')}  {line}", flush=True)
