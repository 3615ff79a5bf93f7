"""Packages of an envelope and what stands beside it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.gateways.smev3.mtom import XOP, Parts, content_type, include, pack
from adapter.gateways.smev3.reading import UnreadableError, root_part
from adapter.xml.multipart import soap_message

ENVELOPE = b"<S/>"
IDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9._-]{0,30}", fullmatch=True)
CONTENTS = st.dictionaries(IDS, st.binary(max_size=200) | st.sampled_from([b"\r\n--", b"\n\n", b"--x\r\n"]), max_size=5)


def holder(inner: bytes) -> etree._Element:
    return etree.fromstring(b'<b:Content xmlns:b="urn:b">%b</b:Content>' % inner)


@given(CONTENTS)
def test_what_is_packed_is_found_again_byte_for_byte(contents: dict[str, bytes]) -> None:
    body = pack(ENVELOPE, contents)
    assert root_part(body) == ENVELOPE
    assert body.startswith(b"--") == bool(contents)
    assert content_type(body).startswith("multipart/related; " if contents else "text/xml")
    parts = Parts(body)
    for identifier, content in contents.items():
        assert parts.content(holder(include(identifier))) == content


@given(CONTENTS)
def test_another_reader_puts_the_contents_in_their_places(contents: dict[str, bytes]) -> None:
    elements = b"".join(b"<c>%b</c>" % include(identifier) for identifier in contents)
    read = etree.fromstring(soap_message(pack(b"<S>%b</S>" % elements, contents)))
    assert [base64.b64decode(element.text or "") for element in read] == list(contents.values())


def test_the_content_type_names_the_boundary_of_the_bytes() -> None:
    body = pack(ENVELOPE, {"a": b"1"})
    boundary = content_type(body).partition('boundary="')[2].partition('"')[0]
    assert body.startswith(f"--{boundary}\r\n".encode())
    assert body.endswith(f"\r\n--{boundary}--\r\n".encode())


def test_base64_inside_is_as_good_as_a_part() -> None:
    assert Parts(ENVELOPE).content(holder(b"YWJj")) == b"abc"
    assert Parts(ENVELOPE).content(holder(b" YW\n<!-- -->Jj ")) == b"abc"


@pytest.mark.parametrize(
    ("encoding", "content"), [("base64", b"YW\r\nJj"), ("quoted-printable", b"a=62c"), ("8bit", b"abc"), ("", b"abc")]
)
def test_a_part_is_decoded_as_its_headers_say(encoding: str, content: bytes) -> None:
    header = f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
    body = b"\r\n--m\r\nContent-ID: <r>\r\n\r\n<S/>\r\n--m \r\n%bContent-ID: <a%%201>\r\n\r\n%b\r\n--m--" % (
        header.encode(),
        content,
    )
    include_it = f'<x:Include xmlns:x="{XOP}" href="cid:a%25201"/>'.encode()
    assert Parts(body).content(holder(include_it)) == b"abc"


def test_a_part_that_did_not_come_is_none() -> None:
    assert Parts(pack(ENVELOPE, {"a": b"1"})).content(holder(include("b"))) is None
    assert Parts(ENVELOPE).content(holder(include("b"))) is None


@pytest.mark.parametrize(
    ("body", "inner"),
    [
        (pack(ENVELOPE, {"a": b"1" * 99})[:-60], include("a")),
        (b"--m\r\nContent-ID: <a>\r\n--m--", include("a")),
        (pack(ENVELOPE, {"a": b"1"}), b"<other/>"),
        (pack(ENVELOPE, {"a": b"1"}), include("a") * 2),
        (pack(ENVELOPE, {"a": b"1"}), b"YWJ"),
    ],
    ids=["cut", "headless", "stranger", "twice", "base64"],
)
def test_what_makes_no_sense_is_unreadable(body: bytes, inner: bytes) -> None:
    with pytest.raises(UnreadableError):
        Parts(body).content(holder(inner))


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        Parts(b"--m\r\n" + body).content(holder(include("a")))
    except UnreadableError:
        return
