"""The worker is killed between any two durable steps, and nobody outside can tell."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import signal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from adapter.faultpoints import POINTS, VARIABLE
from adapter.services.zhkh_debt_requests import EXAMPLES
from bench.chaos.books import double_submits, never_submitted
from bench.chaos.services import replace
from tests.faults.conftest import ADAPTER

if TYPE_CHECKING:
    from bench.chaos.auditor import Auditor
    from deploy.local.postgres import LocalPostgres
    from tests.faults.conftest import Contour, Yard

ACTION = "zhkh-debt-requests"
COMMANDS = 30


def requests(count: int) -> list[tuple[str, bytes]]:
    """Make commands with one action each, whose transport_id is the command's message_id."""
    made = []
    for _ in range(count):
        name = str(uuid4())
        command = copy.deepcopy(dict(EXAMPLES[0].request))
        command["actions"][0]["transport_id"] = name
        made.append((name, json.dumps(command, ensure_ascii=False).encode()))
    return made


async def assert_the_books_balance(yard: Yard, contour: Contour, auditor: Auditor, count: int) -> None:
    await auditor.answered(90)
    await yard.quiet()
    await auditor.caught_up()
    verdict = auditor.books.verdict()
    assert (verdict.commands, verdict.lost, verdict.surplus) == (count, (), ())
    assert set(auditor.books.outcomes()) == {"result"}
    ledger = await contour.ledger()
    assert double_submits(ledger) == []
    assert never_submitted(ledger, auditor.books.confirmed) == []


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_killed_at_this_point_loses_nothing_and_doubles_nothing(
    yard: Yard, contour: Contour, point: str
) -> None:
    yard.environment |= contour.environment
    kills = 0
    async with yard.auditor(ACTION) as auditor:
        async with yard.worker(ADAPTER, **{VARIABLE: f"{point}:2"}) as victim:
            publishing = asyncio.create_task(auditor.publish(requests(COMMANDS), most=10))
            kills += await victim.ended(60) == -signal.SIGKILL
        await yard.bury(victim)
        async with yard.worker(ADAPTER):
            await publishing
            await assert_the_books_balance(yard, contour, auditor, COMMANDS)
    assert kills == 1


async def test_workers_killed_at_random_lose_nothing_and_double_nothing(yard: Yard, contour: Contour) -> None:
    yard.environment |= contour.environment
    chance = random.Random(7)  # noqa: S311 — repeatable, guards nothing
    count, kills = 200, 4
    async with yard.auditor(ACTION) as auditor:
        publishing = asyncio.create_task(auditor.publish(requests(count), most=20))
        for kill in range(kills):
            async with yard.worker(ADAPTER) as victim:
                await auditor.progressed(kill * count // (kills + 2) + chance.randint(1, 20), 60)
                await yard.kill(victim)
        async with yard.worker(ADAPTER):
            await publishing
            await assert_the_books_balance(yard, contour, auditor, count)


async def test_a_database_killed_in_the_middle_of_exchanges_loses_nothing_and_doubles_nothing(
    yard: Yard, contour: Contour, postgres: LocalPostgres
) -> None:
    yard.environment |= contour.environment
    async with yard.auditor(ACTION) as auditor, yard.worker(ADAPTER) as victim:
        publishing = asyncio.create_task(auditor.publish(requests(120), most=20))
        for replies in (10, 50):
            await auditor.progressed(replies, 60)
            await replace(postgres)
        await publishing
        await assert_the_books_balance(yard, contour, auditor, 120)
        assert victim.alive
