"""Content types that lie."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.files.kinds import lies

_ZIP = io.BytesIO()
with zipfile.ZipFile(_ZIP, "w") as archive:
    archive.writestr("a", "b")
PDF, PNG, JPEG = b"%PDF-1.7\n...", b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff\xe0...."
ELF, EXE, XML = b"\x7fELF\x02\x01\x01", b"MZ\x90\x00", b'<?xml version="1.0"?><a/>'


@pytest.mark.parametrize(
    ("mime_type", "head"),
    [
        ("application/pdf", PDF),
        ("application/pdf", b"junk before\n" + PDF),
        ("image/png", PNG),
        ("image/jpeg", JPEG),
        ("application/zip", _ZIP.getvalue()),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", _ZIP.getvalue()),
        ("application/xml", XML),
        ("text/xml", b"\xef\xbb\xbf \n" + XML),
        ("application/xml", b"\xff\xfe" + XML.decode().encode("utf-16-le")),
        ("text/plain", b""),
        ("text/plain", "Привет".encode("cp1251")),
        ("text/plain", "Привет".encode("utf-16")),
        ("text/plain", b"MZ is how this text begins"),
        ("text/csv", b"a;b"),
        ("application/octet-stream", EXE),
        ("application/vnd.unknown", b"anything"),
        ("APPLICATION/PDF", PDF),
    ],
)
def test_what_is_true_passes(mime_type: str, head: bytes) -> None:
    assert not lies(mime_type, head)


@pytest.mark.parametrize(
    ("mime_type", "head"),
    [
        ("application/pdf", PNG),
        ("application/pdf", b""),
        ("application/pdf", EXE),
        ("image/png", JPEG),
        ("image/jpeg", PDF),
        ("application/zip", PDF),
        ("application/xml", PDF),
        ("application/xml", b"{}"),
        ("image/svg+xml", PNG),
        ("text/plain", PDF),
        ("text/plain", PNG),
        ("text/plain", ELF),
        ("text/plain", EXE),
        ("text/html", _ZIP.getvalue()),
        ("application/json", b"\x00\x01"),
        ("application/vnd.unknown", ELF),
        ("video/unknown", EXE),
    ],
)
def test_what_lies_is_told(mime_type: str, head: bytes) -> None:
    assert lies(mime_type, head)


@given(st.text(max_size=30), st.binary(max_size=64))
def test_no_type_and_no_content_break_it(mime_type: str, head: bytes) -> None:
    assert lies(mime_type, head) in (True, False)
