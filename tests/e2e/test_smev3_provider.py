"""The provider's role, from another system's request to its answer, with the product as separate processes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from deploy.local.postgres import LocalPostgres
    from tests.e2e.conftest import Process, Simulator, Stack, Talk

ANSWER, PREFIX = "smev3.request.answer", "provider."
ZOO = '<z:Zoo xmlns:z="urn:zoo/1.0.0"><z:animal>слон</z:animal></z:Zoo>'
ZOO_ANSWER = '<z:ZooAnswer xmlns:z="urn:zoo/1.0.0"><z:age>7</z:age></z:ZooAnswer>'


@pytest.fixture(scope="module")
def own(postgres: LocalPostgres) -> dict[str, str]:
    """A journal and queues of its own, and the provider's role."""
    name = f"provider_{uuid4().hex[:8]}"
    postgres.create_database(name)
    return {
        "DATABASE_NAME": name,
        "MQ_PREFIX": PREFIX,
        "SMEV_NODE_ID": "provider",
        "SERVICES": ANSWER,
        "SMEV_PROVIDES": "urn:zoo/1.0.0#Zoo, urn:news/1.0.0#News",
        "SMEV_STATUSES": "on",
        "SMEV_SIM_HEADERS": "on",
    }


@pytest.fixture(scope="module")
def provider(stack: Stack, own: dict[str, str]) -> Iterator[Process]:
    with stack.adapter(**own) as process:
        yield process


@asynccontextmanager
async def events(talk: Talk, name: str) -> AsyncIterator[asyncio.Queue[Any]]:
    """Read the durable queue of an event."""
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    queue = await talk.channel.get_queue(f"{PREFIX}{name}")
    tag = await queue.consume(arrived.put, no_ack=True)
    yield arrived
    await queue.cancel(tag)


async def told(queue: asyncio.Queue[Any]) -> dict[str, Any]:
    message = await asyncio.wait_for(queue.get(), 30)
    body: dict[str, Any] = json.loads(message.body)
    return body


async def answer(talk: Talk, body: Any, **headers: str) -> dict[str, Any]:
    message = aio_pika.Message(
        json.dumps(body).encode(), message_id=str(uuid4()), reply_to=talk.queue.name, headers=headers
    )
    await talk.channel.default_exchange.publish(message, f"{PREFIX}{ANSWER}", timeout=10)
    reply = await asyncio.wait_for(talk.replies.get(), 30)
    outcome: dict[str, Any] = json.loads(reply.body)
    return outcome


async def put(simulator: Simulator, **wanted: Any) -> str:
    """Ask as another system; returns the request's MessageID."""
    body = {"content": ZOO, "recipient": "ov"} | wanted
    async with simulator._session.post(f"{simulator._url}/_sim/incoming", json=body) as response:
        assert response.status == 201, await response.text()
        made: str = (await response.json())["message_id"]
        return made


async def answers(simulator: Simulator, request: str) -> list[dict[str, Any]]:
    async with simulator._session.get(f"{simulator._url}/_sim/answers", params={"original": request}) as response:
        found: list[dict[str, Any]] = await response.json()
        return found


async def test_a_request_becomes_an_event_and_the_command_its_answer(
    provider: Process, stack: Stack, own: dict[str, str], talk: Talk, simulator: Simulator
) -> None:
    async with events(talk, "smev3.request.received") as received:
        request = await put(simulator, test=True)
        event = await told(received)
    assert (event["message_id"], event["namespace"], event["root"]) == (request, "urn:zoo/1.0.0", "Zoo")
    assert (event["test"], event["reply_expected"], event["attachments"]) == (True, True, [])
    assert "слон" in event["content_xml"]
    status = {"code": "1", "description": "В работе", "parameters": [{"key": "k", "value": "v"}]}
    assert (await answer(talk, {"message_id": request, "status": status}))["result"]["final"] is False
    said = (await answer(talk, {"message_id": request, "content_xml": ZOO_ANSWER}))["result"]
    assert (said["request_message_id"], said["final"]) == (request, True)
    again = await answer(talk, {"message_id": request, "rejections": [{"code": "NO_DATA", "description": "x"}]})
    assert again["error"]["error_code"] == "ADAPTER-ALREADY-ANSWERED"
    assert [one["kind"] for one in await answers(simulator, request)] == ["status", "content"]
    trace = json.loads(stack.command("trace", request, "--json", **own).stdout)
    directions = [(one["direction"], one["action"], one["state"]) for one in trace["conversation"]]
    assert directions == [
        ("in", "smev3.request", "replied"),
        *[("out", ANSWER, "replied")] * 2,
    ]
    shown = stack.command("trace", request, **own).stdout.decode()
    assert shown.index("smev3.request ") < shown.index(ANSWER)


async def test_a_rejection_and_what_is_no_answer_are_told_apart(
    provider: Process, talk: Talk, simulator: Simulator
) -> None:
    rejections = [{"code": "NO_DATA", "description": "Нет"}, {"code": "FAILURE", "description": "Сбой"}]
    request = await put(simulator)
    async with events(talk, "smev3.request.received") as received:
        assert (await told(received))["message_id"] == request
        news = await put(simulator, content='<n:News xmlns:n="urn:news/1.0.0"/>', broadcast=True)
        assert (await told(received))["reply_expected"] is False
    assert "result" in await answer(talk, {"message_id": request, "rejections": rejections})
    (rejected,) = await answers(simulator, request)
    assert [reason["code"] for reason in rejected["rejections"]] == ["NO_DATA", "FAILURE"]
    refused = await answer(talk, {"message_id": news, "rejections": rejections})
    assert refused["error"]["error_code"] == "ADAPTER-NO-ANSWER-WANTED"
    unknown = await answer(talk, {"message_id": str(uuid4()), "rejections": rejections})
    assert unknown["error"]["error_code"] == "ADAPTER-REQUEST-NOT-FOUND"


async def test_an_answer_that_smev_throws_away_is_told_though_it_was_taken(
    provider: Process, talk: Talk, simulator: Simulator
) -> None:
    request = await put(simulator)
    async with events(talk, "smev3.request.received") as received:
        assert (await told(received))["message_id"] == request
    async with events(talk, "smev3.request.answer.failed") as failed:
        said = await answer(talk, {"message_id": request, "content_xml": ZOO_ANSWER}, **{"x-sim": "reject:SMEV-403"})
        assert "result" in said
        event = await told(failed)
    assert (event["error"]["error_code"], event["command"]["action"]) == ("SMEV-403", ANSWER)
    another = await answer(talk, {"message_id": request, "content_xml": ZOO_ANSWER})
    assert another.get("error", {}).get("error_code") != "ADAPTER-ALREADY-ANSWERED"


async def test_a_rehearsal_is_said_loudly(stack: Stack, own: dict[str, str]) -> None:
    checked = stack.command("check", **own)
    assert "SMEV_SIM_HEADERS is on" in checked.stdout.decode()
