from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.xml import known
from adapter.xml.known import KnownTransform
from adapter.xml.parser import XmlError, parse
from adapter.xml.transform import smev_transform

if TYPE_CHECKING:
    from collections.abc import Callable

_FRAMES = (
    '<t:a xmlns:t="urn:t" xmlns:b="urn:b" Id="ONE"><t:b>{0}</t:b><b:c b:d="1" t:e="2">{1}</b:c>{2}</t:a>',
    '<a xmlns="urn:t" Id="TWO"><b xmlns="urn:b">{0}</b><c>{1}</c><x:d xmlns:x="urn:b">{2}</x:d></a>',
    '<t:a xmlns:t="urn:t" t:Id="x" Id="{1}"><t:b xmlns:u="urn:u" Id="{0}" u:z="1" URI="{2}"/></t:a>',
    "<p:a xmlns:p='urn:p' q=' Id=\"{0}\"'>{1}<p:b URI='{2}'/></p:a>",
    "<p:a xmlns:p='urn:p' q='1>2'>{0}<p:b/>{1}<p:c></p:c>{2}</p:a>",
    '<t:a xmlns:t="urn:t">{0}<!-- c -->{1}<![CDATA[ ]]>{2}</t:a>',
    '<t:a xmlns:t="urn:t">{0}<?p i?>{1}<t:b/>{2}</t:a>',
)
_TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "x",
            "é",
            "&amp;",
            "a > b",
            "]]",
            "]",
            "#id-1",
            "a.b",
            "\u00a0",
            "\u0085",
            "\x7f",
            "\r",
            "&#xd;",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<&\ufffe\uffff"), max_size=40),
)


def _both(data: bytes) -> tuple[bytes, str | None]:
    return smev_transform(data), parse(data).get("Id")


def _outcome(transform: Callable[[], tuple[bytes, str | None]]) -> tuple[bytes, str | None] | str:
    try:
        return transform()
    except XmlError as error:
        return error.rule


@given(st.sampled_from(_FRAMES), st.lists(st.tuples(_TEXTS, _TEXTS, _TEXTS), min_size=2, max_size=5))
def test_documents_with_known_tags_are_transformed_as_unknown_ones(frame: str, fillings: list[tuple[str, ...]]) -> None:
    transform = KnownTransform()
    for texts in fillings:
        data = frame.format(*texts).encode()
        found = _outcome(partial(transform.transform, data, max_bytes=10**6))
        assert found == _outcome(partial(_both, data))


@given(st.binary(max_size=12))
def test_bytes_that_are_no_text_are_refused_in_known_tags_too(text: bytes) -> None:
    transform = KnownTransform()
    transform.transform(b'<a xmlns="urn:a">x</a>', max_bytes=100)
    data = b'<a xmlns="urn:a">%b</a>' % text
    found = _outcome(partial(transform.transform, data, max_bytes=100))
    assert found == _outcome(partial(_both, data))


def test_tags_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = KnownTransform()
    first = transform.transform(b'<a xmlns="urn:a" Id="I"><b>one</b></a>', max_bytes=100)
    assert first == (b'<ns1:a xmlns:ns1="urn:a" Id="I"><ns1:b>one</ns1:b></ns1:a>', "I")

    def never(*_: object, **__: object) -> None:
        pytest.fail("parsed again")

    monkeypatch.setattr(known, "parse", never)
    second = transform.transform(b'<a xmlns="urn:a" Id="other"><b>two</b></a>', max_bytes=100)
    assert second == (b'<ns1:a xmlns:ns1="urn:a" Id="other"><ns1:b>two</ns1:b></ns1:a>', "other")


def test_what_is_known_is_bounded() -> None:
    transform = KnownTransform()
    for number in range(1000):
        transform.transform(b'<a xmlns="urn:a" key="I%d">x</a>' % number, max_bytes=100)
    assert len(transform._known) <= 64
