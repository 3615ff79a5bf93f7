"""The envelopes the simulator writes, signed where the real service signs (reference: smev3/signed).

The core signs MessageMetadata of a receipt, Request and Response of a delivery (SMEVSignature) and what GetStatus
tells; a sender signs its SenderProvided…Data. Nothing is pretty-printed: what is signed is what is sent.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from adapter.xml.signature import sign_element
from simulators.smev3.giszhkh import timestamp
from simulators.smev3.mtom import reference
from simulators.smev3.names import SOAP
from simulators.smev3.queues import Party

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from adapter.xml.signature import Gost
    from simulators.smev3.names import Version
    from simulators.smev3.queues import Letter

CORE = "smev"
CORE_PARTY = Party(CORE, "Ядро СМЭВ (имитатор)")


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with its certificate (DER), ready to sign elements."""

    gost: Gost
    key: object
    certificate: bytes
    bits: int

    def sign(self, element: str) -> str:
        """Return ds:Signature over the root of ``element`` by its Id."""
        return sign_element(element.encode(), self.gost, self.key, self.certificate, self.bits).decode()


def envelope(content: str) -> bytes:
    """Return a SOAP envelope around ``content``."""
    return (f'<soap:Envelope xmlns:soap="{SOAP}"><soap:Body>{content}</soap:Body></soap:Envelope>').encode()


class Writer:
    """Writes what the core sends in one version of the service."""

    def __init__(self, version: Version, core: Signer) -> None:
        """``core`` signs as СМЭВ3 itself."""
        self.version = version
        self.core = core

    def receipt(self, operation: str, message_id: str, sender: Party, recipient: Party | None, now: datetime) -> bytes:
        """Return SendRequestResponse or SendResponseResponse: the message is queued."""
        answers = operation == "SendResponse"
        message_type = "RESPONSE" if answers else "REQUEST" if recipient else "BROADCAST"
        status = "responseIsAcceptedBySmev" if answers else "requestIsQueued"
        inner = self._metadata(message_id, message_type, sender, recipient, sent_at=now, status=status)
        element, signature = self.signed("MessageMetadata", "SIGNED_BY_SMEV", inner, self.core)
        return self._answer(f"{operation}Response", f"{element}<ns2:SMEVSignature>{signature}</ns2:SMEVSignature>")

    def delivery(self, letter: Letter, now: datetime, *, broken: bool) -> bytes:
        """Return GetResponseResponse or GetRequestResponse with ``letter``; ``broken`` spoils the core's signature.

        What its inline attachments hold is left to parts beside the envelope (see :mod:`simulators.smev3.mtom`).
        """
        kind = "Response" if letter.message_type == "RESPONSE" else "Request"
        status = self.version.delivered(letter.message_type)
        metadata = self._metadata(
            letter.message_id,
            letter.message_type,
            letter.author,
            letter.recipient,
            sent_at=letter.sent_at,
            delivered_at=now,
            status=status,
        )
        inner = (
            f"{self._history(letter) if kind == 'Response' else ''}{letter.provided}"
            f"<ns2:MessageMetadata>{metadata}</ns2:MessageMetadata>{_files(letter)}{self._reply_to(letter)}"
        )
        if letter.signature:
            inner += f"<ns2:SenderInformationSystemSignature>{letter.signature}</ns2:SenderInformationSystemSignature>"
        identifier = "SIGNED_BY_SMEV" if '"SIGNED_BY_SMEV"' not in inner else "SIGNED_BY_SMEV_CORE"
        element, signature = self.signed(kind, identifier, inner, self.core)
        if broken:
            signature = spoil(signature)
        return self._answer(
            f"Get{kind}Response",
            f"<ns2:{kind}Message>{element}{_contents(letter)}<ns2:SMEVSignature>{signature}</ns2:SMEVSignature>"
            f"</ns2:{kind}Message>",
        )

    def status(self, status: str) -> bytes:
        """Return GetStatusResponse with ``status``, an AsyncProcessingStatus."""
        element, signature = self.signed("AsyncProcessingStatusData", "SIGNED_ASYNC_BY_SMEV", status, self.core)
        return self._answer(
            "GetStatusResponse",
            f"<ns2:SmevAsyncProcessingMessage>{element}<ns2:SMEVSignature>{signature}</ns2:SMEVSignature>"
            "</ns2:SmevAsyncProcessingMessage>",
        )

    def statistics(self, queues: Iterable[tuple[str, int]]) -> bytes:
        """Return GetIncomingQueueStatisticsResponse about ``queues``: names and numbers of messages."""
        found = "".join(
            f'<ns2:QueueStatistics queueName={quoteattr(name[:200])} pendingMessageNumber="{number}"/>'
            for name, number in queues
        )
        return self._answer("GetIncomingQueueStatisticsResponse", found)

    def nothing(self, operation: str) -> bytes:
        """Return ``operation``Response without a child: the queue is empty, or the Ack is taken."""
        return self._answer(f"{operation}Response", "")

    def signed(self, element: str, name: str, inner: str, signer: Signer) -> tuple[str, str]:
        """Return the element as it stands in the answer, and its signature (made over it with its namespaces)."""
        alone = f'<ns2:{element} {self.version.declarations} Id="{name}">{inner}</ns2:{element}>'
        return f'<ns2:{element} Id="{name}">{inner}</ns2:{element}>', signer.sign(alone)

    def _metadata(  # noqa: PLR0913  — one argument per element of the schema
        self,
        message_id: str,
        message_type: str,
        sender: Party,
        recipient: Party | None,
        *,
        sent_at: datetime,
        status: str,
        delivered_at: datetime | None = None,
    ) -> str:
        """Return the content of MessageMetadata."""
        parts = [
            f"<ns2:MessageId>{message_id}</ns2:MessageId><ns2:MessageType>{message_type}</ns2:MessageType>",
            self._party("Sender", sender),
            f"<ns2:SendingTimestamp>{timestamp(sent_at)}</ns2:SendingTimestamp>",
        ]
        broker = self.version.tells_of_broker
        if broker:
            parts.append(
                f"<ns2:DestinationName>{escape(recipient.mnemonic if recipient else '*')}</ns2:DestinationName>"
            )
        if recipient is not None:
            parts.append(self._party("Recipient", recipient))
        if broker:
            kind = "<ns2:InteractionType>OIV2OIV</ns2:InteractionType>"
            parts.append(f"<ns2:SupplementaryData>{kind}</ns2:SupplementaryData>")
        if delivered_at is not None:
            parts.append(f"<ns2:DeliveryTimestamp>{timestamp(delivered_at)}</ns2:DeliveryTimestamp>")
        parts.append(f"<ns2:Status>{status}</ns2:Status>")
        return "".join(parts)

    def _party(self, element: str, party: Party) -> str:
        name = f"<ns2:HumanReadableName>{escape(party.name)}</ns2:HumanReadableName>"
        shown = name if self.version.names_people_read else ""
        return f"<ns2:{element}><ns2:Mnemonic>{escape(party.mnemonic)}</ns2:Mnemonic>{shown}</ns2:{element}>"

    def _history(self, letter: Letter) -> str:
        """Return what a Response says of the request it answers."""
        parts = [f"<ns2:OriginalMessageId>{letter.original}</ns2:OriginalMessageId>"]
        if letter.transaction:
            parts.append(f"<ns2:OriginalTransactionCode>{escape(letter.transaction)}</ns2:OriginalTransactionCode>")
        if letter.reference:
            parts.append(f"<ns2:ReferenceMessageID>{letter.reference}</ns2:ReferenceMessageID>")
        return "".join(parts)

    def _reply_to(self, letter: Letter) -> str:
        """Return where to answer: nowhere for a broadcast, but 1.1 demands the element."""
        if letter.message_type == "RESPONSE" or not (letter.reply_to or self.version.number == "1.1"):
            return ""
        return f"<ns2:ReplyTo>{escape(letter.reply_to)}</ns2:ReplyTo>"

    def _answer(self, name: str, content: str) -> bytes:
        return envelope(f"<ns2:{name} {self.version.declarations}>{content}</ns2:{name}>")


def _files(letter: Letter) -> str:
    """Return FSAttachmentsList: where the receiver fetches files."""
    if not letter.files:
        return ""
    found = "".join(
        f"<FSAttachment><uuid>{escape(access.uuid)}</uuid><UserName>{escape(access.user)}</UserName>"
        f"<Password>{escape(access.password)}</Password><FileName>{escape(access.file_name)}</FileName></FSAttachment>"
        for access in letter.files
    )
    return f"<FSAttachmentsList>{found}</FSAttachmentsList>"


def _contents(letter: Letter) -> str:
    """Return AttachmentContentList, the contents being parts beside the envelope."""
    inline = "".join(
        f"<AttachmentContent><Id>{escape(item.identifier)}</Id><Content>{reference(item.identifier)}</Content>"
        "</AttachmentContent>"
        for item in letter.attachments
        if item.path is None
    )
    return f"<AttachmentContentList>{inline}</AttachmentContentList>" if inline else ""


def reply_address(message_id: str, mnemonic: str) -> str:
    """Return the opaque address a provider copies into To."""
    return base64.b64encode(json.dumps({"mid": message_id, "eol": 0, "mnm": mnemonic}).encode()).decode()


def spoil(signature: str) -> str:
    """Return ``signature`` with one bit of its SignatureValue changed."""
    head, rest = signature.split("SignatureValue>", 1)
    value, tail = rest.split("</", 1)
    raw = bytearray(base64.b64decode(value))
    raw[0] ^= 1
    return f"{head}SignatureValue>{base64.b64encode(raw).decode()}</{tail}"
