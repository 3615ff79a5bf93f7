"""Files of commands and answers: what a command may say of them, and how a reply tells what came."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.errors import InvalidCommandError
from adapter.exchange import Attachment, StoredFile
from adapter.services.attachments import FIELD, MOST, SCHEMA, Taken
from adapter.services.information_type import InformationType
from adapter.services.json_body import decode
from adapter.services.zhkh_common import ErrorInfo
from adapter.xml.mapping import Namespace, many, record
from tests.unit.services.zhkh_commands import answer, command

NS = Namespace("urn:test:files/1.0.0", "tns")
HELLO = base64.b64encode(b"hello").decode()
FILE = {"name": "a.txt", "mime_type": "text/plain", "content_base64": HELLO}


class Files(InformationType):
    """A вид сведений whose commands may bring files."""

    action = "files"
    title = "Файлы"
    attachments = True
    request = record("Ask", NS, ids=many(str))
    answer = record("Told", NS, debts=many(str), error=ErrorInfo | None)


class NoFiles(Files):
    """The same without."""

    attachments = False


def faults(body: Any) -> dict[str, str]:
    with pytest.raises(InvalidCommandError) as caught:
        Files().start(command({FIELD: body}))
    return {fault.path: fault.rule for fault in caught.value.fields}


def test_files_leave_with_the_call_in_their_order() -> None:
    sources = [
        FILE,
        {"name": "b.pdf", "mime_type": "application/pdf", "url": "https://files.example.org/b?x=1"},
        {"name": "c.pdf", "mime_type": "application/pdf", "path": "/srv/files/c.pdf"},
    ]
    call = Files().start(command({"ids": ["1"], FIELD: sources}))
    assert call.attachments == (
        Attachment("a.txt", "text/plain", b"hello"),
        Attachment("b.pdf", "application/pdf", url="https://files.example.org/b?x=1"),
        Attachment("c.pdf", "application/pdf", path="/srv/files/c.pdf"),
    )
    assert call.content == b'<tns:Ask xmlns:tns="urn:test:files/1.0.0"><tns:id>1</tns:id></tns:Ask>'


@pytest.mark.parametrize("body", [{"ids": []}, {"ids": [], FIELD: []}])
def test_no_files_are_no_fault(body: dict[str, Any]) -> None:
    assert Files().start(command(body)).attachments == ()


def test_a_service_without_files_refuses_the_field() -> None:
    with pytest.raises(InvalidCommandError) as caught:
        NoFiles().start(command({FIELD: [FILE]}))
    assert [(fault.path, fault.rule) for fault in caught.value.fields] == [(FIELD, "неизвестное поле")]


SOURCE = "нужно указать одно из полей content_base64, url, path"


@pytest.mark.parametrize(
    ("changes", "path", "rule"),
    [
        ({"content_base64": "не base64"}, "content_base64", "значение не является base64"),
        ({"content_base64": "aGVsbG8"}, "content_base64", "значение не является base64"),
        ({"content_base64": "aGVs bG8="}, "content_base64", "значение не является base64"),
        ({"content_base64": ""}, "content_base64", "значение не может быть пустым"),
        ({"content_base64": None}, "content_base64", "значение не может быть null"),
        ({"content_base64": 5}, "content_base64", "ожидается строка"),
        ({"url": "https://h/"}, "", SOURCE),
        ({"path": "/a", "url": "ftp://h/a"}, "", SOURCE),
        ({"name": "../a.txt"}, "name", "ожидается имя файла без папок"),
        ({"name": "a\\b.txt"}, "name", "ожидается имя файла без папок"),
        ({"name": ".."}, "name", "ожидается имя файла без папок"),
        ({"name": "a\tb"}, "name", "имя не может содержать управляющие символы"),
        ({"name": "invoice\u202efdp.exe"}, "name", "имя не может содержать управляющие символы"),
        ({"name": " a"}, "name", "имя не может начинаться или заканчиваться пробелом"),
        (
            {"name": "ё" * 200},
            "name",
            "слишком длинное значение, допустимо символов не больше 200 и байт не больше 255",
        ),
        ({"name": ["a"]}, "name", "ожидается строка"),
        (
            {"mime_type": "text/plain; charset=utf-8"},
            "mime_type",
            "ожидается тип application, audio, image, text или video без параметров",
        ),
        ({"mime_tipe": "x/y"}, "mime_tipe", "неизвестное поле, возможно, имелось в виду mime_type"),
        ({"contentBase64": "x"}, "contentBase64", "неизвестное поле, возможно, имелось в виду content_base64"),
    ],
)
def test_every_broken_rule_is_named_by_its_field(changes: dict[str, Any], path: str, rule: str) -> None:
    where = f"attachments[1].{path}" if path else "attachments[1]"
    assert faults([{**FILE, "name": "first"}, {**FILE, **changes}]) == {where: rule}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("url", "file:///etc/passwd"),
        ("url", "gopher://h/"),
        ("url", "https:///path"),
        ("url", "https://h/a b"),
        ("url", "https://h/" + "x" * 2048),
        ("path", "relative/file"),
        ("path", "~/file"),
        ("path", "/" + "x" * 4096),
    ],
)
def test_sources_have_their_forms(source: str, value: str) -> None:
    assert list(faults([{"name": "a", "mime_type": "text/plain", source: value}])) == [f"attachments[0].{source}"]


def test_everything_that_lacks_is_named() -> None:
    assert set(faults([{}])) == {"attachments[0]", "attachments[0].name", "attachments[0].mime_type"}


@pytest.mark.parametrize(
    ("field", "path"), [(None, FIELD), ({}, FIELD), ("x", FIELD), ([None], "attachments[0]"), ([5], "attachments[0]")]
)
def test_what_is_no_list_of_objects_is_refused(field: Any, path: str) -> None:
    assert list(faults(field)) == [path]


def test_two_files_of_one_name_are_refused_also_in_other_capitals() -> None:
    assert faults([FILE, {**FILE, "name": "b"}, {**FILE, "name": "A.TXT"}]) == {
        "attachments[2].name": "имя уже есть у другого файла команды"
    }


def test_too_many_files_are_refused() -> None:
    assert list(faults([{**FILE, "name": str(number)} for number in range(MOST + 1)])) == [FIELD]


def test_faults_of_files_stand_beside_those_of_the_command() -> None:
    with pytest.raises(InvalidCommandError) as caught:
        Files().start(command({"ids": 5, FIELD: [{**FILE, "name": "\u0001"}]}))
    assert {fault.path for fault in caught.value.fields} == {"ids", "attachments[0].name"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "mime_type", "content_base64", "url", "path", "other"]) | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_whatever_the_field_holds_it_is_read_or_its_faults_are_named(field: Any) -> None:
    taken = Taken()
    found = taken.out_of(decode(json.dumps({FIELD: field}).encode()).tree)
    assert all(fault.path.startswith(FIELD) for fault in found)
    if not found:
        assert isinstance(field, list)
        assert len(taken.attachments) == len(field)


_NAMES = st.text(st.characters(categories=["L", "N", "Pd"]), min_size=1, max_size=60)


@given(st.lists(st.tuples(_NAMES, st.binary(min_size=1, max_size=200)), unique_by=lambda pair: pair[0].casefold()))
def test_content_comes_out_as_it_went_in(files: list[tuple[str, bytes]]) -> None:
    body = [
        {"name": name, "mime_type": "text/plain", "content_base64": base64.b64encode(content).decode()}
        for name, content in files
    ]
    taken = Taken()
    if not taken.out_of({FIELD: body}):  # names may still meet after normalisation
        assert [(file.name, file.content) for file in taken.attachments] == files


def test_the_schema_shows_the_field_only_where_it_is_taken() -> None:
    assert Files().command_schema()["properties"][FIELD] == SCHEMA
    assert FIELD not in NoFiles().command_schema().get("properties", {})


def test_the_schema_and_the_reader_agree() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with the dev extra")
    validator = jsonschema.Draft202012Validator(SCHEMA)
    wrong: list[Any] = [
        [{**FILE, "url": "https://h/a"}],
        [{key: FILE[key] for key in ("name", "mime_type")}],
        [{**FILE, "more": 1}],
        [{**FILE, "name": "a/b"}],
        [{**FILE, "mime_type": "text"}],
        [{"name": "a", "mime_type": "text/plain", "url": "file:///a"}],
        [{"name": "a", "mime_type": "text/plain", "path": "a"}],
        "x",
    ]
    assert validator.is_valid([FILE])
    for field in wrong:
        assert not validator.is_valid(field), field
        assert Taken().out_of({FIELD: field}), field


SMALL = StoredFile("a.txt", "text/plain", 5, "2c" * 32, "2c/" + "2c" * 32, b"hello")
LARGE = StoredFile("b.pdf", "application/pdf", 300_000, "3d" * 32, "3d/" + "3d" * 32)
TOLD = [
    {"name": "a.txt", "mime_type": "text/plain", "size": 5, "sha256": "2c" * 32, "content_base64": HELLO},
    {
        "name": "b.pdf",
        "mime_type": "application/pdf",
        "size": 300_000,
        "sha256": "3d" * 32,
        "path": "3d/" + "3d" * 32,
    },
]


def test_a_small_file_is_told_whole_and_a_large_one_by_its_path() -> None:
    came = replace(answer(b'<Told xmlns="urn:test:files/1.0.0"><debt>5</debt></Told>'), attachments=(SMALL, LARGE))
    assert NoFiles().resume(command({}), came).outcome == {"result": {"debts": ["5"]}, FIELD: TOLD}


def test_files_of_an_error_are_told_too() -> None:
    root = etree.fromstring(
        b'<Told xmlns="urn:test:files/1.0.0"><error><c:error-code xmlns:c="%b">E1</c:error-code>'
        b'<c:description xmlns:c="%b">no</c:description></error></Told>'
        % (ErrorInfo.xml_ns.uri.encode(), ErrorInfo.xml_ns.uri.encode())
    )
    came = replace(answer(etree.tostring(root)), attachments=(SMALL,))
    reply = NoFiles().resume(command({}), came)
    assert reply.code == "E1"
    assert reply.outcome[FIELD] == TOLD[:1]
