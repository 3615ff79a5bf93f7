"""A process under test: its words are read to the end, its death is waited for, its signals are real."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

PROJECT = Path(__file__).resolve().parents[2]
_TAIL = 25


class Victim:
    """One program of ours that may be killed at any moment."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use :meth:`start`."""
        self.process = process
        self.lines: list[str] = []
        self._awaited: list[tuple[str, asyncio.Future[str]]] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, argv: Sequence[str], environment: Mapping[str, str]) -> Victim:
        """Start ``argv`` with exactly this environment beside PATH, HOME and coverage's own."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or "COV" in name}
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=PROJECT,
            env=kept | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"} | dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        return cls(process)

    @classmethod
    @asynccontextmanager
    async def running(cls, argv: Sequence[str], environment: Mapping[str, str], ready: str) -> AsyncIterator[Victim]:
        """Run a program for the length of a block, from the moment it says ``ready``; what still lives is killed."""
        victim = await cls.start(argv, environment)
        try:
            if ready:
                await victim.said(ready)
            yield victim
        finally:
            victim.send(signal.SIGKILL)
            await victim.ended(10)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.returncode is None

    async def said(self, part: str, seconds: float = 45) -> str:
        """Return the first line that holds ``part``. Raises AssertionError with its last words when none comes."""
        line = next((line for line in self.lines if part in line), None)
        if line is not None:
            return line
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited.append((part, told))
        waits: set[asyncio.Future[Any]] = {told, self._reading}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            raise AssertionError(f"{part!r} was not said (exit code {self.process.returncode}):\n{self.last_words}")
        return told.result()

    @property
    def last_words(self) -> str:
        """The end of what it said."""
        return "".join(self.lines[-_TAIL:])

    def send(self, number: signal.Signals) -> bool:
        """Signal it; false when it is gone already."""
        if not self.alive:
            return False
        try:
            self.process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    async def ended(self, seconds: float) -> int:
        """Wait for its end and return the exit code; negative numbers are signals. Raises TimeoutError."""
        code = await asyncio.wait_for(self.process.wait(), seconds)
        await asyncio.wait_for(self._reading, 10)
        return code

    def resident(self) -> int:
        """Return its resident memory in bytes (proc(5), ``VmRSS``)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024

    async def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  — it was asked for
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace")
            self.lines.append(line)
            for part, told in self._awaited:
                if part in line and not told.done():
                    told.set_result(line)
