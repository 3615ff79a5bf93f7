"""Applications to ЕПГУ from queue to queue: submitted, looked at, and exact after a worker is killed at any moment."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest

from tests.e2e.conftest import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from deploy.local.postgres import LocalPostgres
    from tests.e2e.conftest import Stack, Talk

PREFIX = "orders."
META = {"service_code": "10000000113", "target_code": "-10000000113", "region": "36000000000"}
KEY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="module")
def portal(gost_keys: Path) -> Iterator[str]:
    """The URL of a simulator of its own."""
    argv = [sys.executable, "-m", "simulators.epgu", "--keys", str(gost_keys), "--port", "0"]
    program = Process([*argv, "--process-step", "0", "--status-step", "0"], {})
    yield json.loads(program.wait_line('"ready"'))["url"]
    assert program.end() == 0, program.output[-3000:]


@pytest.fixture(scope="module")
def own(postgres: LocalPostgres, portal: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A journal, queues and files of its own."""
    name = f"orders_{uuid4().hex[:8]}"
    postgres.create_database(name)
    return {
        "DATABASE_NAME": name,
        "MQ_PREFIX": PREFIX,
        "SERVICES": "epgu.order.submit,epgu.order.push,epgu.order.get,epgu.file.download",
        "MQ_PREFETCH": "20",
        "FILES_ROOT": str(tmp_path_factory.mktemp("files")),
        "EPGU_URL": portal,
        "ESIA_URL": portal,
        "ESIA_API_KEYS": f"head={KEY}",
    }


@pytest.fixture
async def side_door(portal: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(portal) as session:
        yield session


async def say(talk: Talk, action: str, body: Any) -> None:
    message = aio_pika.Message(json.dumps(body).encode(), message_id=str(uuid4()), reply_to=talk.queue.name)
    await talk.channel.default_exchange.publish(message, f"{PREFIX}{action}", timeout=10)


async def ask(talk: Talk, action: str, body: Any) -> dict[str, Any]:
    await say(talk, action, body)
    outcome: dict[str, Any] = json.loads((await talk.reply()).body)
    return outcome


def application(content: str) -> dict[str, Any]:
    file = {"name": "req.xml", "content_base64": base64.b64encode(content.encode()).decode(), "sign": True}
    return {**META, "files": [file], "substitute": ["req.xml"]}


async def submitted(session: aiohttp.ClientSession) -> dict[str, int]:
    """How many archives came for each number."""
    async with session.get("/_sim/counts") as answer:
        orders = (await answer.json())["orders"]
    return {number: counts.get("submitted", 0) for number, counts in orders.items()}


async def test_an_application_goes_from_submit_to_its_result(stack: Stack, own: dict[str, str], talk: Talk) -> None:
    with stack.adapter(**own) as process:
        number = (await ask(talk, "epgu.order.submit", application("<a>${orderId}</a>")))["result"]["order_id"]
        details = (await ask(talk, "epgu.order.get", {"order_id": number}))["result"]
        assert (details["success"], details["order"]["current_status_history"]["status_id"]) == (True, 3)
        (result,) = details["order"]["order_response_files"]
        file = (await ask(talk, "epgu.file.download", {"link": result["link"]}))["result"]["file"]
        assert (file["size"], len(base64.b64decode(file["content_base64"]))) == (4096, 4096)
        sent = (await ask(talk, "epgu.file.download", {"link": f"terrabyte://00/{number}/req.xml/2"}))["result"]
        assert base64.b64decode(sent["file"]["content_base64"]) == f"<a>{number}</a>".encode()
        none = await ask(talk, "epgu.order.get", {"order_id": 5})
        assert none["error"]["error_code"] == "not_found"
    assert KEY not in process.output
    assert "eyJ" not in process.output


async def test_every_application_arrives_once_though_the_worker_is_killed_at_its_chunks(
    stack: Stack, own: dict[str, str], talk: Talk, side_door: aiohttp.ClientSession
) -> None:
    before = await submitted(side_door)
    await side_door.post("/_sim/scenario", json={"operation": "chunk", "answer_delay": 20, "times": 2})
    await side_door.post("/_sim/scenario", json={"operation": "order", "answer_delay": 20, "times": 1, "skip": 3})
    first = stack.start(**own)
    first.wait_line("adapter consumes")
    for number in range(4):
        await say(talk, "epgu.order.submit", application(f"<a n='{number}'>${{orderId}}</a>"))
    replies = [await talk.reply()]
    for _ in range(400):
        if sum((await submitted(side_door)).values()) >= sum(before.values()) + 3:
            break
        await asyncio.sleep(0.05)
    first.end(signal.SIGKILL)
    with stack.adapter(**own):
        while len({reply.message_id for reply in replies}) < 4:  # a crash may repeat a reply, under the same id
            replies.append(await talk.reply(60))
    numbers = {str(json.loads(reply.body)["result"]["order_id"]) for reply in replies}
    after = await submitted(side_door)
    assert len(numbers) == 4
    assert {number: after[number] for number in numbers} == dict.fromkeys(numbers, 1)
    assert all(count <= 1 for number, count in after.items() if number not in before)


async def test_a_push_whose_answer_was_lost_is_told_as_uncertain_and_never_made_again(
    stack: Stack, own: dict[str, str], talk: Talk, side_door: aiohttp.ClientSession
) -> None:
    await side_door.post("/_sim/scenario", json={"operation": "push", "drop": "after", "times": 1})
    pushed = sum(line["operation"] == "push" for line in await ledger(side_door))
    body = {**META, "files": [{"name": "req.xml", "content_base64": "PGEvPg=="}]}
    with stack.adapter(**own):
        assert (await ask(talk, "epgu.order.push", body))["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    assert sum(line["operation"] == "push" for line in await ledger(side_door)) == pushed + 1


async def ledger(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with session.get("/_sim/ledger") as answer:
        lines: list[dict[str, Any]] = await answer.json()
    return lines
