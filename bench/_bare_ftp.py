"""A bare copy by aioftp: a file up to an FTP server and down again to another file. Nothing is hashed, nothing synced.

``BENCH_FTP`` is the port, ``BENCH_SOURCE`` and ``BENCH_TARGET`` are the files. ``BENCH_WAY`` is ``library`` (the
library's own upload and download), ``library-async`` (the same with its file access in threads, as a process needs that
does other work meanwhile) or ``pieces`` (pieces as large as the adapter's, the file read and written in between).
Prints the seconds of both ways and the processor's as one JSON line.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import aioftp
import uvloop

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

SENT = 1 << 20
RECEIVED = 1 << 18
WAY = os.environ.get("BENCH_WAY", "library")


def connected() -> AbstractAsyncContextManager[aioftp.Client]:
    """Log in."""
    access = aioftp.AsyncPathIO if WAY == "library-async" else aioftp.PathIO
    place = "127.0.0.1", int(os.environ["BENCH_FTP"])
    return aioftp.Client.context(*place, user="bench", password="bench", path_io_factory=access)  # noqa: S106 — loopback


async def up(client: aioftp.Client, source: Path, name: str) -> None:
    """Send the file."""
    if WAY != "pieces":
        await client.upload(source, name, write_into=True)
        return
    with source.open("rb") as file:
        async with client.upload_stream(name) as stream:
            while piece := file.read(SENT):
                await stream.write(piece)


async def down(client: aioftp.Client, name: str, target: Path) -> None:
    """Fetch it."""
    if WAY != "pieces":
        await client.download(name, target, write_into=True)
        return
    with target.open("wb") as file:
        async with client.download_stream(name) as stream:
            while piece := await stream.read(RECEIVED):
                file.write(piece)


async def main() -> None:
    """Copy there and back."""
    name = str(uuid4())
    began, before = time.perf_counter(), time.process_time()
    async with connected() as client:
        await up(client, Path(os.environ["BENCH_SOURCE"]), name)
    between = time.perf_counter()
    async with connected() as client:
        await down(client, name, Path(os.environ["BENCH_TARGET"]))
        ended = time.perf_counter()
        await client.remove_file(name)
    cpu = time.process_time() - before
    print(json.dumps({"up": between - began, "down": ended - between, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
