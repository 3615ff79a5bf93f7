"""The СМЭВ3 simulator over real HTTP on a free loopback port, with a caller and a clock: fixtures for its tests."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lxml import etree

from adapter.xml.multipart import soap_message
from adapter.xml.parser import XmlError
from tests.contract.smev3_caller import NAMES, message_id
from tests.contract.smev3_probes import namespaces

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from tests.contract.smev3_caller import Caller, Clock


_OPERATION = re.compile(rb"[<:](\w+)Request[ >]")


@dataclass
class Reply:
    """What came back over HTTP."""

    status: int
    content_type: str
    body: bytes
    tree: etree._Element | None = field(default=None)
    version: str = "1.2"

    def __post_init__(self) -> None:
        if self.content_type == "text/xml" and self.body:
            self.tree = etree.fromstring(self.body)
        elif self.content_type == "multipart/related":
            with contextlib.suppress(XmlError):  # a part is missing: the test looks at the bytes
                self.tree = etree.fromstring(soap_message(self.body))

    @property
    def names(self) -> dict[str, str]:
        """NAMES, with the namespaces of the version spoken."""
        return NAMES | namespaces(self.version)

    def text(self, path: str) -> str | None:
        """Text of the first element at ``path``, with the prefixes of NAMES."""
        assert self.tree is not None
        found = self.tree.find(path, self.names)
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
        """Post a SOAP message as it is, with the SOAPAction of the operation it names."""
        named = _OPERATION.findall(message)
        action = f'"urn:{named[-1].decode()}"' if named else ""
        sent = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": action, **headers}
        version = self.caller.version
        async with self.client.post(f"/smev/v{version}/ws", data=message, headers=sent) as response:
            return Reply(response.status, response.content_type, await response.read(), version=version)

    async def send(self, business: str, identifier: str | None = None, **parts: Any) -> str:
        """Send a request that has to be accepted; returns its MessageID."""
        identifier = identifier or self.fresh()
        reply = await self.post(self.caller.send_request(business, identifier, **parts))
        assert reply.status == 200, reply.body.decode()
        return identifier

    async def poll(self, **selector: Any) -> Reply:
        """Ask for the next answer."""
        return await self.post(self.caller.get_response(**selector))

    async def take(self, **selector: Any) -> Reply:
        """Ask for the next request, as a provider."""
        return await self.post(self.caller.get_request(**selector))

    async def say(self, to: str, word: str, identifier: str | None = None, **parts: Any) -> Reply:
        """Answer a request, as a provider."""
        return await self.post(self.caller.send_response(to, identifier or self.fresh(), word, **parts))

    async def put(self, **wanted: Any) -> dict[str, Any]:
        """Put a request into a queue by hand, as if another system had sent it."""
        async with self.client.post("/_sim/incoming", json=wanted) as response:
            assert response.status == 201, await response.text()
            told: dict[str, Any] = await response.json()
            return told

    async def set(self, **settings: float) -> None:
        """Change a setting."""
        async with self.client.post("/_sim/settings", json=settings) as response:
            assert response.status == 204, await response.text()

    async def ack(self, reply: Reply) -> Reply:
        """Confirm the message in ``reply``."""
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
