from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import InvalidCommandError
from adapter.services.json_body import MAX_DEPTH, MAX_FAULTS, MAX_VALUES, capped, decode, path_of


def refusal(body: bytes) -> list[tuple[str, str]]:
    """Return what is wrong with ``body``, whether or not a tree could be read."""
    try:
        return [(fault.path, fault.rule) for fault in decode(body).faults]
    except InvalidCommandError as error:
        return [(fault.path, fault.rule) for fault in error.fields]


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "тело пустое"),
        (b" \r\n\t", "тело пустое"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ("{}".encode("utf-16"), "UTF-16"),
        ("{}".encode("utf-16-le"), "UTF-16"),
        ("{}".encode("utf-16-be"), "UTF-16"),
        ("{}".encode("utf-32"), "UTF-32"),
        ('{"a":"Иван"}'.encode("cp1251"), "не в кодировке UTF-8, первый неверный байт на позиции 6"),
        (b'{"a":"\xed\xa0\x80"}', "не в кодировке UTF-8"),
        (b"{", "ожидается имя поля"),
        (b"{}x", "лишние данные"),
        (b'{"a":tru}', "ожидается значение"),
        (b'{"a" 1}', "ожидается двоеточие"),
        (b'{"a":"b', "строка не закрыта"),
        (b"{'a':1}", "двойных кавычках"),
        (b"[]", "ожидается объект JSON"),
        (b'"text"', "ожидается объект JSON"),
        (b"NaN", "ожидается объект JSON"),
        (b"null", "ожидается объект JSON"),
        (b"[" * 100_000, f"вложенность больше {MAX_DEPTH}"),
        (b'{"a":' * 100_000, f"вложенность больше {MAX_DEPTH}"),
        (b'{"a":[' + b"0," * MAX_VALUES + b"0]}", "слишком много значений"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_by_a_named_rule(body: bytes, word: str) -> None:
    [(path, rule)] = refusal(body)
    assert path == "body"
    assert word in rule


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (rb'"\u0000"', "NUL"),
        (b'"\x00"', "NUL"),
        (rb'"\u0001"', "U+0001"),
        (b'"\x1f"', "U+001F"),
        (rb'"\u007f"', "U+007F"),
        (rb'"\u0085"', "U+0085"),
        (rb'"\ufffe"', "U+FFFE"),
        (rb'"\ud800"', "непарный суррогат U+D800"),
        (rb'"\udc00\ud800"', "непарный суррогат U+DC00"),
        (b'"a]]>b"', "]]>"),
        (b"NaN", "NaN"),
        (b"-Infinity", "Infinity"),
        (b"1e999", "пределы"),
        (b"0." + b"1" * 100, "пределы"),
        (b"9" * 5000, "64 бит"),
        (b"9223372036854775808", "64 бит"),
    ],
)
def test_a_value_that_xml_cannot_carry_is_refused_by_its_path(value: bytes, word: str) -> None:
    [(path, rule)] = refusal(b'{"top":[{"field":' + value + b"}]}")
    assert path == "top[0].field"
    assert word in rule


@pytest.mark.parametrize("text", ["tab\t", "line\nend", "return\r", "😀", "\ue000", "]]", "&<>\"'", "\u2028"])
def test_texts_that_xml_can_carry_pass(text: str) -> None:
    body = decode(json.dumps({"a": text}).encode())
    assert body.tree == {"a": text}
    assert not body.faults


def test_numbers_up_to_64_bits_pass() -> None:
    assert decode(b'{"a":-9223372036854775808,"b":9223372036854775807,"c":1.5}').tree == {
        "a": -(2**63),
        "b": 2**63 - 1,
        "c": 1.5,
    }


def test_a_name_written_twice_is_refused_at_its_own_path() -> None:
    assert refusal(b'{"a":{"b":1,"c":2,"b":1}}') == [("a.b", "поле указано более одного раза")]


def test_an_unescaped_line_end_inside_a_text_is_a_syntax_error_with_its_place() -> None:
    assert refusal(b'{"a":1,\n"b":"x\ny"}') == [
        (
            "body",
            "тело не является JSON: строка 2, символ 7: управляющий символ внутри строки должен быть записан через \\",
        )
    ]


def test_a_raw_control_character_outside_texts_is_a_syntax_error() -> None:
    [(path, _)] = refusal(b'{"a":1}\x01')
    assert path == "body"


def test_nesting_is_allowed_to_its_limit_and_named_beyond() -> None:
    assert refusal(nested(MAX_DEPTH)) == []
    assert refusal(nested(MAX_DEPTH + 1)) == [(".".join("a" * MAX_DEPTH), f"вложенность больше {MAX_DEPTH}")]


def test_every_fault_is_found_at_once() -> None:
    paths = [path for path, _ in refusal(rb'{"a":NaN,"b":["\u0001",{"c":"]]>","c":"x"}],"d":"\ud800"}')]
    assert paths == ["a", "b[0]", "b[1].c", "d"]


def test_a_list_of_faults_is_closed_by_a_note_at_its_cap() -> None:
    faults = decode(b'{"a":[' + b"NaN," * 500 + b"NaN]}").faults
    shown = capped(faults)
    assert len(shown) == MAX_FAULTS + 1
    assert "есть и другие" in shown[-1].rule
    assert capped(faults[:MAX_FAULTS]) == list(faults[:MAX_FAULTS])


def test_a_path_escapes_and_cuts_names_that_no_log_line_should_carry() -> None:
    assert path_of(["a\n\x00\ud800", 2, "b" * 100]) == f"a\\u000a\\u0000\\ud800[2].{'b' * 64}…"
    assert path_of([]) == "body"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=64) | junk.map(lambda tree: json.dumps(tree).encode()))
def test_hostile_bytes_raise_nothing_but_a_refusal_that_json_can_carry(body: bytes) -> None:
    for path, rule in refusal(body):
        assert path
        orjson.dumps([path, rule])


@given(st.dictionaries(st.text(max_size=5), junk, max_size=3))
def test_what_passes_is_what_was_written(tree: dict[str, Any]) -> None:
    try:
        body = decode(json.dumps(tree).encode())
    except InvalidCommandError:
        return
    if not body.faults:
        assert body.tree == tree


def test_a_field_that_holds_xml_may_hold_what_xml_may() -> None:
    body = b'{"a": {"content": "<![CDATA[x]]>\\u0085"}, "content": "]]>"}'
    tree = decode(body, {"a.content", "content"}).tree
    assert tree == {"a": {"content": "<![CDATA[x]]>\u0085"}, "content": "]]>"}
    assert [fault.path for fault in decode(body, {"a.content"}).faults] == ["content"]
    assert [fault.path for fault in decode(b'{"a": "]]>\\u0000"}', {"a"}).faults] == ["a"]
