"""The gateway ЕПГУ against its simulator, driven as the pipeline drives it: a command in, a reply out."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adapter.exchange import Accepted, Command, Reply
from adapter.files import FilesIn, FilesPolicy, FileStore
from adapter.gateways.epgu.archive import Archives
from adapter.gateways.epgu.client import EpguGateway
from adapter.gateways.epgu.door import Door
from adapter.gateways.epgu.keeping import TokensInMemory
from adapter.gateways.epgu.limits import Bounds, LimitsInMemory
from adapter.gateways.epgu.operations import Operations
from adapter.gateways.epgu.options import ApiKey, EpguOptions, EsiaOptions
from adapter.gateways.epgu.profiles import PROFILES
from adapter.gateways.epgu.tokens import Tokens
from adapter.gateways.epgu.wire import Wire
from adapter.http import make_session
from adapter.incoming import Local
from adapter.services.registry import make_services
from adapter.signing.client import SigningClient
from tests.contract import epgu_caller
from tests.contract.sign_service_stand import tokens_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from adapter.exchange import Call, Prepared, Sent
    from adapter.gateways.epgu.profiles import Profile
    from tests.contract.epgu_caller import World

SERVICES = make_services({})
#: Small chunks, so that an archive of some hundred bytes has several.
TINY = replace(PROFILES["1.12"], push_max=2_000, chunk_min=10, chunk_max=1_000, chunk_size=200)
TINY_SETTINGS = {"push_max": 2_000, "chunk_min": 10, "chunk_max": 1_000}
KEYS = {
    "head": ApiKey(epgu_caller.HEAD),
    "attorney": ApiKey(epgu_caller.ATTORNEY),
    "blocked": ApiKey(epgu_caller.BLOCKED),
    "neighbour": ApiKey(epgu_caller.NEIGHBOUR),
}
META = {"service_code": "10000000113", "target_code": "-10000000113", "region": "36000000000"}


def command(action: str, body: dict[str, Any] | bytes) -> Command:
    now = datetime.now(UTC)
    return Command(uuid4(), action, body if isinstance(body, bytes) else json.dumps(body).encode(), now, now)


@dataclass
class Stand:
    """A gateway; ``made`` are the calls of the last command, as they were prepared."""

    world: World
    gateway: EpguGateway
    tokens: Tokens
    limits: LimitsInMemory
    store: FileStore
    folder: Path
    made: list[Prepared] = field(default_factory=list)

    async def run(self, action: str, *, earlier_attempts: int = 0, **body: Any) -> dict[str, Any] | Sent:
        """Carry a command out; a reply's outcome, or what a call ended in that brought no answer."""
        service, given = SERVICES[action], command(action, body)
        self.made = []
        step = service.start(given)
        while not isinstance(step, Reply):
            prepared = await self.gateway.prepare(_call(step))
            self.made.append(prepared)
            sent = await self.gateway.send(prepared, earlier_attempts=earlier_attempts)
            if not isinstance(sent, Accepted):
                return sent
            assert sent.answer is not None
            assert sent.answer.reference == prepared.gateway_id
            step = service.resume(given, sent.answer)
            if isinstance(step, Local):
                return {"result": step.content["result"]}
        return dict(step.outcome)

    async def result(self, action: str, **body: Any) -> dict[str, Any]:
        outcome = await self.run(action, **body)
        assert isinstance(outcome, dict), outcome
        result: dict[str, Any] = outcome["result"]
        return result

    async def reserved(self) -> int:
        number: int = (await self.result("epgu.order.create", **META))["order_id"]
        return number

    async def ledger(self, *operations: str) -> list[dict[str, Any]]:
        """Calls that reached the simulator, without those of tokens unless they are asked for."""
        lines: list[dict[str, Any]] = await self.world.admin("GET", "ledger")
        wanted = operations or tuple({line["operation"] for line in lines} - {"token", "renewal"})
        return [line for line in lines if line["operation"] in wanted]


def _call(step: Any) -> Call:
    call: Call = step
    return call


@dataclass
class Parts:
    """What gateways of one test are made of."""

    world: World
    session: aiohttp.ClientSession
    once: aiohttp.ClientSession
    signer: SigningClient
    folder: Path

    @property
    def url(self) -> str:
        return str(self.world.client.make_url("/")).rstrip("/")

    def stand(
        self, profile: Profile = PROFILES["1.12"], *, bounds: Bounds | None = None, esia: str = "", **changes: Any
    ) -> Stand:
        options = EpguOptions(
            url=changes.pop("url", self.url),
            esia=EsiaOptions(
                url=esia or self.url,
                keys=KEYS,
                client_id=epgu_caller.SYSTEM,
                timeout=5,
                renewal=changes.pop("renewal", "v1"),
                redirect_uri=changes.pop("redirect_uri", ""),
            ),
            profiles={**PROFILES, profile.name: profile},
            profile=profile.name,
            timeout=10,
            **changes,
        )
        clock = changes.get("clock")
        assert clock is None
        shelf, limits = TokensInMemory(), LimitsInMemory(bounds or Bounds())
        tokens = Tokens(options.esia, session=self.session, signer=self.signer, shelf=shelf)
        store = FileStore(self.folder / "root")
        files = FilesIn(FilesPolicy(paths=((self.folder / "in").resolve(),)))
        wire = Wire(options, session=self.session, once=self.once)
        operations = Operations(options, door=Door(wire, tokens=tokens, limits=limits), store=store)
        archives = Archives(files=files, store=store, signer=self.signer, sign_key="ov", limit=options.file_limit)
        gateway = EpguGateway(options, operations=operations, archives=archives, shelf=shelf)
        return Stand(self.world, gateway, tokens, limits, store, self.folder / "in")


@contextlib.asynccontextmanager
async def opened(world: World, folder: Path, signing: str) -> AsyncIterator[Parts]:
    (folder / "root").mkdir()
    (folder / "in").mkdir()
    async with make_session(timeout=10) as session, make_session(timeout=10) as once:
        signer = SigningClient(signing, session=session, tokens=tokens_of(world.keys))
        try:
            yield Parts(world, session, once, signer, folder)
        finally:
            await signer.close()
