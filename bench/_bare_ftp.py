"""A bare copy by aioftp: a file up to an FTP server and down again to another file, in pieces as large as ours.

``BENCH_FTP`` is the port, ``BENCH_SOURCE`` and ``BENCH_TARGET`` are the files. Nothing is hashed, nothing synced.
Prints the seconds of both ways and the processor's as one JSON line.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from uuid import uuid4

import aioftp
import uvloop

PIECE = 1 << 20
RECEIVED = 1 << 18


async def main() -> None:
    """Copy there and back."""
    source, target = Path(os.environ["BENCH_SOURCE"]), Path(os.environ["BENCH_TARGET"])
    name, place = str(uuid4()), ("127.0.0.1", int(os.environ["BENCH_FTP"]))
    began, before = time.perf_counter(), time.process_time()
    async with aioftp.Client.context(*place, user="bench", password="bench") as client:  # noqa: S106 — of loopback
        with source.open("rb") as file:  # noqa: ASYNC230 — bare, as the library's own copy does
            async with client.upload_stream(name) as stream:
                while piece := file.read(PIECE):
                    await stream.write(piece)
    between = time.perf_counter()
    async with aioftp.Client.context(*place, user="bench", password="bench") as client:  # noqa: S106 — same
        with target.open("wb") as file:  # noqa: ASYNC230 — same
            async with client.download_stream(name) as stream:
                while piece := await stream.read(RECEIVED):
                    file.write(piece)
        ended = time.perf_counter()
        await client.remove_file(name)
    cpu = time.process_time() - before
    print(json.dumps({"up": between - began, "down": ended - between, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
