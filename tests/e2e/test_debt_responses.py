"""From queue to queue: debt requests and what became of them, served by one adapter."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.services.zhkh_debt_responses import ANSWER, ASKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.local.postgres import LocalPostgres
    from tests.e2e.conftest import Process, Simulator, Stack, Talk

ACTION, PREFIX = "zhkh-debt-responses", "debts."
SENDER = {name: ASKED[name] for name in ("information_system_id", "organization_id")}


@pytest.fixture(scope="module")
def both(stack: Stack, postgres: LocalPostgres) -> Iterator[Process]:
    """An adapter with a journal and queues of its own."""
    name = f"debts_{uuid4().hex[:8]}"
    postgres.create_database(name)
    own = {"DATABASE_NAME": name, "MQ_PREFIX": PREFIX, "SMEV_NODE_ID": "debts"}
    with stack.adapter(SERVICES="zhkh-*", **own) as process:
        yield process


async def ask(talk: Talk, command: Any, action: str = ACTION) -> dict[str, Any]:
    message = aio_pika.Message(json.dumps(command).encode(), message_id=str(uuid4()), reply_to=talk.queue.name)
    await talk.channel.default_exchange.publish(message, f"{PREFIX}{action}", timeout=10)
    reply = await asyncio.wait_for(talk.replies.get(), 30)
    told: dict[str, Any] = json.loads(reply.body)
    return told


async def test_the_example_is_answered_as_described(both: Process, talk: Talk) -> None:
    assert await ask(talk, ASKED) == ANSWER


async def test_a_request_is_created_by_one_service_and_read_by_the_other(both: Process, talk: Talk) -> None:
    created = copy.deepcopy(dict(EXAMPLES[0].request))
    created["actions"][0]["transport_id"] = str(uuid4())
    made = (await ask(talk, created, "zhkh-debt-requests"))["result"][0]["success"]["id"]
    found = (await ask(talk, SENDER | {"request_ids": [made, str(uuid4())]}))["result"]
    (request,) = found["request_data"]
    applicant = created["actions"][0]["request_data"]["applicant_info"]
    assert (request["request_id"], request["status"], request["result"]) == (made, "SENT", 2)
    assert request["applicant_info"]["snils"] == applicant["snils"]
    assert len(found["not_found"]["request_ids"]) == 1


async def test_an_answered_request_says_whether_there_is_a_debt(
    both: Process, talk: Talk, simulator: Simulator
) -> None:
    told = {}
    for digit in "ab":
        request_id = str(uuid4())[:-1] + digit
        await simulator.post("drafts", {"request_id": request_id, "status": "PROCESSED"})
        (request,) = (await ask(talk, SENDER | {"request_ids": [request_id]}))["result"]["request_data"]
        told[digit] = (request["result"], request["subrequests"][0]["response"]["has_debt"])
    assert told == {"a": (3, True), "b": (4, False)}


async def test_bad_input_is_answered_by_field_and_rule(both: Process, talk: Talk) -> None:
    error = (await ask(talk, SENDER | {"request_statuses": ["SENT", "LOST"], "request_ids": ["x"]}))["error"]
    assert error["error_code"] == "ADAPTER-INVALID-COMMAND"
    assert {fault["path"] for fault in error["fields"]} == {"request_statuses[1]", "request_ids[0]", "request_statuses"}
