"""Memory of one worker with 10,000 exchanges open in the journal and 100,000 commands waiting in the broker."""

from __future__ import annotations

import asyncio
import os
import time

import uvloop
from _load import Queues
from _outside import Outside
from _stand import Process, Stand, body, report, tell, versions

OPEN = int(os.environ.get("BENCH_OPEN", "10000"))
BACKLOG = int(os.environ.get("BENCH_BACKLOG", "100000"))


async def settled(worker: Process, seconds: float = 6.0) -> float:
    """Return the greatest RSS seen in a few quiet seconds, in MB."""
    most, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, worker.rss())
        await asyncio.sleep(0.1)
    return most


async def until(stand: Stand, database: str, question: str, wanted: int, seconds: float = 120) -> None:
    """Wait until the journal counts as many."""
    async with asyncio.timeout(seconds):
        while int(stand.ask(database, question)) < wanted:  # noqa: ASYNC110 — a table gives no signal
            await asyncio.sleep(0.5)


async def main() -> None:
    """Fill the journal, then the broker behind a gateway that hangs; the worker holds what its bounds say."""
    with Stand.open() as stand:
        async with Outside.open(stand) as outside:
            waiting = await Queues.declare(outside, "open")
            stuck = Queues(f"{waiting.prefix}stuck", waiting.replies, waiting.prefix)
            await outside.declare(stuck.commands)
            database = stand.database()
            variables = stand.adapter_environment(database, waiting.prefix) | {"SERVICES": "open,stuck"}
            worker = stand.spawn(["bench/_null_worker.py"], variables)
            worker.wait_line("adapter consumes")
            idle = await settled(worker, 2)
            tell(f"idle {idle:.0f} MB; opening {OPEN} exchanges")
            await outside.backlog(waiting.commands, waiting.replies, body(), OPEN)
            await until(stand, database, "select count(*) from exchanges where state = 'waiting'", OPEN)
            opened = await settled(worker)
            tell(f"{opened:.0f} MB with {OPEN} open; {BACKLOG} commands go into the broker")
            tenth = BACKLOG // 10
            await outside.backlog(stuck.commands, stuck.replies, body(), tenth)
            some = await settled(worker)
            tell(f"{some:.0f} MB with {tenth} waiting")
            await outside.backlog(stuck.commands, stuck.replies, body(), BACKLOG - tenth)
            full = await settled(worker)
            taken = int(stand.ask(database, "select count(*) from exchanges where action = 'stuck'"))
            left = await outside.waiting(stuck.commands)
            tell(f"{full:.0f} MB with {BACKLOG} published: {taken} taken in, {left} not yet delivered")
            report(
                "memory",
                full,
                "MB",
                baseline=idle,
                ratio=full / idle,
                n=BACKLOG,
                open_exchanges=OPEN,
                growth_with_backlog_mb=round(full - some, 1),
                steps_mb={"idle": round(idle), "open": round(opened), "tenth": round(some), "full": round(full)},
                taken_in=taken,
                ready_in_broker=left,
                settings={
                    "body_bytes": len(body()),
                    "prefetch": "by MEMORY_LIMIT: 128 of each action",
                    "process": "everything the real worker imports",
                    "library": versions("aiormq", "asyncpg", "lxml"),
                },
                bar="value <= 150 MB, no growth with the backlog",
            )
            worker.child.kill()  # its gateway hangs on purpose: there is nothing to wait for
            worker.child.wait(10)


if __name__ == "__main__":
    uvloop.run(main())
