"""``adapter new-service X.xsd``: draft a service's module, example and page from the schema of a вид сведений."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from adapter.drafting.complex import read_contract
from adapter.drafting.module import Draft, draft
from adapter.drafting.schemas import Schemas
from adapter.drafting.shapes import DraftError
from adapter.errors import InvalidCommandError
from adapter.exchange import Call, Command, Service
from adapter.xml.mapping import dump
from adapter.xml.parser import XmlError, parse
from adapter.xml.schema import Schema

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_ACTION: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILE_VERSION: Final = re.compile(r"[-_.]v?\d+(\.\d+)*$")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("new-service", help="draft a service module from an XSD")
    parser.add_argument("schema", type=Path, metavar="X.xsd", help="what it imports has to lie below its folder")
    parser.add_argument("--action", help="the queue's name; by default the file's, without its version")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="the project's folder (.)")
    parser.add_argument("--request", metavar="NAME", help="root element of the request, when it is not plain")
    parser.add_argument("--answer", metavar="NAME", help="root element of the answer, same")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.set_defaults(run=_draft)


def _draft(options: argparse.Namespace) -> int:
    """Write the files; 0 done, 1 done but the example is not valid yet, 2 refused."""
    action = options.action or _FILE_VERSION.sub("", options.schema.stem).lower().replace("_", "-")
    try:
        made, files = _made(options, action)
        _write(files, force=options.force)
    except DraftError as error:
        print(f"{options.schema}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    faults = list(_examples_faults(options.out, made))
    _tell(options.out, files, made, action, faults)
    return 1 if faults else 0


def _made(options: argparse.Namespace, action: str) -> tuple[Draft, dict[Path, bytes]]:
    """Return the draft and its files. Raises DraftError."""
    if not _ACTION.fullmatch(action):
        raise DraftError(f"{action} is no name of an action: name one by --action, like zhkh-debt-requests")
    schemas = Schemas(options.schema)
    try:
        Schema.load(options.schema)
    except XmlError as error:
        raise DraftError(str(error)) from None
    made = draft(read_contract(schemas, options.request, options.answer, options.schema), action)
    return made, {options.out / name: content for name, content in _files(schemas, made, action)}


def _write(files: dict[Path, bytes], *, force: bool) -> None:
    """Write all files or none. Raises DraftError, OSError."""
    there = [str(path) for path, content in files.items() if path.exists() and path.read_bytes() != content]
    if there and not force:
        raise DraftError(f"already there: {', '.join(there)}; --force writes over them")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _files(schemas: Schemas, made: Draft, action: str) -> Iterator[tuple[str, bytes]]:
    yield f"adapter/services/{made.module}.py", made.source.encode()
    yield f"docs/services/{action}.md", made.page.encode()
    yield f"{action}.json", (json.dumps(made.command, ensure_ascii=False, indent=2) + "\n").encode()
    folder = Path("schemas") / Path(made.schema).parent
    for path in schemas.files:
        yield str(folder / path.relative_to(schemas.folder)), path.read_bytes()


def _examples_faults(out: Path, made: Draft) -> Iterator[str]:
    """Run the drafted service on its own examples and yield what the schema says of them."""
    service: Any = _loaded(out / "adapter" / "services" / f"{made.module}.py", made.module)
    now = datetime.now(UTC)
    try:
        schema = Schema.load(out / "schemas" / made.schema)
        body = json.dumps(made.command).encode()
        step = service.start(Command(UUID(int=0), service.action, body, now, now + service.deadline))
        content = step.content if isinstance(step, Call) else b""
        yield from (f"request: {fault.path} {fault.rule}" for fault in schema.check(parse(content)))
        told = made.reply if "error" in made.reply else made.reply["result"]
        if "error" not in service.answer.model_fields and "result" in service.answer.model_fields:
            told = made.reply
        root = dump(service.answer.model_validate(told), service.answer_root)
        yield from (f"reply: {fault.path} {fault.rule}" for fault in schema.check(root))
    except InvalidCommandError as error:
        yield from (f"request: {fault.path} {fault.rule}" for fault in error.fields)
    except (XmlError, ValueError) as error:
        yield f"{type(error).__name__}: {error}"


def _loaded(path: Path, name: str) -> Service:
    spec = importlib.util.spec_from_file_location(f"drafted_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path.name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    service: Service = module.make({})
    return service


def _tell(out: Path, files: dict[Path, bytes], made: Draft, action: str, faults: list[str]) -> None:
    for path in files:
        print(f"written  {path}")
    for fault in faults:
        print(f"example  {fault}")
    state = "valid by the schema" if not faults else "to be corrected by hand, see above"
    print(
        f"\nThe drafted example is {state}. What to do next:\n"
        f"  1. read {out / 'adapter' / 'services' / made.module}.py: names, descriptions, the title; then ruff format\n"
        "  2. add a method rules for what no schema holds\n"
        f"  3. adapter render {action} {action}.json prints the XML without sending it\n"
        f"  4. SERVICES={action} serves it; docs/new-service.md tells the rest"
    )
