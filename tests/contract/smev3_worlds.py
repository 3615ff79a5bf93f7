"""A simulator's world per version of the service: two systems that know each other."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from adapter.paths import SCHEMAS
from adapter.xml.schema import Schema

if TYPE_CHECKING:
    from tests.contract.smev3_world import Reply, World

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "smev3"
XS = "{http://www.w3.org/2001/XMLSchema}"
ZOO = '<z:Zoo xmlns:z="urn:zoo/1.0.0" Id="BUSINESS"><z:animal>слон</z:animal></z:Zoo>'
ZOO_ANSWER = '<z:ZooAnswer xmlns:z="urn:zoo/1.0.0"><z:age>7</z:age></z:ZooAnswer>'
ZOO_TYPE = {"namespace": "urn:zoo/1.0.0", "request_root": "Zoo", "response_root": "ZooAnswer", "provider": "ov512"}
CONTENT = f"<b:MessagePrimaryContent>{ZOO_ANSWER}</b:MessagePrimaryContent>"
OWN = ".//t:MessageMetadata/t:MessageId"
ORIGINAL = ".//t:Response/t:OriginalMessageId"


@cache
def published(version: str) -> etree.XMLSchema | None:
    """The reference schema, where it is there."""
    folder = REFERENCE / "wsdl" / version
    if not folder.is_dir():
        return None
    root = etree.Element(f"{XS}schema")
    for path in sorted(folder.glob("smev-*.xsd")):
        target = etree.parse(path).getroot().get("targetNamespace", "")
        etree.SubElement(root, f"{XS}import", namespace=target, schemaLocation=str(path))
    return etree.XMLSchema(root)


@cache
def ours(version: str) -> Schema:
    return Schema.load(SCHEMAS / "smev3" / version / "service.xsd")


def body_of(reply: Reply) -> etree._Element:
    """The child of soap:Body, or the fault's detail."""
    assert reply.tree is not None
    body = reply.tree.find("s:Body", reply.names)
    assert body is not None
    detail = body.find("s:Fault/detail", reply.names)
    return body[0] if detail is None else detail[0]


def valid(reply: Reply) -> Reply:
    """``reply``, which both schemas have to find valid."""
    alone = etree.fromstring(etree.tostring(body_of(reply), with_tail=False))
    assert ours(reply.version).check(alone) == []
    schema = published(reply.version)
    if schema is not None:
        schema.assertValid(etree.ElementTree(alone))
    return reply


class Both:
    """A consumer (``ov``) and a provider (``ov512``) of one simulator."""

    def __init__(self, consumer: World, provider: World) -> None:
        self.consumer = consumer
        self.provider = provider

    async def register(self, **changes: object) -> None:
        """Register the type of these tests for the provider."""
        async with self.consumer.client.post("/_sim/types", json=ZOO_TYPE | changes) as response:
            assert response.status == 201, await response.text()

    async def taken(self, **parts: str) -> tuple[str, Reply]:
        """Send a request and let the provider take it; returns its id and the delivery."""
        identifier = await self.consumer.send(ZOO, **parts)
        delivery = await self.provider.take()
        assert delivery.text(OWN) == identifier
        return identifier, delivery
