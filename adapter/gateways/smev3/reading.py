"""Reading what СМЭВ3 sends: envelopes, faults, acceptances and deliveries, each document parsed once.

Every element is reached by its full path and namespace, never by a search: what is read is what stands where the
schema wants it. Texts must be plain: a comment inside a value would be invisible to the signature, and a reader that
stops at it would see another value than was signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxml import etree

from adapter.gateways.smev3.faults import SmevFault
from adapter.gateways.smev3.messages import SOAP, Names
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from lxml.etree import _Element

_ENVELOPE = f"{{{SOAP}}}Envelope"
_BODY = f"{{{SOAP}}}Body"
_FAULT = f"{{{SOAP}}}Fault"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_FAULTS = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/"
_STRING = etree.XPath("string()")  # without comments, like the signature sees it
_SAME_ID = etree.XPath("count(//*[@Id = $id])")
_BOM = b"\xef\xbb\xbf"
_VALIDATION_ERRORS_LIMIT = 50


class UnreadableError(ValueError):
    """A message breaks the protocol; its text is an English rule without the message's values."""


@dataclass(frozen=True, slots=True)
class SignedPart:
    """The element that the СМЭВ signature has to cover, as it was read.

    ``name`` is its local name in the types schema, ``id`` its Id (empty without one), ``id_is_unique`` whether no other
    element of the document has that Id.
    """

    name: str
    id: str
    id_is_unique: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of the reply queue: what GetResponseResponse/ResponseMessage holds.

    ``message_id`` is what an Ack names, ``original_id`` the request it answers (empty when the gateway gave none).
    ``data`` is SenderProvidedResponseData, ``None`` when the message lacks it.
    """

    part: SignedPart
    message_id: str
    original_id: str
    data: _Element | None


def root_part(body: bytes) -> bytes:
    """Return the SOAP envelope's bytes: ``body`` itself, or the root part when it is multipart/related.

    The body decides, not its Content-Type, which is known to lie both ways (facts, smev3.md: multipart answers even
    for an empty queue). The root is the first part (RFC 2387, 3.2). Raises UnreadableError when a multipart body is
    cut off or its root is encoded.
    """
    start = len(_BOM) if body.startswith(_BOM) else 0
    while body[start : start + 1] in (b"\r", b"\n", b" ", b"\t"):
        start += 1
    if not body.startswith(b"--", start):
        return body
    line_end = body.find(b"\n", start)
    delimiter = body[start:line_end].rstrip() if line_end > 0 else b""
    if len(delimiter) < 3:
        raise UnreadableError("multipart body without a boundary")
    part_start = line_end + 1
    part_end = body.find(b"\n" + delimiter, part_start)
    if part_end < 0:
        raise UnreadableError("multipart body is cut off")
    if body[part_end - 1 : part_end] == b"\r":
        part_end -= 1
    headers_end, content_start = _split_headers(body, part_start, part_end)
    headers = body[part_start:headers_end].lower()
    if b"content-transfer-encoding: base64" in headers or b"quoted-printable" in headers:
        raise UnreadableError("root part of the multipart body is encoded")
    return body[content_start:part_end]


def open_envelope(data: bytes) -> _Element | None:
    """Return the only child of the SOAP Body in ``data``, or ``None`` when the Body is empty.

    Raises UnreadableError when ``data`` is no SOAP 1.1 envelope.
    """
    try:
        root = parse(data)
    except XmlError as error:
        raise UnreadableError(f"not readable as XML: {error}") from error
    if root.tag != _ENVELOPE:
        raise UnreadableError("root element is no SOAP 1.1 Envelope")
    body = root.find(_BODY)
    if body is None:
        raise UnreadableError("SOAP Envelope without Body")
    children = _elements(body)
    if len(children) > 1:
        raise UnreadableError("SOAP Body has more than one child")
    return children[0] if children else None


def read_soap_fault(payload: _Element | None) -> SmevFault | None:
    """Return the fault that ``payload`` is, or ``None`` when it is no SOAP Fault.

    Classes of every schema version are read: an endpoint may speak of a fault in another version than it was asked in.
    """
    if payload is None or payload.tag != _FAULT:
        return None
    faultcode = (payload.findtext("faultcode") or "").strip()
    faultstring = (payload.findtext("faultstring") or "").strip()
    detail = payload.find("detail")
    classes = [] if detail is None else [element for element in _elements(detail) if _FAULTS in element.tag]
    if not classes:
        return SmevFault(faultcode=faultcode, faultstring=faultstring)
    return _smev_fault(classes[0], etree.QName(classes[0]).localname, faultcode=faultcode, faultstring=faultstring)


def read_async_fault(element: _Element) -> SmevFault:
    """Return the fault of an AsyncProcessingStatus; its class is the ``xsi:type`` when the gateway gave one."""
    return _smev_fault(element, element.get(_XSI_TYPE, "").rpartition(":")[2])


def read_acceptance(payload: _Element | None, operation: str, names: Names) -> str | None:
    """Return the MessageId that ``SendRequestResponse/MessageMetadata`` confirms, ``None`` when it names none.

    ``operation`` is ``SendRequest`` or ``SendResponse``. Raises UnreadableError for anything else than its response.
    """
    if payload is None or payload.tag != names.type(f"{operation}Response"):
        raise UnreadableError(f"not a {operation}Response")
    metadata = payload.find(names.type("MessageMetadata"))
    if metadata is None:
        raise UnreadableError(f"{operation}Response without MessageMetadata")
    return optional_text(metadata, names.type("MessageId"))


def read_delivery(payload: _Element | None, names: Names) -> Delivery | None:
    """Return the message that GetResponse brought, ``None`` for an empty queue.

    Raises UnreadableError only for what no Ack could name or what was changed on the way: whatever else is wrong has to
    be kept and confirmed, because its redelivery would be as wrong.
    """
    if payload is None or payload.tag != names.type("GetResponseResponse"):
        raise UnreadableError("not a GetResponseResponse")
    message = payload.find(names.type("ResponseMessage"))
    if message is None:
        return None
    response = message.find(names.type("Response"))
    metadata = None if response is None else response.find(names.type("MessageMetadata"))
    if response is None or metadata is None:
        raise UnreadableError("ResponseMessage without Response or without its metadata")
    data = response.find(names.type("SenderProvidedResponseData"))
    return Delivery(
        part=signed_part(response, "Response"),
        message_id=message_id_of(metadata, response if data is None else data, names),
        original_id=_original_id(response, names),
        data=data,
    )


def _original_id(response: _Element, names: Names) -> str:
    """Return the id of the request that a Response names, empty for what was signed and is no text.

    Raises UnreadableError for a comment inside: that came in on the way, and the message as signed will come again.
    """
    element = response.find(names.type("OriginalMessageId"))
    return "" if element is None or _elements(element) else plain_text(element)


def signed_part(element: _Element, name: str) -> SignedPart:
    """Return ``element``, of local ``name``, as what the СМЭВ signature has to cover."""
    identifier = element.get("Id", "")
    return SignedPart(name, identifier, bool(identifier) and _SAME_ID(element, id=identifier) == 1.0)


def message_id_of(metadata: _Element, data: _Element, names: Names) -> str:
    """Return the id that an Ack names: MessageMetadata's, else the sender's own. Raises UnreadableError."""
    found = optional_text(metadata, names.type("MessageId")) or optional_text(data, names.type("MessageID")) or ""
    if not _UUID.match(found):
        raise UnreadableError("message without a MessageId that an Ack could name")
    return found


def optional_text(parent: _Element, tag: str) -> str | None:
    """Return the stripped text of the child ``tag``, ``None`` when absent. Raises UnreadableError when not plain."""
    element = parent.find(tag)
    return None if element is None else plain_text(element)


def plain_text(element: _Element) -> str:
    """Return the stripped text of ``element``. Raises UnreadableError when anything but text stands in it."""
    if len(element):
        raise UnreadableError(f"{etree.QName(element).localname} holds more than text")
    return (element.text or "").strip()


def _smev_fault(element: _Element, kind: str, *, faultcode: str = "", faultstring: str = "") -> SmevFault:
    """Read Code, Description and the fields of a fault's class. Values stay as they came."""
    code = description = ""
    fields: dict[str, str] = {}
    errors: list[dict[str, str]] = []
    for child in _elements(element):
        local, value = etree.QName(child).localname, str(_STRING(child)).strip()
        if local == "Code":
            code = value
        elif local == "Description":
            description = value
        elif local == "ValidationError":
            errors.append({"position": child.get("errorPosition", ""), "message": value})
        else:
            fields[local] = value
    return SmevFault(
        kind=kind,
        code=code,
        description=description,
        faultcode=faultcode,
        faultstring=faultstring,
        fields=fields,
        validation_errors=errors[:_VALIDATION_ERRORS_LIMIT],
    )


def _split_headers(body: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where a part's headers end and where its content begins."""
    for blank in (b"\r\n\r\n", b"\n\n"):
        at = body.find(blank, start, end)
        if at >= 0:
            return at, at + len(blank)
    raise UnreadableError("root part of the multipart body has no headers")


def _elements(parent: _Element) -> list[_Element]:
    """Return the child elements, without comments and processing instructions."""
    return [child for child in parent if isinstance(child.tag, str)]
