"""Encrypted, then signed (scenario 3), from queue to queue: our calls, messages to us, and what we are asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.integration.shep_house import BOTH, DATA, told

if TYPE_CHECKING:
    from tests.integration.shep_house import Shep

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")


async def test_services_with_encryption_are_called_and_answered(shep: Shep) -> None:
    sealed = {"encrypted": True, "users": BOTH}
    services = [
        {"service_id": "SealedSync", "owner": "other", "mode": "sync", "point": 1, **sealed},
        {"service_id": "OwnSealed", "owner": "adapter", "mode": "async", "point": 7, **sealed},
    ]
    await shep.stand.post("/_sim/world", {"services": services}, 204)
    asked = {"request_info": {"service_id": "SealedSync"}, "request_data": {"data": DATA}}
    reply = await shep.upstream.ask("shep.sync.send", asked)
    assert reply["result"]["response_data"]["data"] == DATA
    async with shep.events("shep.message.received") as arrived:
        number = await shep.arrive("OwnSealed")
        event = await told(arrived)
    assert (event["message_id"], event["data"], event["signature"]) == (number, DATA, "right")
    wire = [bytes(row["data"]) for row in await shep.look.fetch("select data from proof where data is not null")]
    messages = [data for data in wire if b"Envelope" in data]
    assert sum(b"EncryptedData" in data for data in messages) >= 2  # what left and what came, as they were
    assert not [data for data in messages if b"x='1'" in data]


async def test_a_synchronous_request_is_encrypted_both_ways(shep: Shep) -> None:
    service = {"service_id": "OwnSealed", "owner": "adapter", "mode": "sync", "point": 8, "users": BOTH}
    await shep.stand.post("/_sim/world", {"services": [{**service, "encrypted": True}]}, 204)
    asked = {"sender_id": "other", "service_id": "OwnSealed", "data": DATA}
    async with shep.events("shep.sync.requested") as arrived:
        answer = asyncio.create_task(shep.stand.post("/_sim/ask", asked, 200))
        request = await told(arrived)
        command = {"message_id": request["message_id"], "data": {"content": "<yes/>"}}
        await shep.upstream.ask("shep.sync.answer", command)
        said = await asyncio.wait_for(answer, 15)
    assert said["response_data"]["data"]["content"] == "<yes/>"
    await shep.stand.post("/_sim/world", {"services": [service]}, 204)
    refused = await shep.stand.post("/_sim/ask", asked, 502)
    assert "ADAPTER-GATEWAY-PROTOCOL" in refused["data"]
