"""``adapter orphans``: answers to requests that this journal has not sent, kept with their exact bytes."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from adapter.recovery.arguments import moment, printable, reason
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import Operator, database_address, open_journal
from adapter.recovery.errors import RecoveryError
from adapter.recovery.orphans import list_orphans, read_orphan

if TYPE_CHECKING:
    import argparse

_WEEK = timedelta(days=7)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("orphans", help="answers to requests that this journal has not sent")
    parser.add_argument("id", nargs="?", metavar="ID", help="MessageID of one: its exact bytes to stdout")
    parser.add_argument("--since", type=typed(moment), metavar="TIME", help="from a moment (RFC 3339) or 2h ago on; 7d")
    parser.add_argument("--until", type=typed(moment), metavar="TIME", help="before a moment")
    parser.add_argument(
        "--reveal", type=typed(reason), metavar="REASON", help="why its bytes are looked at; who and why is journaled"
    )
    parser.add_argument("--json", action="store_true", help="one JSON list for machines")
    parser.set_defaults(run=lambda options: _run(options, parser))


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if options.id and not options.reveal:
        parser.error("say by --reveal REASON why its bytes are looked at")
    return carry_out(_show(options) if options.id else _list(options))


def _since(options: argparse.Namespace) -> datetime:
    since: datetime = options.since or datetime.now(UTC) - _WEEK
    return since


async def _list(options: argparse.Namespace) -> int:
    async with open_journal(database_address(os.environ)) as connection:
        orphans = await list_orphans(connection, _since(options), options.until)
    if options.json:
        print(orjson.dumps([asdict(orphan) for orphan in orphans], default=str).decode())
        return 0
    if not orphans:
        print("no orphans in this time")
    for orphan in orphans:
        line = f"{orphan.at:%Y-%m-%d %H:%M:%S}  {orphan.source}  {orphan.message_id}  {orphan.kind}"
        code = f"  {orphan.code}" if orphan.code else ""
        print(printable(f"{line}  about {orphan.reference or '-'}  {orphan.size} B{code}"))
    return 0


async def _show(options: argparse.Namespace) -> int:
    operator = Operator.current(options.reveal)
    async with open_journal(database_address(os.environ)) as connection:
        found = await list_orphans(connection, _since(options), options.until, options.id)
        if not found:
            raise RecoveryError("no orphan of this time has this MessageID; --since looks further back")
        data = await read_orphan(connection, found[-1], operator)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return 0
