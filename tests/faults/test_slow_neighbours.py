"""A slow or dead gateway hurts only its own commands; what it could not take ends right when it is back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import later, numbered
from tests.faults.proxy import Wire
from tests.faults.pulse import Twins
from tests.faults.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.chaos.auditor import Auditor
    from deploy.local.postgres import LocalPostgres
    from tests.faults.conftest import Yard

#: More than one worker runs at once: without shares for each gateway the intake would close for everybody.
CROWD = 1200


@pytest.fixture
async def line(recorder: Recorder) -> AsyncIterator[Wire]:
    """Lay a wire to the gateway that will suffer."""
    address = urlsplit(recorder.url)
    assert address.hostname
    assert address.port
    async with Wire.laid(address.hostname, address.port) as line:
        yield line


@pytest.fixture
async def neighbours(yard: Yard, line: Wire) -> AsyncIterator[Yard]:
    """Two actions on two gateways: ``call`` behind the wire, ``calm`` beside it."""
    async with Recorder.listening() as calm:
        yard.environment |= {
            "RECORDER_ANSWERS": yard.environment["RECORDER"],
            "RECORDER": f"http://127.0.0.1:{line.port}",
            "CALM_RECORDER": calm.url.rstrip("/"),
            "CALL_TIMEOUT": "8",
        }
        yield yard


async def assert_nothing_is_lost_or_sent_twice(yard: Yard, auditor: Auditor) -> None:
    await auditor.answered(90)
    await yard.quiet()
    await auditor.caught_up()
    verdict = auditor.books.verdict()
    assert (verdict.lost, verdict.surplus) == ((), ())
    assert set(auditor.books.outcomes()) == {"result"}
    effective = yard.recorder.effective()
    assert effective.keys() == auditor.books.confirmed
    assert set(effective.values()) == {1}


async def away(line: Wire, fault: str) -> None:
    match fault:
        case "frozen":
            line.freeze()
        case "refusing":
            line.hang_up()
            line.reset()
        case "resetting":
            line.refuses = True
            line.reset()


async def back(line: Wire, fault: str) -> None:
    match fault:
        case "frozen":
            line.thaw()
        case "refusing":
            await line.pick_up()
        case "resetting":
            line.refuses = False


@pytest.mark.parametrize("fault", ["frozen", later("refusing"), later("resetting")])
async def test_a_dead_gateway_hurts_only_its_own_commands(
    neighbours: Yard, postgres: LocalPostgres, line: Wire, fault: str
) -> None:
    yard = neighbours
    async with yard.auditor("call") as auditor, yard.worker() as victim, Twins.beside(yard, postgres, "calm") as twins:
        await auditor.publish(numbered(20))
        await twins.assert_undisturbed("nothing")
        await away(line, fault)
        await auditor.publish(numbered(CROWD), most=400)
        await twins.assert_undisturbed(fault)
        await victim.said("the other side is away")
        await twins.assert_undisturbed(f"{fault}, known to be away")
        await back(line, fault)
        await assert_nothing_is_lost_or_sent_twice(yard, auditor)
        assert sum("the other side is away" in said for said in victim.lines) == 1


async def test_a_slow_gateway_hurts_only_its_own_commands(neighbours: Yard, postgres: LocalPostgres) -> None:
    yard, recorder = neighbours, neighbours.recorder
    yard.environment["CALL_TIMEOUT"] = "60"
    async with yard.auditor("call") as auditor, yard.worker(), Twins.beside(yard, postgres, "calm") as twins:
        await auditor.publish(numbered(20))
        recorder.gate.clear()
        await auditor.publish(numbered(CROWD), most=400)
        await twins.assert_undisturbed("slow")
        recorder.gate.set()
        await assert_nothing_is_lost_or_sent_twice(yard, auditor)


async def test_commands_whose_gateway_stays_away_expire_on_time_and_are_never_sent(
    neighbours: Yard, line: Wire
) -> None:
    yard = neighbours
    await away(line, "refusing")
    async with yard.auditor("call") as auditor, yard.worker() as victim:
        await auditor.publish(numbered(30))
        await victim.said("the other side is away")
        deadline = datetime.now(UTC) + timedelta(seconds=3)
        late = numbered(30)
        await auditor.publish(late, headers={"x-deadline": deadline.isoformat()})
        await auditor.progressed(30, 30)
        assert auditor.books.replies.keys() == {name for name, _ in late}
        assert datetime.now(UTC) >= deadline
        assert auditor.books.outcomes() == {"ADAPTER-EXPIRED": 30}
        for (reply,) in auditor.books.replies.values():
            assert json.loads(reply.body)["error"]["details"]["cause"] == "TEST-NO-CONNECTION"
        await back(line, "refusing")
        await auditor.answered(60)
    assert {submit.transport_id for submit in yard.recorder.submits}.isdisjoint(name for name, _ in late)
