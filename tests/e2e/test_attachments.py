"""From queue to queue with files: a command that brings some, and a reply that tells of those that came back."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES
from tests.e2e.conftest import ACTION, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.local.postgres import LocalPostgres
    from tests.e2e.conftest import Simulator, Stack, Talk

PREFIX = "files."
PROGRAM = Path(__file__).with_name("attachments_program.py")
LARGE = bytes(range(256)) * 25_000
OCTETS = "application/octet-stream"


class Folders:
    """What the adapter of these tests may read, and where it keeps what comes."""

    def __init__(self, place: Path) -> None:
        self.given, self.kept = place / "given", place / "kept"
        for folder in (self.given, self.kept):
            folder.mkdir()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def worker(stack: Stack, postgres: LocalPostgres, folders: Folders) -> Iterator[Process]:
    """An adapter with a journal, queues and files of its own, one service of which takes files."""
    name = f"files_{uuid4().hex[:8]}"
    postgres.create_database(name)
    simulator = stack.processes[1]
    port = json.loads(simulator.wait_line('"ready"'))["ftp"]
    environment = stack.environment | {
        "DATABASE_NAME": name,
        "MQ_PREFIX": PREFIX,
        "SMEV_NODE_ID": "files",
        "SMEV_FTP_PORT": str(port),
        "FILES_ROOT": str(folders.kept),
        "FILES_IN_PATHS": str(folders.given),
    }
    process = Process([sys.executable, str(PROGRAM)], environment)
    try:
        process.wait_line("adapter consumes")
        yield process
    finally:
        assert process.end() == 0, process.output[-3000:]


def fresh(*attachments: dict[str, Any]) -> dict[str, Any]:
    """The seed's first example under ids of its own, with files."""
    command = copy.deepcopy(dict(EXAMPLES[0].request))
    command["actions"][0] |= {"transport_id": str(uuid4())}
    return command | {"attachments": attachments}


async def ask(talk: Talk, command: dict[str, Any], **headers: Any) -> dict[str, Any]:
    message = aio_pika.Message(
        json.dumps(command).encode(), message_id=str(uuid4()), reply_to=talk.queue.name, headers=headers
    )
    await talk.channel.default_exchange.publish(message, f"{PREFIX}{ACTION}", timeout=10)
    told: dict[str, Any] = json.loads((await asyncio.wait_for(talk.replies.get(), 40)).body)
    return told


async def rule(simulator: Simulator, command: dict[str, Any], **effects: Any) -> None:
    await simulator.post("scenario", {"transport_id": command["actions"][0]["transport_id"]} | effects)


@pytest.mark.usefixtures("worker")
async def test_files_go_to_the_provider_and_come_back_with_the_reply(
    talk: Talk, simulator: Simulator, folders: Folders
) -> None:
    (folders.given / "large.bin").write_bytes(LARGE)
    command = fresh(
        {"name": "small.txt", "mime_type": "text/plain", "content_base64": base64.b64encode(b"abc").decode()},
        {"name": "большой.bin", "mime_type": OCTETS, "path": str(folders.given / "large.bin")},
    )
    await rule(simulator, command, echo=True)
    reply = await ask(talk, command)
    assert reply["result"][0]["success"]
    small, large = reply["attachments"]
    assert base64.b64decode(small["content_base64"]) == b"abc"
    assert (large["name"], large["size"]) == ("большой.bin", len(LARGE))
    assert large["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert (folders.kept / large["path"]).read_bytes() == LARGE


@pytest.mark.usefixtures("worker")
async def test_a_file_that_may_not_be_sent_is_named_and_nothing_is_sent(talk: Talk, simulator: Simulator) -> None:
    command = fresh({"name": "a", "mime_type": OCTETS, "path": "/etc/hostname"})
    error = (await ask(talk, command))["error"]
    assert error["error_code"] == "ADAPTER-ATTACHMENT-REFUSED"
    assert [fault["path"] for fault in error["fields"]] == ["attachments[0].path"]
    sent = {entry["transport_id"] for entry in await simulator.ledger()}
    assert command["actions"][0]["transport_id"] not in sent


@pytest.mark.usefixtures("worker")
async def test_a_rehearsal_shows_the_message_and_moves_no_file(talk: Talk, folders: Folders) -> None:
    (folders.given / "rehearsed.bin").write_bytes(LARGE)
    command = fresh(
        {"name": "a.bin", "mime_type": OCTETS, "path": str(folders.given / "rehearsed.bin")},
        {"name": "b.txt", "mime_type": "text/plain", "content_base64": "YWJj"},
    )
    shown = (await ask(talk, command, **{"x-dry-run": True}))["result"]["xml"]
    assert "RefAttachmentHeader>" in shown
    assert "YWJj" in shown


@pytest.mark.usefixtures("worker")
async def test_an_attachment_that_is_not_what_was_signed_reaches_its_command_by_name(
    talk: Talk, simulator: Simulator
) -> None:
    command = fresh()
    await rule(simulator, command, attachments=[{"by": "ftp", "size": 1000, "flaw": "hash"}])
    error = (await ask(talk, command))["error"]
    assert error["error_code"] == "ADAPTER-ATTACHMENT-WRONG"
    assert [fault["path"] for fault in error["fields"]] == ["attachments[0]"]


async def test_a_storage_that_is_away_for_a_while_costs_nothing_but_time(
    worker: Process, talk: Talk, simulator: Simulator, folders: Folders
) -> None:
    (folders.given / "later.bin").write_bytes(LARGE)
    command = fresh({"name": "later.bin", "mime_type": OCTETS, "path": str(folders.given / "later.bin")})
    await simulator.post("scenario", {"operation": "Upload", "ftp": "login", "times": 3})
    assert "result" in await ask(talk, command)
    assert "exchange retries" in worker.output
