"""Broker, database and metrics: that they answer, and that they are as the adapter needs them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp

from adapter.broker.connection import BrokerAddress, connect
from adapter.broker.differences import Difference, differences
from adapter.broker.topology import QUORUM, Names, command_arguments
from adapter.checking.findings import Finding, clock
from adapter.http import make_session
from adapter.journal.journal import DatabaseAddress
from adapter.journal.migrate import pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.settings import Settings

#: What each argument of a command queue is for, when it is not ours.
_MATTERS: Final = {
    "x-queue-type": "only quorum queues keep commands when a node is lost",
    "durable": "a restart of the broker loses the queue",
    "x-dead-letter-exchange": "what the broker drops is answered to nobody",
    "x-dead-letter-routing-key": "what the broker drops does not come to the adapter",
    "x-dead-letter-strategy": "what the broker drops may be lost on the way",
    "x-overflow": "a full queue drops commands instead of refusing them",
    "x-delivery-limit": "commands are dropped after so many reconnects",
}


async def broker(settings: Settings) -> Sequence[Finding]:
    """Connect, and hold every queue to what it should be. Raises a broker error."""
    given = settings.broker
    names, actions = Names(given.prefix), settings.services.actions
    address = BrokerAddress.of(given)
    absent: list[str] = []
    faults: list[Finding] = []
    wanted = {names.command(action): command_arguments(names) for action in actions}
    wanted |= dict.fromkeys((names.returned, *(names.reply(action) for action in actions)), QUORUM)
    async with connect(address, "adapter check") as connection:
        for queue, arguments in wanted.items():
            found = await differences(connection, queue, arguments)
            if found is None:
                absent.append(queue)
            faults += [_judged(difference, names, actions) for difference in found or ()]
    login = "certificate" if given.external else "password"
    transport = "TLS" if given.tls else "NO TLS"
    queues = f"; to be created at start: {', '.join(absent)}" if absent else "; every queue is there"
    there = Finding("broker", ok=True, sentence=f"{address.where}, login by {login}, {transport}{queues}")
    right = "every queue that is there is as it should be"
    return [there, *(faults or [Finding("queues", ok=True, sentence=right)])]


def _judged(difference: Difference, names: Names, actions: Sequence[str]) -> Finding:
    """Return what a difference means: on command queues and the dead-letter queue it loses commands."""
    weighty = names.is_ours(difference.queue, actions) and difference.argument in _MATTERS
    absent = "'classic'" if difference.argument == "x-queue-type" else "not set"
    theirs = absent if difference.theirs is None else repr(difference.theirs)
    ours = "not set" if difference.ours is None else repr(difference.ours)
    reason = f": {_MATTERS[difference.argument]}" if weighty else ""
    sentence = f"{difference.queue}: {difference.argument} is {theirs}, should be {ours}{reason}"
    return Finding("queues", ok=False if weighty else None, sentence=sentence)


async def database(settings: Settings) -> Sequence[Finding]:
    """Connect, and look at version, schema and clock. Raises a database error."""
    connection = await DatabaseAddress(settings.database.connect_arguments()).connect()
    try:
        lacking = await pending(connection)
        version = connection.get_server_version()
        before = datetime.now(UTC)
        theirs = await connection.fetchval("select clock_timestamp()")
        after = datetime.now(UTC)
    finally:
        await connection.close()
    names = ", ".join(f"{migration.number:04} {migration.name}" for migration in lacking)
    schema = f"to be applied at start: {names}" if lacking else "up to date"
    return [
        Finding("database", ok=True, sentence=f"PostgreSQL {version.major}.{version.minor}"),
        Finding("schema", ok=None if lacking else True, sentence=schema),
        clock("database clock", theirs, before + (after - before) / 2, fineness=(after - before).total_seconds()),
    ]


async def metrics(settings: Settings) -> str | Sequence[Finding]:
    """Ask Elasticsearch who it is."""
    elastic = settings.elastic
    if elastic is None:
        return "off: ELASTIC_HOST is not set"
    login = aiohttp.BasicAuth(elastic.user, elastic.password or "") if elastic.user else None
    async with (
        make_session(timeout=5, ssl_context=elastic.ssl_context()) as session,
        session.get(elastic.url, auth=login) as response,
    ):
        let_in = response.status not in (401, 403)
        sentence = f"{elastic.url} {'answers' if let_in else 'does not let us in'} (HTTP {response.status})"
        return [Finding("metrics", ok=let_in, sentence=sentence)]
