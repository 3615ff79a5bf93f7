"""The outer contour (ВШЭП) from queue to queue: its own addresses, its own services, the same doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.shep_house import DATA, ELEMENT, told

if TYPE_CHECKING:
    from tests.integration.shep_house import Shep

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")


async def test_services_of_the_outer_contour_are_called_there(shep: Shep) -> None:
    asked = {"request_info": {"service_id": "SyncOutside"}, "request_data": {"data": DATA}}
    reply = await shep.upstream.ask("shep.sync.send", asked)
    assert reply["result"]["response_data"]["data"] == DATA
    alone = await shep.upstream.ask("shep.SyncOutside", {"content": ELEMENT})
    assert alone["result"]["response_data"]["data"] == DATA
    async with shep.events("shep.message.received") as arrived:
        receipt = (await shep.send("AsyncOutside"))["result"]
        event = await told(arrived)
    assert (event["correlation_id"], event["data"]) == (receipt["correlation_id"], DATA)
    assert (event["message_type"], event["signature"]) == ("RESPONSE", "right")
    number = {"message_id": receipt["message_id"]}
    state = await shep.upstream.ask("shep.async.status", {**number, "service_id": "AsyncOutside"})
    assert state["result"]["message_state"] == "DELIVERED"
    astray = await shep.upstream.ask("shep.async.status", number)  # asked of the inner contour
    assert astray["error"]["error_code"] == "SIM-SERVICE"
