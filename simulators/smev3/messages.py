"""The envelopes the simulator writes, signed where the real service signs (reference: smev3/signed).

The core signs MessageMetadata of a receipt and Response of a delivery (SMEVSignature); the provider signs
SenderProvidedResponseData. Nothing is pretty-printed: what is signed is what is sent.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4
from xml.sax.saxutils import escape

from adapter.xml.signature import sign_element
from simulators.smev3.giszhkh import timestamp
from simulators.smev3.names import SOAP

if TYPE_CHECKING:
    from datetime import datetime

    from adapter.xml.signature import Gost
    from simulators.smev3.names import Version
    from simulators.smev3.queues import Letter
    from simulators.smev3.scenario import Rejected

CORE = "smev"


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


def multipart(body: bytes) -> tuple[bytes, str]:
    """Return ``body`` as the single part of a multipart/related answer, with its Content-Type, as CXF writes it."""
    boundary = f"uuid:{uuid4()}"
    head = (
        f"--{boundary}\r\n"
        'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n'
        "Content-Transfer-Encoding: binary\r\n"
        "Content-ID: <root.message@cxf.apache.org>\r\n\r\n"
    )
    content_type = (
        f'multipart/related; type="application/xop+xml"; boundary="{boundary}"; '
        'start="<root.message@cxf.apache.org>"; start-info="text/xml"'
    )
    return head.encode() + body + f"\r\n--{boundary}--".encode(), content_type


class Writer:
    """Writes what the core sends in one version of the service."""

    def __init__(self, version: Version, core: Signer) -> None:
        """``core`` signs as СМЭВ3 itself."""
        self._version = version
        self._core = core

    def receipt(self, message_id: str, sender: str, recipient: str, now: datetime) -> bytes:
        """Return SendRequestResponse: the request is queued."""
        inner = (
            f"<ns2:MessageId>{message_id}</ns2:MessageId><ns2:MessageType>REQUEST</ns2:MessageType>"
            f"<ns2:Sender><ns2:Mnemonic>{escape(sender)}</ns2:Mnemonic></ns2:Sender>"
            f"<ns2:SendingTimestamp>{timestamp(now)}</ns2:SendingTimestamp>"
            f"<ns2:Recipient><ns2:Mnemonic>{escape(recipient)}</ns2:Mnemonic></ns2:Recipient>"
            f"<ns2:Status>requestIsQueued</ns2:Status>"
        )
        element, signature = self._signed("MessageMetadata", "SIGNED_BY_SMEV", inner, self._core)
        return self._answer("SendRequestResponse", f"{element}<ns2:SMEVSignature>{signature}</ns2:SMEVSignature>")

    def delivery(self, letter: Letter, now: datetime, *, broken: bool) -> bytes:
        """Return GetResponseResponse with ``letter``; ``broken`` spoils the core's signature value."""
        inner = (
            f"<ns2:OriginalMessageId>{letter.original}</ns2:OriginalMessageId>{letter.provided}"
            f"<ns2:MessageMetadata><ns2:MessageId>{letter.message_id}</ns2:MessageId>"
            f"<ns2:MessageType>RESPONSE</ns2:MessageType>"
            f"<ns2:Sender><ns2:Mnemonic>{escape(letter.author)}</ns2:Mnemonic></ns2:Sender>"
            f"<ns2:SendingTimestamp>{timestamp(letter.sent_at)}</ns2:SendingTimestamp>"
            f"<ns2:Recipient><ns2:Mnemonic>{escape(letter.recipient)}</ns2:Mnemonic></ns2:Recipient>"
            f"<ns2:DeliveryTimestamp>{timestamp(now)}</ns2:DeliveryTimestamp>"
            f"<ns2:Status>messageIsDelivered</ns2:Status></ns2:MessageMetadata>"
            f"<ns2:SenderInformationSystemSignature>{letter.signature}</ns2:SenderInformationSystemSignature>"
        )
        element, signature = self._signed("Response", "SIGNED_BY_SMEV", inner, self._core)
        if broken:
            signature = _spoil(signature)
        return self._answer(
            "GetResponseResponse",
            f"<ns2:ResponseMessage>{element}<ns2:SMEVSignature>{signature}</ns2:SMEVSignature></ns2:ResponseMessage>",
        )

    def nothing(self, operation: str) -> bytes:
        """Return ``operation``Response without a child: the queue is empty, or the Ack is taken."""
        return self._answer(f"{operation}Response", "")

    def content(self, provider: Signer, message_id: str, to: str, business: bytes) -> tuple[str, str]:
        """Return a provider's answer as (SenderProvidedResponseData, its signature)."""
        body = f"<MessagePrimaryContent>{business.decode()}</MessagePrimaryContent>"
        return self._provided("SENDER_OV_SIGNATURE", message_id, to, body, provider)

    def rejected(self, provider: Signer, message_id: str, to: str, reason: Rejected) -> tuple[str, str]:
        """Return a provider's refusal as (SenderProvidedResponseData, its signature)."""
        body = (
            f"<ns2:RequestRejected><ns2:RejectionReasonCode>{reason.code}</ns2:RejectionReasonCode>"
            f"<ns2:RejectionReasonDescription>{escape(reason.description)}</ns2:RejectionReasonDescription>"
            f"</ns2:RequestRejected>"
        )
        return self._provided("SENDER_OV_SIGNATURE", message_id, to, body, provider)

    def status(self, provider: Signer, message_id: str, to: str, code: str) -> tuple[str, str]:
        """Return a provider's news about a request as (SenderProvidedResponseData, its signature)."""
        body = (
            f"<ns2:RequestStatus><ns2:StatusCode>{escape(code)}</ns2:StatusCode>"
            f"<ns2:StatusDescription>Запрос обрабатывается</ns2:StatusDescription></ns2:RequestStatus>"
        )
        return self._provided("SENDER_OV_SIGNATURE", message_id, to, body, provider)

    def invalid_content(self, message_id: str, to: str, original: str, rule: str) -> tuple[str, str]:
        """Return the core's late rejection (SMEV-403) as (SenderProvidedResponseData, its signature)."""
        sentence = f"Бизнес-данные сообщения не соответствуют схеме, зарегистрированной в СМЭВ. MessageId = {original}"
        body = (
            f"<ns2:AsyncProcessingStatus><ns2:OriginalMessageId>{original}</ns2:OriginalMessageId>"
            f"<ns2:StatusCategory>requestIsRejectedBySmev</ns2:StatusCategory>"
            f"<ns2:StatusDetails>{sentence}</ns2:StatusDetails>"
            f'<ns2:SmevFault xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ns3:InvalidContent">'
            f"<Code>tsmev3:SIMULATOR:TSMEV3_ASYNC_CORE1:TR:ASYNC:PP:BSV:3</Code>"
            f"<Description>SMEV-403:{sentence}</Description>"
            f'<ns3:ValidationError errorPosition="-1">{escape(rule)}</ns3:ValidationError>'
            f"</ns2:SmevFault></ns2:AsyncProcessingStatus>"
        )
        return self._provided("SIGNED_ASYNC_BY_SMEV", message_id, to, body, self._core)

    def _provided(self, name: str, message_id: str, to: str, body: str, signer: Signer) -> tuple[str, str]:
        inner = f"<ns2:MessageID>{message_id}</ns2:MessageID><ns2:To>{escape(to)}</ns2:To>{body}"
        return self._signed("SenderProvidedResponseData", name, inner, signer)

    def _signed(self, element: str, name: str, inner: str, signer: Signer) -> tuple[str, str]:
        """Return the element as it stands in the answer, and its signature (made over it with its namespaces)."""
        alone = f'<ns2:{element} {self._version.declarations} Id="{name}">{inner}</ns2:{element}>'
        return f'<ns2:{element} Id="{name}">{inner}</ns2:{element}>', signer.sign(alone)

    def _answer(self, name: str, content: str) -> bytes:
        return envelope(f"<ns2:{name} {self._version.declarations}>{content}</ns2:{name}>")


def reply_address(message_id: str, mnemonic: str) -> str:
    """Return the opaque address a provider copies into To."""
    return base64.b64encode(json.dumps({"mid": message_id, "eol": 0, "mnm": mnemonic}).encode()).decode()


def _spoil(signature: str) -> str:
    """Return ``signature`` with one bit of its SignatureValue changed."""
    head, rest = signature.split("SignatureValue>", 1)
    value, tail = rest.split("</", 1)
    raw = bytearray(base64.b64decode(value))
    raw[0] ^= 1
    return f"{head}SignatureValue>{base64.b64encode(raw).decode()}</{tail}"
