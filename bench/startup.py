"""From the start of the process to consuming: the real command line, on a journal that is migrated already."""

from __future__ import annotations

import time

from _stand import PAIRS, Process, Stand, median, report, spread, tell, versions


def seconds(process: Process, began: float, line: str) -> float:
    """Return the seconds from ``began`` until the process says ``line``, and end it."""
    process.wait_line(line)
    took = time.perf_counter() - began
    process.end()
    return took


def main() -> None:
    """Start worker and echo in turn."""
    with Stand.open() as stand:
        database = stand.database()
        variables = stand.adapter_environment(database, "bench.") | {
            "SERVICES": "zhkh-*,smev3.*",
            "SMEV_SERVICE": "http://127.0.0.1:9/ws",
            "SMEV_TRUST": str(stand.certificates.ca),
            "SIGN_SERVICE": "http://127.0.0.1:9",
            "SIGN_TOKEN_OV": "a-token-of-nobody",
        }
        queue = "bench.zhkh-debt-requests"

        def start() -> float:
            return seconds(stand.spawn(["-m", "adapter", "run"], variables), time.perf_counter(), "adapter consumes")

        def echo() -> float:
            environment = stand.broker_environment() | {"BENCH_QUEUE": queue}
            return seconds(stand.spawn(["bench/_echo_worker.py"], environment), time.perf_counter(), "echo consumes")

        first = start()
        tell(f"first start, with migrations and declarations: {first:.2f} s")
        ours, bare = [], []
        for pair in range(PAIRS):
            ours.append(start())
            bare.append(echo())
            tell(f"pair {pair + 1} of {PAIRS}: adapter {ours[-1]:.2f} s, echo {bare[-1]:.2f} s")
        report(
            "startup",
            median(ours),
            "s",
            baseline=median(bare),
            ratio=median([mine / other for mine, other in zip(ours, bare, strict=True)]),
            n=PAIRS,
            range_s=spread(ours),
            first_start_s=round(first, 2),
            settings={"process": "adapter run, all of СМЭВ3", "library": versions("aiormq", "asyncpg", "aiohttp")},
            bar="printed",
        )


if __name__ == "__main__":
    main()
