"""Nodes of a RabbitMQ cluster die under load, one after another, the leader of a queue in use each time."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from bench.chaos.auditor import Auditor
from bench.chaos.books import double_submits, never_submitted
from bench.chaos.processes import Victim
from bench.chaos.run import ACTION, ADAPTER, READY, WINDOW, WORKERS, make_command, rest, say
from bench.chaos.services import fell, rise

if TYPE_CHECKING:
    from bench.chaos.contour import Contour
    from deploy.local.rabbitmq import LocalRabbit

NODES = 3
#: Seconds between looks at the cluster, and how long it may take to be whole.
_LOOK, _PATIENCE = 0.5, 120


class NodeLoss:
    """Publishes, kills the leaders' nodes, brings them back, counts."""

    def __init__(self, commands: int, contour: Contour, *, deadline: float) -> None:
        """``commands`` is the least that is published, ``deadline`` a moment of the monotonic clock."""
        self._commands = commands
        self._contour = contour
        self._deadline = deadline
        self._killed: list[LocalRabbit] = []
        self._workers: list[Victim] = []
        self._enough = asyncio.Event()

    async def go(self) -> dict[str, Any]:
        """Run to the end and return the figures."""
        contour = self._contour
        async with (
            Auditor.open(contour.broker_urls, contour.upstream_tls(), ACTION) as auditor,
            AsyncExitStack() as stack,
        ):
            hosts = contour.broker_hosts
            for first in range(WORKERS):
                order = {"MQ_HOST": ",".join(hosts[first:] + hosts[:first])}
                running = Victim.running(ADAPTER, contour.adapter_environment() | order, READY)
                self._workers.append(await stack.enter_async_context(running))
            await self._whole()
            try:
                async with asyncio.timeout(self._left()), asyncio.TaskGroup() as group:
                    group.create_task(self._bring(auditor))
                    await self._lose_nodes(auditor)
                    self._enough.set()
                say(f"{len(self._killed)} nodes killed; waiting for {len(auditor.books.missing())} replies")
                await auditor.answered(self._left())
                await rest(contour, self._left())
                await auditor.caught_up()
            except TimeoutError as error:
                say(f"time is over: {error}")
            died = [worker for worker in self._workers if not worker.alive]
            for worker in died:
                say(f"a worker ended by itself:\n{worker.last_words}")
        ledger = await asyncio.to_thread(contour.ledger)
        verdict = auditor.books.verdict()
        unsent = never_submitted(ledger, auditor.books.confirmed)
        say(f"outcomes: {dict(auditor.books.outcomes())}; never submitted: {len(unsent)}")
        return {
            "kills": len(self._killed),
            "commands": verdict.commands,
            "lost": len(verdict.lost),
            "double_submits": len(double_submits(ledger)),
            "surplus_replies": len(verdict.surplus),
            "repeats": verdict.repeats,
            "workers_died": len(died),
        }

    async def _bring(self, auditor: Auditor) -> None:
        """Publish until the nodes have died and the plan is fulfilled, never much more than is answered."""
        while not self._enough.is_set() or len(auditor.books.confirmed) < self._commands:
            await auditor.publish([make_command() for _ in range(20)])
            await auditor.progressed(len(auditor.books.confirmed) - WINDOW, self._left())

    async def _lose_nodes(self, auditor: Auditor) -> None:
        """Kill the node of the leader of commands, replies and returned commands in turn; each node dies once."""
        share = self._commands // (2 * NODES)
        for queue in (ACTION, auditor.reply_queue, "adapter.returned"):
            await auditor.progressed(len(auditor.books.replies) + share, self._left())
            node = await self._leader(queue)
            await fell(node)
            self._killed.append(node)
            began, before = time.monotonic(), len(auditor.books.replies)
            await auditor.progressed(before + share, self._left())
            name = "replies" if queue == auditor.reply_queue else queue
            say(f"{node.node} killed, leader of {name}: {share} more replies in {time.monotonic() - began:.1f} s")
            await rise(node)
            await self._whole()
            say(f"{node.node} is back; {len(auditor.books.replies)} of {len(auditor.books.confirmed)} answered")

    async def _leader(self, queue: str) -> LocalRabbit:
        """Return the node that leads ``queue``, or another leader when that one has died before."""
        leaders = await asyncio.to_thread(self._contour.cluster.leaders)
        fresh = [node for node in self._contour.cluster.nodes if node not in self._killed]
        return next((node for node in (leaders[queue], *leaders.values()) if node in fresh), fresh[0])

    async def _whole(self) -> None:
        """Wait until every queue has all its members."""
        async with asyncio.timeout(_PATIENCE):
            while not await asyncio.to_thread(self._contour.cluster.whole):  # noqa: ASYNC110  — a cluster gives no signal
                await asyncio.sleep(_LOOK)

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())
