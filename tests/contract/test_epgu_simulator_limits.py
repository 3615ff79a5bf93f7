"""Limits of the ЕПГУ simulator: calendar periods of a system, the sliding window of a user and a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.epgu_caller import ATTORNEY, HEAD, NEIGHBOUR, OTHER_SYSTEM, PLAIN, service, zipped

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

MINUTE, HOUR, DAY = 60, 3600, 86_400
PERIODS = [("minute", MINUTE), ("hour", HOUR), ("day", DAY), ("month", 31 * DAY), ("year", 366 * DAY)]


async def test_the_usual_limits_are_those_of_the_specification(world: World) -> None:
    told = await world.admin("GET", "settings")
    assert [told[f"limit_{name}"] for name, _ in PERIODS] == [2_000, 120_000, 2_880_000, 86_400_000, 1_036_800_000]
    assert (told["orders_limit"], told["orders_window"]) == (20, 600)


@pytest.mark.parametrize(("period", "seconds"), PERIODS)
async def test_requests_of_a_period_are_counted_and_the_next_period_begins_anew(
    world: World, period: str, seconds: int
) -> None:
    await world.set(**{f"limit_{period}": 2}, token_life=10**9)
    assert [(await world.statuses(1)).status for _ in range(4)] == [200, 200, 429, 429]
    reply = await world.statuses(1)
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (
        429,
        b"Too Many Requests",
        "text/plain; charset=utf-8",
    )
    assert "Retry-After" not in reply.headers
    await world.advance(seconds)
    assert (await world.statuses(1)).status == 200


async def test_a_period_is_one_of_the_calendar(world: World) -> None:
    now = (await world.admin("GET", "clock"))["now"]
    await world.advance(MINUTE - float(now[17:26].split("+")[0]) - 1)  # to the last second of a minute
    await world.set(limit_minute=1)
    assert [(await world.statuses(1)).status for _ in range(2)] == [200, 429]
    await world.advance(1.5)
    assert (await world.statuses(1)).status == 200


async def test_every_system_has_counters_of_its_own_over_all_users_and_methods(world: World) -> None:
    await world.set(limit_minute=2)
    assert (await world.order(key=HEAD)).status == 200
    assert (await world.updated_after(key=NEIGHBOUR)).status == 200
    assert (await world.order(key=ATTORNEY)).status == 429
    assert (await world.order(key=OTHER_SYSTEM)).status == 200
    told = (await world.admin("GET", "counts"))["limits"]
    minutes = {(row["client_id"], row["count"]) for row in told if row["period"] == "minute"}
    assert minutes == {("MNEMONIKA", 3), ("OTHER", 1)}


async def test_dictionaries_are_not_counted(world: World) -> None:
    await world.set(limit_minute=0)
    question = {"treeFiltering": "ONELEVEL"}
    assert (await world.ask("POST", "/api/nsi/v1/dictionary/TEST_TREE", json=question)).status == 200


async def test_twenty_orders_in_ten_minutes_then_limitation_exception(world: World) -> None:
    for _ in range(20):
        await world.reserved()
    assert (await world.order()).refusal == (409, "limitation_exception")
    assert (await world.push(zipped({"req.xml": "<a/>"}))).refusal == (409, "limitation_exception")
    await world.advance(599)
    assert (await world.order()).refusal == (409, "limitation_exception")
    await world.advance(1)
    await world.reserved()


async def test_the_window_slides(world: World) -> None:
    await world.set(orders_limit=2)
    await world.reserved()
    await world.advance(300)
    await world.reserved()
    await world.advance(300)
    await world.reserved()
    assert (await world.order()).refusal == (409, "limitation_exception")
    await world.advance(300)
    await world.reserved()


async def test_the_window_is_of_one_account_and_one_service(world: World) -> None:
    await world.set(orders_limit=1)
    await world.reserved(key=HEAD)
    assert (await world.order(key=ATTORNEY)).refusal == (409, "limitation_exception")
    await world.reserved(key=NEIGHBOUR)
    await world.reserved(service("60010153"), key=HEAD)
    await world.reserved(token=await world.person())


async def test_a_service_may_have_a_limit_of_its_own(world: World) -> None:
    new = {"service_code": "5", "target_code": "-5", "orders_limit": 1}
    await world.admin("POST", "services", new, 201)
    await world.reserved(service("5"))
    assert (await world.order(service("5"))).refusal == (409, "limitation_exception")
    await world.reserved(PLAIN)


async def test_a_limit_may_be_told_late_as_a_process_code(world: World) -> None:
    await world.set(orders_limit=0, limits_late=True)
    number = await world.sent({"req.xml": "<a/>"})
    assert (await world.process_codes(number))[-1] == "LIMITATION_EXCEPTION"
    assert (await world.details(number)).json["order"] is None


async def test_chunks_and_refused_orders_do_not_fill_the_window(world: World) -> None:
    await world.set(orders_limit=1)
    await world.order(service("777"))
    number = await world.reserved()
    assert (await world.chunk(number, zipped({"req.xml": "<a/>"}))).status == 200
