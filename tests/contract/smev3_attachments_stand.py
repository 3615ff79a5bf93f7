"""The stand of attachments: gateway, sources and file storage of one simulator, with a store of our own."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapter.exchange import Accepted, Attachment, Call
from adapter.files import FilesIn, FilesPolicy, FileStore, FtpFiles
from adapter.gateways.smev3 import Incoming, Outgoing, Smev3Gateway, Smev3RequestSource, Smev3Source
from adapter.gateways.smev3.options import observe_nothing
from tests.contract.smev3_stand import SEND_REQUEST, Intake, Stand
from tests.contract.smev3_worlds import ZOO, ZOO_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from adapter.exchange import Prepared
    from adapter.gateways.smev3 import Observe, ProvidedRequest, Smev3Options

PROVIDER = "ov512"


class Desk:
    """Takes requests and remembers them."""

    def __init__(self) -> None:
        self._requests: asyncio.Queue[ProvidedRequest] = asyncio.Queue()
        self.durable = True

    async def take(self, request: ProvidedRequest) -> bool:
        await self._requests.put(request)
        return self.durable

    def empty(self) -> bool:
        return self._requests.empty()

    async def next(self) -> ProvidedRequest:
        return await asyncio.wait_for(self._requests.get(), 20)


@dataclass
class Files:
    """What both ends need to move attachments; ``folder`` may be named by commands, ``root`` holds what came."""

    stand: Stand
    folder: Path
    root: Path

    def outgoing(self, options: Smev3Options) -> Outgoing:
        policy = FilesPolicy(paths=(self.folder.resolve(),))
        return Outgoing(options, signer=self.stand.signer, files=FilesIn(policy), ftp=FtpFiles(timeout=5))

    def incoming(self, options: Smev3Options, ftp: FtpFiles | None = None) -> Incoming:
        """Each has a store of its own, as another process would."""
        ftp = ftp or FtpFiles(timeout=5)
        return Incoming(options, signer=self.stand.signer, store=FileStore(self.root), ftp=ftp)

    def options(self, **changes: Any) -> Smev3Options:
        return replace(self.stand.options, **changes)

    def gateway(self, **changes: Any) -> Smev3Gateway:
        options = self.options(**changes)
        stand = self.stand
        return Smev3Gateway(
            options, session=stand.session, signer=stand.signer, outgoing=self.outgoing(options), clock=stand.clock
        )

    async def prepared(self, *attachments: Attachment, official: bool = False, **changes: Any) -> Prepared:
        call = Call("smev3", SEND_REQUEST, ZOO.encode(), official=official, attachments=attachments)
        return await self.gateway(**changes).prepare(call)

    async def ask(self, *attachments: Attachment, **changes: Any) -> Prepared:
        """Send a request; it has to be accepted."""
        prepared = await self.prepared(*attachments, **changes)
        sent = await self.gateway().send(prepared, earlier_attempts=0)
        assert isinstance(sent, Accepted), sent
        return prepared

    @contextlib.asynccontextmanager
    async def answers(self, **changes: Any) -> AsyncIterator[Intake]:
        """Run the consumer's source."""
        options, intake = self.options(**changes), Intake()
        source = Smev3Source(
            options, session=self.stand.session, signer=self.stand.signer, incoming=self.incoming(options)
        )
        async with running(source.run(intake)):
            yield intake

    @contextlib.asynccontextmanager
    async def requests(self, *, ftp: FtpFiles | None = None, observe: Observe = observe_nothing) -> AsyncIterator[Desk]:
        """Run the provider's source."""
        options, desk = self.options(system_key=PROVIDER), Desk()
        source = Smev3RequestSource(
            options,
            session=self.stand.session,
            signer=self.stand.signer,
            incoming=self.incoming(options, ftp),
            observe=observe,
        )
        async with running(source.run(desk)):
            yield desk

    async def put(self, *attachments: dict[str, Any]) -> dict[str, Any]:
        """Put a request for the provider into its queue, with attachments made by the simulator."""
        wanted = {"content": ZOO, "recipient": PROVIDER, "version": self.stand.options.version}
        return await self.tell("incoming", attachments=attachments, **wanted)

    async def tell(self, what: str, **wanted: Any) -> dict[str, Any]:
        """Post to the simulator's side door."""
        async with self.stand.session.post(f"{self.stand.url}/_sim/{what}", json=wanted) as response:
            assert response.status in (200, 201, 204), await response.text()
            told: dict[str, Any] = await response.json(content_type=None) or {}
            return told

    def left(self) -> list[str]:
        """What stands unfinished in the store."""
        return [path.name for path in (self.root / "incoming").glob("*")]


async def open_files(stand: Stand, folder: Path) -> Files:
    """Files of a stand, its file storage and the type of these tests being known."""
    port = (await stand.told("health"))["ftp"]
    stand.options = replace(stand.options, ftp_port=port)
    for name in ("given", "kept"):
        (folder / name).mkdir()
    files = Files(stand, folder / "given", folder / "kept")
    await files.tell("types", **ZOO_TYPE)
    return files


@contextlib.asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
