"""What a message of ours to the ШЭП says of itself: its envelope's fields, never its business data or its password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lxml import etree

from adapter.xml.parser import XmlError, parse
from adapter.xml.wssecurity import SOAP

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT: Final = 32 * 2**20
_FIELDS: Final = {
    "messageId": "message_id",
    "serviceId": "service_id",
    "messageType": "message_type",
    "senderId": "sender_id",
}


@dataclass(frozen=True, slots=True)
class Header:
    """``operation`` is the local name of the Body's element; '' is what a message does not say."""

    operation: str = ""
    message_id: str = ""
    service_id: str = ""
    message_type: str = ""
    sender_id: str = ""


def read_header(raw: bytes) -> Header:
    """Return the header of journaled bytes; an empty one for what is no SOAP message."""
    try:
        root = parse(raw, max_bytes=_LIMIT)
    except XmlError:
        return Header()
    body = root.find(f"{{{SOAP}}}Body")
    element = None if body is None else next(body.iterchildren(etree.Element), None)
    if element is None:
        return Header()
    found: dict[str, str] = {}
    for node in _fields(element):
        name = _FIELDS.get(etree.QName(node).localname)
        if name is not None and name not in found:
            found[name] = (node.text or "").strip()
    return Header(operation=etree.QName(element).localname, **found)


def _fields(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the elements of an envelope in order, without those below business data."""
    for child in element.iterchildren(etree.Element):
        if etree.QName(child).localname != "data":
            yield child
            yield from _fields(child)
