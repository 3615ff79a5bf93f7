"""The life of one exchange: command, call, answer, outcome. The happy path reads top to bottom.

Crash-only: every step is journaled before the next begins, so a row can be picked up from its state by any worker.
"""

from __future__ import annotations

import random
import traceback
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import structlog

from adapter.errors import AdapterError, Code, FieldFault, InvalidCommandError, KnownError
from adapter.exchange import Answer, AnswerKind, Event, Reply, State
from adapter.faultpoints import reach
from adapter.incoming import Knowing, Local, Look, Say
from adapter.journal.operations import Finish, Finished, Note, Retry
from adapter.journal.records import ProofRow
from adapter.journal.writer import JournalUnavailableError, RowRefusedError
from adapter.pipeline.answers import last_answer, read_answer
from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Service, Step
    from adapter.incoming import Looking
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange, OutboxRow
    from adapter.pipeline.births import Births
    from adapter.pipeline.calls import Caller
    from adapter.pipeline.envelope import Addressing, Envelope
    from adapter.pipeline.ports import Limits, Observer, Registry
    from adapter.pipeline.registers import Registers
    from adapter.pipeline.relay import Relay
    from adapter.pipeline.requests import Requests
    from adapter.pipeline.schemas import Schemas

log = structlog.get_logger(__name__)

_REFUSALS: Final[Mapping[str, tuple[Code, State]]] = {
    "message-id-reused": (Code.MESSAGE_ID_REUSED, State.REJECTED),
    "expired": (Code.EXPIRED, State.EXPIRED),
}
_FIRST_PAUSE: Final = 0.5
_LAST_PAUSE: Final = 60.0


class Runner:
    """Takes an exchange from its journaled state as far as it can go now."""

    def __init__(  # noqa: PLR0913 — the composition root hands every room over by name
        self,
        *,
        journal: Journal,
        registry: Registry,
        caller: Caller,
        addressing: Addressing,
        relay: Relay,
        schemas: Schemas,
        observer: Observer,
        limits: Limits,
        births: Births,
        requests: Requests,
        registers: Registers,
    ) -> None:
        """Keep the rooms."""
        self._journal = journal
        self._registry = registry
        self._caller = caller
        self._addressing = addressing
        self._relay = relay
        self._schemas = schemas
        self._observer = observer
        self._limits = limits
        self._births = births
        self._requests = requests
        self._registers = registers

    async def run(self, exchange: Exchange, answer: Answer | None = None) -> None:
        """Run until the exchange waits, retries or ends. Gives the row up when the journal is away.

        ``answer`` spares an answered exchange the look into the journal.
        """
        try:
            await self._step(exchange, answer)
        except AdapterError as error:
            await self.fail(exchange, _failed_state(exchange, error), error)
        except JournalUnavailableError:
            log.warning("exchange given up until the journal is back")
        except Exception as error:  # noqa: BLE001 — a defect in one service must not take the worker or the reply along
            where = _where(error)
            log.error("exchange failed by a defect", error=type(error).__name__, where=where)  # noqa: TRY400 — no values
            await self._park(exchange, error)

    async def _step(self, exchange: Exchange, answer: Answer | None) -> None:
        if exchange.is_request:
            await self._births.step(self, exchange, answer)
            return
        envelope = self._addressing.envelope(exchange.properties)
        if exchange.crash_attempts > self._limits.crash_attempts:
            await self.fail(exchange, State.DEAD, KnownError(Code.DEAD))
        elif exchange.state is State.ANSWERED:
            await self._resume(exchange, envelope, answer)
        elif exchange.state is State.WAITING or (exchange.expired() and exchange.state is not State.SUBMITTING):
            await self.fail(exchange, State.EXPIRED, KnownError(Code.EXPIRED, details=self._caller.cause(exchange)))
        elif exchange.gateway_id is not None:
            await self._caller.repeat(self, exchange, envelope)
        else:
            await self._start(exchange, envelope)

    async def _start(self, exchange: Exchange, envelope: Envelope) -> None:
        """Judge a command and take its first step."""
        if exchange.refusal is not None and exchange.refusal in _REFUSALS:
            code, state = _REFUSALS[exchange.refusal]
            await self.fail(exchange, state, KnownError(code))
            return
        service = self._service(exchange)
        await self.tell(exchange, envelope, "accepted")
        faults = self._faults(exchange, envelope)
        try:
            step = service.start(exchange.command) if exchange.body is not None else None
        except InvalidCommandError as error:
            raise InvalidCommandError((*faults, *error.fields)) from None
        if faults or step is None:
            raise InvalidCommandError(faults)
        await self._take(service, exchange, envelope, step)

    async def _take(self, service: Service, exchange: Exchange, envelope: Envelope, step: Step) -> None:
        """Take a step of a command's service, and those that follow from what the journal answers at once."""
        while isinstance(step, Look):
            found = await self._requests.look(exchange, step)
            step = cast("Looking", service).found(exchange.command, found)
        if isinstance(step, Say):
            if not envelope.dry_run:
                await self._requests.say(exchange, step)
            step = Reply({"result": {"dry_run": True}} if envelope.dry_run else step.outcome)
        if isinstance(step, Local):
            if not envelope.dry_run:
                await self._registers.carry_out(self, exchange, step)
                return
            step = Reply({"result": {"dry_run": True}})
        if isinstance(step, Reply):
            await self.reply(exchange, step)
        elif exchange.state is State.ANSWERED and exchange.expired():
            # A further call comes too late; what was answered so far is in the journal.
            await self.fail(exchange, State.EXPIRED, KnownError(Code.EXPIRED))
        else:
            self._schemas.demand(step.schema or service.schema, step.content)
            await self._caller.first(self, exchange, envelope, step)

    def _service(self, exchange: Exchange) -> Service:
        service = self._registry.services.get(exchange.action)
        if service is None:
            raise KnownError(Code.UNKNOWN_ACTION)
        return service

    def _faults(self, exchange: Exchange, envelope: Envelope) -> tuple[FieldFault, ...]:
        faults = list(envelope.faults)
        if exchange.body is None:
            rule = f"тело команды больше допустимого: {exchange.body_size} байт, предел {self._limits.max_body}"
            if exchange.refusal == "unstorable":
                rule = "тело команды не может быть сохранено"
            faults.append(FieldFault("body", rule))
        if self._limits.require_message_id and not envelope.properties.message_id:
            rule = "обязательное свойство: без него повторная доставка неотличима от новой команды"
            faults.append(FieldFault("properties.message_id", rule))
        return tuple(faults)

    async def _resume(self, exchange: Exchange, envelope: Envelope, answer: Answer | None) -> None:
        """Turn the journaled answer into the outcome; an answer of an action that others serve is left to them."""
        service = self._registry.services.get(exchange.action)
        if service is None:
            await self._journal.release(exchange.id)
            log.info("answer left to a worker that serves its action")
            return
        await self.tell(exchange, envelope, "answered")
        if answer is None:
            answer = read_answer(await self._journal.proofs(exchange.id, "answer"), exchange)
        if answer.kind is AnswerKind.REJECTION:
            error = answer.fault or KnownError(Code.REJECTED_BY_PROVIDER)
            await self.fail(exchange, State.FAILED, error)
            return
        await self._take(service, exchange, envelope, self._read_answer(service, exchange, answer))

    def _read_answer(self, service: Service, exchange: Exchange, answer: Answer) -> Step:
        try:
            faults = self._schemas.check(service.schema, answer.content) if service.schema else ()
        except XmlError as error:
            raise KnownError(Code.ANSWER_UNREADABLE, details={"rule": str(error)}) from None
        if faults:
            detail = [{"path": fault.path, "rule": fault.rule} for fault in faults[:20]]
            raise KnownError(Code.ANSWER_UNREADABLE, details={"schema": detail})
        return service.resume(exchange.command, answer)

    async def reply(self, exchange: Exchange, step: Reply) -> None:
        """Write a service's outcome. A business error is an outcome too: delivered, never retried by us."""
        for note in step.notes:
            self._observer.count(note)
        finish = self.ending(exchange, State.REPLIED, orjson.dumps(step.outcome), step.code)
        finish.ties = step.ties
        await self.ended(exchange, finish, await self._journal.write(finish))

    async def fail(self, exchange: Exchange, state: State, error: AdapterError, *facts: ProofRow) -> None:
        """End an exchange with an error; ``facts`` are journaled with the outcome."""
        try:
            if exchange.is_request:
                await self._births.fail(exchange, state, error, *facts)
                return
            wire = error.to_wire()
            if known := await self._known(exchange, state):
                wire["details"] = {**known, **wire.get("details", {})}
            await self._finish(exchange, state, orjson.dumps({"error": wire}), error.code, *facts)
        except JournalUnavailableError:
            log.warning("outcome not written; recovery repeats the step", code=error.code)

    async def _known(self, exchange: Exchange, state: State) -> Mapping[str, Any]:
        """Return what its service knows of a command that an error ends: what was reserved stays known."""
        service = self._registry.services.get(exchange.action)
        if state is State.REJECTED or exchange.body is None or not isinstance(service, Knowing):
            return {}
        rows = await self._journal.proofs(exchange.id, "answer")
        return service.known(exchange.command, last_answer(rows))

    async def _park(self, exchange: Exchange, error: Exception) -> None:
        """Answer a command that our own code fails on, and keep it for a person."""
        details = {"stacktrace": _where(error)} if self._limits.stacktrace else None
        code = "22" if isinstance(error, RowRefusedError) else type(error).__name__
        log.info("exchange parked", reason=code)
        await self.fail(exchange, State.DEAD, KnownError(Code.INTERNAL, details=details))

    async def retry(
        self,
        exchange: Exchange,
        error: AdapterError,
        *,
        proof: ProofRow,
        after: float | None = None,
        remint: bool = False,
    ) -> None:
        """Back off durably, for ``after`` seconds or longer each time; at the deadline the one who asked hears instead.

        An answered exchange stays answered meanwhile: what was answered is read again for the call that comes next.

        ``remint`` gives the next attempt an id of its own: only for an id under which nothing can have got through.
        """
        pause = after if after is not None else min(_LAST_PAUSE, _FIRST_PAUSE * 2 ** min(exchange.attempts, 8))
        pause *= 0.75 + random.random() / 2  # noqa: S311 — spreads retries, guards nothing
        log.info("exchange retries", code=error.code, attempt=exchange.attempts, retry_in=round(pause, 2))
        self._observer.count("retries")
        await self._journal.write_surely(Retry(exchange.id, self._journal.worker, pause, remint, proof=(proof,)))

    async def tell(self, exchange: Exchange, envelope: Envelope, stage: str) -> None:
        """Publish a progress event that belongs to no change of state."""
        events = self.progress(exchange, envelope, stage)
        if events:
            await self._journal.write(Note(outbox=events))
            self.offer(events)

    def progress(self, exchange: Exchange, envelope: Envelope, stage: str) -> list[OutboxRow]:
        """Return the progress event of a stage when the command asked for them (header ``x-progress``)."""
        if not envelope.progress:
            return []
        return [self._addressing.event(exchange, Event(f"adapter.{stage}", {}))]

    async def untold(self, exchange: Exchange, events: Sequence[Event]) -> list[OutboxRow]:
        """Return the rows of a call's events that were not told with an earlier attempt of it."""
        return await self._births.untold(exchange, events)

    def offer(self, rows: list[OutboxRow]) -> None:
        """Send committed rows."""
        self._relay.offer(rows)

    async def _finish(
        self, exchange: Exchange, state: State, outcome: bytes, code: str | None, *facts: ProofRow
    ) -> None:
        """Write outcome and reply in one transaction, then tell the publisher and the repeats."""
        finish = self.ending(exchange, state, outcome, code, *facts)
        await self.ended(exchange, finish, await self._journal.write(finish))

    def ending(self, exchange: Exchange, state: State, outcome: bytes, code: str | None, *facts: ProofRow) -> Finish:
        """Return what writes the outcome and its reply."""
        row = self._addressing.reply(exchange, outcome)
        meta: dict[str, Any] = {"from": exchange.state, "state": state, "code": code}
        proof = (*facts, ProofRow(exchange.id, "outcome", meta=orjson.dumps(meta)))
        fence = (exchange.id, exchange.owner, exchange.state, state, outcome, code)
        return Finish(*fence, outbox=(row,), proof=proof)

    async def ended(self, exchange: Exchange, finish: Finish, result: Finished) -> None:
        """Tell the publisher and the repeats of a written outcome."""
        if not result.applied or finish.outcome is None:
            log.warning("outcome not applied: the exchange moved on", state=finish.state)
            return
        reach("outbox")
        self._relay.offer(list(finish.outbox))
        size = len(finish.outcome)
        self._observer.command_finished(exchange, outcome=finish.state, code=finish.code, reply_bytes=size)
        log.info("exchange ended", state=finish.state, code=finish.code)
        for repeat in result.repeats:
            await self._tell(repeat, finish.outcome, finish.code)

    async def answer_repeat(self, repeat: Exchange) -> None:
        """Answer a repeat when its command has ended; else leave it to wait for the end."""
        try:
            first = await self._journal.load(repeat.repeat_of) if repeat.repeat_of else None
            if first is not None and first.outcome is not None:
                await self._tell(repeat, first.outcome, first.outcome_code)
        except JournalUnavailableError:
            log.warning("repeat given up until the journal is back")

    async def _tell(self, repeat: Exchange, outcome: bytes, code: str | None) -> None:
        row = self._addressing.reply(repeat, outcome)
        finish = Finish(repeat.id, None, State.WAITING, State.REPLIED, outcome, code, outbox=(row,))
        if (await self._journal.write(finish)).applied:
            self._relay.offer([row])


def _failed_state(exchange: Exchange, error: AdapterError) -> State:
    """Map an error to the state it ends in: a bad command is rejected, an unreadable answer is for a person."""
    if isinstance(error, InvalidCommandError) or error.code == Code.UNKNOWN_ACTION.wire:
        return State.REJECTED
    if error.code == Code.ANSWER_UNREADABLE.wire and exchange.state is State.ANSWERED:
        return State.DEAD
    return State.FAILED


def _where(error: BaseException) -> str:
    """Return file:line of the innermost frames, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames))
