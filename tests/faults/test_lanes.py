"""Lanes: calls of one lane go one by one and in order, in one worker and between two."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import uuid4

import orjson

from tests.faults.test_broker_away import balanced

if TYPE_CHECKING:
    from tests.faults.conftest import Yard
    from tests.faults.recorder import Recorder

LANES, EACH = 8, 20


def laned() -> list[tuple[str, bytes]]:
    """Make commands of several lanes, in turn; ``n`` is the place in the lane."""
    ids = [(str(uuid4()), lane, n) for n in range(EACH) for lane in range(LANES)]
    return [(name, orjson.dumps({"transport_id": name, "lane": f"lane-{lane}", "n": n})) for name, lane, n in ids]


def by_lane(recorder: Recorder) -> dict[str, list[str]]:
    calls = defaultdict(list)
    for submit in recorder.submits:
        calls[orjson.loads(submit.body)["lane"]].append(submit.transport_id)
    return calls


async def test_two_workers_under_load_never_call_twice_at_once_in_a_lane_and_keep_its_order(yard: Yard) -> None:
    recorder, commands = yard.recorder, laned()
    recorder.pause = 0.005
    recorder.gate.clear()
    async with yard.auditor("call") as auditor, yard.worker() as one, yard.worker() as other:
        await auditor.publish(commands, most=100)
        await yard.eventually("select count(*) = $1 from exchanges", len(commands))
        recorder.gate.set()
        await balanced(yard, auditor, len(commands))
        assert all("exchange ended" in "".join(victim.lines) for victim in (one, other))
        connection = await yard.connect()
        rows = await connection.fetch("select message_id from commands order by id")
        await connection.close()
    assert recorder.overlaps == 0
    assert len(recorder.submits) == len(commands)
    place = {row["message_id"]: number for number, row in enumerate(rows)}
    for calls in by_lane(recorder).values():
        # The first call left before the others were journaled.
        places = [place[name] for name in calls[1:]]
        assert places == sorted(places)


async def test_a_call_that_is_put_off_holds_its_lane_and_no_other(yard: Yard) -> None:
    recorder, commands = yard.recorder, laned()
    recorder.status = 503
    async with yard.auditor("call") as auditor, yard.worker():
        await auditor.publish(commands, most=1)
        for _ in range(2 * LANES):
            await recorder.next()
        refused = set(by_lane(recorder))
        assert {name for name, _ in commands[:LANES]} == {submit.transport_id for submit in recorder.submits}
        recorder.status = 200
        await balanced(yard, auditor, len(commands))
    assert len(refused) == LANES
    assert recorder.overlaps == 0
    for lane, calls in by_lane(recorder).items():
        wanted = [name for name, body in commands if orjson.loads(body)["lane"] == lane]
        assert list(dict.fromkeys(calls)) == wanted
