from __future__ import annotations

import base64
from pathlib import Path

import pytest

from adapter.xml.multipart import read_message, soap_message
from adapter.xml.parser import MAX_BYTES, XmlError, parse

FAULTS = Path(__file__).parents[3].parent / "shared" / "reference" / "smev3" / "faults"
ROOT = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body/></s:Envelope>"
XOP = "http://www.w3.org/2004/08/xop/include"
INCLUDE = f'<i:Include xmlns:i="{XOP}" href="cid:file"/>'


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
        part(f"<a>{INCLUDE}<b/></a>".encode(), XOP_ROOT) + part(b"x", "Content-ID: <file>") + END,
        part(f"<a>{INCLUDE}</a>".encode(), XOP_ROOT)
        + part(b"?", "Content-ID: <file>", "Content-Transfer-Encoding: base64")
        + END,
        part(f"<a><b>{INCLUDE}</b><b>{INCLUDE}</b></a>".encode(), XOP_ROOT)
        + part(b"x" * MAX_BYTES, "Content-ID: <file>")
        + END,
        part(b"?", XOP_ROOT, "Content-Transfer-Encoding: base64") + END,
        part(b"x") * 1001 + END,
        part(b"<a>Include", XOP_ROOT) + END,
        b"--uuid:1\r\nno blank line",
    ],
    ids=lambda body: f"{len(body)} bytes",
)
def test_a_broken_multipart_message_is_refused(body: bytes) -> None:
    with pytest.raises(XmlError):
        soap_message(body)


DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>' + ROOT
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(body: bytes) -> bytes:
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
    return b"".join(b"%x;extension\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


WRAPPED = {
    "behind HTTP headers": (b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n" + ROOT, ROOT),
    "behind the headers of a request, with bare line ends": (b"POST /ws HTTP/1.1\nHost: smev\n\n" + ROOT, ROOT),
    "in chunks": (CHUNKED + chunks(ROOT), ROOT),
    "in chunks, cut off": (CHUNKED + chunks(ROOT)[:40], ROOT[:26]),
    "in chunks of parts": (CHUNKED + chunks(part(ROOT, XOP_ROOT) + END), ROOT),
    "in parts behind a byte order mark": (b"\xef\xbb\xbf" + part(ROOT, XOP_ROOT) + END, ROOT),
    "blank lines before its declaration": (b"\n \r\n" + DECLARED, DECLARED),
    "in a part, blank lines before its declaration": (part(b"\r\n" + DECLARED, XOP_ROOT) + END, DECLARED),
    "in a part without headers": (part(ROOT) + END, ROOT),
    "in a part whose headers end otherwise than its lines": (
        (part(ROOT, XOP_ROOT) + END).replace(b"\r\n", b"\n").replace(b"<s:Body", b"\r\n\r\n<s:Body"),
        ROOT.replace(b"<s:Body", b"\r\n\r\n<s:Body"),
    ),
    "in a part in base64": (
        part(base64.encodebytes(ROOT), XOP_ROOT, "Content-Transfer-Encoding: base64") + END, ROOT
    ),
    "in a part in quoted-printable": (
        part(ROOT.replace(b"=", b"=3D"), XOP_ROOT, "Content-Transfer-Encoding: Quoted-Printable") + END, ROOT
    ),
    "in a part whose encoding its headers say": (
        part("<a>текст</a>".encode("cp1251"), "Content-Type: text/xml; charset=windows-1251") + END,
        "<a>текст</a>".encode(),
    ),
    "in a part whose headers say an encoding that there is not": (
        part(ROOT, "Content-Type: text/xml; charset=x") + END, ROOT
    ),
    "in the part that the headers name": (
        b'Content-Type: multipart/related; start="<b>"\r\n\r\n'
        + part(b"<a/>", "Content-ID: <a>") + part(ROOT, "Content-ID: <b>") + END,
        ROOT,
    ),
    "in the first part that looks like XML": (part(b"file", "X: y") + part(ROOT, "X: y") + END, ROOT),
    "declared in UTF-16, written in UTF-8": (b'<?xml version="1.0" encoding="utf-16"?>' + ROOT, ROOT),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), WRAPPED.values(), ids=WRAPPED.keys())
def test_the_message_is_found_in_whatever_it_was_saved_in(body: bytes, message: bytes) -> None:
    assert soap_message(body) == message


def test_utf_16_is_left_as_it_is() -> None:
    message = f'<?xml version="1.0" encoding="utf-16"?>{ROOT.decode()}'.encode("utf-16")
    assert soap_message(message) is message


def test_included_content_is_decoded_first() -> None:
    content = bytes(range(256))
    body = (
        part(f"<a>{INCLUDE}</a>".encode(), XOP_ROOT)
        + part(base64.encodebytes(content), "Content-ID: <file>", "Content-Transfer-Encoding: base64")
        + END
    )
    assert parse(soap_message(body)).text == base64.b64encode(content).decode()


def test_an_inclusion_without_its_part_stays_and_the_message_is_also_there_as_it_travelled() -> None:
    root = f"<a><b>{INCLUDE}</b><c>{INCLUDE.replace('file', 'other')}</c></a>".encode()
    message = read_message(part(root, XOP_ROOT) + part(b"x", "Content-ID: <file>") + END)
    assert message.root == root
    assert [len(child) for child in parse(message.whole)] == [0, 1]


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the recorded answers are not here: ../shared is absent")
def test_the_recorded_answer_of_an_empty_queue_is_read() -> None:
    root = parse(soap_message((FAULTS / "GetResponseResponce_MultipartEmptyQueue.xml").read_bytes()))
    assert root.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
