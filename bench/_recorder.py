"""A pane of glass between the adapter and its neighbours: passes every call on, counts it, keeps its bytes.

``GET /_bench/calls`` tells counts and bytes per kind, ``POST /_bench/reset`` forgets them. ``POST /_replay/KIND``
answers the last recorded answer of that kind at once: the other end of the bare loop.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from dataclasses import dataclass, field

from aiohttp import ClientSession, TCPConnector, web

_MAX = 64 * 2**20
_PASSED = ("Content-Type", "Authorization", "SOAPAction")


@dataclass
class Recorder:
    """Counts and bytes of calls, by kind."""

    sign: str
    smev: str
    session: ClientSession
    counts: dict[str, int] = field(default_factory=dict)
    calls: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    canned: dict[str, bytes] = field(default_factory=dict)

    async def forward(self, request: web.Request) -> web.Response:
        """Pass a call on and keep it."""
        data = await request.read()
        signing = request.path.startswith("/v1/")
        url = (self.sign if signing else self.smev) + request.path
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        async with self.session.request(request.method, url, data=data, headers=headers) as response:
            body = await response.read()
            kind = request.path.rpartition("/")[2] if signing else headers["SOAPAction"].strip('"').partition(":")[2]
            if kind == "GetResponse" and b"SenderProvidedResponseData" not in body:
                kind = "GetResponse, empty"
            self.counts[kind] = self.counts.get(kind, 0) + 1
            kept = self.calls.setdefault(kind, [])
            if len(kept) < 8:
                kept.append((data, body))
            return web.Response(status=response.status, body=body, headers={"Content-Type": response.content_type})

    async def tell(self, _request: web.Request) -> web.Response:
        """Return counts and bytes."""
        calls = {
            kind: [[base64.b64encode(part).decode() for part in call] for call in calls]
            for kind, calls in self.calls.items()
        }
        return web.json_response({"counts": self.counts, "calls": calls})

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget."""
        self.counts, self.calls = {}, {}
        return web.Response()

    async def can(self, request: web.Request) -> web.Response:
        """Keep an answer to be replayed."""
        self.canned[request.match_info["kind"]] = await request.read()
        return web.Response()

    async def replay(self, request: web.Request) -> web.Response:
        """Answer with what was kept."""
        await request.read()
        return web.Response(body=self.canned[request.match_info["kind"]], content_type="text/xml")


async def main() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with ClientSession(connector=TCPConnector(limit=200)) as session:
        recorder = Recorder(os.environ["BENCH_SIGN"], os.environ["BENCH_SMEV"], session)
        app = web.Application(client_max_size=_MAX)
        app.router.add_get("/_bench/calls", recorder.tell)
        app.router.add_post("/_bench/reset", recorder.reset)
        app.router.add_put("/_replay/{kind}", recorder.can)
        app.router.add_post("/_replay/{kind}", recorder.replay)
        app.router.add_route("*", "/{path:.*}", recorder.forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"ready": True, "url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
