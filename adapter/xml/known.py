"""The SMEV transform of documents whose tags were seen before.

What is signed is built from templates: one element after the other has the same tags, with other texts and Ids. The
transform rewrites tags without a look at texts, and keeps a text that needs no escape as it is. So tags are transformed
once, with marks for what varies, and from then on only filled. A document for which that might not hold (anything to
escape, blank text, comments, CDATA, a declaration, bytes that are no text) takes the long way, and so does a large one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapter.xml.parser import XmlError, parse
from adapter.xml.transform import smev_transform_element

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The bracket that ends a tag, the text between two tags, and the bracket that begins the next.
_TEXT: Final = re.compile(rb">([^<]*)<")
#: What the writer would escape, what XML does not allow, and what could be no text: then a bracket was an attribute's.
_NOT_PLAIN: Final = bytes([*range(0x20), *b"&>\x7f"])
#: U+0080 to U+009F, which the writer escapes, and U+FFFE and U+FFFF, which are no characters.
_NOT_PLAIN_EITHER: Final = re.compile("[\x80-\x9f\ufffe\uffff]")
#: Attributes that name an element: they vary as texts do.
_IDS: Final = re.compile(rb' (Id|URI)="([A-Za-z0-9_.#-]*)"')
#: Joins the tags where texts were; no character of XML.
_GAP: Final = b"\x00"
_LARGEST: Final = 16 * 1024
_MOST: Final = 64
#: Around the number of a value in the probe: a private character that no document should have.
_MARK: Final = "\ue000"
_MARKED: Final = re.compile(f"{_MARK}([0-9]+){_MARK}".encode())

#: The parts of a document between Ids, without its texts.
_Frame = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """The transform of a frame: ``pieces`` around the values whose places in the document are ``order``.

    ``identifier`` is the root's Id, or the place of it.
    """

    pieces: Sequence[bytes]
    order: Sequence[int]
    identifier: str | int | None

    def fill(self, values: Sequence[bytes]) -> tuple[bytes, str | None]:
        parts = [b""] * (2 * len(self.order) + 1)
        parts[::2] = self.pieces
        parts[1::2] = [values[place] for place in self.order]
        identifier = self.identifier
        return b"".join(parts), values[identifier].decode() if isinstance(identifier, int) else identifier


class KnownTransform:
    """Transforms documents as :func:`adapter.xml.transform.smev_transform` does.

    Large documents, which other threads transform, leave what is known alone.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[_Frame, _Known | None] = {}

    def transform(self, data: bytes, *, max_bytes: int) -> tuple[bytes, str | None]:
        """Return the transform of the document ``data`` and its root's Id. Raises XmlError, TransformError."""
        frame, values = _apart(data)
        known = self._known.get(frame)
        if known is not None:
            return known.fill(values)
        root = parse(data, max_bytes=max_bytes)
        result = smev_transform_element(root), root.get("Id")
        if frame and frame not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = _known(frame, values)
            self._known[frame] = known if known is not None and known.fill(values) == result else None
        return result


def _apart(data: bytes) -> tuple[_Frame, list[bytes]]:
    """Cut a document into its frame and what varies; an empty frame for one that takes the long way.

    Texts come first among the values, then Ids, each in document order.
    """
    if len(data) > _LARGEST or b"<!" in data or b"<?" in data or data[:1] != b"<" or data[-1:] != b">":
        return (), []
    parts = _TEXT.split(data)
    values = parts[1::2]
    together = b" ".join(values)
    if len(together) != len(together.translate(None, _NOT_PLAIN)) or _GAP in data or _MARK.encode() in data:
        return (), []
    try:
        text = together.decode()
    except UnicodeDecodeError:
        return (), []
    if not text.isascii() and _NOT_PLAIN_EITHER.search(text):
        return (), []
    if any(map(bytes.isspace, values)):
        return (), []
    pieces = _IDS.split(_GAP.join(parts[::2]))
    values += pieces[2::3]
    del pieces[2::3]
    return tuple(pieces), values


def _known(frame: _Frame, values: Sequence[bytes]) -> _Known | None:
    """Return what the transform makes of a frame; ``None`` when that cannot be told from its probe."""
    marks = [f"{_MARK}{place}{_MARK}".encode() for place in range(len(values))]
    texts = len(values) - len(frame) // 2
    probe = frame[0]
    for name, mark, piece in zip(frame[1::2], marks[texts:], frame[2::2], strict=True):
        probe += b' %b="%b"' % (name, mark) + piece
    for mark in marks[:texts]:
        probe = probe.replace(_GAP, b">" + mark + b"<", 1)
    try:
        root = parse(probe)
        parts = _MARKED.split(smev_transform_element(root))
    except XmlError:
        return None
    identifier = root.get("Id")
    place = None if identifier is None else _MARKED.fullmatch(identifier.encode())
    return _Known(parts[::2], [int(number) for number in parts[1::2]], int(place[1]) if place else identifier)
