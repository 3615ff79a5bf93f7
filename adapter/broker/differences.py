"""How queues that are there differ from what the adapter declares: asked of the broker itself, nothing is changed.

A queue that exists is declared again with our arguments; the broker then names the first one that differs. It is
adopted and the rest is asked for anew, until the broker has nothing against it. Limits that an administrator sets by a
policy are no arguments: the broker does not tell them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from adapter.broker.connection import close_quietly, open_channel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.broker.connection import Connection

_WAIT: Final = 10.0
_MOST: Final = 12
_INEQUIVALENT: Final = re.compile(r"inequivalent arg '([^']+)' .*received (.+?) but current is (.+?)'?$", re.DOTALL)
_VALUE: Final = re.compile(r"the value '(.*?)' of type '(\w+)|'([^']*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Difference:
    """One argument of a queue that is not ours; ``None`` for an argument that is not there."""

    queue: str
    argument: str
    ours: Any
    theirs: str | None


async def differences(connection: Connection, queue: str, arguments: Mapping[str, Any]) -> list[Difference] | None:
    """Return how ``queue`` differs from a durable one with ``arguments``, ``None`` when it does not exist.

    Raises a broker error when the login may not look.
    """
    if not await _exists(connection, queue):
        return None
    asked, durable = dict(arguments), True
    found: list[Difference] = []
    while len(found) < _MOST:
        told = await _declared(connection, queue, asked, durable=durable)
        if told is None:
            return found
        match = _INEQUIVALENT.search(told)
        if match is None:  # the sentence is cut at 255 bytes where names are long
            return [*found, Difference(queue, "arguments", "ours", "others")]
        argument, theirs = match[1], _value(match[3])
        if any(difference.argument == argument for difference in found):
            return found
        if argument == "durable":
            durable = False
            found.append(Difference(queue, argument, ours=True, theirs="false"))
            continue
        found.append(Difference(queue, argument, asked.get(argument), theirs))
        if theirs is None:
            asked.pop(argument, None)
        else:
            asked[argument] = int(theirs) if re.fullmatch(r"-?\d+", theirs) else theirs
    return found


def _value(told: str) -> str | None:
    if told.strip("'") == "none":
        return None
    match = _VALUE.search(told)
    return told if match is None else match[1] if match[1] is not None else match[3]


async def _exists(connection: Connection, queue: str) -> bool:
    channel = await open_channel(connection, wait=_WAIT)
    try:
        await channel.queue_declare(queue, passive=True, timeout=_WAIT)
    except ChannelNotFoundEntity:
        return False
    finally:
        await close_quietly(channel, _WAIT)
    return True


async def _declared(connection: Connection, queue: str, arguments: Mapping[str, Any], *, durable: bool) -> str | None:
    """Declare what exists; return what the broker has against it, ``None`` for nothing."""
    channel = await open_channel(connection, wait=_WAIT)
    try:
        await channel.queue_declare(queue, durable=durable, arguments=dict(arguments), timeout=_WAIT)
    except ChannelPreconditionFailed as error:
        return " ".join(str(part) for part in error.args)
    finally:
        await close_quietly(channel, _WAIT)
    return None
