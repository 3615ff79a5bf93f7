"""How every simulator listens: one ready line on stdout, a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping


async def serve(
    app: web.Application,
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    also: Callable[[], Mapping[str, object]] | None = None,
) -> int:
    """Serve ``app`` until told to end; port 0 takes a free one.

    Prints ``{"ready": true, "url": …}`` and what ``also`` tells by then when it listens. Raises OSError when the
    address cannot be taken.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=context).start()
        address, bound = runner.addresses[0][:2]
        place = f"[{address}]" if ":" in address else address
        scheme = "https" if context else "http"
        told = {"ready": True, "url": f"{scheme}://{place}:{bound}", **(also() if also else {})}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0
