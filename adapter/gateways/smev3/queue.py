"""A queue of СМЭВ3: fetch, verify, hand over, and confirm only what is durable.

One for both roles: a consumer's queue of answers (GetResponse) and a provider's queue of requests (GetRequest).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import structlog

from adapter.errors import SignerError
from adapter.gateways.smev3.calls import SignedCalls
from adapter.gateways.smev3.faults import Outcome, error_of, rule_of
from adapter.gateways.smev3.fetching import Fetching
from adapter.gateways.smev3.incoming import NOTHING, Collected, Incoming, read_attached
from adapter.gateways.smev3.messages import Names, ack_target, message_type_selector
from adapter.gateways.smev3.options import Clock, Observe, Smev3Options, observe_nothing, utc_now
from adapter.gateways.smev3.pace import Pace
from adapter.gateways.smev3.places import place_of
from adapter.gateways.smev3.reading import SignedPart, UnreadableError
from adapter.gateways.smev3.transport import SoapReply, TransportError
from adapter.gateways.smev3.trust import Belief, judge
from adapter.xml.signature import SignatureVerdict

if TYPE_CHECKING:
    import aiohttp
    from lxml.etree import _Element

    from adapter.signing.client import SigningClient

ACK = "Ack"

#: Seconds for which a signed selector is sent again and again. It says that it is of now, and clocks and the way to
#: the gateway differ by more; a signature for every poll would be a third of all that the signing service makes.
_SELECTOR_LIFE: Final = 1.0

_log = structlog.get_logger(__name__)


class Message(Protocol):
    """What a queue has to know of a message to deal with it."""

    @property
    def part(self) -> SignedPart:
        """What the СМЭВ signature has to cover."""
        ...

    @property
    def message_id(self) -> str:
        """What an Ack names."""
        ...

    @property
    def data(self) -> _Element | None:
        """What its sender provided."""
        ...


M = TypeVar("M", bound=Message)

#: Makes a believed message durable, from what was read, its exact bytes, the verdicts on its signatures and what came
#: with it; tells whether it may be confirmed.
Take = Callable[[M, bytes, Sequence[SignatureVerdict], Collected], Awaitable[bool]]


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


class MessageQueue(Generic[M]):
    """Polls one queue and deals with its messages; every fault of the gateway is survived.

    Of ``pollers`` loops the first always polls, at a pace that backs off on an empty queue. While there is traffic the
    others join: each message calls one more, so that a single message does not make all of them look; each rests when
    it finds the queue empty.
    """

    def __init__(  # noqa: PLR0913  — each source names what it needs
        self,
        options: Smev3Options,
        operation: str,
        read: Callable[[_Element | None, Names], M | None],
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        incoming: Incoming | None = None,
        pollers: int = 1,
        on_pause: Callable[[str], None] | None = None,
        observe: Observe = observe_nothing,
        clock: Clock = utc_now,
    ) -> None:
        """``operation`` fetches one message and ``read`` reads it: ``None`` for an empty queue, or UnreadableError.

        ``incoming`` fetches attachments; without it a message that has some is left with the gateway. ``on_pause``
        hears the reason (English, without values) when the queue pauses, once per pause and reason.
        """
        self._options = options
        self._operation = operation
        self._read = read
        self._calls = SignedCalls(options, session=session, signer=signer, observe=observe)
        self._names = self._calls.names
        self._signer = signer
        self._pollers = pollers
        self._on_pause = on_pause
        self._clock = clock
        self._resting = 0
        self._called = asyncio.Semaphore(0)
        self._poll = b""
        self._poll_until = float("-inf")
        self._signing_poll = asyncio.Lock()
        self._nudged = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._fetching = None if incoming is None else Fetching(incoming)
        self.paused: str | None = None
        """Why the queue pauses, ``None`` while it does not."""

    @property
    def settled(self) -> bool:
        """Whether every poller but the first rests."""
        return self._resting >= self._pollers - 1

    def nudge(self) -> None:
        """Tell that a message is to be expected: the pace of polling goes back to its fastest."""
        self._nudged.set()

    async def run(self, take: Take[M]) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._lead(take), name=f"smev3-{self._operation}-0")
            for number in range(1, self._pollers):
                group.create_task(self._follow(take), name=f"smev3-{self._operation}-{number}")

    async def _lead(self, take: Take[M]) -> None:
        """Poll for ever, resting between polls unless there is traffic."""
        pace = Pace(self._options.poll_min, self._options.poll_max)
        while True:
            turn = await self._turn(take)
            if turn is _Turn.TRAFFIC:
                pace.reset()
                continue
            if turn is _Turn.PAUSED:
                pace.slow()
            await self._rest(pace, nudgeable=turn is _Turn.EMPTY)

    async def _follow(self, take: Take[M]) -> None:
        """Poll when called, while there is traffic."""
        while True:
            self._resting += 1
            await self._called.acquire()
            while await self._turn(take) is _Turn.TRAFFIC:
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

    async def _turn(self, take: Take[M]) -> _Turn:
        """Fetch one message and deal with it."""
        try:
            return await self._fetch_and_deliver(take)
        except TransportError as failure:
            _log.warning(
                "smev3.poll-failed",
                operation=self._operation,
                code=failure.error.code,
                details=failure.error.details,
            )
        except SignerError as error:
            _log.warning("smev3.signing-failed", operation=self._operation, code=error.code)
        except UnreadableError as error:
            _log.error("smev3.message-unreadable", operation=self._operation, rule=str(error))
        except Exception as error:  # noqa: BLE001  — a fault of ours must not stop the messages behind it
            _log.error(
                "smev3.turn-failed", operation=self._operation, error=type(error).__name__, where=place_of(error)
            )
        return _Turn.FAILED

    async def _fetch_and_deliver(self, take: Take[M]) -> _Turn:
        """Fetch, verify, hand over, confirm."""
        reply = await self._calls.post(self._operation, await self._poll_envelope())
        if reply.fault is not None:
            self._poll_until = float("-inf")
            _log.warning(
                "smev3.poll-refused",
                operation=self._operation,
                code=error_of(reply.fault).code,
                fault=reply.fault.kind,
            )
            return _Turn.FAILED
        message = self._read(reply.payload, self._names)
        if message is None:
            return _Turn.EMPTY
        return await self._verify_and_hand_over(take, message, reply)

    async def _verify_and_hand_over(self, take: Take[M], message: M, reply: SoapReply) -> _Turn:
        """Believe the message or not, and do what follows from that."""
        try:
            verdicts = await self._signer.verify_xml(reply.raw)
        except SignerError as error:
            return self._pause(message, f"signatures cannot be verified: {error.code}")
        judgement = judge(verdicts, message.part, self._names, require_trust=self._options.require_trust)
        if judgement.belief is Belief.PAUSE:
            return self._pause(message, judgement.reason)
        if judgement.belief is Belief.REFUSE:
            _log.error("smev3.signature-wrong", message_id=message.message_id, reason=judgement.reason)
            return await self._acknowledge(message, accepted=False)
        self.paused = None
        self._call_another()
        attached = read_attached(message.data, self._names)
        if not attached:
            return await self._finish(take, message, reply.raw, verdicts, NOTHING)
        if self._fetching is None or self._group is None:
            return self._pause(message, "attachments cannot be taken: FILES_ROOT is not set")

        async def finish(collected: Collected) -> None:
            await self._finish(take, message, reply.raw, verdicts, collected)

        await self._fetching.begin(self._group, attached, reply.parts, message.message_id, finish)
        return _Turn.TRAFFIC

    async def _finish(
        self, take: Take[M], message: M, raw: bytes, verdicts: Sequence[SignatureVerdict], collected: Collected
    ) -> _Turn:
        """Hand over and confirm."""
        if not await self._made_durable(take, message, raw, verdicts, collected):
            return _Turn.FAILED
        return await self._acknowledge(message, accepted=True)

    async def _made_durable(
        self, take: Take[M], message: M, raw: bytes, verdicts: Sequence[SignatureVerdict], collected: Collected
    ) -> bool:
        """Hand ``message`` over; false means: do not confirm it."""
        try:
            async with asyncio.timeout(self._options.timeout):
                durable = await take(message, raw, (*verdicts, *collected.verdicts), collected)
        except Exception as error:  # noqa: BLE001  — whatever kept it from being durable, the gateway keeps it for us
            _log.error(
                "smev3.message-not-durable",
                operation=self._operation,
                message_id=message.message_id,
                error=type(error).__name__,
                where=place_of(error),
            )
            return False
        if not durable:
            _log.info("smev3.message-not-ours", operation=self._operation, message_id=message.message_id)
        return durable

    async def _acknowledge(self, message: M, *, accepted: bool) -> _Turn:
        """Confirm a message. Unconfirmed it comes again and is recognised, so a fault here only slows the pace.

        TargetMessageIsNotFound says that the gateway waits for no Ack of it (any more): nothing is left to do.
        """
        target = ack_target(self._names, message_id=message.message_id, accepted=accepted)
        reply = await self._calls.call(ACK, target)
        if reply.fault is None:
            return _Turn.TRAFFIC
        _log.warning(
            "smev3.ack-refused",
            message_id=message.message_id,
            accepted=accepted,
            code=error_of(reply.fault).code,
            fault=reply.fault.kind,
        )
        return _Turn.TRAFFIC if rule_of(reply.fault).outcome is Outcome.UNNEEDED else _Turn.FAILED

    async def _poll_envelope(self) -> bytes:
        """Return a poll signed a moment ago, by which all pollers ask. Raises SignerError."""
        loop = asyncio.get_running_loop()
        async with self._signing_poll:
            if loop.time() >= self._poll_until:
                selector = message_type_selector(
                    self._names,
                    timestamp=self._clock(),
                    node_id=self._options.node_id,
                    selects=self._options.selects,
                )
                began = loop.time()
                self._poll = await self._calls.envelope(self._operation, selector)
                self._poll_until = began + _SELECTOR_LIFE
            return self._poll

    def _pause(self, message: M, reason: str) -> _Turn:
        """Leave the message with the gateway and call for a person."""
        _log.error("smev3.paused", operation=self._operation, message_id=message.message_id, reason=reason)
        if self.paused != reason:
            self.paused = reason
            if self._on_pause is not None:
                self._on_pause(reason)
        return _Turn.PAUSED
