"""Two worker processes on one journal and one queue: what a second process costs per command."""

from __future__ import annotations

import os

import uvloop
from _load import Run, cpu, run_null, settings, show
from _outside import Outside
from _stand import PAIRS, Stand, median, report, spread

COUNT = int(os.environ.get("BENCH_COUNT", "8000"))


async def main() -> None:
    """Measure one process and two in interleaved pairs."""
    one: list[Run] = []
    two: list[Run] = []
    with Stand.open() as stand:
        async with Outside.open(stand) as outside:
            for pair in range(PAIRS):
                one.append(await run_null(stand, outside, COUNT))
                show(pair, "one process", one[-1])
                two.append(await run_null(stand, outside, COUNT, workers=2))
                show(pair, "two processes", two[-1])
            ratios = [both.worker / alone.worker for both, alone in zip(two, one, strict=True)]
            report(
                "pipeline-2",
                median([run.worker for run in two]),
                "CPU us/command",
                baseline=median([run.worker for run in one]),
                ratio=median(ratios),
                n=COUNT,
                pairs=PAIRS,
                ratios=spread(ratios),
                commands_per_second={
                    "one": round(median([run.rate for run in one])),
                    "two": round(median([run.rate for run in two])),
                },
                cpu_us=cpu(two),
                baseline_cpu_us=cpu(one),
                settings=settings(stand, two),
                bar="ratio <= 1.15",
            )


if __name__ == "__main__":
    uvloop.run(main())
