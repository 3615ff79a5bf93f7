"""What differs between the versions of the specification that the ЕПГУ simulator speaks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.epgu_caller import MOMENT, PLAIN, zipped

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

ARCHIVE = zipped({"req.xml": "<a/>"})
PROFILES = ["1.12", "1.12.1", "1.13"]


@pytest.mark.parametrize(
    ("profile", "least", "most"),
    [("1.12", 1_048_576, 5_000_000), ("1.12.1", 5_000_000, 50_000_000), ("1.13", 5_000_000, 50_000_000)],
)
async def test_sizes_of_chunks_and_of_push(world: World, profile: str, least: int, most: int) -> None:
    await world.set(profile=profile, keep="digest", push_max=None)
    number = await world.reserved()
    assert (await world.chunk(number, bytes(least - 1), (0, 2))).status == 400
    assert (await world.chunk(number, bytes(least), (0, 2))).status == 206
    assert (await world.chunk(number, bytes(most + 1), (1, 2))).status == 400
    assert (await world.push(bytes(most + 1))).status == 400
    assert (await world.push(bytes(most))).status == 200


@pytest.mark.parametrize(("profile", "slash", "plain"), [("1.12", 200, 404), ("1.12.1", 404, 200), ("1.13", 200, 200)])
@pytest.mark.parametrize("method", ["getOrdersStatus", "getUpdatedAfter"])
async def test_the_slash_at_the_end(world: World, profile: str, slash: int, plain: int, method: str) -> None:
    await world.set(profile=profile)
    query = {"pageNum": "0", "pageSize": "5", "orderIds": "1", "updatedAfter": MOMENT}
    for end, status in (("/", slash), ("", plain)):
        assert (await world.call("GET", f"/api/gusmev/order/{method}{end}", params=query)).status == status
    await world.set(slash="any")
    assert (await world.call("GET", f"/api/gusmev/order/{method}", params=query)).status == 200


@pytest.mark.parametrize(("profile", "hours"), [("1.12", 0), ("1.12.1", 0), ("1.13", 3)])
async def test_the_time_zone_of_updated_after(world: World, profile: str, hours: int) -> None:
    await world.set(profile=profile, slash="any")
    await world.put({"status_id": 2})
    now = datetime.fromisoformat((await world.admin("GET", "clock"))["now"]) + timedelta(hours=hours)
    for seconds, expected in ((-60, 1), (60, 0)):
        moment = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000")
        assert (await world.updated_after(moment)).json["count"] == expected
    (row,) = (await world.updated_after()).json["content"]
    assert abs(datetime.fromisoformat(row["status"]["updated"]) - now.replace(tzinfo=None)) < timedelta(seconds=1)
    await world.set(zone="Moscow" if hours == 0 else "UTC")
    (other,) = (await world.updated_after()).json["content"]
    assert other["status"]["updated"] != row["status"]["updated"]


async def test_the_path_of_files(world: World) -> None:
    (number,) = await world.put({"status_id": 3, "files": [{"name": "a.pdf"}]})
    history = (await world.opened(number))["currentStatusHistoryId"]
    paths = {
        "files-id-type": f"/api/gusmev/files/{history}/3/download",
        "storage-v2": f"/api/storage/v2/files/{history}/3/download",
        "files-download": f"/api/gusmev/files/download/{history}/3",
    }
    query = {"mnemonic": "a.pdf", "eserviceCode": PLAIN["serviceCode"]}
    found = {}
    for profile in PROFILES:
        await world.set(profile=profile)
        statuses = {name: (await world.call("GET", path, params=query)).status for name, path in paths.items()}
        assert set(statuses.values()) <= {200, 404}
        found[profile] = [name for name, status in statuses.items() if status == 200]
    assert found == {
        "1.12": ["files-id-type", "storage-v2"],
        "1.12.1": ["storage-v2"],
        "1.13": ["files-download"],
    }
    await world.set(profile="1.12")
    by_link = await world.call("GET", f"/api/gusmev/files/{number}/3/download", params=query)
    assert by_link.status == 200


@pytest.mark.parametrize("query", [{}, {"eserviceCode": "1"}])
async def test_since_1_13_a_file_is_asked_for_with_its_service(world: World, query: dict[str, str]) -> None:
    await world.set(profile="1.13")
    (number,) = await world.put({"status_id": 3, "files": [{"name": "a.pdf"}]})
    path = f"/api/gusmev/files/download/{(await world.opened(number))['currentStatusHistoryId']}/3"
    assert (await world.call("GET", path, params={"mnemonic": "a.pdf"} | query)).refusal == (400, "bad_request")


async def test_since_1_13_results_need_the_right_to_personal_data(world: World) -> None:
    system = {"client_id": "MNEMONIKA", "personal_data": False}
    await world.admin("POST", "accounts", {"systems": [system]}, 201)
    await world.set(profile="1.13")
    (number,) = await world.put({"status_id": 3, "files": [{"name": "a.pdf"}]})
    path = f"/api/gusmev/files/download/{(await world.opened(number))['currentStatusHistoryId']}/3"
    query = {"mnemonic": "a.pdf", "eserviceCode": PLAIN["serviceCode"]}
    assert (await world.call("GET", path, params=query)).refusal == (403, "access_denied_personal_data")


@pytest.mark.parametrize(("profile", "status"), [("1.12", 404), ("1.12.1", 404), ("1.13", 204)])
async def test_cancelling_what_is_not_there(world: World, profile: str, status: int) -> None:
    await world.set(profile=profile)
    reply = await world.cancel(1)
    assert reply.refusal == (status, "not_found" if status == 404 else None)


@pytest.mark.parametrize(("profile", "codes"), [("1.12", ["VALIDATION", "DONE", "OK"]), ("1.13", ["DONE", "OK"])])
async def test_validation_left_the_process_codes(world: World, profile: str, codes: list[str]) -> None:
    await world.set(profile=profile)
    number = await world.sent({"req.xml": "<a/>"})
    assert await world.process_codes(number) == codes


async def test_a_message_id_came_into_the_details(world: World) -> None:
    (number,) = await world.put({"status_id": 2})
    assert "messageId" not in (await world.details(number)).json
    await world.set(profile="1.13")
    first, second = (await world.details(number)).json, (await world.details(number)).json
    assert first["messageId"] == second["messageId"]


async def test_fields_of_an_order_went_and_came(world: World) -> None:
    (number,) = await world.put({"status_id": 2})
    early: dict[str, Any] = await world.opened(number)
    await world.set(profile="1.13")
    late = await world.opened(number)
    assert {"elk", "possibleServices"} <= set(late) - set(early)
    assert len(set(early) - set(late)) == 24
    assert "statusColorCode" in late["statuses"][0]
    assert "statusColorCode" not in early["statuses"][0]


async def test_behind_an_agent_of_smev4_there_is_a_prefix(world: World) -> None:
    assert (await world.call("POST", "/gu-smev-api/api/gusmev/order", json=PLAIN)).status == 404
    await world.set(prefix="gu-smev-api")
    assert (await world.call("POST", "/gu-smev-api/api/gusmev/order", json=PLAIN)).status == 200
    assert (await world.order()).status == 404
