"""ГИС ЖКХ behind the simulator: the examples of seed 001, the same with fresh ids, and the store's states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.sax.saxutils import escape

import pytest

from adapter.paths import SCHEMAS
from adapter.xml.schema import Schema
from simulators.smev3.config import FIXTURES
from tests.contract.smev3_caller import COMMON, DEBT_REQUESTS, NAMES, REQUEST_DATA, action, debt_requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml import etree

    from tests.contract.smev3_world import Reply, World

pytest_plugins = ("tests.contract.smev3_fixtures",)

EXAMPLES = json.loads(FIXTURES.read_text(encoding="utf-8"))["zhkh-debt-requests"]
SAMPLES = Path(__file__).parents[2].parent / "shared" / "reference" / "zhkh" / "samples"
CONTENT = ".//b:MessagePrimaryContent/dr:ImportDebtRequestsResponse"


def to_xml(message: Mapping[str, Any]) -> str:
    """A request message of the seed as XML."""

    def write(value: Mapping[str, Any]) -> str:
        return "".join(
            f"<dr:{name.replace('_', '-')}>{write(item) if isinstance(item, dict) else escape(str(item))}"
            f"</dr:{name.replace('_', '-')}>"
            for name, item in value.items()
        )

    return (
        f'<dr:ImportDebtRequestsRequest xmlns:dr="{DEBT_REQUESTS}" xmlns:c="{COMMON}">'
        f"<c:information-system-id>{message['information_system_id']}</c:information-system-id>"
        f"<c:organization-id>{message['organization_id']}</c:organization-id>"
        + "".join(f"<dr:action>{write(item)}</dr:action>" for item in message["actions"])
        + "</dr:ImportDebtRequestsRequest>"
    )


def to_json(reply: Reply) -> dict[str, Any]:
    """The business answer as the seed writes it."""
    assert reply.tree is not None
    root = reply.tree.find(CONTENT, NAMES)
    assert root is not None
    assert Schema.load(SCHEMAS / "zhkh-debt-requests" / "1.0.0" / "debt-requests.xsd").check(root) == []

    def leaves(element: etree._Element) -> dict[str, str]:
        return {child.tag.rpartition("}")[2].replace("-", "_"): child.text or "" for child in element}

    error = root.find("c:error", NAMES)
    if error is not None:
        return {"error": leaves(error)}
    results = []
    for result in root.iterfind("c:result", NAMES):
        success = result.find("c:success", NAMES)
        outcome: dict[str, Any] = {"transport_id": result.findtext("c:transport-id", namespaces=NAMES)}
        if success is None:
            outcome["errors"] = [leaves(error) for error in result.iterfind("c:error", NAMES)]
        else:
            outcome["success"] = leaves(success)
        results.append(outcome)
    return {"result": results}


async def ask(world: World, business: str) -> dict[str, Any]:
    """Send a message and return what ГИС ЖКХ answers."""
    await world.send(business)
    reply = await world.poll()
    await world.ack(reply)
    return to_json(reply)


def fresh(message: Mapping[str, Any], **action_fields: str) -> dict[str, Any]:
    """The same message with a fresh transport id."""
    changed = {"transport_id": str(uuid4()), **action_fields}
    return {**message, "actions": [{**message["actions"][0], **changed}]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["title"])
async def test_an_example_of_the_description_is_answered_as_described(world: World, example: dict[str, Any]) -> None:
    assert await ask(world, to_xml(example["request"])) == example["response"]


async def test_examples_change_no_state_however_often_they_come(world: World) -> None:
    for example in [*EXAMPLES, *EXAMPLES]:
        assert await ask(world, to_xml(example["request"])) == example["response"]
    assert await world.admin("requests") == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_fixtures_are_the_examples_of_the_seed(number: int) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the reference samples (../shared) are not on this machine")
    for kind in ("request", "response"):
        seed = json.loads((SAMPLES / f"seed_ex{number}_{kind}.json").read_text(encoding="utf-8"))
        ours = EXAMPLES[number - 1][kind]
        if kind == "request" and number == 3:
            seed["actions"][0]["request_data"]["applicant_info"]["document"]["type"] = "1"  # a number in the seed
        assert ours == seed


async def test_example_1_with_a_fresh_id_creates_a_request_and_sends_it(world: World) -> None:
    message = fresh(EXAMPLES[0]["request"])
    (result,) = (await ask(world, to_xml(message)))["result"]
    assert result["transport_id"] == message["actions"][0]["transport_id"]
    assert result["success"]["id"] != EXAMPLES[0]["response"]["result"][0]["success"]["id"]
    assert result["success"]["update_date"].endswith("+03:00")
    (stored,) = await world.admin("requests")
    assert (stored["request_id"], stored["status"]) == (result["success"]["id"], "SENT")


async def test_example_2_with_a_fresh_id_names_that_id(world: World) -> None:
    request_id = str(uuid4())
    (result,) = (await ask(world, to_xml(fresh(EXAMPLES[1]["request"], request_id=request_id))))["result"]
    (error,) = result["errors"]
    described = EXAMPLES[1]["response"]["result"][0]["errors"][0]
    assert error["error_code"] == "INT054003"
    assert error["description"] == described["description"].replace("0" * 8 + "-0000-0000-0000-" + "0" * 12, request_id)


async def test_example_3_with_a_fresh_draft_sends_it_and_then_never_again(world: World) -> None:
    request_id = str(uuid4())
    await world.draft(request_id)
    message = fresh(EXAMPLES[2]["request"], request_id=request_id)
    (first,) = (await ask(world, to_xml(message)))["result"]
    (second,) = (await ask(world, to_xml(message)))["result"]
    assert first["success"]["id"] == request_id
    assert second["errors"][0]["error_code"] == "INT054003"


async def test_example_3_without_a_draft_is_an_error_of_that_action(world: World) -> None:
    (result,) = (await ask(world, to_xml(fresh(EXAMPLES[2]["request"], request_id=str(uuid4())))))["result"]
    assert result["errors"][0]["error_code"] == "INT054003"


async def test_example_4_revokes_what_was_sent_and_only_once(world: World) -> None:
    (created,) = (await ask(world, debt_requests(action(data=REQUEST_DATA))))["result"]
    request_id = created["success"]["id"]
    message = fresh(EXAMPLES[3]["request"], request_id=request_id)
    (first,) = (await ask(world, to_xml(message)))["result"]
    (second,) = (await ask(world, to_xml(message)))["result"]
    assert first["success"]["id"] == request_id
    assert second["errors"][0]["error_code"] == "INT054003"
    assert request_id in second["errors"][0]["description"]
    assert [entry["status"] for entry in await world.admin("requests")] == ["REVOKED"]


@pytest.mark.parametrize("status", ["DRAFT", "PROCESSED", "REVOKED"])
async def test_only_what_is_under_way_can_be_revoked(world: World, status: str) -> None:
    request_id = str(uuid4())
    await world.draft(request_id, status)
    (result,) = (await ask(world, debt_requests(action("REVOKE", request_id=request_id))))["result"]
    assert request_id in result["errors"][0]["description"]


async def test_ids_are_compared_without_their_case(world: World) -> None:
    request_id = str(uuid4())
    await world.draft(request_id)
    (result,) = (await ask(world, debt_requests(action(request_id=request_id.upper()))))["result"]
    assert result["success"]["id"] == request_id.upper()


async def test_actions_of_one_message_are_done_in_order_and_answered_one_by_one(world: World) -> None:
    draft, unknown = str(uuid4()), str(uuid4())
    await world.draft(draft)
    transports = [str(uuid4()) for _ in range(3)]
    answer = await ask(
        world,
        debt_requests(
            action(request_id=draft, transport_id=transports[0]),
            action(request_id=unknown, transport_id=transports[1]),
            action(data=REQUEST_DATA, transport_id=transports[2]),
        ),
    )
    assert [result["transport_id"] for result in answer["result"]] == transports
    assert ["success" in result for result in answer["result"]] == [True, False, True]


async def test_a_test_message_is_answered_and_changes_nothing(world: World) -> None:
    request_id = str(uuid4())
    await world.draft(request_id)
    await world.send(debt_requests(action(request_id=request_id), action(data=REQUEST_DATA)), tail="<t:TestMessage/>")
    answer = to_json(await world.poll())
    assert [set(result) for result in answer["result"]] == [{"transport_id", "success"}] * 2
    assert [(entry["request_id"], entry["status"]) for entry in await world.admin("requests")] == [
        (request_id, "DRAFT")
    ]


async def test_an_action_that_is_neither_is_an_error_of_its_own(world: World) -> None:
    answer = await ask(world, debt_requests(action("SEND"), action("REVOKE")))
    assert [result["errors"][0]["error_code"] for result in answer["result"]] == ["FMT001300", "FMT001300"]
