from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.errors import AnswerUnreadableError, ConfigurationError, FieldFault, InvalidCommandError
from adapter.exchange import Call, Service
from adapter.paths import SCHEMAS
from adapter.services.command import read_command
from adapter.services.zhkh_debt_requests import (
    EXAMPLES,
    VARIABLES,
    ImportDebtRequestsRequest,
    ZhkhDebtRequests,
    ZhkhOptions,
    make,
)
from adapter.xml.mapping import load
from adapter.xml.parser import parse
from tests.unit.services.zhkh_commands import COMMAND_ID, answer, command, commands, data, good, snils

DATA = Path(__file__).parents[2] / "data" / "zhkh"
DR, COMMON = "{urn:dom.gosuslugi.ru/debt-requests/1.0.0}", "{urn:dom.gosuslugi.ru/common/1.2.0}"
SCHEMA = etree.XMLSchema(etree.parse(SCHEMAS / str(ZhkhDebtRequests.schema)))
SERVICE = ZhkhDebtRequests()
OTHER = "3d62cf5c-66d6-11eb-ae93-0242ac130002"


def many(count: int) -> list[dict[str, Any]]:
    """Return actions of different transport ids."""
    return [good()["actions"][0] | {"transport_id": f"{number:08}{OTHER[8:]}"} for number in range(count)]


def faults(tree: object, service: ZhkhDebtRequests = SERVICE) -> dict[str, str]:
    with pytest.raises(InvalidCommandError) as caught:
        service.start(command(tree))
    return {fault.path: fault.rule for fault in caught.value.fields}


def spoiled(path: str, value: object) -> dict[str, Any]:
    """Return the good command with ``value`` at a dotted path; ``...`` removes the field."""
    tree = good()
    node: Any = tree
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in above:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return tree


def root(call: Call) -> etree._Element:
    return parse(call.content)


def texts(element: etree._Element, path: str) -> list[str]:
    return [found.text or "" for found in element.findall(path)]


APPLICANT = "actions.0.request_data.applicant_info"
HOUSE = "actions.0.request_data.housing_fund_object"


@pytest.mark.parametrize(
    ("path", "value", "at", "word"),
    [
        ("organization_id", ..., "organization_id", "отсутствует"),
        ("information_system_id", "35a823b4", "information_system_id", "UUID"),
        ("actions", [], "actions", "не меньше 1"),
        ("actions", None, "actions", "null"),
        ("actions", many(51), "actions", "не больше 50"),
        ("actions.0", "x", "actions[0]", "объект"),
        ("actions.0.transport_id", "+1 03eb8e-6f80-11eb-9439-0242ac130002", "actions[0].transport_id", "UUID"),
        ("actions.0.action_type", "send", "actions[0].action_type", "SEND, REVOKE"),
        ("actions.0.request-id", OTHER, "actions[0].request-id", "имелось в виду request_id"),
        (f"{APPLICANT}.firstname", "", "actions[0].request_data.applicant_info.firstname", "пустым"),
        (f"{APPLICANT}.lastname", "я" * 256, "actions[0].request_data.applicant_info.lastname", "не больше 255"),
        (f"{APPLICANT}.lastname", 5, "actions[0].request_data.applicant_info.lastname", "строка"),
        (f"{APPLICANT}.middlename", "", "actions[0].request_data.applicant_info.middlename", "пустым"),
        (f"{APPLICANT}.snils", "111-111-111 45", "actions[0].request_data.applicant_info.snils", "11 цифр"),
        (f"{APPLICANT}.snils", "11111111145\n", "actions[0].request_data.applicant_info.snils", "11 цифр"),
        (f"{APPLICANT}.snils", 11111111145, "actions[0].request_data.applicant_info.snils", "строка"),
        (f"{APPLICANT}.snils", "11111111146", "actions[0].request_data.applicant_info.snils", "контрольное число"),
        (f"{APPLICANT}.document.series", None, "actions[0].request_data.applicant_info.document.series", "null"),
        (f"{APPLICANT}.document.number", "1" * 256, "actions[0].request_data.applicant_info.document.number", "255"),
        (f"{APPLICANT}.document.type", 23, "actions[0].request_data.applicant_info.document.type", "НСИ № 95"),
        (f"{APPLICANT}.document.type", "0", "actions[0].request_data.applicant_info.document.type", "НСИ № 95"),
        (f"{HOUSE}.house_id", "дом", "actions[0].request_data.housing_fund_object.house_id", "UUID"),
        (f"{HOUSE}.address_details", "кв" * 128, "actions[0].request_data.housing_fund_object.address_details", "255"),
        (f"{HOUSE}.address-details", "кв", "actions[0].request_data.housing_fund_object.address-details", "вместе"),
        (
            f"{HOUSE}.address_detail",
            "",
            "actions[0].request_data.housing_fund_object.address_detail",
            "address_details",
        ),
    ],
)
def test_a_broken_field_is_named_with_its_rule(path: str, value: object, at: str, word: str) -> None:
    found = faults(spoiled(path, value))
    assert list(found) == [at]
    assert word in found[at]


@pytest.mark.parametrize(
    "code", [True, 1.0, " 1", "1 ", "+1", "-1", "", "1.0", "١", "1" * 11, "00000000001", 2**31, -(2**31) - 1, None, []]
)
def test_a_document_type_is_a_number_or_digits_and_nothing_else(code: object) -> None:
    lenient = ZhkhDebtRequests(options=ZhkhOptions(check_nsi95=False))
    assert list(faults(spoiled(f"{APPLICANT}.document.type", code), lenient)) == [
        "actions[0].request_data.applicant_info.document.type"
    ]


def test_a_document_type_gives_the_same_xml_as_a_number_and_as_digits() -> None:
    as_number = SERVICE.start(command(spoiled(f"{APPLICANT}.document.type", 1))).content
    assert as_number == SERVICE.start(command(spoiled(f"{APPLICANT}.document.type", "1"))).content
    assert as_number == SERVICE.start(command(spoiled(f"{APPLICANT}.document.type", "01"))).content


@pytest.mark.parametrize("code", [23, "999", -5, 2**31 - 1, -(2**31)])
def test_without_its_switch_any_document_code_of_xs_int_passes(code: object) -> None:
    lenient = ZhkhDebtRequests(options=ZhkhOptions(check_nsi95=False))
    call = lenient.start(command(spoiled(f"{APPLICANT}.document.type", code)))
    assert texts(root(call), f".//{DR}document/{DR}type") == [str(code)]


def test_without_its_switch_a_wrong_snils_checksum_passes_and_one_before_checksums_always_does() -> None:
    lenient = ZhkhDebtRequests(options=ZhkhOptions(check_snils=False))
    assert lenient.start(command(spoiled(f"{APPLICANT}.snils", "11111111146")))
    assert SERVICE.start(command(spoiled(f"{APPLICANT}.snils", "00100199899")))


def test_send_needs_a_request_id_or_request_data() -> None:
    assert faults(spoiled("actions.0.request_data", ...)) == {
        "actions[0].request_data": "для SEND обязательно хотя бы одно из полей request_id и request_data"
    }


def test_revoke_needs_a_request_id_and_no_request_data() -> None:
    assert faults(spoiled("actions.0.action_type", "REVOKE")) == {
        "actions[0].request_id": "поле обязательно для REVOKE",
        "actions[0].request_data": "поле указывается только для SEND",
    }


def test_ids_are_unique_without_regard_to_letter_case() -> None:
    tree = good()
    action = tree["actions"][0] | {"request_id": OTHER}
    upper = action | {"transport_id": action["transport_id"].upper(), "request_id": OTHER.upper()}
    assert faults(tree | {"actions": [action, upper]}) == {
        "actions[1].transport_id": "повторяет actions[0].transport_id, нужен уникальный",
        "actions[1].request_id": "повторяет actions[0].request_id, нужен уникальный",
    }


def test_rules_of_one_action_and_faults_of_another_are_told_together() -> None:
    tree = good()
    tree["actions"] = [
        {"transport_id": "x", "action_type": "SEND"},
        {"transport_id": OTHER, "action_type": "REVOKE", "extra": 1},
    ]
    assert list(faults(tree)) == [
        "actions[0].transport_id",
        "actions[1].extra",
        "actions[0].request_data",
        "actions[1].request_id",
    ]


def test_null_counts_as_absent_where_a_field_is_optional() -> None:
    tree = spoiled(f"{APPLICANT}.middlename", None)
    tree["actions"][0]["request_id"] = None
    tree["actions"][0]["request_data"]["housing_fund_object"]["address_details"] = None
    element = root(SERVICE.start(command(tree)))
    assert not {DR + name for name in ("request-id", "middlename", "address-details")} & {e.tag for e in element.iter()}


def test_both_spellings_of_address_details_give_the_same_xml() -> None:
    tree = spoiled(f"{HOUSE}.address_details", ...)
    tree["actions"][0]["request_data"]["housing_fund_object"]["address-details"] = "кв. 27"
    assert SERVICE.start(command(tree)).content == SERVICE.start(command(good())).content


def test_ids_leave_in_the_letter_case_they_came_in() -> None:
    call = SERVICE.start(command(spoiled("actions.0.transport_id", OTHER.upper())))
    assert texts(root(call), f".//{DR}transport-id") == [OTHER.upper()]


def test_fifty_actions_pass() -> None:
    element = root(SERVICE.start(command(good() | {"actions": many(50)})))
    assert len(element.findall(f"{DR}action")) == 50
    assert SCHEMA.validate(element)


def test_a_call_is_a_send_request_of_smev3_without_an_official() -> None:
    call = SERVICE.start(command(good()))
    assert (call.gateway, call.operation, call.official) == ("smev3", "SendRequest", False)
    assert "Id" not in root(call).attrib


def test_an_officials_signature_gets_an_id_to_point_at_and_the_same_one_each_time() -> None:
    service = ZhkhDebtRequests(personal_signature=True)
    call = service.start(command(good()))
    assert call.official
    assert root(call).get("Id") == f"id-{COMMAND_ID}"
    assert SCHEMA.validate(root(call))
    assert service.start(command(good())) == call


def test_our_own_request_document_is_what_our_own_command_becomes() -> None:
    call = SERVICE.start(command((DATA / "request.json").read_bytes()))
    expected = etree.parse(DATA / "request.xml", etree.XMLParser(remove_blank_text=True))
    assert etree.tostring(root(call), method="c14n") == etree.tostring(expected, method="c14n")


@settings(max_examples=60, deadline=None)
@given(commands())
def test_every_valid_command_becomes_valid_xml_that_reads_back_as_the_same_model(tree: dict[str, Any]) -> None:
    call = SERVICE.start(command(tree))
    element = root(call)
    SCHEMA.assertValid(element)
    model = read_command(json.dumps(tree).encode(), ImportDebtRequestsRequest, context=ZhkhOptions())
    assert load(element, ImportDebtRequestsRequest) == model


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_good_command_spoiled_anywhere_by_anything_is_taken_or_refused_but_never_crashes(
    spoil: st.DataObject,
) -> None:
    tree: Any = json.loads(json.dumps(spoil.draw(commands(2))))
    node, place = tree, 0
    while isinstance(node, dict | list) and node and place < spoil.draw(st.integers(0, 6)):
        key = spoil.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        above, node, place = node, node[key], place + 1
        if place and spoil.draw(st.booleans()):
            above[key] = spoil.draw(st.none() | st.integers() | st.text(st.characters()) | st.just([]) | data)
            break
    body = json.dumps(tree).encode()
    cut = spoil.draw(st.just(len(body)) | st.integers(0, len(body)))
    found: list[FieldFault] = []
    try:
        call: Call | None = SERVICE.start(command(body[:cut]))
    except InvalidCommandError as error:
        call, found = None, list(error.fields)
    if call is None:
        assert found
        assert all(fault.path and fault.rule for fault in found)
    else:
        SCHEMA.assertValid(root(call))


@pytest.mark.parametrize("name", ["success", "errors", "error", "empty_success"])
def test_an_answer_is_passed_on_whole_and_verbatim(name: str) -> None:
    content = (DATA / f"answer_{name}.xml").read_bytes()
    SCHEMA.assertValid(parse(content))
    reply = SERVICE.resume(command(good()), answer(content))
    assert reply.outcome == json.loads((DATA / f"answer_{name}.json").read_text())
    assert reply.notes == ()


def test_an_error_of_the_whole_message_gives_its_code_and_an_error_of_one_action_none() -> None:
    whole = SERVICE.resume(command(good()), answer((DATA / "answer_error.xml").read_bytes()))
    one = SERVICE.resume(command(good()), answer((DATA / "answer_errors.xml").read_bytes()))
    assert (whole.code, one.code) == ("EXP001000", None)


def response(*results: str) -> bytes:
    inner = "".join(f"<c:result><c:transport-id>{ident}</c:transport-id><c:success/></c:result>" for ident in results)
    name = "r:ImportDebtRequestsResponse"
    return f'<{name} xmlns:r="{DR[1:-1]}" xmlns:c="{COMMON[1:-1]}">{inner}</{name}>'.encode()


@pytest.mark.parametrize(
    ("answered", "notes"),
    [
        (["be03eb8e-6f80-11eb-9439-0242ac130002"], ()),
        (["BE03EB8E-6F80-11EB-9439-0242AC130002"], ()),
        (["be03eb8e-6f80-11eb-9439-0242ac130002", OTHER], ("unknown-transport-id",)),
        ([OTHER], ("unknown-transport-id", "missing-transport-id")),
    ],
)
def test_transport_ids_that_differ_from_the_commands_are_noted_and_passed_on(
    answered: list[str], notes: tuple[str, ...]
) -> None:
    reply = SERVICE.resume(command(good()), answer(response(*answered)))
    assert reply.notes == notes
    assert [result["transport_id"] for result in reply.outcome["result"]] == answered


def test_a_missing_transport_id_is_noted() -> None:
    tree = good()
    tree["actions"].append({"transport_id": OTHER, "action_type": "REVOKE", "request_id": OTHER})
    reply = SERVICE.resume(command(tree), answer(response("be03eb8e-6f80-11eb-9439-0242ac130002")))
    assert reply.notes == ("missing-transport-id",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"<a/>",
        response(),
        response("not-a-uuid"),
        response(OTHER).replace(b"<c:success/>", b""),
        response(OTHER).replace(b"<c:success/>", b"<c:success/><c:success/>"),
        response(OTHER).replace(b"<c:success/>", b"<c:surprise/>"),
        response(OTHER).replace(b"<c:success/>", b"<r:success/>"),
        response(OTHER).replace(b"<c:success/>", b"<c:error><c:error-code>1</c:error-code></c:error>"),
        response(OTHER).replace(
            b"</r:Import", b"<c:error><c:error-code>1</c:error-code><c:description/></c:error></r:Import"
        ),
        response(OTHER).replace(DR[1:-1].encode(), b"urn:other"),
        b'<!DOCTYPE a [<!ENTITY e "x">]>' + response(OTHER),
    ],
)
def test_an_unreadable_answer_is_said_to_be_so(content: bytes) -> None:
    with pytest.raises(AnswerUnreadableError):
        SERVICE.resume(command(good()), answer(content))


def test_the_sentence_about_an_unreadable_answer_names_the_place_and_no_value() -> None:
    with pytest.raises(AnswerUnreadableError) as caught:
        SERVICE.resume(command(good()), answer(response("секрет")))
    assert caught.value.description == (
        "Ответ поставщика не читается: ImportDebtRequestsResponse/result[1]/transport-id: string pattern mismatch"
    )
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__context__ is None


def test_examples_are_the_seeds_four_and_start_and_schema_agree_on_them() -> None:
    assert len(EXAMPLES) == 4
    for example in EXAMPLES:
        SCHEMA.assertValid(root(SERVICE.start(command(dict(example.request)))))


def test_the_json_schema_describes_every_field_in_russian_and_keeps_our_docstrings_to_us() -> None:
    schema = SERVICE.command_schema()
    objects = [schema, *schema["$defs"].values()]
    fields = {name: field for part in objects for name, field in part["properties"].items()}
    assert set(fields) >= {"actions", "transport_id", "address_details", "snils", "type", "executor_id"}
    assert all(any("а" <= letter.lower() <= "я" for letter in field["description"]) for field in fields.values())
    assert all("description" not in definition for definition in schema["$defs"].values())
    assert all(part["additionalProperties"] is False for part in objects)
    json.dumps(schema)


def test_make_reads_its_switches_from_the_environment() -> None:
    service: Service = make(
        {"ZHKH_CHECK_NSI95": "false", "ZHKH_CHECK_SNILS": "FALSE", "USE_PERSONAL_SIGNATURE": "true"}
    )
    tree = spoiled(f"{APPLICANT}.snils", "11111111146")
    tree["actions"][0]["request_data"]["applicant_info"]["document"]["type"] = 99
    call = service.start(command(tree))
    assert isinstance(call, Call)
    assert call.official
    assert make({"ZHKH_CHECK_NSI95": ""}).start(command(good())) == SERVICE.start(command(good()))


def test_make_names_every_wrong_switch_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make({"ZHKH_CHECK_NSI95": "да", "ZHKH_CHECK_SNILS": "1"})
    assert set(caught.value.faults) == set(VARIABLES)


def test_a_generated_snils_has_a_right_checksum() -> None:
    assert snils(111111111) == "11111111145"
