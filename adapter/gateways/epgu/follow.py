"""The follower of orders: after the 200 it asks until the end, and tells each change once.

An order is followed from the transaction of its command's outcome on (the step ``Local``). One worker follows for all,
by a lease of the database; whatever it tells is committed together with what it has told, on condition that it still
holds the lease. So each change is told once, however many workers there are and whenever one of them dies.

Two ways lead to changes. While ЕПГУ processes the archive, details of each order are read at growing intervals. After
that getUpdatedAfter names the orders that changed, and details of those alone are read; now and then getOrdersStatus
asks for all of them by number, for what moments and pages may have hidden.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid4

import structlog

from adapter.errors import Code, KnownError
from adapter.exchange import Reply
from adapter.gateways.epgu.follow_asking import AwayFromGatewayError, NoTokenError, RefusedByGatewayError
from adapter.gateways.epgu.follow_news import News, Stage, needs_token, news_of
from adapter.gateways.epgu.follow_store import FollowStore, Kept, NotOursError
from adapter.incoming import RegistersAwayError, Told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from adapter.errors import AdapterError
    from adapter.gateways.epgu.follow_asking import Asking
    from adapter.gateways.epgu.follow_news import Followed
    from adapter.gateways.epgu.tokens import Who
    from adapter.incoming import Changes, Local, Session

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

NAME: Final = "epgu"
#: Action of the exchange that a change is journaled as where the command's own row is gone.
ORDER: Final = "epgu.order"
#: Orders looked at in one round, and by one getOrdersStatus; lists of one round.
_BATCH: Final = 32
_LIST: Final = 50
_LISTS: Final = 4
#: Readings of details that lag behind the pages before the next page is waited for.
_BEHIND: Final = 5
#: Holders tried for the pages of statuses.
_HOLDERS: Final = 5
#: Longest pause in seconds while the gateway is away, and the first one.
_AWAY: Final = 60.0
_FIRST_AWAY: Final = 0.5
_FAREWELL: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """How orders are followed, in seconds.

    ``first`` and ``longest`` bound the pauses between two readings of an order's details, ``poll`` is the pause between
    two questions what changed, each of which reaches ``overlap`` back behind the one before. After ``reconcile`` an
    order is asked for by its number. ``lease`` is how long a dead follower is waited for, ``tick`` the pause of an idle
    one, ``parallel`` how many details are read at once.
    """

    first: float = 5.0
    longest: float = 300.0
    poll: float = 30.0
    overlap: float = 300.0
    reconcile: float = 3600.0
    lease: float = 15.0
    tick: float = 1.0
    parallel: int = 4


class Follower:
    """The register of followed orders, and who asks about them."""

    name = NAME

    def __init__(
        self,
        options: FollowOptions,
        asking: Asking,
        *,
        active: bool = True,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``asking`` makes the calls; without ``active`` orders are kept for another worker; ``count`` is told."""
        self._options = options
        self._asking = asking
        self._active = active
        self._count = count
        self._worker = uuid4()
        self._held = asyncio.Event()
        self._failures = 0
        self._mute_until = 0.0

    async def carry_out(self, session: Session, step: Local) -> Reply:
        """Follow an order, or go on with it, in the transaction of a command's outcome."""
        store, said = FollowStore(session), step.content
        if step.operation == "follow":
            await store.begin(said["order_id"], UUID(said["command"]), said["who"], said["profile"])
        elif step.operation == "cancelled":
            await store.cancelled(said["order_id"], UUID(said["command"]), said["who"], said["profile"])
        elif step.operation == "token":
            await store.give_token(said["order_id"], said["who"])
        else:
            raise KnownError(Code.INTERNAL, details={"operation": step.operation})
        return Reply({"result": said["result"]})

    async def run(self, changes: Changes) -> None:
        """Follow whenever this worker holds the lease, until cancelled."""
        if not self._active:
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_lease(changes))
                group.create_task(self._follow(changes))
        finally:
            with suppress(RegistersAwayError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await changes.change(lambda session: _alone(FollowStore(session).release(self._worker)))

    async def _keep_lease(self, changes: Changes) -> None:
        while True:
            held = False
            with suppress(RegistersAwayError):
                held = await changes.change(
                    lambda session: _alone(FollowStore(session).take_lease(self._worker, self._options.lease))
                )
            if held and not self._held.is_set():
                log.info("orders are followed here", source="epgu")
            (self._held.set if held else self._held.clear)()
            await asyncio.sleep(self._options.lease / 3)

    async def _follow(self, changes: Changes) -> None:
        """Work round after round; what is away is waited for."""
        while True:
            await self._held.wait()
            pause = self._options.tick
            try:
                if await self._round(changes):
                    pause = 0.0
                self._failures = 0
            except NotOursError:
                self._held.clear()
            except RegistersAwayError as error:
                pause = self._backed_off()
                log.warning("orders are followed later", error=type(error).__name__, retry_in=pause)
            except AwayFromGatewayError as error:
                pause = max(self._backed_off(), min(error.after or 0.0, _AWAY))
                log.warning("orders are followed later", source="epgu", code=error.code, retry_in=pause)
            except Exception as error:  # noqa: BLE001  — a defect here must not take the commands of this worker along
                pause = _AWAY
                self._count("epgu-follow-defects")
                log.error("orders are followed later", source="epgu", error=error, retry_in=pause)  # noqa: TRY400  — no values
            await asyncio.sleep(pause)

    def _backed_off(self) -> float:
        self._failures += 1
        return min(_AWAY, _FIRST_AWAY * 2.0 ** min(self._failures, 10))

    async def _round(self, changes: Changes) -> bool:
        """Ask for what is due; return whether there is more. Raises what tells that something is away."""
        away, limit = None, _BATCH
        try:
            await self._pages(changes)
            await self._lists(changes)
        except AwayFromGatewayError as error:
            # Pages alone may be the matter: a few details will tell.
            away, limit = error, self._options.parallel
        due = await self._at(changes, lambda store: store.due(limit))
        away = await self._look_at_all(changes, due) or away
        if away is not None:
            raise away
        return len(due) == _BATCH

    async def _look_at_all(self, changes: Changes, due: Sequence[Followed]) -> AwayFromGatewayError | None:
        """Read details of orders, some at once; of none any more when nothing gets through."""
        places = asyncio.Semaphore(self._options.parallel)
        away: AwayFromGatewayError | None = None

        async def one(order: Followed) -> None:
            nonlocal away
            async with places:
                if away is None:
                    away = await self._look(changes, order) or away

        # Each ends by itself: one that fails must not take the answers of the others along.
        for failure in await asyncio.gather(*(one(order) for order in due), return_exceptions=True):
            if failure is not None:
                raise failure
        return away

    async def _pages(self, changes: Changes) -> None:
        """Ask what changed since the last time."""
        turn = await self._at(changes, lambda store: store.turn(self._options.poll))
        if turn is None or self._is_mute:
            return
        since, now, wanted = turn
        reach = since - timedelta(seconds=self._options.overlap)
        await self._changed(changes, lambda store: store.adopt(reach))
        rows: Mapping[int, str] | None = {}
        if wanted:
            rows = await self._as_anybody(changes, lambda who: self._asking.changed(who, since, self._options.overlap))
        if rows is None:
            return
        found = rows

        async def work(store: FollowStore) -> None:
            await store.mark(found)
            await store.asked(now)

        await self._changed(changes, work)

    async def _lists(self, changes: Changes) -> None:
        """Ask for orders by their numbers that were not asked for lately."""
        for _ in range(0 if self._is_mute else _LISTS):
            orders = await self._at(changes, lambda store: store.stale(self._options.reconcile, _LIST))
            if not orders or not await self._list(changes, orders):
                return

    async def _list(self, changes: Changes, orders: Sequence[int]) -> bool:
        rows = await self._as_anybody(changes, lambda who: self._asking.statuses(who, orders))
        if rows is None:
            return False

        async def work(store: FollowStore) -> None:
            await store.mark(rows)
            await store.checked(orders)

        await self._changed(changes, work)
        return True

    async def _as_anybody(
        self, changes: Changes, ask: Callable[[Who], Awaitable[Mapping[int, str]]]
    ) -> Mapping[int, str] | None:
        """Ask for the system as the first holder whose token is taken: any may.

        ``None`` where nobody's is, or where pages are refused: they are asked for again after a while, details go on.
        """
        usual = self._asking.usual
        holders = [usual] if usual is not None else await self._at(changes, lambda store: store.holders(_HOLDERS))
        for who in holders:
            try:
                return await ask(who)
            except NoTokenError as error:
                log.warning("orders are not asked for", source="epgu", code=error.error.code)
                if usual is None:
                    await self._suspect(changes, who)
            except RefusedByGatewayError as error:
                log.warning("orders are not asked for", source="epgu", code=error.error.code)
                break
        self._mute_until = asyncio.get_running_loop().time() + max(_AWAY, self._options.poll)
        return None

    @property
    def _is_mute(self) -> bool:
        return asyncio.get_running_loop().time() < self._mute_until

    async def _suspect(self, changes: Changes, who: Who) -> None:
        await self._changed(changes, lambda store: store.suspect(who))

    async def _look(self, changes: Changes, order: Followed) -> AwayFromGatewayError | None:
        """Read details of one order and tell what is new in them."""
        try:
            await self._read(changes, order)
        except NoTokenError as error:
            await self._tell_lack(changes, order, error.error)
        except RefusedByGatewayError as error:
            log.warning("order is not read", source="epgu", order_id=str(order.order_id), code=error.error.code)
            self._count("epgu-follow-refused")
            await self._put_off(changes, order)
        except AwayFromGatewayError as error:
            # It may be this order's own matter: the others come first now.
            await self._put_off(changes, order, pause=self._options.first)
            return error
        except (RegistersAwayError, NotOursError):
            raise
        except Exception as error:  # noqa: BLE001  — details that our code fails on must not take the others along
            log.error("order is not read", source="epgu", order_id=str(order.order_id), error=error)  # noqa: TRY400  — no values
            self._count("epgu-follow-defects")
            await self._put_off(changes, order, pause=self._options.longest)
        return None

    async def _read(self, changes: Changes, order: Followed) -> None:
        details, raw, zone = await self._asking.details(order)

        def judge(known: Followed) -> Kept:
            news = news_of(known, details, zone)
            looks = 0 if news.events else known.looks + 1
            waits = news.stage is Stage.PROCESSING or (news.behind and looks < _BEHIND)
            return Kept(news, looks, self._pause(looks) if waits else None, forgets=news.behind and not waits)

        await self._tell(changes, order, raw, judge)

    async def _tell_lack(self, changes: Changes, order: Followed, error: AdapterError) -> None:
        """Tell once that a token is needed; one that is fetched is tried again by itself, a brought one is not."""

        def judge(known: Followed) -> Kept:
            events = () if known.needs_token else (needs_token(known, error),)
            again = None if known.who.token else self._options.longest
            return Kept(News(known.stage, events), known.looks, again, lacking=True)

        await self._tell(changes, order, b"", judge)

    async def _put_off(self, changes: Changes, order: Followed, *, pause: float | None = None) -> None:
        """Read an order later: after ``pause`` seconds, or longer each time."""

        def judge(known: Followed) -> Kept:
            looks = known.looks + (pause is None)
            stage = Stage.ENDED if known.given_up and pause is None else known.stage
            again = self._pause(looks) if pause is None else pause
            return Kept(News(stage), looks, again, lacking=known.needs_token)

        await self._tell(changes, order, b"", judge)

    async def _tell(self, changes: Changes, order: Followed, raw: bytes, judge: Callable[[Followed], Kept]) -> None:
        """Keep what a reading came to, together with its events; nothing when a command changed the order meanwhile."""

        async def work(session: Session) -> tuple[News | None, Sequence[Told]]:
            store = FollowStore(session)
            await store.must_hold(self._worker)
            known = await store.look(order)
            if known is None:
                return None, ()
            kept = judge(known)
            await store.keep(known, kept)
            return kept.news, (_told(known, kept.news, raw),) if kept.news.events else ()

        news = await changes.change(work)
        for event in news.events if news else ():
            self._count(event.name)

    def _pause(self, looks: int) -> float:
        return float(min(self._options.longest, self._options.first * 2.0 ** min(max(looks - 1, 0), 20)))

    async def _at(self, changes: Changes, ask: Callable[[FollowStore], Awaitable[Result]]) -> Result:
        """Return what the store answers."""
        return await changes.change(lambda session: _alone(ask(FollowStore(session))))

    async def _changed(self, changes: Changes, work: Callable[[FollowStore], Awaitable[object]]) -> None:
        """Change the store while the lease is held. Raises NotOursError."""

        async def fenced(session: Session) -> tuple[None, Sequence[Told]]:
            store = FollowStore(session)
            await store.must_hold(self._worker)
            await work(store)
            return None, ()

        await changes.change(fenced)


def _told(order: Followed, news: News, raw: bytes) -> Told:
    number = str(order.order_id)
    # That it is told once is kept with the order itself: no two readings are one message.
    key = f"{number}/{uuid4()}"
    return Told(NAME, key, ORDER, raw, subject=number, events=tuple(news.events), about=order.exchange_id)


async def _alone(work: Awaitable[Result]) -> tuple[Result, Sequence[Any]]:
    """Return the result of ``work`` as one that tells nothing."""
    return await work, ()
