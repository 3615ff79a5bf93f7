"""The СМЭВ3 simulator over real HTTP on a free loopback port, with a caller and a clock: fixtures for its tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lxml import etree

from tests.contract.smev3_caller import NAMES, message_id

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from tests.contract.smev3_caller import Caller, Clock


@dataclass
class Reply:
    """What came back over HTTP."""

    status: int
    content_type: str
    body: bytes
    tree: etree._Element | None = field(default=None)

    def __post_init__(self) -> None:
        if self.content_type == "text/xml" and self.body:
            self.tree = etree.fromstring(self.body)

    def text(self, path: str) -> str | None:
        """Text of the first element at ``path``, with the prefixes of NAMES."""
        assert self.tree is not None
        found = self.tree.find(path, NAMES)
        return None if found is None else "".join(map(str, found.itertext()))

    def fault(self) -> str | None:
        """Local name of the fault in soap:Fault/detail, ``soap:Client`` and the like for a bare one, else ``None``."""
        if self.tree is None or self.tree.find(".//s:Fault", NAMES) is None:
            return None
        detail = self.tree.find(".//s:Fault/detail", NAMES)
        return self.text(".//s:Fault/faultcode") if detail is None else etree.QName(detail[0]).localname

    def finding(self) -> str | None:
        """The enumerated value inside a SignatureVerificationFault."""
        return self.text(".//f:SignatureVerificationFault/f:SignatureVerificationFault")


class World:
    """A running simulator with its clock and a caller that is registered there."""

    def __init__(self, client: TestClient[web.Request, web.Application], caller: Caller, clock: Clock) -> None:
        self.client = client
        self.caller = caller
        self.clock = clock

    def fresh(self) -> str:
        """A MessageID of now."""
        return message_id(self.clock.now)

    async def post(self, message: bytes, **headers: str) -> Reply:
        """Post a SOAP message as it is."""
        sent = {"Content-Type": "text/xml; charset=utf-8", **headers}
        async with self.client.post("/smev/v1.2/ws", data=message, headers=sent) as response:
            return Reply(response.status, response.content_type, await response.read())

    async def send(self, business: str, identifier: str | None = None, **parts: Any) -> str:
        """Send a request that has to be accepted; returns its MessageID."""
        identifier = identifier or self.fresh()
        reply = await self.post(self.caller.send_request(business, identifier, **parts))
        assert reply.status == 200, reply.body.decode()
        return identifier

    async def poll(self, **selector: Any) -> Reply:
        """Ask for the next answer."""
        return await self.post(self.caller.get_response(**selector))

    async def ack(self, reply: Reply) -> Reply:
        """Confirm the answer in ``reply``."""
        return await self.post(self.caller.ack(reply.text(".//t:MessageMetadata/t:MessageId") or ""))

    async def scenario(self, **rule: Any) -> int:
        """Switch something on; returns the rule's number."""
        async with self.client.post("/_sim/scenario", json=rule) as response:
            assert response.status == 201, await response.text()
            number: int = (await response.json())["id"]
            return number

    async def admin(self, name: str) -> Any:
        """GET /_sim/name."""
        async with self.client.get(f"/_sim/{name}") as response:
            assert response.status == 200
            return await response.json()

    async def draft(self, request_id: str, status: str = "DRAFT") -> None:
        """Store a debt request in ГИС ЖКХ."""
        async with self.client.post("/_sim/drafts", json={"request_id": request_id, "status": status}) as response:
            assert response.status == 201
