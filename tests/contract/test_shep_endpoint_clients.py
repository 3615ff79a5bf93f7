"""zeep and suds-community, by the operator's WSDLs and by ours, call our own doors: all three operations there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from adapter.gateways.shep.data import BusinessData, Form
from adapter.xml.wssecurity import UNSIGNED, verify_envelope
from tests.contract.shep_doors import LEVELS, Doors, opened
from tests.contract.shep_samples import SESSION
from tests.contract.shep_stacks import FAULTS, STACKS, WSDLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.kz import KzEngine
    from tests.contract.shep_stacks import Stack

pytest_plugins = ("tests.contract.shep_fixtures",)

PATHS = {"sync": "/sync", "client": "/async"}
SENDER = {"senderId": "other", "password": "a-secret"}


class Caller:
    """One stack with a client per door, signing as the gateway does, and what they received."""

    def __init__(self, doors: Doors, clients: dict[str, Stack], seen: list[bytes]) -> None:
        self.doors, self.clients, self.seen = doors, clients, seen

    async def call(self, port: str, operation: str, **request: Any) -> Any:
        return await asyncio.to_thread(self.clients[port].call, operation, request)


@pytest.fixture
async def doors(kz: KzEngine, shep_keys: Path) -> AsyncIterator[Doors]:
    async with opened(kz, shep_keys) as found:
        yield found


@pytest.fixture(params=[(stack, origin) for stack in STACKS for origin in WSDLS], ids="-".join)
async def caller(doors: Doors, request: pytest.FixtureRequest) -> Caller:
    stack, origin = request.param
    if not all(path.is_file() for path in WSDLS[origin].values()):
        pytest.skip("the operator's WSDLs (../shared) are not on this machine")
    seen: list[bytes] = []
    clients = {
        port: await asyncio.to_thread(
            STACKS[stack], WSDLS[origin][port].as_uri(), doors.url(path), doors.hand("gateway"), seen
        )
        for port, path in PATHS.items()
    }
    return Caller(doors, clients, seen)


def now() -> datetime:
    return datetime.now(UTC)


def pushed(service: str, **more: Any) -> dict[str, Any]:
    info = {
        "messageId": "216386080",
        "correlationId": "3226347",
        "serviceId": service,
        "messageType": "RESPONSE",
        "messageDate": now(),
        "sender": SENDER,
        **more,
    }
    return {"messageInfo": info, "messageData": {"data": "<a>1</a>"}}


@pytest.mark.parametrize("service", LEVELS)
async def test_every_operation_of_ours_is_called(caller: Caller, service: str) -> None:
    kept = caller.doors.kept
    kept.said["data"] = BusinessData(Form.TEXT, "ответ".encode()).to_json()
    asked = {"messageId": "m1", "serviceId": service, "messageDate": now(), "sender": SENDER}
    answer = await caller.call("sync", "SendMessage", requestInfo=asked, requestData={"data": "<q/>"})
    assert (answer["responseInfo"]["messageId"], answer["responseData"]["data"]) == ("m1", "ответ")
    receipt = await caller.call("client", "sendMessage", **pushed(service))
    assert (receipt["messageId"], receipt["correlationId"]) == ("216386080", "3226347")
    notification = {
        "notificationId": "n1",
        "messageId": "216386080",
        "notificationDate": now(),
        "messageState": "DELIVERED",
        "status": {"statusCode": "1", "statusMessage": "m", "statusDate": now()},
    }
    told = {"notification": notification, "requestDate": now(), "sessionId": SESSION}
    assert (await caller.call("client", "changeMassageStatusNotification", **told))["sessionId"] == SESSION
    assert [one.action for one in kept.incoming] == ["shep.sync", "shep.message", "shep.status"]
    signed = "none" if service == "Open" else "right"
    assert [one.facts["signature"] for one in kept.incoming] == [signed, signed, "right"]
    verdicts = [verify_envelope(raw, caller.doors.kz) for raw in caller.seen]
    assert [verdict.math for verdict in verdicts] == [service == "Both", service == "Both", True]
    assert all(verdict.math or verdict.reason == UNSIGNED for verdict in verdicts)


async def test_a_fault_of_ours_is_one_of_the_contract(caller: Caller) -> None:
    with pytest.raises(FAULTS) as caught:
        await caller.call("client", "sendMessage", **pushed("Both", messageId=""))
    assert "id" in str(caught.value)
    assert caller.doors.kept.incoming == []


@pytest.mark.parametrize("name", STACKS)
async def test_the_wsdls_that_we_serve_describe_our_doors(doors: Doors, name: str) -> None:
    for port, path in PATHS.items():
        url = doors.url(path)
        client = await asyncio.to_thread(STACKS[name], f"{url}?wsdl", url, doors.hand("gateway"), [])
        if port == "client":
            receipt = await asyncio.to_thread(client.call, "sendMessage", pushed("Both"))
            assert receipt["messageId"] == "216386080"
