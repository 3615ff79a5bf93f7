"""The door: what every message is checked for before an operation sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import RFC_4122, UUID

from lxml import etree

from adapter.xml.parser import XmlError, parse, serialize
from adapter.xml.schema import Schema
from simulators.smev3.faults import RefusedError, refuse, refuse_bare, refuse_signature
from simulators.smev3.giszhkh import MOSCOW
from simulators.smev3.mtom import media_type
from simulators.smev3.names import OPERATIONS, SOAP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.smev3.mtom import Package
    from simulators.smev3.names import Operation, Version
    from simulators.smev3.signatures import Sender, SignatureDesk

#: The embedded time of a MessageID may be this far from the service's clock (facts: MessageID).
ID_LIFETIME = timedelta(hours=24)

#: Business data above this go into an attachment (facts: Protocol facts). The fault is the simulator's own choice.
CONTENT_LIMIT = 5 * 2**20

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GREGORIAN_TICKS = 0x01B21DD213814000
_TICKS_PER_SECOND = 10_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that passed the door: its operation, the operation's element, who signed it and what came beside it.

    ``contents`` are attachments that came as parts of their own, by their Id.
    """

    operation: Operation
    body: etree._Element
    sender: Sender
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def target(self) -> etree._Element:
        """The part that the caller wrote and signed; of queue statistics the Timestamp behind the NodeID."""
        children = list(self.body.iterchildren(etree.Element))
        return children[1] if etree.QName(children[0]).localname == "NodeID" else children[0]


def open_envelope(data: bytes) -> etree._Element:
    """Return the root of a message as received. Raises RefusedError for what is no XML we read.

    Comments and instructions are taken out: no signature covers them, and left inside a value they would cut it short.
    """
    try:
        root = parse(data)
    except XmlError as error:
        raise refuse_bare(f"Сообщение не является корректным XML: {error}") from None
    if b"<!--" in data or b"<?" in data:
        etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    return root


def find_body(root: etree._Element) -> etree._Element:
    """Return the single child of soap:Body. Raises RefusedError for any other envelope.

    A missing soap:Header is let pass: clients that have no headers to send leave it out, and the service lives with it.
    """
    parts = list(root.iterchildren(etree.Element)) if root.tag == f"{{{SOAP}}}Envelope" else []
    names = [part.tag for part in parts]
    if names not in ([f"{{{SOAP}}}Body"], [f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"]) or len(parts[-1]) != 1:
        raise refuse_signature("PoorSOAPEnvelopeFormat", "Недопустимый формат SOAP-конверта", place="SPS:0")
    return parts[-1][0]


def check_media(content_type: str) -> None:
    """Refuse an HTTP body that says to be no SOAP 1.1. Raises RefusedError."""
    kind, parameters = media_type(content_type)
    charset = parameters.get("charset", "utf-8").lower()
    if kind == "text/xml" and charset in {"utf-8", "utf8"}:
        return
    if kind == "multipart/related" and parameters.get("type", "").lower() in {"application/xop+xml", "text/xml"}:
        return
    raise refuse_bare("Content-Type: text/xml; charset=utf-8 или multipart/related (MTOM)", status=415)


def find_operation(body: etree._Element, version: Version, soap_action: str) -> Operation:
    """Return the operation of ``body``, which SOAPAction has to name as the WSDL does. Raises RefusedError."""
    name = etree.QName(body)
    operation = OPERATIONS.get(name.localname) if name.namespace == version.types else None
    if operation is None or version.number not in operation.versions:
        raise refuse_bare(f"Операция {name.localname} не входит в сервис версии {version.number}")
    if soap_action.strip().strip('"') != f"urn:{operation.name}":
        raise refuse_bare(f"SOAPAction не соответствует операции {operation.name}")
    return operation


class Door:
    """Checks messages of one version: schema, identifiers' form, signatures."""

    def __init__(self, version: Version, desk: SignatureDesk, timestamp_age: timedelta) -> None:
        """``desk`` knows whom to trust; a Timestamp may be ``timestamp_age`` away from the service's clock."""
        self._version = version
        self._desk = desk
        self._timestamp_age = timestamp_age
        self._schema = Schema.load(version.schema)

    def admit(self, package: Package, root: etree._Element, soap_action: str, now: datetime) -> Arrival:
        """Return the message ``root`` (parsed from ``package``) as an arrival. Raises RefusedError."""
        body = find_body(root)
        operation = find_operation(body, self._version, soap_action)
        faults = self._schema.check(body)
        if faults:
            raise self._schema_refusal(body, f"{faults[0].path}: {faults[0].rule}")
        self._check_content(package.envelope, body)
        sender = self._desk.check(package.envelope, body, operation, self._version, now)
        self._check_timestamp(body, now)
        return Arrival(operation, body, sender, package.contents)

    def _check_content(self, data: bytes, body: etree._Element) -> None:
        content = body.find(f"*/{self._version.base('MessagePrimaryContent')}")
        # Whoever is small as a whole is small in every part.
        if len(data) > CONTENT_LIMIT and content is not None and len(serialize(content[0])) > CONTENT_LIMIT:
            raise refuse("InvalidContent", "Бизнес-данные сообщения больше 5 МБ", place="SPM:5")

    def _check_timestamp(self, body: etree._Element, now: datetime) -> None:
        """Refuse a question or a Timestamp signed long ago: the service would answer whoever repeats it."""
        stamps = [
            *body.iterfind(self._version.base("Timestamp")),
            *body.iterfind(f"*/{self._version.base('Timestamp')}"),
        ]
        for stamp in stamps:
            if abs(moment_of(stamp.text or "") - now) > self._timestamp_age:
                raise refuse("InvalidContent", "Отметка времени запроса (Timestamp) устарела", place="SPM:6")

    def _schema_refusal(self, body: etree._Element, rule: str) -> RefusedError:
        message_id = body.findtext(f"*/{{{self._version.types}}}MessageID")
        if message_id is not None and not _UUID.fullmatch(message_id):
            return refuse("InvalidMessageIdFormat", place="SPM:1")
        return refuse_bare(f"Unmarshalling Error: {rule}")


def check_message_id(message_id: str, now: datetime) -> None:
    """Refuse an identifier that is no UUID of version 1 or whose time is more than a day off. Raises RefusedError."""
    identifier = UUID(message_id)
    if identifier.version != 1 or identifier.variant != RFC_4122:
        raise refuse("InvalidMessageIdFormat", place="SPM:1")
    minted = (identifier.time - _GREGORIAN_TICKS) / _TICKS_PER_SECOND
    if abs(now.timestamp() - minted) > ID_LIFETIME.total_seconds():
        raise refuse("StaleMessageId", place="SPM:2")


def moment_of(text: str) -> datetime:
    """Return an xs:dateTime; one without a zone is Moscow time, like everything the service writes.

    Raises RefusedError for what only XML Schema calls a moment (24:00:00, years of five digits).
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise refuse_bare("Unmarshalling Error: dateTime") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=MOSCOW)
