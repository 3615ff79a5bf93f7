"""Messages of the ШЭП, built and read by zeep from our own WSDLs (schemas/shep).

zeep does that and nothing else: it sends nothing, and never sees business data, which are laid in and taken out as
bytes. What goes out has to be valid by our schema. What comes in is read by local names, in whatever namespace and
order; what the schema says against it are warnings.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4
from xml.parsers.expat import ExpatError

import zeep.exceptions
import zeep.helpers
import zeep.settings
import zeep.wsdl
from lxml import etree

from adapter.gateways.shep.data import PLACES, BusinessData, in_utf8, laid_in, take_out
from adapter.gateways.shep.faults import ShepFault, read_fault
from adapter.gateways.shep.operations import OPERATIONS, Operation
from adapter.paths import SCHEMAS
from adapter.xml.encryption import ENCRYPTED, service_in
from adapter.xml.parser import XmlError, parse, serialize
from adapter.xml.schema import Schema
from adapter.xml.wssecurity import SOAP, WSSE, WSU, soap_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER: Final = SCHEMAS / "shep"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
#: Bytes of a message: business data beyond this go to the gateway's temporary storage.
MESSAGE_LIMIT: Final = 32 * 2**20
#: Stands for an empty text while zeep reads; XML allows it and nobody writes it.
_EMPTY: Final = "\ufdd0"
#: The part of a message whose content is encrypted: of its values only the service is told.
SEALED: Final = "sealed"


_serialize_object: Final[Callable[..., Any]] = zeep.helpers.serialize_object


class MessageError(ValueError):
    """A message cannot be built or read; ``rule`` is an English sentence without values."""

    def __init__(self, rule: str) -> None:
        """Keep ``rule`` as the error's only text."""
        super().__init__(rule)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was read. ``raw`` are its exact bytes.

    ``operation`` and ``part`` (request, response or SEALED) tell what it is; of a SOAP fault ``fault`` is set and
    nothing else.
    ``values`` are its fields in snake_case as the XSD nests them; moments are datetimes, ``data`` BusinessData.
    ``warnings`` are what our schema says against it.
    """

    raw: bytes = field(repr=False)
    operation: Operation | None = None
    part: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    fault: ShepFault | None = None


def payload(operation: Operation, part: str, values: Mapping[str, Any]) -> bytes:
    """Return the element of ``operation`` for ``part``: request, response or fault (its detail).

    ``values`` are the fields of that part in snake_case as the XSD nests them, ``data`` being BusinessData. Raises
    MessageError for what the schema does not allow.
    """
    tag = getattr(operation, part)
    laid: dict[bytes, bytes] = {}
    prepared = _camel(values, laid)
    if operation.port == "sync" and part != "fault":
        prepared.setdefault(f"{part}Data", {})  # has to be there also without business data
    element = _document(operation.port).types.get_element(tag)
    root = etree.Element("root")
    try:
        value = element(**prepared) if part == "fault" else element(**{part: prepared})
        element.render(root, value)
    except (zeep.exceptions.Error, TypeError, ValueError) as error:
        # Their texts hold values; zeep's ValidationError names the place.
        place = ".".join(getattr(error, "path", None) or []) or operation.name
        raise MessageError(f"{place} is not as the WSDL has it ({type(error).__name__})") from None
    faults = _schema().check(root[0])
    if faults:
        raise MessageError(f"{faults[0].path}: {faults[0].rule}")
    written = serialize(root[0])
    for token, data in laid.items():
        written = written.replace(b"<data>%b</data>" % token, data, 1)
    return written


def body(content: bytes, identifier: str | None = None) -> bytes:
    """Return the SOAP Body around ``content``, standing alone; with ``identifier`` it can be signed."""
    if identifier is None:
        return b'<S:Body xmlns:S="%b">%b</S:Body>' % (SOAP.encode(), content)
    return b'<S:Body xmlns:S="%b" xmlns:wsu="%b" wsu:Id="%b">%b</S:Body>' % (
        SOAP.encode(),
        WSU.encode(),
        identifier.encode(),
        content,
    )


def envelope(soap: bytes, signature: bytes = b"") -> bytes:
    """Return the message around a Body of :func:`body`; both are laid in unchanged."""
    header = b""
    if signature:
        header = b'<wsse:Security xmlns:wsse="%b" S:mustUnderstand="1">%b</wsse:Security>' % (WSSE.encode(), signature)
    return b'<S:Envelope xmlns:S="%b"><S:Header>%b</S:Header>%b</S:Envelope>' % (SOAP.encode(), header, soap)


def fault_payload(faultcode: str, faultstring: str, detail: bytes = b"") -> bytes:
    """Return a SOAP Fault; ``faultcode`` is Server or Client, ``detail`` an element of :func:`payload`."""
    fault = etree.Element(f"{{{SOAP}}}Fault", nsmap={"S": SOAP})
    etree.SubElement(fault, "faultcode").text = f"S:{faultcode}"
    etree.SubElement(fault, "faultstring").text = faultstring
    written = serialize(fault)
    end = written.rindex(b"</")
    return written[:end] + (b"<detail>%b</detail>" % detail if detail else b"") + written[end:]


def read(raw: bytes) -> Message:
    """Return the message that ``raw`` is. Raises MessageError for what is none of the ШЭП, or is no XML of ours."""
    try:
        root = parse(raw, max_bytes=MESSAGE_LIMIT)
        soap = soap_body(root)
    except XmlError as error:
        raise MessageError(error.rule) from None
    children = list(soap.iterchildren(etree.Element))
    if len(children) != 1:
        raise MessageError("the Body has to hold one element")
    element = children[0]
    if element.tag == ENCRYPTED:
        return Message(raw, part=SEALED, values={"service_id": service_in(element)})
    if element.tag == f"{{{SOAP}}}Fault":
        return Message(raw, fault=read_fault(element))
    operation, part = _named(element)
    elements = [found for found in element.iter("{*}data") if _path(found, element) in PLACES]
    encoding = root.getroottree().docinfo.encoding or "utf-8"
    try:
        data = take_out(in_utf8(raw, encoding), elements) if elements else []
    except (ValueError, LookupError, ExpatError) as error:  # two parsers that do not agree on what they read
        raise MessageError(f"the business data cannot be taken out ({type(error).__name__})") from None
    canonical = _canonical(element, getattr(operation, part))
    warnings = tuple(f"{fault.path}: {fault.rule}" for fault in _schema().check(canonical))
    return Message(raw, operation, part, _values(operation, part, canonical, data), warnings)


def _named(element: etree._Element) -> tuple[Operation, str]:
    """Tell the operation and the part by the local name, which no two share within their channel."""
    name = etree.QName(element).localname
    for operation in OPERATIONS.values():
        for part in ("request", "response"):
            if name == etree.QName(getattr(operation, part)).localname:
                return operation, part
    raise MessageError("no operation of the ШЭП has this element")


def _path(element: etree._Element, top: etree._Element) -> tuple[str, ...]:
    names: list[str] = []
    node: etree._Element | None = element
    while node is not None and node is not top:
        names.append(etree.QName(node).localname)
        node = node.getparent()
    return tuple(reversed(names))


def _canonical(element: etree._Element, tag: str) -> etree._Element:
    """Return a copy as the schema names things, without comments and attributes; of business data their number."""
    numbers = count()

    def copied(node: etree._Element, name: str, path: tuple[str, ...]) -> etree._Element:
        copy = etree.Element(name)
        nil = node.get(f"{{{_XSI}}}nil")
        if path in PLACES:
            copy.text = str(next(numbers))
            return copy
        if nil is not None:
            copy.set(f"{{{_XSI}}}nil", nil)
        copy.text = node.text
        for child in node:
            if isinstance(child.tag, str):
                local = etree.QName(child).localname
                copy.append(copied(child, local, (*path, local)))
                copy[-1].tail = child.tail
            elif len(copy):
                copy[-1].tail = (copy[-1].tail or "") + (child.tail or "")
            else:
                copy.text = (copy.text or "") + (child.tail or "")
        return copy

    return copied(element, tag, ())


def _values(
    operation: Operation, part: str, element: etree._Element, data: list[BusinessData | None]
) -> dict[str, Any]:
    """Read by zeep, then put the business data in their places."""
    document = _document(operation.port)
    for node in element.iter(etree.Element):
        # zeep makes nothing of an empty text, and nothing is what it makes of an absent one.
        name = etree.QName(node).localname
        if not len(node) and not node.text and not node.attrib and not name.endswith(("Date", "Data", "amount")):
            node.text = _EMPTY
    try:
        parsed = document.types.get_element(getattr(operation, part)).parse(element, document.types)
    except (zeep.exceptions.Error, ValueError, TypeError, AttributeError, LookupError) as error:
        raise MessageError(f"the message cannot be read ({type(error).__name__})") from None
    plain = _serialize_object(parsed, dict) or {}
    inner = plain.get(part) if isinstance(plain, dict) else None
    found: dict[str, Any] = _snake(inner or {}, data)
    return found


def _camel(value: Any, laid: dict[bytes, bytes]) -> Any:
    """Return ``value`` under the XSD's names; business data become tokens, remembered in ``laid``."""
    if isinstance(value, BusinessData):
        token = f"data-{uuid4().hex}"
        try:
            laid[token.encode()] = laid_in(value)
        except XmlError as error:
            raise MessageError(f"data: {error.rule}") from None
        return token
    if isinstance(value, dict):
        return {
            re.sub("_(.)", lambda found: found[1].upper(), name): _camel(item, laid)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list | tuple):
        return [_camel(item, laid) for item in value]
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _snake(value: Any, data: list[BusinessData | None]) -> Any:
    """Return ``value`` under our names, business data in the place of their numbers; what is not there is left out."""
    if isinstance(value, list):
        return [_snake(item, data) for item in value]
    if not isinstance(value, dict):
        return "" if value == _EMPTY else value
    found = {}
    for name, item in value.items():
        if item is not None and not name.startswith("_"):  # zeep's own names, of what the WSDL does not have
            key = re.sub("([A-Z])", lambda letter: f"_{letter[1].lower()}", name)
            found[key] = data[int(item)] if name == "data" else _snake(item, data)
    return found


class _OwnFiles:
    """zeep's way to files: those of schemas/shep and no others."""

    def load(self, url: str) -> bytes:
        """Return the file's content. Raises MessageError for anything else than a file of ours."""
        path = Path(unquote(urlsplit(url).path)).resolve()
        if not path.is_relative_to(FOLDER.resolve()):
            raise MessageError("the WSDL imports what lies outside its folder")
        return path.read_bytes()


@lru_cache(maxsize=3)
def _document(port: str) -> Any:
    """Return the WSDL of a port as zeep reads it, lenient in what comes in."""
    logging.getLogger("zeep").setLevel(logging.CRITICAL)  # its texts hold values
    settings = zeep.settings.Settings(
        strict=False, xsd_ignore_sequence_order=True, forbid_dtd=True, forbid_external=True
    )
    files: Any = _OwnFiles()
    return zeep.wsdl.Document(str(FOLDER / f"{port}.wsdl"), files, settings=settings)


def compile_all() -> int:
    """Compile every WSDL and the schema of messages; return how many they are. Raises what zeep and lxml raise."""
    ports = ("sync", "async", "client")
    for port in ports:
        try:
            _document(port)
        except zeep.exceptions.Error as error:
            raise MessageError(f"{port}.wsdl does not compile ({type(error).__name__})") from None
    _schema()
    return len(ports) + 1


def _schema() -> Schema:
    return Schema.load(FOLDER / "shep.xsd")
