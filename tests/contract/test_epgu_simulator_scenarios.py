"""Switches of the ЕПГУ simulator for bad days, its code tables, and running it as a process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from simulators.epgu.codes import ERRORS, ESIA, FINAL_STATUSES, PROCESS, STATUS_NAMES
from simulators.epgu.scenario import Rule
from simulators.epgu.settings import Settings
from tests.contract.epgu_caller import PLAIN, SYSTEM, zipped

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "simulator-epgu.md"
ARCHIVE = zipped({"req.xml": "<a/>"})


@pytest.fixture(scope="module")
def tables() -> Path:
    """The tables that were gathered from the documents, where they are beside the project."""
    folder = PROJECT.parent / "shared" / "reference" / "epgu"
    if not folder.is_dir():
        pytest.skip("the reference data (../shared) is not beside the project")
    return folder


@pytest.mark.parametrize("code", ERRORS)
async def test_every_error_code_can_be_met(world: World, code: str) -> None:
    await world.scenario(operation="order", refuse=code, times=1)
    reply = await world.order()
    assert reply.refusal == (ERRORS[code].status, code)
    assert reply.json["message"] == ERRORS[code].text
    await world.reserved()


@pytest.mark.parametrize("code", PROCESS)
async def test_every_process_code_can_be_met(world: World, code: str) -> None:
    await world.scenario(operation="chunk", process=[code], process_message="Почему-то", times=1)
    number = await world.sent({"req.xml": "<a/>"})
    codes = await world.process_codes(number)
    if PROCESS[code].final and code != "DONE":
        assert codes == [code]
        assert (await world.details(number)).json == {"code": code, "message": "Почему-то", "order": None}
    else:
        assert codes[0] == code
        assert codes[-1] == "OK"


async def test_every_status_can_be_met(world: World) -> None:
    await world.scenario(operation="push", order_statuses=[{"status_id": status} for status in STATUS_NAMES])
    number = (await world.push(ARCHIVE)).json["orderId"]
    await world.advance(len(STATUS_NAMES) + 1)
    told = (await world.opened(number))["statuses"]
    assert {entry["statusId"]: entry["title"] for entry in told} == STATUS_NAMES
    assert {entry["statusId"] for entry in told if entry["finalStatus"]} == FINAL_STATUSES


async def test_processing_may_go_back_and_forth(world: World) -> None:
    await world.scenario(operation="chunk", process=["VALIDATION", "RETRY", "VALIDATION", "RETRY", "INTERNAL_ERROR"])
    number = await world.sent({"req.xml": "<a/>"})
    expected = ["VALIDATION", "RETRY", "VALIDATION", "RETRY", "INTERNAL_ERROR"]
    assert await world.process_codes(number) == expected


@pytest.mark.parametrize("status", [401, 404, 429, 500, 502, 503, 504])
async def test_a_bare_status_has_an_empty_body_or_plain_text(world: World, status: int) -> None:
    await world.scenario(operation="details", status=status, times=1)
    await world.scenario(operation="details", status=status, text="upstream timed out", skip=1, times=1)
    number = await world.reserved()
    empty, text = await world.details(number), await world.details(number)
    assert (empty.status, empty.body) == (status, b"")
    assert (text.status, text.body) == (status, b"upstream timed out")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert (await world.details(number)).status == 200


@pytest.mark.parametrize("status", [400, 405, 409, 500])
async def test_a_code_may_come_with_another_status_and_message(world: World, status: int) -> None:
    await world.scenario(operation="cancel", refuse="cancel_not_allowed", status=status, message="Нельзя")
    reply = await world.cancel(1)
    assert (reply.refusal, reply.json["message"]) == ((status, "cancel_not_allowed"), "Нельзя")


async def test_a_rule_is_for_one_order_one_service_or_one_chunk(world: World) -> None:
    meant, other = await world.reserved(), await world.reserved()
    await world.scenario(operation="details", order_id=meant, status=500)
    assert [(await world.details(number)).status for number in (meant, other)] == [500, 200]
    await world.scenario(operation="order", service_code="60010153", refuse="service_not_found")
    assert (await world.order()).status == 200
    assert (await world.order({**PLAIN, "serviceCode": "60010153"})).status == 409


async def test_a_rule_may_begin_later_and_end(world: World) -> None:
    await world.scenario(operation="statuses", status=503, skip=1, times=2)
    assert [(await world.statuses(1)).status for _ in range(4)] == [200, 503, 503, 200]
    await world.scenario(operation="statuses", status=503)
    (rule,) = await world.admin("GET", "scenario")
    await world.admin("DELETE", f"scenario?id={rule['id']}", status=204)
    assert (await world.statuses(1)).status == 200


@pytest.mark.parametrize(
    "rule",
    [
        {"operation": "nothing"},
        {"operation": "order", "typo": 1},
        {"operation": "order", "refuse": "no_such_code"},
        {"operation": "order", "refuse": "ESIA-007008"},
        {"operation": "token", "refuse": "bad_request"},
        {"operation": "order", "drop": "reading"},
        {"operation": "chunk", "drop": "reading", "chunk": 1},
        {"operation": "chunk", "process": ["SOON"]},
        {"operation": "chunk", "times": 0},
    ],
)
async def test_a_rule_that_cannot_be_is_refused(world: World, rule: dict[str, Any]) -> None:
    assert (await world.admin("POST", "scenario", rule, 400))["faults"]
    assert await world.admin("GET", "scenario") == []


@pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1), ("midway", 1), ("reading", 0)])
async def test_a_cut_connection_tells_nothing_of_whether_it_was_done(world: World, drop: str, made: int) -> None:
    await world.scenario(operation="push", drop=drop, times=1)
    with pytest.raises(aiohttp.ClientError):
        await world.push(ARCHIVE)
    assert (await world.admin("GET", "health"))["orders"] == made
    (line,) = await world.admin("GET", "ledger?operation=push")
    assert line["status"] == 0 or drop == "midway"


async def test_a_file_may_break_off(world: World) -> None:
    (number,) = await world.put({"status_id": 3, "files": [{"name": "a.pdf", "size": 200_000}]})
    history = (await world.opened(number))["currentStatusHistoryId"]
    await world.scenario(operation="file", drop="midway", times=1)
    path = f"/api/storage/v2/files/{history}/3/download?mnemonic=a.pdf"
    with pytest.raises(aiohttp.ClientPayloadError):
        await world.call("GET", path)
    assert len((await world.call("GET", path)).body) == 200_000


@pytest.mark.parametrize("body", ["garbage", "html", "truncated", "empty"])
async def test_the_bytes_of_an_answer_can_be_spoilt(world: World, body: str) -> None:
    await world.scenario(operation="order", body=body, times=1)
    reply = await world.order()
    assert reply.status == 200
    with pytest.raises(ValueError, match=r"."):
        json.loads(reply.body)
    assert (await world.admin("GET", "health"))["orders"] == 1


async def test_an_answer_can_be_put_in_word_for_word(world: World) -> None:
    await world.scenario(operation="statuses", answer={"json": {"count": 0}}, times=1)
    await world.scenario(operation="statuses", answer={"status": 200, "text": "ok"}, skip=1)
    assert (await world.statuses(1)).json == {"count": 0}
    assert (await world.statuses(1)).body == b"ok"


async def test_a_redirect_leads_away(world: World) -> None:
    await world.scenario(operation="details", redirect="http://example.test/elsewhere")
    reply = await world.details(1)
    assert (reply.status, reply.headers["Location"]) == (302, "http://example.test/elsewhere")


async def test_an_answer_may_come_late_when_the_work_is_done(world: World) -> None:
    await world.scenario(operation="order", answer_delay=600, times=1)
    waiting = asyncio.create_task(world.order())
    async with asyncio.timeout(20):
        made = 0
        while not made:
            made = (await world.admin("GET", "health"))["orders"]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_oddities_of_real_answers_and_of_mocks(world: World) -> None:
    await world.set(profile="1.13")
    (number,) = await world.put({"status_id": 2})

    async def quirky(operation: str, *quirks: str) -> Any:
        await world.scenario(operation=operation, quirks=quirks, times=1)
        calls = {"details": world.details(number), "updated-after": world.updated_after(), "order": world.order()}
        reply = await calls.pop(operation)
        for other in calls.values():
            other.close()
        return reply.json

    assert set(await quirky("details", "message_id")) == {"code", "message", "message_id", "order"}
    assert (await quirky("details", "order-object"))["order"]["id"] == number
    assert (await quirky("details", "order-null"))["order"] is None
    assert "traceId" in await quirky("details", "more-fields")
    assert isinstance((await quirky("order", "order-id-string"))["orderId"], str)
    page = await quirky("updated-after", "capital-keys", "spaced-order-id")
    assert set(page) == {"Count", "totalCount", "Content"}
    assert " orderId" in page["Content"][-1]


def test_codes_are_those_of_the_documents(tables: Path) -> None:
    errors = json.loads((tables / "gusmev_error_codes.json").read_text("utf-8"))
    assert {row["code"] for row in errors["codes"]} == set(ERRORS)
    process = json.loads((tables / "gusmev_process_codes.json").read_text("utf-8"))
    expected = {row["code"]: row["final"] for row in process["codes"] if row["code"] != "OK"}
    assert {code: row.final for code, row in PROCESS.items()} == expected
    statuses = json.loads((tables / "epgu_status_codes.json").read_text("utf-8"))["statuses"]
    assert {row["statusId"]: row["name"] for row in statuses} == STATUS_NAMES
    drafts = {0}  # counted there as "not in work", which is not the end
    assert {row["statusId"] for row in statuses if row["not_active_set"]} - drafts == FINAL_STATUSES
    esia = json.loads((tables / "esia_error_codes.json").read_text("utf-8"))["codes"]
    assert set(ESIA) <= {row["code"] for row in esia}


@pytest.mark.parametrize(
    ("profile", "sample"),
    [("1.12", "order_details_unescaped_seed_2022.json"), ("1.13", "order_details_unescaped_2023.json")],
)
async def test_an_order_has_the_fields_of_the_sample(world: World, tables: Path, profile: str, sample: str) -> None:
    await world.set(profile=profile)
    number = await world.sent({"req.xml": "<a/>"})
    await world.advance(60)
    told, expected = await world.opened(number), json.loads((tables / "examples" / sample).read_text("utf-8"))
    assert set(told) == set(expected)
    assert {name: type(value) for name, value in told.items()} == {n: type(v) for n, v in expected.items()}
    for name in ("qrlink", "currentStatusHistory"):
        assert set(told[name]) - {"comment", "stateOrgStatusCode", "stateOrgStatusDescr"} == (
            set(expected[name]) - {"comment", "stateOrgStatusCode", "stateOrgStatusDescr"}
        )
    assert set(told["orderAttachmentFiles"][0]) == set(expected["orderAttachmentFiles"][0])


async def test_dictionary_answers_have_the_shape_of_the_samples(world: World, tables: Path) -> None:
    async def told(code: str, **question: Any) -> dict[str, Any]:
        body = {"treeFiltering": "ONELEVEL", **question}
        answer: dict[str, Any] = (await world.ask("POST", f"/api/nsi/v1/dictionary/{code}", json=body)).json
        return answer

    def sample(name: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((tables / "examples" / f"nsi_dict{name}Response.json").read_text("utf-8"))
        return read

    assert await told("NOWHERE") == sample("Error")
    simple, complicated = await told("BIC", pageNum=1, pageSize=2), await told("TEST_TREE", parentRefItemValue="1")
    assert set(simple) == set(sample("SuccessSimple"))
    assert set(simple["items"][0]) >= set(sample("SuccessSimple")["items"][0])
    expected = sample("SuccessComplex")["items"][0]["attributes"][0]
    assert set(complicated["items"][0]["attributes"][0]) == set(expected)
    beyond = await told("BIC", pageNum=1000, pageSize=2)
    assert (beyond["items"], beyond["error"]) == ([], sample("SuccessEmpty")["error"])


def test_the_page_names_every_switch_and_every_call() -> None:
    page = PAGE.read_text("utf-8")
    names = [*Rule.model_fields, *Settings.model_fields]
    assert [name for name in names if f"`{name}`" not in page and f"`{name}" not in page] == []
    admin = (PROJECT / "simulators" / "epgu" / "admin.py").read_text("utf-8")
    calls = re.findall(r'add_(get|post|delete)\("(/_sim/[\w/]+)"', admin)
    assert calls
    assert [path for _, path in calls if path not in page] == []


async def test_it_runs_as_a_process_and_ends_when_told(keys: Path) -> None:
    arguments = ["-m", "simulators.epgu", "--port", "0", "--keys", str(keys), "--profile", "1.13", "--keep", "digest"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        url = json.loads(line)["url"]
        async with aiohttp.ClientSession(url) as session, session.get("/_sim/health") as response:
            assert await response.json() == {"status": "ok", "orders": 0, "profile": "1.13"}
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_it_says_why_it_cannot_start(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulators.epgu", "--port", "0", "--keys", str(tmp_path)),
        cwd=PROJECT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"the simulator cannot start" in errors
    assert SYSTEM.encode() not in errors
