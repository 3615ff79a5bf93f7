"""The consumer's queue of answers: GetResponse, handed to the pipeline's intake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.gateways.smev3.answers import SOURCE, to_answer
from adapter.gateways.smev3.messages import Names
from adapter.gateways.smev3.options import Clock, Observe, Smev3Options, observe_nothing, utc_now
from adapter.gateways.smev3.queue import MessageQueue
from adapter.gateways.smev3.reading import read_delivery
from adapter.gateways.smev3.trust import verdict_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

    from adapter.exchange import Intake
    from adapter.gateways.smev3.incoming import Collected, Incoming
    from adapter.gateways.smev3.reading import Delivery
    from adapter.signing.client import SigningClient
    from adapter.xml.signature import SignatureVerdict

GET_RESPONSE = "GetResponse"


class Smev3Source:
    """Polls GetResponse for this deployment's answers; every fault of the gateway is survived."""

    name = SOURCE

    def __init__(  # noqa: PLR0913  — the composition root names each
        self,
        options: Smev3Options,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        incoming: Incoming | None = None,
        pollers: int = 1,
        on_pause: Callable[[str], None] | None = None,
        observe: Observe = observe_nothing,
        clock: Clock = utc_now,
    ) -> None:
        """``incoming`` fetches the answers' attachments.

        ``on_pause`` hears the reason (English, without values) when the source pauses, once per pause and reason.
        """
        self._names = Names.of(options.version)
        #: Without a NodeID the reply queue is shared by everybody on the same mnemonic.
        self._mine = options.node_id is not None
        self._queue = MessageQueue(
            options,
            GET_RESPONSE,
            read_delivery,
            session=session,
            signer=signer,
            incoming=incoming,
            pollers=pollers,
            on_pause=on_pause,
            observe=observe,
            clock=clock,
        )

    @property
    def paused(self) -> str | None:
        """Why the source pauses, ``None`` while it does not."""
        return self._queue.paused

    @property
    def settled(self) -> bool:
        """Whether every poller but the first rests."""
        return self._queue.settled

    def nudge(self) -> None:
        """Tell that an answer is to be expected: the pace of polling goes back to its fastest."""
        self._queue.nudge()

    async def run(self, intake: Intake) -> None:
        """Poll until cancelled."""

        async def take(
            delivery: Delivery, raw: bytes, verdicts: Sequence[SignatureVerdict], collected: Collected
        ) -> bool:
            facts = verdict_facts(verdicts)
            return await intake.take(
                to_answer(delivery, raw, self._names, verdicts=facts, mine=self._mine, collected=collected)
            )

        await self._queue.run(take)
