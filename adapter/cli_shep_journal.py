"""``adapter shep journal``: form 6 of order № 104, the log of messages, from the journal of exchanges."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from adapter.documents.grid import Grid, as_csv, as_xlsx
from adapter.documents.shep_forms import read_form
from adapter.recovery.arguments import moment
from adapter.recovery.door import carry_out
from adapter.recovery.environment import database_address, open_journal, read_some
from adapter.recovery.errors import ArgumentError, RecoveryError
from adapter.shep_journals.log import Parties, entries_in, read_log

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLE: Final = """\
example:
  adapter shep journal --from 2026-11-01 --to 2026-11-30 --format xlsx -o journal.xlsx
  adapter shep journal --from 2026-11-21T09:00:00+05:00 --to 2026-11-21T18:00:00+05:00 --service AsyncEcho

Days are those of SHEP_TIMEZONE, the last one is included. A message to the ШЭП was received from the upstream system
and then sent; one from the ШЭП was received from the gateway and then passed on."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    journal = verbs.add_parser(
        "journal",
        help="form 6 of order № 104: every message sent and received, as CSV or xlsx",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    journal.add_argument("--from", dest="since", required=True, metavar="TIME", help="a day, or a moment (RFC 3339)")
    journal.add_argument("--to", dest="until", required=True, metavar="TIME", help="a day, included, or a moment")
    journal.add_argument("--service", metavar="KEY", help="messages of one service alone")
    journal.add_argument("--format", choices=("csv", "xlsx"), default="csv", help="csv opens in Excel (default)")
    journal.add_argument("--json", action="store_true", help="one JSON list for machines instead")
    journal.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write; needed for xlsx")
    journal.set_defaults(run=lambda options: carry_out(_journal(options)))


async def _journal(options: argparse.Namespace) -> int:
    if options.format == "xlsx" and not options.output and not options.json:
        raise RecoveryError("-o: xlsx needs a file to be written to")
    known = read_some(os.environ, "SHEP_TIMEZONE", "SHEP_SERVICES_FILE", "SHEP_SENDER_ID")
    zone = known["SHEP_TIMEZONE"]
    since = bound("--from", options.since, zone, last=False)
    until = bound("--to", options.until, zone, last=True)
    if until <= since:
        raise RecoveryError("--to: has to come after --from")
    parties = Parties(known["SHEP_SERVICES_FILE"], known["SHEP_SENDER_ID"] or "")
    async with open_journal(database_address(os.environ)) as connection:
        entries = await read_log(connection, since, until, parties, options.service)
    if options.json:
        print(orjson.dumps([asdict(entry) for entry in entries]).decode())
        return 0
    form = read_form(6)
    subtitle = f"с {since.astimezone(zone):%d.%m.%Y %H:%M} по {until.astimezone(zone):%d.%m.%Y %H:%M} ({zone})"
    put_out(Grid(form["title"], form["headings"], form["widths"], entries_in(entries), zone, subtitle), options)
    return 0


def bound(name: str, text: str, zone: tzinfo, *, last: bool) -> datetime:
    """Read one end of a time: a moment, or a day, of which the ``last`` one is included. Raises RecoveryError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            return moment(text)
        except ArgumentError:
            rule = "must be a day such as 2026-11-01, or a moment such as 2026-11-01T09:00:00+05:00"
            raise RecoveryError(f"{name}: {rule}") from None
    return datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1 if last else 0)


def put_out(grid: Grid, options: argparse.Namespace) -> None:
    """Write a table to the file of the options, or to stdout. Raises RecoveryError."""
    data = as_xlsx(grid) if options.format == "xlsx" else as_csv(grid)
    if not options.output:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    save(options.output, data)
    print(f"{options.output}: {len(grid.rows)} rows", file=sys.stderr)


def save(file: Path, data: bytes) -> None:
    """Write a document for its owner's eyes alone. Raises RecoveryError."""
    try:
        file.touch(mode=0o600)
        file.write_bytes(data)
    except OSError as error:
        raise RecoveryError(f"-o: {file} cannot be written: {error.strerror}") from None


def explain(missing: Sequence[str]) -> None:
    """Name on stderr what a document lacks."""
    for row in missing:
        print(f"not filled in: {row}", file=sys.stderr)
