"""«Постаматы»: the directory, cases in lockers, «Выдача дел», a case's page with its movements."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from adapter.errors import InvalidCommandError
from adapter.lockers.refusals import LockerRefusedError
from adapter.lockers.rules import Locker
from adapter.lockers.store import LockerStore
from adapter.services.command import read_command
from adapter.services.postamat_models import DirectoryAdd, DirectoryEdit
from adapter.web.console.allowed import asked, needs
from adapter.web.console.entry import REPLAY
from adapter.web.console.page import DESK, DIRECTORY, SESSION, say, show
from adapter.web.console.revealing import hide, reveal, revealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from adapter.lockers.rules import Case
    from adapter.web.console.desk import Desk

_PAGE: Final = 100
#: Days of storage that a new locker's form begins with, as POSTAMAT_STORAGE_DAYS does.
_DAYS: Final = "14"
_EMPTY: Final[Mapping[str, str]] = {"number": "", "address": "", "departments": "", "storage_days": _DAYS}


def served(desk: Desk) -> bool:
    """Tell whether this deployment owns cases and directory (mode portal)."""
    return DIRECTORY in desk.services


def _demand(request: web.Request) -> Desk:
    desk = request.app[DESK]
    if not served(desk):
        raise web.HTTPNotFound(reason="Постаматы здесь не обслуживаются")
    return desk


async def _directory(request: web.Request) -> web.StreamResponse:
    return await _directory_page(request, _EMPTY, {})


async def _directory_page(
    request: web.Request, typed: Mapping[str, str], faults: Mapping[str, str], *, sentence: str = "", status: int = 200
) -> web.Response:
    async with _demand(request).journal() as connection:
        found = await LockerStore(connection).lockers()
    return show(
        request,
        "lockers.html",
        status=status,
        lockers=found,
        typed=typed,
        faults=faults,
        sentence=sentence,
        tab="directory",
    )


async def _add(request: web.Request) -> web.StreamResponse:
    needs(request, REPLAY)
    desk, typed = _demand(request), _typed(await request.post())
    try:
        wanted = read_command(_command(typed, ("number", "address", "departments", "storage_days")), DirectoryAdd)
        content = wanted.model_dump(exclude_none=True)
        locker = Locker(**{"storage_days": int(_DAYS), **content, "departments": tuple(content["departments"])})
        async with desk.journal() as connection, connection.transaction():
            await LockerStore(connection).add_locker(locker)
            await _noted(request, connection, locker.number, "added")
    except InvalidCommandError as error:
        return await _directory_page(request, typed, _by_field(error), status=422)
    except LockerRefusedError as refused:
        return await _directory_page(request, typed, {"number": refused.description}, status=409)
    say(request, "good", "Постамат {number} добавлен в справочник", number=locker.number)
    raise web.HTTPSeeOther("/lockers")


async def _locker(request: web.Request) -> web.StreamResponse:
    locker = await _known(_demand(request), request.match_info["number"])
    typed = {
        "number": locker.number,
        "address": locker.address,
        "departments": "\n".join(locker.departments),
        "storage_days": str(locker.storage_days),
    }
    return show(request, "locker.html", locker=locker, typed=typed, faults={}, tab="directory")


async def _known(desk: Desk, number: str) -> Locker:
    """Return an entry of the directory. Raises HTTPNotFound."""
    async with desk.journal() as connection:
        try:
            return await LockerStore(connection).locker(number)
        except LockerRefusedError as refused:
            raise web.HTTPNotFound(reason=refused.description) from None


async def _edit(request: web.Request) -> web.StreamResponse:
    """Change an entry, or make it active or inactive; its number stays."""
    needs(request, REPLAY)
    desk, given = _demand(request), await request.post()
    number = request.match_info["number"]
    typed = {**_typed(given), "number": number}
    active = {"on": True, "off": False}.get(asked(given, "active"))
    try:
        async with desk.journal() as connection, connection.transaction():
            store = LockerStore(connection)
            if active is not None:
                await store.edit_locker(number, active=active)
            else:
                wanted = read_command(_command(typed, (*_EMPTY,)), DirectoryEdit)
                changes = wanted.model_dump(exclude_none=True, exclude={"number"})
                await store.edit_locker(number, **changes)
            await _noted(request, connection, number, "edited")
    except InvalidCommandError as error:
        locker = await _known(desk, number)
        return show(
            request, "locker.html", status=422, locker=locker, typed=typed, faults=_by_field(error), tab="directory"
        )
    except LockerRefusedError as refused:
        raise web.HTTPNotFound(reason=refused.description) from None
    say(request, "good", "Постамат {number} сохранён", number=number)
    raise web.HTTPSeeOther("/lockers")


async def _noted(request: web.Request, connection: asyncpg.Connection, number: str, detail: str) -> None:
    desk = request.app[DESK]
    await desk.note(connection, desk.operator(request[SESSION].name, None), "edited", f"locker:{number}", detail)


def _typed(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: asked(given, name).strip() for name in _EMPTY}


def _command(typed: Mapping[str, str], names: tuple[str, ...]) -> bytes:
    """Return what was typed as the command that an upstream system would send: one rule for both."""
    body: dict[str, Any] = {name: typed[name] for name in names}
    body["departments"] = [line.strip() for line in typed["departments"].splitlines() if line.strip()]
    days = typed["storage_days"]
    body["storage_days"] = int(days) if days.isdecimal() and len(days) < 10 else days
    return orjson.dumps(body)


def _by_field(error: InvalidCommandError) -> dict[str, str]:
    """Return the first broken rule of each field of the form."""
    found: dict[str, str] = {}
    for fault in error.fields:
        found.setdefault(fault.path.partition("[")[0], fault.rule)
    return found


async def _inside(request: web.Request) -> web.StreamResponse:
    """«Дела на выдаче в постаматах»: the longest there first, overdue ones in red."""
    async with _demand(request).journal() as connection:
        stays = await LockerStore(connection).stays(datetime.now(UTC))
    return show(request, "inside.html", stays=stays, overdue=sum(one.overdue for one in stays), tab="inside")


async def _hand_out(request: web.Request) -> web.StreamResponse:
    """«Выдача дел»: every case to be handed out, those in lockers with their mark."""
    desk, number = _demand(request), request.query.get("number", "").strip()
    page = request.query.get("page", "1")
    place = max(1, int(page)) if page.isdecimal() and len(page) < 6 else 1
    rows = await desk.rows("hand_out", number or None, _PAGE + 1, (place - 1) * _PAGE)
    return show(
        request, "cases.html", rows=rows[:_PAGE], more=len(rows) > _PAGE, page=place, number=number, tab="cases"
    )


async def _case(request: web.Request) -> web.StreamResponse:
    """«Информация по делу»: the chosen locker and the movements."""
    desk, number = _demand(request), request.query.get("number", "")
    async with desk.journal() as connection:
        store = LockerStore(connection)
        try:
            case, movements = await store.case(number)
        except LockerRefusedError as refused:
            raise web.HTTPNotFound(reason=refused.description) from None
        known = {locker.number: locker for locker in await store.lockers()}
    deeds = await desk.rows("noted", [_subject(number)])
    return show(
        request, "case.html", case=case, movements=movements, chosen=known.get(case.chosen or ""), deeds=deeds,
        place=known.get(case.place or ""), phone=_phone(case, shown=revealed(request, _subject(number))),
        revealed=revealed(request, _subject(number)), tab="cases",
    )  # fmt: skip


def _phone(case: Case, *, shown: bool) -> str:
    return case.phone if shown else f"••• {case.phone[-2:]}"


def _subject(number: str) -> str:
    return f"case:{number}"


async def _reveal(request: web.Request) -> web.StreamResponse:
    _demand(request)
    given = await request.post()
    number = asked(given, "number")
    if "hide" in given:
        hide(request, _subject(number))
    else:
        await reveal(request, _subject(number), asked(given, "reason"))
    raise web.HTTPSeeOther(request.app.router["case"].url_for().with_query(number=number))


ROUTES: Final = (
    web.get("/lockers", _directory),
    web.post("/lockers", _add),
    web.get("/lockers/inside", _inside),
    web.get("/lockers/{number:[0-9]{1,18}}", _locker),
    web.post("/lockers/{number:[0-9]{1,18}}", _edit),
    web.get("/cases", _hand_out),
    web.get("/case", _case, name="case"),
    web.post("/case/reveal", _reveal),
)
