"""An archive of 500 MB from a command to ЕПГУ in chunks, against a bare upload by aiohttp of the same chunks.

The adapter is the real process on a broker and a database: it takes the archive in and looks into it, reserves a
number, sends the chunks inside the limits, with a token of ЕСИА, and journals what was answered. ``value`` is the rate
of the upload itself, from the first chunk to the last answer, as the journal has it; the baseline sends the same
chunks over as many connections to the same simulator, from a process of its own. ``command_mb_s`` is the whole way
from publish to reply: the archive is written to FILES_ROOT, hashed and looked into before anything is sent. The
simulator keeps digests.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import urllib.request
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any

import uvloop
from _load import Queues
from _outside import Outside
from _stand import PAIRS, PLACE, PROJECT, Process, Stand, median, report, spread, tell, versions

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = int(os.environ.get("BENCH_FILE_MB", "500"))
ACTION = "epgu.order.submit"
META = {"service_code": "10000000113", "target_code": "-10000000113", "region": "45000000000"}
KEY = "11111111-1111-4111-8111-111111111111"
#: What profile 1.12 makes of an archive, and the default of EPGU_PARALLEL.
CHUNK, PARALLEL = 5_000_000, 4
SECONDS = 600.0
_RECORDS = "select convert_from(data, 'UTF8') from proof where kind = 'answer' order by at desc limit 1"


class Portal:
    """Signing service and simulator."""

    def __init__(self, stand: Stand) -> None:
        """Start them."""
        self.keys = PLACE / "keys"
        stand.spawn(["-m", "simulators.keys", str(self.keys)]).child.wait(60)
        keys = ["--port", "0", "--keys", str(self.keys)]
        self.sign = _url(stand.spawn(["-m", "simulators.sign_service", *keys]))
        self.url = _url(stand.spawn(["-m", "simulators.epgu", *keys, "--keep", "digest"]))
        self._tell("settings", orders_limit=1000)
        self.token = str(self._tell("persons", client_id="MNEMONIKA", oid="1000000201")["access_token"])

    def _tell(self, what: str, **wanted: Any) -> Any:
        return self._post(f"/_sim/{what}", wanted, {})

    def _post(self, path: str, wanted: dict[str, Any], headers: dict[str, str]) -> Any:
        head = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, json.dumps(wanted).encode(), head)  # noqa: S310 — ours
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 — same
            return json.loads(answer.read() or b"null")

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the adapter's variables that lead to them."""
        tokens = json.loads((self.keys / "tokens.json").read_text(encoding="utf-8"))
        (folder / "kept").mkdir()
        return {
            "SERVICES": ACTION,
            "EPGU_URL": self.url,
            "ESIA_URL": self.url,
            "ESIA_API_KEYS": f"head={KEY}",
            "EPGU_LIMIT_ORDERS": "1000",
            "EPGU_FOLLOW": "false",
            "SIGN_SERVICE": self.sign,
            "SIGN_TOKEN_OV": tokens["ov"],
            "SIGN_TOKEN_SP": tokens["sp"],
            "FILES_ROOT": str(folder / "kept"),
            "FILES_IN_PATHS": str(folder / "given"),
        }

    def bare(self, stand: Stand, source: Path) -> dict[str, float]:
        """Upload once, bare, for a number reserved beforehand."""
        meta = {"serviceCode": META["service_code"], "targetCode": META["target_code"], "region": META["region"]}
        order = self._post("/api/gusmev/order", meta, {"Authorization": f"Bearer {self.token}"})["orderId"]
        variables = {"BENCH_URL": self.url, "BENCH_TOKEN": self.token, "BENCH_ORDER": str(order)}
        variables |= {"BENCH_SOURCE": str(source), "BENCH_CHUNK": str(CHUNK), "BENCH_PARALLEL": str(PARALLEL)}
        process = stand.spawn(["bench/_bare_chunks.py"], variables)
        process.child.wait(SECONDS)
        said: dict[str, float] = json.loads(process.wait_line('"seconds"'))
        return said


def _url(process: Process) -> str:
    return str(json.loads(process.wait_line('"ready"'))["url"])


def archive(path: Path, size: int) -> None:
    """Write a flat archive of about ``size`` bytes that no compression makes smaller."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        made.writestr("req.xml", b"<request/>")
        with made.open("noise.bin", "w", force_zip64=True) as member:
            for _ in range(size // 10**6):
                member.write(os.urandom(10**6))


async def submit(outside: Outside, queues: Queues, worker: Process, path: Path) -> tuple[float, float, float]:
    """Submit one archive; return seconds, CPU seconds and the greatest RSS meanwhile in MB."""
    outside.expect(1)
    before, began, most = worker.cpu(), time.perf_counter(), 0.0
    command = json.dumps({**META, "archive": {"path": str(path)}}).encode()
    name = await outside.publish(queues.commands, queues.replies, command)
    done = asyncio.create_task(outside.finish(SECONDS, [worker]))
    while not done.done():
        most = max(most, worker.rss())
        await asyncio.wait([done], timeout=0.05)
    await done
    return outside.arrived[name] - began, worker.cpu() - before, most


def uploaded(stand: Stand, database: str) -> float:
    """Return the seconds of the last upload: from its first chunk to its last answer."""
    told = [json.loads(line) for line in stand.ask(database, _RECORDS).splitlines() if line.strip()]
    first, last = told[0]["request"]["sent_at"], told[-1]["answer"]["received_at"]
    if told[-1]["answer"]["status"] != 200 or "chunk" not in told[-1]["request"]["fields"]:
        raise RuntimeError(f"no upload of chunks was journaled: {told[-1]['answer']}")
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


async def main() -> None:
    """Measure in interleaved pairs."""
    folder = PLACE / "files"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "given").mkdir(parents=True)
    large, small = folder / "given/large.zip", folder / "given/small.zip"
    archive(large, MEGABYTES * 10**6)
    archive(small, 2 * CHUNK)
    ours: list[tuple[float, float, float]] = []
    uploads: list[float] = []
    bare: list[dict[str, float]] = []
    try:
        with Stand.open() as stand:
            async with Outside.open(stand) as outside:
                queues = await Queues.declare(outside, ACTION)
                await outside.listen(queues.replies)
                portal, database = Portal(stand), stand.database()
                worker = stand.spawn(
                    ["-m", "adapter", "run"],
                    stand.adapter_environment(database, queues.prefix) | portal.variables(folder),
                )
                worker.wait_line("adapter consumes")
                for _ in range(3):
                    await submit(outside, queues, worker, small)
                idle = worker.rss()
                for pair in range(PAIRS):
                    ours.append(await submit(outside, queues, worker, large))
                    uploads.append(uploaded(stand, database))
                    bare.append(portal.bare(stand, large))
                    tell(
                        f"pair {pair + 1} of {PAIRS}: command {ours[-1][0]:.1f} s, of it upload {uploads[-1]:.1f} s, "
                        f"RSS up to {ours[-1][2]:.0f} MB; bare upload {bare[-1]['seconds']:.1f} s"
                    )
                    for kept in (folder / "kept").rglob("*"):
                        if kept.is_file():
                            kept.unlink()
                _report(ours, uploads, bare, idle, large.stat().st_size / 1e6)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(
    ours: list[tuple[float, float, float]], uploads: list[float], bare: list[dict[str, float]], idle: float, size: float
) -> None:
    rates = [size / seconds for seconds in uploads]
    baseline = [size / one["seconds"] for one in bare]
    ratios = [mine / theirs for mine, theirs in zip(rates, baseline, strict=True)]
    report(
        "epgu-upload",
        median(rates),
        "MB/s",
        baseline=median(baseline),
        ratio=median(ratios),
        n=len(rates),
        archive_mb=round(size),
        chunks=-(-int(size * 1e6) // CHUNK),
        rss_growth_mb=round(max(most for _, _, most in ours) - idle, 1),
        rss_idle_mb=round(idle),
        value_spread=spread(rates),
        baseline_spread=spread(baseline),
        ratio_spread=spread(ratios),
        command_mb_s=round(median([size / seconds for seconds, _, _ in ours]), 1),
        cpu_s_per_gb={
            "adapter": round(median([cpu for _, cpu, _ in ours]) / size * 1000, 2),
            "bare": round(median([one["cpu"] for one in bare]) / size * 1000, 2),
        },
        settings={
            "server": "the ЕПГУ simulator with --keep digest, a process of its own on the same processors",
            "parallel": PARALLEL,
            "chunk_bytes": CHUNK,
            "processors": os.cpu_count(),
            "library": versions("aiohttp", "uvloop"),
        },
        bar="ratio >= 0.8, RSS growth <= 64 MB",
    )


if __name__ == "__main__":
    assert PROJECT  # noqa: S101 — the stand has put it on the path
    uvloop.run(main())
