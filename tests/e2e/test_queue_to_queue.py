"""From queue to queue: the seed's examples, bad input and bad days, over real processes."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES

if TYPE_CHECKING:
    from tests.e2e.conftest import Simulator, Talk


def fresh(**action: Any) -> dict[str, Any]:
    """The seed's first example under ids of its own."""
    command = copy.deepcopy(dict(EXAMPLES[0].request))
    command["actions"][0] |= {"transport_id": str(uuid4())} | action
    return command


def transport_id(command: dict[str, Any]) -> str:
    return command["actions"][0]["transport_id"]


async def taken(simulator: Simulator, command: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in await simulator.ledger() if entry["transport_id"] == transport_id(command)]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_the_seeds_example_is_answered_as_the_seed_says(talk: Talk, number: int) -> None:
    example = EXAMPLES[number - 1]
    assert await talk.ask(example.request) == example.reply


async def test_a_fresh_request_is_created_sent_once_and_may_be_revoked(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    made = (await talk.ask(command))["result"][0]
    assert made["transport_id"] == transport_id(command)
    assert [entry["outcome"] for entry in await taken(simulator, command)] == ["accepted"]
    revoke = copy.deepcopy(dict(EXAMPLES[3].request))
    revoke["actions"][0] |= {"transport_id": str(uuid4()), "request_id": made["success"]["id"]}
    assert (await talk.ask(revoke))["result"][0]["success"]["id"] == made["success"]["id"]


async def test_an_unknown_request_id_is_named_by_gis_zhkh(talk: Talk) -> None:
    unknown = str(uuid4())
    command = copy.deepcopy(dict(EXAMPLES[1].request))
    command["actions"][0] |= {"transport_id": str(uuid4()), "request_id": unknown}
    error = (await talk.ask(command))["result"][0]["errors"][0]
    assert error["error_code"] == "INT054003"
    assert unknown in error["description"]


async def test_fifty_actions_in_one_command_are_each_answered(talk: Talk) -> None:
    command = fresh()
    action = command["actions"][0]
    command["actions"] = [action | {"transport_id": str(uuid4())} for _ in range(50)]
    reply = await talk.ask(command)
    assert [result["transport_id"] for result in reply["result"]] == [one["transport_id"] for one in command["actions"]]


BAD = {
    "not JSON": (b"{", "body"),
    "an empty body": (b"", "body"),
    "another encoding": ('{"a": "ы"}'.encode("cp1251"), "body"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "body"),
    "a list": (b"[]", "body"),
    "nesting without end": (b"[" * 200_000, "body"),
    "a body over the limit": (b'"' + b"x" * 1_100_000 + b'"', "body"),
    "no actions": (fresh() | {"actions": []}, "actions"),
    "an unknown field": (fresh(colour="red"), "actions[0].colour"),
    "a wrong type": (fresh(transport_id=5), "actions[0].transport_id"),
    "revoke without request_id": (fresh(action_type="REVOKE"), "actions[0].request_id"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_answered_by_field_and_rule_before_any_call(
    talk: Talk, simulator: Simulator, name: str
) -> None:
    body, path = BAD[name]
    before = len(await simulator.ledger())
    error = (await talk.ask(body))["error"]
    assert error["error_code"] == "ADAPTER-INVALID-COMMAND"
    assert error["fields"][0]["path"] == path
    assert error["fields"][0]["rule"]
    assert len(await simulator.ledger()) == before


@pytest.mark.parametrize("poison", ["\x00", "\x07", "]]>", "\ud800", "\uffff"], ids=ascii)
async def test_a_text_that_xml_cannot_carry_is_named_and_the_next_command_goes_on(talk: Talk, poison: str) -> None:
    command = fresh()
    command["actions"][0]["request_data"]["applicant_info"]["lastname"] = f"a{poison}b"
    error = (await talk.ask(json.dumps(command).encode()))["error"]
    assert error["fields"][0]["path"] == "actions[0].request_data.applicant_info.lastname"
    assert "result" in await talk.ask(fresh())


async def test_a_fault_at_the_door_comes_back_with_its_own_code(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    rule = {"transport_id": transport_id(command), "effects": {"fault": "AccessDenied"}}
    await simulator.post("scenario", rule | rule.pop("effects"))
    error = (await talk.ask(command))["error"]
    assert not error["error_code"].startswith("ADAPTER-")
    assert [entry["outcome"] for entry in await taken(simulator, command)] == ["refused"]


async def test_an_asynchronous_rejection_reaches_its_command_with_its_code(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    await simulator.post("scenario", {"transport_id": transport_id(command), "rejection": True})
    assert (await talk.ask(command))["error"]["error_code"] == "SMEV-403"


async def test_a_rejection_by_the_provider_reaches_its_command_with_its_code(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    reason = {"code": "NO_DATA", "description": "Сведения отсутствуют"}
    await simulator.post("scenario", {"transport_id": transport_id(command), "request_rejected": reason})
    error = (await talk.ask(command))["error"]
    assert (error["error_code"], error["description"]) == ("NO_DATA", "Сведения отсутствуют")


async def test_a_request_status_is_an_event_and_the_answer_still_comes(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    queue = await talk.channel.get_queue("smev3.request-status")
    await queue.purge()
    await simulator.post("scenario", {"transport_id": transport_id(command), "request_status": 1})
    assert "result" in await talk.ask(command)
    event = await queue.get(no_ack=True, timeout=10)
    assert event.type == "smev3.request-status"


@pytest.mark.parametrize("effect", [{"body": "html"}, {"body": "garbage"}, {"body": "truncated"}, {"drop": "after"}])
async def test_an_acceptance_that_was_lost_on_the_wire_leads_to_one_effective_request(
    talk: Talk, simulator: Simulator, effect: dict[str, str]
) -> None:
    command = fresh()
    await simulator.post("scenario", {"transport_id": transport_id(command), "times": 1} | effect)
    assert "result" in await talk.ask(command)
    entries = await taken(simulator, command)
    assert sum(entry["outcome"] == "accepted" for entry in entries) == 1
    assert len({entry["message_id"] for entry in entries}) == 1


async def test_an_answer_delivered_twice_is_one_reply(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    await simulator.post("scenario", {"transport_id": transport_id(command), "duplicate": True})
    await talk.publish(command)
    await talk.reply()
    assert "result" in await talk.ask(fresh())
    assert talk.replies.empty()


async def test_an_answer_about_a_transport_id_we_did_not_send_is_passed_on_whole(
    talk: Talk, simulator: Simulator
) -> None:
    command = fresh()
    await simulator.post("scenario", {"transport_id": transport_id(command), "unknown_transport_id": True})
    reply = await talk.ask(command)
    assert transport_id(command) not in {result["transport_id"] for result in reply["result"]}


async def test_a_command_that_nobody_answers_expires_at_its_deadline(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    await simulator.post("scenario", {"transport_id": transport_id(command), "silent": True})
    deadline = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    error = (await talk.ask(command, headers={"x-deadline": deadline}))["error"]
    assert error["error_code"] == "ADAPTER-EXPIRED"


async def test_a_dry_run_shows_the_signed_message_and_sends_nothing(talk: Talk, simulator: Simulator) -> None:
    command = fresh()
    result = (await talk.ask(command, headers={"x-dry-run": True}))["result"]
    assert "PersonalSignature" in result["xml"]
    assert "CallerInformationSystemSignature" in result["xml"]
    assert await taken(simulator, command) == []
