"""What the demos of the gateways share: stories of steps, each checked by what came back, told one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from deploy.local.console import StepError, paint, say, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    #: What is done, and the work, which returns what came of it.
    Step = tuple[str, Callable[[], Awaitable[str]]]
    Story = tuple[str, Sequence[Step]]


class WrongError(Exception):
    """A step did not come out as it should; the text says how."""


def demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001  — what is demanded
    """Raise WrongError with the text unless it holds."""
    if not holds:
        raise WrongError(otherwise)


async def tell(stories: Iterable[Story]) -> tuple[int, int]:
    """Take every step, whatever became of those before; return how many hold and how many there are."""
    good = total = 0
    for heading, steps in stories:
        say(f"\n{paint(heading, 'bold')}")
        for title, work in steps:
            total += 1
            good += await _holds(title, work)
    return good, total


def close(name: str, good: int, total: int) -> int:
    """Say how a demo ended, as the last line of all; return 0 when every step holds."""
    say(paint(f"{name}: {good} of {total} steps", "green" if good == total else "red"))
    return 0 if good == total else 1


async def _holds(title: str, work: Callable[[], Awaitable[str]]) -> bool:
    """Run one step and print how it ended."""
    try:
        with step(title) as running:
            running.result = await work()
    except (WrongError, StepError, LookupError, ValueError, TypeError, OSError, aiohttp.ClientError) as fault:
        say(f"    {paint(type(fault).__name__, 'red')}: {fault}")
        return False
    return True
