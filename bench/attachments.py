"""A file of 500 MB from a command to СМЭВ3's file storage and back with the answer, against a bare copy by aioftp.

The adapter is the real process on a broker and a database: it reads the file, hashes it by Streebog and SHA-256, sends
it by FTP and has it signed; fetches it again, hashes and checks it and writes it down for good. Time runs from publish
to reply. The baseline is the library's own upload and download of the same file; beside it stand the same with file
access in threads (``ratio_to_threads``) and a loop over pieces as large as ours (``ratio_to_pieces``). The simulator
reads no file for itself; both FTP servers are pyftpdlib in a process of its own.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shutil
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import uvloop
from _load import Queues
from _outside import Outside
from _stand import PAIRS, PLACE, PROJECT, Process, Stand, median, report, spread, tell, versions

from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.signing.streebog import StreamingStreebog
from deploy.local.processes import remembered_ports

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = int(os.environ.get("BENCH_FILE_MB", "500"))
ACTION = "zhkh-debt-requests"
SECONDS = 600.0
WAYS = ("library", "library-async", "pieces")


def command(path: Path) -> bytes:
    """Return the seed's first example under a transport id of its own, with one file."""
    fresh = copy.deepcopy(dict(EXAMPLES[0].request))
    fresh["actions"][0]["transport_id"] = str(uuid4())
    fresh["attachments"] = [{"name": "file.bin", "mime_type": "application/octet-stream", "path": str(path)}]
    return json.dumps(fresh, ensure_ascii=False).encode()


class Neighbours:
    """Signing service, simulator with its file storage, and a plain FTP server for the bare copy."""

    def __init__(self, stand: Stand, folder: Path) -> None:
        """Start them; files lie in ``folder``."""
        self.keys = PLACE / "keys"
        stand.spawn(["-m", "simulators.keys", str(self.keys)]).child.wait(60)
        temporary = {"TMPDIR": str(folder)}
        keys = ["--port", "0", "--keys", str(self.keys)]
        self.sign = _ready(stand.spawn(["-m", "simulators.sign_service", *keys]))["url"]
        self.smev = _ready(stand.spawn(["-m", "simulators.smev3", *keys], temporary))
        self._tell("settings", check_files=False)
        self._tell("scenario", echo=True)
        plain = folder / "plain"
        plain.mkdir()
        self.port = remembered_ports(folder / "ports.json", ["ftp"])["ftp"]
        options = ["-i", "127.0.0.1", "-p", str(self.port), "-d", str(plain), "-u", "bench", "-P", "bench", "-w"]
        stand.spawn(["-m", "pyftpdlib", *options]).wait_line("starting FTP server")

    def _tell(self, what: str, **wanted: Any) -> None:
        data, head = json.dumps(wanted).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.smev['url']}/_sim/{what}", data=data, headers=head)  # noqa: S310 — ours
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 — same

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the adapter's variables that lead to them."""
        tokens = json.loads((self.keys / "tokens.json").read_text(encoding="utf-8"))
        (folder / "kept").mkdir()
        return {
            "SERVICES": ACTION,
            "SMEV_SERVICE": f"{self.smev['url']}/smev/v1.2/ws",
            "SMEV_FTP_PORT": str(self.smev["ftp"]),
            "SMEV_TRUST": str(self.keys / "ca.crt.pem"),
            "SMEV_POLL_MAX": "1",
            "SIGN_SERVICE": self.sign,
            "SIGN_TOKEN_OV": tokens["ov"],
            "SIGN_TOKEN_SP": tokens["sp"],
            "FILES_ROOT": str(folder / "kept"),
            "FILES_IN_PATHS": str(folder / "given"),
        }

    def bare(self, stand: Stand, source: Path, target: Path, way: str) -> dict[str, float]:
        """Copy once, bare."""
        files = {"BENCH_SOURCE": str(source), "BENCH_TARGET": str(target)}
        variables = files | {"BENCH_FTP": str(self.port), "BENCH_WAY": way}
        process = stand.spawn(["bench/_bare_ftp.py"], variables)
        process.child.wait(SECONDS)
        said: dict[str, float] = json.loads(process.wait_line('"up"'))
        return said


def _ready(process: Process) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(process.wait_line('"ready"'))
    return said


async def exchange(outside: Outside, queues: Queues, worker: Process, path: Path) -> tuple[float, float, float]:
    """Send one file there and back; return seconds, CPU seconds and the greatest RSS meanwhile in MB."""
    outside.expect(1)
    before, began, most = worker.cpu(), time.perf_counter(), 0.0
    name = await outside.publish(queues.commands, queues.replies, command(path))
    done = asyncio.create_task(outside.finish(SECONDS, [worker]))
    while not done.done():
        most = max(most, worker.rss())
        await asyncio.wait([done], timeout=0.05)
    await done
    return outside.arrived[name] - began, worker.cpu() - before, most


def hashing_rate(pieces: int = 64) -> float:
    """Return how fast this machine computes Streebog on one processor, in MB of CPU time."""
    digest, piece = StreamingStreebog(256), os.urandom(1 << 20)
    before = time.process_time()
    for _ in range(pieces):
        digest.update(piece)
    return pieces * len(piece) / 1e6 / (time.process_time() - before)


async def main() -> None:
    """Measure in interleaved pairs."""
    folder = PLACE / "files"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "given").mkdir(parents=True)
    source, small = folder / "given/file.bin", folder / "given/small.bin"
    with source.open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(os.urandom(10**6))
    small.write_bytes(os.urandom(6 * 10**6))
    ours: list[tuple[float, float, float]] = []
    bare: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    try:
        with Stand.open() as stand:
            async with Outside.open(stand) as outside:
                queues = await Queues.declare(outside, ACTION)
                await outside.listen(queues.replies)
                neighbours = Neighbours(stand, folder)
                variables = stand.adapter_environment(stand.database(), queues.prefix) | neighbours.variables(folder)
                worker = stand.spawn(["bench/_files_worker.py"], variables)
                worker.wait_line("adapter consumes")
                overhead = median([(await exchange(outside, queues, worker, small))[0] for _ in range(3)])
                idle = worker.rss()
                for pair in range(PAIRS):
                    ours.append(await exchange(outside, queues, worker, source))
                    for way in WAYS:
                        bare[way].append(neighbours.bare(stand, source, folder / "target.bin", way))
                    copies = ", ".join(f"{way} {one[-1]['up'] + one[-1]['down']:.1f} s" for way, one in bare.items())
                    tell(
                        f"pair {pair + 1} of {PAIRS}: there and back {ours[-1][0]:.1f} s, RSS up to"
                        f" {ours[-1][2]:.0f} MB; bare: {copies}"
                    )
                _report(ours, bare, idle, overhead)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(
    ours: list[tuple[float, float, float]], bare: dict[str, list[dict[str, float]]], idle: float, overhead: float
) -> None:
    moved = 2 * MEGABYTES
    rates = [moved / seconds for seconds, _, _ in ours]
    baselines = {way: [moved / (one["up"] + one["down"]) for one in runs] for way, runs in bare.items()}
    ratios = {
        way: [mine / theirs for mine, theirs in zip(rates, baseline, strict=True)]
        for way, baseline in baselines.items()
    }
    report(
        "attachments",
        median(rates),
        "MB/s",
        baseline=median(baselines["library"]),
        ratio=median(ratios["library"]),
        n=len(ours),
        file_mb=MEGABYTES,
        rss_growth_mb=round(max(most for _, _, most in ours) - idle, 1),
        rss_idle_mb=round(idle),
        value_spread=spread(rates),
        baseline_spread=spread(baselines["library"]),
        ratio_spread=spread(ratios["library"]),
        ratio_to_threads=round(median(ratios["library-async"]), 2),
        ratio_to_pieces=round(median(ratios["pieces"]), 2),
        cpu_s_per_gb={
            "adapter": round(median([cpu for _, cpu, _ in ours]) / moved * 1000, 2),
            **{way: round(median([one["cpu"] for one in runs]) / moved * 1000, 2) for way, runs in bare.items()},
        },
        streebog_mb_per_cpu_s=round(hashing_rate()),
        exchange_of_6_mb_s=round(overhead, 2),
        settings={
            "server": "pyftpdlib, a process of its own on the same processors",
            "hashed": "Streebog-256 and SHA-256, both ways",
            "processors": os.cpu_count(),
            "library": versions("aioftp", "pyftpdlib", "uvloop"),
        },
        bar="ratio >= 0.8, RSS growth <= 64 MB",
    )


if __name__ == "__main__":
    assert PROJECT  # noqa: S101 — the stand has put it on the path
    uvloop.run(main())
