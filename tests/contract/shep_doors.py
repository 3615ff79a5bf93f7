"""Our own doors for the ШЭП on loopback: what they keep is in memory, signatures are really made and judged."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp.test_utils import TestClient, TestServer

from adapter.gateways.shep import Level, Profile
from adapter.gateways.shep.messages import Message, read
from adapter.gateways.shep.options import Cipher
from adapter.gateways.shep.security import TransportSecurity
from adapter.web.shep import EndpointOptions, ShepEndpoint
from simulators.shep.keys import GATEWAY_BIN, read_pair
from tests.contract.shep_signing import Hand, OwnDesk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.exchange import Answer
    from adapter.incoming import Incoming
    from adapter.signing.kz import KzEngine

#: A service whose messages are encrypted, and one of each level; whatever else is named has the default.
SEALED = "Sealed"
LEVELS = {"Open": Level.NONE, "Gateway": Level.GATEWAY, "Both": Level.BOTH}


class Memory:
    """Arrivals in memory: what was kept, and what upstream says to a synchronous request."""

    def __init__(self) -> None:
        self.incoming: list[Incoming] = []
        self.said: dict[str, Any] = {"status": {"code": "Success", "message": "Есть"}}

    async def take(self, answer: Answer) -> bool:
        raise AssertionError(answer)

    async def receive(self, incoming: Incoming) -> bool:
        self.incoming.append(incoming)
        return True

    async def word(self, incoming: Incoming, seconds: float) -> bytes | None:
        assert incoming in self.incoming
        assert seconds
        return orjson.dumps(self.said)


class Doors:
    """Our endpoint, its memory, and the hands of whoever may call it."""

    def __init__(self, client: TestClient[Any, Any], kept: Memory, desk: OwnDesk, folder: Path) -> None:
        self.client, self.kept, self.desk, self.folder = client, kept, desk, folder
        self.kz = desk.hand.engine

    def url(self, path: str) -> str:
        return str(self.client.make_url(path))

    def hand(self, name: str) -> Hand:
        return Hand(self.kz, self.folder, name)

    async def post(self, path: str, raw: bytes, content_type: str = "text/xml") -> tuple[int, Message]:
        """What is answered: always a readable message."""
        async with self.client.post(path, data=raw, headers={"Content-Type": content_type}) as response:
            return response.status, read(await response.read())


@contextlib.asynccontextmanager
async def opened(kz: KzEngine, folder: Path) -> AsyncIterator[Doors]:
    """``folder`` is that of the parties' keys."""
    signer: Any = OwnDesk(kz, folder)
    cipher = Cipher(read_pair(folder, "gateway").certificate_der, "shep-cipher")
    security = TransportSecurity(signer, key="shep", expected_bin=GATEWAY_BIN, cipher=cipher)
    options = EndpointOptions(
        listen=("127.0.0.1", 1),
        public_url="http://adapter.example.org",
        profile_of=lambda name: Profile(level=LEVELS.get(name or "", Level.BOTH), encrypted=name == SEALED),
        known=lambda name: name in {*LEVELS, SEALED},
        registered=lambda name: name in {*LEVELS, SEALED},
    )
    kept = Memory()
    async with TestClient(TestServer(ShepEndpoint(options, security).app(kept))) as client:
        yield Doors(client, kept, signer, folder)
