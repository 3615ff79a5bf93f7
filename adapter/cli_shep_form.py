"""``adapter shep form 1|2|3|5``: the forms of order № 104, filled in from the registry of services."""

from __future__ import annotations

import argparse
import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapter.cli_shep_journal import explain, save
from adapter.documents.grid import as_xlsx
from adapter.drafting.shapes import DraftError
from adapter.recovery.door import carry_out
from adapter.recovery.environment import read_some
from adapter.recovery.errors import RecoveryError
from adapter.shep_journals.formats import message_formats
from adapter.shep_journals.forms import as_docx, fill, interactions

if TYPE_CHECKING:
    from adapter.settings.shep_registry import Service, ShepRegistry

_EXAMPLE: Final = """\
example:
  adapter shep form 1 AsyncEcho -o publish.docx
  adapter shep form 2 -o interactions.xlsx
  adapter shep form 3 AsyncEcho --user adapter -o integrate.docx

1 asks to publish a service, 3 to use one, 5 to publish one for tests; 2 is the journal of all interactions. What the
registry (SHEP_SERVICES_FILE) does not say is named on stderr and stands in the document as «не заполнено»."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    form = verbs.add_parser(
        "form",
        help="forms 1, 2, 3 and 5 of order № 104, from the registry",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form.add_argument("number", type=int, choices=(1, 2, 3, 5), help="of the form: its appendix")
    form.add_argument(
        "service",
        nargs="?",
        metavar="SERVICE",
        help="its key, when the registry has several; form 2 takes all without one",
    )
    form.add_argument("-o", "--output", type=Path, metavar="FILE", help="by default form-N-SERVICE.docx, 2 as .xlsx")
    form.add_argument("--user", metavar="SYSTEM", help="form 3: the system that asks to use the service")
    form.add_argument(
        "--xsd", type=Path, metavar="FILE", help="form 1: the schema of its messages; else the registry's"
    )
    form.add_argument("--request", metavar="NAME", help="root element of the request, when it is not plain")
    form.add_argument("--answer", metavar="NAME", help="root element of the answer, same")
    form.set_defaults(run=lambda options: carry_out(asyncio.to_thread(_form, options)))


def _form(options: argparse.Namespace) -> int:
    """Write the form. Raises RecoveryError."""
    known = read_some(os.environ, "SHEP_SERVICES_FILE", "SHEP_TIMEZONE")
    registry: ShepRegistry | None = known["SHEP_SERVICES_FILE"]
    if registry is None:
        raise RecoveryError("SHEP_SERVICES_FILE: is required, forms are filled in from the registry")
    service = _service(options, registry)
    ending = "xlsx" if options.number == 2 else "docx"
    file = options.output or Path(f"form-{options.number}{f'-{service.key}' if service else ''}.{ending}")
    if file.suffix != f".{ending}":
        raise RecoveryError(f"-o: form {options.number} is written as .{ending}")
    if options.number == 2:
        grid, missing = interactions(registry, known["SHEP_TIMEZONE"], service)
        save(file, as_xlsx(grid))
    elif service is not None:
        now = datetime.now(UTC).astimezone(known["SHEP_TIMEZONE"])
        missing = _write(options, registry, service, file, now)
    explain(missing)
    print(f"{file} written{f', {len(missing)} rows are not filled in' if missing else ''}")
    return 0


def _service(options: argparse.Namespace, registry: ShepRegistry) -> Service | None:
    if options.service is None and options.number == 2:
        return None
    if options.service is None and len(registry.services) == 1:
        return registry.services[0]
    found = registry.service(options.service or "")
    if found is None:
        keys = ", ".join(row.key for row in registry.services)
        raise RecoveryError(f"SERVICE: must be a key of the registry: {keys}")
    return found


def _write(
    options: argparse.Namespace, registry: ShepRegistry, service: Service, file: Path, now: datetime
) -> list[str]:
    more: dict[str, Any] = {}
    if options.number == 3:
        more["applicant"] = _applicant(options.user, registry, service)
    if options.number == 1:
        more["formats"] = _formats(options, service)
    filled = fill(options.number, registry, service, **more)
    save(file, as_docx(filled, now))
    return filled.missing


def _applicant(wanted: str | None, registry: ShepRegistry, service: Service) -> str:
    """Return the system that asks: the one that is named, or the only user of the service. Raises RecoveryError."""
    users = [user.system for user in service.users]
    if wanted is not None:
        if wanted not in {row.key for row in registry.systems}:
            raise RecoveryError(f"--user: must be the key of a system of the registry, not {wanted!r}")
        return wanted
    if len(users) != 1:
        raise RecoveryError(f"--user: is required, the service has {len(users)} users ({', '.join(users) or 'none'})")
    return users[0]


def _formats(options: argparse.Namespace, service: Service) -> list[list[str]] | None:
    """Return the rows of the service's messages, ``None`` without a schema. Raises RecoveryError."""
    file = options.xsd
    if file is None and service.xsd is not None:
        file = Path(os.environ["SHEP_SERVICES_FILE"].strip()).parent / service.xsd
    if file is None:
        return None
    try:
        return message_formats(file, options.request or service.xsd_request, options.answer or service.xsd_answer)
    except DraftError as error:
        raise RecoveryError(f"--xsd: {file}: {error}") from None
