"""Every reader of foreign bytes, given bytes that nobody should send: a result or the error it names, and soon.

``corpus`` keeps a small file for each thing that has once been wrong or might be; random changes start from them.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from adapter.signing.gost import GostEngine
from adapter.xml.fragment import is_of_elements
from adapter.xml.known import KnownTransform
from adapter.xml.multipart import read_message
from adapter.xml.parser import MAX_BYTES, MAX_NAMESPACES, XmlError, parse
from adapter.xml.signature import signature_facts, verify_message
from adapter.xml.transform import smev_transform

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = {path.name: path.read_bytes() for path in sorted(Path(__file__).with_name("corpus").iterdir())}
REAL = {path.name: path.read_bytes() for path in sorted(Path(__file__).with_name("signed").iterdir())}
GOST = GostEngine.open()

READERS: dict[str, Callable[[bytes], object]] = {
    "parse": parse,
    "transform": smev_transform,
    "known transform": lambda data: KnownTransform().transform(data, max_bytes=MAX_BYTES),
    "fragment": is_of_elements,
    "message": read_message,
    "signature": signature_facts,
    "verify": lambda data: verify_message(read_message(data).whole, GOST),
}


def read_everywhere(data: bytes) -> None:
    for reader in READERS.values():
        with contextlib.suppress(XmlError):
            reader(data)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("name", CORPUS)
def test_a_kept_file_gives_a_result_or_the_named_error(name: str) -> None:
    assert seconds(lambda: read_everywhere(CORPUS[name])) < 2


@pytest.mark.parametrize("name", [name for name in CORPUS if "entity" in name or "doctype" in name or "laughs" in name])
def test_no_document_type_is_read(name: str) -> None:
    with pytest.raises(XmlError, match=r"document type|entity|network"):
        parse(CORPUS[name])


def test_a_part_that_includes_itself_is_put_in_once() -> None:
    for name in ("xop-cycle.mime", "xop-chain.mime"):
        assert b"Include" not in read_message(CORPUS[name]).whole


def test_no_kept_file_holds_a_signature_that_is_right() -> None:
    for data in CORPUS.values():
        try:
            verdicts = verify_message(read_message(data).whole, GOST)
        except XmlError:
            continue
        assert not any(verdict.math for verdict in verdicts)


SOURCES = st.sampled_from(sorted({**CORPUS, **REAL}.values(), key=len))
PIECES = st.sampled_from(
    [b"", b"<", b">", b"/>", b"&", b'"', b"=", b"\x00", b"\x02", b"\xff", b"\r\n\r\n", b"\n--b\n", b"<!--", b"-->",
     b"<?", b"?>", b"<t:x>", b"<![CDATA[", b"]]>", b"<!DOCTYPE a>",
     b' Id="S"', b' xmlns=""', b' xmlns:t="urn:t"', b"&#13;"]
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A kept file with pieces cut out, put in, doubled or changed by a bit."""
    data = bytearray(draw(SOURCES))
    for _ in range(draw(st.integers(1, 4))):
        at, until = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at:at] = draw(PIECES)
        elif kind == 1:
            del data[at : min(until, at + 40)]
        elif kind == 2:
            data[at:at] = data[at : min(until, at + 2000)]
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@seed(20261122)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(spoilt())
@example(b"")
@example(b"--")
@example(b"\xfe\xff\x00<\x00a\x00/\x00>")
def test_spoilt_files_give_a_result_or_the_named_error(data: bytes) -> None:
    read_everywhere(data)


@seed(20261122)
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_no_bit_of_a_signed_message_can_be_changed_unnoticed(at: int, bit: int) -> None:
    """A change outside the signed element may leave its signature right; the message then reads the same."""
    message = REAL["gost-2001.xml"]
    changed = bytearray(message)
    changed[at % len(message)] ^= 1 << bit
    try:
        verdicts = verify_message(bytes(changed), GOST)
    except XmlError:
        return
    if any(verdict.math for verdict in verdicts):
        (verdict,) = verdicts
        root = parse(bytes(changed))
        (target,) = root.xpath(f"//*[@Id='{verdict.reference[1:]}']")
        (original,) = parse(message).xpath("//*[@Id='S']")
        assert ["".join(target.itertext()), target.tag] == ["".join(original.itertext()), original.tag]


def declared(number: int, rest: str) -> bytes:
    names = " ".join(f'xmlns:p{place}="urn:{place}" p{place}:x=""' for place in range(number))
    return f'<a xmlns="urn:a" {names}>{rest}</a>'.encode()


SIGNATURE = REAL["gost-2001.xml"][REAL["gost-2001.xml"].find(b"<ds:Signature ") :].partition(b"</ds:Signature>")
GROWING: dict[str, Callable[[int], bytes]] = {
    "prefixes bound anew below many": lambda n: declared(
        500, "".join(f'<p1:b xmlns:p1="urn:q{place}"/>' for place in range(n))
    ),
    "prefixes used below many": lambda n: declared(500, "".join(f"<p{place % 500}:b/>" for place in range(n))),
    "each element with a prefix of its own": lambda n: declared(
        0, "".join(f'<p{place}:b xmlns:p{place}="urn:{place}"/>' for place in range(n))
    ),
    "each element with an IRI of its own": lambda n: declared(
        0, "".join(f'<b xmlns="http://п/{place}"/>' for place in range(n))
    ),
    "nested namespaces, again and again": lambda n: declared(
        0, ("".join(f'<b xmlns="urn:{place}">' for place in range(200)) + "</b>" * 200) * (n // 100)
    ),
    "attributes": lambda n: declared(0, "<b" + "".join(f' x{place}=""' for place in range(n)) + "/>"),
    "comments and instructions": lambda n: declared(0, "x<!----><?p?>" * (10 * n)),
    "texts of what has to be escaped": lambda n: declared(0, "&gt;&#13;]" * (50 * n)),
    "text that looks like declarations": lambda n: declared(0, ' xmlns:p="urn:p" p:x=' * (20 * n)),
    "blank text": lambda n: declared(0, " " * (1000 * n)),
    "Ids": lambda n: declared(0, '<b Id="S"/>' * n + (b"".join(SIGNATURE[:2]) * 20).decode()),
    "signatures of one element": lambda n: declared(0, '<b Id="S"/>' + (b"".join(SIGNATURE[:2]) * (n // 10)).decode()),
    "parts": lambda n: b"--b\n\n<a/>\n" * min(n, 900) + b"--b--",
    "headers": lambda n: b"--b\n" + b"X: y\n" * n + b"\n<a/>\n--b--",
    "lines before the first boundary": lambda n: b"x: y\n" * (10 * n) + b"--b\n\n<a/>\n--b--",
    "chunks": lambda n: b"HTTP/1.1 200\nTransfer-Encoding: chunked\n\n" + b"1\na\n" * (5 * n),
}


@pytest.mark.parametrize("name", GROWING)
def test_time_grows_with_the_size_and_not_with_its_square(name: str) -> None:
    """Eight times the document takes far less than 64 times the time; what takes no time at all is not compared."""
    small, large = GROWING[name](500), GROWING[name](4000)
    first = min(seconds(lambda: read_everywhere(small)) for _ in range(2))
    assert seconds(lambda: read_everywhere(large)) < max(0.3, 24 * first)


def test_namespaces_in_force_are_bounded_in_every_encoding() -> None:
    document = declared(MAX_NAMESPACES, "").decode()
    for encoding in ("utf-8", "utf-16", "utf-32"):
        with pytest.raises(XmlError, match="namespaces"):
            parse(document.encode(encoding))
    parse(declared(MAX_NAMESPACES - 1, ""))
    parse(declared(0, "".join(f'<b xmlns="urn:{place}"/>' for place in range(3 * MAX_NAMESPACES))))
