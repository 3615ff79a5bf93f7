"""``?wsdl`` of the doors that the ШЭП calls, and what it imports: our own files, under schemas/shep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from adapter.gateways.shep.messages import FOLDER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: What stands in the files; they work from disk as they are.
_LOCATION = b"http://localhost/shep"


def describe(port: str, address: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the answer to GET at the door of ``port`` (sync or client), which is reached at ``address``."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in {".xsd", ".wsdl"}}

    async def answer(request: web.Request) -> web.Response:
        name = f"{port}.wsdl" if "wsdl" in request.query else request.query.get("file", "")
        found = files.get(name)
        if found is None:
            raise web.HTTPNotFound(text="Ask for ?wsdl, or for ?file= of what it imports.")
        found = found.replace(b'address location="' + _LOCATION, b'address location="' + address.encode())
        found = found.replace(b'schemaLocation="', b'schemaLocation="?file=')
        for base in (b"sync", b"async", b"client"):
            found = found.replace(b' location="%b-' % base, b' location="?file=%b-' % base)
        return web.Response(body=found, content_type="text/xml", charset="utf-8")

    return answer
