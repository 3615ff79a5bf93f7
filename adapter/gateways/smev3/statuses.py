"""What СМЭВ says about our own messages beside the queues: GetStatus, and in schema 1.1 the length of the queues.

The gateway tells each status once and takes no Ack of it: a status that was fetched is held until it is durable.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from adapter.errors import AdapterError, Code, KnownError, SignerError
from adapter.exchange import Answer, AnswerKind
from adapter.gateways.smev3.answers import SOURCE, read_status
from adapter.gateways.smev3.calls import SignedCalls
from adapter.gateways.smev3.faults import error_of
from adapter.gateways.smev3.messages import queue_node, timestamp_element
from adapter.gateways.smev3.options import Clock, Observe, Smev3Options, observe_nothing, utc_now
from adapter.gateways.smev3.pace import Pace
from adapter.gateways.smev3.places import place_of
from adapter.gateways.smev3.reading import SignedPart, UnreadableError, signed_part
from adapter.gateways.smev3.transport import SoapReply, TransportError
from adapter.gateways.smev3.trust import Belief, judge, verdict_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    import aiohttp
    from lxml.etree import _Element

    from adapter.exchange import Intake
    from adapter.gateways.smev3.messages import Names
    from adapter.signing.client import SigningClient

GET_STATUS = "GetStatus"
GET_STATISTICS = "GetIncomingQueueStatistics"
#: The only schema that tells how many messages wait (facts, smev3.md, Versions).
_STATISTICS_VERSION = "1.1"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """One answer of GetStatus: ``data`` is AsyncProcessingStatusData, ``raw`` the exact bytes of the envelope."""

    part: SignedPart
    data: _Element
    raw: bytes


def read_async_message(payload: _Element | None, raw: bytes, names: Names) -> Status | None:
    """Return the status that GetStatus brought, ``None`` when there is none. Raises UnreadableError."""
    if payload is None or payload.tag != names.type("GetStatusResponse"):
        raise UnreadableError("not a GetStatusResponse")
    message = payload.find(names.type("SmevAsyncProcessingMessage"))
    if message is None:
        return None
    name = "AsyncProcessingStatusData"
    data = message.find(names.type(name))
    if data is None:
        raise UnreadableError("SmevAsyncProcessingMessage without its data")
    return Status(signed_part(data, name), data, raw)


def status_answer(status: Status, names: Names, *, verdicts: Sequence[Mapping[str, Any]]) -> Answer:
    """Return the Answer that ``status`` is; one that breaks the schema is kept as an ANSWER without content.

    It has no id of its own, so ``key`` is the SHA-256 of its bytes. ``mine`` is true even without a NodeID: whoever
    fetched it is the only one who ever will.
    """
    key = hashlib.sha256(status.raw).hexdigest()
    try:
        processing = status.data.find(names.type("AsyncProcessingStatus"))
        if processing is None:
            raise UnreadableError("AsyncProcessingStatusData without its status")  # noqa: TRY301  — one way out for both
        kind, content, fault, event, reference = read_status(processing, names, key=key, original_id="")
    except UnreadableError:
        kind, content, fault, event, reference = AnswerKind.ANSWER, b"", None, None, ""
    return Answer(SOURCE, key, reference, kind, status.raw, content, fault, event, verdicts)


class Smev3StatusSource:
    """Polls GetStatus for what became of our messages; every fault of the gateway is survived.

    For a provider this is the only place where СМЭВ says that it threw an answer away. All of a mnemonic's statuses
    stand in one queue, whatever their NodeID: only one deployment on a mnemonic may run this.
    """

    name = "smev3-statuses"

    def __init__(  # noqa: PLR0913  — the composition root names each
        self,
        options: Smev3Options,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        on_pause: Callable[[str], None] | None = None,
        observe: Observe = observe_nothing,
        clock: Clock = utc_now,
    ) -> None:
        """``on_pause`` hears the reason (English, without values) why a status was not believed."""
        self._options = options
        self._calls = SignedCalls(options, session=session, signer=signer, observe=observe)
        self._signer = signer
        self._on_pause = on_pause
        self._clock = clock

    async def fetch(self) -> Status | None:
        """Return the oldest status, ``None`` when there is none; the gateway forgets it.

        Raises SignerError, TransportError, UnreadableError, or AdapterError for a fault.
        """
        element = timestamp_element(self._calls.names, timestamp=self._clock())
        reply = _unrefused(await self._calls.call(GET_STATUS, element))
        return read_async_message(reply.payload, reply.raw, self._calls.names)

    async def queue_statistics(self) -> Mapping[str, int]:
        """Return how many messages wait in each of our queues, by name. Not signed by СМЭВ: for people to look at.

        Raises KnownError in other schemas than 1.1, else what ``fetch`` raises.
        """
        names = self._calls.names
        if names.version != _STATISTICS_VERSION:
            raise KnownError(Code.INTERNAL, details={"rule": f"schema {names.version} tells no queue statistics"})
        element = timestamp_element(names, timestamp=self._clock())
        reply = _unrefused(await self._calls.call(GET_STATISTICS, element, ahead=queue_node(self._options.node_id)))
        if reply.payload is None or reply.payload.tag != names.type(f"{GET_STATISTICS}Response"):
            raise UnreadableError(f"not a {GET_STATISTICS}Response")
        found = reply.payload.findall(names.type("QueueStatistics"))
        return {queue.get("queueName", ""): _number(queue.get("pendingMessageNumber", "")) for queue in found}

    async def run(self, intake: Intake) -> None:
        """Poll until cancelled."""
        pace = Pace(self._options.poll_min, self._options.poll_max)
        while True:
            status = await self._fetched()
            if status is None:
                await asyncio.sleep(pace.delay())
                continue
            pace.reset()
            await self._settle(status, intake)

    async def _fetched(self) -> Status | None:
        """Return the oldest status; ``None`` too when it could not be fetched."""
        try:
            return await self.fetch()
        except TransportError as failure:
            _log.warning("smev3.poll-failed", operation=GET_STATUS, code=failure.error.code)
        except UnreadableError as error:
            _log.error("smev3.message-unreadable", operation=GET_STATUS, rule=str(error))
        except AdapterError as error:
            _log.warning("smev3.poll-refused", operation=GET_STATUS, code=error.code)
        except Exception as error:  # noqa: BLE001  — a fault of ours must not stop the statuses behind it
            _log.error("smev3.turn-failed", operation=GET_STATUS, error=type(error).__name__, where=place_of(error))
        return None

    async def _settle(self, status: Status, intake: Intake) -> None:
        """Try until the status is durable or found not to be believed: nobody else has it."""
        pace = Pace(self._options.poll_min, self._options.poll_max)
        while True:
            try:
                async with asyncio.timeout(self._options.timeout):
                    await self._hand_over(status, intake)
            except SignerError as error:
                _log.warning("smev3.signing-failed", operation=GET_STATUS, code=error.code)
            except Exception as error:  # noqa: BLE001  — whatever kept it from being durable, it is kept here
                _log.error(
                    "smev3.message-not-durable",
                    operation=GET_STATUS,
                    error=type(error).__name__,
                    where=place_of(error),
                )
            else:
                return
            await asyncio.sleep(pace.delay())

    async def _hand_over(self, status: Status, intake: Intake) -> None:
        """Verify and make durable."""
        names = self._calls.names
        verdicts = await self._signer.verify_xml(status.raw)
        judgement = judge(verdicts, status.part, names, require_trust=self._options.require_trust)
        if judgement.belief is Belief.TAKE:
            await intake.take(status_answer(status, names, verdicts=verdict_facts(verdicts)))
            return
        _log.error("smev3.status-not-believed", operation=GET_STATUS, reason=judgement.reason)
        if self._on_pause is not None:
            self._on_pause(judgement.reason)


def _unrefused(reply: SoapReply) -> SoapReply:
    """Return ``reply`` unless it is a fault. Raises AdapterError."""
    if reply.fault is not None:
        raise error_of(reply.fault)
    return reply


def _number(text: str) -> int:
    """Return an xs:long that counts messages. Raises UnreadableError."""
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise UnreadableError("pendingMessageNumber is no number of messages")
    return int(text)
