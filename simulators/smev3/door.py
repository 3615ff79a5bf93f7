"""The door: what every message is checked for before an operation sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import RFC_4122, UUID

from lxml import etree

from adapter.xml.parser import XmlError, parse
from adapter.xml.schema import Schema
from simulators.smev3.faults import RefusedError, refuse, refuse_bare, refuse_signature
from simulators.smev3.names import OPERATIONS, SOAP

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.smev3.names import Operation, Version
    from simulators.smev3.signatures import Sender, SignatureDesk

#: The embedded time of a MessageID may be this far from the service's clock (facts: MessageID).
ID_LIFETIME = timedelta(hours=24)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GREGORIAN_TICKS = 0x01B21DD213814000
_TICKS_PER_SECOND = 10_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that passed the door: its operation, the operation's element and who signed it."""

    operation: Operation
    body: etree._Element
    sender: Sender


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


def find_operation(body: etree._Element, version: Version, soap_action: str) -> Operation:
    """Return the operation of ``body``; a SOAPAction may be absent but not name another. Raises RefusedError."""
    name = etree.QName(body)
    operation = OPERATIONS.get(name.localname) if name.namespace == version.types else None
    if operation is None:
        raise refuse_bare(f"Операция {name.localname} не входит в сервис версии {version.number}")
    action = soap_action.strip().strip('"')
    if action and action != f"urn:{operation.name}":
        raise refuse_bare(f"SOAPAction не соответствует операции {operation.name}")
    return operation


class Door:
    """Checks messages of one version: schema, identifiers' form, signatures."""

    def __init__(self, version: Version, desk: SignatureDesk) -> None:
        """``desk`` knows whom to trust."""
        self._version = version
        self._desk = desk
        self._schema = Schema.load(version.schema)

    def admit(self, data: bytes, root: etree._Element, soap_action: str, now: datetime) -> Arrival:
        """Return the message ``root`` (parsed from ``data``) as an arrival. Raises RefusedError."""
        body = find_body(root)
        operation = find_operation(body, self._version, soap_action)
        faults = self._schema.check(body)
        if faults:
            raise self._schema_refusal(body, f"{faults[0].path}: {faults[0].rule}")
        return Arrival(operation, body, self._desk.check(data, body, operation, self._version, now))

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
