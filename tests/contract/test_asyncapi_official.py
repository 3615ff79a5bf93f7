"""The AsyncAPI document against the official JSON Schema of AsyncAPI 3.0, which npm brings and nobody keeps here."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from adapter.paths import SCHEMAS

PACKAGE = "@asyncapi/specs@6.11.1"
MEMBER = "package/schemas/3.0.0-without-$id.json"
KEPT = SCHEMAS.parent / ".local" / "asyncapi-3.0.0.json"


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """The official schema, fetched once for this checkout."""
    if not KEPT.exists():
        _fetch()
    return Draft7Validator(json.loads(KEPT.read_text("utf-8")))


def _fetch() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not here, and nothing else brings the official schema of AsyncAPI")
    KEPT.parent.mkdir(exist_ok=True)
    fetched = subprocess.run(
        [npm, "pack", "--silent", PACKAGE], cwd=KEPT.parent, capture_output=True, text=True, timeout=120, check=False
    )
    if fetched.returncode:
        pytest.skip("npm cannot bring the official schema of AsyncAPI: its registry is not reached")
    archive = KEPT.parent / fetched.stdout.split()[-1]
    with tarfile.open(archive) as package:
        member = package.extractfile(MEMBER)
        assert member is not None
        fresh = Path(f"{KEPT}.new")
        fresh.write_bytes(member.read())
        fresh.rename(KEPT)
    archive.unlink()


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / "asyncapi.json").read_text("utf-8"))
    return document


def test_the_document_is_asyncapi_3(official: Draft7Validator, committed: dict[str, Any]) -> None:
    assert [error.message[:300] for error in official.iter_errors(committed)] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("asyncapi",), "2.6.0"),
        (("info", "version"), 1),
        (("channels", "zhkh-debt-requests", "address"), 7),
        (("channels", "zhkh-debt-requests", "bindings", "amqp", "is"), "topic"),
        (("operations", "zhkh-debt-requests", "action"), "consume"),
        (("components", "securitySchemes", "certificate", "type"), "certificate"),
        (("components", "schemas", "zhkh-debt-requests.command", "required"), "all"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else "spoiled",
)
def test_the_official_schema_refuses_a_spoiled_document(
    official: Draft7Validator, committed: dict[str, Any], place: tuple[str, ...], value: Any
) -> None:
    spoiled = json.loads(json.dumps(committed))
    *parents, last = place
    node = spoiled
    for step in parents:
        node = node[step]
    node[last] = value
    assert not official.is_valid(spoiled)
