"""What the simulated gateway says no with: an ErrorInfo whose codes are its own, or a bare fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adapter.gateways.shep.messages import fault_payload, payload

if TYPE_CHECKING:
    from datetime import datetime

    from adapter.gateways.shep.operations import Operation

#: What each code says; nobody publishes the real gateway's.
SENTENCES = {
    "SIM-SENDER": "Отправитель не зарегистрирован",
    "SIM-PASSWORD": "Неверный пароль отправителя",
    "SIM-SERVICE": "Сервис не зарегистрирован в этом контуре",
    "SIM-MODE": "Сервис работает в другом режиме взаимодействия",
    "SIM-USER": "Отправитель не подключён к сервису",
    "SIM-ROUTE": "Маршрут сервиса не найден",
    "SIM-MESSAGE-ID": "Идентификатор сообщения присваивает шлюз",
    "SIM-CORRELATION": "Не указан идентификатор цепочки, либо такой цепочки нет",
    "SIM-MESSAGE": "Сообщение не найдено среди сообщений отправителя запроса",
    "SIM-UNSIGNED": "Сообщение не подписано",
    "SIM-SIGNATURE": "Транспортная подпись неверна",
    "SIM-CERTIFICATE": "Сертификат недействителен",
    "SIM-BIN": "БИН в сертификате не соответствует организации отправителя",
    "SIM-CIPHER": "Сообщения сервиса шифруются, либо не шифруются, иначе",
    "SIM-PROVIDER": "Система-получатель не ответила",
    "SIM-WISHED": "Ошибка по желанию",
}


class RefusedError(Exception):
    """A message is refused: with an ErrorInfo when it has a ``code``, else as a bare fault."""

    def __init__(
        self, code: str, message: str = "", *, data: str = "", side: str = "Server", sub: bool = False
    ) -> None:
        """``message`` defaults to the code's sentence; with ``sub`` a nested error comes along."""
        super().__init__(code or side)
        self.code = code
        self.message = message or SENTENCES.get(code, "Ошибка")
        self.data = data
        self.side = side
        self.sub = sub

    def payload(self, operation: Operation | None, now: datetime) -> bytes:
        """Return the SOAP Fault; without an operation it has no detail, because none fits."""
        if not self.code or operation is None:
            return fault_payload(self.side, self.message)
        info: dict[str, Any] = {
            "error_code": self.code,
            "error_message": self.message,
            "error_data": self.data or None,
            "error_date": now,
            "session_id": session_id(),
        }
        if self.sub:
            info["sub_error"] = {"error_code": "SIM-CAUSE", "error_message": "Причина", "error_date": now}
        return fault_payload(self.side, self.message, payload(operation, "fault", info))


def session_id() -> str:
    """Return a new session as the gateway writes it."""
    return f"{{{uuid4()}}}"
