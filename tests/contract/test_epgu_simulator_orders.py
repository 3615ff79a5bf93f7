"""The way of an order through the ЕПГУ simulator, and the examples of the specification."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.epgu_caller import HEAD_OID, PLAIN, SYSTEM, zipped

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

FILES = {"req.xml": "<Заявление/>"}


async def test_an_order_goes_from_new_to_the_result_of_the_agency(world: World) -> None:
    number = await world.reserved()
    assert (await world.details(number)).json == {"code": "NEW", "message": None, "order": None}
    assert (await world.chunk(number, zipped(FILES))).json == {"orderId": number}
    assert await world.process_codes(number) == ["VALIDATION", "DONE", "OK"]
    seen = []
    for _ in range(6):
        seen += [status["statusId"] for status in (await world.opened(number))["statuses"][len(seen) :]]
        await world.advance(1)
    assert seen == [0, 17, 21, 2, 6, 3]
    opened = await world.opened(number)
    assert (opened["closed"], opened["hasResult"], opened["orderStatusId"]) == (True, True, 3)
    assert [file["link"] for file in opened["orderResponseFiles"]] == [f"terrabyte://00/{number}/result.pdf/3"]
    assert [file["link"] for file in opened["orderAttachmentFiles"]] == [f"terrabyte://00/{number}/req.xml/2"]


async def test_push_makes_and_sends_an_order_at_once(world: World) -> None:
    reply = await world.push(zipped(FILES))
    assert reply.status == 200
    assert await world.process_codes(reply.json["orderId"]) == ["VALIDATION", "DONE", "OK"]


async def test_every_number_is_another(world: World) -> None:
    numbers = [await world.reserved() for _ in range(5)]
    assert len(set(numbers)) == 5


async def test_details_may_be_asked_for_with_the_history_embedded(world: World) -> None:
    number = await world.reserved()
    assert (await world.details(number, params={"embed": "STATUS_HISTORY"})).status == 200


async def test_details_say_done_for_a_gateway_that_says_it(world: World) -> None:
    await world.set(done_code="DONE")
    number = await world.sent(FILES)
    await world.advance(60)
    assert (await world.details(number)).json["code"] == "DONE"
    assert (await world.opened(number))["id"] == number


async def test_dates_have_milliseconds_and_an_offset_without_a_colon(world: World) -> None:
    number = await world.sent(FILES)
    await world.advance(60)
    opened = await world.opened(number)
    for text in (opened["orderDate"], opened["updated"], *(status["date"] for status in opened["statuses"])):
        day, _, time = text.partition("T")
        assert len(day) == 10
        assert len(time) == len("14:23:03.170+0300")
        assert time.endswith("+0300")
    assert all(a["date"] <= b["date"] for a, b in pairwise(opened["statuses"]))


async def test_what_came_can_be_fetched_back_whole(world: World) -> None:
    archive = zipped(FILES)
    number = await world.reserved()
    await world.chunk(number, archive)
    assert (await world.ask("GET", f"/_sim/orders/archive?order_id={number}")).body == archive
    (told,) = await world.admin("GET", f"orders?order_id={number}")
    assert [member["name"] for member in told["archive"]["members"]] == ["req.xml"]
    (line,) = await world.admin("GET", "ledger?operation=chunk")
    assert line["sha256"] == told["archive"]["pieces"][0]["sha256"]


async def test_an_archive_of_which_nothing_is_kept_is_not_judged(world: World) -> None:
    await world.set(keep="digest")
    number = await world.reserved()
    await world.chunk(number, b"no archive at all")
    assert "OK" in await world.process_codes(number)
    (told,) = await world.admin("GET", f"orders?order_id={number}")
    assert told["archive"]["size"] == len(b"no archive at all")
    assert (await world.ask("GET", f"/_sim/orders/archive?order_id={number}")).status == 400


async def test_the_ledger_counts_calls_by_order(world: World) -> None:
    number = await world.sent(FILES)
    await world.details(number)
    await world.details(number)
    await world.cancel(number)
    counts = await world.admin("GET", "counts")
    expected = {"order": 1, "chunk": 1, "submitted": 1, "details": 2, "cancel": 1, "refused": 1}
    assert counts["orders"][str(number)] == expected
    assert counts["operations"]["details"] == 2
    lines = await world.admin("GET", f"ledger?operation=cancel&order_id={number}")
    assert [(line["status"], line["code"], line["user"]) for line in lines] == [(409, "cancel_not_allowed", HEAD_OID)]


async def test_no_token_is_in_the_ledger(world: World) -> None:
    await world.sent(FILES)
    token = await world.token()
    assert token not in (await world.ask("GET", "/_sim/ledger")).body.decode()


async def test_reset_forgets_orders_and_settings(world: World) -> None:
    await world.sent(FILES)
    await world.set(profile="1.13")
    await world.admin("POST", "reset")
    told = await world.admin("GET", "health")
    assert told == {"status": "ok", "orders": 0, "profile": "1.12"}


class TestExamplesOfTheSpecification:
    """«Примеры запросов и ответов», word for word where the sample keeps the rules of its own document."""

    async def test_creating_an_order(self, world: World) -> None:
        await world.set(next_order_id=52353456)
        meta = {"region": "36000000000", "serviceCode": "10000000113", "targetCode": "-10000000113"}
        assert (await world.order(meta)).json == {"orderId": 52353456}

    async def test_creating_an_order_is_refused(self, world: World) -> None:
        await world.scenario(operation="order", refuse="access_denied_system")
        expected = {"code": "access_denied_system", "message": "Доступ запрещен для системы"}
        assert (await world.order()).json == expected

    async def test_the_samples_trailing_comma_is_no_json(self, world: World) -> None:
        body = '{"region":"36000000000", "serviceCode":"10000000113", "targetCode":"-10000000113", }'
        headers = {"Content-Type": "application/json"}
        reply = await world.call("POST", "/api/gusmev/order", data=body, headers=headers)
        assert reply.refusal == (400, "bad_request")

    async def test_reading_a_dictionary(self, world: World) -> None:
        question = {"treeFiltering": "ONELEVEL", "pageNum": 1, "pageSize": 2}
        told = (await world.ask("POST", "/api/nsi/v1/dictionary/BIC", json=question)).json
        expected: dict[str, Any] = {
            "isLeaf": True,
            "children": [],
            "attributes": [],
            "parentValue": None,
            "source": None,
            "attributeValues": {},
        }
        assert told == {
            "error": {"code": 0, "message": "operation completed"},
            "fieldErrors": [],
            "total": 899,
            "items": [
                {"value": "040001002", "title": "ПУ БАНКА РОССИИ N 43192"} | expected,
                {"value": "040002002", "title": "ПУ БАНКА РОССИИ N 43197"} | expected,
            ],
        }

    async def test_sending_at_once(self, world: World) -> None:
        await world.set(next_order_id=2058864134)
        reply = await world.push(zipped(FILES))
        assert (reply.status, reply.json) == (200, {"orderId": 2058864134})

    async def test_sending_at_once_is_refused(self, world: World) -> None:
        reply = await world.push(zipped(FILES), token=await world.person("1000000202"))
        text = "Пользователь не дал согласие Вашей системе на выполнение данной операции"
        assert reply.json == {"code": "access_denied_person_permissions", "message": text}

    async def test_sending_in_chunks(self, world: World) -> None:
        await world.set(next_order_id=764255248, chunk_min=1)
        number = await world.reserved()
        archive = zipped(FILES)
        replies = [
            await world.chunk(number, archive[n * 40 : n * 40 + 40 if n < 2 else None], (n, 3)) for n in range(3)
        ]
        assert [(reply.status, reply.json) for reply in replies] == [
            (206, {"orderId": 764255248}),
            (206, {"orderId": 764255248}),
            (200, {"orderId": 764255248}),
        ]

    async def test_cancelling_an_order(self, world: World) -> None:
        await world.put({"status_id": 2, "cancel_allowed": True}, order_id=73588067)
        reply = await world.cancel(73588067)
        assert (reply.status, reply.body) == (200, b"")
        assert (await world.cancel(1)).status == 404
        assert (await world.call("POST", "/api/gusmev/order/73588067/cancel", token="x")).refusal == (401, None)

    @pytest.mark.parametrize("method", ["updated-after", "statuses"])
    async def test_statuses_of_orders(self, world: World, method: str) -> None:
        titles = {
            764607248: (24, "Ошибка отправки заявления в ведомство", 1),
            764603930: (15, "Заявление требует исправления", 2),
            764602932: (4, "Истекло время подписания документов", 3),
        }
        for number, (status, title, ago) in titles.items():
            await world.put({"status_id": status, "title": title, "after": ago}, order_id=number)
        await world.put(order_id=2354270898, count=2)
        reply = await (
            world.updated_after(size=5) if method == "updated-after" else world.statuses(*titles, 7, 8, size=5)
        )
        told = reply.json
        assert (told["count"], told["totalCount"]) == (5, 5)
        found = [(row["orderId"], row["orderSearchStatus"]) for row in told["content"]]
        assert found[:3] == [(number, "FOUND") for number in titles]
        assert [status for _, status in found[3:]] == ["NOT_FOUND"] * 2
        assert [row["status"] for row in told["content"][3:]] == [None, None]
        first = told["content"][0]["status"]
        assert (first["statusId"], first["statusName"]) == titles[764607248][:2]
        assert len(first["updated"]) == len("2022-12-21T20:49:37.672")

    async def test_details_of_an_order(self, world: World) -> None:
        fields = {"creationMode": "direct", "smevTx": "b0ba0139-613d-4d4d-bc28-4240efc9a6ec"}
        statuses = [{"status_id": n} for n in (0, 17, 21, 2, 24)]
        await world.put(*statuses, order_id=2058864134, fields=fields)
        reply = (await world.details(2058864134)).json
        assert (reply["code"], reply["message"]) == ("OK", None)
        opened = await world.opened(2058864134)
        assert opened["smevTx"] == fields["smevTx"]
        assert opened["orderStatusName"] == "Ошибка обработки заявления"
        assert opened["currentStatusHistory"]["finalStatus"]
        assert opened["currentStatusHistoryId"] == opened["statuses"][-1]["id"]
        assert opened["serviceTargetId"] == PLAIN["targetCode"]
        assert SYSTEM not in reply["order"]
