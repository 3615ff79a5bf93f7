"""The generated contract: it is what is committed, its references resolve, and it agrees with the models."""

from __future__ import annotations

import json
import os
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from adapter import cli
from adapter.cli_asyncapi import DOCUMENT, FOLDER, files
from adapter.contract.catalog import events, services
from adapter.contract.events import BY_NAME, example_of
from adapter.contract.pages import DRAFTED, pages, service_page
from adapter.contract.schemas import command_schema, event_schema, reply_schema
from adapter.contract.variables import switches, variables_of
from adapter.errors import Code, InvalidCommandError, KnownError
from adapter.exchange import Command, Event
from adapter.incoming import Incoming, Match
from adapter.paths import SCHEMAS
from adapter.services.registry import make_providers, make_services
from adapter.settings import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adapter.exchange import Service
    from adapter.incoming import Matching

ACTIONS = sorted(services())
SERVICE_PAGES = SCHEMAS.parent / "docs" / "services"
_SAMPLES = {"SHEP_SERVICES_FILE": str(SCHEMAS.parent / "deploy/local/shep-services.toml")}
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def taker(action: str) -> Service:
    """The service as the samples configure it: its examples name services that are registered there."""
    for mode in ("portal", "client"):
        found = make_services({**_SAMPLES, "POSTAMAT_MODE": mode}).get(action)
        if found is not None:
            return found
    return services()[action]


@cache
def checker(action: str) -> Draft202012Validator:
    return Draft202012Validator(command_schema(services()[action]))


def takes(service: Service, body: Any) -> bool:
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        service.start(Command(UUID(int=1), service.action, text, _NOW, _NOW + timedelta(days=1)))
    except InvalidCommandError:
        return False
    return True


def test_the_committed_files_are_what_the_code_generates() -> None:
    wanted = files()
    there = {DOCUMENT, *(f"{FOLDER}/{path.name}" for path in (SCHEMAS / FOLDER).iterdir())}
    changed = [
        name for name, text in wanted.items() if name not in there or (SCHEMAS / name).read_text("utf-8") != text
    ]
    assert (changed, there - set(wanted)) == ([], set()), "renew them: adapter asyncapi --write"


def test_the_command_prints_the_document_without_any_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    assert cli.main(["asyncapi"]) == 0
    assert capsys.readouterr().out == (SCHEMAS / DOCUMENT).read_text("utf-8")


def test_every_reference_of_the_document_resolves() -> None:
    document = json.loads(files()[DOCUMENT])
    references = list(_references(document))
    assert references
    for reference in references:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_every_event_of_the_code_has_its_page_and_no_other() -> None:
    assert set(BY_NAME) == set(events())


@pytest.mark.parametrize("action", ACTIONS)
def test_the_examples_agree_with_the_schemas_and_the_models(action: str) -> None:
    service = taker(action)
    command, reply = command_schema(services()[action]), reply_schema(services()[action])
    Draft202012Validator.check_schema(command)
    Draft202012Validator.check_schema(reply)
    for example in service.examples:
        Draft202012Validator(command).validate(example.request)
        Draft202012Validator(reply).validate(json.loads(json.dumps(example.reply)))
        assert takes(service, example.request)
    assert not Draft202012Validator(reply).is_valid({})
    assert not Draft202012Validator(reply).is_valid({"result": {}, "error": {"error_code": "E", "description": ""}})


@pytest.mark.parametrize("action", ACTIONS)
def test_a_field_that_nobody_knows_is_refused_by_schema_and_model(action: str) -> None:
    service = taker(action)
    for example in service.examples:
        body = {**example.request, "unknown_field": 1}
        assert not checker(action).is_valid(body)
        assert not takes(service, body)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.text(max_size=5),
    st.sampled_from(["1", "a", "", "2026-01-01", "00000000-0000-0000-0000-000000000000", "REVOKE", "/a", "http://a/b"]),
    st.just([]),
    st.just({}),
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _places(value, (*path, key))


def _optional_names(schema: Mapping[str, Any]) -> list[str]:
    definitions = [schema, *schema.get("$defs", {}).values()]
    return sorted({name for part in definitions for name in part.get("properties", {})})


@pytest.mark.parametrize("action", [action for action in ACTIONS if services()[action].examples])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_the_model_takes_the_schema_takes(action: str, data: st.DataObject) -> None:
    service, schema = taker(action), checker(action).schema
    body = deepcopy(json.loads(json.dumps(data.draw(st.sampled_from(service.examples)).request)))
    names = _optional_names(schema)
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(_places(body)) or [()]
        *parents, last = data.draw(st.sampled_from(places)) or ("nothing",)
        node = body
        for step in parents:
            node = node[step]
        deed = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if deed == "remove" and last in node if isinstance(node, dict) else deed == "remove":
            del node[last]
        elif deed == "add" and isinstance(node, dict) and names:
            node[data.draw(st.sampled_from(names))] = data.draw(_VALUES)
        else:
            node[last] = data.draw(_VALUES)
    if takes(service, body):
        checker(action).validate(body)


def test_either_spelling_of_the_address_is_in_the_schema_and_not_both() -> None:
    service = services()["zhkh-debt-requests"]
    checker = Draft202012Validator(command_schema(service))
    body = json.loads(json.dumps(service.examples[0].request))
    place = body["actions"][0]["request_data"]["housing_fund_object"]
    place["address-details"] = "кв. 27"
    assert not checker.is_valid(body)
    assert not takes(service, body)
    del place["address_details"]
    checker.validate(body)
    assert takes(service, body)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_example_of_an_event_agrees_with_its_schema(name: str) -> None:
    schema = event_schema(name)
    Draft202012Validator.check_schema(schema)
    example = example_of(BY_NAME[name])
    assert example is not None
    Draft202012Validator(schema).validate(example)
    assert set(example) <= set(schema["properties"])


_ABOUT = {"exchange": {"id": "019a9f3e-2b7c-7c41-9d0e-5a2f6b1c8d34", "action": "smev3.request"}}


def told(provider: Any, incoming: Incoming) -> tuple[Event, ...]:
    return tuple(provider.begin(incoming).events)


def incoming(action: str, content: bytes = b"", **more: Any) -> Incoming:
    return Incoming(
        source="test", key="7c1e2f4a-c6a1-11f0-9d0b-0242ac120002", action=action, raw=b"", content=content, **more
    )


def test_what_providers_tell_agrees_with_the_schemas_of_events() -> None:
    types = '[{"namespace": "urn:x"}]'
    environment = {**_SAMPLES, "SHEP_LISTEN": "127.0.0.1:1", "SMEV_PROVIDES": "urn:a#A", "EPGU_ORDER_TYPES": types}
    made = make_providers(services(), environment)
    facts = {"namespace": "urn:a", "root": "A", "sender": "EXMP01", "node_id": "n"}
    order = {"namespace": "urn:x", "root": "FormData"}
    seen: list[Event] = []
    for given_facts in (facts, {**facts, "root": "B"}, {"cancels": "m", "sender": "S"}):
        seen += told(made["smev3.request"], incoming("smev3.request", b"<A/>", facts=given_facts, reply_to="r"))
    for part in (
        "<orderId>1</orderId>",
        "<textRequest><orderId>1</orderId><text>t</text></textRequest>",
        "<cancelRequest><orderId>1</orderId></cancelRequest>",
    ):
        content = f'<FormData xmlns="urn:x">{part}</FormData>'.encode()
        seen += told(made["epgu.order.request"], incoming("epgu.order.request", content, facts=order, reply_to="r"))
    seen += told(made["epgu.order.request"], incoming("epgu.order.request", facts={"cancels": "m"}))
    said = {"message_id": "1", "correlation_id": "2", "service_id": "S", "sender_id": "o", "signature": "right"}
    for action in ("shep.message", "shep.status", "shep.sync"):
        content = b'{"form": "child", "content": "<a/>"}' if action != "shep.status" else b""
        known = {
            name: value for name, value in said.items() if content or name in ("message_id", "sender_id", "signature")
        }
        given = incoming(action, content, facts=known)
        step = made[action].begin(given)
        seen += cast("Matching", made[action]).matched(given, None).events if isinstance(step, Match) else step.events
    assert len({event.name for event in seen}) > 8
    for event in seen:
        body = json.loads(json.dumps({**event.body, **_ABOUT}))
        Draft202012Validator(event_schema(event.name)).validate(body)
        assert set(body) <= set(event_schema(event.name)["properties"]), event.name


def test_a_reply_of_an_error_is_taken_by_the_schema_of_every_reply() -> None:
    error = KnownError(Code.INTERNAL, details={"a": 1}).to_wire()
    for action in ACTIONS:
        Draft202012Validator(reply_schema(services()[action])).validate({"error": error})


def test_the_committed_pages_are_what_the_code_generates() -> None:
    present = {path.name: path.read_text("utf-8") for path in SERVICE_PAGES.glob("*.md")}
    wanted = pages(present)
    changed = [name for name, text in wanted.items() if present.get(name) != text]
    by_hand = {"epgu.md", "epgu-correspondence.md", "postamat.md", "shep.md", "smev3-provider.md"}
    stale = set(present) - set(wanted) - by_hand - {f"{action}.md" for action in DRAFTED}
    assert (changed, stale) == ([], set()), "renew them: adapter docs services --write"


def test_every_action_has_a_page_and_every_event_a_section() -> None:
    there = {path.name for path in SERVICE_PAGES.glob("*.md")}
    assert {f"{action}.md" for action in ACTIONS} <= there
    page = (SERVICE_PAGES / "events.md").read_text("utf-8")
    assert [name for name in events() if f"\n## {name}\n" not in page] == []


@pytest.mark.parametrize("action", sorted(set(ACTIONS) - DRAFTED))
def test_a_page_tells_every_field_of_the_command_and_every_example(action: str) -> None:
    service = services()[action]
    page = service_page(service, "")
    schema = command_schema(service)
    named = [name for part in (schema, *schema.get("$defs", {}).values()) for name in part.get("properties", {})]
    assert [name for name in named if f"| {name} | " not in page] == []
    shown = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]
    examples = [part for example in service.examples for part in (example.request, example.reply)]
    assert shown == json.loads(json.dumps(examples))
    for heading in ("Переменные окружения", "Принимаемые параметры", "Параметры ответа"):
        assert f"\n## {heading}\n" in page
    assert not re.search(r"^\| \w+ \| +\|", page, re.MULTILINE), "a field without a word"
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row.replace("\\|", "").count(" | ") not in (1, 3)] == []


@pytest.mark.parametrize("action", sorted(set(ACTIONS) - DRAFTED))
def test_every_member_of_a_result_is_described(action: str) -> None:
    result = reply_schema(services()[action])["properties"]["result"]["anyOf"][0]
    assert list(_undescribed(result)) == []


def _undescribed(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        if not part.get("description"):
            yield name
        yield from _undescribed(part)
        yield from _undescribed(part.get("items", {}))


def test_notes_that_were_written_by_hand_stay() -> None:
    name = "zhkh-debt-requests.md"
    page = pages({name: service_page(services()["zhkh-debt-requests"], "Слово человека\n")})[name]
    assert "\n<!-- notes -->\nСлово человека\n<!-- /notes -->\n" in page


def test_the_switches_of_services_stand_on_their_pages() -> None:
    named = {
        name for service in services().values() for names, _ in variables_of(service) for name in names.split(", ")
    }
    assert switches() <= named
    assert named <= {variable.name for variable in VARIABLES}


def test_the_command_prints_one_page_and_refuses_one_that_is_not_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docs", "services", "epgu.order.create"]) == 0
    assert capsys.readouterr().out == (SERVICE_PAGES / "epgu.order.create.md").read_text("utf-8")
    assert cli.main(["docs", "services", "nonsense"]) == 1
