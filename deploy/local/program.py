"""A program of ours in the private stack: started once, restarted when its code or configuration changed."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local.console import StepError, step
from deploy.local.debian import PROJECT
from deploy.local.processes import OwnedProcess, clean_environment, last_lines, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 30
SOURCES = ("adapter", "simulators", "schemas")


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the stack: ``state`` is kept between runs, ``log`` and ``run`` (pid files) are for people too."""

    local: Path

    @property
    def state(self) -> Path:
        """What survives a restart: data, certificates, ports."""
        return self.local / "state"

    @property
    def log(self) -> Path:
        """One log per process."""
        return self.local / "log"

    @property
    def run(self) -> Path:
        """One pid file per process."""
        return self.local / "run"


class Program:
    """One of our own processes, with its log and pid file."""

    def __init__(self, name: str, title: str, places: Places) -> None:
        """``name`` names the files, ``title`` is what people read."""
        self.name = name
        self.title = title
        self.log = places.log / f"{name}.log"
        self._mark = places.run / f"{name}.started"
        self._process = OwnedProcess(name, places.run / f"{name}.pid")

    @property
    def running(self) -> bool:
        """Whether the process lives and is ours."""
        return self._process.pid is not None

    @property
    def pid(self) -> int | None:
        """The process's pid while it lives."""
        return self._process.pid

    def start(
        self, argv: list[str], missing: Callable[[], str], result: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the program and return when ``missing`` names nothing any more.

        A running program is kept when it was started with the same configuration and code.
        """
        variables = clean_environment(PYTHONUNBUFFERED="1", **(environment or {}))
        mark = _fingerprint(argv, variables)
        with step(self.title) as running:
            running.result = result
            if self.running and self._marked(mark) and not missing():
                return
            self.stop()
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._process.spawn(argv, env=variables, log=self.log, cwd=PROJECT)

            def settled() -> bool:
                running.note = missing()
                return not running.note or not self.running

            wait_until(settled, START_SECONDS)
            if running.note or not self.running:
                why = f"is not ready, {running.note}" if self.running else "ended at once"
                self.stop()
                raise StepError(f"{self.title} {why}. Its last words in {self.log}:\n{last_lines(self.log)}")
            self._mark.write_text(mark, encoding="ascii")

    def stop(self) -> bool:
        """Stop the program; return whether it ran."""
        self._mark.unlink(missing_ok=True)
        return self._process.stop(seconds=STOP_SECONDS)

    def kill(self) -> None:
        """End the program at once (SIGKILL), as a crash would."""
        self._process.send(signal.SIGKILL)
        self._process.wait_gone(10)

    def _marked(self, mark: str) -> bool:
        return self._mark.exists() and self._mark.read_text(encoding="ascii") == mark


def _fingerprint(argv: list[str], environment: Mapping[str, str]) -> str:
    """Return a hash of everything the program was started from."""
    parts = [*argv, *(f"{name}={value}" for name, value in sorted(environment.items())), *_sources()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _sources() -> Iterator[str]:
    for folder in SOURCES:
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.is_file() and path.suffix in {".py", ".sql", ".xsd", ".json", ".wsdl", ".html", ".css", ".js"}:
                yield f"{path}:{path.stat().st_mtime_ns}"
