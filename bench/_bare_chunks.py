"""A bare upload by aiohttp: the chunks of an archive to the ЕПГУ simulator, the first one first, the last one last.

``BENCH_URL`` is the portal, ``BENCH_TOKEN`` a token, ``BENCH_ORDER`` a reserved number, ``BENCH_SOURCE`` the archive,
``BENCH_CHUNK`` bytes of a chunk, ``BENCH_PARALLEL`` how many go at once. Each chunk is one read and one multipart form
of the library; nothing is journaled, counted or checked. Prints the seconds and the processor's as one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import time

import aiohttp
import uvloop

CHUNK, PARALLEL = int(os.environ["BENCH_CHUNK"]), int(os.environ["BENCH_PARALLEL"])
META = {"region": "45000000000", "serviceCode": "10000000113", "targetCode": "-10000000113"}


async def send(session: aiohttp.ClientSession, descriptor: int, number: int, chunks: int) -> None:
    """Send one chunk."""
    form = aiohttp.FormData()
    form.add_field("meta", json.dumps(META), content_type="application/json")
    form.add_field("orderId", os.environ["BENCH_ORDER"])
    form.add_field("chunk", str(number))
    form.add_field("chunks", str(chunks))
    content = os.pread(descriptor, CHUNK, number * CHUNK)
    form.add_field("file", content, filename=f"archive.z{number + 1:03d}", content_type="application/octet-stream")
    async with session.post("/api/gusmev/push/chunked", data=form) as answer:
        await answer.read()
        if answer.status != (200 if number == chunks - 1 else 206):
            raise RuntimeError(f"chunk {number}: HTTP {answer.status}")


async def main() -> None:
    """Send all of them."""
    descriptor = os.open(os.environ["BENCH_SOURCE"], os.O_RDONLY)
    chunks = -(-os.fstat(descriptor).st_size // CHUNK)
    headers = {"Authorization": f"Bearer {os.environ['BENCH_TOKEN']}"}
    connector = aiohttp.TCPConnector(limit=PARALLEL)
    async with aiohttp.ClientSession(os.environ["BENCH_URL"], headers=headers, connector=connector) as session:
        began, before = time.perf_counter(), time.process_time()
        await send(session, descriptor, 0, chunks)
        numbers = iter(range(1, chunks - 1))

        async def work() -> None:
            for number in numbers:
                await send(session, descriptor, number, chunks)

        await asyncio.gather(*(work() for _ in range(PARALLEL)))
        await send(session, descriptor, chunks - 1, chunks)
        seconds, cpu = time.perf_counter() - began, time.process_time() - before
    os.close(descriptor)
    print(json.dumps({"seconds": seconds, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
