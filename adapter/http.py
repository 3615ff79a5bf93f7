"""The one aiohttp client factory: every outgoing HTTP call of gateways and signing starts here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from aiohttp.abc import AbstractResolver


def make_session(
    *,
    timeout: float,
    ssl_context: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    limit: int = 64,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """Return a session whose every request ends within ``timeout`` seconds and connects within a quarter of it.

    No proxy from the environment, no cookies kept: a gateway's answer must depend on the request alone.
    ``limit`` bounds open connections, so that a slow peer cannot take every socket. ``resolver`` gives the addresses
    of hosts, by default the system does.
    """
    connector = aiohttp.TCPConnector(
        limit=limit, ssl=ssl_context if ssl_context is not None else True, resolver=resolver
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=max(timeout / 4, 0.5)),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
    )
