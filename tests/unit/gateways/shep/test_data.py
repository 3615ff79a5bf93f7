"""Business data go in and come out byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.gateways.shep.data import BusinessData, Form, laid_in
from adapter.gateways.shep.messages import Message, body, envelope, payload, read
from adapter.gateways.shep.operations import ASYNC_SEND, GET_MESSAGES, OPERATIONS, SYNC_SEND
from adapter.xml.parser import XmlError
from adapter.xml.wssecurity import verify_document
from tests.contract.shep_samples import NOW, VALID
from tests.contract.shep_samples import envelope as sample
from tests.contract.shep_signing import Hand

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

XSI = "http://www.w3.org/2001/XMLSchema-instance"


def sent(data: BusinessData) -> bytes:
    info = {"service_id": "S", "message_type": "REQUEST", "message_date": NOW, "sender": {"sender_id": "x"}}
    values = {"message_info": info, "message_data": {"data": data}}
    return envelope(body(payload(OPERATIONS[ASYNC_SEND], "request", values), "id-1"))


def data_of(message: Message) -> BusinessData:
    found = message.values["message_data"]["data"]
    assert isinstance(found, BusinessData)
    return found


@pytest.mark.parametrize(
    "content",
    [
        b"<a/>",
        b"<a  b='1'\n c = \"2\" />",
        b"<a><!-- kept --><?kept too?><![CDATA[<&]]>&#13;&#x410;</a >",
        '<r xmlns="urn:r" xmlns:q="urn:q" t="q:x">текст 𝄞</r>'.encode(),
        b"<data><data/><requestData><data>x</data></requestData></data>",
        b'<x xmlns:ns0="urn:other"><ns0:a/></x>',
        b'<x:Body xmlns:x="http://schemas.xmlsoap.org/soap/envelope/">not the one</x:Body>',
    ],
)
def test_an_element_travels_as_it_is(content: bytes) -> None:
    assert data_of(read(sent(BusinessData(Form.CHILD, content)))) == BusinessData(Form.CHILD, content)


def test_a_document_loses_its_declaration_and_nothing_else() -> None:
    document = b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<a>1</a>'
    assert data_of(read(sent(BusinessData(Form.CHILD, document)))).content == b"<a>1</a>"


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=60))
def test_any_text_that_xml_can_carry_travels(text: str) -> None:
    data = BusinessData(Form.TEXT, text.encode())
    if any(ord(character) < 32 and character not in "\t\n\r" for character in text):
        with pytest.raises(XmlError):
            laid_in(data)
        return
    assert data_of(read(sent(data))) == data


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_element_travels(data: st.DataObject) -> None:
    names = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
    texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)

    def element(depth: int) -> etree._Element:
        made = etree.Element(f"{{urn:{data.draw(names)}}}{data.draw(names)}", {data.draw(names): data.draw(texts)})
        made.text = data.draw(texts)
        for _ in range(data.draw(st.integers(0, 2)) if depth else 0):
            made.append(element(depth - 1))
        return made

    content = etree.tostring(element(2), encoding="utf-8")
    assert data_of(read(sent(BusinessData(Form.CHILD, content)))).content == content


def test_a_type_and_its_content_travel() -> None:
    data = BusinessData(Form.TYPED, b"<iin>1</iin>\n<date  z='1'/>", ("urn:types?a&b", "Request"))
    assert data_of(read(sent(data))) == data


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (BusinessData(Form.CHILD, b"<a>"), "not well-formed"),
        (BusinessData(Form.CHILD, b"<a/><b/>"), "not well-formed"),
        (BusinessData(Form.CHILD, b"text"), "not well-formed"),
        (BusinessData(Form.CHILD, b"<!DOCTYPE a><a/>"), "document type"),
        (BusinessData(Form.CHILD, b"<?xml version='1.0' encoding='windows-1251'?><a/>"), "not in UTF-8"),
        (BusinessData(Form.CHILD, b"</data><data>"), "not well-formed"),
        (BusinessData(Form.TYPED, b"</data>", ("urn:x", "T")), "not well-formed"),
        (BusinessData(Form.TYPED, b"", ("urn:x", 'T" x="')), "type's name"),
        (BusinessData(Form.TEXT, b"\x01"), "cannot carry"),
    ],
)
def test_content_that_would_break_out_is_refused(data: BusinessData, rule: str) -> None:
    with pytest.raises(XmlError, match=rule):
        laid_in(data)


@pytest.mark.parametrize("key", ["shep", "shep-gost"])
@pytest.mark.parametrize("form", list(Form))
def test_a_signed_document_still_verifies(kz: KzEngine, shep_keys: Path, key: str, form: Form) -> None:
    inner = f"<b xmlns:t='urn:own' xmlns:xsi='{XSI}' xsi:type='t:T'>текст</b>"
    document = Hand(kz, shep_keys, key).document(f'<r xmlns:q="urn:q"  a="q:b">{inner}\n</r>'.encode())
    named = ("urn:their", "Type") if form is Form.TYPED else None
    taken = data_of(read(sent(BusinessData(form, document, named)))).content
    assert taken == document
    assert [verdict.math for verdict in verify_document(taken, kz)] == [True]


def asked(inner: str, outside: str = "") -> BusinessData | None:
    message = sample(VALID["sync"]).decode().replace("<data><a>1</a></data>", inner)
    message = message.replace("<S:Envelope ", f"<S:Envelope {outside} ")
    found: BusinessData | None = read(message.encode()).values["request_data"]["data"]
    return found


@pytest.mark.parametrize(
    ("inner", "outside", "expected"),
    [
        ("<data><q:a/></data>", 'xmlns:q="urn:q"', BusinessData(Form.CHILD, b'<q:a xmlns:q="urn:q"/>')),
        ('<data xmlns="urn:d"><a/></data>', "", BusinessData(Form.CHILD, b'<a xmlns="urn:d"/>')),
        ('<data><a t="q:T"/></data>', 'xmlns:q="urn:q"', BusinessData(Form.CHILD, b'<a xmlns:q="urn:q" t="q:T"/>')),
        ('<data><a xmlns="urn:own"/></data>', 'xmlns:q="urn:q"', BusinessData(Form.CHILD, b'<a xmlns="urn:own"/>')),
        ("<data><a>q:b</a></data>", 'xmlns:q="urn:q"', BusinessData(Form.CHILD, b'<a xmlns:q="urn:q">q:b</a>')),
        (
            "<data><a>q: b http://b 1q:b</a></data>",
            'xmlns:q="urn:q"',
            BusinessData(Form.CHILD, b"<a>q: b http://b 1q:b</a>"),
        ),
        (
            "<data><a><q:b xmlns:q='urn:q'>q:T</q:b></a></data>",
            'xmlns:q="urn:other"',
            BusinessData(Form.CHILD, b"<a><q:b xmlns:q='urn:q'>q:T</q:b></a>"),
        ),
        (
            "<data><a><q:b xmlns:q='urn:q'/><b q:c=''/></a></data>",
            'xmlns:q="urn:other"',
            BusinessData(Form.CHILD, b"<a xmlns:q=\"urn:other\"><q:b xmlns:q='urn:q'/><b q:c=''/></a>"),
        ),
        (
            '<data xmlns="urn:d"><q:a xmlns:q="urn:q"><q:b/></q:a></data>',
            "",
            BusinessData(Form.CHILD, b'<q:a xmlns:q="urn:q"><q:b/></q:a>'),
        ),
        ("<data> <!-- x --> <a/> </data>", "", BusinessData(Form.CHILD, b"<a/>")),
        ("<data><a/><b/></data>", "", BusinessData(Form.TYPED, b"<a/><b/>")),
        ("<data>x<a/></data>", "", BusinessData(Form.TYPED, b"x<a/>")),
        ("<data><![CDATA[<a>&]]></data>", "", BusinessData(Form.TEXT, b"<a>&")),
        ("<data>a<!-- x -->b</data>", "", BusinessData(Form.TEXT, b"ab")),
        ("<data/>", "", BusinessData(Form.TEXT, b"")),
        ("<q:data><a/></q:data>", 'xmlns:q="urn:q"', BusinessData(Form.CHILD, b"<a/>")),
        (f'<data xmlns:i="{XSI}" i:nil="true"/>', "", None),
        (
            f'<data xmlns:i="{XSI}" i:type="q:T"><q:a/></data>',
            'xmlns:q="urn:q"',
            BusinessData(Form.TYPED, b'<q:a xmlns:q="urn:q"/>', ("urn:q", "T")),
        ),
    ],
)
def test_what_others_write_is_taken_out_to_stand_alone(inner: str, outside: str, expected: BusinessData | None) -> None:
    assert asked(inner, outside) == expected


def test_data_outside_the_body_are_nobodys() -> None:
    message = sample(VALID["sync"]).decode()
    decoy = "<x><y><request><requestData><data><evil/></data></requestData></request></y></x>"
    for place in (f"<S:Header>{decoy}</S:Header><S:Body>", f"<S:Header>{decoy}{decoy}</S:Header><S:Body>"):
        found = read(message.replace("<S:Body>", place).encode())
        assert found.values["request_data"]["data"].content == b"<a>1</a>"


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1251"])
def test_a_message_in_another_encoding_is_read(encoding: str) -> None:
    text = sample(VALID["sync"]).decode().replace("<a>1</a>", "<a  b='ы'>да</a>")
    message = f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding)
    assert read(message).values["request_data"]["data"].content == "<a  b='ы'>да</a>".encode()


def test_every_message_of_a_selection_has_its_own_data() -> None:
    messages = [{"message_info": {**INFO, "message_id": str(n)}, "message_data": {"data": data}} for n, data in PARTS]
    values = {"response_date": NOW, "session_id": "{0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f}", "messages": messages}
    message = read(envelope(body(payload(OPERATIONS[GET_MESSAGES], "response", values))))
    assert [found["message_data"]["data"] for found in message.values["messages"]] == [data for _, data in PARTS]


INFO = {"service_id": "S", "message_type": "RESPONSE", "message_date": NOW, "sender": {"sender_id": "x"}}
PARTS = [
    (1, BusinessData(Form.CHILD, b"<a> </a>")),
    (2, BusinessData(Form.TEXT, b"<a/>")),
    (3, BusinessData(Form.TYPED, b"<a/>", ("urn:t", "T"))),
]


def test_a_synchronous_request_may_have_no_data() -> None:
    info = {"message_id": "m", "service_id": "S", "message_date": NOW, "sender": {"sender_id": "x"}}
    message = read(envelope(body(payload(OPERATIONS[SYNC_SEND], "request", {"request_info": info}))))
    assert message.warnings == ()
    assert "data" not in message.values.get("request_data", {})


@pytest.mark.parametrize("data", [part for _, part in PARTS])
def test_data_have_a_form_in_json(data: BusinessData) -> None:
    assert BusinessData.from_json(data.to_json()) == data
