"""The lockers' application as the pipeline asks it: what commands want done, in words of JSON."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from adapter.documents.qr_sheet import QrSheet, qr_sheet
from adapter.exchange import Reply
from adapter.lockers.qr import PNG_NAME, code_modules, code_png, code_svg, code_text
from adapter.lockers.refusals import LockerRefusedError, Refusal
from adapter.lockers.rules import Case, Locker, receipt_line
from adapter.lockers.store import LockerStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from adapter.incoming import Local, Session
    from adapter.lockers.rules import Movement, Stay

NAME: Final = "postamat"
SHEET_NAME: Final = "postamat.pdf"


class LockerCommands:
    """Carries out commands on the registers; each runs in a transaction that its caller owns."""

    def __init__(self, *, storage_days: int) -> None:
        """``storage_days`` is for lockers added without a number of their own."""
        self._storage_days = storage_days
        self._known: Mapping[str, Callable[[LockerStore, dict[str, Any]], Awaitable[Any]]] = {
            "directory.add": self._add,
            "directory.edit": self._edit,
            "directory.activate": self._activate,
            "directory.deactivate": self._deactivate,
            "directory.list": self._list,
            "service.allow": self._allow,
            "offer": self._offer,
            "case.register": self._register,
            "case.get": self._get,
            "cases.list": self._cases,
            "qr": self._qr,
        }

    async def carry_out(self, session: Session, step: Local) -> Reply:
        """Do what a command asks for. Raises LockerRefusedError: nothing has changed."""
        work = self._known[step.operation]
        return Reply({"result": await work(LockerStore(session), dict(step.content))})

    async def _add(self, store: LockerStore, given: dict[str, Any]) -> Any:
        departments = tuple(dict.fromkeys(given.pop("departments")))
        locker = Locker(**{"storage_days": self._storage_days, **given, "departments": departments})
        await store.add_locker(locker)
        return _locker(locker)

    async def _edit(self, store: LockerStore, given: dict[str, Any]) -> Any:
        return _locker(await store.edit_locker(given.pop("number"), **given))

    async def _activate(self, store: LockerStore, given: dict[str, Any]) -> Any:
        return _locker(await store.edit_locker(given["number"], active=True))

    async def _deactivate(self, store: LockerStore, given: dict[str, Any]) -> Any:
        return _locker(await store.edit_locker(given["number"], active=False))

    async def _list(self, store: LockerStore, _: dict[str, Any]) -> Any:
        return {"lockers": [_locker(locker) for locker in await store.lockers()]}

    async def _allow(self, store: LockerStore, given: dict[str, Any]) -> Any:
        await store.permit(given["service"], permitted=given["allowed"])
        return given

    async def _offer(self, store: LockerStore, given: dict[str, Any]) -> Any:
        found = await store.offer(given["service"], given["department"])
        return {
            "lockers": [
                {
                    "number": locker.number,
                    "address": locker.address,
                    "storage_days": locker.storage_days,
                    "receipt_line": receipt_line(locker),
                }
                for locker in found
            ]
        }

    async def _register(self, store: LockerStore, given: dict[str, Any]) -> Any:
        chosen = given.pop("postamatid", None)
        case = Case(**given, chosen=chosen)
        await store.register(case)
        line = None if case.chosen is None else receipt_line(await store.locker(case.chosen))
        return _case(case) | {"receipt_line": line}

    async def _get(self, store: LockerStore, given: dict[str, Any]) -> Any:
        case, movements = await store.case(given["casenum"])
        return _case(case) | {"movements": [_movement(one) for one in movements]}

    async def _cases(self, store: LockerStore, _: dict[str, Any]) -> Any:
        stays = await store.stays(datetime.now(UTC))
        return {"cases": [_stay(one) for one in stays], "overdue": sum(one.overdue for one in stays)}

    async def _qr(self, store: LockerStore, given: dict[str, Any]) -> Any:
        case, _ = await store.case(given["casenum"])
        number = case.chosen or given.get("postamatid")
        if number is None:
            raise LockerRefusedError(Refusal.NO_LOCKER, "Заявитель не выбирал постамат: укажите postamatid")
        if given.get("postamatid", number) != number:
            raise LockerRefusedError(Refusal.WRONG_LOCKER)
        locker = await store.locker(number)
        return await asyncio.to_thread(_drawn, case, locker)


def _drawn(case: Case, locker: Locker) -> dict[str, Any]:
    """Return the code as text and pictures, and its sheet; some ten milliseconds of work."""
    text = code_text(locker.number, case.phone, case.casenum)
    sheet = QrSheet(
        casenum=case.casenum,
        phone=case.phone,
        postamatid=locker.number,
        address=locker.address,
        modules=code_modules(text),
    )
    return {
        "text": text,
        "png": {"name": PNG_NAME, "content_base64": base64.b64encode(code_png(text)).decode()},
        "svg": code_svg(text).decode(),
        "sheet": {"name": SHEET_NAME, "content_base64": base64.b64encode(qr_sheet(sheet)).decode()},
    }


def _locker(locker: Locker) -> dict[str, Any]:
    return {
        "number": locker.number,
        "type": locker.type,
        "address": locker.address,
        "departments": list(locker.departments),
        "storage_days": locker.storage_days,
        "active": locker.active,
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "casenum": case.casenum,
        "service": case.service,
        "department": case.department,
        "phone": case.phone,
        "postamatid": case.chosen,
        "state": case.state,
        "place": case.place,
        "cell": case.cell,
        "put_at": case.put_at.isoformat() if case.put_at else None,
    }


def _stay(stay: Stay) -> dict[str, Any]:
    more = {"address": stay.locker.address, "until": stay.until.isoformat(), "overdue": stay.overdue}
    return _case(stay.case) | more


def _movement(movement: Movement) -> dict[str, Any]:
    return {
        "operation": movement.operation,
        "postamatid": movement.postamatid,
        "cellid": movement.cellid,
        "userid": movement.userid,
        "timestamp": movement.timestamp,
        "at": movement.at.isoformat(),
        "state": movement.state,
    }
