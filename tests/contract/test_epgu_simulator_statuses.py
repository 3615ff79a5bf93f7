"""What is asked of orders in the ЕПГУ simulator: pages of statuses, cancellation, files."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.epgu_caller import (
    HEAD,
    MOMENT,
    NEIGHBOUR,
    OTHER_SYSTEM,
    PERSON_OID,
    PLAIN,
    SYSTEM,
    service,
    zipped,
)

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

BAD = (400, "bad_request")


def numbers(page: dict[str, Any]) -> list[int]:
    return [row["orderId"] for row in page["content"]]


async def now_of(world: World) -> datetime:
    return datetime.fromisoformat((await world.admin("GET", "clock"))["now"])


def written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


async def test_pages_go_from_0_to_the_total(world: World) -> None:
    ids = await world.put({"status_id": 2}, count=7)
    pages = [(await world.updated_after(page=page, size=3)).json for page in range(4)]
    assert [page["count"] for page in pages] == [3, 3, 1, 0]
    assert {page["totalCount"] for page in pages} == {7}
    assert sorted(number for page in pages for number in numbers(page)) == ids


async def test_the_last_change_comes_first_and_orders_without_a_status_last(world: World) -> None:
    (old,) = await world.put({"status_id": 2, "after": 50})
    (new,) = await world.put({"status_id": 2})
    reserved = await world.reserved()
    told = (await world.updated_after()).json
    assert numbers(told) == [new, old, reserved]
    assert [row["orderSearchStatus"] for row in told["content"]] == ["FOUND", "FOUND", "NOT_FOUND"]
    await world.advance(1)
    await world.admin("POST", "orders/statuses", {"order_ids": [old], "status_id": 6})
    assert numbers((await world.updated_after()).json) == [old, new, reserved]


async def test_only_what_changed_after_the_moment_is_told(world: World) -> None:
    now = await now_of(world)
    await world.put({"status_id": 2, "after": 3600})
    (new,) = await world.put({"status_id": 2})
    for ago, expected in ((3601, 2), (1800, 1), (-1, 0)):
        moment = written((now - timedelta(seconds=ago)).astimezone(UTC))
        assert len(numbers((await world.updated_after(moment)).json)) == expected
    await world.advance(10)
    await world.admin("POST", "orders/statuses", {"order_ids": [new], "status_id": 7})
    moment = written((now + timedelta(seconds=5)).astimezone(UTC))
    assert numbers((await world.updated_after(moment)).json) == [new]


async def test_a_system_sees_its_own_orders_alone_whoever_asks(world: World) -> None:
    mine = await world.reserved(key=HEAD)
    other = await world.reserved(key=OTHER_SYSTEM)
    assert numbers((await world.updated_after(key=NEIGHBOUR)).json) == [mine]
    assert numbers((await world.updated_after(key=OTHER_SYSTEM)).json) == [other]
    await world.admin("POST", "orders/statuses", {"order_ids": [mine, other], "status_id": 2})
    told = (await world.statuses(mine, other, 404)).json["content"]
    assert [row["orderSearchStatus"] for row in told] == ["FOUND", "NOT_FOUND", "NOT_FOUND"]


async def test_the_status_of_a_page_is_the_last_of_the_details(world: World) -> None:
    number = await world.sent({"req.xml": "<a/>"})
    await world.advance(3)
    (row,) = (await world.statuses(number)).json["content"]
    last = (await world.opened(number))["statuses"][-1]
    assert (row["status"]["statusId"], row["status"]["statusName"]) == (last["statusId"], last["title"])


async def test_fifty_orders_are_the_most_of_one_question(world: World) -> None:
    assert (await world.statuses(*range(1, 51))).json["count"] == 50
    assert (await world.statuses(*range(1, 52))).refusal == BAD


@pytest.mark.parametrize("name", ["pageNum", "pageSize", "orderIds", "updatedAfter"])
@pytest.mark.parametrize("value", [None, "", "x", "-1", "1.5"])
async def test_every_parameter_of_a_page_is_checked(world: World, name: str, value: str | None) -> None:
    method = "getOrdersStatus" if name == "orderIds" else "getUpdatedAfter"
    query = {"pageNum": "0", "pageSize": "5", "orderIds": "1", "updatedAfter": MOMENT}
    query = {key: text for key, text in query.items() if key != name} | ({} if value is None else {name: value})
    assert (await world.call("GET", f"/api/gusmev/order/{method}/", params=query)).refusal == BAD


@pytest.mark.parametrize(
    "moment",
    ["2022-12-10T12:31:42", "2022-12-10 12:31:42.000", "2022-12-10T12:31:42.000Z", "2022-13-10T12:31:42.000", "0"],
)
async def test_a_moment_has_milliseconds_and_no_zone(world: World, moment: str) -> None:
    assert (await world.updated_after(moment)).refusal == BAD


@pytest.mark.parametrize("size", [0, 1001])
async def test_a_page_has_a_size(world: World, size: int) -> None:
    assert (await world.updated_after(size=size)).refusal == BAD


class TestCancel:
    async def test_200_means_asked_and_the_result_is_a_status(self, world: World) -> None:
        (number,) = await world.put({"status_id": 6, "cancel_allowed": True})
        reply = await world.cancel(number)
        assert (reply.status, reply.body) == (200, b"")
        assert (await world.opened(number))["orderStatusId"] == 9
        assert (await world.cancel(number)).refusal == (409, "cancel_not_allowed")
        await world.advance(1)
        opened = await world.opened(number)
        assert (opened["orderStatusId"], opened["closed"]) == (10, True)

    async def test_an_agency_may_keep_the_order(self, world: World) -> None:
        await world.set(cancel_outcome="kept")
        number = await world.sent({"req.xml": "<a/>"})
        await world.advance(2.5)
        assert (await world.cancel(number)).status == 200
        await world.advance(60)
        seen = [status["statusId"] for status in (await world.opened(number))["statuses"]]
        assert seen == [0, 17, 21, 2, 9, 11, 6, 3]

    async def test_what_is_cancelled_goes_no_further(self, world: World) -> None:
        number = await world.sent({"req.xml": "<a/>"})
        await world.advance(2.5)
        await world.cancel(number)
        await world.advance(60)
        assert [status["statusId"] for status in (await world.opened(number))["statuses"]][-2:] == [9, 10]

    @pytest.mark.parametrize("statuses", [[], [{"status_id": 2}]])
    async def test_it_needs_cancel_allowed(self, world: World, statuses: list[dict[str, Any]]) -> None:
        (number,) = await world.put(*statuses)
        reply = await world.cancel(number)
        assert reply.refusal == (409, "cancel_not_allowed")
        assert reply.json["message"] == "Отмена заявления в текущем статусе невозможна"

    async def test_a_gateway_that_says_405_has_no_body(self, world: World) -> None:
        await world.set(cancel_refusal=405)
        (number,) = await world.put({"status_id": 2})
        reply = await world.cancel(number)
        assert (reply.status, reply.body) == (405, b"")

    async def test_a_gateway_that_wants_a_reason_says_so_in_its_own_words(self, world: World) -> None:
        await world.set(cancel_needs_reason=True)
        (number,) = await world.put({"status_id": 2, "cancel_allowed": True})
        reply = await world.cancel(number)
        assert reply.refusal == BAD
        text = "Required request parameter 'reason' for method parameter type String is not present"
        assert reply.json["message"] == text
        assert (await world.cancel(number, params={"reason": "Передумал"})).status == 200

    async def test_the_portal_may_allow_it_later(self, world: World) -> None:
        (number,) = await world.put({"status_id": 2})
        later = {"order_ids": [number], "status_id": 6, "cancel_allowed": True, "after": 10}
        await world.admin("POST", "orders/statuses", later)
        assert (await world.cancel(number)).status == 409
        await world.advance(10)
        assert (await world.cancel(number)).status == 200


class TestFiles:
    RESULT = b"%PDF-1.7 result"

    async def given(self, world: World, **more: Any) -> tuple[int, int]:
        """An order with a result: its number and its currentStatusHistoryId."""
        file = {"name": "Справка №1.pdf", "content_base64": base64.b64encode(self.RESULT).decode()} | more
        (number,) = await world.put({"status_id": 2}, {"status_id": 3, "files": [file]})
        return number, (await world.opened(number))["currentStatusHistoryId"]

    async def get(
        self, world: World, number: int | str, kind: int | str = 3, name: str | None = "Справка №1.pdf", **more: Any
    ) -> Any:
        query = {} if name is None else {"mnemonic": name}
        path = f"/api/storage/v2/files/{number}/{kind}/download"
        return await world.call("GET", path, params=query, **more)

    async def test_a_result_goes_by_the_number_of_the_status(self, world: World) -> None:
        number, history = await self.given(world)
        reply = await self.get(world, history)
        assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, self.RESULT, "application/pdf")
        assert (await self.get(world, number)).status == 204

    async def test_a_result_of_an_earlier_status_goes_by_either_number(self, world: World) -> None:
        number, history = await self.given(world)
        await world.admin("POST", "orders/statuses", {"order_ids": [number], "status_id": 16})
        opened = await world.opened(number)
        assert opened["currentStatusHistoryId"] != history
        for known in (history, opened["currentStatusHistoryId"]):
            assert (await self.get(world, known)).body == self.RESULT
        assert (await self.get(world, opened["statuses"][0]["id"])).status == 204

    async def test_the_link_says_kind_and_name(self, world: World) -> None:
        number, _ = await self.given(world)
        (file,) = (await world.opened(number))["orderResponseFiles"]
        assert file["link"] == f"terrabyte://00/{number}/Справка №1.pdf/3"
        assert (file["fileSize"], file["mimeType"]) == (len(self.RESULT), "application/pdf")

    async def test_a_file_of_the_user_goes_by_the_number_of_the_order(self, world: World) -> None:
        number = await world.sent({"req.xml": "<a>1</a>"})
        assert (await self.get(world, number, 2, "req.xml")).body == b"<a>1</a>"
        assert (await self.get(world, number, 2, "other.xml")).status == 204
        assert (await self.get(world, number, 4, "req.xml")).status == 204

    async def test_a_large_result_is_as_long_as_it_says(self, world: World) -> None:
        number, history = await self.given(world, content_base64=None, size=300_001)
        (file,) = (await world.opened(number))["orderResponseFiles"]
        reply = await self.get(world, history)
        assert len(reply.body) == file["fileSize"] == 300_001

    async def test_what_is_not_there_is_204(self, world: World) -> None:
        _, history = await self.given(world)
        for reply in (await self.get(world, 404), await self.get(world, history, name="other.pdf")):
            assert (reply.status, reply.body) == (204, b"")

    async def test_parameters_are_checked(self, world: World) -> None:
        _, history = await self.given(world)
        assert (await self.get(world, "abc")).refusal == BAD
        assert (await self.get(world, history, "x")).refusal == BAD
        assert (await self.get(world, history, name=None)).refusal == BAD

    async def test_a_stranger_gets_nothing(self, world: World) -> None:
        _, history = await self.given(world)
        assert (await self.get(world, history, key=NEIGHBOUR)).refusal == (403, "order_access")
        assert (await self.get(world, history, token="x")).status == 401


async def test_statuses_and_process_codes_can_be_put_in_by_hand(world: World) -> None:
    number = await world.sent({"req.xml": "<a/>"})
    await world.admin("POST", "orders/process", {"order_ids": [number], "code": "RETRY", "message": "Ждём"})
    await world.advance(600)
    assert (await world.details(number)).json == {"code": "RETRY", "message": "Ждём", "order": None}
    status = {
        "order_ids": [number],
        "status_id": 15,
        "title": "Своё название",
        "comment": "Исправьте",
        "org_code": "fix",
        "send_message_allowed": True,
        "final": True,
    }
    await world.admin("POST", "orders/statuses", status)
    current = (await world.opened(number))["currentStatusHistory"]
    assert current["title"] == "Своё название"
    assert (current["comment"], current["stateOrgStatusCode"]) == ("Исправьте", "fix")
    assert (current["sendMessageAllowed"], current["finalStatus"], current["cancelAllowed"]) == (True, True, False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("orders", {"client_id": "NOBODY", "oid": PERSON_OID, "service_code": PLAIN["serviceCode"]}),
        ("orders", {"client_id": SYSTEM, "oid": PERSON_OID, "service_code": "404"}),
        ("orders/statuses", {"order_ids": [404], "status_id": 3}),
        ("orders/process", {"order_ids": [404], "code": "DONE"}),
        ("orders/process", {"order_ids": [404], "code": "SOON"}),
        ("settings", {"limit_minute": -1}),
        ("settings", {"profile": "2.0"}),
        ("settings", {"typo": 1}),
        ("accounts", {"api_keys": [{"key": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "client_id": "X", "oid": "1"}]}),
        ("clock", {"advance": -1}),
    ],
)
async def test_the_side_door_refuses_what_cannot_be(world: World, path: str, body: dict[str, Any]) -> None:
    told = await world.admin("POST", path, body, 400)
    assert told["faults"]
    assert (await world.admin("GET", "health"))["profile"] == "1.12"


async def test_the_side_door_tells_what_there_is(world: World) -> None:
    assert {system["client_id"] for system in (await world.admin("GET", "accounts"))["systems"]} >= {SYSTEM}
    assert service("60010153")["serviceCode"] in {s["service_code"] for s in await world.admin("GET", "services")}
    await world.admin("GET", "orders?order_id=abc", status=400)


async def test_a_clock_that_runs_goes_on_from_where_it_stood(world: World) -> None:
    await world.advance(1000)
    before = await now_of(world)
    told = await world.admin("POST", "clock", {"stopped": False}, 200)
    assert not told["stopped"]
    assert timedelta(0) <= datetime.fromisoformat(told["now"]) - before < timedelta(seconds=60)


async def test_an_archive_pushed_by_a_person_is_the_persons(world: World) -> None:
    token = await world.person()
    reply = await world.push(zipped({"req.xml": "<a/>"}), token=token)
    number = reply.json["orderId"]
    assert (await world.details(number, token=token)).status == 200
    assert (await world.details(number)).refusal == (403, "order_access")
    await world.advance(60)
    opened = (await world.admin("GET", f"orders?order_id={number}"))[0]
    assert opened["user"] == PERSON_OID
