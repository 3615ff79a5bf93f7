"""What a delivery is to its exchange: the business answer, a rejection, or news that ends nothing.

Source: types schema, SenderProvidedResponseData (one choice of four), and facts, smev3.md, Response choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree

from adapter.errors import AdapterError, Code
from adapter.exchange import Answer, AnswerKind, Event
from adapter.gateways.smev3.faults import SmevFault, error_of, smev_code
from adapter.gateways.smev3.incoming import NOTHING, Collected
from adapter.gateways.smev3.reading import UnreadableError, optional_text, read_async_fault
from adapter.xml.parser import serialize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lxml.etree import _Element

    from adapter.gateways.smev3.messages import Names
    from adapter.gateways.smev3.reading import Delivery

SOURCE = "smev3"
STATUS_EVENT = "smev3.request-status"

#: requestIsRejectedBySmev, responseIsRejectedBySmev: the category itself says so.
_REJECTING = "IsRejectedBy"
#: A raw SmevFault above this, in bytes, is not repeated to the one who asked: the journal has it with the answer.
_FAULT_LIMIT = 64 * 2**10


def to_answer(  # noqa: PLR0913  — what is known of a delivery
    delivery: Delivery,
    raw: bytes,
    names: Names,
    *,
    verdicts: Sequence[Mapping[str, Any]],
    mine: bool,
    collected: Collected = NOTHING,
) -> Answer:
    """Return the Answer that ``delivery`` is. Its ``raw`` are the bytes of the SOAP envelope that was signed.

    A signed message that follows no choice of the schema becomes an ANSWER without content: it is kept, confirmed and
    parked with its raw bytes, because its redelivery would read the same and its loss would be ours. A business answer
    whose attachments are not what was signed is a REJECTION for its command; its content is kept beside the reason.
    """
    try:
        kind, content, fault, event, reference = _read(delivery, names)
    except UnreadableError:
        kind, content, fault, event, reference = AnswerKind.ANSWER, b"", None, None, delivery.original_id
    if collected.fault is not None and kind is AnswerKind.ANSWER:
        kind, fault = AnswerKind.REJECTION, collected.fault
    return Answer(
        source=SOURCE,
        key=delivery.message_id,
        reference=reference,
        kind=kind,
        raw=raw,
        content=content,
        fault=fault,
        event=event,
        verdicts=verdicts,
        mine=mine,
        attachments=tuple(collected.files),
    )


#: Kind, content, fault, event and reference of an answer.
Parts = tuple[AnswerKind, bytes, AdapterError | None, Event | None, str]


def _read(delivery: Delivery, names: Names) -> Parts:
    """Return the parts of the answer that ``delivery`` is. Raises UnreadableError."""
    if delivery.data is None:
        raise UnreadableError("Response without SenderProvidedResponseData")
    primary = delivery.data.find(names.base("MessagePrimaryContent"))
    if primary is not None:
        return AnswerKind.ANSWER, business_root(primary), None, None, delivery.original_id
    rejections = delivery.data.findall(names.type("RequestRejected"))
    if rejections:
        return AnswerKind.REJECTION, b"", _rejection(rejections, names), None, delivery.original_id
    status = delivery.data.find(names.type("RequestStatus"))
    if status is not None:
        return AnswerKind.STATUS, b"", None, _request_status(delivery, status, names), delivery.original_id
    processing = delivery.data.find(names.type("AsyncProcessingStatus"))
    if processing is not None:
        return read_status(processing, names, key=delivery.message_id, original_id=delivery.original_id)
    raise UnreadableError("Response holds none of the four choices")


def business_root(primary: _Element) -> bytes:
    """Return the business root as a standalone element, with the namespaces that were in scope.

    Comments and processing instructions are taken out: the signature does not see them, so nobody may. Raises
    UnreadableError.
    """
    etree.strip_tags(primary, etree.Comment, etree.ProcessingInstruction)
    if len(primary) != 1:
        raise UnreadableError("MessagePrimaryContent does not hold exactly one element")
    return serialize(primary[0])


def _rejection(rejections: Sequence[_Element], names: Names) -> AdapterError:
    """Return the provider's rejection, code and description verbatim; several are listed in the details."""
    reasons = [
        {
            "code": optional_text(rejection, names.type("RejectionReasonCode")) or Code.REJECTED_BY_PROVIDER.wire,
            "description": optional_text(rejection, names.type("RejectionReasonDescription"))
            or Code.REJECTED_BY_PROVIDER.sentence,
        }
        for rejection in rejections
    ]
    return AdapterError(
        reasons[0]["code"],
        reasons[0]["description"],
        details={"rejections": reasons} if len(reasons) > 1 else None,
    )


def _request_status(delivery: Delivery, status: _Element, names: Names) -> Event:
    """Return the event of a provider's RequestStatus."""
    parameters = [
        {
            "key": optional_text(parameter, names.type("Key")) or "",
            "value": optional_text(parameter, names.type("Value")) or "",
        }
        for parameter in status.findall(names.type("StatusParameter"))
    ]
    return Event(
        STATUS_EVENT,
        {
            "message_id": delivery.message_id,
            "original_message_id": delivery.original_id,
            "code": optional_text(status, names.type("StatusCode")) or "",
            "description": optional_text(status, names.type("StatusDescription")) or "",
            "parameters": parameters,
        },
    )


def read_status(processing: _Element, names: Names, *, key: str, original_id: str) -> Parts:
    """Return what an AsyncProcessingStatus is: a rejection by СМЭВ, or news of a message's way.

    ``key`` is the id of the message that brought it, ``original_id`` what it is about when it does not say so itself.
    Raises UnreadableError.
    """
    reference = optional_text(processing, names.type("OriginalMessageId")) or original_id
    category = optional_text(processing, names.type("StatusCategory")) or ""
    details = optional_text(processing, names.type("StatusDetails")) or ""
    element = processing.find(names.type("SmevFault"))
    if element is None and _REJECTING not in category:
        event = Event(
            STATUS_EVENT,
            {
                "message_id": key,
                "original_message_id": reference,
                "category": category,
                "description": details,
                "parameters": [],
            },
        )
        return AnswerKind.STATUS, b"", None, event, reference
    fault = SmevFault() if element is None else read_async_fault(element)
    error = _async_error(fault, category, details)
    if element is not None:
        spoken = serialize(element)
        if len(spoken) <= _FAULT_LIMIT:
            error.details["smev_fault"] = spoken.decode()
    return AnswerKind.REJECTION, b"", error, None, reference


def _async_error(fault: SmevFault, category: str, details: str) -> AdapterError:
    """Return a rejection by СМЭВ: the fault's code and words, else those of the status, else its category."""
    spoken = SmevFault(
        kind=fault.kind or ("" if smev_code(fault) else category),
        code=fault.code,
        description=fault.description or details,
        fields=fault.fields,
        validation_errors=fault.validation_errors,
    )
    known = {"category": category, "status_details": details}
    error = error_of(spoken, details={name: value for name, value in known.items() if value})
    if spoken.kind == category:
        error.details.pop("fault", None)
    return error
