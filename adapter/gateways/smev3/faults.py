"""What each fault of СМЭВ3 means: a table by the fault's class, one by its code, and two defaults.

Source: the faults schema 1.2 (client's actions as documented there), the documentation of the service's operations,
and facts, smev3.md, Faults. Every element of that schema has a row; a test compares the table with the schema.

Defaults, for what stands in no table: a fault that has a class or an ``SMEV-NNN`` of its own is a considered answer of
the gateway and refuses for good, its code verbatim; a bare ``soap:Server`` is a hiccup on the way and is tried later;
a bare fault that blames the client (``soap:Client`` and the like) refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from adapter.errors import AdapterError, Code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CODE = re.compile(r"\s*(SMEV-\d{1,6})\b")


class Outcome(StrEnum):
    """What a fault means for the request that it answers."""

    REFUSED = "refused"
    """The same bytes will be refused again."""
    LATER = "later"
    """The gateway cannot take it now; the same bytes may be taken later."""
    REMINT = "remint"
    """The MessageID or its end of life was refused: only a new one could be taken, if no earlier copy may have."""
    DUPLICATE = "duplicate"
    """This MessageID was taken before: success, if an earlier attempt of ours is recorded."""
    UNNEEDED = "unneeded"
    """The gateway waits for no such confirmation (any more): success for an Ack, a refusal for anything else."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One row: the outcome, what the reader of the error may do (Russian), and a wish for the delay in seconds."""

    outcome: Outcome
    advice: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class SmevFault:
    """A fault as it was read, from a SOAP Fault or from an AsyncProcessingStatus.

    ``kind`` is the fault's class (``InvalidContent``), ``code`` the text of its Code (an internal address of the
    gateway's core), ``description`` its Description. ``fields`` are the other elements of the class by local name,
    ``validation_errors`` those of InvalidContent. Each is empty where the gateway gave none.
    """

    kind: str = ""
    code: str = ""
    description: str = ""
    faultcode: str = ""
    faultstring: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    validation_errors: Sequence[Mapping[str, str]] = ()


_SUPPORT = "Обратитесь в службу поддержки СМЭВ"
_SIGNATURE = FaultRule(Outcome.REFUSED, "Проверьте ЭП-ОВ: сертификат информационной системы и его регистрацию в СМЭВ")
_CONTENT = FaultRule(Outcome.REFUSED, "Исправьте бизнес-данные: они не соответствуют схеме вида сведений")
_TYPE = FaultRule(Outcome.REFUSED, "Проверьте, что вид сведений зарегистрирован в этом контуре СМЭВ")
_ATTACHMENTS = FaultRule(Outcome.REFUSED, "Исправьте вложения и отправьте новую команду")
_ID = FaultRule(Outcome.REMINT, "Проверьте часы сервера адаптера: СМЭВ отвергла идентификатор сообщения")
_DUPLICATE = FaultRule(Outcome.DUPLICATE, "Сообщение с таким идентификатором уже принято СМЭВ")
_OVERFLOW = FaultRule(Outcome.LATER, "Очередь получателя переполнена, отправка повторяется", after=60.0)

#: By class. ``PersonalAccessDenied`` is of schema 1.3.
RULES: Mapping[str, FaultRule] = {
    "SignatureVerificationFault": _SIGNATURE,
    "InvalidContent": _CONTENT,
    "BusinessDataTypeIsNotSupported": _TYPE,
    "UnknownMessageType": _TYPE,
    "TransactionCodeInvalid": FaultRule(Outcome.REFUSED, "Проверьте код транзакции"),
    "AccessDenied": FaultRule(Outcome.REFUSED, "Получите доступ к виду сведений у его владельца"),
    "PersonalAccessDenied": FaultRule(Outcome.REFUSED, "Получите доступ к виду сведений у его владельца"),
    "SenderIsNotRegistered": FaultRule(
        Outcome.REFUSED, "Проверьте регистрацию информационной системы в СМЭВ: возможно, сертификат сменил владельца"
    ),
    "RecipientIsNotFound": FaultRule(Outcome.REFUSED, _SUPPORT + ": получатель не найден"),
    "RequestIsNotFound": FaultRule(Outcome.REFUSED, "Запрос в СМЭВ не найден"),
    "TargetMessageIsNotFound": FaultRule(Outcome.UNNEEDED, "Неподтверждённого сообщения с таким идентификатором нет"),
    "IncorrectResponseContentType": FaultRule(Outcome.REFUSED, "Отправлен запрос там, где ожидается ответ"),
    "AttachmentContentMiscoordination": _ATTACHMENTS,
    "AttachmentSizeLimitExceeded": _ATTACHMENTS,
    # The same bytes carry the same end of life; a new id brings a new one, which counts from the moment inside the id.
    "EndOfLifeReached": FaultRule(Outcome.REMINT, "Срок жизни сообщения истёк, отправьте новую команду"),
    "MessageIsAlreadySent": _DUPLICATE,
    "InvalidMessageIdFormat": _ID,
    "StaleMessageId": _ID,
    "DestinationOverflow": _OVERFLOW,
    "QuoteLimitExceeded": FaultRule(Outcome.LATER, "Квота хранилища СМЭВ исчерпана, отправка повторяется", after=300.0),
    "SMEVFailure": FaultRule(Outcome.LATER, "Сбой в инфраструктуре СМЭВ, отправка повторяется"),
}

#: By code, for faults whose class is absent or unknown (facts, smev3.md, Faults: the codes' ranges).
CODE_RULES: Mapping[str, FaultRule] = {
    "SMEV-100": _SIGNATURE,
    "SMEV-300": _ID,
    "SMEV-301": _DUPLICATE,
    "SMEV-403": _CONTENT,
    "SMEV-501": RULES["TargetMessageIsNotFound"],
    "SMEV-600": _OVERFLOW,
}

_UNKNOWN = FaultRule(Outcome.REFUSED, _SUPPORT)
_HICCUP = FaultRule(Outcome.LATER, "Сбой на стороне шлюза, отправка повторяется")


def smev_code(fault: SmevFault) -> str:
    """Return the ``SMEV-NNN`` that the fault's own words begin with, or an empty string."""
    match = _CODE.match(fault.description) or _CODE.match(fault.faultstring)
    return match.group(1) if match else ""


def rule_of(fault: SmevFault) -> FaultRule:
    """Return the row for ``fault``: by class, else by code, else one of the documented defaults."""
    rule = RULES.get(fault.kind)
    if rule is None:
        code = smev_code(fault)
        rule = CODE_RULES.get(code)
        if rule is None:
            named = bool(fault.kind or code)
            rule = _UNKNOWN if named or not _blames_server(fault.faultcode) else _HICCUP
    return rule


def error_of(fault: SmevFault, *, details: Mapping[str, Any] | None = None) -> AdapterError:
    """Return the error that ``fault`` is to the one who asked.

    Its code is ``SMEV-NNN`` when the gateway's words begin with one, else the fault's class, else
    ``ADAPTER-GATEWAY-UNAVAILABLE`` (the server's hiccup) or ``ADAPTER-GATEWAY-PROTOCOL``. The description is the
    gateway's, verbatim. ``details`` are put before what is known of the fault itself.
    """
    rule = rule_of(fault)
    own = Code.GATEWAY_UNAVAILABLE if _blames_server(fault.faultcode) else Code.GATEWAY_PROTOCOL
    known: dict[str, Any] = dict(details or {})
    if fault.kind:
        known["fault"] = fault.kind
    if fault.code:
        known["fault_code"] = fault.code
    if fault.faultcode and not fault.kind:
        known["faultcode"] = fault.faultcode
    if fault.fields:
        known["fault_fields"] = dict(fault.fields)
    if fault.validation_errors:
        known["validation_errors"] = [dict(error) for error in fault.validation_errors]
    return AdapterError(
        smev_code(fault) or fault.kind or own.wire,
        fault.description or fault.faultstring or own.sentence,
        details=known,
        recommendation=rule.advice,
    )


def _blames_server(faultcode: str) -> bool:
    """Tell whether the SOAP faultcode (``soap:Server``, ``Server.userException``) blames the server."""
    return faultcode.rpartition(":")[2].partition(".")[0] == "Server"
