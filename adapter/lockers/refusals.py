"""Every way the lockers' application says no: a wire code for commands, a name for the locker's vendor."""

from __future__ import annotations

from enum import Enum
from typing import Any

from adapter.errors import AdapterError


class Refusal(Enum):
    """Value is (wire code, name in ``{name, message}``, Russian sentence). All of them say: change what you ask for."""

    NO_CASE = ("ADAPTER-POSTAMAT-NO-CASE", "No case", "Дело с таким номером не передано на выдачу через постамат")
    CASE_EXISTS = ("ADAPTER-POSTAMAT-CASE-EXISTS", "Case exists", "Дело с таким номером уже передано на выдачу")
    NO_LOCKER = ("ADAPTER-POSTAMAT-NO-LOCKER", "No postamat", "Постамата с таким номером нет в справочнике")
    LOCKER_EXISTS = (
        "ADAPTER-POSTAMAT-LOCKER-EXISTS",
        "Postamat exists",
        "Постамат с таким номером уже есть в справочнике",
    )
    INACTIVE = ("ADAPTER-POSTAMAT-INACTIVE", "Inactive postamat", "Постамат неактивен")
    NOT_SERVED = (
        "ADAPTER-POSTAMAT-NOT-SERVED",
        "Department not served",
        "Постамат не обслуживает это подразделение",
    )
    NOT_PERMITTED = (
        "ADAPTER-POSTAMAT-NOT-PERMITTED",
        "Service not permitted",
        "Выдача результата этой услуги через постамат не разрешена",
    )
    WRONG_STEP = ("ADAPTER-POSTAMAT-WRONG-STEP", "Wrong step", "Действие невозможно в текущем состоянии дела")
    WRONG_LOCKER = ("ADAPTER-POSTAMAT-WRONG-LOCKER", "Wrong postamat", "Дело относится к другому постамату")
    WRONG_TIME = (
        "ADAPTER-POSTAMAT-WRONG-TIME",
        "Wrong timestamp",
        "Штамп времени слишком далёк от текущего времени",
    )
    WRONG_TOKEN = ("ADAPTER-POSTAMAT-WRONG-TOKEN", "Wrong token", "Неверный ключ безопасности")
    WRONG_CALL = ("ADAPTER-POSTAMAT-WRONG-CALL", "Wrong call", "Запрос не соответствует описанию API")

    def __init__(self, wire: str, vendor_name: str, sentence: str) -> None:
        """Unpack the enum value into named attributes."""
        self.wire = wire
        self.vendor_name = vendor_name
        self.sentence = sentence


class LockerRefusedError(AdapterError):
    """The lockers' application refuses a step, an entry or a call; nothing was changed."""

    def __init__(self, refusal: Refusal, sentence: str | None = None, **details: Any) -> None:
        """``sentence`` is Russian and defaults to the refusal's; ``details`` go to those who sent a command."""
        super().__init__(refusal.wire, sentence or refusal.sentence, details=details)
        self.refusal = refusal

    def to_vendor(self) -> dict[str, str]:
        """Return the body of HTTP 400 as the lockers' API has it."""
        return {"name": self.refusal.vendor_name, "message": self.description}
