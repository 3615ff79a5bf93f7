"""The СМЭВ3 gateway between a simulator and the reference signing service: the stand of its contract tests."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapter.exchange import Call
from adapter.gateways.smev3 import Smev3Gateway, Smev3Options, Smev3Source
from adapter.http import make_session
from adapter.signing.certificates import certificates_of
from adapter.signing.client import SigningClient
from simulators.smev3.app import make_app as make_simulator
from simulators.smev3.config import SimulatorConfig
from tests.contract.sign_service_stand import serving, tokens_of
from tests.contract.smev3_caller import REQUEST_DATA, Clock, action, debt_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from adapter.exchange import Answer, Prepared
    from adapter.signing.gost import GostEngine

SEND_REQUEST = "SendRequest"


class Intake:
    """Takes answers and remembers them."""

    def __init__(self, *, durable: bool = True) -> None:
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.durable = durable

    async def take(self, answer: Answer) -> bool:
        await self._answers.put(answer)
        return self.durable

    async def next(self) -> Answer:
        return await asyncio.wait_for(self._answers.get(), 20)

    def empty(self) -> bool:
        return self._answers.empty()


@dataclass
class Stand:
    """Simulator, signing service, gateway; the source runs when a test lets it."""

    url: str
    session: aiohttp.ClientSession
    signer: SigningClient
    options: Smev3Options
    clock: Clock

    def gateway(self, *, clock: Clock | None = None, **changes: Any) -> Smev3Gateway:
        options = replace(self.options, **changes)
        return Smev3Gateway(options, session=self.session, signer=self.signer, clock=clock or self.clock)

    async def prepared(self, **changes: Any) -> Prepared:
        return await self.gateway(**changes).prepare(call())

    @contextlib.asynccontextmanager
    async def polling(
        self,
        intake: Intake,
        *,
        signer: SigningClient | None = None,
        pauses: asyncio.Queue[str] | None = None,
        pollers: int = 1,
        **changes: Any,
    ) -> AsyncIterator[Smev3Source]:
        source = Smev3Source(
            replace(self.options, **changes),
            session=self.session,
            signer=signer or self.signer,
            pollers=pollers,
            on_pause=None if pauses is None else pauses.put_nowait,
        )
        task = asyncio.create_task(source.run(intake))
        try:
            yield source
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def scenario(self, **rule: Any) -> None:
        async with self.session.post(f"{self.url}/_sim/scenario", json=rule) as response:
            assert response.status == 201, await response.text()

    async def told(self, name: str) -> Any:
        async with self.session.get(f"{self.url}/_sim/{name}") as response:
            return await response.json()

    async def acked(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the confirmations once there are ``count``; the simulator has no signal of its own to wait for."""
        async with asyncio.timeout(20):
            acks: list[dict[str, Any]] = await self.told("acks")
            while len(acks) < count:
                acks = await self.told("acks")
        return acks


@contextlib.asynccontextmanager
async def open_stand(keys: Path, gost: GostEngine, signing: str, version: str) -> AsyncIterator[Stand]:
    """A stand that speaks ``version``; ``signing`` is the URL of the signing service."""
    clock = Clock()
    async with (
        serving(make_simulator(SimulatorConfig(keys=keys, clock=clock), gost)) as url,
        make_session(timeout=20) as session,
    ):
        trust = certificates_of((keys / "ca.crt.pem").read_bytes())
        signer = SigningClient(signing, session=session, tokens=tokens_of(keys), trust=trust)
        options = Smev3Options(
            endpoint=f"{url}/smev/v{version}/ws",
            version=version,
            node_id="node-1",
            timeout=10,
            poll_min=0.01,
            poll_max=0.05,
        )
        yield Stand(url, session, signer, options, clock)
        await signer.close()


def call(*, official: bool = False) -> Call:
    content = debt_requests(action(data=REQUEST_DATA), identifier="PERSONAL_SIGNATURE" if official else "")
    return Call("smev3", SEND_REQUEST, content.encode(), official=official)
