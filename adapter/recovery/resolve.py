"""``uncertain`` closed by a person who knows: the request was sent, or it was not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import orjson

from adapter.broker.topology import RETURNED, Names
from adapter.errors import Code, KnownError
from adapter.exchange import State
from adapter.journal.commit import commit
from adapter.journal.operations import Finish, Note
from adapter.journal.records import Exchange, ProofRow, read_exchange
from adapter.journal.statements import sql
from adapter.pipeline.envelope import Addressing
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    import asyncpg

    from adapter.recovery.environment import Operator

#: No deadline: the one who asked has heard ``ADAPTER-UNCERTAIN`` and may hear one thing more, the answer itself.
#: A passed deadline would spend that reply on ``ADAPTER-EXPIRED``.
FOR_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_NOT_SENT: Final = "Запрос не был отправлен: это установил оператор. Команду можно повторить с новым message_id"


async def resolve_sent(connection: asyncpg.Connection, exchange_id: UUID, operator: Operator) -> None:
    """Journal that the request arrived: the exchange waits for its answer again, which will be delivered as late.

    Raises RecoveryError when the exchange is not uncertain.
    """
    async with connection.transaction():
        await _lock(connection, exchange_id)
        await connection.fetch(sql("resolve_sent"), exchange_id, FOR_EVER)
        meta = operator.meta(what="sent", **{"from": State.UNCERTAIN}, state=State.WAITING)
        await commit(connection, exchange_id, [Note(proof=[ProofRow(exchange_id, "resolved", meta=meta)])])


async def resolve_not_sent(
    connection: asyncpg.Connection, exchange_id: UUID, operator: Operator, actions: Iterable[str]
) -> None:
    """Journal that nothing was sent: the exchange has failed, and the one who asked is told so once more, as late.

    ``actions`` are all that this build knows: a reply never goes to one of their queues. The reply is written in the
    same transaction and published by a worker. Raises RecoveryError when the exchange is not uncertain.
    """
    async with connection.transaction():
        exchange = await _lock(connection, exchange_id)
        error = KnownError(Code.GATEWAY_UNAVAILABLE, _NOT_SENT, details={"cause": Code.UNCERTAIN.wire})
        outcome = orjson.dumps({"error": error.to_wire()})
        # Of an exchange that began at a gateway nobody waits to hear.
        replies = () if exchange.is_request else (Addressing(names_of(exchange), actions).reply(exchange, outcome),)
        meta = operator.meta(what="not-sent", **{"from": State.UNCERTAIN}, state=State.FAILED, code=error.code)
        finish = Finish(
            exchange_id,
            exchange.owner,
            State.UNCERTAIN,
            State.FAILED,
            outcome,
            error.code,
            len(replies),
            outbox=replies,
            proof=(ProofRow(exchange_id, "resolved", meta=meta),),
        )
        # An owner that no lease has ever named: the first worker that looks publishes the reply.
        await commit(connection, uuid4(), [finish])


async def _lock(connection: asyncpg.Connection, exchange_id: UUID) -> Exchange:
    row = await connection.fetchrow(sql("lock_exchange"), exchange_id)
    if row is None:
        raise RecoveryError("no exchange has this id")
    exchange = read_exchange(row)
    if exchange.state is not State.UNCERTAIN:
        raise RecoveryError(f"{exchange_id} is {exchange.state}, not uncertain: nothing to resolve")
    return exchange


def names_of(exchange: Exchange) -> Names:
    """Return the names under which a command came: its queue tells the deployment's prefix."""
    for tail in (exchange.action, RETURNED):
        if exchange.source.endswith(tail):
            return Names(exchange.source.removesuffix(tail))
    return Names()
