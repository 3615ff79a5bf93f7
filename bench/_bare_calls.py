"""The baseline of the exchange: a bare aiohttp loop that makes the five calls of one exchange, bytes and all.

Nothing is built, signed, read or kept. Says the CPU microseconds of one exchange when it is done.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import aiohttp

KINDS = ("sign", "SendRequest", "GetResponse", "verify", "Ack")
_WARM = 50


async def one(session: aiohttp.ClientSession, calls: dict[str, tuple[str, bytes]]) -> None:
    """Make the five calls in order."""
    for kind in KINDS:
        url, data = calls[kind]
        async with session.post(url, data=data, headers={"Content-Type": "text/xml; charset=utf-8"}) as response:
            await response.read()


async def main() -> None:
    """Run the loop one by one, then fifty at once."""
    url, folder, count = os.environ["BENCH_URL"], Path(os.environ["BENCH_FOLDER"]), int(os.environ["BENCH_COUNT"])
    calls = {kind: (f"{url}/_replay/{kind}", (folder / kind).read_bytes()) for kind in KINDS}
    said = {}
    async with aiohttp.ClientSession() as session:
        for name, width in (("one_by_one", 1), ("fifty_at_once", 50)):

            async def some(times: int) -> None:
                for _ in range(times):
                    await one(session, calls)

            await some(_WARM)
            began = time.process_time()
            await asyncio.gather(*(some(count // width) for _ in range(width)))
            said[name] = (time.process_time() - began) / (count // width * width) * 1e6
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    if os.environ.get("BENCH_LOOP") == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
