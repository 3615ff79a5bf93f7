"""The follower on a real database, with a scripted ЕПГУ: one follows, each change is told once, none is forgotten."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import orjson
import pytest

from adapter.errors import Code, KnownError
from adapter.exchange import State
from adapter.gateways.epgu.errors import token_refused
from adapter.gateways.epgu.follow import Follower, FollowOptions
from adapter.gateways.epgu.follow_asking import AwayFromGatewayError, NoTokenError, RefusedByGatewayError
from adapter.gateways.epgu.follow_news import NEEDS_TOKEN, PROCESS_FAILED, STATUS_CHANGED, status_key
from adapter.gateways.epgu.reading import Details
from adapter.gateways.epgu.tokens import Who
from adapter.incoming import Local
from adapter.journal.changes import Changes
from adapter.journal.journal import DatabaseAddress, Journal
from adapter.journal.migrate import migrate
from adapter.journal.operations import Finish
from adapter.pipeline.registers import Registers
from tests.integration.rows import take, until
from tests.integration.test_registers import Offered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import tzinfo

    import asyncpg

    from adapter.gateways.epgu.follow_news import Followed
    from deploy.local.postgres import LocalPostgres

QUICK = FollowOptions(first=0.02, longest=0.05, poll=0.03, reconcile=3600, lease=0.6, tick=0.01)
BEGAN = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)


@dataclass
class Portal:
    """A scripted ЕПГУ: orders with their codes and statuses, and what is wrong just now."""

    usual: Who | None = field(default_factory=Who)
    codes: dict[int, str] = field(default_factory=dict)
    histories: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    fault: Exception | None = None
    refuses: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def show(self, order: int, *statuses: int, code: str = "OK") -> None:
        self.codes[order] = code
        history = self.histories.setdefault(order, [])
        for status in statuses:
            at = (BEGAN + timedelta(seconds=len(history))).isoformat()
            history.append({"id": len(history), "statusId": status, "date": at, "finalStatus": status in {3, 10}})

    async def changed(self, who: Who, since: datetime, overlap: float) -> Mapping[int, str]:
        self._ask("changed", who)
        assert since.tzinfo is not None
        assert overlap == QUICK.overlap
        return self._page([order for order in self.histories if order not in self.hidden])

    async def statuses(self, who: Who, orders: Sequence[int]) -> Mapping[int, str]:
        self._ask("statuses", who)
        assert 0 < len(orders) <= 50
        return self._page(orders)

    async def details(self, order: Followed) -> tuple[Details, bytes, tzinfo]:
        self._ask("details", order.who)
        history = self.histories.get(order.order_id)
        said = {"statuses": list(history)} if history else None
        return Details(self.codes.get(order.order_id, "NEW"), None, None, said, None), b"record", UTC

    def _ask(self, what: str, who: Who) -> None:
        self.asked.append(what)
        for fault in (self.fault, self.refuses.get(what), self.refuses.get(who.token or who.key)):
            if fault is not None:
                raise fault

    def _page(self, orders: Sequence[int]) -> dict[int, str]:
        return {
            order: status_key(history[-1]["statusId"], history[-1]["date"])
            for order in orders
            if (history := self.histories.get(order))
        }


@dataclass
class Desk:
    """Orders submitted by commands of one journal, and followers of them."""

    journal: Journal
    changes: Changes
    look: asyncpg.Connection
    portal: Portal = field(default_factory=Portal)

    def follower(self, **more: Any) -> Follower:
        return Follower(QUICK, self.portal, **more)

    @asynccontextmanager
    async def following(self, *followers: Follower) -> AsyncIterator[None]:
        offered = Offered()
        registers: Any = Registers(self.journal.worker, self.changes, {}, offered, offered)  # type: ignore[arg-type]
        tasks = [asyncio.create_task(one.run(registers)) for one in followers or (self.follower(),)]
        try:
            yield
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def command(self, order: int, operation: str = "follow", **who: str) -> UUID:
        """End a command about an order as its service does: the outcome and the word to the follower in one."""
        row = take(self.journal)
        await self.journal.write(row)
        content = {"command": str(row.exchange.id), "order_id": order, "who": who, "profile": None, "result": {}}
        step, follower = Local("epgu", operation, content), self.follower()

        async def work(session: asyncpg.Connection) -> tuple[None, Sequence[Finish]]:
            assert (await follower.carry_out(session, step)).outcome == {"result": {}}
            end = (row.exchange.id, self.journal.worker, State.RECEIVED, State.REPLIED, b"{}", None)
            return None, (Finish(*end),)

        await self.changes.run(work)
        return row.exchange.id

    async def told(self, order: int) -> list[tuple[str, Any]]:
        rows = await self.look.fetch("select routing_key, body from outbox where kind = 'event' order by id")
        bodies = [(row["routing_key"], orjson.loads(row["body"])) for row in rows]
        return [(name, body.get("status_id", body.get("code"))) for name, body in bodies if body["order_id"] == order]

    async def until_told(self, order: int, *news: tuple[str, Any]) -> None:
        async with asyncio.timeout(10):
            while len(await self.told(order)) < len(news):  # noqa: ASYNC110 — a table gives no signal
                await asyncio.sleep(0.01)
        assert await self.told(order) == list(news)

    async def asked_again(self, what: str, times: int = 2) -> None:
        """Wait until the portal was asked so often from now on."""
        wanted = self.portal.asked.count(what) + times
        async with asyncio.timeout(10):
            while self.portal.asked.count(what) < wanted:  # noqa: ASYNC110 — the follower tells nobody
                await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
async def one_journal(postgres: LocalPostgres) -> AsyncIterator[Journal]:
    """A journal for all tests here: a database for each would cost more than they do."""
    name = f"test_{uuid4().hex[:12]}"
    postgres.start()
    postgres.create_database(name)
    address = DatabaseAddress(
        {
            "host": postgres.host,
            "port": postgres.port,
            "user": postgres.user,
            "password": postgres.password,
            "database": name,
        }
    )
    connection = await address.connect()
    await migrate(connection)
    await connection.close()
    journal = Journal(address, worker_name="test")
    await journal.take_lease()
    task = asyncio.create_task(journal.run())
    await journal.available.wait()
    yield journal
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    postgres.drop_database(name)


@pytest.fixture
async def desk(one_journal: Journal) -> AsyncIterator[Desk]:
    look = await one_journal._address.connect()
    await look.execute(
        "truncate epgu_followed, exchanges, incoming, outbox, proof, command_key, subjects;"
        "update epgu_follower set lease_until = '-infinity', asked_at = null"
    )
    changes = Changes(one_journal._address.connect, one_journal.worker)
    yield Desk(one_journal, changes, look)
    await changes.aclose()
    await look.close()


def changed(*statuses: int) -> list[tuple[str, int]]:
    return [(STATUS_CHANGED, status) for status in statuses]


async def test_an_order_is_followed_from_its_acceptance_to_its_end(desk: Desk) -> None:
    desk.portal.codes[1] = "NEW"
    exchange = await desk.command(1)
    async with desk.following():
        await desk.asked_again("details", 3)
        assert await desk.told(1) == []
        desk.portal.show(1, 17, 21)
        await desk.until_told(1, *changed(17, 21))
        desk.portal.show(1, 2)
        await desk.until_told(1, *changed(17, 21, 2))
        desk.portal.show(1, 6, 3)
        await desk.until_told(1, *changed(17, 21, 2, 6, 3))
        await until(desk.look, "select stage = 'ended' from epgu_followed")
        read = desk.portal.asked.count("details")
        await desk.command(2)
        await desk.asked_again("changed")
        assert desk.portal.asked.count("changed") > 2
    rows = await desk.look.fetch("select exchange_id, body, properties from outbox where kind = 'event' order by id")
    assert {row["exchange_id"] for row in rows} == {exchange}
    assert await desk.look.fetchval("select events from exchanges where id = $1", exchange) == 5
    assert await desk.look.fetchval("select count(*) from proof where kind = 'status' and data = 'record'") == 3
    assert read >= 6


async def test_orders_that_do_not_change_cost_no_details(desk: Desk) -> None:
    for order in (1, 2, 3):
        desk.portal.show(order, 17)
        await desk.command(order)
    async with desk.following():
        for order in (1, 2, 3):
            await desk.until_told(order, *changed(17))
        read = desk.portal.asked.count("details")
        await desk.asked_again("changed", 5)
        assert desk.portal.asked.count("details") == read
        desk.portal.show(2, 6)
        await desk.until_told(2, *changed(17, 6))
        await desk.asked_again("changed")
        assert desk.portal.asked.count("details") == read + 1


@pytest.mark.parametrize("code", ["REQ_NOT_FOUND", "LIMITATION_EXCEPTION"])
async def test_a_final_failure_is_told_once_and_ends_the_following(desk: Desk, code: str) -> None:
    desk.portal.codes |= {1: code, 2: "NEW"}
    await desk.command(1)
    await desk.command(2)
    async with desk.following():
        await desk.until_told(1, (PROCESS_FAILED, code))
        await desk.asked_again("details", 4)
    assert await desk.told(1) == [(PROCESS_FAILED, code)]


async def test_one_of_several_followers_works_and_another_goes_on_when_it_ends(desk: Desk) -> None:
    first, second = desk.follower(), desk.follower()
    desk.portal.show(1, 17)
    await desk.command(1)
    async with desk.following(second):
        async with desk.following(first):
            await desk.until_told(1, *changed(17))
            assert await desk.look.fetchval("select count(*) from epgu_follower where worker = $1", second._worker) == 1
        desk.portal.show(1, 2)
        await desk.until_told(1, *changed(17, 2))
    async with desk.following(first):
        desk.portal.show(1, 6)
        await desk.until_told(1, *changed(17, 2, 6))
        assert await desk.look.fetchval("select worker from epgu_follower") == first._worker


async def test_a_follower_that_lost_its_lease_tells_nothing_any_more(desk: Desk) -> None:
    """As one that was stopped for a while: what it read is told by whoever has the lease now."""
    desk.portal.show(1, 17)
    await desk.command(1)
    reached, go = asyncio.Event(), asyncio.Event()
    answer = desk.portal.details

    async def slow(order: Followed) -> tuple[Details, bytes, tzinfo]:
        reached.set()
        await go.wait()
        return await answer(order)

    desk.portal.details = slow  # type: ignore[method-assign]
    late = desk.follower()
    async with desk.following(late):
        await asyncio.wait_for(reached.wait(), 10)
        taken = "update epgu_follower set worker = $1, lease_until = now() + interval '1 hour'"
        await desk.look.execute(taken, uuid4())
        go.set()
        async with asyncio.timeout(10):
            while late._held.is_set():  # noqa: ASYNC110 — it tells nobody
                await asyncio.sleep(0.01)
        assert await desk.told(1) == []
    await desk.look.execute("update epgu_follower set lease_until = now()")
    async with desk.following():
        await desk.until_told(1, *changed(17))


async def test_a_brought_token_that_ended_is_told_once_and_the_next_one_goes_on(desk: Desk) -> None:
    ended = "a" * 64
    desk.portal.refuses[ended] = NoTokenError(token_refused({"rule": "the token has ended"}))
    desk.portal.codes[2] = "NEW"
    await desk.command(1, token=ended)
    await desk.command(2)
    lack = (NEEDS_TOKEN, Code.TOKEN_REFUSED.wire)
    async with desk.following():
        await desk.until_told(1, lack)
        desk.portal.show(1, 17)
        await desk.asked_again("changed", 3)
        assert await desk.told(1) == [lack]
        desk.portal.show(1, 21)
        await desk.command(1, "token", token="b" * 64)
        await desk.until_told(1, lack, *changed(17, 21))


async def test_without_an_api_key_pages_are_asked_for_as_a_submitter_and_its_end_is_told(desk: Desk) -> None:
    desk.portal.usual = None
    desk.portal.show(1, 17)
    await desk.command(1, token="a" * 64)
    async with desk.following():
        await desk.until_told(1, *changed(17))
        desk.portal.show(1, 6)
        await desk.until_told(1, *changed(17, 6))
        desk.portal.refuses["a" * 64] = NoTokenError(token_refused())
        await desk.until_told(1, *changed(17, 6), (NEEDS_TOKEN, Code.TOKEN_REFUSED.wire))


async def test_a_token_that_is_not_to_be_had_now_is_tried_again_by_itself(desk: Desk) -> None:
    desk.portal.refuses["branch"] = NoTokenError(token_refused())
    desk.portal.show(1, 17)
    await desk.command(1, key="branch")
    lack = (NEEDS_TOKEN, Code.TOKEN_REFUSED.wire)
    async with desk.following():
        await desk.until_told(1, lack)
        await desk.asked_again("details", 2)
        del desk.portal.refuses["branch"]
        await desk.until_told(1, lack, *changed(17))


@pytest.mark.parametrize("usual", [Who(), None], ids=["by-key", "by-submitter"])
async def test_a_portal_that_is_away_is_waited_for(desk: Desk, usual: Who | None, monkeypatch: Any) -> None:
    monkeypatch.setattr("adapter.gateways.epgu.follow._FIRST_AWAY", 0.01)
    desk.portal.usual = usual
    desk.portal.fault = AwayFromGatewayError(Code.GATEWAY_UNAVAILABLE.wire)
    desk.portal.show(1, 17)
    await desk.command(1, key="head")
    async with desk.following():
        await desk.asked_again("changed", 2)
        assert await desk.told(1) == []
        desk.portal.fault = None
        await desk.until_told(1, *changed(17))


async def test_pages_that_are_refused_do_not_hold_up_details(desk: Desk) -> None:
    desk.portal.refuses["changed"] = RefusedByGatewayError(KnownError(Code.GATEWAY_PROTOCOL))
    desk.portal.show(1, 17)
    await desk.command(1)
    async with desk.following():
        await desk.until_told(1, *changed(17))


async def test_one_order_that_is_refused_or_unreadable_does_not_hold_up_the_others(desk: Desk) -> None:
    desk.portal.refuses |= {"mine": RefusedByGatewayError(KnownError(Code.GATEWAY_PROTOCOL)), "odd": ValueError("x")}
    desk.portal.show(3, 17)
    for order, key in ((1, "mine"), (2, "odd"), (3, "head")):
        await desk.command(order, key=key)
    async with desk.following():
        await desk.until_told(3, *changed(17))
        await desk.asked_again("details", 4)
        assert await desk.told(1) + await desk.told(2) == []


async def test_an_order_whose_details_never_come_does_not_hold_up_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.gateways.epgu.follow._FIRST_AWAY", 0.01)
    desk.portal.refuses["slow"] = AwayFromGatewayError(Code.GATEWAY_UNAVAILABLE.wire)
    desk.portal.show(40, 17)
    for order in range(1, 7):
        await desk.command(order, key="slow")
    await desk.command(40, key="head")
    async with desk.following():
        await desk.until_told(40, *changed(17))


async def test_a_defect_of_the_follower_leaves_its_worker_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.gateways.epgu.follow._AWAY", 0.02)
    desk.portal.refuses["changed"] = ValueError("x")
    desk.portal.codes[1] = "NEW"
    await desk.command(1)
    async with desk.following():
        await desk.asked_again("changed", 3)
        del desk.portal.refuses["changed"]
        desk.portal.show(1, 17)
        await desk.until_told(1, *changed(17))


async def test_a_change_that_the_pages_hide_is_found_by_the_number_of_the_order(desk: Desk) -> None:
    desk.portal.show(1, 17)
    await desk.command(1)
    async with desk.following():
        await desk.until_told(1, *changed(17))
        desk.portal.hidden.add(1)
        desk.portal.show(1, 6)
        await desk.asked_again("changed", 2)
        assert await desk.told(1) == changed(17)
        await desk.look.execute("update epgu_followed set checked_at = now() - interval '2 hours'")
        await desk.until_told(1, *changed(17, 6))
    assert desk.portal.asked.count("statuses") == 1


async def test_a_cancelled_order_tells_what_came_of_it_to_whoever_follows_it(desk: Desk) -> None:
    submitted = await desk.command(1)
    desk.portal.show(1, 17)
    desk.portal.show(2, 17, 9)
    cancelled = await desk.command(2, "cancelled")
    await desk.command(1, "cancelled")
    async with desk.following():
        await desk.until_told(1, *changed(17))
        await desk.until_told(2, *changed(9))
        desk.portal.show(1, 9, 11)
        desk.portal.show(2, 10)
        await desk.until_told(1, *changed(17, 9, 11))
        await desk.until_told(2, *changed(9, 10))
    rows = await desk.look.fetch("select distinct exchange_id from outbox where kind = 'event'")
    assert {row["exchange_id"] for row in rows} == {submitted, cancelled}


async def test_a_command_that_comes_while_details_are_read_is_not_undone(desk: Desk) -> None:
    desk.portal.show(1, 17)
    desk.portal.refuses["a" * 64] = NoTokenError(token_refused())
    await desk.command(1, token="a" * 64)
    answer, given = desk.portal.details, asyncio.Event()

    async def meanwhile(order: Followed) -> tuple[Details, bytes, tzinfo]:
        if not given.is_set():
            given.set()
            await desk.command(1, "token", token="b" * 64)
        return await answer(order)

    desk.portal.details = meanwhile  # type: ignore[method-assign]
    async with desk.following():
        await desk.until_told(1, *changed(17))


async def test_news_of_a_command_that_the_journal_forgot_are_an_exchange_of_their_own(desk: Desk) -> None:
    desk.portal.show(1, 17)
    exchange = await desk.command(1)
    await desk.look.execute("delete from exchanges where id = $1", exchange)
    async with desk.following():
        await desk.until_told(1, *changed(17))
        desk.portal.show(1, 6)
        await desk.until_told(1, *changed(17, 6))
    rows = await desk.look.fetch("select action, state from exchanges where source = 'epgu'")
    assert [tuple(row) for row in rows] == [("epgu.order", "replied")] * 2
    subjects = await desk.look.fetch("select subject from subjects")
    assert [row["subject"] for row in subjects] == ["1", "1"]


async def test_a_worker_that_may_not_follow_keeps_orders_for_another(desk: Desk) -> None:
    desk.portal.show(1, 17)
    await desk.follower(active=False).run(None)  # type: ignore[arg-type]
    await desk.command(1)
    async with desk.following():
        await desk.until_told(1, *changed(17))


async def test_an_upload_whose_answer_was_lost_is_followed_if_it_was_accepted(desk: Desk) -> None:
    """Its command has expired: whether ЕПГУ took the archive, only details can tell."""
    desk.portal.show(1, 17)
    lost = [await expired(desk, order) for order in (1, 2)]
    async with desk.following():
        await desk.until_told(1, *changed(17))
        desk.portal.show(1, 3)
        await desk.until_told(1, *changed(17, 3))
        await until(desk.look, "select bool_and(stage = 'ended') and count(*) = 2 from epgu_followed")
    assert await desk.told(2) == []
    rows = await desk.look.fetch("select distinct exchange_id from outbox where kind = 'event'")
    assert [row["exchange_id"] for row in rows] == lost[:1]


async def expired(desk: Desk, order: int) -> UUID:
    row = take(desk.journal)
    await desk.journal.write(row)
    await desk.look.execute(
        "update exchanges set state = 'expired', owner = null, finished_at = now(), gateway = 'epgu',"
        " operation = 'push-chunked' where id = $1",
        row.exchange.id,
    )
    manifest = orjson.dumps({"order_id": order, "who": {"key": "head"}, "profile": "1.12"})
    await desk.look.execute(
        "insert into proof (exchange_id, kind, data) values ($1, 'request', $2)", row.exchange.id, manifest
    )
    return row.exchange.id
