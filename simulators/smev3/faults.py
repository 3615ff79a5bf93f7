"""What the service says no with: SOAP faults as it writes them (facts: smev3.md; reference faults)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from simulators.smev3.names import SOAP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.smev3.names import Version


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One element of the faults namespace.

    ``code`` is the SMEV-NNN its description begins with: 100, 300, 301, 403, 501 and 600 are known from the real
    service, the others are the simulator's own choice. ``form`` is what the schema makes of it: a ``void`` has no
    place for a description, so that it needs an xsi:type; a ``fault`` has Code and Description; an ``own`` type adds
    fields. ``versions`` have it; others say ``instead``.
    """

    name: str
    code: str
    sentence: str
    form: Literal["void", "fault", "own"] = "void"
    versions: tuple[str, ...] = ("1.1", "1.2", "1.3")
    instead: str = ""


FAULTS = {
    kind.name: kind
    for kind in (
        FaultKind("SignatureVerificationFault", "SMEV-100", "ЭП-ОВ не прошла проверку", form="own"),
        FaultKind("SenderIsNotRegistered", "SMEV-101", "Отправитель не зарегистрирован в СМЭВ"),
        FaultKind("AccessDenied", "SMEV-102", "Отправителю не разрешена посылка сообщений данному получателю"),
        FaultKind("RecipientIsNotFound", "SMEV-103", "Получатель сообщения не найден"),
        FaultKind(
            "PersonalAccessDenied",
            "SMEV-104",
            "Отправителю не разрешена посылка сообщений по сертификату должностного лица",
            form="fault",
            versions=("1.3",),
            instead="AccessDenied",
        ),
        FaultKind("InvalidMessageIdFormat", "SMEV-300", "Идентификатор сообщения не является UUID версии 1"),
        FaultKind("MessageIsAlreadySent", "SMEV-301", "Сообщение с таким идентификатором уже было отправлено"),
        FaultKind("StaleMessageId", "SMEV-302", "Идентификатор сообщения содержит устаревшую отметку времени"),
        FaultKind("EndOfLifeReached", "SMEV-303", "Срок жизни сообщения истёк"),
        FaultKind("TransactionCodeInvalid", "SMEV-304", "Неверный код транзакции", form="fault"),
        FaultKind("UnknownMessageType", "SMEV-400", "Тип сообщения не зарегистрирован в СМЭВ"),
        FaultKind("BusinessDataTypeIsNotSupported", "SMEV-401", "Вид сведений не зарегистрирован в СМЭВ", form="own"),
        FaultKind("IncorrectResponseContentType", "SMEV-402", "Содержательная часть не является ответом"),
        FaultKind("InvalidContent", "SMEV-403", "Бизнес-данные сообщения не соответствуют схеме", form="own"),
        FaultKind("RequestIsNotFound", "SMEV-500", "Запрос не найден"),
        FaultKind("TargetMessageIsNotFound", "SMEV-501", "Не найдено неподтверждённое сообщение с таким ID"),
        FaultKind("DestinationOverflow", "SMEV-600", "Очередь получателя переполнена", form="own"),
        FaultKind("AttachmentContentMiscoordination", "SMEV-700", "Заголовки вложений не соответствуют содержимому"),
        FaultKind("AttachmentSizeLimitExceeded", "SMEV-701", "Превышен размер вложений", form="own"),
        FaultKind("QuoteLimitExceeded", "SMEV-702", "Превышена квота на вложения", form="own"),
        FaultKind("SMEVFailure", "SMEV-900", "Сбой в инфраструктуре СМЭВ, повторите попытку позже"),
    )
}

#: Fields that a fault's schema requires beyond Code and Description, when a scenario gives none.
_REQUIRED_FIELDS: Mapping[str, Mapping[str, str]] = {
    "SignatureVerificationFault": {"SignatureVerificationFault": "SignatureIsInvalid"},
    "BusinessDataTypeIsNotSupported": {"RootElementLocalName": "", "RootElementNamespaceURI": ""},
    "DestinationOverflow": {"MessageBrokerAddress": "simulator", "DestinationName": "simulator"},
    "AttachmentSizeLimitExceeded": {"PermittedTotalAttachmentSize": "5242880", "RealTotalAttachmentSize": "5242881"},
    "QuoteLimitExceeded": {"RemainedTotalQuoteSize": "0", "RealTotalAttachmentSize": "1"},
}


class RefusedError(Exception):
    """A message is refused at the door, as a fault of the faults namespace or as a bare SOAP fault.

    ``kind`` is ``None`` for a bare one (the envelope cannot be read or breaks the service's own schema).
    """

    def __init__(  # noqa: PLR0913  — a fault is made of these
        self,
        kind: FaultKind | None,
        sentence: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        place: str = "SPS:1",
        side: str = "Server",
        status: int = 500,
    ) -> None:
        """``sentence`` is Russian and defaults to the kind's; ``place`` names the check, as the real core does.

        ``status`` is that of HTTP.
        """
        self.kind = kind
        self.sentence = sentence or (kind.sentence if kind else "")
        self.fields = dict(fields or (_REQUIRED_FIELDS.get(kind.name, {}) if kind else {}))
        self.place = place
        self.side = side
        self.status = status
        super().__init__(f"{self.code}: {self.sentence}")

    @property
    def code(self) -> str:
        """SMEV-NNN, or ``soap:<side>`` for a bare fault: what the ledger says."""
        return self.kind.code if self.kind else f"soap:{self.side}"


def refuse(name: str, sentence: str = "", *, place: str = "SPS:1", **fields: str) -> RefusedError:
    """Return the refusal by fault ``name`` (a key of FAULTS) with its schema's own ``fields``."""
    return RefusedError(FAULTS[name], sentence, fields=fields, place=place)


def refuse_signature(finding: str, sentence: str, *, place: str) -> RefusedError:
    """Return a SignatureVerificationFault; ``finding`` is one of its six enumerated values."""
    return refuse("SignatureVerificationFault", sentence, place=place, SignatureVerificationFault=finding)


def refuse_bare(sentence: str, *, side: str = "Client", status: int = 500) -> RefusedError:
    """Return a SOAP fault without detail, as the service's SOAP stack answers what it cannot read."""
    return RefusedError(None, sentence, side=side, status=status)


def fault_named(text: str) -> FaultKind:
    """Return the fault that a scenario means by an element's name or an SMEV-NNN code. Raises KeyError."""
    by_code = {kind.code: kind for kind in FAULTS.values()}
    return by_code[text] if text in by_code else FAULTS[text]


def fault_envelope(refusal: RefusedError, version: Version) -> bytes:
    """Return the SOAP envelope of ``refusal``; the caller answers it with the refusal's HTTP status."""
    detail = "" if refusal.kind is None else f"<detail>{_detail(refusal, refusal.kind, version)}</detail>"
    return (
        f'<soap:Envelope xmlns:soap="{SOAP}"><soap:Body><soap:Fault>'
        f"<faultcode>soap:{refusal.side}</faultcode><faultstring>{escape(refusal.sentence)}</faultstring>{detail}"
        f"</soap:Fault></soap:Body></soap:Envelope>"
    ).encode()


def fault_fields(kind: FaultKind, rule: str, fields: Mapping[str, str] | None = None) -> str:
    """Return the fields that ``kind`` has beyond Code and Description; ``rule`` is what a schema found."""
    if kind.name == "InvalidContent":
        return f'<ns3:ValidationError errorPosition="-1">{escape(rule or kind.sentence)}</ns3:ValidationError>'
    found = _REQUIRED_FIELDS.get(kind.name, {}) if fields is None else fields
    return "".join(f"<ns3:{name}>{escape(value)}</ns3:{name}>" for name, value in found.items())


def _detail(refusal: RefusedError, kind: FaultKind, version: Version) -> str:
    if version.number not in kind.versions:
        kind = FAULTS[kind.instead]
    # Void faults are extended by xsi:type: the schema allows it, and Code and Description have a place.
    typed = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="SmevFault"' if kind.form == "void" else ""
    return (
        f"<ns3:{kind.name} {version.declarations}{typed}>"
        f"<Code>tsmev3:SIMULATOR:TSMEV3_CORE1 : TR:SYNC:{refusal.place}</Code>"
        f"<Description>{kind.code}:{escape(refusal.sentence)}</Description>"
        f"{fault_fields(kind, refusal.sentence, refusal.fields)}</ns3:{kind.name}>"
    )
