"""Gateways: that they answer and what their clocks say; and that every schema and WSDL compiles."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
from lxml import etree

from adapter.checking.findings import PATIENCE, Finding, clock, date_of, kind, not_needed
from adapter.errors import AdapterError
from adapter.http import make_session
from adapter.paths import SCHEMAS
from adapter.services.registry import make_services
from adapter.xml.parser import XmlError
from adapter.xml.schema import Schema

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.settings import Settings

#: HTTP dates are whole seconds.
_SECOND: Final = 1.0


async def smev(settings: Settings) -> str | Sequence[Finding]:
    """Ask the endpoint of СМЭВ3 for anything."""
    given = settings.smev
    if given is None:
        return not_needed()
    told = f"schema {given.version}, node {given.node_id}"
    return await _asked("СМЭВ3", [given.endpoint], told, patience=min(given.timeout, PATIENCE))


async def shep(settings: Settings) -> str | Sequence[Finding]:
    """Ask every channel of the ШЭП for anything, and have our keys sign something."""
    given, signing = settings.shep, settings.signing
    if given is None or signing is None:
        return not_needed()
    urls = list(filter(None, (given.sync_url, given.async_url, given.outer_sync_url, given.outer_async_url)))
    listening = "off" if given.listen is None else f"at {given.public_url}"
    told = f"{len(given.registry.services)} services registered, listening {listening}"
    found = list(await _asked("ШЭП", urls, told, patience=PATIENCE / 2))
    from adapter.checking.shep_keys import signatures  # noqa: PLC0415  — zeep is loaded only where ШЭП is on

    return [*found, *await signatures(settings)]


async def postamat(settings: Settings) -> str | Sequence[Finding]:
    """Ask the portal elsewhere for anything; a register of our own is in the database."""
    given = settings.postamat
    if given is None:
        return not_needed()
    if given.mode != "client" or given.url is None:
        where = "nowhere" if given.listen is None else f"at {given.listen[0]}:{given.listen[1]}"
        return f"the portal is our own, lockers call {where}"
    return await _asked("постаматы", [given.url], "", patience=PATIENCE / 2, context=given.ssl_context())


async def _asked(
    name: str, urls: Sequence[str], told: str, *, patience: float, context: ssl.SSLContext | None = None
) -> Sequence[Finding]:
    """Ask each address by itself; any answer of HTTP will do. One clock is told, of the first that says its date."""
    found: list[Finding] = []
    clocks: list[Finding] = []
    async with make_session(timeout=patience, ssl_context=context) as session:
        for url in urls:
            try:
                async with session.get(url, allow_redirects=False) as response:
                    tail = f", {told}" if told else ""
                    found.append(Finding(name, ok=True, sentence=f"{url} answers (HTTP {response.status}){tail}"))
                    theirs, ours = date_of(response), datetime.now(UTC)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                found.append(Finding(name, ok=False, sentence=f"{url} cannot be reached: {kind(error)}"))
            else:
                if theirs is not None:
                    clocks.append(clock(f"{name} clock", theirs, ours, fineness=_SECOND))
    return [*found, *clocks[:1]]


async def schemas(settings: Settings, environment: Mapping[str, str]) -> Sequence[Finding]:
    """Compile every XSD that the served actions are checked by, and the WSDLs of their gateways."""
    services = [
        service for action, service in make_services(environment).items() if action in settings.services.actions
    ]
    names = {service.schema for service in services if service.schema}
    names |= {path for service in services for path in getattr(service, "schemas", ())}
    if settings.smev is not None:
        names.add(f"smev3/{settings.smev.version}/service.xsd")
    began = time.perf_counter()
    faults = list(_uncompiled(sorted(names)))
    count = len(names)
    if settings.shep is not None:
        from adapter.gateways.shep.messages import compile_all  # noqa: PLC0415  — zeep is loaded only where ШЭП is on

        try:
            count += compile_all()
        except (AdapterError, XmlError, OSError, etree.LxmlError) as error:
            faults.append(Finding("schemas", ok=False, sentence=f"shep: does not compile ({type(error).__name__})"))
    took = time.perf_counter() - began
    return faults or [Finding("schemas", ok=True, sentence=f"{count} compile, {took:.1f} s")]


def _uncompiled(names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        try:
            Schema.load(SCHEMAS / name)
        except (XmlError, OSError, etree.LxmlError) as error:
            yield Finding("schemas", ok=False, sentence=f"{name}: does not compile ({type(error).__name__})")
