"""``adapter dead list|show|replay|drop``: dead commands and parked replies."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from adapter.journal.records import read_exchange
from adapter.journal.statements import sql
from adapter.recovery import dead, parked
from adapter.recovery.arguments import Filter, moment, pause, printable, reason, span
from adapter.recovery.choosing import Chosen, choose
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import Operator, broker_address, database_address, open_journal
from adapter.recovery.errors import RecoveryError
from adapter.recovery.showing import show_command, show_message

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    import asyncpg

    from adapter.recovery.dead import DeadCommand
    from adapter.recovery.parked import ParkedMessage


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its four verbs."""
    parser = subparsers.add_parser("dead", help="list, show, replay or drop dead commands and parked replies")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    listing = verbs.add_parser("list", help="what is dead or parked, oldest first")
    _add_filter(listing)
    listing.add_argument("--json", action="store_true", help="one JSON list for machines")
    listing.set_defaults(run=lambda options: carry_out(_list(options)))

    show = verbs.add_parser("show", help="why one stands, how often it was tried, where its bytes are")
    show.add_argument("id", metavar="ID")
    show.add_argument(
        "--reveal", type=typed(reason), metavar="REASON", help="show contents as they are; who and why is journaled"
    )
    show.add_argument("--json", action="store_true", help="one JSON object for machines")
    show.set_defaults(run=lambda options: carry_out(_show(options)))

    replay = verbs.add_parser("replay", help="run commands again, deliver parked messages now")
    replay.add_argument("ids", nargs="*", metavar="ID")
    replay.add_argument("--all", action="store_true", help="all that the filter lets through")
    _add_filter(replay)
    replay.add_argument("--rate", type=typed(pause), default=0.0, metavar="N/s", help="at most so many, 5/s or 100/m")
    replay.add_argument(
        "--deadline", type=typed(span), metavar="SPAN", help="time for commands from now on, such as 2h"
    )
    replay.add_argument("--reason", type=typed(reason), metavar="TEXT", help="why; journaled")
    replay.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    replay.set_defaults(run=lambda options: _replay(options, replay))

    drop = verbs.add_parser("drop", help="close dead commands: they are listed no more, nothing is deleted")
    drop.add_argument("ids", nargs="+", metavar="ID")
    drop.add_argument("--reason", type=typed(reason), required=True, metavar="TEXT", help="why; journaled")
    drop.set_defaults(run=lambda options: carry_out(_drop(options)))


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--action", help="of this action alone")
    parser.add_argument("--code", help="with this wire code, or parked for this reason (unroutable, refused)")
    parser.add_argument("--since", type=typed(moment), metavar="TIME", help="from a moment (RFC 3339) or 2h ago on")
    parser.add_argument("--until", type=typed(moment), metavar="TIME", help="before a moment")
    parser.add_argument("--id", type=UUID, action="append", dest="only", metavar="UUID", help="this one alone; repeat")


def _filter(options: argparse.Namespace) -> Filter:
    return Filter(options.action, options.code, options.since, options.until, options.only)


async def _list(options: argparse.Namespace) -> int:
    async with open_journal(database_address(os.environ)) as connection:
        commands = await dead.list_dead(connection, _filter(options))
        messages = await parked.list_parked(connection, _filter(options))
    if options.json:
        rows = [{"what": "command", **asdict(command)} for command in commands]
        rows += [{"what": message.kind, **asdict(message)} for message in messages]
        print(orjson.dumps(rows, default=str).decode())
        return 0
    if not commands and not messages:
        print("nothing is dead or parked")
        return 0
    lines = [_command_cells(command) for command in commands] + [_message_cells(message) for message in messages]
    for line in _table(("WHAT", "ID", "ACTION", "CODE", "SINCE (UTC)", "TRIES", "BYTES", "DETAIL"), lines):
        print(printable(line))
    return 0


def _command_cells(command: DeadCommand) -> tuple[str, ...]:
    crashes = f", {command.crash_attempts} crash attempts" if command.crash_attempts else ""
    detail = f"died in {command.died_in or 'an unknown state'}{crashes}"
    tries, size = str(command.attempts), str(command.size)
    return "command", str(command.id), command.action, command.code, _second(command.at), tries, size, detail


def _message_cells(message: ParkedMessage) -> tuple[str, ...]:
    again = f", next try {_second(message.next_at)}" if message.next_at else ""
    detail = f"to {message.routing_key}{again}"
    tries, size = str(message.attempts), str(message.size)
    since = _second(message.at)
    return message.kind, str(message.id), message.action or "-", message.code, since, tries, size, detail


def _second(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


async def _show(options: argparse.Namespace) -> int:
    operator = Operator.current(options.reveal) if options.reveal else None
    async with open_journal(database_address(os.environ)) as connection:
        chosen = await choose(connection, [options.id], Filter())
        if chosen.refused:
            raise RecoveryError(f"{options.id} {chosen.refused[0][1]}")
        shown = []
        for exchange_id in chosen.commands:
            exchange = read_exchange(await _row(connection, exchange_id))
            shown.append(await show_command(connection, exchange, datetime.now(UTC), operator))
        shown += [await show_message(connection, message, operator) for message in chosen.messages]
    for facts in shown:
        print(orjson.dumps(facts, default=str).decode() if options.json else "\n".join(_aligned(facts)))
    return 0


async def _row(connection: asyncpg.Connection, exchange_id: UUID) -> Any:
    return await connection.fetchrow(sql("load_exchange"), exchange_id)


def _aligned(facts: dict[str, Any]) -> list[str]:
    """Write facts one a line, contents below them."""
    lines = []
    for name, value in facts.items():
        if name == "bytes":
            places = (f"{part['at'][:19].replace('T', ' ')}  {part['fact']:<10} {part['bytes']:>9} B" for part in value)
            lines += [f"{name:<20}", *(f"  {place}" for place in places)]
        elif isinstance(value, dict | list):
            block = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode()
            lines += [name, *(f"  {line}" for line in block.splitlines())]
        elif value is not None:
            lines.append(f"{name:<20}{printable(value)}")
    return lines


def _replay(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    filtered = any((options.action, options.code, options.since, options.until, options.only))
    if bool(options.ids) == options.all or (options.ids and filtered):
        parser.error("name ids, or say --all with a filter if you like")
    return carry_out(_replay_chosen(options))


async def _replay_chosen(options: argparse.Namespace) -> int:
    operator = Operator.current(options.reason)
    async with open_journal(database_address(os.environ)) as connection:
        chosen = await choose(connection, options.ids, _filter(options))
        if options.dry_run:
            return await _rehearse(connection, chosen, options)
        tally = _Tally(options.rate, chosen)
        for exchange_id in chosen.commands:

            async def run_again(exchange_id: UUID = exchange_id) -> str:
                made = await dead.replay_command(connection, exchange_id, operator, more=options.deadline)
                return f"handed to the workers: {made.sentence}"

            await tally.do(str(exchange_id), run_again)
        if tally.done and not await dead.living_workers(connection):
            print("note: no worker is alive; the commands run when one starts", file=sys.stderr)
        if chosen.messages:
            async with parked.open_publisher(broker_address(os.environ)) as publisher:
                for message in chosen.messages:

                    async def deliver(message: ParkedMessage = message) -> str:
                        await parked.replay_message(connection, publisher, message, operator)
                        return f"{message.kind} published to {message.routing_key}"

                    await tally.do(str(message.id), deliver)
    print(f"{tally.done} replayed, {tally.failed} not")
    return 1 if tally.failed else 0


class _Tally:
    """Does one after the other at a rate, and says what became of each."""

    def __init__(self, rate: float, chosen: Chosen) -> None:
        """``rate`` is the pause between two, in seconds; what could not be chosen counts as failed."""
        self._pause = rate
        self._first = True
        self.done = 0
        self.failed = len(chosen.refused)
        for text, why in chosen.refused:
            print(f"{text} {why}", file=sys.stderr)

    async def do(self, name: str, work: Callable[[], Awaitable[str]]) -> None:
        if not self._first and self._pause:
            await asyncio.sleep(self._pause)
        self._first = False
        try:
            print(printable(f"{name} {await work()}"), flush=True)
            self.done += 1
        except RecoveryError as error:
            print(f"{name} {error}", file=sys.stderr)
            self.failed += 1


async def _rehearse(connection: asyncpg.Connection, chosen: Chosen, options: argparse.Namespace) -> int:
    """Say what a replay would do."""
    failed = list(chosen.refused)
    for exchange_id in chosen.commands:
        exchange = read_exchange(await _row(connection, exchange_id))
        try:
            made = await dead.plan(connection, exchange, options.deadline, datetime.now(UTC))
            print(f"{exchange_id} would be handed to the workers: {made.sentence}")
        except RecoveryError as error:
            failed.append((str(exchange_id), str(error)))
    for message in chosen.messages:
        print(printable(f"{message.id} {message.kind} would be published to {message.routing_key}"))
    for text, why in failed:
        print(f"{text} {why}", file=sys.stderr)
    print(f"{len(chosen.commands) + len(chosen.messages) - len(failed) + len(chosen.refused)} would be replayed")
    return 1 if failed else 0


async def _drop(options: argparse.Namespace) -> int:
    operator = Operator.current(options.reason)
    async with open_journal(database_address(os.environ)) as connection:
        chosen = await choose(connection, options.ids, Filter())
        tally = _Tally(0, chosen)
        for exchange_id in chosen.commands:

            async def close(exchange_id: UUID = exchange_id) -> str:
                await dead.drop_command(connection, exchange_id, operator)
                return "dropped: it stays in the journal and is listed no more"

            await tally.do(str(exchange_id), close)
    for message in chosen.messages:
        refused = f"{message.id} is a parked {message.kind}: declare {message.routing_key}, it is never dropped"
        print(printable(refused), file=sys.stderr)
    return 1 if tally.failed or chosen.messages else 0
