"""What may happen to a case and which lockers are offered: pure rules, no I/O, no clock.

Source: seeds/002_f03ffb5ed5d4afbc.txt. A case is «на выдаче» until a locker tells that it was put into a cell, then
«В постамате» until it is issued («Выдано заявителю») or taken back («на выдаче» again).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from adapter.gateways.postamat.api import Operation
from adapter.lockers.refusals import LockerRefusedError, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapter.gateways.postamat.api import LockerCall

#: The only type of locker; other types have settings of their own (the seed's first section).
LOCKER_TYPE: Final = "МФЦ"


class CaseState(StrEnum):
    """Where a case is, in the words of the МФЦ."""

    READY = "на выдаче"
    IN_LOCKER = "В постамате"
    ISSUED = "Выдано заявителю"


#: Every legal step; whatever is not here is refused.
STEPS: Final[Mapping[tuple[CaseState, Operation], CaseState]] = {
    (CaseState.READY, Operation.PUT_CASE): CaseState.IN_LOCKER,
    (CaseState.IN_LOCKER, Operation.ISSUE): CaseState.ISSUED,
    (CaseState.IN_LOCKER, Operation.BACK): CaseState.READY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Locker:
    """An entry of the directory. ``storage_days`` is how long a case may lie in it; an inactive one is not offered."""

    number: str
    address: str
    departments: tuple[str, ...]
    storage_days: int
    active: bool = True
    type: str = LOCKER_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case to be handed out.

    ``chosen`` is the locker that the applicant chose at intake, kept for good. ``place``, ``cell`` and ``put_at`` tell
    where it lies and since when, while it is in a locker; else they are ``None``.
    """

    casenum: str
    service: str
    department: str
    phone: str
    chosen: str | None = None
    state: CaseState = CaseState.READY
    place: str | None = None
    cell: str | None = None
    put_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One step of a case. ``at`` is when we were told, ``timestamp`` the locker's own UNIX time in seconds."""

    operation: Operation
    postamatid: str
    cellid: str
    userid: str
    timestamp: int
    at: datetime
    state: CaseState


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A case in a locker now. ``until`` is the last moment at which it is not overdue."""

    case: Case
    locker: Locker
    until: datetime
    overdue: bool


def moved(case: Case | None, locker: Locker | None, call: LockerCall, at: datetime) -> Case:
    """Return ``case`` after ``call``, told of at ``at``. Raises LockerRefusedError and then nothing has changed.

    ``locker`` is the directory's entry of the number that called. An inactive one is not offered any more, but what
    was promised before may still be put into it and must come out of it.
    """
    if locker is None:
        raise LockerRefusedError(Refusal.NO_LOCKER)
    if case is None:
        raise LockerRefusedError(Refusal.NO_CASE)
    state = STEPS.get((case.state, call.operation))
    if state is None:
        raise LockerRefusedError(
            Refusal.WRONG_STEP,
            f"Действие {call.operation} невозможно: дело в состоянии «{case.state}»",
            state=case.state,
            operation=call.operation,
        )
    expected = case.chosen if case.state is CaseState.READY else case.place
    if expected is not None and expected != call.postamatid:
        raise LockerRefusedError(Refusal.WRONG_LOCKER)
    if state is CaseState.IN_LOCKER:
        return replace(case, state=state, place=locker.number, cell=call.cellid, put_at=at)
    return replace(case, state=state, place=None, cell=None, put_at=None)


def movement(case: Case, call: LockerCall, at: datetime) -> Movement:
    """Return the record of the step that brought ``case`` into its state."""
    return Movement(
        operation=call.operation,
        postamatid=call.postamatid,
        cellid=call.cellid,
        userid=call.userid,
        timestamp=int(call.timestamp),
        at=at,
        state=case.state,
    )


def check_time(call: LockerCall, now: datetime, window: timedelta | None) -> None:
    """Refuse a call whose timestamp is further than ``window`` from now, either way; ``None`` refuses none.

    Raises LockerRefusedError. Numbers are compared as numbers: a locker may send any of 18 digits.
    """
    if window is not None and abs(now.timestamp() - int(call.timestamp)) > window.total_seconds():
        raise LockerRefusedError(Refusal.WRONG_TIME)


def check_choice(locker: Locker | None, department: str, *, permitted: bool) -> None:
    """Refuse a locker that could not have been offered for a case of ``department``. Raises LockerRefusedError."""
    if locker is None:
        raise LockerRefusedError(Refusal.NO_LOCKER)
    if not permitted:
        raise LockerRefusedError(Refusal.NOT_PERMITTED)
    if not locker.active:
        raise LockerRefusedError(Refusal.INACTIVE)
    if department not in locker.departments:
        raise LockerRefusedError(Refusal.NOT_SERVED)


def offered(lockers: Iterable[Locker], department: str, *, permitted: bool) -> tuple[Locker, ...]:
    """Return the lockers among which an applicant of ``department`` may choose: none, one or several, by number."""
    if not permitted:
        return ()
    fitting = (locker for locker in lockers if locker.active and department in locker.departments)
    return tuple(sorted(fitting, key=lambda locker: (len(locker.number), locker.number)))


def stay(case: Case, locker: Locker, now: datetime) -> Stay:
    """Return how long a case that is in ``locker`` may stay and whether that is over.

    Raises ValueError for a case that is in no locker.
    """
    if case.put_at is None:
        raise ValueError("the case is in no locker")
    until = case.put_at + timedelta(days=locker.storage_days)
    return Stay(case=case, locker=locker, until=until, overdue=now > until)


def receipt_line(locker: Locker) -> str:
    """Return what the расписка says about the way of receiving the result."""
    return (
        f"Результат услуги будет выдан через постамат № {locker.number} по адресу: {locker.address}. "
        f"Срок хранения в постамате, дней: {locker.storage_days}."
    )


def normal_phone(text: str) -> str:
    """Return a phone as the QR code has it: ``+7 (918) 555 55 54``; one of another country as ``+`` and its digits.

    Takes it with any blanks, dashes, dots and brackets, with +7, 8 or neither. Raises ValueError for what is no phone.
    """
    digits = re.sub(r"[\s().-]", "", text)
    abroad = digits.startswith("+") and not digits.startswith("+7")
    digits = digits.removeprefix("+")
    if not re.fullmatch("[0-9]{10,15}", digits):
        raise ValueError("ожидается номер телефона: от 10 до 15 цифр")
    if abroad:
        return f"+{digits}"
    if len(digits) == 11 and digits[0] in "78":
        digits = digits[1:]
    if len(digits) != 10:
        raise ValueError("ожидается номер телефона: +7 и 10 цифр либо код другой страны после +")
    return f"+7 ({digits[:3]}) {digits[3:6]} {digits[6:8]} {digits[8:]}"
