"""Statements of following, on a connection that somebody else owns, inside the transaction that is open there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from adapter.gateways.epgu.follow_news import Followed, Stage
from adapter.gateways.epgu.statements import sql
from adapter.gateways.epgu.tokens import Who

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from adapter.gateways.epgu.follow_news import News
    from adapter.incoming import Session


@dataclass(frozen=True, slots=True)
class Kept:
    """What a reading of an order came to.

    The next one is after ``pause`` seconds, or when a change is seen; ``looks`` were in vain so far. ``lacking`` says
    that a token is needed, ``forgets`` that what pages said is to be seen anew.
    """

    news: News
    looks: int
    pause: float | None
    lacking: bool = field(default=False, kw_only=True)
    forgets: bool = field(default=False, kw_only=True)


class NotOursError(Exception):
    """Another worker follows now."""


class FollowStore:
    """The orders that are followed, and who follows them."""

    def __init__(self, session: Session) -> None:
        """``session`` is used by this store alone while a call of it runs."""
        self._session = session

    async def begin(self, order_id: int, exchange: UUID, who: Mapping[str, str], profile: str | None) -> None:
        """Follow an order from its acceptance on."""
        await self._fetch("follow_begin", order_id, exchange, _written(who), profile)

    async def cancelled(self, order_id: int, exchange: UUID, who: Mapping[str, str], profile: str | None) -> None:
        """Look at an order whose cancellation was accepted; follow it if nobody does."""
        await self._fetch("follow_cancelled", order_id, exchange, _written(who), profile)

    async def give_token(self, order_id: int, who: Mapping[str, str]) -> None:
        """Let an order go on with a token that a command brought."""
        await self._fetch("follow_token", order_id, _written(who))

    async def take_lease(self, worker: UUID, seconds: float) -> bool:
        """Take or renew the lease; false while another worker holds it."""
        return bool(await self._fetch("follow_lease", worker, seconds))

    async def release(self, worker: UUID) -> None:
        """Give the lease back."""
        await self._fetch("follow_release", worker)

    async def must_hold(self, worker: UUID) -> None:
        """Keep the lease until the transaction ends. Raises NotOursError."""
        if not await self._fetch("follow_fence", worker):
            raise NotOursError

    async def adopt(self, after: datetime) -> None:
        """Follow orders whose upload expired after a moment without an answer: they may have been accepted."""
        for row in await self._fetch("follow_lost", after):
            asked = orjson.loads(row["asked"] or b"{}")
            if "order_id" in asked:
                who = _written(asked.get("who") or {})
                await self._fetch("follow_doubt", asked["order_id"], row["id"], who, asked.get("profile"))

    async def turn(self, pause: float) -> tuple[datetime, datetime, bool] | None:
        """Return when changes were asked for last, the present, and whether anybody wants them; ``None``: too soon."""
        (row,) = await self._fetch("follow_turn", pause)
        return (row["asked_at"] or row["now"], row["now"], row["wanted"]) if row["due"] else None

    async def asked(self, at: datetime) -> None:
        """Note up to when changes were asked for."""
        await self._fetch("follow_asked", at)

    async def mark(self, statuses: Mapping[int, str]) -> int:
        """Note what pages say and return how many orders changed by it."""
        return len(await self._fetch("follow_mark", list(statuses), list(statuses.values())))

    async def stale(self, seconds: float, limit: int) -> list[int]:
        """Return orders whose status was not asked for by number for a while."""
        return [row["order_id"] for row in await self._fetch("follow_stale", seconds, limit)]

    async def checked(self, orders: Sequence[int]) -> None:
        """Note that it was."""
        await self._fetch("follow_checked", list(orders))

    async def holders(self, limit: int) -> list[Who]:
        """Return whose tokens serve the orders that came last."""
        return [_who(row["who"]) for row in await self._fetch("follow_holders", limit)]

    async def suspect(self, who: Who) -> None:
        """Look at the orders of a holder whose token was not to be had."""
        await self._fetch("follow_suspect", _written(who.told()))

    async def due(self, limit: int) -> list[Followed]:
        """Return orders whose details are to be read."""
        return [_followed(row) for row in await self._fetch("follow_due", limit)]

    async def look(self, order: Followed) -> Followed | None:
        """Lock an order and return it as it is now; ``None`` when a command changed it meanwhile."""
        rows = await self._fetch("follow_look", order.order_id, order.version)
        return _followed(rows[0]) if rows else None

    async def keep(self, order: Followed, kept: Kept) -> None:
        """Note what a reading came to."""
        news = kept.news
        values = (list(news.told), kept.looks, kept.pause, kept.lacking, kept.forgets)
        await self._fetch("follow_keep", order.order_id, news.stage, *values)

    async def _fetch(self, name: str, *arguments: Any) -> Sequence[Any]:
        return await self._session.fetch(sql(name), *arguments)


def _written(who: Mapping[str, str]) -> str:
    return orjson.dumps(who).decode()


def _who(text: str) -> Who:
    return Who(**orjson.loads(text))


def _followed(row: Mapping[str, Any]) -> Followed:
    told = {name: row[name] for name in Followed.__slots__}
    return Followed(**told | {"who": _who(row["who"]), "stage": Stage(row["stage"]), "told": tuple(row["told"])})
