"""The reply queue of СМЭВ3: fetch, verify, hand over, and confirm only what is durable."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import structlog

from adapter.errors import SignerError
from adapter.gateways.smev3.answers import SOURCE, to_answer
from adapter.gateways.smev3.faults import Outcome, error_of, rule_of
from adapter.gateways.smev3.messages import Names, ack_target, envelope, message_type_selector
from adapter.gateways.smev3.options import Clock, Observe, Smev3Options, observe_nothing, utc_now
from adapter.gateways.smev3.pace import Pace
from adapter.gateways.smev3.reading import UnreadableError, read_delivery
from adapter.gateways.smev3.transport import SoapTransport, TransportError
from adapter.gateways.smev3.trust import Belief, judge, verdict_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from adapter.exchange import Answer, Intake
    from adapter.gateways.smev3.reading import Delivery
    from adapter.signing.client import SigningClient

GET_RESPONSE = "GetResponse"
ACK = "Ack"

#: Seconds for which a signed selector is sent again and again. It says that it is of now, and clocks and the way to
#: the gateway differ by more; a signature for every poll would be a third of all that the signing service makes.
_SELECTOR_LIFE: Final = 1.0

_log = structlog.get_logger(__name__)


class _Turn(Enum):
    """How one poll ended, which sets the pace of the next."""

    TRAFFIC = auto()
    """A message was dealt with: look for the next at once."""
    EMPTY = auto()
    """The queue was empty."""
    FAILED = auto()
    """Gateway, signing service or intake failed, or the message is a neighbour's: back off."""
    PAUSED = auto()
    """A message is not to be believed: slowest pace until a person has looked."""


class Smev3Source:
    """Polls GetResponse for this deployment's answers; every fault of the gateway is survived.

    Of ``pollers`` loops the first always polls, at a pace that backs off on an empty queue. While there is traffic the
    others join: each message calls one more, so that a single answer does not make all of them look; each rests when
    it finds the queue empty.
    """

    name = SOURCE

    def __init__(  # noqa: PLR0913  — the composition root names each
        self,
        options: Smev3Options,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        pollers: int = 1,
        on_pause: Callable[[str], None] | None = None,
        observe: Observe = observe_nothing,
        clock: Clock = utc_now,
    ) -> None:
        """``on_pause`` hears the reason (English, without values) when the source pauses, once per pause and reason."""
        self._options = options
        self._names = Names.of(options.version)
        self._signer = signer
        self._pollers = pollers
        self._on_pause = on_pause
        self._clock = clock
        self._transport = SoapTransport(options.endpoint, session=session, timeout=options.timeout, observe=observe)
        self._resting = 0
        self._called = asyncio.Semaphore(0)
        self._poll = b""
        self._poll_until = float("-inf")
        self._signing_poll = asyncio.Lock()
        self._nudged = asyncio.Event()
        self.paused: str | None = None
        """Why the source pauses, ``None`` while it does not."""

    def nudge(self) -> None:
        """Tell that an answer is to be expected: the pace of polling goes back to its fastest."""
        self._nudged.set()

    async def run(self, intake: Intake) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lead(intake), name="smev3-poller-0")
            for number in range(1, self._pollers):
                group.create_task(self._follow(intake), name=f"smev3-poller-{number}")

    async def _lead(self, intake: Intake) -> None:
        """Poll for ever, resting between polls unless there is traffic."""
        pace = Pace(self._options.poll_min, self._options.poll_max)
        while True:
            turn = await self._turn(intake)
            if turn is _Turn.TRAFFIC:
                pace.reset()
                continue
            if turn is _Turn.PAUSED:
                pace.slow()
            await self._rest(pace, nudgeable=turn is _Turn.EMPTY)

    async def _follow(self, intake: Intake) -> None:
        """Poll when called, while there is traffic."""
        while True:
            self._resting += 1
            await self._called.acquire()
            while await self._turn(intake) is _Turn.TRAFFIC:
                pass

    def _call_another(self) -> None:
        """Let one more follower poll, if any rests."""
        if self._resting:
            self._resting -= 1
            self._called.release()

    async def _rest(self, pace: Pace, *, nudgeable: bool) -> None:
        """Wait for the next poll of an empty queue; a nudge makes the wait the shortest one."""
        if not nudgeable:
            await asyncio.sleep(pace.delay())
            return
        if not self._nudged.is_set():
            try:
                async with asyncio.timeout(pace.delay()):
                    await self._nudged.wait()
            except TimeoutError:
                return
        self._nudged.clear()
        pace.reset()
        await asyncio.sleep(pace.delay())

    async def _turn(self, intake: Intake) -> _Turn:
        """Fetch one message and deal with it."""
        try:
            return await self._fetch_and_deliver(intake)
        except TransportError as failure:
            _log.warning("smev3.poll-failed", code=failure.error.code, details=failure.error.details)
        except SignerError as error:
            _log.warning("smev3.signing-failed", code=error.code)
        except UnreadableError as error:
            _log.error("smev3.answer-unreadable", rule=str(error))
        except Exception as error:  # noqa: BLE001  — a fault of ours must not stop the answers behind it
            _log.error("smev3.turn-failed", error=type(error).__name__, where=_place(error))
        return _Turn.FAILED

    async def _fetch_and_deliver(self, intake: Intake) -> _Turn:
        """Fetch, verify, hand over, confirm."""
        reply = await self._transport.call(GET_RESPONSE, await self._poll_envelope())
        if reply.fault is not None:
            self._poll_until = float("-inf")
            _log.warning("smev3.poll-refused", code=error_of(reply.fault).code, fault=reply.fault.kind)
            return _Turn.FAILED
        delivery = read_delivery(reply.payload, self._names)
        if delivery is None:
            return _Turn.EMPTY
        return await self._verify_and_hand_over(intake, delivery, reply.raw)

    async def _verify_and_hand_over(self, intake: Intake, delivery: Delivery, raw: bytes) -> _Turn:
        """Believe the message or not, and do what follows from that."""
        try:
            verdicts = await self._signer.verify_xml(raw)
        except SignerError as error:
            return self._pause(delivery, f"signatures cannot be verified: {error.code}")
        judgement = judge(verdicts, delivery, self._names, require_trust=self._options.require_trust)
        if judgement.belief is Belief.PAUSE:
            return self._pause(delivery, judgement.reason)
        if judgement.belief is Belief.REFUSE:
            _log.error("smev3.signature-wrong", message_id=delivery.message_id, reason=judgement.reason)
            return await self._acknowledge(delivery, accepted=False)
        self.paused = None
        self._call_another()
        answer = to_answer(
            delivery,
            raw,
            self._names,
            verdicts=verdict_facts(verdicts),
            mine=self._options.node_id is not None,
        )
        if not await self._take(intake, answer):
            return _Turn.FAILED
        return await self._acknowledge(delivery, accepted=True)

    async def _take(self, intake: Intake, answer: Answer) -> bool:
        """Make ``answer`` durable; false means: do not confirm it."""
        try:
            async with asyncio.timeout(self._options.timeout):
                durable = await intake.take(answer)
        except Exception as error:  # noqa: BLE001  — whatever kept it from being durable, the gateway keeps it for us
            _log.error(
                "smev3.answer-not-durable",
                message_id=answer.key,
                reference=answer.reference,
                error=type(error).__name__,
                where=_place(error),
            )
            return False
        if not durable:
            _log.info("smev3.answer-not-ours", message_id=answer.key, reference=answer.reference)
        return durable

    async def _acknowledge(self, delivery: Delivery, *, accepted: bool) -> _Turn:
        """Confirm a message. Unconfirmed it comes again and is recognised, so a fault here only slows the pace.

        TargetMessageIsNotFound says that the gateway waits for no Ack of it (any more): nothing is left to do.
        """
        target = ack_target(self._names, message_id=delivery.message_id, accepted=accepted)
        reply = await self._transport.call(ACK, await self._signed(ACK, target))
        if reply.fault is None:
            return _Turn.TRAFFIC
        _log.warning(
            "smev3.ack-refused",
            message_id=delivery.message_id,
            accepted=accepted,
            code=error_of(reply.fault).code,
            fault=reply.fault.kind,
        )
        return _Turn.TRAFFIC if rule_of(reply.fault).outcome is Outcome.UNNEEDED else _Turn.FAILED

    async def _poll_envelope(self) -> bytes:
        """Return a GetResponse signed a moment ago, by which all pollers ask. Raises SignerError."""
        loop = asyncio.get_running_loop()
        async with self._signing_poll:
            if loop.time() >= self._poll_until:
                selector = message_type_selector(self._names, timestamp=self._clock(), node_id=self._options.node_id)
                began = loop.time()
                self._poll = await self._signed(GET_RESPONSE, selector)
                self._poll_until = began + _SELECTOR_LIFE
            return self._poll

    async def _signed(self, operation: str, element: bytes) -> bytes:
        """Return the envelope of ``element``, signed as the information system. Raises SignerError."""
        signature = (await self._signer.sign_xml(element, key=self._options.system_key)).signature
        return envelope(self._names, operation, signed=element, signature=signature)

    def _pause(self, delivery: Delivery, reason: str) -> _Turn:
        """Leave the message with the gateway and call for a person."""
        _log.error("smev3.paused", message_id=delivery.message_id, reason=reason)
        if self.paused != reason:
            self.paused = reason
            if self._on_pause is not None:
                self._on_pause(reason)
        return _Turn.PAUSED


def _place(error: BaseException) -> str:
    """Return module and line where ``error`` was raised: its text may hold values, its place cannot."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
