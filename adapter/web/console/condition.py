"""«Состояние»: what works and what does not, with the failing cause; what waits, and since when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from adapter.recovery import dead
from adapter.recovery.arguments import Filter
from adapter.web.console.desk import AwayError, first_id
from adapter.web.console.page import DESK, PAGES, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.web.console.desk import Desk

_DAY: Final = timedelta(days=1)
#: A command that nobody has taken for so long is a cause to look.
_SLOW: Final = timedelta(seconds=30)


async def _page(request: web.Request) -> web.StreamResponse:
    known = await _looked(request.app[DESK])
    if "part" in request.query:
        text = request.app[PAGES].render(request, "_state.html", **known)
        return web.Response(text=text, content_type="text/html", charset="utf-8")
    return show(request, "state.html", **known)


async def _looked(desk: Desk) -> dict[str, Any]:
    """Ask everything at once; a database that is away is a finding here, not an error."""
    since = datetime.now(UTC) - _DAY
    backlog: Mapping[str, Any] = {}
    recent: list[Mapping[str, Any]] = []
    leases: list[Mapping[str, Any]] = []
    stopped = 0

    async def look() -> bool:
        nonlocal backlog, recent, leases, stopped
        try:
            backlog, recent, leases = await desk.backlog(first_id(since))
            async with desk.journal() as connection:
                stopped = len(await dead.list_dead(connection, Filter()))
        except AwayError:
            return False
        return True

    database, broker, workers = await asyncio.gather(look(), desk.broker_answers(), desk.workers())
    oldest = backlog.get("running_since")
    lagging = oldest is not None and datetime.now(UTC) - oldest > _SLOW
    failing = [
        *([] if database else [("PostgreSQL", "не отвечает")]),
        *([] if broker else [("RabbitMQ", "не отвечает")]),
        *((one.url, "не отвечает") for one in workers if not one.answers),
        *((f"{one.url}: {part}", "не работает") for one in workers for part in one.failing),
        *((name, "не отвечает: команды ждут в журнале") for name in sorted({n for one in workers for n in one.away})),
        *([("Адаптер", "ни один не работает")] if database and not any(row["alive"] for row in leases) else []),
        *([("Очередь исполнения", "есть команда, которую никто не взял")] if lagging else []),
    ]
    return {
        "database": database, "broker": broker, "where": desk.broker.where, "workers": workers, "backlog": backlog,
        "recent": _table(recent), "leases": leases, "failing": failing,
        "dead": stopped, "parked_all": stopped + backlog.get("uncertain", 0) + backlog.get("parked", 0),
    }  # fmt: skip


def _table(recent: list[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, int]], int]]:
    """Return one row for each action: its states with their numbers, and all of them together."""
    rows: dict[str, list[tuple[str, int]]] = {}
    for row in recent:
        rows.setdefault(row["action"], []).append((row["state"], row["number"]))
    return [(action, states, sum(number for _, number in states)) for action, states in rows.items()]


ROUTES: Final = (web.get("/state", _page),)
