"""``adapter maintenance add|list|end``: planned work of a gateway or a service, during which commands to it wait."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.documents.maintenance_notice import MaintenanceNotice, maintenance_notice
from adapter.recovery.arguments import printable, reason, span
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import Operator, database_address, open_journal, read_some
from adapter.recovery.errors import ArgumentError, RecoveryError
from adapter.recovery.planned import add_work, end_work, list_work, remarks
from adapter.services.registry import known_actions
from adapter.settings.values import offset
from adapter.workdays import Calendar

if TYPE_CHECKING:
    from datetime import tzinfo

    from adapter.settings.shep_registry import ShepRegistry

#: Gateways by the names of their bulkheads, and what people call them.
GATEWAYS: Final = {"smev3": "СМЭВ3", "epgu": "ЕПГУ", "shep": "ШЭП", "vshep": "ВШЭП", "postamat": "постаматы"}
_SHEP: Final = ("shep", "vshep")
_MOSCOW: Final = "+03:00"
_EXAMPLE: Final = """\
example:
  adapter maintenance add shep --service AsyncEcho --from 2026-11-28T22:00:00+05:00 --for 2h \\
      --reason "release 2.1" --notice letter.docx
  adapter maintenance list --json
  adapter maintenance end 7

While it goes on, nothing is sent to the gateway or service and no attempt counts. Deadlines hold: a command whose
deadline passes meanwhile is answered ADAPTER-EXPIRED, with details.cause ADAPTER-MAINTENANCE."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its verbs."""
    shown: dict[str, Any] = {"epilog": _EXAMPLE, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = subparsers.add_parser("maintenance", help="planned work: commands wait for its end", **shown)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="announce planned work", **shown)
    add.add_argument("gateway", choices=GATEWAYS, help="which gateway")
    add.add_argument("--service", metavar="NAME", help="one service alone: an action, or a service key of the ШЭП")
    add.add_argument(
        "--from", dest="begins", type=typed(_moment), required=True, metavar="TIME", help="RFC 3339, or now"
    )
    until = add.add_mutually_exclusive_group(required=True)
    until.add_argument("--until", dest="ends", type=typed(_moment), metavar="TIME", help="its end, RFC 3339")
    until.add_argument("--for", dest="lasts", type=typed(span), metavar="SPAN", help="how long: 30m, 2h")
    add.add_argument("--reason", type=typed(reason), required=True, metavar="TEXT", help="why; stands in the letter")
    add.add_argument("--notice", type=Path, metavar="FILE.docx", help="write the letter that announces it (Russian)")
    add.add_argument("--json", action="store_true", help="one JSON object for machines")
    add.set_defaults(work=_add)
    listing = verbs.add_parser("list", help="what is planned or goes on", **shown)
    listing.add_argument("--all", action="store_true", help="also what is over")
    listing.add_argument("--json", action="store_true", help="one JSON list for machines")
    listing.set_defaults(work=_list)
    end = verbs.add_parser("end", help="end it early, or call it off", **shown)
    end.add_argument("number", type=int, metavar="NUMBER", help="as list shows it")
    end.set_defaults(work=_end)
    parser.set_defaults(run=lambda options: carry_out(options.work(options)))


def _moment(text: str) -> datetime:
    """Read a moment that may be ahead. Raises ArgumentError."""
    if text == "now":
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentError("must be a moment with its offset such as 2026-11-28T22:00:00+05:00, or now")
    return found


async def _add(options: argparse.Namespace) -> int:
    known = read_some(os.environ, "SHEP_TIMEZONE", "SHEP_HOLIDAYS", "SHEP_SERVICES_FILE")
    registry: ShepRegistry | None = known["SHEP_SERVICES_FILE"]
    service = options.service or ""
    _check_service(options.gateway, service, registry)
    now = datetime.now(UTC)
    ends = options.ends or options.begins + options.lasts
    if ends <= options.begins:
        raise RecoveryError("--until: the end has to come after the beginning")
    if ends <= now:
        raise RecoveryError("--until: this time is over already")
    zone: tzinfo = known["SHEP_TIMEZONE"] if options.gateway in _SHEP else offset(_MOSCOW)
    warnings = remarks(options.begins, ends, now, Calendar(zone, frozenset(known["SHEP_HOLIDAYS"] or ())))
    operator = Operator.current(options.reason)
    if options.notice:
        _write(options.notice, b"")  # work that is planned and not announced is what nobody wants
    async with open_journal(database_address(os.environ)) as connection:
        number = await add_work(connection, options.gateway, service, (options.begins, ends), operator)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.notice:
        notice = MaintenanceNotice(
            number=number,
            written=now.astimezone(zone),
            begins=options.begins.astimezone(zone),
            ends=ends.astimezone(zone),
            reason=options.reason,
            gateway=GATEWAYS[options.gateway],
            service=_title(service, registry),
            sender=_sender(registry),
            addressees=_addressees(options.gateway, service, registry),
        )
        _write(options.notice, maintenance_notice(notice))
        print(f"{options.notice} written", file=sys.stderr)
    told = {"number": number, "begins_at": options.begins, "ends_at": ends, "warnings": warnings}
    if options.json:
        print(orjson.dumps(told).decode())
        return 0
    print(f"planned work {number}: from {options.begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC")
    print("workers know of it within seconds; commands wait, their deadlines hold (ADAPTER-EXPIRED when they pass)")
    return 0


def _check_service(gateway: str, service: str, registry: ShepRegistry | None) -> None:
    """Refuse a service that no command can be meant for. Raises RecoveryError."""
    if not service:
        return
    actions = known_actions()
    if gateway in _SHEP:
        keys = {row.key for row in registry.services if row.gateway == gateway} if registry else set()
        if service in keys or (service.startswith("shep.") and service in actions):
            return
        if registry is None:
            raise RecoveryError("--service: needs SHEP_SERVICES_FILE, which names the services")
        raise RecoveryError(f"--service: no service of SHEP_SERVICES_FILE in this contour has the key {service!r}")
    if actions.get(service) != gateway:
        known = ", ".join(sorted(action for action, owner in actions.items() if owner == gateway))
        raise RecoveryError(f"--service: must be an action of {gateway}: {known}")


def _title(service: str, registry: ShepRegistry | None) -> str:
    found = registry.service(service) if registry and service else None
    return service if found is None else f"«{found.name}» ({found.key})"


def _sender(registry: ShepRegistry | None) -> str:
    """Return our organisation: the one whose БИН is SHEP_BIN; '' when nobody has said."""
    own = os.environ.get("SHEP_BIN", "").strip()
    return next((row.name for row in registry.organisations if row.bin == own), "") if registry else ""


def _addressees(gateway: str, service: str, registry: ShepRegistry | None) -> list[str]:
    """Return who has to know: the gateway's administrator, and the users of the service (rule 34)."""
    found = registry.service(service) if registry and service else None
    users = {user.system for user in found.users} if found else set()
    systems = [row.name for row in registry.systems if row.key in users] if registry else []
    return [f"Администратору {GATEWAYS[gateway]}", *(f"Администратору ИС «{name}»" for name in systems)]


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise RecoveryError(f"--notice: {file} cannot be written: {error.strerror}") from None


async def _list(options: argparse.Namespace) -> int:
    async with open_journal(database_address(os.environ)) as connection:
        found = await list_work(connection, everything=options.all)
    if options.json:
        print(orjson.dumps([asdict(work) for work in found]).decode())
        return 0
    if not found:
        print("no planned work")
    for work in found:
        what = f"{work.gateway} {work.service}".rstrip()
        lasts = work.ends_at - work.begins_at
        when = f"{work.begins_at:%Y-%m-%d %H:%M} to {work.ends_at:%Y-%m-%d %H:%M} UTC ({_hours(lasts)})"
        print(printable(f"{work.id}  {work.state:<11}  {what}  {when}  {work.reason}"))
    return 0


def _hours(lasts: timedelta) -> str:
    minutes = int(lasts.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


async def _end(options: argparse.Namespace) -> int:
    async with open_journal(database_address(os.environ)) as connection:
        called_off = await end_work(connection, options.number, Operator.current())
    done = "is called off" if called_off else "has ended: commands go on within seconds"
    print(f"planned work {options.number} {done}")
    return 0
