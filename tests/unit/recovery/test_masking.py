"""Masked contents: the structure stays, no value does."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.recovery.masking import masked_body, masked_outcome, readable


def test_every_kind_of_value_is_named_and_none_is_shown() -> None:
    body = {"name": "Secretov", "n": 7, "f": 1.5, "yes": True, "no": None, "list": [{"deep": "x"}]}
    assert masked_body(orjson.dumps(body)) == {
        "name": "<text, 8 characters>",
        "n": "<number>",
        "f": "<number>",
        "yes": "<true or false>",
        "no": None,
        "list": [{"deep": "<text, 1 characters>"}],
    }


def test_a_key_that_is_no_name_of_a_field_is_masked_too() -> None:
    assert masked_body(orjson.dumps({"Иванов Иван": 1})) == {"<key>": "<number>"}


def test_long_lists_and_deep_structures_are_cut() -> None:
    assert masked_body(orjson.dumps(list(range(25))))[-1] == "<5 more>"
    deep: object = "x"
    for _ in range(40):
        deep = [deep]
    assert b"<deeper>" in orjson.dumps(masked_body(orjson.dumps(deep)))


def test_what_is_no_json_shows_its_length_alone() -> None:
    assert masked_body(b"Secretov") == "<not JSON, 8 bytes>"
    assert "not kept" in masked_body(None)


@given(st.recursive(st.text("абв", min_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text("абв"), inner)))
def test_no_word_of_a_body_comes_through(body: object) -> None:
    assert not set("абв") & set(orjson.dumps(masked_body(orjson.dumps(body))).decode())


def test_an_error_of_ours_keeps_its_sentence_and_rules_and_masks_foreign_details() -> None:
    fields = [{"path": "actions[0].snils", "rule": "контрольное число не сходится"}]
    details = {"cause": "SMEV-403", "cause_description": "Secretov", "schema": [{"path": "a/b", "rule": "r"}]}
    error = {"error_code": "ADAPTER-X", "description": "Описание", "fields": fields, "details": details}
    shown = masked_outcome(orjson.dumps({"error": error}))["error"]
    assert (shown["description"], shown["fields"]) == ("Описание", fields)
    assert shown["details"] == details | {"cause_description": "<text, 8 characters>"}


def test_the_sentence_of_a_gateway_is_not_shown() -> None:
    error = {"error_code": "EXP001000", "description": "Secretov не найден"}
    assert masked_outcome(orjson.dumps({"error": error})) == {"error": {"error_code": "EXP001000"}}


def test_a_result_shows_its_structure_and_no_outcome_is_none() -> None:
    assert masked_outcome(orjson.dumps({"result": {"a": "b"}})) == {"result": {"a": "<text, 1 characters>"}}
    assert masked_outcome(None) is None


@pytest.mark.parametrize(
    ("body", "shown"), [(b'{"a":1}', {"a": 1}), (b"text", "text"), (b"\xff\x00", "ff00"), (None, None)]
)
def test_revealed_contents_are_readable_whatever_they_are(body: bytes | None, shown: object) -> None:
    assert readable(body) == shown
