"""zeep and suds-community, by the operator's WSDLs and by ours, exchange with the simulator: all seven operations."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from adapter.xml.wssecurity import verify_envelope
from tests.contract.shep_samples import SESSION
from tests.contract.shep_stacks import FAULTS, STACKS, WSDLS
from tests.contract.shep_stand import ADAPTER, Stand

if TYPE_CHECKING:
    from tests.contract.shep_stacks import Stack

pytest_plugins = ("tests.contract.shep_fixtures",)

PATHS = {"sync": "/shep/sync", "async": "/shep/async", "client": "/party/client"}


class Pair:
    """One stack with its three clients, and what they received."""

    def __init__(self, stand: Stand, clients: dict[str, Stack], seen: list[bytes]) -> None:
        self.stand, self.clients, self.seen = stand, clients, seen

    async def call(self, port: str, operation: str, **request: Any) -> Any:
        return await asyncio.to_thread(self.clients[port].call, operation, request)


@pytest.fixture(params=[(stack, origin) for stack in STACKS for origin in WSDLS], ids="-".join)
async def pair(stand: Stand, request: pytest.FixtureRequest) -> Pair:
    stack, origin = request.param
    if not all(path.is_file() for path in WSDLS[origin].values()):
        pytest.skip("the operator's WSDLs (../shared) are not on this machine")
    seen: list[bytes] = []
    clients = {
        port: await asyncio.to_thread(STACKS[stack], path.as_uri(), stand.url(PATHS[port]), stand.hand("shep"), seen)
        for port, path in WSDLS[origin].items()
    }
    return Pair(stand, clients, seen)


def now() -> datetime:
    return datetime.now(UTC)


SENDER = {"senderId": ADAPTER["sender_id"], "password": ADAPTER["password"]}


async def test_a_synchronous_request_is_answered(pair: Pair) -> None:
    info = {"messageId": "m1", "serviceId": "SyncEcho", "messageDate": now(), "sender": SENDER}
    answer = await pair.call("sync", "SendMessage", requestInfo=info, requestData={"data": "<a>1</a>"})
    assert answer["responseInfo"]["status"]["code"] == "SCSS001"
    assert answer["responseData"]["data"] is not None
    assert verify_envelope(pair.seen[-1], pair.stand.kz).math


async def test_the_asynchronous_channel_is_walked_to_its_end(pair: Pair) -> None:
    info = {"serviceId": "AsyncEcho", "messageType": "REQUEST", "messageDate": now(), "sender": SENDER}
    receipt = await pair.call("async", "sendMessage", messageInfo=info, messageData={"data": "<a>1</a>"})
    await pair.stand.until("/_sim/messages", lambda found: len(found) == 2)
    told = await pair.call(
        "async", "getMessageStatus", messageId=receipt["messageId"], requestDate=now(), sender=SENDER
    )
    assert told["messageState"] == "DELIVERED"
    fetched = await pair.call("async", "getMessages", serviceId="AsyncEcho", sender=SENDER, amount=5)
    (message,) = fetched["messages"]
    assert message["messageInfo"]["correlationId"] == receipt["correlationId"]
    delivery = {"receiveStatus": "MESSAGE_ACCEPTED", "statusDate": now(), "resendMessage": "NOT_RESEND"}
    notification = {
        "messageId": message["messageInfo"]["messageId"],
        "serviceId": "AsyncEcho",
        "notificationDate": now(),
        "deliveryStatus": delivery,
    }
    noted = await pair.call(
        "async", "sendDeliveryNotification", notification=notification, requestDate=now(), sender=SENDER
    )
    assert noted["notificationId"]


async def test_a_participant_is_told(pair: Pair) -> None:
    info = {
        "messageId": "216386080",
        "correlationId": "3226347",
        "serviceId": "AsyncEcho",
        "messageType": "RESPONSE",
        "messageDate": now(),
        "sender": {"senderId": "other"},
    }
    receipt = await pair.call("client", "sendMessage", messageInfo=info, messageData={"data": "<a/>"})
    assert (receipt["messageId"], receipt["correlationId"]) == ("216386080", "3226347")
    notification = {
        "notificationId": "n1",
        "messageId": "216386080",
        "notificationDate": now(),
        "messageState": "DELIVERED",
        "status": {"statusCode": "1", "statusMessage": "m", "statusDate": now()},
    }
    answer = await pair.call(
        "client",
        "changeMassageStatusNotification",
        notification=notification,
        requestDate=now(),
        sessionId=SESSION,
    )
    assert answer["sessionId"] == SESSION


async def test_a_fault_is_one_of_the_contract(pair: Pair) -> None:
    info = {"serviceId": "AsyncEcho", "messageType": "RESPONSE", "messageDate": now(), "sender": SENDER}
    with pytest.raises(FAULTS) as caught:
        await pair.call("async", "sendMessage", messageInfo=info, messageData={"data": "<a/>"})
    assert "цепочки" in str(caught.value)


@pytest.mark.parametrize("name", STACKS)
async def test_the_wsdl_that_the_simulator_serves_is_enough(stand: Stand, name: str) -> None:
    url = stand.url("/shep/sync")
    client = await asyncio.to_thread(STACKS[name], f"{url}?wsdl", url, stand.hand("shep"), [])
    info = {"messageId": "m1", "serviceId": "SyncEcho", "messageDate": now(), "sender": SENDER}
    request = {"requestInfo": info, "requestData": {"data": "<a>1</a>"}}
    answer = await asyncio.to_thread(client.call, "SendMessage", request)
    assert answer["responseInfo"]["status"]["code"] == "SCSS001"
