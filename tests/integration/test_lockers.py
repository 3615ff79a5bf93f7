"""The lockers' registers on a real database: what is unique, what happens once, what two connections agree on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from adapter.gateways.postamat.api import LockerCall, Operation
from adapter.lockers.refusals import LockerRefusedError, Refusal
from adapter.lockers.rules import STEPS, Case, CaseState, Locker
from adapter.lockers.store import LockerStore, Verdict
from tests.integration.lockers_database import empty_pool, filled_pool  # noqa: F401  — fixtures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))


@pytest.fixture
async def connections(pool: asyncpg.Pool) -> AsyncIterator[list[asyncpg.Connection]]:
    """Three connections to one database: two lockers and somebody who looks."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(pool.acquire()) for _ in range(3)]


@pytest.fixture
async def store(connections: list[asyncpg.Connection]) -> LockerStore:
    store = LockerStore(connections[0])
    await store.add_locker(locker("1233"))
    await store.add_locker(locker("77"))
    await store.permit("passport", permitted=True)
    return store


def locker(number: str, **changes: object) -> Locker:
    values = {"address": f"Калуга, {number}", "departments": ("ТОСП-1",), "storage_days": 3} | changes
    return Locker(number=number, **values)


def case(casenum: str = "1.22-51", **changes: object) -> Case:
    return Case(casenum=casenum, service="passport", department="ТОСП-1", phone="+7 (918) 555 55 54", **changes)


def call(operation: Operation, casenum: str = "1.22-51", number: str = "1233", **changes: str) -> LockerCall:
    return replace(LockerCall(operation, casenum, number, STAMP, "1139", "10"), **changes)


async def refused(store: LockerStore, told: LockerCall, at: datetime = NOW) -> str:
    verdict = await store.take(told, at)
    assert verdict.refusal is not None
    assert verdict.event is None
    return verdict.refusal["name"]


async def test_a_number_stands_once_in_the_directory(store: LockerStore) -> None:
    with pytest.raises(LockerRefusedError) as error:
        await store.add_locker(locker("1233", address="другой"))
    assert error.value.refusal is Refusal.LOCKER_EXISTS
    assert (await store.locker("1233")).address == "Калуга, 1233"


async def test_an_entry_is_edited_in_what_is_given_alone(store: LockerStore) -> None:
    edited = await store.edit_locker("1233", storage_days=9)
    assert edited == locker("1233", storage_days=9)
    edited = await store.edit_locker("1233", departments=["ТОСП-1", "ТОСП-2"], active=False)
    assert edited == locker("1233", storage_days=9, departments=("ТОСП-1", "ТОСП-2"), active=False)
    assert await store.lockers() == (locker("77"), edited)
    with pytest.raises(LockerRefusedError) as error:
        await store.edit_locker("5", active=True)
    assert error.value.refusal is Refusal.NO_LOCKER


async def test_lockers_are_offered_for_permitted_services_only_and_while_they_are_active(store: LockerStore) -> None:
    assert [one.number for one in await store.offer("passport", "ТОСП-1")] == ["77", "1233"]
    await store.edit_locker("77", active=False)
    assert [one.number for one in await store.offer("passport", "ТОСП-1")] == ["1233"]
    assert await store.offer("passport", "ТОСП-9") == ()
    assert await store.offer("licence", "ТОСП-1") == ()
    await store.permit("passport", permitted=False)
    assert await store.offer("passport", "ТОСП-1") == ()
    assert await store.permitted_services() == ()


async def test_a_case_is_registered_once_with_a_locker_that_was_offered(store: LockerStore) -> None:
    await store.register(case(chosen="1233"))
    with pytest.raises(LockerRefusedError) as error:
        await store.register(case())
    assert error.value.refusal is Refusal.CASE_EXISTS
    await store.edit_locker("77", active=False)
    with pytest.raises(LockerRefusedError) as error:
        await store.register(case("2", chosen="77"))
    assert error.value.refusal is Refusal.INACTIVE
    kept, movements = await store.case("1.22-51")
    assert (kept, movements) == (case(chosen="1233"), ())


async def test_a_case_goes_the_whole_way_and_every_movement_is_kept(store: LockerStore) -> None:
    await store.register(case(chosen="1233"))
    steps = [Operation.PUT_CASE, Operation.BACK, Operation.PUT_CASE, Operation.ISSUE]
    for number, step in enumerate(steps):
        told = call(step, timestamp=str(int(STAMP) + number))
        verdict = await store.take(told, NOW + timedelta(minutes=number))
        assert verdict.body == {"status": "ok", "message": "Сохранено"}
        assert verdict.event is not None
        assert verdict.event.name == "postamat.case-moved"
    ended, movements = await store.case("1.22-51")
    assert (ended.state, ended.chosen, ended.place) == (CaseState.ISSUED, "1233", None)
    assert [one.operation for one in movements] == steps
    assert [one.state for one in movements] == ["В постамате", "на выдаче", "В постамате", "Выдано заявителю"]
    assert (movements[0].postamatid, movements[0].cellid, movements[0].userid) == ("1233", "10", "1139")
    assert movements[0].timestamp == int(STAMP)


async def test_a_repeat_is_answered_as_the_first_one_and_changes_nothing(store: LockerStore) -> None:
    await store.register(case())
    put, issue = call(Operation.PUT_CASE), call(Operation.ISSUE)
    first = await store.take(put, NOW)
    await store.take(issue, NOW)
    again = await store.take(put, NOW + timedelta(days=1), timedelta(minutes=5))
    assert (again.refusal, again.body, again.event) == (None, first.body, None)
    ended, movements = await store.case("1.22-51")
    assert (ended.state, len(movements)) == (CaseState.ISSUED, 2)


async def test_a_refused_call_stays_refused_and_a_new_one_is_judged_anew(store: LockerStore) -> None:
    assert await refused(store, call(Operation.PUT_CASE)) == "No case"
    await store.register(case())
    assert await refused(store, call(Operation.PUT_CASE)) == "No case"
    assert (await store.take(call(Operation.PUT_CASE, timestamp="1"), NOW)).refusal is None
    await store.forget_calls(NOW + timedelta(seconds=1))
    assert await refused(store, call(Operation.PUT_CASE)) == "Wrong step"


async def test_wrong_lockers_steps_and_times_are_refused_by_name_and_move_nothing(store: LockerStore) -> None:
    await store.register(case(chosen="1233"))
    assert await refused(store, call(Operation.PUT_CASE, number="5")) == "No postamat"
    assert await refused(store, call(Operation.PUT_CASE, number="77")) == "Wrong postamat"
    assert await refused(store, call(Operation.ISSUE)) == "Wrong step"
    late = await store.take(call(Operation.PUT_CASE), NOW + timedelta(hours=1), timedelta(minutes=5))
    assert late.refusal is not None
    assert late.refusal["name"] == "Wrong timestamp"
    assert await store.case("1.22-51") == (case(chosen="1233"), ())


@pytest.mark.parametrize("second", [Operation.PUT_CASE, Operation.BACK])
async def test_two_lockers_that_tell_of_one_case_at_once_leave_one_consistent_state(
    connections: list[asyncpg.Connection], store: LockerStore, second: Operation
) -> None:
    await store.register(case())
    numbers = ("1233", "77") if second is Operation.PUT_CASE else ("1233", "1233")
    rivals = [LockerStore(connections[0]), LockerStore(connections[1])]
    if second is Operation.BACK:
        await store.take(call(Operation.PUT_CASE, timestamp="1"), NOW)
    calls = [call(second, number=number, userid=str(n)) for n, number in enumerate(numbers)]
    # The first one holds the case in an open transaction until the second one is seen to wait for it.
    async with connections[0].transaction():
        first = await rivals[0].take(calls[0], NOW)
        waiting = asyncio.create_task(rivals[1].take(calls[1], NOW))
        await _until_blocked(connections[2])
    late = await asyncio.wait_for(waiting, 10)
    assert first.refusal is None
    assert late.refusal is not None
    assert (late.refusal["name"], late.event) == ("Wrong step", None)
    ended, movements = await store.case("1.22-51")
    assert ended.state is movements[-1].state
    assert ended.place == (numbers[0] if second is Operation.PUT_CASE else None)
    assert [one.operation for one in movements].count(second) == 1


async def test_two_lockers_in_a_race_move_a_case_once(
    connections: list[asyncpg.Connection], store: LockerStore
) -> None:
    rivals = [LockerStore(connections[0]), LockerStore(connections[1])]
    for number in range(20):
        casenum = f"race-{number}"
        await store.register(case(casenum))
        verdicts = await asyncio.gather(
            rivals[0].take(call(Operation.PUT_CASE, casenum, "1233"), NOW),
            rivals[1].take(call(Operation.PUT_CASE, casenum, "77"), NOW),
        )
        winner = "1233" if verdicts[0].refusal is None else "77"
        assert sorted(verdict.refusal is None for verdict in verdicts) == [False, True]
        ended, movements = await store.case(casenum)
        assert (ended.place, [one.postamatid for one in movements]) == (winner, [winner])


async def test_copies_of_one_call_at_once_move_a_case_once_and_are_answered_alike(
    connections: list[asyncpg.Connection], store: LockerStore
) -> None:
    await store.register(case())
    rivals = [LockerStore(connection) for connection in connections]
    verdicts = await asyncio.gather(*(rival.take(call(Operation.PUT_CASE), NOW) for rival in rivals))
    assert [verdict.refusal for verdict in verdicts] == [None, None, None]
    assert sum(verdict.event is not None for verdict in verdicts) == 1
    assert len((await store.case("1.22-51"))[1]) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_calls_in_any_order_from_everywhere_leave_one_chain_of_legal_steps(
    connections: list[asyncpg.Connection], store: LockerStore, seed: int
) -> None:
    """Three connections tell of one case at once, some of it twice: who won is open, that it fits together is not."""
    await store.register(case())
    chance = Random(seed)  # noqa: S311  — a dice, not a secret
    told = [
        call(chance.choice([*Operation]), number=chance.choice(["1233", "77"]), userid=str(chance.randrange(12)))
        for _ in range(45)
    ]

    async def tell(connection: asyncpg.Connection, calls: list[LockerCall]) -> list[tuple[LockerCall, Verdict]]:
        mine = LockerStore(connection)
        return [(one, await mine.take(one, NOW)) for one in calls]

    told_of = await asyncio.gather(*(tell(connection, told[n::3]) for n, connection in enumerate(connections)))
    verdicts = [pair for pairs in told_of for pair in pairs]
    ended, movements = await store.case("1.22-51")
    state, place = CaseState.READY, None
    for one in movements:
        assert STEPS[state, one.operation] is one.state
        assert place in (None, one.postamatid)
        state, place = one.state, one.postamatid if one.state is CaseState.IN_LOCKER else None
    assert (ended.state, ended.place) == (state, place)
    assert sum(verdict.event is not None for _, verdict in verdicts) == len(movements)
    for one in told:
        assert len({str(verdict.body) for other, verdict in verdicts if other == one}) == 1


async def test_a_step_belongs_to_the_transaction_of_its_owner(
    connections: list[asyncpg.Connection], store: LockerStore
) -> None:
    await store.register(case())
    transaction = connections[0].transaction()
    await transaction.start()
    assert (await store.take(call(Operation.PUT_CASE), NOW)).event is not None
    await transaction.rollback()
    assert await store.case("1.22-51") == (case(), ())
    assert (await store.take(call(Operation.PUT_CASE), NOW)).event is not None


async def test_the_list_shows_what_lies_in_lockers_and_marks_what_is_overdue(store: LockerStore) -> None:
    await store.edit_locker("77", storage_days=10)
    for casenum, number in (("old", "1233"), ("new", "77"), ("gone", "77"), ("never", "77")):
        await store.register(case(casenum))
        if casenum != "never":
            await store.take(call(Operation.PUT_CASE, casenum, number), NOW)
    await store.take(call(Operation.ISSUE, "gone", "77"), NOW)
    listed = await store.stays(NOW + timedelta(days=4))
    assert [(one.case.casenum, one.locker.number, one.overdue) for one in listed] == [
        ("new", "77", False),
        ("old", "1233", True),
    ]


async def test_an_overdue_case_is_told_of_once(connections: list[asyncpg.Connection], store: LockerStore) -> None:
    for casenum in ("1", "2"):
        await store.register(case(casenum))
        await store.take(call(Operation.PUT_CASE, casenum), NOW)
    assert await store.tell_overdue(NOW + timedelta(days=3)) == ()
    late = NOW + timedelta(days=3, seconds=1)
    first, second = await asyncio.gather(
        LockerStore(connections[0]).tell_overdue(late, 1), LockerStore(connections[1]).tell_overdue(late)
    )
    told = [*first, *second, *await store.tell_overdue(late)]
    assert sorted(event.body["casenum"] for event in told) == ["1", "2"]
    assert {event.name for event in told} == {"postamat.case-overdue"}
    assert await store.tell_overdue(late + timedelta(days=30)) == ()


async def _until_blocked(connection: asyncpg.Connection) -> None:
    """Wait until some connection waits for a lock of another one."""
    question = (
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(10):
        while not await connection.fetchval(question):  # noqa: ASYNC110 — a lock gives no signal
            await asyncio.sleep(0.01)
