"""``?wsdl`` of every endpoint, and ``?xsd=NAME`` of the schemas it imports: our own files, under schemas/smev3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulators.smev3.names import Version

#: What stands in the files; they work from disk as they are.
_LOCATION = b"http://localhost/smev"


def add_routes(app: web.Application, version: Version) -> None:
    """Answer GET at the endpoint of ``version``."""
    app.router.add_get(version.path, _describe(version))


def _describe(version: Version) -> Callable[[web.Request], Awaitable[web.Response]]:
    files = {path.name: path.read_bytes() for path in version.folder.iterdir() if path.suffix in {".xsd", ".wsdl"}}

    async def describe(request: web.Request) -> web.Response:
        if "wsdl" in request.query:
            here = str(request.url.with_query(None)).encode()
            return _xml(
                files["service.wsdl"].replace(_LOCATION, here).replace(b'schemaLocation="', b'schemaLocation="?xsd=')
            )
        wanted = files.get(request.query.get("xsd", ""))
        if wanted is None:
            raise web.HTTPNotFound(text="Ask for ?wsdl, or for ?xsd= of what it imports.")
        return _xml(wanted.replace(b'schemaLocation="', b'schemaLocation="?xsd='))

    return describe


def _xml(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/xml", charset="utf-8")
