"""A citizen and an agency through the product as separate processes: what is refused, warned of, rejected, repeated."""

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

PREFIX, NS, ROOT = "epgu.", "urn:e2e-visit/1.0.0", "Visit"


@pytest.fixture(scope="module")
def own(postgres: LocalPostgres) -> dict[str, str]:
    """A journal and queues of its own."""
    name = f"epgu_{uuid4().hex[:8]}"
    postgres.create_database(name)
    types = [{"namespace": NS, "request_root": ROOT, "response_root": "VisitAnswer"}]
    return {
        "DATABASE_NAME": name,
        "MQ_PREFIX": PREFIX,
        "SMEV_NODE_ID": "epgu",
        "SERVICES": "epgu.message.send,epgu.order.set-status,epgu.order.answer,epgu.cancel.answer",
        "MQ_PREFETCH": "20",
        "EPGU_ORDER_TYPES": json.dumps(types),
        "SMEV_SIM_HEADERS": "on",
    }


@pytest.fixture(scope="module")
def agency(stack: Stack, own: dict[str, str]) -> Iterator[Process]:
    with stack.adapter(**own) as process:
        yield process


@asynccontextmanager
async def events(talk: Talk, name: str) -> AsyncIterator[asyncio.Queue[Any]]:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    queue = await talk.channel.get_queue(f"{PREFIX}{name}")
    tag = await queue.consume(arrived.put, no_ack=True)
    yield arrived
    await queue.cancel(tag)


async def told(queue: asyncio.Queue[Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((await asyncio.wait_for(queue.get(), 30)).body)
    return body


async def say(talk: Talk, action: str, body: Any, **headers: str) -> dict[str, Any]:
    message = aio_pika.Message(
        json.dumps(body).encode(), message_id=str(uuid4()), reply_to=talk.queue.name, headers=headers
    )
    await talk.channel.default_exchange.publish(message, f"{PREFIX}{action}", timeout=10)
    reply = await asyncio.wait_for(talk.replies.get(), 30)
    outcome: dict[str, Any] = json.loads(reply.body)
    return outcome


async def ask(simulator: Simulator, path: str, body: Any = None, *, status: int = 201) -> Any:
    """Use a side door of the simulator."""
    url = f"{simulator._url}/_sim{path}"
    request = simulator._session.get(url) if body is None else simulator._session.post(url, json=body)
    async with request as response:
        assert response.status == (200 if body is None else status), await response.text()
        return await response.json() if response.content_type == "application/json" else None


async def order(simulator: Simulator) -> int:
    made: int = (await ask(simulator, "/account/orders", {"namespace": NS, "root": ROOT}))["order_id"]
    return made


async def test_an_unasked_message_is_warned_of_until_a_status_allows_messages(
    agency: Process, talk: Talk, simulator: Simulator
) -> None:
    number = await order(simulator)
    message = {"order_id": number, "text": "Добрый день"}
    assert len((await say(talk, "epgu.message.send", message))["result"]["warnings"]) == 1
    status = {"order_id": number, "tech_code": 6}
    # A status that ЕПГУ or СМЭВ3 did not take allows nothing.
    rejected = await say(
        talk, "epgu.order.set-status", status | {"send_message_allowed": True}, **{"x-sim": "reject:SMEV-403"}
    )
    assert rejected["error"]["error_code"] == "SMEV-403"
    assert "warnings" in (await say(talk, "epgu.message.send", message))["result"]
    assert "result" in await say(talk, "epgu.order.set-status", status | {"send_message_allowed": True})
    expected = {"result": {"order_id": number, "code": 0}}
    assert await say(talk, "epgu.message.send", message) == expected
    # The latest status closes the correspondence for the citizen; the agency was asked once and may go on.
    assert "result" in await say(talk, "epgu.order.set-status", status | {"send_message_allowed": False})
    assert await say(talk, "epgu.message.send", message) == expected
    view = await ask(simulator, f"/account/orders/{number}")
    assert (view["can_write"], [one["from"] for one in view["messages"]]) == (False, ["agency"] * 4)
    await ask(simulator, f"/account/orders/{number}/messages", {"text": "?"}, status=409)


async def test_a_code_of_the_account_is_the_error_of_the_command(agency: Process, talk: Talk) -> None:
    unknown = await say(talk, "epgu.message.send", {"order_id": 1, "text": "Добрый день"})
    assert unknown == {"error": {"error_code": "1", "description": "Заявление не найдено (имитатор)"}}


async def test_a_message_that_comes_twice_is_one_event_and_one_answer(
    agency: Process, talk: Talk, simulator: Simulator
) -> None:
    text = "я" * 2049
    content = (
        f'<v:{ROOT} xmlns:v="{NS}"><v:textRequest><v:orderId>5</v:orderId><v:text>{text}</v:text></v:textRequest>'
        f"</v:{ROOT}>"
    )
    async with events(talk, "epgu.message.received") as received:
        made = (await ask(simulator, "/incoming", {"content": content}))["message_id"]
        first = await told(received)
        await ask(simulator, "/incoming", {"content": content, "message_id": made})
        last = (await ask(simulator, "/incoming", {"content": content}))["message_id"]
        assert (await told(received))["message_id"] == last
        assert received.empty()
    assert (first["message_id"], first["order_id"], first["text"], first["too_long"]) == (made, 5, text, True)
    assert [one["kind"] for one in await answered(simulator, last)] == ["content"]
    assert [one["kind"] for one in await answered(simulator, made)] == ["content"]


async def answered(simulator: Simulator, message_id: str) -> list[dict[str, Any]]:
    """Return the answers to a message, of which one is on its way."""
    async with asyncio.timeout(20):
        while True:
            found: list[dict[str, Any]] = await ask(simulator, f"/answers?original={message_id}")
            if found:
                return found
            await asyncio.sleep(0.05)


async def test_what_has_no_number_waits_for_a_person(agency: Process, talk: Talk, simulator: Simulator) -> None:
    async with events(talk, "epgu.order.request.failed") as failed:
        await ask(simulator, "/incoming", {"content": f'<v:{ROOT} xmlns:v="{NS}"/>'})
        assert (await told(failed))["error"]["error_code"] == "ADAPTER-REQUEST-UNREADABLE"


async def test_a_broken_answer_is_refused_before_anything_is_sent(
    agency: Process, talk: Talk, simulator: Simulator
) -> None:
    number = await order(simulator)
    async with events(talk, "epgu.order.received") as received:
        event = await told(received)
        while event["order_id"] != number:
            event = await told(received)
    refused = await say(talk, "epgu.cancel.answer", {"message_id": event["message_id"], "result": "OK"})
    assert [fault["path"] for fault in refused["error"]["fields"]] == ["message_id"]
    accepted = {"message_id": event["message_id"], "org_code": "accepted", "send_message_allowed": True}
    assert "result" in await say(talk, "epgu.order.answer", accepted)
    again = await say(talk, "epgu.order.answer", accepted | {"org_code": "other"})
    assert again["error"]["error_code"] == "ADAPTER-ALREADY-ANSWERED"
    view = await ask(simulator, f"/account/orders/{number}")
    assert (view["status"], view["can_write"]) == ("accepted", True)
