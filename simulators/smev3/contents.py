"""What senders put into a message, written for the simulator's own providers, consumers and for the core itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from adapter.xml.parser import serialize
from simulators.smev3.attachments import headers_xml
from simulators.smev3.faults import fault_fields, fault_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

    from simulators.smev3.attachments import Attachment
    from simulators.smev3.faults import FaultKind
    from simulators.smev3.messages import Signer, Writer
    from simulators.smev3.scenario import Rejected

_TYPED = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ns3:{}"'


@dataclass(frozen=True, slots=True)
class Provided:
    """A sender-provided part and the signature over it, both as XML text."""

    element: str
    signature: str


class Author:
    """Writes sender-provided parts in one version."""

    def __init__(self, writer: Writer) -> None:
        """``writer`` signs what the core says."""
        self.writer = writer
        self._version = writer.version

    def content(
        self, signer: Signer, message_id: str, to: str, business: bytes, attachments: Sequence[Attachment] = ()
    ) -> Provided:
        """Return a provider's answer."""
        body = f"<MessagePrimaryContent>{business.decode()}</MessagePrimaryContent>"
        return self._response(
            "SENDER_OV_SIGNATURE", message_id, to, body + headers_xml(attachments, self._version), signer
        )

    def rejected(self, signer: Signer, message_id: str, to: str, reason: Rejected) -> Provided:
        """Return a provider's refusal."""
        body = (
            f"<ns2:RequestRejected><ns2:RejectionReasonCode>{reason.code}</ns2:RejectionReasonCode>"
            f"<ns2:RejectionReasonDescription>{escape(reason.description)}</ns2:RejectionReasonDescription>"
            f"</ns2:RequestRejected>"
        )
        return self._response("SENDER_OV_SIGNATURE", message_id, to, body, signer)

    def status(self, signer: Signer, message_id: str, to: str, number: int) -> Provided:
        """Return a provider's news about a request; versions but 1.2 want a number for its code."""
        code = f"IN_PROGRESS_{number}" if self._version.number == "1.2" else str(number)
        body = (
            f"<ns2:RequestStatus><ns2:StatusCode>{code}</ns2:StatusCode>"
            f"<ns2:StatusDescription>Запрос обрабатывается</ns2:StatusDescription></ns2:RequestStatus>"
        )
        return self._response("SENDER_OV_SIGNATURE", message_id, to, body, signer)

    def rejected_late(self, message_id: str, to: str, original: str, kind: FaultKind, rule: str) -> Provided:
        """Return the core's rejection of a request that it had taken."""
        body = self.async_status(original, "requestIsRejectedBySmev", kind, rule)
        return self._response("SIGNED_ASYNC_BY_SMEV", message_id, to, body, self.writer.core)

    def async_status(self, original: str, category: str, kind: FaultKind | None = None, rule: str = "") -> str:
        """Return AsyncProcessingStatus of the message ``original``."""
        sentence = f"{kind.sentence}. MessageId = {original}" if kind is not None else ""
        details = f"<ns2:StatusDetails>{escape(sentence[:500])}</ns2:StatusDetails>" if sentence else ""
        return (
            f"<ns2:AsyncProcessingStatus><ns2:OriginalMessageId>{original}</ns2:OriginalMessageId>"
            f"<ns2:StatusCategory>{category}</ns2:StatusCategory>{details}"
            f"{'' if kind is None else self._fault(kind, sentence, rule)}</ns2:AsyncProcessingStatus>"
        )

    def _fault(self, kind: FaultKind, sentence: str, rule: str) -> str:
        typed = _TYPED.format(kind.name) if kind.form == "own" else ""
        return (
            f"<ns2:SmevFault{typed}><Code>tsmev3:SIM:TSMEV3_ASYNC_CORE1:TR:ASYNC:PP:BSV:3</Code>"
            f"<Description>{kind.code}:{escape(sentence)}</Description>"
            f"{fault_fields(kind, rule) if typed else ''}</ns2:SmevFault>"
        )

    def _response(self, name: str, message_id: str, to: str, body: str, signer: Signer) -> Provided:
        inner = f"<ns2:MessageID>{message_id}</ns2:MessageID><ns2:To>{escape(to)}</ns2:To>{body}"
        return Provided(*self.writer.signed("SenderProvidedResponseData", name, inner, signer))

    def request(self, signer: Signer, inner: str) -> Provided:
        """Return a consumer's request of ``inner``, the content of SenderProvidedRequestData."""
        return Provided(*self.writer.signed("SenderProvidedRequestData", "SIGNED_BY_CONSUMER", inner, signer))


def late_fault(wish: bool | str) -> FaultKind:  # noqa: FBT001  — the scenario's own field
    """Return the fault of a late rejection that a scenario wants: by name or code, else InvalidContent."""
    return fault_named(wish if isinstance(wish, str) else "InvalidContent")


def standalone(element: etree._Element) -> str:
    """Return ``element`` so that it means the same wherever it is laid in, as the signature over it demands."""
    text = serialize(element).decode()
    if None in element.nsmap:
        return text
    # Our envelopes have a default namespace; names without a prefix and a namespace must not fall into it.
    cut = next(place for place, letter in enumerate(text) if letter in " />")
    return f'{text[:cut]} xmlns=""{text[cut:]}'
