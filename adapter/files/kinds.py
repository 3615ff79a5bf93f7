"""What content looks like, against what is said of it: a content type that lies is refused."""

from __future__ import annotations

from typing import Final

#: Bytes of the beginning that are enough to judge (a PDF's mark may stand anywhere in the first kilobyte).
HEAD: Final = 1024

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_OLE: Final = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_MARKS: Final[dict[str, tuple[bytes, ...]]] = {
    "application/pdf": (b"%PDF-",),
    "application/zip": _ZIP,
    "application/x-zip-compressed": _ZIP,
    "application/vnd.oasis.opendocument.text": _ZIP,
    "application/vnd.oasis.opendocument.spreadsheet": _ZIP,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": _ZIP,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _ZIP,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": _ZIP,
    "application/msword": (*_OLE, b"{\\rtf"),
    "application/vnd.ms-excel": _OLE,
    "application/vnd.ms-powerpoint": _OLE,
    "application/rtf": (b"{\\rtf",),
    "text/rtf": (b"{\\rtf",),
    "application/gzip": (b"\x1f\x8b",),
    "application/x-7z-compressed": (b"7z\xbc\xaf\x27\x1c",),
    "application/vnd.rar": (b"Rar!\x1a\x07",),
    "application/x-rar-compressed": (b"Rar!\x1a\x07",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/jpg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/tiff": (b"II*\x00", b"MM\x00*"),
    "image/bmp": (b"BM",),
    "image/webp": (b"RIFF",),
}
_XML: Final = frozenset({"application/xml", "text/xml", "image/svg+xml"})
_PROGRAMS: Final = (b"MZ", b"\x7fELF", b"#!")
#: Marks long enough that no text begins with one by chance.
_NO_TEXT: Final = tuple({mark for marks in _MARKS.values() for mark in marks if len(mark) > 3 and mark != b"RIFF"})
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
_ANYTHING: Final = frozenset({"", "application/octet-stream"})


def lies(mime_type: str, head: bytes) -> bool:
    """Tell whether content that begins with ``head`` (:data:`HEAD` bytes, or all) cannot be of ``mime_type``.

    Of a type that this table does not know, only programs are told apart; ``application/octet-stream`` claims nothing.
    """
    kind = mime_type.partition(";")[0].strip().lower()
    if kind in _ANYTHING:
        return False
    if kind in _MARKS:
        marks = _MARKS[kind]
        return not any(mark in head[:HEAD] for mark in marks) if kind.endswith("/pdf") else not head.startswith(marks)
    if kind in _XML or kind.endswith("+xml"):
        return not _is_text(head) or not head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(
            b"<"
        )
    if kind.startswith("text/") or kind == "application/json":
        return not _is_text(head)
    return head.startswith(_PROGRAMS[:2])


def _is_text(head: bytes) -> bool:
    return head.startswith(_WIDE) or not (b"\0" in head or head.startswith((*_NO_TEXT, *_PROGRAMS[1:2])))
