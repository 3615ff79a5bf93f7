"""The error family: every way the adapter can say no, with the wire code an upstream system reads.

Wire codes are API. The adapter's own begin with ``ADAPTER-`` and live in :class:`Code`; a gateway's own code
(``EXP001000``, ``SMEV-403``, ``INT054003``) is never renamed and travels as it came. What upstream systems read is
Russian; logs and docstrings are English.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Retry(StrEnum):
    """What the one who asked may do about an error."""

    FIX = "fix"
    """Change the command: the same one will be refused again."""
    LATER = "later"
    """The same command may be published again later, under a new message_id."""
    NEVER = "never"
    """Do not repeat: the request may have been sent. Ask an operator."""
    OPERATOR = "operator"
    """Nothing upstream can do: the adapter's operator has to act."""


class Code(Enum):
    """Wire codes of the adapter: value is (code, Russian sentence, retry class)."""

    INVALID_COMMAND = ("ADAPTER-INVALID-COMMAND", "Команда не соответствует формату", Retry.FIX)
    MESSAGE_ID_REUSED = (
        "ADAPTER-MESSAGE-ID-REUSED",
        "Команда с таким message_id уже принята с другим содержимым",
        Retry.FIX,
    )
    EXPIRED = ("ADAPTER-EXPIRED", "Срок команды истёк до получения ответа", Retry.LATER)
    UNCERTAIN = (
        "ADAPTER-UNCERTAIN",
        "Неизвестно, принят ли запрос: ответ шлюза не получен, повторная отправка запрещена",
        Retry.NEVER,
    )
    GATEWAY_UNAVAILABLE = ("ADAPTER-GATEWAY-UNAVAILABLE", "Шлюз недоступен", Retry.LATER)
    MAINTENANCE = (
        "ADAPTER-MAINTENANCE",
        "Идут объявленные плановые работы шлюза или сервиса: запрос не отправлялся",
        Retry.LATER,
    )
    BEHIND_ANOTHER = (
        "ADAPTER-BEHIND-ANOTHER",
        "Команда ждёт: прежняя по тому же заявлению или делу ещё не завершена",
        Retry.LATER,
    )
    THROTTLED = (
        "ADAPTER-THROTTLED",
        "Отправка отложена: точка доставки принимает не больше объявленного числа сообщений",
        Retry.LATER,
    )
    GATEWAY_PROTOCOL = ("ADAPTER-GATEWAY-PROTOCOL", "Ответ шлюза не соответствует протоколу", Retry.OPERATOR)
    ANSWER_UNREADABLE = (
        "ADAPTER-ANSWER-UNREADABLE",
        "Ответ получен и подписан, но не соответствует схеме вида сведений",
        Retry.OPERATOR,
    )
    SIGNATURE_UNAVAILABLE = ("ADAPTER-SIGNATURE-UNAVAILABLE", "Сервис подписи недоступен", Retry.LATER)
    SIGNATURE_REFUSED = ("ADAPTER-SIGNATURE-REFUSED", "Сервис подписи отказал в подписи", Retry.OPERATOR)
    SIGNATURE_WRONG = (
        "ADAPTER-SIGNATURE-WRONG",
        "Сервис подписи вернул подпись другого элемента или другим сертификатом",
        Retry.OPERATOR,
    )
    ATTACHMENT_REFUSED = ("ADAPTER-ATTACHMENT-REFUSED", "Вложение не принято", Retry.FIX)
    ATTACHMENT_UNAVAILABLE = ("ADAPTER-ATTACHMENT-UNAVAILABLE", "Файл вложения сейчас недоступен", Retry.LATER)
    ATTACHMENT_WRONG = (
        "ADAPTER-ATTACHMENT-WRONG",
        "Ответ получен, но его вложение не соответствует подписанному",
        Retry.OPERATOR,
    )
    UNSUPPORTED_ALGORITHM = (
        "ADAPTER-UNSUPPORTED-ALGORITHM",
        "Подпись сделана алгоритмом, который адаптер не проверяет",
        Retry.OPERATOR,
    )
    GATEWAY_SIGNATURE = (
        "ADAPTER-GATEWAY-SIGNATURE",
        "Подпись сообщения шлюза не подтверждена",
        Retry.OPERATOR,
    )
    TOKEN_REFUSED = ("ADAPTER-TOKEN-REFUSED", "Маркер доступа не получен или не принят", Retry.OPERATOR)
    UPLOAD_LOST = (
        "ADAPTER-UPLOAD-LOST",
        "Архив не загружен за отведённое время: номер заявления зарезервирован, заявление не отправлено",
        Retry.LATER,
    )
    REJECTED_BY_PROVIDER = ("ADAPTER-REJECTED", "Поставщик отклонил запрос", Retry.FIX)
    REQUEST_NOT_FOUND = ("ADAPTER-REQUEST-NOT-FOUND", "Запрос, на который отвечает команда, не найден", Retry.FIX)
    NO_ANSWER_WANTED = ("ADAPTER-NO-ANSWER-WANTED", "Ответ на этот запрос не предусмотрен", Retry.FIX)
    ALREADY_ANSWERED = ("ADAPTER-ALREADY-ANSWERED", "На запрос уже дан окончательный ответ", Retry.FIX)
    TOO_LATE = ("ADAPTER-TOO-LATE", "Ответ опоздал: запрос больше никто не ждёт", Retry.FIX)
    MESSAGE_NOT_ALLOWED = (
        "ADAPTER-MESSAGE-NOT-ALLOWED",
        "Ни один статус заявления не разрешал переписку с заявителем",
        Retry.FIX,
    )
    UNKNOWN_REQUEST = (
        "ADAPTER-UNKNOWN-REQUEST",
        "Поступил запрос, вид сведений которого здесь не обслуживается",
        Retry.OPERATOR,
    )
    REQUEST_UNREADABLE = ("ADAPTER-REQUEST-UNREADABLE", "Поступивший запрос не соответствует протоколу", Retry.OPERATOR)
    UNKNOWN_ACTION = ("ADAPTER-UNKNOWN-ACTION", "Действие не обслуживается этим адаптером", Retry.FIX)
    DEAD = ("ADAPTER-DEAD", "Команда остановлена до разбора оператором", Retry.OPERATOR)
    INTERNAL = ("ADAPTER-INTERNAL", "Внутренняя ошибка адаптера", Retry.OPERATOR)

    def __init__(self, wire: str, sentence: str, retry: Retry) -> None:
        """Unpack the enum value into named attributes."""
        self.wire = wire
        self.sentence = sentence
        self.retry = retry


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field of a command that breaks one rule.

    ``path`` is written as an upstream developer would write it: ``actions[0].request_data.applicant_info.snils``,
    or ``properties.message_id`` for a message property. ``rule`` is a Russian sentence and never repeats the value:
    values may be personal data.
    """

    path: str
    rule: str


class AdapterError(Exception):
    """Base of everything the adapter raises on purpose; carries what the error reply says."""

    def __init__(
        self,
        code: str,
        description: str,
        *,
        fields: Sequence[FieldFault] = (),
        details: Mapping[str, Any] | None = None,
        recommendation: str | None = None,
    ) -> None:
        """Keep the parts of the wire error; ``description`` is Russian and free of personal data of ours."""
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.fields = tuple(fields)
        self.details = dict(details or {})
        self.recommendation = recommendation

    def to_wire(self) -> dict[str, Any]:
        """Return the body of ``{"error": …}`` (ARCHITECTURE, Wire conventions on RabbitMQ)."""
        wire: dict[str, Any] = {"error_code": self.code, "description": self.description}
        if self.fields:
            wire["fields"] = [{"path": fault.path, "rule": fault.rule} for fault in self.fields]
        if self.details:
            wire["details"] = self.details
        if self.recommendation:
            wire["recommendation"] = self.recommendation
        return wire


class InvalidCommandError(AdapterError):
    """The command breaks its contract; no gateway is called."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        """``faults`` lists every broken rule that was found, never empty."""
        super().__init__(Code.INVALID_COMMAND.wire, Code.INVALID_COMMAND.sentence, fields=faults)


class KnownError(AdapterError):
    """An error of :class:`Code`, optionally with a more exact Russian sentence."""

    def __init__(
        self,
        code: Code,
        description: str | None = None,
        *,
        fields: Sequence[FieldFault] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """``description`` defaults to the code's own sentence."""
        super().__init__(code.wire, description or code.sentence, fields=fields, details=details)
        self.known = code


class AnswerUnreadableError(KnownError):
    """A gateway's durable answer cannot be read by its service: the exchange is parked with its raw bytes."""

    def __init__(self, description: str | None = None) -> None:
        """``description`` names the rule that the answer breaks, without its values."""
        super().__init__(Code.ANSWER_UNREADABLE, description)


class SignerError(KnownError):
    """SIGN_SERVICE refused or could not be reached; ``retryable`` tells whether asking again may help."""

    def __init__(self, code: Code, description: str | None = None, *, retryable: bool) -> None:
        """``code`` is one of the SIGNATURE_* codes."""
        super().__init__(code, description)
        self.retryable = retryable


class FileError(KnownError):
    """A file cannot be taken, moved or kept; ``retryable`` tells whether doing it again from the start may help."""

    def __init__(
        self, code: Code, description: str | None = None, *, fields: Sequence[FieldFault] = (), retryable: bool
    ) -> None:
        """``fields`` names the command's field at fault, if it is one of a command."""
        super().__init__(code, description, fields=fields)
        self.retryable = retryable


class FileTooLargeError(FileError):
    """A file is larger than allowed; nothing of it was kept."""

    def __init__(self, limit: int, *, fields: Sequence[FieldFault] = ()) -> None:
        """``limit`` in bytes."""
        sentence = f"Файл больше допустимого: {limit} байт"
        super().__init__(Code.ATTACHMENT_REFUSED, sentence, fields=fields, retryable=False)
        self.limit = limit


class FtpError(FileError):
    """A file storage refused, cut the transfer or did not answer; ``reply`` is its three digits, if it gave any."""

    def __init__(self, description: str, *, reply: str = "", retryable: bool) -> None:
        """``description`` is a Russian sentence that repeats nothing of what the storage said."""
        super().__init__(Code.GATEWAY_UNAVAILABLE, description, retryable=retryable)
        self.reply = reply


class ConfigurationError(Exception):
    """The configuration is wrong: every fault at once, each by its variable's name, secrets masked."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        """``faults`` maps a variable's name to an English sentence."""
        super().__init__("; ".join(f"{name}: {fault}" for name, fault in faults.items()))
        self.faults = dict(faults)
