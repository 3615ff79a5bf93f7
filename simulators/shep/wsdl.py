"""``?wsdl`` of every endpoint, and what it imports: our own files, under schemas/shep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from adapter.gateways.shep.messages import FOLDER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: What stands in the files; they work from disk as they are.
_LOCATION = b"http://localhost/shep"


def add_route(app: web.Application, path: str, port: str) -> None:
    """Answer GET at the endpoint of ``port`` (sync, async or client)."""
    app.router.add_get(path, _describe(port))


def _describe(port: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in {".xsd", ".wsdl"}}

    async def describe(request: web.Request) -> web.Response:
        name = f"{port}.wsdl" if "wsdl" in request.query else request.query.get("file", "")
        found = files.get(name)
        if found is None:
            raise web.HTTPNotFound(text="Ask for ?wsdl, or for ?file= of what it imports.")
        here = str(request.url.with_query(None)).encode()
        found = found.replace(b'address location="' + _LOCATION, b'address location="' + here)
        found = found.replace(b'schemaLocation="', b'schemaLocation="?file=')
        for base in (b"sync", b"async", b"client"):
            found = found.replace(b' location="%b-' % base, b' location="?file=%b-' % base)
        return web.Response(body=found, content_type="text/xml", charset="utf-8")

    return describe
