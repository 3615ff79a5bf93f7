"""The header X-Sim: one message brings its own bad day."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.smev3.faults import RefusedError
from simulators.smev3.scenario import NOTHING, Effects
from simulators.smev3.wish import effects_of
from tests.contract.smev3_caller import REQUEST_DATA, action, debt_requests

if TYPE_CHECKING:
    from tests.contract.smev3_world import Reply, World

pytest_plugins = ("tests.contract.smev3_fixtures",)

ORIGINAL = ".//t:Response/t:OriginalMessageId"


async def send(world: World, wish: str) -> Reply:
    message = world.caller.send_request(debt_requests(action(data=REQUEST_DATA)), world.fresh())
    return await world.post(message, **{"X-Sim": wish})


async def test_a_wish_is_for_its_own_message_alone(world: World) -> None:
    assert (await send(world, "fault:SMEV-102")).fault() == "AccessDenied"
    assert (await send(world, "")).status == 200


@pytest.mark.parametrize(
    ("wish", "fault"), [("fault:SMEV-403", "InvalidContent"), ("fault=SMEVFailure", "SMEVFailure")]
)
async def test_a_fault_at_the_door(world: World, wish: str, fault: str) -> None:
    assert (await send(world, wish)).fault() == fault


async def test_the_provider_rejects(world: World) -> None:
    for wish, code in (("reject", "FAILURE"), ("reject:NO_DATA", "NO_DATA")):
        assert (await send(world, wish)).status == 200
        assert (await world.poll()).text(".//t:RequestRejected/t:RejectionReasonCode") == code


async def test_the_service_rejects_late(world: World) -> None:
    assert (await send(world, "reject:SMEV-403")).status == 200
    reply = await world.poll()
    assert reply.text(".//t:AsyncProcessingStatus/t:StatusCategory") == "requestIsRejectedBySmev"
    assert (reply.text(".//t:SmevFault/b:Description") or "").startswith("SMEV-403:")


@pytest.mark.parametrize(("wish", "seconds"), [("late", 60), ("late=5", 5), ("late:0.5", 0.5)])
async def test_the_answer_comes_late(world: World, wish: str, seconds: float) -> None:
    assert (await send(world, wish)).status == 200
    world.clock.advance(seconds=seconds - 0.1)
    assert (await world.poll()).text(ORIGINAL) is None
    world.clock.advance(seconds=0.2)
    assert (await world.poll()).text(ORIGINAL)


async def test_words_may_be_put_together(world: World) -> None:
    assert (await send(world, "status=2, duplicate , Late=5")).status == 200
    world.clock.advance(seconds=5)
    replies = [await world.poll() for _ in range(5)]
    assert [reply.text(".//t:RequestStatus") is not None for reply in replies] == [True, True, False, False, False]
    assert [reply.text(ORIGINAL) is not None for reply in replies] == [True, True, True, True, False]


async def test_an_answer_may_never_come(world: World) -> None:
    assert (await send(world, "silent")).status == 200
    world.clock.advance(hours=20)
    assert (await world.poll()).text(ORIGINAL) is None


@pytest.mark.parametrize("wish", ["rejected", "fault", "fault:SMEV-1", "late=soon", "reject:BECAUSE", "status=-1", ","])
async def test_a_wish_that_means_nothing_is_refused(world: World, wish: str) -> None:
    reply = await send(world, wish)
    assert reply.fault() == "soap:Client"
    assert "X-Sim" in (reply.text(".//s:Fault/faultstring") or "")


async def test_a_wish_changes_no_poll(world: World) -> None:
    assert (await world.post(world.caller.get_response(), **{"X-Sim": "fault:SMEV-900"})).status == 200


@given(st.text())
def test_any_header_is_understood_or_refused(header: str) -> None:
    with contextlib.suppress(RefusedError):
        effects = effects_of(header)
        assert isinstance(effects, Effects)
        assert (effects is NOTHING) == (not header.strip())
