"""A null action through all states against a bare echo worker: who empties the same backlog faster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import uvloop
from _load import Run, cpu, run_echo, run_null, settings, show
from _outside import Outside
from _stand import PAIRS, Stand, median, report, spread, tell

from adapter.pipeline.ports import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = int(os.environ.get("BENCH_COUNT", "20000"))
#: What docs/configuration.md advises for small commands: MEMORY_LIMIT then holds 1,000 of them.
SMALL = {"MQ_MAX_BODY": "100kB"}


async def main() -> None:
    """Measure in interleaved pairs."""
    ours: list[Run] = []
    echo: list[Run] = []
    defaults: list[Run] = []
    direct: list[Run] = []
    with Stand.open() as stand:
        async with Outside.open(stand) as outside:
            tell("a first run for nobody: the files of a new database's log are made in it and used again ever after")
            await run_null(stand, outside, COUNT, **SMALL)
            for pair in range(PAIRS):
                echo.append(await run_echo(stand, outside, COUNT))
                show(pair, "echo", echo[-1])
                ours.append(await run_null(stand, outside, COUNT, **SMALL))
                show(pair, "all states", ours[-1])
                defaults.append(await run_null(stand, outside, COUNT))
                show(pair, "by defaults", defaults[-1])
                direct.append(await run_null(stand, outside, COUNT, action="direct", **SMALL))
                show(pair, "without a call", direct[-1])
            report(
                "pipeline",
                median([run.rate for run in ours]),
                "commands/s",
                baseline=median([run.rate for run in echo]),
                ratio=median(_ratios(ours, echo)),
                n=COUNT,
                pairs=PAIRS,
                ratios=spread(_ratios(ours, echo)),
                cpu_us=cpu(ours),
                baseline_cpu_us=cpu(echo),
                by_defaults={
                    "value": round(median([run.rate for run in defaults])),
                    "ratio": round(median(_ratios(defaults, echo)), 3),
                    "cpu_us": cpu(defaults),
                },
                without_a_call={
                    "value": round(median([run.rate for run in direct])),
                    "ratio": round(median(_ratios(direct, echo)), 3),
                    "cpu_us": cpu(direct),
                    "rows_per_command": round(median([run.rows for run in direct]), 2),
                    "wal_bytes_per_command": round(median([run.wal for run in direct])),
                },
                settings=settings(stand, ours) | SMALL | {"gateway_places": Limits().in_flight},
                bar="ratio >= 1.2, goal 1.5",
            )


def _ratios(runs: Sequence[Run], echo: Sequence[Run]) -> list[float]:
    return [mine.rate / bare.rate for mine, bare in zip(runs, echo, strict=True)]


if __name__ == "__main__":
    uvloop.run(main())
