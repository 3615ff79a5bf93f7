"""``adapter check``: the configuration and every connection, tested one by one and told in plain words."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from adapter import settings as configuration
from adapter.checking.findings import Check, Finding, attempt
from adapter.checking.gateways import postamat, schemas, shep, smev
from adapter.checking.keys import certificates, signing
from adapter.checking.services import broker, database, metrics
from adapter.errors import ConfigurationError
from adapter.services.registry import known_actions, make_services

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from adapter.settings import Settings

_MARKS: Final = {True: ("✓", "32"), False: ("✗", "31"), None: ("•", "33")}
#: Width of the column of names.
_WIDTH: Final = 17


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
        _print_end(settings, findings)
    return 1 if any(finding.ok is False for finding in findings) else 0


def _print_json(findings: Sequence[Finding]) -> None:
    print(orjson.dumps([asdict(finding) for finding in findings]).decode())


def _print_end(settings: Settings, findings: Sequence[Finding]) -> None:
    print("\nconfiguration in effect:")
    for line in configuration.describe(settings).splitlines():
        print(f"  {line}")
    failed = sum(finding.ok is False for finding in findings)
    remarks = sum(finding.ok is None for finding in findings)
    said = f"{failed} of {len(findings)} checks failed" if failed else "everything answers"
    print("\n" + _coloured(said, "31" if failed else "32") + (f", {remarks} remarks (•)" if remarks else ""))


async def _look(settings: Settings, *, quiet: bool) -> list[Finding]:
    findings = [Finding("configuration", ok=True, sentence="complete")]
    findings += [Finding("configuration", ok=None, sentence=warning) for warning in settings.warnings]
    for finding in findings:
        _show(finding, quiet=quiet)
    checks: list[tuple[str, Check]] = [
        ("certificates", certificates),
        ("schemas", partial(schemas, environment=os.environ)),
        ("broker", broker),
        ("database", database),
        ("signing service", signing),
        ("СМЭВ3", smev),
        ("ШЭП", shep),
        ("ЕПГУ", _epgu),
        ("постаматы", postamat),
        ("metrics", metrics),
    ]
    for name, check in checks:
        for finding in await attempt(name, check, settings):
            _show(finding, quiet=quiet)
            findings.append(finding)
    return findings


async def _epgu(settings: Settings) -> str:
    from adapter.epgu_check import look  # noqa: PLC0415  — brings the whole gateway along

    return await look(settings)


def _show(finding: Finding, *, quiet: bool) -> None:
    if not quiet:
        mark, colour = _MARKS[finding.ok]
        print(f"{_coloured(mark, colour)} {finding.name:<{_WIDTH}} {finding.sentence}", flush=True)


def _coloured(text: str, colour: str) -> str:
    """Return ``text`` in a colour where a person looks at a terminal that has not asked for none."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{colour}m{text}\033[0m"
