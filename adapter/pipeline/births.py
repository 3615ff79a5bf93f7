"""The life of an exchange that began at a gateway: told as events, perhaps answered by a call, never replied to.

Crash-only like the life of a command: every step is journaled before the next begins. There is nobody to hear an error:
what ends badly is told by the event ``<action>.failed`` and kept for a person (``dead``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import structlog

from adapter.errors import Code, KnownError
from adapter.exchange import Answer, AnswerKind, Call, Event, State
from adapter.faultpoints import reach
from adapter.incoming import Done, Match
from adapter.journal.operations import Finish, Note
from adapter.journal.records import ProofRow
from adapter.journal.requests import RequestReader
from adapter.pipeline.answers import read_answer
from adapter.pipeline.arrivals import birth, load_incoming
from adapter.pipeline.lanes import Lanes
from adapter.pipeline.matching import Undecided, find_owner, hand_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from adapter.errors import AdapterError
    from adapter.incoming import Incoming, Matching, Provider
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange, OutboxRow
    from adapter.journal.requests import Receive
    from adapter.pipeline.bulkhead import Bulkhead
    from adapter.pipeline.calls import Caller
    from adapter.pipeline.envelope import Addressing
    from adapter.pipeline.ports import Limits, Observer, Registry
    from adapter.pipeline.relay import Relay
    from adapter.pipeline.runner import Runner

log = structlog.get_logger(__name__)

#: Seconds until a message looks again whether the one before it in its lane has been told of.
_BEHIND: Final = 0.1
#: The longest pause in seconds of what follows messages that the broker has yet to confirm.
_UNCONFIRMED: Final = 5.0


class Births:
    """Takes an exchange that began at a gateway from its journaled state as far as it can go now."""

    def __init__(  # noqa: PLR0913 — the composition root hands every room over by name
        self,
        *,
        journal: Journal,
        registry: Registry,
        caller: Caller,
        addressing: Addressing,
        relay: Relay,
        observer: Observer,
        limits: Limits,
        bulkheads: Mapping[str, Bulkhead],
        check: Callable[[str | None, bytes], None],
    ) -> None:
        """``check`` raises InvalidCommandError for content that a schema refuses."""
        self._journal = journal
        self._reader = RequestReader(journal)
        self._registry = registry
        self._caller = caller
        self._addressing = addressing
        self._relay = relay
        self._observer = observer
        self._limits = limits
        self._bulkheads = bulkheads
        self._check = check
        self._lanes = Lanes()
        #: Starts an exchange that begins with the end of another; set before the first one.
        self.start: Callable[[Exchange], object] | None = None

    async def step(self, runner: Runner, exchange: Exchange, answer: Answer | None) -> None:
        """Go on from the row's state. Raises what :meth:`Runner.run` turns into its end."""
        overdue = exchange.expired() and exchange.gateway_id is not None and exchange.state is not State.SUBMITTING
        if exchange.crash_attempts > self._limits.crash_attempts:
            await self.fail(exchange, State.DEAD, KnownError(Code.DEAD))
        elif exchange.state is State.ANSWERED:
            await self._proceed(runner, exchange, answer)
        elif exchange.state is State.WAITING or overdue:
            await self.fail(exchange, State.EXPIRED, KnownError(Code.EXPIRED, details=self._caller.cause(exchange)))
        elif exchange.gateway_id is not None:
            await self._caller.repeat(runner, exchange, self._addressing.envelope(b""))
        else:
            await self._in_turn(runner, exchange)

    async def _in_turn(self, runner: Runner, exchange: Exchange) -> None:
        """Begin, behind the earlier messages of its lane: in this worker by a lock, between workers by the journal."""
        provider = self._provider(exchange)
        bulkhead = self._bulkheads.get(provider.gateway)
        if exchange.lane is None or bulkhead is None:
            await self._begin(runner, exchange, provider)
            return
        async with self._lanes.turn(exchange.lane, bulkhead):
            if await self._reader.waits(exchange.lane, exchange.id, list(self._registry.providers)):
                await self._wait_behind(runner, exchange)
            else:
                await self._begin(runner, exchange, provider)

    async def _wait_behind(self, runner: Runner, exchange: Exchange, after: float = _BEHIND) -> None:
        error = KnownError(Code.BEHIND_ANOTHER)
        meta = orjson.dumps({"code": error.code, "attempt": exchange.attempts, "sent": False})
        await runner.retry(exchange, error, after=after, proof=ProofRow(exchange.id, "retry", meta=meta))

    async def _begin(self, runner: Runner, exchange: Exchange, provider: Provider) -> None:
        incoming = await load_incoming(self._journal, exchange)
        if incoming.unreadable:
            self._observer.count("requests-unreadable")
            raise KnownError(Code.REQUEST_UNREADABLE, details={"rule": incoming.unreadable})
        if incoming.after and not exchange.expired() and await self._reader.unconfirmed(incoming.after):
            await self._wait_behind(runner, exchange, after=min(_UNCONFIRMED, _BEHIND * 2 ** min(exchange.attempts, 8)))
            return
        step = provider.begin(incoming)
        if isinstance(step, Match):
            try:
                owner = await find_owner(self._journal, self._reader, exchange, step)
            except Undecided:
                await self._wait_behind(runner, exchange)
                return
            step = cast("Matching", provider).matched(incoming, owner)
        await self._go_on(runner, exchange, incoming, step)

    async def _proceed(self, runner: Runner, exchange: Exchange, answer: Answer | None) -> None:
        """Turn the journaled answer to a call into what follows; of an action that others serve it is left to them."""
        provider = self._registry.providers.get(exchange.action)
        if provider is None:
            await self._journal.release(exchange.id)
            return
        if answer is None:
            answer = read_answer(await self._journal.proofs(exchange.id, "answer"), exchange)
        if answer.kind is AnswerKind.REJECTION:
            raise answer.fault or KnownError(Code.REJECTED_BY_PROVIDER)
        incoming = await load_incoming(self._journal, exchange)
        await self._go_on(runner, exchange, incoming, provider.proceed(incoming, answer))

    async def _go_on(self, runner: Runner, exchange: Exchange, incoming: Incoming, step: Done | Call) -> None:
        if isinstance(step, Done):
            if step.to is not None and self._caller.intake is not None:
                await hand_over(self._caller.intake, incoming, step)
                step = replace(step, events=())
            await self._done(exchange, step)
            return
        self._check(step.schema, step.content)
        if exchange.expired():
            # The call comes too late, its events do not.
            await self._done(exchange, Done(step.events, KnownError(Code.EXPIRED)), failed=True)
            return
        bulkhead = self._bulkheads.get(step.gateway)
        if exchange.attempts or (bulkhead is not None and self._caller.waits(exchange, bulkhead)):
            # Put off before, or about to be: whoever waits for the news need not wait for the gateway too.
            await self._tell(exchange, step.events)
        await self._caller.first(runner, exchange, self._addressing.envelope(b""), step)

    async def _tell(self, exchange: Exchange, events: Sequence[Event]) -> None:
        """Write events that belong to no change of state."""
        rows = await self.untold(exchange, events)
        if rows:
            await self._journal.write(Note(outbox=rows))
            self._relay.offer(rows)

    async def _done(self, exchange: Exchange, step: Done, *, failed: bool = False) -> None:
        """End it with its events; ``failed`` tells of the error by an event of its own."""
        events = await self.untold(exchange, step.events)
        if step.error is None:
            await self._finish(exchange, State.REPLIED, None, events, then=self._following(exchange, step))
            return
        if failed:
            events.append(self._failed(exchange, step.error))
        await self._finish(exchange, State.DEAD, step.error, events)

    def _following(self, exchange: Exchange, step: Done) -> Receive | None:
        """Return what begins with the end of this exchange, once the broker has confirmed what it and its owner say."""
        if step.then is None:
            return None
        after = (exchange.id,) if step.to is None else (exchange.id, step.to.id)
        provider = self._registry.providers.get(step.then.action)
        return birth(replace(step.then, after=after), provider, self._journal.worker)

    async def untold(self, exchange: Exchange, events: Sequence[Event]) -> list[OutboxRow]:
        """Return the rows of events that this exchange has not told yet: a step may be taken twice, its news not."""
        if not events:
            return []
        told: frozenset[str] = frozenset()
        if exchange.attempts or exchange.events:
            told = await self._reader.told(exchange.id)
        return [self._addressing.event(exchange, event) for event in events if event.name not in told]

    async def fail(self, exchange: Exchange, state: State, error: AdapterError, *facts: ProofRow) -> None:
        """End it badly: ``uncertain`` stays so until somebody knows, everything else is for a person."""
        state = state if state is State.UNCERTAIN else State.DEAD
        await self._finish(exchange, state, error, [self._failed(exchange, error)], *facts)

    def _failed(self, exchange: Exchange, error: AdapterError) -> OutboxRow:
        return self._addressing.event(exchange, failure(exchange, error))

    async def _finish(
        self,
        exchange: Exchange,
        state: State,
        error: AdapterError | None,
        events: Sequence[OutboxRow],
        *facts: ProofRow,
        then: Receive | None = None,
    ) -> None:
        """Write the end, its events and what begins with it in one transaction, then tell the publisher."""
        outcome = None if error is None else orjson.dumps({"error": error.to_wire()})
        code = None if error is None else error.code
        meta: dict[str, Any] = {"from": exchange.state, "state": state, "code": code}
        proof = (*facts, ProofRow(exchange.id, "outcome", meta=orjson.dumps(meta)))
        move = (exchange.id, exchange.owner, exchange.state, state, outcome, code, 0)
        births = () if then is None else (then,)
        finished = await self._journal.write(Finish(*move, outbox=tuple(events), proof=proof, births=births))
        if not finished.applied:
            log.warning("outcome not applied: the exchange moved on", state=state)
            return
        reach("outbox")
        self._relay.offer(list(events))
        self._observer.command_finished(exchange, outcome=state, code=code, reply_bytes=0)
        log.info("exchange ended", state=state, code=code)
        if then is not None and finished.began and self.start is not None:
            self.start(then.exchange)

    def _provider(self, exchange: Exchange) -> Provider:
        provider = self._registry.providers.get(exchange.action)
        if provider is None:
            raise KnownError(Code.UNKNOWN_ACTION)
        return provider


def failure(exchange: Exchange, error: AdapterError) -> Event:
    """Return the event that tells of an exchange which was thought done, or which nobody waits for."""
    return Event(f"{exchange.action}.failed", {"error": error.to_wire()})
