"""Registers of our own: changed by commands and from outside, each change in one transaction with its exchange."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
import structlog

from adapter.errors import Code, KnownError
from adapter.exchange import AnswerKind, State
from adapter.faultpoints import reach
from adapter.ids import new_id
from adapter.incoming import RegistersAwayError
from adapter.journal.changes import Moved
from adapter.journal.operations import Finish, Note
from adapter.journal.records import Exchange, ProofRow, read_exchange
from adapter.journal.requests import Join, Receive, request_key
from adapter.journal.statements import sql
from adapter.journal.writer import JournalUnavailableError, RowRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from adapter.exchange import Reply
    from adapter.incoming import Local, Register, Session, Told
    from adapter.journal.changes import Changes
    from adapter.journal.operations import Operation
    from adapter.journal.records import OutboxRow
    from adapter.pipeline.envelope import Addressing
    from adapter.pipeline.relay import Relay
    from adapter.pipeline.runner import Runner

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

#: What was told from outside has properties of no message and an empty fact of what was read of it.
_NOTHING: Final = b""
#: States of an exchange that still has something to say by itself.
_RUNNING: Final = frozenset({State.RECEIVED, State.SUBMITTING, State.WAITING, State.ANSWERED, State.RETRYING})


class Registers:
    """Carries out the step ``Local``; implements :class:`adapter.incoming.Changes` for the registers themselves."""

    def __init__(
        self, worker: UUID, changes: Changes, registers: Mapping[str, Register], addressing: Addressing, relay: Relay
    ) -> None:
        """``registers`` are asked by their names."""
        self._worker = worker
        self._changes = changes
        self._registers = registers
        self._addressing = addressing
        self._relay = relay

    async def carry_out(self, runner: Runner, exchange: Exchange, step: Local) -> None:
        """Change a register and end the command, both or neither.

        The outcome is fenced like every other one: a row that another worker has ended or taken undoes the change. So
        each command is carried out once, however often a crash or a lost commit makes it run again. Raises AdapterError
        and JournalUnavailableError.
        """
        register = self._registers.get(step.register)
        if register is None:
            raise KnownError(Code.UNKNOWN_ACTION)

        async def work(session: Session) -> tuple[Finish, Sequence[Operation[Any]]]:
            reply: Reply = await register.carry_out(session, step)
            finish = runner.ending(exchange, State.REPLIED, orjson.dumps(reply.outcome), reply.code)
            return finish, (finish, Join(exchange.id, step.subject)) if step.subject else (finish,)

        try:
            finish, (result, *_) = await self._changes.run(work)
        except Moved:
            log.warning("change undone: the exchange moved on", action=exchange.action)
            return
        await runner.ended(exchange, finish, result)

    async def change(self, work: Callable[[Session], Awaitable[tuple[Result, Sequence[Told]]]]) -> Result:
        """Run ``work`` with what it tells; see :class:`adapter.incoming.Changes`."""

        async def told(session: Session) -> tuple[tuple[Result, list[OutboxRow]], Sequence[Operation[Any]]]:
            result, news = await work(session)
            operations = [operation for one in news for operation in await self._written(session, one)]
            rows = [row for operation in operations for row in operation.outbox]
            return (result, rows), operations

        try:
            (result, rows), _ = await self._changes.run(told)
        except (JournalUnavailableError, RowRefusedError, Moved) as error:
            raise RegistersAwayError(type(error).__name__) from None
        if rows:
            reach("outbox")
            self._relay.offer(rows)
        return result

    async def _written(self, session: Session, told: Told) -> Sequence[Operation[Any]]:
        """Return what journals news: with the command that they are about, or as an exchange of their own."""
        rows = await session.fetch(sql("lock_exchange"), told.about) if told.about else ()
        if not rows:
            return self._journaled(told)
        exchange = read_exchange(rows[0])
        if exchange.state in _RUNNING:
            raise Moved  # its own reply is numbered by what is known of it in memory
        about: dict[str, Any] = {"kind": AnswerKind.STATUS, "source": told.source, "reference": exchange.gateway_id}
        fact = ProofRow(exchange.id, "status", told.key, told.raw, meta=orjson.dumps({**about, "verdicts": []}))
        return (Note(outbox=tuple(self._addressing.event(exchange, event) for event in told.events), proof=(fact,)),)

    def _journaled(self, told: Told) -> tuple[Receive, Finish]:
        """Return the birth and the end of an exchange that needed nothing but its transaction."""
        now = datetime.now(UTC)
        exchange = Exchange(
            id=new_id(),
            action=told.action,
            source=told.source,
            state=State.RECEIVED,
            received_at=now,
            deadline=now,
            body=told.raw,
            body_sha256=hashlib.sha256(told.raw).digest(),
            body_size=len(told.raw),
            properties=_NOTHING,
            message_id=told.key,
            owner=self._worker,
        )
        meta = orjson.dumps({"from": exchange.state, "state": State.REPLIED, "code": None})
        facts = {"source": told.source, "key": told.key, "action": told.action, "subject": told.subject}
        key = request_key(told.source, told.key)
        birth = Receive(exchange, key, told.subject, _NOTHING, orjson.dumps(facts))
        rows = tuple(self._addressing.event(exchange, event) for event in told.events)
        move = (exchange.id, exchange.owner, exchange.state, State.REPLIED, None, None, 0)
        return birth, Finish(*move, outbox=rows, proof=(ProofRow(exchange.id, "outcome", meta=meta),))
