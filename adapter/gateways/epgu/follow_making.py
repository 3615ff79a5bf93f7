"""One follower of its parts, for the composition root."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from adapter.gateways.epgu.door import Door
from adapter.gateways.epgu.follow import Follower, FollowOptions
from adapter.gateways.epgu.follow_asking import GatewayAsking
from adapter.gateways.epgu.keeping import TokensInDatabase
from adapter.gateways.epgu.limits import Bounds, LimitsInDatabase
from adapter.gateways.epgu.operations import Operations
from adapter.gateways.epgu.options import Observe, observe_nothing
from adapter.gateways.epgu.tokens import Tokens
from adapter.gateways.epgu.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from adapter.gateways.epgu.making import Parts
    from adapter.gateways.epgu.options import EpguOptions


def make_follower(  # noqa: PLR0913  — the composition root hands every part over by name
    options: EpguOptions,
    following: FollowOptions,
    *,
    parts: Parts,
    stack: AsyncExitStack,
    share: int,
    active: bool,
    observe: Observe = observe_nothing,
    count: Callable[[str], None],
) -> Follower:
    """Return the follower: it asks while less than ``share`` percent of a limit is used, and leaves the rest."""
    tokens = Tokens(options.esia, session=parts.esia, signer=parts.signer, shelf=TokensInDatabase(parts.shared))
    stack.push_async_callback(tokens.close)
    wire = Wire(options, session=parts.session, once=parts.once)
    door = Door(wire, tokens=tokens, limits=LimitsInDatabase(shared_bounds(parts.bounds, share), parts.shared))
    operations = Operations(options, door=door, store=None)
    asking = GatewayAsking(options, operations, observe=observe)
    return Follower(following, asking, active=active, count=count)


def shared_bounds(bounds: Bounds, percent: int) -> Bounds:
    """Return bounds of which ``percent`` of a minute's and an hour's requests are left, one at least.

    Longer periods follow from these. A share of theirs would end the following until the next month or year.
    """
    minute, hour = (max(1, number * percent // 100) for number in (bounds.minute, bounds.hour))
    return replace(bounds, minute=minute, hour=hour)
