"""Business data inside a message: laid in and taken out byte for byte, because documents in it may be signed.

The gateway never looks into ``data``. Three forms are seen (facts of ШЭП, Security): an element, the text of a document
escaped (CDATA reads the same), and the content of a type named by ``xsi:type``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_XS: Final = "http://www.w3.org/2001/XMLSchema"
_DECLARATION: Final = re.compile(rb"^(?:\xef\xbb\xbf)?\s*<\?xml\s([^?]*)\?>\s*")
_ENCODING: Final = re.compile(rb"encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_START: Final = re.compile(rb"<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*(/?)>")
#: What may be a qualified name in a value or a text.
_QUALIFIED: Final = re.compile(r"(?<![\w.:-])([^\W\d][\w.-]*):(?=[^\W\d])")
#: What XML 1.0 has no way to write.
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
#: Where ``data`` stands below the element of an operation, by local names.
PLACES: Final = frozenset(
    {
        ("request", "requestData", "data"),
        ("response", "responseData", "data"),
        ("request", "messageData", "data"),
        ("response", "messages", "messageData", "data"),
    }
)


class Form(StrEnum):
    """How business data stand in ``data``."""

    CHILD = "child"
    """One element."""
    TEXT = "text"
    """Characters: a document escaped, or whatever else."""
    TYPED = "typed"
    """Elements that are the content of the type that ``xsi:type`` names; without a name, several elements."""


@dataclass(frozen=True, slots=True)
class BusinessData:
    """``content`` is UTF-8: of CHILD a document's element, of TEXT its characters, of TYPED what stands in ``data``.

    ``type`` is the namespace and the name of TYPED.
    """

    form: Form
    content: bytes
    type: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form that calls and answers carry."""
        found: dict[str, Any] = {"form": self.form.value, "content": self.content.decode()}
        if self.type is not None:
            found["type"] = {"namespace": self.type[0], "name": self.type[1]}
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BusinessData:
        """Return what :meth:`to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        named = value.get("type")
        return cls(
            Form(value["form"]),
            str(value["content"]).encode(),
            None if named is None else (str(named["namespace"]), str(named["name"])),
        )


def laid_in(data: BusinessData) -> bytes:
    """Return the element ``data`` with the content as it is. Raises XmlError for content that cannot stand in it."""
    match data.form:
        case Form.TEXT:
            text = data.content.decode()
            if _UNWRITABLE.search(text):
                raise XmlError("the text holds characters that XML cannot carry")
            written = escape(text, {"\r": "&#13;"}).encode()
            return b'<data xmlns:xsi="%b" xmlns:xs="%b" xsi:type="xs:string">%b</data>' % (
                _XSI.encode(),
                _XS.encode(),
                written,
            )
        case Form.CHILD:
            content = _bare(data.content)
            parse(content)
            return b"<data>%b</data>" % content
        case Form.TYPED:
            content = _bare(data.content)
            parse(b"<x>%b</x>" % content)
            if data.type is None:
                return b"<data>%b</data>" % content
            namespace, name = data.type
            if not re.fullmatch(r"[^\W\d][\w.-]*", name):
                raise XmlError("the type's name is none")
            return b'<data xmlns:t=%b xmlns:xsi="%b" xsi:type="t:%b">%b</data>' % (
                quoteattr(namespace).encode(),
                _XSI.encode(),
                name.encode(),
                content,
            )


def in_utf8(message: bytes, encoding: str) -> bytes:
    """Return a well-formed document in UTF-8 without its declaration; unchanged bytes where it was so written."""
    if encoding.lower() not in {"utf-8", "utf8", "us-ascii", "ascii"}:
        message = message.decode(encoding).removeprefix("\ufeff").encode()
    found = _DECLARATION.match(message)
    return message[found.end() :] if found else message.removeprefix(b"\xef\xbb\xbf")


def take_out(message: bytes, elements: list[etree._Element]) -> list[BusinessData | None]:
    """Return the business data of ``elements``, every ``data`` of ``message`` (UTF-8) in document order.

    ``None`` is a ``data`` that says to be nothing (``xsi:nil``). A prefix or default namespace that content takes from
    outside is declared in its element, because content is passed on alone; everything else stays as it was written.
    """
    places = _places(message)
    return [_taken(message, place, element) for place, element in zip(places, elements, strict=True)]


@dataclass(slots=True)
class _Place:
    """Where one ``data`` stands in the bytes: its start tag, its end tag, and the elements right inside."""

    start: int
    end: int
    children: list[tuple[int, int]]


def _places(message: bytes) -> list[_Place]:
    """Find every ``data`` by its path of local names."""
    found: list[_Place] = []
    path: list[str] = []
    inside = begun = 0  # the depth below a data, it being 1; where an element right inside began
    parser = expat.ParserCreate("utf-8")

    def started(name: str, _: object) -> None:
        nonlocal inside, begun
        if inside:
            inside += 1
            if inside == 2:
                begun = parser.CurrentByteIndex
            return
        path.append(name.rpartition(":")[2])
        if path[1:2] == ["Body"] and tuple(path[3:]) in PLACES:
            found.append(_Place(parser.CurrentByteIndex, 0, []))
            inside = 1

    def ended(_: str) -> None:
        nonlocal inside
        if inside == 2:
            found[-1].children.append((begun, _end(message, begun, parser.CurrentByteIndex)))
        if inside > 1:
            inside -= 1
            return
        if inside:
            found[-1].end = parser.CurrentByteIndex
            inside = 0
        path.pop()

    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    parser.Parse(message, True)  # noqa: FBT003  — positional-only
    return found


def _end(message: bytes, start: int, at: int) -> int:
    """Return where an element ends that starts at ``start`` and whose end was seen ``at``."""
    tag = _START.match(message, start)
    return tag.end() if tag is not None and tag[1] else message.index(b">", at) + 1


def _taken(message: bytes, place: _Place, element: etree._Element) -> BusinessData | None:
    if element.get(f"{{{_XSI}}}nil") in {"true", "1"}:
        return None
    start = _START.match(message, place.start)
    if start is None or start[1]:
        return BusinessData(Form.TEXT, b"")
    children = list(element.iterchildren(etree.Element))
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    if not children:
        return BusinessData(Form.TEXT, text.encode())
    pieces = [
        _declared(message[begun:ended], child) for (begun, ended), child in zip(place.children, children, strict=True)
    ]
    named = _type_of(element)
    if named is None and len(children) == 1 and not text.strip():
        return BusinessData(Form.CHILD, pieces[0])
    content, at = b"", start.end()
    for (begun, ended), piece in zip(place.children, pieces, strict=True):
        content += message[at:begun] + piece
        at = ended
    return BusinessData(Form.TYPED, content + message[at : place.end], named)


def _declared(piece: bytes, element: etree._Element) -> bytes:
    """Declare in an element what it takes from outside."""
    name = re.match(rb"<[^\s/>]+", piece)
    if name is None:
        return piece
    known = {prefix or "": uri for prefix, uri in element.nsmap.items()}
    mentioned = {prefix for prefix in known if not prefix or f"{prefix}:".encode() in piece}
    taken = _taken_from_outside(piece, mentioned) if mentioned else set()
    missing = b"".join(
        b" xmlns%b=%b" % (b":%b" % prefix.encode() if prefix else b"", quoteattr(known[prefix]).encode())
        for prefix in known
        if prefix in taken
    )
    return piece[: name.end()] + missing + piece[name.end() :]


def _taken_from_outside(piece: bytes, known: AbstractSet[str]) -> set[str]:
    """Return which prefixes of ``known``, '' for the default namespace, an element uses and does not declare itself.

    Values and texts may hold qualified names, so a prefix counts there too. One declared where it is used is left
    alone: a second declaration further up would be in the canonical form of a signed document.
    """
    taken: set[str] = set()
    outside = [frozenset(known)]  # of each open element, what it may still take from there
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True

    def started(name: str, attributes: dict[str, str]) -> None:
        own = {at.partition(":")[2] for at in attributes if at.startswith("xmlns")}
        open_to = outside[-1] - own if own else outside[-1]
        outside.append(open_to)
        taken.update(open_to & ({name.rpartition(":")[0]} | {at.partition(":")[0] for at in attributes if ":" in at}))
        for at, value in attributes.items():
            if not at.startswith("xmlns"):
                said(value)

    def said(value: str) -> None:
        if ":" in value:
            taken.update(outside[-1] & set(_QUALIFIED.findall(value)))

    parser.StartElementHandler = started
    parser.EndElementHandler = lambda _: outside.pop()
    parser.CharacterDataHandler = said
    parser.Parse(piece, True)  # noqa: FBT003  — positional-only
    return taken


def _type_of(element: etree._Element) -> tuple[str, str] | None:
    text = element.get(f"{{{_XSI}}}type")
    if text is None:
        return None
    prefix, _, name = text.strip().rpartition(":")
    return element.nsmap.get(prefix or None, ""), name


def _bare(content: bytes) -> bytes:
    """Return a document without its declaration. Raises XmlError for one that is not in UTF-8."""
    found = _DECLARATION.match(content)
    if found is None:
        return content.removeprefix(b"\xef\xbb\xbf")
    encoding = _ENCODING.search(found[1])
    if encoding is not None and encoding[1].lower() not in {b"utf-8", b"utf8"}:
        raise XmlError("the document is not in UTF-8")
    return content[found.end() :]
