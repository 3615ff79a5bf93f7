"""``adapter render ACTION FILE.json``: what would be sent, without configuration, signature or network."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from adapter.errors import FieldFault, InvalidCommandError
from adapter.exchange import Call, Command
from adapter.incoming import Look
from adapter.paths import SCHEMAS
from adapter.services.registry import make_services
from adapter.xml.parser import parse
from adapter.xml.schema import Schema

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("render", help="print the XML of a command without sending anything")
    parser.add_argument("action")
    parser.add_argument("file", type=Path, help="a JSON file, or - for standard input")
    parser.set_defaults(run=_render)


def _render(options: argparse.Namespace) -> int:
    services = make_services(os.environ)
    service = services.get(options.action)
    if service is None:
        print(f"unknown action; known: {', '.join(sorted(services))}", file=sys.stderr)
        return 2
    try:
        body = sys.stdin.buffer.read() if str(options.file) == "-" else options.file.read_bytes()
    except OSError as error:
        print(f"cannot read {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    now = datetime.now(UTC)
    step = service.start(Command(UUID(int=0), service.action, body, now, now + service.deadline))
    if isinstance(step, Look):
        print("the command goes by what the journal knows: publish it with the header x-dry-run", file=sys.stderr)
        return 1
    if not isinstance(step, Call):
        print("the command is answered without a call", file=sys.stderr)
        return 1
    if service.schema:
        faults = Schema.load(SCHEMAS / service.schema).check(parse(step.content))
        if faults:
            raise InvalidCommandError([FieldFault(fault.path, fault.rule) for fault in faults])
    sys.stdout.buffer.write(step.content + b"\n")
    return 0
