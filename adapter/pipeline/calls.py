"""Calls to gateways: prepared, journaled as intent with the exact bytes, sent once, judged by the repeat rule."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

import orjson
import structlog

from adapter.errors import Code, FileError, KnownError, SignerError
from adapter.exchange import Accepted, Answer, Prepared, Refused, Repeat, State, TryLater, Unanswered
from adapter.faultpoints import reach
from adapter.journal.operations import Submit, Wait
from adapter.journal.records import ProofRow
from adapter.journal.requests import RequestReader
from adapter.journal.writer import JournalUnavailableError
from adapter.log import bind_message
from adapter.pipeline.attempts import cause_of, dry_run, request_proof, retry_proof, uncertain
from adapter.pipeline.breaker import report
from adapter.pipeline.held import refuse_taken_word
from adapter.pipeline.lanes import Lanes
from adapter.pipeline.planned import called_service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.errors import AdapterError
    from adapter.exchange import Asking, Call, Gateway, Intake, Sent, Word
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange
    from adapter.pipeline.breaker import Breaker
    from adapter.pipeline.bulkhead import Bulkhead
    from adapter.pipeline.envelope import Envelope
    from adapter.pipeline.ports import Registry
    from adapter.pipeline.runner import Runner

log = structlog.get_logger(__name__)

#: Shortest pause in seconds of an exchange that a breaker has put off.
_SOON: Final = 0.5
#: Bytes of a journaled request from which on few are in memory at once.
_HEAVY: Final = 2**20
#: Pause in seconds after a file could not be moved: the gateway has tried more than once, and moves all of it again.
_FILES: Final = 5.0


class Caller:
    """Makes calls for exchanges, each inside its gateway's bulkhead."""

    def __init__(
        self, journal: Journal, registry: Registry, bulkheads: Mapping[str, Bulkhead], *, rehearses: bool = False
    ) -> None:
        """``bulkheads`` has one for every gateway, by its name.

        ``rehearses`` hands the words of the header ``x-sim`` to the gateway: for simulators alone.
        """
        self._journal = journal
        self._requests = RequestReader(journal)
        self._rehearses = rehearses
        self._registry = registry
        self._bulkheads = bulkheads
        self._lanes = Lanes()
        #: Where answers go that come with the acceptance.
        self.intake: Intake | None = None

    async def first(self, runner: Runner, exchange: Exchange, envelope: Envelope, call: Call) -> None:
        """Prepare and make a call that no one has made yet, in its turn when it has a lane."""
        if call.lane is None or envelope.dry_run:
            await self._first(runner, exchange, envelope, call)
            return
        exchange.lane = call.lane
        async with self._lanes.turn(call.lane, self._bulkheads[call.gateway]):
            await self._first(runner, exchange, envelope, call)

    async def _first(self, runner: Runner, exchange: Exchange, envelope: Envelope, call: Call) -> None:
        gateway = self._registry.gateways[call.gateway]
        bulkhead = self._bulkheads[call.gateway]
        if not envelope.dry_run and self.waits(exchange, bulkhead):
            await self._put_aside(exchange, bulkhead)
            return
        if bulkhead.calls.refuses and not envelope.dry_run:
            await _put_off(runner, exchange, bulkhead.calls)
            return
        if call.word is not None and not envelope.dry_run:
            await self._claim(exchange, call.word)
        async with bulkhead.heavy if call.attachments else nullcontext():
            wanted = replace(call, rehearsed=True) if envelope.dry_run else call
            prepared = await self._prepare(runner, exchange, gateway, bulkhead, wanted)
            if prepared is None:
                return
            if envelope.dry_run:
                await runner.reply(exchange, dry_run(prepared))
                return
            await self._make(runner, exchange, envelope, gateway, prepared, earlier=0, call=call)

    async def _claim(self, exchange: Exchange, word: Word) -> None:
        """Make sure that nobody else has had the last word to a request. Raises KnownError."""
        request = word.to or exchange.id
        if word.last:
            holder, _ = await self._requests.claim_word(request, exchange.id)
        else:
            holder = await self._requests.holder(request) or exchange.id
        refuse_taken_word(holder, exchange.id)

    async def _prepare(
        self, runner: Runner, exchange: Exchange, gateway: Gateway, bulkhead: Bulkhead, call: Call
    ) -> Prepared | None:
        """Have the request built and signed; ``None`` when signing or a file is away and the exchange was put off."""
        breaker = bulkhead.signing
        if not breaker.admit():
            await _put_off(runner, exchange, breaker)
            return None
        probe = not breaker.closed
        bulkhead.preparing += 1
        failure: AdapterError
        after = None
        try:
            prepared = await gateway.prepare(call)
        except FileError as error:
            if not error.retryable:
                raise
            failure, after = error, _FILES
        except SignerError as error:
            if not error.retryable:
                breaker.succeeded()
                raise
            breaker.failed(error, probe=probe)
            failure = error
        else:
            breaker.succeeded()
            return prepared
        finally:
            bulkhead.preparing -= 1
            if probe:
                breaker.release()
        await runner.retry(exchange, failure, after=after, proof=retry_proof(exchange, failure, sent=False))
        return None

    async def repeat(self, runner: Runner, exchange: Exchange, envelope: Envelope) -> None:
        """Go on with a call whose earlier attempt has no known end, by the operation's repeat rule."""
        gateway = self._registry.gateways[exchange.gateway or ""]
        rule = gateway.repeat_rules[exchange.operation or ""]
        bulkhead = self._bulkheads[gateway.name]
        taken = await self._may_be_taken(exchange)
        if rule is Repeat.NEVER and taken:
            await runner.fail(exchange, State.UNCERTAIN, KnownError(Code.UNCERTAIN))
            return
        minted = exchange.minted_at or datetime.now(UTC)
        if gateway.id_lifetime is not None and datetime.now(UTC) - minted >= gateway.id_lifetime:
            await self._outlived(runner, exchange, taken=taken)
            return
        if self.waits(exchange, bulkhead):
            await self._put_aside(exchange, bulkhead)
            return
        if bulkhead.calls.refuses:
            await _put_off(runner, exchange, bulkhead.calls)
            return
        heavy = await self._journal.request_size(exchange.id) > _HEAVY
        async with bulkhead.heavy if heavy else nullcontext():
            await self._again(runner, exchange, envelope, gateway, minted, ask=taken and rule is Repeat.ASK)

    async def _again(  # noqa: PLR0913 — the parts of one attempt
        self,
        runner: Runner,
        exchange: Exchange,
        envelope: Envelope,
        gateway: Gateway,
        minted: datetime,
        *,
        ask: bool,
    ) -> None:
        """Make a call again with the bytes of its first attempt; ``ask`` the gateway first what became of that."""
        request = (await self._journal.proofs(exchange.id, "request"))[-1]
        prepared = Prepared(exchange.operation or "", exchange.gateway_id or "", bytes(request["data"] or b""), minted)
        if ask and not await self._ask(runner, exchange, cast("Asking", gateway), prepared):
            return
        if exchange.lane is None:
            await self._make(runner, exchange, envelope, gateway, prepared, earlier=exchange.attempts)
            return
        async with self._lanes.turn(exchange.lane, self._bulkheads[gateway.name]):
            await self._make(runner, exchange, envelope, gateway, prepared, earlier=exchange.attempts)

    async def _ask(self, runner: Runner, exchange: Exchange, gateway: Asking, prepared: Prepared) -> bool:
        """Ask the gateway what became of a call; true when it certainly has not arrived and may be made again."""
        bulkhead = self._bulkheads[gateway.name]
        bulkhead.calling += 1
        try:
            async with bulkhead.places:
                told = await gateway.ask(prepared)
        finally:
            bulkhead.calling -= 1
        report(bulkhead.calls, told, probe=False)
        match told:
            case TryLater():
                return True
            case Accepted(answer=Answer() as answer):
                await self._take(answer)
            case Refused():
                proof = ProofRow(exchange.id, "refused", exchange.gateway_id, told.raw)
                await runner.fail(exchange, State.FAILED, told.error, proof)
            case Unanswered():
                proof = retry_proof(exchange, told.error, sent=True, raw=told.raw)
                await runner.retry(exchange, told.error, proof=proof)
            case Accepted():
                raise TypeError(f"{gateway.name} says that a call arrived and not what came of it")
        return False

    def cause(self, exchange: Exchange) -> dict[str, str] | None:
        """Return why a retrying exchange gets no further while its gateway or the signing is away; asks nobody."""
        service = self._registry.services.get(exchange.action)
        bulkhead = self._bulkheads.get(exchange.gateway or (service.gateway if service else ""))
        if bulkhead is None or exchange.state is not State.RETRYING:
            return None
        if self.waits(exchange, bulkhead):
            return cause_of(KnownError(Code.MAINTENANCE))
        error = bulkhead.calls.cause or bulkhead.signing.cause
        return None if error is None else cause_of(error)

    def waits(self, exchange: Exchange, bulkhead: Bulkhead) -> bool:
        """Tell whether planned work on the gateway, or on the service that an exchange calls, goes on now."""
        if bulkhead.planned is None or not bulkhead.planned.names_services(bulkhead.gateway):
            return bulkhead.waits()
        service = self._registry.services.get(exchange.action)
        named = "" if service is None else called_service(service, exchange)
        return bulkhead.waits(exchange.action, named)

    async def _put_aside(self, exchange: Exchange, bulkhead: Bulkhead) -> None:
        """Let an exchange wait for the end of planned work: no call is made and no attempt counts."""
        service = self._registry.services.get(exchange.action) or self._registry.providers.get(exchange.action)
        retried_with = None if service is None else self._bulkheads.get(service.gateway)
        if bulkhead.planned is not None:
            await bulkhead.planned.put_aside(exchange, unclaimed=retried_with is bulkhead and bulkhead.waits())

    async def _may_be_taken(self, exchange: Exchange) -> bool:
        """Tell whether any attempt under the present id may have reached the gateway."""
        if exchange.state is State.SUBMITTING:
            return True
        retries = await self._journal.proofs(exchange.id, "retry")
        metas = [orjson.loads(row["meta"]) for row in retries if row["message_id"] == exchange.gateway_id]
        return any(meta["sent"] for meta in metas)

    async def _outlived(self, runner: Runner, exchange: Exchange, *, taken: bool) -> None:
        """End or re-mint a call whose id is too old to be sent again."""
        if taken:
            await runner.fail(exchange, State.UNCERTAIN, KnownError(Code.UNCERTAIN))
            return
        exchange.gateway_id = None
        await runner.run(exchange)

    async def _make(  # noqa: PLR0913 — the parts of one attempt
        self,
        runner: Runner,
        exchange: Exchange,
        envelope: Envelope,
        gateway: Gateway,
        prepared: Prepared,
        *,
        earlier: int,
        call: Call | None = None,
    ) -> None:
        """Take a place, make the call unless the breaker has opened meanwhile, and judge what came of it.

        The place is taken before the intent is journaled: a row in ``submitting`` never waits for one, because after
        a crash it would look like a call that may have left. It is given back before the outcome is journaled.
        """
        bulkhead = self._bulkheads[gateway.name]
        breaker = bulkhead.calls
        result, probe = None, False
        bulkhead.calling += 1
        try:
            async with bulkhead.places:
                waits = self.waits(exchange, bulkhead)
                admitted = not waits and breaker.admit()
                probe = admitted and not breaker.closed
                if admitted:
                    result = await self._send(runner, exchange, envelope, gateway, prepared, earlier=earlier, call=call)
                    report(breaker, result, probe=probe)
        finally:
            bulkhead.calling -= 1
            if probe:
                breaker.release()
        if waits:
            await self._put_aside(exchange, bulkhead)
        elif not admitted:
            await _put_off(runner, exchange, breaker)
        elif result is not None:
            await self._judge(runner, exchange, gateway.repeat_rules[prepared.operation], result, earlier=earlier)

    async def _send(  # noqa: PLR0913 — the parts of one attempt
        self,
        runner: Runner,
        exchange: Exchange,
        envelope: Envelope,
        gateway: Gateway,
        prepared: Prepared,
        *,
        earlier: int,
        call: Call | None,
    ) -> Sent | None:
        """Record the intent, then let the bytes leave; nothing leaves without a row that says so.

        Returns ``None`` when the exchange moved on meanwhile and no call was made.
        """
        events = runner.progress(exchange, envelope, "sent")
        subject, note = ("", "") if call is None else (call.subject, call.note)
        if call is not None and call.events:
            events += await runner.untold(exchange, call.events)
        proof = () if earlier else (request_proof(exchange.id, prepared),)
        submitted = await self._journal.write(
            Submit(
                exchange.id,
                self._journal.worker,
                exchange.state,
                exchange.attempts,
                gateway.name,
                prepared.operation,
                prepared.gateway_id,
                prepared.minted_at,
                exchange.lane,
                subject,
                note,
                outbox=events,
                proof=proof,
            )
        )
        if not submitted:
            if exchange.lane is None:
                log.warning("call not made: the exchange moved on")
            else:
                await _wait_in_lane(runner, exchange)
            return None
        runner.offer(events)
        exchange.state, exchange.gateway_id = State.SUBMITTING, prepared.gateway_id
        exchange.attempts += 1
        bind_message(prepared.gateway_id)
        reach("intent")
        if self._rehearses:
            prepared = replace(prepared, wish=envelope.wish)
        result = await gateway.send(prepared, earlier_attempts=earlier)
        reach("call")
        return result

    async def _judge(self, runner: Runner, exchange: Exchange, rule: Repeat, result: Sent, *, earlier: int) -> None:
        match result:
            case Accepted(answer=Answer() as answer):
                await self._take(answer)
            case Accepted():
                await self._wait(runner, exchange, result)
            case Refused():
                proof = ProofRow(exchange.id, "refused", exchange.gateway_id, result.raw)
                await runner.fail(exchange, State.FAILED, result.error, proof)
            case TryLater(remint=True) if earlier:
                # The id is refused now, but an earlier attempt under it may have got through.
                await runner.fail(exchange, State.UNCERTAIN, uncertain(result.error))
            case TryLater():
                proof = retry_proof(exchange, result.error, sent=False, raw=result.raw)
                await runner.retry(exchange, result.error, after=result.after, remint=result.remint, proof=proof)
            case Unanswered() if rule is Repeat.NEVER:
                proof = ProofRow(exchange.id, "unanswered", exchange.gateway_id, result.raw or None)
                await runner.fail(exchange, State.UNCERTAIN, uncertain(result.error), proof)
            case Unanswered():
                proof = retry_proof(exchange, result.error, sent=True, raw=result.raw)
                await runner.retry(exchange, result.error, proof=proof)

    async def _wait(self, runner: Runner, exchange: Exchange, said: Accepted) -> None:
        """Let go of a call that the gateway took, with what it said, until the answer comes."""
        events = await runner.untold(exchange, said.events) if said.events else []
        proof = ProofRow(exchange.id, "accepted", exchange.gateway_id, said.raw)
        wait = Wait(exchange.id, self._journal.worker, ties=said.ties, until=said.until, outbox=events, proof=(proof,))
        if await self._journal.write_surely(wait):
            exchange.state = State.WAITING
            runner.offer(events)

    async def _take(self, answer: Answer) -> None:
        """Hand in an answer that came with the acceptance, as if a source had brought it; however long that takes."""
        assert self.intake is not None  # noqa: S101 — set before the first call
        while True:
            try:
                await self.intake.take(answer)
            except JournalUnavailableError:
                await self._journal.available.wait()
            else:
                return


async def _put_off(runner: Runner, exchange: Exchange, breaker: Breaker) -> None:
    """Back off durably until the breaker's next probe: no call is made, whatever the repeat rule."""
    error = breaker.cause or KnownError(Code.GATEWAY_UNAVAILABLE)
    # An attempt that a crash interrupted may have got through: the next one has to know.
    proof = retry_proof(exchange, error, sent=exchange.state is State.SUBMITTING)
    await runner.retry(exchange, error, after=max(breaker.wait, _SOON), proof=proof)


async def _wait_in_lane(runner: Runner, exchange: Exchange) -> None:
    """Back off behind an earlier exchange of the lane, which ends the wait; does nothing to one that moved on."""
    error = KnownError(Code.BEHIND_ANOTHER)
    await runner.retry(exchange, error, proof=retry_proof(exchange, error, sent=exchange.state is State.SUBMITTING))
