"""The actions of постаматы as pure functions: what each command becomes, and what its page shows."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import InvalidCommandError, KnownError
from adapter.exchange import Answer, AnswerKind, Call, Command, Reply, Service, Step
from adapter.gateways.postamat.client import PostamatGateway
from adapter.incoming import Local
from adapter.lockers.register import LockerCommands
from adapter.services.postamat import make_all
from adapter.services.registry import known_actions, make_services

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
PORTAL = {service.action: service for service in make_all({})}
CLIENT = {service.action: service for service in make_all({"POSTAMAT_MODE": "client"})}
EVERY = {**PORTAL, **CLIENT}
PAGE = Path(__file__).parents[3] / "docs/services/postamat.md"
MOVE = {"casenum": "1.22-51", "postamatid": "1233", "userid": "1139", "cellid": "007"}
CASE = {"casenum": "1", "service": "s", "department": "d", "phone": "89185555554"}
LOCKER = {"number": "1", "address": "a", "departments": ["d"]}


def step(action: str, body: Any) -> Step:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return EVERY[action].start(Command(UUID(int=1), action, raw, NOW, NOW + timedelta(hours=1)))


def faults(action: str, body: Any) -> set[str]:
    with pytest.raises(InvalidCommandError) as caught:
        step(action, body)
    return {fault.path for fault in caught.value.fields}


def test_each_mode_has_its_own_actions_and_a_star_means_those_of_the_mode() -> None:
    assert len(PORTAL) == 11
    assert sorted(CLIENT) == ["postamat.back", "postamat.issue", "postamat.put-case"]
    assert not set(PORTAL) & set(CLIENT)
    for mode, actions in (({}, PORTAL), ({"POSTAMAT_MODE": " Client "}, CLIENT), ({"POSTAMAT_MODE": "portal"}, PORTAL)):
        assert {name for name in known_actions(mode) if name.startswith("postamat.")} == set(actions)
        assert {name for name in make_services(mode) if name.startswith("postamat.")} == set(actions)


def test_every_portal_action_is_known_to_the_register_and_the_other_way_round() -> None:
    asked = {action.removeprefix("postamat.") for action in PORTAL}
    assert asked == set(LockerCommands(storage_days=14)._known)


@pytest.mark.parametrize("service", EVERY.values(), ids=list(EVERY))
def test_the_example_of_an_action_is_a_command_of_it(service: Service) -> None:
    (example,) = service.examples
    found = step(service.action, example.request)
    if service.action in CLIENT:
        assert isinstance(found, Call)
        assert (found.gateway, found.operation) == ("postamat", service.action.removeprefix("postamat."))
        assert found.operation in PostamatGateway.repeat_rules
    else:
        assert isinstance(found, Local)
        assert found.operation == service.action.removeprefix("postamat.")
    assert set(example.request) <= set(service.command_schema().get("properties", {}))


def test_a_call_s_cell_stays_as_it_was_written_and_its_time_is_that_of_the_command() -> None:
    found = step("postamat.put-case", MOVE)
    assert isinstance(found, Call)
    assert json.loads(found.content) == MOVE | {"timestamp": str(int(NOW.timestamp()))}
    assert (found.lane, found.subject) == ("postamat:1.22-51", "1.22-51")
    given_time = step("postamat.issue", MOVE | {"timestamp": "5"})
    assert isinstance(given_time, Call)
    assert json.loads(given_time.content)["timestamp"] == "5"


def test_what_the_portal_answered_is_the_result() -> None:
    raw = '\ufeff{"status": "ok", "message": "Сохранено"}'.encode()
    answer = Answer("postamat", "k", "k", AnswerKind.ANSWER, raw, raw)
    command = Command(UUID(int=1), "postamat.issue", b"{}", NOW, NOW)
    assert EVERY["postamat.issue"].resume(command, answer) == Reply(
        {"result": {"status": "ok", "message": "Сохранено"}}
    )


def test_a_register_has_nothing_to_resume_from() -> None:
    command = Command(UUID(int=1), "postamat.qr", b"{}", NOW, NOW)
    with pytest.raises(KnownError):
        EVERY["postamat.qr"].resume(command, Answer("x", "k", "k", AnswerKind.ANSWER, b"", b""))


@pytest.mark.parametrize(
    ("action", "body", "paths"),
    [
        ("put-case", MOVE | {"cellid": "ten", "userid": 5}, {"cellid", "userid"}),
        ("issue", MOVE | {"casenum": "a|b", "postamatid": "9" * 19}, {"casenum", "postamatid"}),
        ("back", MOVE | {"timestamp": "1e3"}, {"timestamp"}),
        ("back", {}, {"casenum", "postamatid", "userid", "cellid"}),
        ("directory.add", LOCKER | {"departments": []}, {"departments"}),
        ("directory.add", LOCKER | {"storage_days": 0, "type": "иной"}, {"storage_days", "type"}),
        ("directory.add", LOCKER | {"address": " a", "number": "№1"}, {"address", "number"}),
        ("directory.edit", {"number": "1", "active": True}, {"active"}),
        ("service.allow", {"service": "s", "allowed": "yes"}, {"allowed"}),
        ("case.register", CASE | {"phone": "12"}, {"phone"}),
        ("case.register", CASE | {"service": "a\u200bb"}, {"service"}),
        ("case.get", {}, {"casenum"}),
        ("cases.list", {"page": 1}, {"page"}),
        ("qr", [], {"body"}),
    ],
)
def test_what_breaks_the_contract_is_named_field_by_field(action: str, body: Any, paths: set[str]) -> None:
    assert faults(f"postamat.{action}", body) == paths


def test_a_phone_is_kept_as_the_code_has_it() -> None:
    found = step("postamat.case.register", CASE)
    assert isinstance(found, Local)
    assert found.content["phone"] == "+7 (918) 555 55 54"


@given(st.sampled_from(sorted(EVERY)), st.binary(max_size=200))
def test_hostile_bytes_are_refused_and_nothing_else(action: str, body: bytes) -> None:
    with pytest.raises(InvalidCommandError):
        step(action, body)


WILD = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=4)


@given(st.sampled_from(sorted(EVERY)), st.data())
def test_wild_values_become_a_step_or_a_refusal(action: str, data: st.DataObject) -> None:
    (example,) = EVERY[action].examples
    names = st.sampled_from([*example.request, "postamatid", "x"])
    with suppress(InvalidCommandError):
        assert isinstance(step(action, {**example.request, **data.draw(st.dictionaries(names, WILD))}), Call | Local)


def test_the_page_of_the_actions_shows_their_examples() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]
    examples = [document for one in EVERY.values() for e in one.examples for document in (e.request, e.reply)]
    assert shown[: len(examples)] == examples
    for service in EVERY.values():
        fields = service.command_schema().get("properties", {})
        section = text.split(f"### {service.action}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert re.findall(r"^\| (\w+) \| .* [+-] \|$", section, re.MULTILINE) == sorted(
            fields, key=lambda name: name not in service.command_schema().get("required", ())
        )
