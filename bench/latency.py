"""How long one command takes when there is no crowd: a durable null action beside a bare echo, at 20/s and 200/s."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any
from uuid import uuid4

import uvloop
from _load import Queues
from _outside import Outside
from _stand import PAIRS, Stand, body, median, report, tell, versions

RATES = {20: 100, 200: 800}
ACTIONS = ("echo", "null", "direct")


async def measure(outside: Outside, queues: Queues, rate: int, count: int) -> list[float]:
    """Publish ``count`` commands at ``rate`` a second; return each one's milliseconds from publish to reply."""
    content = body()
    outside.expect(count)
    sent: dict[str, float] = {}
    tasks = []
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        name = str(uuid4())
        sent[name] = time.perf_counter()
        tasks.append(asyncio.create_task(outside.publish(queues.commands, queues.replies, content, name)))
    await asyncio.gather(*tasks)
    await outside.finish(60)
    return [(outside.arrived[name] - moment) * 1e3 for name, moment in sent.items()]


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of all lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def main() -> None:
    """Run all three workers side by side, idle but for the one that is asked."""
    queues: dict[str, Queues] = {}
    p50: dict[tuple[str, int], list[float]] = defaultdict(list)
    p99: dict[tuple[str, int], list[float]] = defaultdict(list)
    with Stand.open() as stand:
        async with Outside.open(stand) as outside:
            for action in ACTIONS:
                queues[action] = await Queues.declare(outside, action)
                if action == "echo":
                    more = {"BENCH_QUEUE": queues[action].commands}
                    stand.spawn(["bench/_echo_worker.py"], stand.broker_environment() | more)
                else:
                    variables = stand.adapter_environment(stand.database(), queues[action].prefix)
                    stand.spawn(["bench/_null_worker.py"], variables | {"SERVICES": action})
                await outside.listen(queues[action].replies)
                await measure(outside, queues[action], 100, 50)
            for pair in range(PAIRS):
                for rate, count in RATES.items():
                    for action in ACTIONS:
                        values = await measure(outside, queues[action], rate, count)
                        p50[action, rate].append(percentile(values, 0.5))
                        p99[action, rate].append(percentile(values, 0.99))
                        tell(
                            f"pair {pair + 1} of {PAIRS}: {action:<7}{rate:4}/s"
                            f" p50 {p50[action, rate][-1]:6.1f} ms, p99 {p99[action, rate][-1]:6.1f} ms"
                        )
            _report(stand, p50, p99)


def _report(stand: Stand, p50: dict[tuple[str, int], list[float]], p99: dict[tuple[str, int], list[float]]) -> None:
    over = {
        action: {
            f"{rate}/s": round(
                median([mine - bare for mine, bare in zip(p50[action, rate], p50["echo", rate], strict=True)]), 2
            )
            for rate in RATES
        }
        for action in ACTIONS[1:]
    }
    table: dict[str, Any] = {
        f"{action} {rate}/s": {
            "p50_ms": round(median(p50[action, rate]), 2),
            "p99_ms": round(median(p99[action, rate]), 2),
        }
        for action in ACTIONS
        for rate in RATES
    }
    report(
        "latency",
        median(p50["null", 200]),
        "ms, p50 at 200/s",
        baseline=median(p50["echo", 200]),
        ratio=median([mine / bare for mine, bare in zip(p50["null", 200], p50["echo", 200], strict=True)]),
        n=sum(RATES.values()),
        pairs=PAIRS,
        p50_over_echo_ms=over,
        table=table,
        settings={
            "null": "all states: five durable steps",
            "direct": "answered by its service: two durable steps",
            "fsync": stand.ask("postgres", "show fsync"),
            "library": versions("aiormq", "asyncpg", "uvloop"),
        },
        bar="p50 <= echo's + 6 ms",
    )


if __name__ == "__main__":
    uvloop.run(main())
