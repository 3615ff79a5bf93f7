"""«Примеры запросов и ответов» of the specification from queue to queue, each under its own heading.

Examples that break the specification's own rules (a comma too many, chunks without numbers, a name with a blank) test
what is read; what is sent follows the rule. Source: seeds/003_77f5074edb620939.txt; the examples themselves are
tests/data/epgu/examples.json.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from tests.e2e.epgu_stand import META, OWNER

if TYPE_CHECKING:
    from tests.e2e.epgu_stand import Applicant

pytest_plugins = ("tests.e2e.epgu_fixtures",)

EXAMPLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data/epgu/examples.json").read_text(encoding="utf-8")
)
FILES = [{"name": "req.xml", "content_base64": "PHJlcXVlc3QvPg=="}]


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def command(meta: dict[str, Any]) -> dict[str, Any]:
    """The example's body as a command says it: names in snake_case."""
    return {snake(name): value for name, value in meta.items()}


def in_utc(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of an example as a reply says them: 1.12 means UTC."""
    rows = []
    for row in content:
        entry = {name.strip(): value for name, value in row.items()}
        status = entry["status"] and {snake(name): value for name, value in entry["status"].items()}
        if status:
            status["updated"] += "+00:00"
        rows.append({"order_id": entry["orderId"], "found": status is not None, "status": status})
    return rows


def one_call(calls: list[dict[str, Any]]) -> dict[str, Any]:
    (call,) = calls
    request: dict[str, Any] = call["request"]
    return request


async def test_the_example_of_creating_an_order(applicant: Applicant) -> None:
    """Создание заявления; a comma too many in its body is not sent."""
    example = EXAMPLES["create"]
    with pytest.raises(json.JSONDecodeError, match="double quotes"):
        json.loads(example["request_text"])
    wanted = json.loads(example["request_text"].replace(", \n}", "\n}"))
    await applicant.tell("settings", {"next_order_id": example["answer"]["orderId"]})
    name = str(uuid4())
    assert await applicant.result("epgu.order.create", command(wanted), message_id=name) == {"order_id": 52353456}
    request = one_call(await applicant.calls(name))
    assert (request["method"], urlsplit(request["url"]).path) == ("POST", "/api/gusmev/order")
    assert request["headers"]["Content-Type"].startswith("application/json")
    assert json.loads(request["body"]) == wanted


async def test_the_example_of_creating_an_order_refused(applicant: Applicant) -> None:
    """Создание заявления: отрицательный ответ."""
    await applicant.tell(
        "scenario", {"operation": "order", "answer": {"status": 403, "json": EXAMPLES["create"]["refusal"]}}
    )
    error = await applicant.refusal("epgu.order.create", META)
    assert (error["error_code"], error["description"]) == ("access_denied_system", "Доступ запрещен для системы")
    assert "ГОСТ TLS" in error["recommendation"]


async def test_the_example_of_reading_a_dictionary(applicant: Applicant) -> None:
    """Получение справочных данных."""
    example, name = EXAMPLES["dictionary"], str(uuid4())
    told = await applicant.result(
        "epgu.dictionary.get", {"code": "BIC", "page_num": 1, "page_size": 2}, message_id=name
    )
    wanted = [{snake(field): value for field, value in item.items()} for item in example["answer"]["items"]]
    assert told == {"total": 899, "items": wanted, "field_errors": []}
    request = one_call(await applicant.calls(name))
    assert urlsplit(request["url"]).path == "/api/nsi/v1/dictionary/BIC"
    assert json.loads(request["body"]) == example["request"]
    assert "Authorization" not in request["headers"]


async def test_the_example_of_an_order_by_one_method(applicant: Applicant) -> None:
    """Формирование заявления единым методом."""
    example, name = EXAMPLES["push"], str(uuid4())
    await applicant.tell("settings", {"next_order_id": example["answer"]["orderId"]})
    body = {**command(example["meta"]), "files": FILES}
    assert await applicant.result("epgu.order.push", body, message_id=name) == {"order_id": 2058864134}
    request = one_call(await applicant.calls(name))
    assert urlsplit(request["url"]).path == "/api/gusmev/push"
    assert request["headers"]["Content-Type"].startswith("multipart/form-data")
    assert request["meta"] == example["meta"]


async def test_the_example_of_an_order_by_one_method_refused(applicant: Applicant) -> None:
    """Формирование заявления единым методом: отрицательный ответ."""
    example = EXAMPLES["push"]
    await applicant.tell("scenario", {"operation": "push", "answer": {"status": 403, "json": example["refusal"]}})
    error = await applicant.refusal("epgu.order.push", {**command(example["meta"]), "files": FILES})
    assert (error["error_code"], error["description"]) == (example["refusal"]["code"], example["refusal"]["message"])


async def test_the_example_of_sending_an_order_by_chunks(applicant: Applicant) -> None:
    """Отправка заявления (загрузка архива по частям). The samples begin at 1.

    They leave the numbers of later chunks out, too; the rule is 0 to n-1, on every chunk.
    """
    samples = EXAMPLES["chunks"]
    number = samples[0]["answer"]["orderId"]
    await applicant.tell("settings", {"next_order_id": number})
    assert await applicant.result("epgu.order.create", META) == {"order_id": number}
    noise = applicant.files / "noise.bin"
    noise.write_bytes(os.urandom(2_600_000))
    body = {**META, "order_id": number, "files": [*FILES, {"name": "noise.bin", "path": str(noise)}]}
    told = await applicant.result("epgu.order.push-chunked", body)
    assert (told["order_id"], told["archive"]["chunks"]) == (number, 3)
    lines = await applicant.ledger("chunk", number)
    assert [line["status"] for line in lines] == [sample["status"] for sample in samples] == [206, 206, 200]
    assert [(line["chunk"], line["chunks"]) for line in lines] == [(0, 3), (1, 3), (2, 3)]
    assert [line["size"] for line in lines[:2]] == [1_048_576, 1_048_576]


async def test_the_example_of_sending_an_order_by_one_chunk(applicant: Applicant) -> None:
    """The samples of later chunks have the number of the order and the file alone: so one chunk goes."""
    number, name = (await applicant.result("epgu.order.create", META))["order_id"], str(uuid4())
    await applicant.result("epgu.order.push-chunked", {**META, "order_id": number, "files": FILES}, message_id=name)
    assert one_call(await applicant.calls(name))["fields"] == {"orderId": str(number)}


async def test_the_example_of_cancelling_an_order(applicant: Applicant) -> None:
    """Отмена заявления: 200, 403, 404, 405 and 401 of the example.

    After the last one a new token is had and used.
    """
    number = EXAMPLES["cancel"]["order_id"]
    order = {**OWNER, "service_code": META["service_code"], "statuses": [{"status_id": 6, "cancel_allowed": True}]}
    for one in (number, number + 1):
        await applicant.tell("orders", {**order, "order_id": one})
    asked, told = {"order_id": number, "force": True}, {}
    assert await applicant.result("epgu.order.cancel", asked) == {"order_id": number, "cancel_requested": True}
    for rule in ({"refuse": "order_access"}, {"status": 404}, {"status": 405}):
        await applicant.tell("scenario", {"operation": "cancel", "order_id": number, "times": 1, **rule})
        error = await applicant.refusal("epgu.order.cancel", asked)
        told[error["details"]["http_status"]] = error["error_code"]
        assert error["recommendation"]
    tokens = len(await applicant.ledger("token"))
    await applicant.tell("scenario", {"operation": "cancel", "order_id": number + 1, "times": 1, "status": 401})
    assert (await applicant.result("epgu.order.cancel", {"order_id": number + 1}))["cancel_requested"]
    assert [line["status"] for line in await applicant.ledger("cancel", number + 1)] == [401, 200]
    assert len(await applicant.ledger("token")) == tokens + 1
    assert told == {403: "order_access", 404: "not_found", 405: "cancel_not_allowed"}
    assert [200, *told, 401] == EXAMPLES["cancel"]["statuses"]


async def test_the_example_of_statuses_of_all_orders_since_a_moment(applicant: Applicant) -> None:
    """Статусы всех заявлений с даты обновления статуса: the first of eight pages; a name with a blank is read."""
    example, name = EXAMPLES["getUpdatedAfter"], str(uuid4())
    first = example["answer"]
    pages = [first] + [
        {**first, "content": [{**first["content"][0], "orderId": 10 * page + row} for row in range(5)]}
        for page in range(1, 8)
    ]
    for page, answer in enumerate(pages):
        rule = {"operation": "updated-after", "skip": page, "times": 1, "answer": {"json": answer}}
        await applicant.tell("scenario", rule)
    body = {"updated_after": "2022-12-10T12:31:42", "page_size": 5}
    told = await applicant.result("epgu.order.updated-after", body, message_id=name)
    assert (told["total"], len(told["orders"])) == (40, 40)
    assert told["orders"][:5] == in_utc(first["content"])
    calls = await applicant.calls(name)
    query = parse_qs(urlsplit(calls[0]["request"]["url"]).query)
    assert query == parse_qs(example["query"])
    assert urlsplit(calls[0]["request"]["url"]).path == "/api/gusmev/order/getUpdatedAfter/"


async def test_the_example_of_statuses_of_a_list_of_orders(applicant: Applicant) -> None:
    """Пример запроса статусов по списку заявлений."""
    example, name = EXAMPLES["getOrdersStatus"], str(uuid4())
    await applicant.tell("scenario", {"operation": "statuses", "times": 1, "answer": {"json": example["answer"]}})
    numbers = [int(number) for number in parse_qs(example["query"])["orderIds"][0].split(",")]
    told = await applicant.result("epgu.order.statuses", {"order_ids": numbers}, message_id=name)
    assert told == {"orders": in_utc(example["answer"]["content"])}
    request = one_call(await applicant.calls(name))
    assert parse_qs(urlsplit(request["url"]).query) == parse_qs(example["query"])


async def test_the_example_of_details_of_an_order(applicant: Applicant) -> None:
    """Получение деталей по заявлению."""
    example = EXAMPLES["details"]
    number = example["order_id"]
    await applicant.tell(
        "orders", {**OWNER, "service_code": META["service_code"], "order_id": number + 10, "statuses": []}
    )
    answer = {"json": example["answer"]}
    await applicant.tell("scenario", {"operation": "details", "order_id": number + 10, "answer": answer})
    told = await applicant.result("epgu.order.get", {"order_id": number + 10})
    assert (told["code"], told["final"], told["success"]) == ("OK", True, True)
    assert told["raw"] == example["answer"]["order"]
    order = json.loads(told["raw"])
    assert (told["order"]["id"], told["order"]["order_status_id"]) == (number, 24)
    assert [status["status_id"] for status in told["order"]["statuses"]] == [0, 17, 21, 2, 24]
    assert len(told["order"]) == len(order)
    assert told["cancel_allowed"] is False
    assert told["order"]["order_attachment_files"][0]["link"] == f"terrabyte://00/{number}/req.xml/2"


async def test_the_example_of_an_answer_to_an_error(applicant: Applicant) -> None:
    """Пример ответа при ошибке."""
    order = {**OWNER, "service_code": META["service_code"], "order_id": 73588090, "statuses": [{"status_id": 6}]}
    await applicant.tell("orders", order)
    answer = {"status": 403, "json": EXAMPLES["order_access"]}
    await applicant.tell("scenario", {"operation": "details", "order_id": 73588090, "answer": answer})
    error = await applicant.refusal("epgu.order.get", {"order_id": 73588090})
    assert (error["error_code"], error["description"]) == tuple(EXAMPLES["order_access"].values())
    assert error["details"]["order_id"] == 73588090


def test_examples_are_those_of_the_seed() -> None:
    seed = Path(__file__).parents[2].parent / "shared/seeds/003_77f5074edb620939.txt"
    if not seed.exists():
        pytest.skip("the seeds are not beside the project")
    text = "".join(seed.read_text(encoding="utf-8").split())
    for name in ("create", "dictionary", "push", "getUpdatedAfter", "getOrdersStatus", "details"):
        assert "".join(json.dumps(EXAMPLES[name]["answer"], ensure_ascii=False).split()) in text
    assert base64.b64decode(FILES[0]["content_base64"]) == b"<request/>"
