"""Canaries sent through every path, id, header and name: logs and metrics never sing."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES
from tests.contract.test_elasticsearch import FakeElasticsearch, serving
from tests.e2e.conftest import ACTION, Talk
from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.local.certificates import Certificates
    from deploy.local.rabbitmq import LocalRabbit
    from tests.e2e.conftest import Process, Simulator, Stack

#: A СНИЛС of nobody: its checksum is right, so it reaches the gateway.
SNILS = "11223344595"
WORDS = ("Канарейкин", "Кенар", "Певунович", "ул. Клетки, 7", "7777", "888999", "canary-id", "canary-header")


def canary(**applicant: Any) -> dict[str, Any]:
    command = copy.deepcopy(dict(EXAMPLES[0].request))
    command["actions"][0]["transport_id"] = str(uuid4())
    data = command["actions"][0]["request_data"]
    data["applicant_info"] |= {
        "lastname": "Канарейкин",
        "firstname": "Кенар",
        "middlename": "Певунович",
        "snils": SNILS,
        "document": {"type": 1, "series": "7777", "number": "888999"},
    } | applicant
    data["housing_fund_object"]["address_details"] = "ул. Клетки, 7"
    return command


@pytest.fixture
async def fake(stack: Stack) -> AsyncIterator[tuple[FakeElasticsearch, Process]]:
    """Run an adapter of its own whose metrics go to a fake Elasticsearch, with every log level on."""
    fake = FakeElasticsearch()
    async with serving(fake) as elastic:
        variables = {
            "ELASTIC_HOST": elastic.host,
            "ELASTIC_PORT": str(elastic.port),
            "ELASTIC_METRIC_PREFIX": elastic.prefix,
            "ELASTIC_USER": str(elastic.user),
            "ELASTIC_PASS": str(elastic.password),
            "LOG_LEVEL": "DEBUG",
            "MQ_PREFIX": "canary.",
            # An answer is told of by whoever fetches it: the stack's own adapter, beside it, fetches for another node.
            "SMEV_NODE_ID": "canary",
        }
        with stack.adapter(**variables) as process:
            yield fake, process


async def test_no_canary_reaches_a_log_line_or_a_metric(
    stack: Stack,
    simulator: Simulator,
    fake: tuple[FakeElasticsearch, Process],
    rabbit: LocalRabbit,
    certificates: Certificates,
) -> None:
    elastic, process = fake
    connection = await aio_pika.connect(
        f"amqps://{rabbit.host}:{rabbit.port}/?auth=external", ssl_context=upstream_context(certificates)
    )
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        talk = Talk(channel, queue)
        await queue.consume(talk.replies.put, no_ack=True)

        async def ask(body: Any, **properties: Any) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            values = {
                "message_id": f"canary-id {uuid4()}",
                "correlation_id": "canary-id Канарейкин",
                "headers": {"x-canary-header": "canary-header"},
                "reply_to": queue.name,
            } | properties
            await channel.default_exchange.publish(aio_pika.Message(raw, **values), f"canary.{ACTION}", timeout=10)
            await talk.reply()

        await ask(canary())
        await ask(canary(snils="11223344500"))
        await ask(canary(lastname="Канарейкин\x00"))
        await ask(canary(unknown="Канарейкин"))
        await ask("Канарейкин 7777".encode("cp1251"))
        await ask(b'{"Canary: "Kenar"}')
        refused = canary()
        await simulator.post(
            "scenario", {"transport_id": refused["actions"][0]["transport_id"], "fault": "AccessDenied"}
        )
        await ask(refused)
        rejected = canary()
        reason = {"code": "NO_DATA", "description": "Канарейкин Кенар не найден"}
        await simulator.post(
            "scenario", {"transport_id": rejected["actions"][0]["transport_id"], "request_rejected": reason}
        )
        await ask(rejected)
        await elastic.until(lambda: len(elastic.of("commands")) >= 8)
    said = process.output
    told = json.dumps(elastic.of("commands") + elastic.of("calls"), ensure_ascii=False)
    assert "exchange ended" in said
    for word in (SNILS, *WORDS):
        assert not sings(word, said), word
        assert not sings(word, told), word


def sings(word: str, text: str) -> bool:
    """Tell whether a word stands in a text by itself; digits inside a time or an id are none."""
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text) is not None


def test_a_canary_is_told_from_the_digits_of_a_time_or_an_id() -> None:
    assert sings("7777", '{"series":"7777"}')
    assert sings("Кенар", "фамилия Кенар, имя")
    assert not sings("7777", '"21:25:44.977778Z" 1c747777-e5f2-7777-8600-ebd595974081 0.7777')
