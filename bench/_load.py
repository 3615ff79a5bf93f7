"""One run under load: a backlog published beforehand, workers started on it, replies counted outside."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from _stand import PAIRS, Process, Stand, body, median, tell, versions

from adapter.broker.topology import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _outside import Outside

SECONDS = 180.0
_TABLES = ("exchanges", "proof", "outbox", "command_key")


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one run: commands per second; CPU in microseconds per command of each part; rows and WAL bytes."""

    rate: float
    worker: float
    broker: float
    database: float
    rows: float = 0.0
    wal: float = 0.0


@dataclass(frozen=True, slots=True)
class Queues:
    """Where commands and replies go in one run."""

    commands: str
    replies: str
    prefix: str

    @classmethod
    async def declare(cls, outside: Outside, action: str) -> Queues:
        """Declare them as the worker would (adapter.broker.topology): it finds them there."""
        prefix = f"bench{uuid4().hex[:6]}."
        names = Names(prefix)
        queues = cls(names.command(action), f"{prefix}outside", prefix)
        await outside.declare(
            queues.commands,
            {
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": names.returned,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-delivery-limit": 1_000_000,
            },
        )
        await outside.declare(queues.replies)
        return queues


async def run_echo(stand: Stand, outside: Outside, count: int, **environment: str) -> Run:
    """Run the baseline on ``count`` messages."""
    queues = Queues(f"bench.echo.{uuid4().hex[:6]}", f"bench.outside.{uuid4().hex[:6]}", "")
    await outside.declare(queues.commands)
    await outside.declare(queues.replies)
    variables = stand.broker_environment() | {"BENCH_QUEUE": queues.commands, **environment}
    return await _measure(stand, outside, queues, count, lambda: [stand.spawn(["bench/_echo_worker.py"], variables)])


async def run_null(
    stand: Stand, outside: Outside, count: int, *, workers: int = 1, action: str = "null", **environment: str
) -> Run:
    """Run the product's worker on ``count`` commands of ``action``; every reply, state and row is counted."""
    database, queues = stand.database(), await Queues.declare(outside, action)
    variables = stand.adapter_environment(database, queues.prefix) | {"SERVICES": action} | environment
    before: list[str] = []

    def start() -> list[Process]:
        before.append(stand.ask(database, "select pg_current_wal_lsn()"))
        return [stand.spawn(["bench/_null_worker.py"], variables) for _ in range(workers)]

    run = await _measure(stand, outside, queues, count, start)
    wal = int(stand.ask(database, f"select pg_wal_lsn_diff(pg_current_wal_lsn(), '{before[0]}')"))
    total = " + ".join(f"(select count(*) from {table})" for table in _TABLES)  # noqa: S608 — our own tables
    rows = int(stand.ask(database, f"select {total}"))
    waited = int(stand.ask(database, "select count(*) from proof where kind = 'accepted'"))
    replied = int(stand.ask(database, "select count(*) from exchanges where state = 'replied'"))
    if replied != count or (action == "null" and waited != count):
        raise RuntimeError(f"of {count} commands {replied} were replied; the state waiting was passed {waited} times")
    stand.postgres.drop_database(database)
    return Run(run.rate, run.worker, run.broker, run.database, rows / count, wal / count)


async def _measure(
    stand: Stand, outside: Outside, queues: Queues, count: int, start: Callable[[], list[Process]]
) -> Run:
    await outside.backlog(queues.commands, queues.replies, body(), count)
    workers: list[Process] = []
    marks: list[tuple[float, float, tuple[float, float]]] = []

    def mark() -> None:
        marks.append((time.perf_counter(), sum(worker.cpu() for worker in workers), stand.services_cpu()))

    outside.expect(count, mark)
    tag = await outside.listen(queues.replies)
    workers.extend(start())
    await outside.finish(SECONDS, workers)
    mark()
    if outside.surplus:
        raise RuntimeError(f"{outside.surplus} surplus replies")
    for worker in workers:
        worker.end()
    await outside.forget(tag)
    await outside.delete(queues.commands, queues.replies)
    (began, worker_cpu, services), (ended, worker_end, services_end) = marks
    return Run(
        (count - 1) / (ended - began),
        (worker_end - worker_cpu) / count * 1e6,
        (services_end[0] - services[0]) / count * 1e6,
        (services_end[1] - services[1]) / count * 1e6,
    )


def show(pair: int, name: str, run: Run) -> None:
    """Tell people of one run."""
    tell(
        f"pair {pair + 1} of {PAIRS}: {name:<14} {run.rate:6.0f}/s, CPU per command:"
        f" worker {run.worker:.0f}, broker {run.broker:.0f}, database {run.database:.0f} us"
    )


def cpu(runs: Sequence[Run]) -> dict[str, int]:
    """Return the median CPU microseconds per command of each part: less shaken by neighbours than the clock."""
    return {part: round(median([getattr(run, part) for run in runs])) for part in ("worker", "broker", "database")}


def settings(stand: Stand, ours: Sequence[Run]) -> dict[str, object]:
    """Return what was switched on, and what one command writes."""
    return {
        "body_bytes": len(body()),
        "tls": "mutual",
        "queues": "quorum, persistent",
        "confirms": "mandatory, confirmed one by one",
        "ack": "after the journal, with a barrier",
        **{name: stand.ask("postgres", f"show {name}") for name in ("fsync", "synchronous_commit")},
        "rows_per_command": round(median([run.rows for run in ours]), 2),
        "wal_bytes_per_command": round(median([run.wal for run in ours])),
        "library": versions("aiormq", "asyncpg", "uvloop"),
        "baseline_library": versions("aio-pika") + ", callback per message, prefetch 200, asyncio",
    }
