"""``adapter shep emergency open|note|close|list|export``: form 7 of order № 104, the journal of emergencies."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.cli_shep_journal import bound, put_out
from adapter.documents.grid import Grid
from adapter.documents.shep_forms import read_form
from adapter.recovery.arguments import moment, printable, reason
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import Operator, database_address, open_journal, read_some
from adapter.recovery.errors import ArgumentError, RecoveryError
from adapter.shep_journals.emergencies import (
    Said,
    close_emergency,
    emergencies_in,
    list_emergencies,
    note_emergency,
    open_emergency,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_EXAMPLE: Final = """\
example:
  adapter shep emergency open --received 2026-11-20T09:00 --reason "Обрыв канала связи"
  adapter shep emergency note 3 --notified 2026-11-20T09:40 --arrived 2026-11-20T10:15 --measures "Канал восстановлен"
  adapter shep emergency close 3 --sent 2026-11-23T11:00 --person "Фамилия Имя Отчество"
  adapter shep emergency list --open
  adapter shep emergency export --from 2026-11-01 --to 2026-11-30 --format xlsx -o emergencies.xlsx

Times without an offset are those of SHEP_TIMEZONE; now and 2h (ago) work too. Entries for messages that wait for more
than one working day are opened by the adapter itself."""
_MOMENTS: Final = {
    "received": "when the message was received",
    "notified": "when the administrator in charge was told of the delay",
    "arrived": "when he was there",
    "sent": "when the message was sent",
}
_TEXTS: Final = {"reason": "why it was late", "measures": "what was done", "person": "name of the employee"}


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its own."""
    shown: dict[str, Any] = {"epilog": _EXAMPLE, "formatter_class": argparse.RawDescriptionHelpFormatter}
    emergency = verbs.add_parser("emergency", help="form 7 of order № 104: the journal of emergencies", **shown)
    deeds = emergency.add_subparsers(dest="deed", required=True, metavar="DEED")
    opening = deeds.add_parser("open", help="open an entry", **shown)
    note = deeds.add_parser("note", help="say more of an open entry", **shown)
    close = deeds.add_parser("close", help="close an entry that says all the form asks for", **shown)
    for parser, work in ((opening, _open), (note, _note), (close, _close)):
        if parser is not opening:
            parser.add_argument("number", type=int, metavar="NUMBER", help="as list shows it")
        for name, sentence in _MOMENTS.items():
            wanted = parser is opening and name == "received"
            parser.add_argument(f"--{name}", metavar="TIME", help=sentence, required=wanted)
        for name, sentence in _TEXTS.items():
            parser.add_argument(f"--{name}", type=typed(reason), metavar="TEXT", help=sentence)
        parser.set_defaults(run=_runner(work))
    listing = deeds.add_parser("list", help="the entries", **shown)
    listing.add_argument("--open", action="store_true", help="those that are not closed")
    listing.add_argument("--json", action="store_true", help="one JSON list for machines")
    listing.set_defaults(run=_runner(_list))
    export = deeds.add_parser("export", help="the form, as CSV or xlsx", **shown)
    export.add_argument("--from", dest="since", metavar="TIME", help="opened since a day, or a moment")
    export.add_argument("--to", dest="until", metavar="TIME", help="opened until a day, included, or a moment")
    export.add_argument("--format", choices=("csv", "xlsx"), default="csv", help="csv opens in Excel (default)")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write; needed for xlsx")
    export.set_defaults(run=_runner(_export))


def _runner(work: Callable[[argparse.Namespace], Coroutine[Any, Any, int]]) -> Callable[[argparse.Namespace], int]:
    return lambda options: carry_out(work(options))


def _zone() -> tzinfo:
    zone: tzinfo = read_some(os.environ, "SHEP_TIMEZONE")["SHEP_TIMEZONE"]
    return zone


def _said(options: argparse.Namespace) -> Said:
    """Read what the options say. Raises RecoveryError, naming the option."""
    zone = _zone()
    said: dict[str, Any] = {name: _at(name, getattr(options, name), zone) for name in _MOMENTS}
    return Said(**said, **{name: getattr(options, name) for name in _TEXTS})


def _at(name: str, text: str | None, zone: tzinfo) -> datetime | None:
    if text is None or text == "now":
        return None if text is None else datetime.now(UTC)
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = None
    try:
        found = local.replace(tzinfo=zone) if local is not None and local.tzinfo is None else moment(text)
    except ArgumentError:
        raise RecoveryError(f"--{name}: must be a moment such as 2026-11-20T09:00, or a time ago such as 2h") from None
    if found > datetime.now(UTC):
        raise RecoveryError(f"--{name}: must not lie ahead")
    return found


async def _open(options: argparse.Namespace) -> int:
    said = _said(options)
    async with open_journal(database_address(os.environ)) as connection:
        number = await open_emergency(connection, said, Operator.current())
    print(f"entry {number} is open")
    return 0


async def _note(options: argparse.Namespace) -> int:
    said = _said(options)
    if not any(said.columns):
        raise RecoveryError("nothing is said; --help shows what an entry has")
    async with open_journal(database_address(os.environ)) as connection:
        await note_emergency(connection, options.number, said, Operator.current())
    print(f"entry {options.number} is noted")
    return 0


async def _close(options: argparse.Namespace) -> int:
    said = _said(options)
    async with open_journal(database_address(os.environ)) as connection:
        await close_emergency(connection, options.number, said, Operator.current())
    print(f"entry {options.number} is closed")
    return 0


async def _list(options: argparse.Namespace) -> int:
    zone = _zone()
    async with open_journal(database_address(os.environ)) as connection:
        entries = await list_emergencies(connection, is_open=options.open)
    if options.json:
        print(orjson.dumps([asdict(entry) for entry in entries], default=str).decode())
        return 0
    if not entries:
        print("no entries")
    for entry in entries:
        state = "closed" if entry.closed_at else "open  "
        received = f"{entry.received_at.astimezone(zone):%Y-%m-%d %H:%M}"
        what = f"message {entry.exchange_id}" if entry.exchange_id else f"opened by {entry.opened_by}"
        print(printable(f"{entry.number}  {state}  received {received}  {what}  {entry.reason or '-'}"))
    return 0


async def _export(options: argparse.Namespace) -> int:
    if options.format == "xlsx" and not options.output:
        raise RecoveryError("-o: xlsx needs a file to be written to")
    zone = _zone()
    since = bound("--from", options.since, zone, last=False) if options.since else None
    until = bound("--to", options.until, zone, last=True) if options.until else None
    async with open_journal(database_address(os.environ)) as connection:
        entries = await list_emergencies(connection, since, until)
    form = read_form(7)
    put_out(Grid(form["title"], form["headings"], form["widths"], emergencies_in(entries, zone), zone), options)
    return 0
