"""A gateway that answers by script, a signer that only pretends, and sample messages written for these tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from adapter.gateways.smev3.messages import Names
from adapter.xml.parser import parse
from adapter.xml.signature import SignatureVerdict

if TYPE_CHECKING:
    from adapter.exchange import Answer

NAMES = Names.of("1.2")
MESSAGE_ID = "8ac9a002-c751-11eb-bc0d-001a4a165f5b"
ORIGINAL_ID = "681e6b22-c751-11eb-b66e-218eae1a9246"
CONTENT = '<z:Answer xmlns:z="urn:zoo" kind="бобёр"><z:name>Пётр</z:name></z:Answer>'

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class StubSigned:
    signature: bytes
    certificate_sha256: str


@dataclass
class StubSigner:
    """Signs with an empty shell of a signature; verifies to whatever the test wants."""

    verdicts: list[SignatureVerdict] = field(default_factory=lambda: [verdict()])
    failure: Exception | None = None
    verify_failure: Exception | None = None
    signed: list[tuple[str, bytes]] = field(default_factory=list)
    verified: list[bytes] = field(default_factory=list)

    async def sign_xml(self, xml: bytes, *, key: str) -> StubSigned:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.signed.append((key, xml))
        reference = parse(xml).get("Id", "")
        return StubSigned(
            f'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>'
            f'<ds:Reference URI="#{reference}">'
            f"</ds:Reference></ds:SignedInfo><ds:SignatureValue>{key}</ds:SignatureValue></ds:Signature>".encode(),
            f"sha-of-{key}",
        )

    async def verify_xml(self, message: bytes) -> list[SignatureVerdict]:
        await asyncio.sleep(0)
        self.verified.append(message)
        if self.verify_failure is not None:
            raise self.verify_failure
        return self.verdicts


def verdict(**changes: object) -> SignatureVerdict:
    """Return the verdict on a good SMEVSignature, with ``changes``."""
    facts: dict[str, object] = {
        "reference": "#SIGNED_BY_SMEV",
        "element": NAMES.type("Response"),
        "parent": NAMES.type("SMEVSignature"),
        "math": True,
        "reason": "",
        "algorithm": "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256",
        "certificate": b"certificate",
        "trust": "trusted",
        "period": "valid",
        "revocation": "unchecked",
    }
    return SignatureVerdict(**(facts | changes))  # type: ignore[arg-type]


@dataclass
class Received:
    operation: str
    content_type: str
    body: bytes


class ScriptedGateway:
    """Plays its scripts in order; afterwards says what ``otherwise`` says."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.scripts: list[Script] = []
        self.otherwise: Script = xml_answer(envelope("<t:GetResponseResponse/>"))
        self.released = asyncio.Event()
        self._changed = asyncio.Condition()
        self.endpoint = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation = request.headers["SOAPAction"].strip('"').removeprefix("urn:")
        script = self.scripts.pop(0) if self.scripts else self.otherwise
        async with self._changed:
            self.received.append(Received(operation, request.headers["Content-Type"], body))
            self._changed.notify_all()
        return await script(request)

    async def saw(self, condition: Callable[[list[Received]], bool]) -> None:
        """Return when what was received fulfils ``condition``."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: condition(self.received))

    def operations(self) -> list[str]:
        return [received.operation for received in self.received]

    async def hang(self, _request: web.Request) -> web.StreamResponse:
        await self.released.wait()
        return web.Response()


class RecordingIntake:
    """Takes answers as the test wants and tells when it did."""

    def __init__(self, *, durable: bool = True, failure: Exception | None = None) -> None:
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.durable = durable
        self.failure = failure

    async def take(self, answer: Answer) -> bool:
        await self.answers.put(answer)
        if self.failure is not None:
            raise self.failure
        return self.durable

    async def next(self) -> Answer:
        return await asyncio.wait_for(self.answers.get(), 10)


def envelope(inner: str) -> bytes:
    """Return a SOAP envelope as the gateway writes it; prefixes t, b and f are declared."""
    return (
        f'<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:t="{NAMES.types}"'
        f' xmlns:b="{NAMES.basic}" xmlns:f="{NAMES.faults}"><soap:Body>{inner}</soap:Body></soap:Envelope>'
    ).encode()


def delivery(choice: str, *, response_id: str = "SIGNED_BY_SMEV", original: str = ORIGINAL_ID) -> bytes:
    """Return GetResponseResponse with ``choice`` in SenderProvidedResponseData."""
    reference = f"<t:OriginalMessageId>{original}</t:OriginalMessageId>" if original else ""
    return envelope(
        f'<t:GetResponseResponse><t:ResponseMessage><t:Response Id="{response_id}">{reference}'
        f'<t:SenderProvidedResponseData Id="SIGNED_BY_CALLER"><t:MessageID>{MESSAGE_ID}</t:MessageID><t:To>e30=</t:To>'
        f"{choice}</t:SenderProvidedResponseData><t:MessageMetadata><t:MessageId>{MESSAGE_ID}</t:MessageId>"
        "<t:MessageType>RESPONSE</t:MessageType><t:SendingTimestamp>2026-11-21T10:00:00.000+03:00</t:SendingTimestamp>"
        "</t:MessageMetadata></t:Response><t:SMEVSignature><ds:Signature "
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature></t:SMEVSignature></t:ResponseMessage>'
        "</t:GetResponseResponse>"
    )


def business_answer(content: str = CONTENT) -> bytes:
    return delivery(f"<b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>")


def acceptance(message_id: str) -> bytes:
    return envelope(
        f'<t:SendRequestResponse><t:MessageMetadata Id="SIGNED_BY_SMEV"><t:MessageId>{message_id}</t:MessageId>'
        "<t:MessageType>REQUEST</t:MessageType><t:SendingTimestamp>2026-11-21T10:00:00.000+03:00</t:SendingTimestamp>"
        "<t:Status>requestIsQueued</t:Status></t:MessageMetadata></t:SendRequestResponse>"
    )


def soap_fault(
    kind: str = "", *, description: str = "", code: str = "core:1", faultcode: str = "soap:Server", extra: str = ""
) -> bytes:
    """Return a SOAP Fault; ``kind`` is the class in its detail, none when empty."""
    words = f"<b:Code>{code}</b:Code><b:Description>{description}</b:Description>" if description else ""
    detail = f"<detail><f:{kind}>{words}{extra}</f:{kind}></detail>" if kind else ""
    return envelope(
        f"<soap:Fault><faultcode>{faultcode}</faultcode><faultstring>строка отказа</faultstring>{detail}</soap:Fault>"
    )


def xml_answer(body: bytes, *, status: int = 200, content_type: str = "text/xml; charset=utf-8") -> Script:
    async def script(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0)
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    return script


def truncated(body: bytes) -> Script:
    """Promise more bytes than are sent, then close."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml", "Content-Length": str(len(body) + 100)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return script


async def reset_after_headers(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/xml", "Content-Length": "1000"})
    await response.prepare(request)
    assert request.transport is not None
    request.transport.abort()
    return response


async def reset_before_answer(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
