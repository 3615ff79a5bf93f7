"""``adapter check``: the configuration and every connection, tested one by one and told in plain words."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson

from adapter import settings as configuration
from adapter.broker.connection import BROKER_ERRORS, BrokerAddress, connect
from adapter.broker.topology import Names, missing
from adapter.errors import AdapterError, ConfigurationError
from adapter.http import make_session
from adapter.journal.journal import DatabaseAddress
from adapter.journal.migrate import pending
from adapter.journal.writer import DATABASE_ERRORS
from adapter.services.registry import known_actions, make_services
from adapter.signing.client import KeyInfo, SigningClient

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    from adapter.settings import Settings, Signing

_PATIENCE: Final = 15.0
_UNREACHABLE: Final[tuple[type[Exception], ...]] = (*BROKER_ERRORS, *DATABASE_ERRORS, aiohttp.ClientError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``ok`` is ``None`` for a remark that fails nothing."""

    name: str
    ok: bool | None
    sentence: str


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("check", help="test the configuration and every connection")
    parser.add_argument("--json", action="store_true", help="one JSON list for machines")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    try:
        settings = configuration.load(os.environ, known_actions())
        make_services(os.environ)
    except ConfigurationError as error:
        if options.json:
            _print_json([Finding(name, ok=False, sentence=fault) for name, fault in error.faults.items()])
        raise
    findings = asyncio.run(_look(settings, quiet=options.json))
    if options.json:
        _print_json(findings)
    else:
        print("\nconfiguration in effect:")
        for line in configuration.describe(settings).splitlines():
            print(f"  {line}")
        failed = sum(finding.ok is False for finding in findings)
        print(f"\n{failed} of {len(findings)} checks failed" if failed else "\neverything answers")
    return 1 if any(finding.ok is False for finding in findings) else 0


def _print_json(findings: Sequence[Finding]) -> None:
    print(orjson.dumps([asdict(finding) for finding in findings]).decode())


async def _look(settings: Settings, *, quiet: bool) -> list[Finding]:
    findings = [Finding("configuration", ok=True, sentence="complete")]
    findings += [Finding("configuration", ok=None, sentence=warning) for warning in settings.warnings]
    for finding in findings:
        _show(finding, quiet=quiet)
    checks: list[tuple[str, Callable[[Settings], Awaitable[str]]]] = [
        ("broker", _broker),
        ("database", _database),
        ("signing service", _signing),
        ("СМЭВ3", _smev),
        ("ШЭП", _shep),
        ("ЕПГУ", _epgu),
        ("metrics", _metrics),
    ]
    for name, check in checks:
        finding = await _try(name, check, settings)
        _show(finding, quiet=quiet)
        findings.append(finding)
    return findings


def _show(finding: Finding, *, quiet: bool) -> None:
    if not quiet:
        mark = {True: "ok  ", False: "FAIL", None: "note"}[finding.ok]
        print(f"{mark}  {finding.name:<16} {finding.sentence}", flush=True)


async def _try(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            return Finding(name, ok=True, sentence=await check(settings))
    except LookupError as error:
        return Finding(name, ok=False, sentence=str(error))
    except AdapterError as error:
        return Finding(name, ok=False, sentence=f"{error.code}: {error.description}")
    except _UNREACHABLE as error:
        # Texts of these errors may hold values; their types say what happened.
        return Finding(name, ok=False, sentence=f"cannot be reached: {_kind(error)}")


def _kind(error: BaseException) -> str:
    """Name the error's type, and that of the first cause: it tells a refused certificate from a closed port."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return type(error).__name__ + ("" if cause is error else f" ({type(cause).__name__})")


async def _broker(settings: Settings) -> str:
    broker = settings.broker
    address = BrokerAddress.of(broker)
    async with connect(address, "adapter check") as connection:
        absent = await missing(connection, Names(broker.prefix), settings.services.actions)
    login = "certificate" if broker.external else "password"
    queues = f"; to be created at start: {', '.join(absent)}" if absent else "; every queue is there"
    return f"{address.where}, login by {login}, {'TLS' if broker.tls else 'NO TLS'}{queues}"


async def _database(settings: Settings) -> str:
    connection = await DatabaseAddress(settings.database.connect_arguments()).connect()
    try:
        lacking = await pending(connection)
        version = connection.get_server_version()
    finally:
        await connection.close()
    schema = f"{len(lacking)} migrations to apply at start" if lacking else "schema is up to date"
    return f"PostgreSQL {version.major}.{version.minor}, {schema}"


async def _signing(settings: Settings) -> str:
    signing = settings.signing
    if signing is None:
        return "not needed by the served actions"
    if settings.smev is None and settings.epgu is None:
        return f"{signing.url} is for ШЭП alone: its keys are tried by the first call"
    wanted = [signing.key_ov, *([signing.key_sp] if signing.personal else [])]
    async with make_session(timeout=signing.timeout, ssl_context=signing.ssl_context()) as session:
        keys = {name: await _key(name, signing, session) for name in wanted}
    return ", ".join(f"{name}: {keys[name].algorithm} until {keys[name].not_after:%Y-%m-%d}" for name in wanted)


async def _key(name: str, signing: Signing, session: aiohttp.ClientSession) -> KeyInfo:
    """Ask for the key with its own token, so that every token is tried. Raises LookupError."""
    tokens = {name: signing.tokens[name]} if name in signing.tokens else {}
    client = SigningClient(signing.url, session=session, tokens=tokens, timeout=signing.timeout)
    try:
        return next(key for key in await client.certificates() if key.name == name)
    except StopIteration:
        raise LookupError(f"the service has no key {name}") from None
    except AdapterError as error:
        raise LookupError(f"key {name}: {error.code}: {error.description}") from None
    finally:
        await client.close()


async def _smev(settings: Settings) -> str:
    smev = settings.smev
    if smev is None:
        return "not needed by the served actions"
    async with (
        make_session(timeout=min(smev.timeout, _PATIENCE)) as session,
        session.get(smev.endpoint, allow_redirects=False) as response,
    ):
        return f"{smev.endpoint} answers (HTTP {response.status}), schema {smev.version}, node {smev.node_id}"


async def _shep(settings: Settings) -> str:
    shep = settings.shep
    if shep is None:
        return "not needed by the served actions"
    urls = (shep.sync_url, shep.async_url, shep.outer_sync_url, shep.outer_async_url)
    async with make_session(timeout=_PATIENCE) as session:
        for url in filter(None, urls):
            async with session.get(url, allow_redirects=False):
                pass
    listening = "off" if shep.listen is None else f"at {shep.public_url}"
    return f"every channel answers; {len(shep.registry.services)} services registered, listening {listening}"


async def _epgu(settings: Settings) -> str:
    from adapter.epgu_check import look  # noqa: PLC0415  — brings the whole gateway along

    return await look(settings)


async def _metrics(settings: Settings) -> str:
    elastic = settings.elastic
    if elastic is None:
        return "off: ELASTIC_HOST is not set"
    async with (
        make_session(timeout=5, ssl_context=elastic.ssl_context()) as session,
        session.get(elastic.url, auth=_login(elastic.user, elastic.password)) as response,
    ):
        return f"{elastic.url} answers (HTTP {response.status})"


def _login(user: str | None, password: str | None) -> aiohttp.BasicAuth | None:
    return aiohttp.BasicAuth(user, password or "") if user else None
