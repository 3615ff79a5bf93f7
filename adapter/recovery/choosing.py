"""Which parked things an operator means: by ids, or all that a filter lets through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapter.exchange import State
from adapter.recovery.arguments import Filter, uuid_of
from adapter.recovery.dead import list_dead
from adapter.recovery.errors import RecoveryError
from adapter.recovery.history import find_one
from adapter.recovery.parked import list_parked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from adapter.recovery.parked import ParkedMessage


@dataclass(slots=True)
class Chosen:
    """Ids of dead commands, parked messages, and what could not be chosen: (id as written, why)."""

    commands: list[UUID] = field(default_factory=list)
    messages: list[ParkedMessage] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


async def choose(connection: asyncpg.Connection, ids: Sequence[str], wanted: Filter) -> Chosen:
    """Return what ``ids`` name, or without ids all that ``wanted`` lets through."""
    if not ids:
        commands = [command.id for command in await list_dead(connection, wanted)]
        return Chosen(commands, await list_parked(connection, wanted))
    chosen = Chosen()
    for text in ids:
        try:
            await _choose_one(connection, text, chosen)
        except RecoveryError as error:
            chosen.refused.append((text, str(error)))
    return chosen


async def _choose_one(connection: asyncpg.Connection, text: str, chosen: Chosen) -> None:
    """Take a parked message by its own id; else a command by any id of it, or what is parked of that command."""
    known = uuid_of(text)
    messages = await list_parked(connection, Filter(ids=[known])) if known else []
    own = [message for message in messages if message.id == known]
    if own:
        chosen.messages += own
        return
    exchange = await find_one(connection, text)
    if exchange.state is State.DEAD:
        chosen.commands.append(exchange.id)
        return
    parked = await list_parked(connection, Filter(ids=[exchange.id]))
    if not parked:
        raise RecoveryError(f"is {exchange.state}, and nothing of it is parked")
    chosen.messages += parked
