"""zeep and suds-community, by the published WSDLs, exchange with the simulator in every version and both roles."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import suds
import zeep.exceptions
from aiohttp.test_utils import TestClient, TestServer

from simulators.smev3.app import make_app
from simulators.smev3.config import SimulatorConfig
from tests.contract.smev3_caller import DEBT_REQUESTS, REQUEST_DATA, action, debt_requests, message_id
from tests.contract.smev3_soap import STACKS, Stack
from tests.contract.smev3_worlds import REFERENCE, ZOO, ZOO_ANSWER, ZOO_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.gost import GostEngine
    from tests.contract.smev3_caller import Caller, Clock

pytest_plugins = ("tests.contract.smev3_fixtures",)


class Pair:
    """A consumer and a provider, each behind a SOAP stack that runs in a thread of its own."""

    def __init__(self, client: TestClient[Any, Any], clock: Clock, consumer: Stack, provider: Stack) -> None:
        self.client = client
        self.clock = clock
        self.consumer = consumer
        self.provider = provider

    async def call(self, who: Stack, operation: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(who.call, operation, **arguments)

    async def send(self, business: str, **more: Any) -> Any:
        data = {"MessageID": message_id(self.clock.now), **more, "MessagePrimaryContent": business}
        return await self.call(self.consumer, "SendRequest", SenderProvidedRequestData=data)

    async def get(self, who: Stack, operation: str, **selector: Any) -> Any:
        selected = {**selector, "Timestamp": self.clock.now}
        return await self.call(who, operation, MessageTypeSelector=selected)

    async def ack(self, who: Stack, identifier: str) -> Any:
        return await self.call(who, "Ack", AckTargetMessage=who.simple(identifier))


@pytest.fixture(params=STACKS)
async def pair(  # noqa: PLR0917  — fixtures
    keys: Path, gost: GostEngine, clock: Clock, caller: Caller, version: str, request: pytest.FixtureRequest
) -> AsyncIterator[Pair]:
    wsdl = REFERENCE / "wsdl" / version / f"smev-message-exchange-service-{version}.wsdl"
    if not wsdl.is_file():
        pytest.skip("the published WSDLs (../shared) are not on this machine")
    app = make_app(SimulatorConfig(keys=keys, clock=clock), gost)
    async with TestClient(TestServer(app)) as client:
        url = str(client.make_url(f"/smev/v{version}/ws"))
        make = STACKS[request.param]
        stacks = [
            await asyncio.to_thread(make, wsdl.as_uri(), url, replace(caller, version=version, name=name))
            for name in ("ov", "ov512")
        ]
        async with client.post("/_sim/types", json=ZOO_TYPE) as response:
            assert response.status == 201
        yield Pair(client, clock, *stacks)


def metadata(message: Any) -> Any:
    return message["MessageMetadata"]


async def test_a_consumer_sends_asks_acks_and_finds_the_queue_empty(pair: Pair) -> None:
    receipt = await pair.send(debt_requests(action(data=REQUEST_DATA)), NodeID="n1")
    assert metadata(receipt)["Status"] == "requestIsQueued"
    names = {"NamespaceURI": DEBT_REQUESTS, "RootElementLocalName": "ImportDebtRequestsResponse", "NodeID": "n1"}
    answer = await pair.get(pair.consumer, "GetResponse", **names)
    message = answer["ResponseMessage"]["Response"] if "ResponseMessage" in answer else answer["Response"]
    assert message["OriginalMessageId"] == metadata(receipt)["MessageId"]
    assert message["SenderProvidedResponseData"]["MessagePrimaryContent"] is not None
    await pair.ack(pair.consumer, metadata(message)["MessageId"])
    async with pair.client.get("/_sim/acks") as response:
        assert [ack["accepted"] for ack in await response.json()] == [True]
    assert not await pair.get(pair.consumer, "GetResponse", **names)


async def test_a_provider_takes_a_request_and_answers_it(pair: Pair) -> None:
    receipt = await pair.send(ZOO)
    taken = await pair.get(pair.provider, "GetRequest")
    request = taken["RequestMessage"]["Request"] if "RequestMessage" in taken else taken["Request"]
    assert metadata(request)["MessageId"] == metadata(receipt)["MessageId"]
    told = await pair.call(
        pair.provider,
        "SendResponse",
        SenderProvidedResponseData={
            "MessageID": message_id(pair.clock.now),
            "To": request["ReplyTo"],
            "MessagePrimaryContent": ZOO_ANSWER,
        },
    )
    assert metadata(told)["MessageType"] == "RESPONSE"
    await pair.ack(pair.provider, metadata(request)["MessageId"])
    answer = await pair.get(pair.consumer, "GetResponse")
    message = answer["ResponseMessage"]["Response"] if "ResponseMessage" in answer else answer["Response"]
    assert message["OriginalMessageId"] == metadata(receipt)["MessageId"]


async def test_a_status_is_read(pair: Pair) -> None:
    async with pair.client.post("/_sim/scenario", json={"async_status": ["underProcessing"]}) as response:
        assert response.status == 201
    await pair.send(debt_requests(action(data=REQUEST_DATA)))
    told = await pair.call(pair.consumer, "GetStatus", Timestamp=pair.consumer.simple(pair.clock.now))
    assert "underProcessing" in str(told)
    assert not await pair.call(pair.consumer, "GetStatus", Timestamp=pair.consumer.simple(pair.clock.now))


async def test_a_fault_is_one_of_the_published_contract(pair: Pair) -> None:
    receipt = await pair.send(ZOO)
    with pytest.raises((zeep.exceptions.Fault, suds.WebFault)) as caught:
        await pair.send(ZOO, MessageID=metadata(receipt)["MessageId"])
    assert "уже было отправлено" in str(caught.value)


@pytest.mark.parametrize("version", ["1.1"])
async def test_queues_are_counted(pair: Pair) -> None:
    await pair.send(ZOO)
    counted = await pair.call(
        pair.provider, "GetIncomingQueueStatistics", Timestamp=pair.provider.simple(pair.clock.now)
    )
    assert "1" in str(counted)


@pytest.mark.parametrize("name", STACKS)
async def test_the_wsdl_that_the_simulator_serves_is_enough(  # noqa: PLR0917  — fixtures
    keys: Path, gost: GostEngine, clock: Clock, caller: Caller, version: str, name: str
) -> None:
    app = make_app(SimulatorConfig(keys=keys, clock=clock), gost)
    async with TestClient(TestServer(app)) as client:
        url = str(client.make_url(f"/smev/v{version}/ws"))
        stack = await asyncio.to_thread(STACKS[name], f"{url}?wsdl", url, replace(caller, version=version))
        pair = Pair(client, clock, stack, stack)
        receipt = await pair.send(debt_requests(action(data=REQUEST_DATA)))
        answer = await pair.get(stack, "GetResponse")
        message = answer["ResponseMessage"]["Response"] if "ResponseMessage" in answer else answer["Response"]
        assert message["OriginalMessageId"] == metadata(receipt)["MessageId"]
