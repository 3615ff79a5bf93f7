"""``adapter asyncapi``: the contract of every service as AsyncAPI 3.0, without any configuration."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from adapter.contract.asyncapi import document
from adapter.contract.catalog import events, services
from adapter.contract.schemas import command_schema, event_schema, reply_schema
from adapter.paths import SCHEMAS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

#: The document, and the folder of JSON Schemas, below schemas/.
DOCUMENT: Final = "asyncapi.json"
FOLDER: Final = "json"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("asyncapi", help="print the contract of every service as AsyncAPI 3.0")
    parser.add_argument("--write", action="store_true", help="renew schemas/asyncapi.json and schemas/json/ instead")
    parser.set_defaults(run=_asyncapi)


def _asyncapi(options: argparse.Namespace) -> int:
    if not options.write:
        sys.stdout.write(files()[DOCUMENT])
        return 0
    wanted = files()
    (SCHEMAS / FOLDER).mkdir(exist_ok=True)
    for stale in {path.relative_to(SCHEMAS).as_posix() for path in (SCHEMAS / FOLDER).glob("*.json")} - set(wanted):
        (SCHEMAS / stale).unlink()
    for name, text in wanted.items():
        _write(SCHEMAS / name, text)
    print(f"{SCHEMAS / DOCUMENT} and {len(wanted) - 1} JSON Schemas beside it are as the code says", file=sys.stderr)
    return 0


def files() -> Mapping[str, str]:
    """Return every generated file by its name below schemas/."""
    found = {DOCUMENT: _text(document(version("state-gateway-adapter")))}
    for action, service in services().items():
        found[f"{FOLDER}/{action}.json"] = _text(command_schema(service))
        found[f"{FOLDER}/{action}.reply.json"] = _text(reply_schema(service))
    for name in events():
        found[f"{FOLDER}/{name}.event.json"] = _text(event_schema(name))
    return found


def _text(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
