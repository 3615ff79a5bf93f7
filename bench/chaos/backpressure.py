"""A hundred thousand commands wait in the broker, among them bodies of 16 MB: the worker's memory keeps its bound.

The bound is ``base + copies x MQ_PREFETCH x MQ_MAX_BODY x actions``: ``base`` is the worker at rest, the product is
what ``adapter check`` holds against MEMORY_LIMIT, and ``copies`` is how often a body in hand may stand in memory at the
same time: as it was received, and in the statement that journals it. Until the first large body is near, the bound is
:data:`SMALL_BOUND`, whatever waits behind. Memory is sampled from outside (VmRSS, proc(5)).
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bench.chaos.auditor import Auditor
from bench.chaos.processes import PROJECT, Victim
from bench.chaos.run import READY, rest, say

if TYPE_CHECKING:
    from bench.chaos.contour import Contour

PROGRAM = [sys.executable, str(PROJECT / "tests/faults/worker_program.py")]
ACTION = "echo"
LARGE = 50
MAX_BODY, PREFETCH = 16_000_000, 16
COPIES = 2
#: What the worker may take with nothing but small commands before it, however many, in bytes.
SMALL_BOUND = 150_000_000
_LOOK, _PROGRESS = 0.05, 10.0


class Backpressure:
    """Fills the queue while nobody consumes, then lets one worker empty it."""

    def __init__(self, commands: int, contour: Contour, *, deadline: float) -> None:
        """``commands`` small ones, and :data:`LARGE` of :data:`MAX_BODY` bytes in their middle."""
        self._commands = commands
        self._contour = contour
        self._deadline = deadline
        self._small_peak = 0
        self._peak = 0

    async def go(self) -> dict[str, Any]:
        """Run to the end and return the figures; sizes in MB."""
        contour = self._contour
        environment = contour.adapter_environment() | {
            "SERVICES": ACTION,
            "MQ_PREFETCH": str(PREFETCH),
            "MQ_MAX_BODY": str(MAX_BODY),
            "RECORDER": "http://127.0.0.1:9",  # nothing is called, so nothing listens there
            "REPEAT_RULES": '{"Send": "same-id"}',
        }
        async with Victim.running(PROGRAM, environment, READY) as declaring:
            base = declaring.resident()
        async with Auditor.open(contour.broker_urls, contour.upstream_tls(), ACTION) as auditor:
            await self._fill(auditor)
            began = time.monotonic()
            async with Victim.running(PROGRAM, environment, "connected to the broker") as worker:
                try:
                    await self._sample(worker, auditor)
                    await rest(contour, self._left())
                    await auditor.caught_up()
                except TimeoutError as error:
                    say(f"time is over: {error}")
            seconds = time.monotonic() - began
        verdict = auditor.books.verdict()
        bound = base + COPIES * PREFETCH * MAX_BODY
        say(f"outcomes: {dict(auditor.books.outcomes())}; {verdict.commands / seconds:.0f} commands/s")
        return {
            "commands": verdict.commands,
            "large": LARGE,
            "lost": len(verdict.lost),
            "surplus_replies": len(verdict.surplus),
            "repeats": verdict.repeats,
            "base_mb": round(base / 1e6),
            "small_peak_mb": round(self._small_peak / 1e6),
            "small_bound_mb": round(SMALL_BOUND / 1e6),
            "peak_mb": round(self._peak / 1e6),
            "in_hand_mb": round(PREFETCH * MAX_BODY / 1e6),
            "bound_mb": round(bound / 1e6),
            "within_bound": self._peak <= bound and self._small_peak <= SMALL_BOUND,
        }

    async def _fill(self, auditor: Auditor) -> None:
        half = self._commands // 2
        for count in (half, self._commands - half):
            await auditor.publish((_command(b"x" * 700) for _ in range(count)), most=1000)
            say(f"{len(auditor.books.confirmed)} commands wait in the broker")
            if count == half and len(auditor.books.confirmed) == half:
                filler = b"x" * (MAX_BODY - 100)
                for _ in range(LARGE):
                    await auditor.publish([_command(filler)])

    async def _sample(self, worker: Victim, auditor: Auditor) -> None:
        """Keep the worker's highest resident memory until everything is answered. Raises TimeoutError."""
        work = asyncio.create_task(auditor.answered(self._left()))
        told = time.monotonic()
        while not work.done():
            await asyncio.wait({work}, timeout=_LOOK)
            self._peak = max(self._peak, worker.resident())
            if len(auditor.books.replies) < self._commands // 2 - 2 * PREFETCH:
                self._small_peak = self._peak
            if time.monotonic() - told > _PROGRESS:
                told = time.monotonic()
                answered, confirmed = len(auditor.books.replies), len(auditor.books.confirmed)
                say(f"{answered} of {confirmed} answered, peak {self._peak / 1e6:.0f} MB")
        await work

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())


def _command(filler: bytes) -> tuple[str, bytes]:
    name = str(uuid4())
    return name, b'{"transport_id":"' + name.encode() + b'","filler":"' + filler + b'"}'
