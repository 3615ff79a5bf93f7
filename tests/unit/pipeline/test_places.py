"""Places: never more inside than there are, none lost, first come first served; whoever is cancelled, and when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from adapter.pipeline.places import Places

if TYPE_CHECKING:
    from random import Random


class Crowd:
    """Tasks that go in and stay until they are let go; notes who is inside and in which order they came."""

    def __init__(self, most: int) -> None:
        self.places = Places(most)
        self.inside: list[int] = []
        self.order: list[int] = []
        self._let_go: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def come(self, name: int) -> None:
        self._let_go[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name))

    async def _stay(self, name: int) -> None:
        async with self.places:
            self.inside.append(name)
            self.order.append(name)
            try:
                await self._let_go[name].wait()
            finally:
                self.inside.remove(name)

    def let_go(self, name: int) -> None:
        self._let_go[name].set()

    def hand_on(self, name: int, to: int) -> None:
        """Let one go and cancel another in the same turn of the loop, after the place was handed over."""
        self.let_go(name)
        asyncio.get_running_loop().call_soon(self.tasks[to].cancel)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_place_goes_to_whoever_waits_longest() -> None:
    crowd = Crowd(1)
    for name in range(4):
        crowd.come(name)
    for name in range(4):
        await turns()
        assert crowd.inside == [name]
        crowd.let_go(name)
    await asyncio.gather(*crowd.tasks.values())
    assert crowd.order == [0, 1, 2, 3]


async def test_a_place_handed_to_somebody_who_is_cancelled_at_that_moment_goes_on() -> None:
    crowd = Crowd(1)
    for name in range(3):
        crowd.come(name)
    await turns()
    crowd.hand_on(0, 1)
    await turns()
    assert crowd.tasks[1].cancelled()
    assert crowd.order == [0, 2]


@given(
    st.integers(1, 4),
    st.lists(st.sampled_from(["come", "come", "go", "cancel", "hand on", "turn"]), max_size=60),
    st.randoms(),
)
async def test_whatever_happens_no_place_is_lost_and_none_given_twice(
    most: int, script: list[str], chance: Random
) -> None:
    crowd, name = Crowd(most), 0
    for step in script:
        alive = [one for one, task in crowd.tasks.items() if not task.done()]
        if step == "come":
            crowd.come(name := name + 1)
        elif step == "go" and crowd.inside:
            crowd.let_go(chance.choice(crowd.inside))
        elif step == "cancel" and alive:
            crowd.tasks[chance.choice(alive)].cancel()
        elif step == "hand on" and crowd.inside and (waiting := [one for one in alive if one not in crowd.inside]):
            crowd.hand_on(chance.choice(crowd.inside), waiting[0])
        elif step == "turn":
            await turns()
        assert len(crowd.inside) <= most
    await turns()
    alive = [one for one, task in crowd.tasks.items() if not task.done()]
    assert len(crowd.inside) == min(most, len(alive))
    for one in alive:
        crowd.let_go(one)
    await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
    for one in range(1000, 1000 + most):
        crowd.come(one)
    await turns()
    assert len(crowd.inside) == most
    for one in range(1000, 1000 + most):
        crowd.let_go(one)
    await asyncio.gather(*(crowd.tasks[one] for one in range(1000, 1000 + most)))
