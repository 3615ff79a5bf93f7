"""Directory, cases and movements in the adapter's database, on a connection that somebody else owns.

Every change is one transaction. Inside a transaction of the owner's it is a part of that one: a step of a case, its
event and its answer are then committed together or not at all. Errors of the database pass as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.exchange import Event
from adapter.gateways.postamat.api import SAVED, Operation
from adapter.lockers.refusals import LockerRefusedError, Refusal
from adapter.lockers.rules import (
    Case,
    CaseState,
    Locker,
    Movement,
    Stay,
    check_choice,
    check_time,
    moved,
    movement,
    offered,
    stay,
)
from adapter.lockers.statements import sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from adapter.gateways.postamat.api import LockerCall
    from adapter.incoming import Session

CASE_MOVED: Final = "postamat.case-moved"
CASE_OVERDUE: Final = "postamat.case-overdue"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a locker's call is answered with, and what it brings about.

    ``refusal`` is ``None`` when the call was carried out, now or by its first copy. ``event`` tells of the step to
    everybody else, once: a repeat has none.
    """

    refusal: Mapping[str, str] | None = None
    event: Event | None = None

    @property
    def body(self) -> Mapping[str, str]:
        """The JSON of the answer: of HTTP 200, or 400 with a refusal."""
        return self.refusal or SAVED


class LockerStore:
    """The registers of the lockers' application."""

    def __init__(self, session: Session) -> None:
        """``session`` is used by this store alone while a call of it runs."""
        self._session = session

    async def add_locker(self, locker: Locker) -> None:
        """Put a locker into the directory. Raises LockerRefusedError when its number is there already."""
        values = (locker.number, locker.type, locker.address, list(locker.departments), locker.storage_days)
        if not await self._fetch("add_locker", *values, locker.active):
            raise LockerRefusedError(Refusal.LOCKER_EXISTS)

    async def edit_locker(
        self,
        number: str,
        *,
        address: str | None = None,
        departments: Sequence[str] | None = None,
        storage_days: int | None = None,
        active: bool | None = None,
    ) -> Locker:
        """Change what is given and return the entry as it is then. Raises LockerRefusedError when there is none."""
        given = None if departments is None else list(departments)
        rows = await self._fetch("edit_locker", number, address, given, storage_days, active)
        if not rows:
            raise LockerRefusedError(Refusal.NO_LOCKER)
        return _locker(rows[0])

    async def lockers(self) -> tuple[Locker, ...]:
        """Return the directory, by number."""
        return tuple(_locker(row) for row in await self._fetch("list_lockers"))

    async def locker(self, number: str) -> Locker:
        """Return one entry. Raises LockerRefusedError when there is none."""
        rows = await self._fetch("load_locker", number)
        if not rows:
            raise LockerRefusedError(Refusal.NO_LOCKER)
        return _locker(rows[0])

    async def permit(self, service: str, *, permitted: bool) -> None:
        """Permit or forbid handing out results of ``service`` through lockers, from now on."""
        await self._fetch("permit_service" if permitted else "forbid_service", service)

    async def permitted_services(self) -> tuple[str, ...]:
        """Return the services whose results may be handed out through lockers."""
        return tuple(row["service"] for row in await self._fetch("permitted_services"))

    async def offer(self, service: str, department: str) -> tuple[Locker, ...]:
        """Return the lockers among which an applicant may choose: none, one or several."""
        permitted = await self._is_permitted(service)
        return offered(await self.lockers() if permitted else (), department, permitted=permitted)

    async def register(self, case: Case) -> None:
        """Take a case to be handed out. Raises LockerRefusedError for a known number or a locker not to be chosen."""
        async with self._session.transaction():
            if case.chosen is not None:
                rows = await self._fetch("share_locker", case.chosen)
                locker = _locker(rows[0]) if rows else None
                check_choice(locker, case.department, permitted=await self._is_permitted(case.service))
            values = (case.casenum, case.service, case.department, case.phone, case.chosen, case.state)
            if not await self._fetch("register_case", *values):
                raise LockerRefusedError(Refusal.CASE_EXISTS)

    async def case(self, casenum: str) -> tuple[Case, tuple[Movement, ...]]:
        """Return a case and how it came to where it is, oldest first. Raises LockerRefusedError when it is unknown."""
        rows = await self._fetch("load_case", casenum)
        if not rows:
            raise LockerRefusedError(Refusal.NO_CASE)
        return _case(rows[0]), tuple(_movement(row) for row in await self._fetch("movements", casenum))

    async def stays(self, now: datetime) -> tuple[Stay, ...]:
        """Return every case that is in a locker now, the longest there first."""
        return tuple(stay(_case(row), _locker(row), now) for row in await self._fetch("cases_inside"))

    async def tell_overdue(self, now: datetime, limit: int = 100) -> tuple[Event, ...]:
        """Return an event for each case that has become overdue, at most ``limit``; none is told of twice.

        The events have to be kept in the same transaction.
        """
        rows = await self._fetch("tell_overdue", now, limit)
        return tuple(_overdue_event(stay(_case(row), _locker(row), now)) for row in rows)

    async def overdue_turn(self) -> bool:
        """Tell whether this transaction may look for overdue cases: one at a time does."""
        return bool((await self._fetch("overdue_turn"))[0]["ours"])

    async def take(self, call: LockerCall, at: datetime, window: timedelta | None = None) -> Verdict:
        """Carry out what a locker tells of, or refuse it; a repeat changes nothing and has the answer of the first.

        ``at`` is when the call came; its timestamp may be ``window`` away from that.
        """
        key = call_key(call)
        async with self._session.transaction():
            if not await self._fetch("claim_call", key, at):
                (row,) = await self._fetch("recorded_call", key)
                known = {"name": row["name"], "message": row["message"]}
                return Verdict(refusal=known if row["name"] is not None else None)
            try:
                check_time(call, at, window)
                case = await self._move(call, at)
            except LockerRefusedError as refused:
                body = refused.to_vendor()
                await self._fetch("record_refusal", key, body["name"], body["message"])
                return Verdict(refusal=body)
            return Verdict(event=_moved_event(case, call, at))

    async def forget_calls(self, before: datetime) -> None:
        """Forget what calls were answered with that came ``before``; a copy of one of them is then judged anew."""
        await self._fetch("forget_calls", before)

    async def _move(self, call: LockerCall, at: datetime) -> Case:
        lockers = await self._fetch("share_locker", call.postamatid)
        cases = await self._fetch("lock_case", call.casenum)
        case = moved(_case(cases[0]) if cases else None, _locker(lockers[0]) if lockers else None, call, at)
        await self._fetch("move_case", case.casenum, case.state, case.place, case.cell, case.put_at)
        step = movement(case, call, at)
        said = (step.operation, step.postamatid, step.cellid, step.userid, step.timestamp, step.at, step.state)
        await self._fetch("add_movement", case.casenum, *said)
        return case

    async def _is_permitted(self, service: str) -> bool:
        return bool((await self._fetch("is_permitted", service))[0]["permitted"])

    async def _fetch(self, name: str, *arguments: Any) -> Sequence[Any]:
        return await self._session.fetch(sql(name), *arguments)


def call_key(call: LockerCall) -> bytes:
    """Return the identity of a call: the same words are the same call. No parameter holds a line break."""
    return hashlib.sha256("\n".join((call.operation, *call.parameters().values())).encode()).digest()


def _moved_event(case: Case, call: LockerCall, at: datetime) -> Event:
    body = {
        "casenum": case.casenum,
        "operation": call.operation,
        "state": case.state,
        "postamatid": call.postamatid,
        "cellid": call.cellid,
        "userid": call.userid,
        "timestamp": int(call.timestamp),
        "at": at.isoformat(),
    }
    return Event(CASE_MOVED, body)


def _overdue_event(late: Stay) -> Event:
    case = late.case
    body = {
        "casenum": case.casenum,
        "postamatid": late.locker.number,
        "cellid": case.cell,
        "put_at": case.put_at.isoformat() if case.put_at else None,
        "until": late.until.isoformat(),
    }
    return Event(CASE_OVERDUE, body)


def _locker(row: Mapping[str, Any]) -> Locker:
    return Locker(
        number=row["number"],
        type=row["type"],
        address=row["address"],
        departments=tuple(row["departments"]),
        storage_days=row["storage_days"],
        active=row["active"],
    )


def _case(row: Mapping[str, Any]) -> Case:
    return Case(
        casenum=row["casenum"],
        service=row["service"],
        department=row["department"],
        phone=row["phone"],
        chosen=row["chosen"],
        state=CaseState(row["state"]),
        place=row["place"],
        cell=row["cell"],
        put_at=row["put_at"],
    )


def _movement(row: Mapping[str, Any]) -> Movement:
    return Movement(
        operation=Operation(row["operation"]),
        postamatid=row["postamatid"],
        cellid=row["cellid"],
        userid=row["userid"],
        timestamp=row["reported"],
        at=row["at"],
        state=CaseState(row["state"]),
    )
