from __future__ import annotations

import base64
from pathlib import Path

import pytest

from adapter.xml.multipart import soap_message
from adapter.xml.parser import XmlError, parse

FAULTS = Path(__file__).parents[3].parent / "shared" / "reference" / "smev3" / "faults"
ROOT = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body/></s:Envelope>"
XOP = "http://www.w3.org/2004/08/xop/include"


def part(content: bytes, *headers: str, boundary: str = "uuid:1") -> bytes:
    return (
        f"--{boundary}\r\n".encode()
        + "".join(f"{header}\r\n" for header in headers).encode()
        + b"\r\n"
        + content
        + b"\r\n"
    )


END = b"--uuid:1--"
XOP_ROOT = 'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"'


@pytest.mark.parametrize(
    "message", [ROOT, b"\xef\xbb\xbf" + ROOT, b"\r\n" + ROOT, b"", b"garbage", b"-- not a boundary"]
)
def test_what_is_not_multipart_is_left_as_it_is(message: bytes) -> None:
    assert soap_message(message) is message


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_the_root_part_is_the_message(newline: bytes) -> None:
    body = part(ROOT, XOP_ROOT, "Content-ID: <root>") + part(b"--uuid:2\r\n\x00", "Content-ID: <file>") + END
    assert soap_message(body.replace(b"\r\n", newline)) == ROOT


def test_headers_before_the_first_boundary_are_passed_over() -> None:
    body = (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n boundary="uuid:1"\r\n\r\n'
        + part(ROOT, XOP_ROOT)
        + END
    )
    assert soap_message(body) == ROOT


@pytest.mark.parametrize("before", [b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n", b"a preamble\r\nof two lines\r\n"])
def test_whatever_stands_before_the_first_boundary_is_passed_over(before: bytes) -> None:
    assert soap_message(before + part(ROOT, XOP_ROOT) + END) == ROOT


@pytest.mark.parametrize("header", [b"Content-Type: text/\x80plain", b"Content-ID: <\xd1\x84>"])
def test_headers_with_bytes_that_are_no_ascii_are_read(header: bytes) -> None:
    body = part(b"other", "X: y").replace(b"X: y", header) + part(ROOT, XOP_ROOT) + END
    assert soap_message(body) == ROOT


def test_the_root_part_is_found_behind_another_one() -> None:
    assert soap_message(part(b"file", "Content-ID: <f>") + part(ROOT, XOP_ROOT) + END) == ROOT


def test_included_content_is_put_in_its_place_as_base64() -> None:
    content = bytes(range(256))
    root = f'<a><b>  <i:Include xmlns:i="{XOP}" href="cid:file%401"/></b></a>'.encode()
    body = part(root, XOP_ROOT) + part(content, "Content-ID: <file@1>", "Content-Transfer-Encoding: binary") + END
    assert parse(soap_message(body))[0].text == base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "body",
    [
        part(f'<a><i:Include xmlns:i="{XOP}" href="cid:other"/></a>'.encode(), XOP_ROOT) + END,
        part(b"<a>Include", XOP_ROOT) + END,
        b"--uuid:1\r\nno blank line",
    ],
)
def test_a_broken_multipart_message_is_refused(body: bytes) -> None:
    with pytest.raises(XmlError):
        soap_message(body)


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the recorded answers are not here: ../shared is absent")
def test_the_recorded_answer_of_an_empty_queue_is_read() -> None:
    root = parse(soap_message((FAULTS / "GetResponseResponce_MultipartEmptyQueue.xml").read_bytes()))
    assert root.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
