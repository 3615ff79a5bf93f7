"""ГИС ЖКХ behind the simulator as the provider of debt responses, asked by the service and by a draft of it."""

from __future__ import annotations

import importlib.util
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from lxml import etree

from adapter import cli
from adapter.paths import SCHEMAS
from adapter.services.zhkh_debt_responses import ANSWER, ASKED, ZhkhDebtResponses
from adapter.xml.schema import Schema
from simulators.smev3.giszhkh_responses import number_of
from tests.contract.smev3_caller import NAMES, REQUEST_DATA, action, debt_requests
from tests.unit.services.zhkh_commands import answer, command

if TYPE_CHECKING:
    from adapter.services.information_type import InformationType
    from tests.contract.smev3_world import World

pytest_plugins = ("tests.contract.smev3_fixtures",)

SCHEMA = SCHEMAS / "zhkh-debt-responses/1.0.0/debt-responses.xsd"
SENDER = {name: ASKED[name] for name in ("information_system_id", "organization_id")}


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> InformationType:
    """What ``adapter new-service`` makes of our schema, as it stands."""
    out = tmp_path_factory.mktemp("drafted")
    assert cli.main(["new-service", str(SCHEMA), "--out", str(out), "--action", "drafted"]) == 0
    spec = importlib.util.spec_from_file_location("drafted_for_simulator", out / "adapter/services/drafted.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.make({})


@pytest.fixture(params=["by hand", "drafted"])
def service(request: pytest.FixtureRequest, drafted: InformationType) -> InformationType:
    return ZhkhDebtResponses() if request.param == "by hand" else drafted


async def ask(world: World, service: InformationType, **asked: Any) -> dict[str, Any]:
    """Send what the service makes of a command and return the outcome of the answer."""
    sent = command(SENDER | asked)
    await world.send(service.start(sent).content.decode())
    reply = await world.poll()
    await world.ack(reply)
    assert reply.tree is not None
    root = reply.tree.find(".//b:MessagePrimaryContent", NAMES)
    assert root is not None
    assert Schema.load(SCHEMA).check(root[0]) == []
    return dict(service.resume(sent, answer(etree.tostring(root[0], with_tail=False))).outcome)


async def test_a_request_that_nobody_made_is_an_error(world: World, service: InformationType) -> None:
    assert await ask(world, service, request_ids=[str(uuid4())]) == ANSWER


async def test_a_request_that_was_sent_is_found_by_id_and_by_number(world: World, service: InformationType) -> None:
    await world.send(debt_requests(action(data=REQUEST_DATA)))
    await world.ack(await world.poll())
    (stored,) = await world.admin("requests")
    by_id = await ask(world, service, request_ids=[stored["request_id"].upper(), str(uuid4())])
    by_number = await ask(world, service, request_numbers=[number_of(stored["request_id"])])
    assert by_id["result"]["request_data"] == by_number["result"]["request_data"]
    assert len(by_id["result"]["not_found"]["request_ids"]) == 1
    (found,) = by_number["result"]["request_data"]
    assert (found["status"], found["result"]) == ("SENT", 2)
    assert found["response_date"] > found["sent_date"]


@pytest.mark.parametrize(("digit", "result", "has_debt"), [("0", 3, True), ("f", 4, False)])
async def test_an_answered_request_says_whether_there_is_a_debt(
    world: World, service: InformationType, digit: str, result: int, *, has_debt: bool
) -> None:
    request_id = str(uuid4())[:-1] + digit
    await world.draft(request_id, "PROCESSED")
    (found,) = (await ask(world, service, request_ids=[request_id]))["result"]["request_data"]
    response = found["subrequests"][0]["response"]
    assert (found["result"], response["has_debt"], "debt_info" in response) == (result, has_debt, has_debt)


async def test_conditions_all_have_to_hold(world: World, service: InformationType) -> None:
    for status in ("DRAFT", "SENT", "REVOKED"):
        await world.draft(str(uuid4()), status)
    creation = await period(world)
    found = await ask(world, service, request_creation_period=creation, request_statuses=["SENT", "DRAFT"])
    assert {one["status"] for one in found["result"]["request_data"]} == {"SENT", "DRAFT"}
    assert found["result"]["paged_output"] == {"last_page": True}
    person = {"snils": "11111111145"}
    assert "result" in await ask(world, service, request_creation_period=creation, applicant_info=person)
    for nobody in ({"applicant_info": {"firstname": "Пётр"}}, {"house_ids": [str(uuid4())]}, {"request_results": [4]}):
        assert await ask(world, service, request_creation_period=creation, **nobody) == ANSWER


async def test_more_than_a_hundred_come_in_blocks(world: World, service: InformationType) -> None:
    made = [str(uuid4()) for _ in range(101)]
    for request_id in made:
        await world.draft(request_id)
    creation = await period(world)
    first = (await ask(world, service, request_creation_period=creation))["result"]
    rest = first["paged_output"]["next_request_id"]
    second = (await ask(world, service, request_creation_period=creation, export_request_id=rest))["result"]
    assert [one["request_id"] for one in (*first["request_data"], *second["request_data"])] == made
    assert second["paged_output"] == {"last_page": True}


async def test_a_period_of_more_than_half_a_year_is_an_error(world: World, service: InformationType) -> None:
    long = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
    assert (await ask(world, service, request_creation_period=long))["error"]["error_code"] == "FMT001300"


async def period(world: World) -> dict[str, str]:
    """The days around the making of whatever the store holds."""
    day = date.fromisoformat((await world.admin("requests"))[0]["updated_at"][:10])
    return {"start_date": str(day - timedelta(days=1)), "end_date": str(day + timedelta(days=1))}
