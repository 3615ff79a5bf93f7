"""``adapter retention show|run``: what is over and older than RETENTION_DAYS, looked at or removed."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from adapter.recovery.arguments import days
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import database_address, open_journal, retention_rule
from adapter.recovery.retention import run, show

if TYPE_CHECKING:
    import argparse

    from adapter.recovery.retention import Day, Done, Overview

_UNITS = ("B", "kB", "MB", "GB", "TB")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("retention", help="show or remove what is over and older than RETENTION_DAYS")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, work, sentence in (("show", _show, "change nothing"), ("run", _remove, "remove it, beside workers")):
        one = verbs.add_parser(verb, help=sentence)
        one.add_argument("--days", type=typed(days), metavar="N", help="instead of RETENTION_DAYS")
        one.add_argument("--json", action="store_true", help="one JSON object for machines")
        one.set_defaults(run=lambda options, work=work: carry_out(work(options)))


async def _show(options: argparse.Namespace) -> int:
    rule = retention_rule(os.environ, options.days)
    async with open_journal(database_address(os.environ)) as connection:
        found = await show(connection, rule, datetime.now(UTC))
    if options.json:
        print(orjson.dumps(asdict(found)).decode())
    else:
        _tell(found)
    return 0


async def _remove(options: argparse.Namespace) -> int:
    rule = retention_rule(os.environ, options.days)
    async with open_journal(database_address(os.environ)) as connection:
        done = await run(connection, rule, datetime.now(UTC))
    if options.json:
        print(orjson.dumps(asdict(done)).decode())
    else:
        _tell_done(done)
    return 1 if done.busy else 0


def _tell(found: Overview) -> None:
    print(f"old is what ended before {found.before:%Y-%m-%d %H:%M} UTC")
    for kept in found.exchanges:
        what = "over, would go" if kept.over else "kept"
        print(f"  {kept.exchanges:>10} exchanges {kept.state:<11} {what}, since {kept.since:%Y-%m-%d}")
    for name in ("proof", "outbox"):
        days = [day for day in found.days if day.part.startswith(name)]
        old = [day for day in days if day.fate == "old"]
        print(f"  {name:<6} {len(days)} partitions, {_size(days)}; of them {len(old)} old, {_size(old)}")
    if found.files is None:
        print("  files  FILES_ROOT is not set here")
    else:
        print(f"  files  {found.files} old, {_bytes(found.files_size)}")


def _tell_done(done: Done) -> None:
    print(f"removed what ended before {done.before:%Y-%m-%d %H:%M} UTC:")
    registers = ", ".join(f"{count} {name}" for name, count in done.registers.items())
    print(f"  {done.exchanges} exchanges, {done.identities} identities, {registers}")
    for fate in ("dropped", "held", "busy"):
        days = [day for day in done.days if day.fate == fate]
        if days:
            names = f": {', '.join(day.part for day in days)}" if fate != "dropped" else ""
            print(f"  {len(days)} partitions {fate}, {_size(days)}{names}")
    print(f"  {done.files} files, {_bytes(done.files_size)}")
    if done.busy:
        print("busy partitions are read by somebody for long: run it again")


def _size(days: list[Day]) -> str:
    return _bytes(sum(day.size for day in days))


def _bytes(count: float) -> str:
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("the last unit takes everything")
