"""What the benchmarks share: private services under ``.local/bench``, processes, an outside consumer, medians, lines.

A benchmark prints one JSON line on stdout; what people want to see meanwhile goes to stderr. Every figure is the
median of interleaved pairs (ours, the baseline, ours, the baseline, ...), because the machine is shared.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT)]

from deploy.local.certificates import Certificates  # noqa: E402 — the scripts run from anywhere
from deploy.local.postgres import LocalPostgres  # noqa: E402
from deploy.local.processes import clean_environment  # noqa: E402
from deploy.local.rabbitmq import LocalRabbit  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PLACE = PROJECT / ".local/bench"
#: Interleaved pairs whose median counts.
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
#: Bytes of a command's body in the benches of the pipeline.
BODY_BYTES = 800
_TICKS = os.sysconf("SC_CLK_TCK")


def tell(sentence: str) -> None:
    """Tell people how far it is."""
    print(f"  {sentence}", file=sys.stderr, flush=True)


def report(  # noqa: PLR0913 — the columns of the line
    name: str, value: float, unit: str, *, baseline: float | None, ratio: float | None, n: int, **more: Any
) -> None:
    """Print the one line of a benchmark. ``ratio`` is the median of the pairs' ratios."""
    line = {"name": name, "value": _short(value), "unit": unit, "baseline": _short(baseline), "ratio": _short(ratio)}
    print(json.dumps({**line, "n": n, **more}, ensure_ascii=False), flush=True)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> list[float | None]:
    """Return the least and the greatest, for people who judge the noise."""
    return [_short(min(values)), _short(max(values))]


def versions(*packages: str) -> str:
    """Name the libraries that were measured."""
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def body(size: int = BODY_BYTES) -> bytes:
    """Return a JSON command of exactly ``size`` bytes that no database compresses away."""
    noise = random.Random(size).randbytes(size).hex()  # noqa: S311 — the same in every run
    return json.dumps({"x": noise[: size - len('{"x": ""}')]}).encode()


@dataclass(slots=True)
class Process:
    """A process of ours; its output goes to a file."""

    child: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.child.pid

    def cpu(self) -> float:
        """Return the CPU seconds it has used so far, user and system, all threads."""
        return cpu_of(self.pid)

    def rss(self) -> float:
        """Return its resident set in MB (10^6 bytes)."""
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        )
        return int(fields["VmRSS"].split()[0]) * 1024 / 1e6

    def wait_line(self, part: str, seconds: float = 60) -> str:
        """Return the first line of its output that holds ``part``."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            for line in lines:
                if part in line:
                    return line
            if self.child.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"{part!r} was not said:\n" + "\n".join(self._tail()))

    def must_live(self) -> None:
        """Raise RuntimeError with its last words when it has ended."""
        if self.child.poll() is not None:
            raise RuntimeError("a process ended by itself:\n" + "\n".join(self._tail()))

    def end(self, seconds: float = 60) -> None:
        """End it politely, then by force."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(5)

    def _tail(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process (proc(5): stat, fields 14 and 15; resolution 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass
class Stand:
    """Broker, database and processes of one benchmark; everything is stopped at its end."""

    rabbit: LocalRabbit
    postgres: LocalPostgres
    certificates: Certificates
    processes: list[Process] = field(default_factory=list)
    _databases: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def open(cls, *, rabbit: bool = True) -> Iterator[Self]:
        """Start private services; one benchmark at a time uses them."""
        PLACE.mkdir(parents=True, exist_ok=True)
        with (PLACE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            certificates = Certificates(PLACE / "certificates")
            broker = LocalRabbit(PLACE / "rabbitmq", certificates, quiet=True)
            database = LocalPostgres(PLACE / "postgres", quiet=True)
            broker.stop()  # what a killed run left behind
            database.remove()
            stand = cls(broker, database, certificates)
            try:
                tell("starting a private RabbitMQ and PostgreSQL")
                if rabbit:
                    broker.start()
                database.start()
                yield stand
            finally:
                for process in stand.processes:
                    process.end()
                broker.stop()
                database.remove()

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start one of our programs with exactly this environment."""
        logs = PLACE / "log"
        logs.mkdir(exist_ok=True)
        path = logs / f"{Path(argv[-1]).stem}-{len(self.processes)}.log"
        with path.open("wb") as output:
            child = subprocess.Popen(  # noqa: S603 — our own program
                [sys.executable, *argv],
                cwd=PROJECT,
                env=clean_environment(**{"PYTHONPATH": str(PROJECT), **(environment or {})}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process = Process(child, path)
        self.processes.append(process)
        return process

    def database(self) -> str:
        """Create an empty database."""
        name = f"bench_{uuid4().hex[:10]}"
        self.postgres.create_database(name)
        self._databases.append(name)
        return name

    def ask(self, database: str, question: str) -> str:
        """Return what the database answers, one value."""
        answer: str = self.postgres.psql(question, database=database)
        return answer.strip()

    def broker_environment(self) -> dict[str, str]:
        """Return how a client of the broker logs in, in the adapter's variables."""
        pair = self.certificates.client("adapter")
        return {
            "CA_CERT": str(self.certificates.ca),
            "CLIENT_CERT": str(pair.certificate),
            "CLIENT_KEY": str(pair.key),
            "MQ_HOST": self.rabbit.host,
            "MQ_PORT": str(self.rabbit.port),
        }

    def adapter_environment(self, database: str, prefix: str) -> dict[str, str]:
        """Return what an operator would set: the defaults of the product, JSON logs."""
        return self.broker_environment() | {
            "MQ_PREFIX": prefix,
            "SERVICES": "*",
            "HEALTH_PORT": "0",
            "LOG_FORMAT": "json",
            "DATABASE_HOST": self.postgres.host,
            "DATABASE_PORT": str(self.postgres.port),
            "DATABASE_NAME": database,
            "DATABASE_USER": self.postgres.user,
            "DATABASE_PASS": self.postgres.password,
        }

    def services_cpu(self) -> tuple[float, float]:
        """Return the CPU seconds of broker and of all database processes so far."""
        postmaster = self.postgres.pid or 0
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split()
        database = sum(_or_zero(cpu_of, int(pid)) for pid in [str(postmaster), *children])
        return cpu_of(self.rabbit.pid or 0), database


def _or_zero(ask: Callable[[int], float], pid: int) -> float:
    try:
        return ask(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
