"""A caller of the СМЭВ3 simulator made for these tests: it knows nothing of the adapter's gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from adapter.signing.certificates import certificates_of
from adapter.xml.signature import sign_element

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adapter.signing.gost import GostEngine

ROOT = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types"
TYPES = f"{ROOT}/1.2"
BASIC = f"{ROOT}/basic/1.2"
FAULTS = f"{ROOT}/faults/1.2"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
DEBT_REQUESTS = "urn:dom.gosuslugi.ru/debt-requests/1.0.0"
COMMON = "urn:dom.gosuslugi.ru/common/1.2.0"
NAMES = {
    "s": SOAP,
    "t": TYPES,
    "b": BASIC,
    "f": FAULTS,
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "dr": DEBT_REQUESTS,
    "c": COMMON,
}

_GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that stands until a test moves it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def message_id(at: datetime) -> str:
    """A UUID of version 1 with the time ``at`` in it."""
    ticks = (at - _GREGORIAN) // timedelta(microseconds=1) * 10 + uuid4().int % 10
    high = (ticks >> 48) & 0x0FFF | 0x1000
    clock = uuid4().int & 0x3FFF | 0x8000
    node = uuid4().int & 0xFFFFFFFFFFFF | 0x010000000000
    return str(UUID(int=(ticks & 0xFFFFFFFF) << 96 | (ticks >> 32 & 0xFFFF) << 80 | high << 64 | clock << 48 | node))


REQUEST_DATA = (
    "<dr:request-data><dr:applicant-info><dr:firstname>Пётр</dr:firstname><dr:lastname>Тестов</dr:lastname>"
    "<dr:snils>11111111145</dr:snils><dr:document><dr:type>1</dr:type><dr:series>1234</dr:series>"
    "<dr:number>123456</dr:number></dr:document></dr:applicant-info><dr:housing-fund-object>"
    "<dr:house-id>e786b770-28e6-4557-8dde-86e8e347587e</dr:house-id><dr:address-details>кв. 5</dr:address-details>"
    "</dr:housing-fund-object><dr:executor-id>df82b6d8-66d8-11eb-ae93-0242ac130002</dr:executor-id></dr:request-data>"
)


def action(
    kind: str = "SEND", *, request_id: str | None = None, data: str = "", transport_id: str | None = None
) -> str:
    """One action of a debt request message."""
    known = "" if request_id is None else f"<dr:request-id>{request_id}</dr:request-id>"
    return (
        f"<dr:action><dr:transport-id>{transport_id or uuid4()}</dr:transport-id>{known}"
        f"<dr:action-type>{kind}</dr:action-type>{data}</dr:action>"
    )


def debt_requests(*actions: str, identifier: str = "") -> str:
    """A business root with ``actions``."""
    known = f' Id="{identifier}"' if identifier else ""
    return (
        f'<dr:ImportDebtRequestsRequest xmlns:dr="{DEBT_REQUESTS}" xmlns:c="{COMMON}"{known}>'
        "<c:information-system-id>35a823b4-55da-4622-a561-6bae5c0a00ba</c:information-system-id>"
        "<c:organization-id>6eef689e-48bb-4eb0-9c11-18b6db9909b7</c:organization-id>"
        f"{''.join(actions)}</dr:ImportDebtRequestsRequest>"
    )


@dataclass
class Caller:
    """An information system with a key of its own, which speaks one version."""

    gost: GostEngine
    keys: Path
    name: str = "ov"
    version: str = "1.2"
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def types(self) -> str:
        """Declarations of the prefixes t and b."""
        return f'xmlns:t="{ROOT}/{self.version}" xmlns:b="{ROOT}/basic/{self.version}"'

    def sign(self, element: str, *, by: str | None = None) -> str:
        """ds:Signature over the root of ``element``."""
        name = by or self.name
        key = self.gost.load_key((self.keys / f"{name}.key.pem").read_bytes())
        return sign_element(element.encode(), self.gost, key, self.certificate(name), self.gost.key_bits(key)).decode()

    def sign_file(self, data: bytes, *, by: str | None = None) -> bytes:
        """Detached PKCS#7 over ``data``."""
        name = by or self.name
        key = self.gost.load_key((self.keys / f"{name}.key.pem").read_bytes())
        return self.gost.sign_cms(key, self.certificate(name), data)

    def certificate(self, name: str | None = None) -> bytes:
        """DER of the certificate of a key."""
        return certificates_of((self.keys / f"{name or self.name}.crt.pem").read_bytes())[0]

    def send_request(
        self,
        business: str,
        identifier: str,
        *,
        head: str = "",
        tail: str = "",
        by: str | None = None,
        contents: str = "",
    ) -> bytes:
        """A signed SendRequest; ``head`` stands before the content, ``tail`` after it, ``contents`` outside."""
        data = (
            f'<t:SenderProvidedRequestData {self.types} Id="SIGNED_BY_CONSUMER">'
            f"<t:MessageID>{identifier}</t:MessageID>{head}"
            f"<b:MessagePrimaryContent>{business}</b:MessagePrimaryContent>{tail}</t:SenderProvidedRequestData>"
        )
        return self.envelope("SendRequest", data, by=by, beside=contents)

    def send_response(self, to: str, identifier: str, word: str, *, contents: str = "") -> bytes:
        """A signed SendResponse that says ``word``."""
        data = (
            f'<t:SenderProvidedResponseData {self.types} Id="SIGNED_BY_PROVIDER">'
            f"<t:MessageID>{identifier}</t:MessageID><t:To>{to}</t:To>{word}</t:SenderProvidedResponseData>"
        )
        return self.envelope("SendResponse", data, beside=contents)

    def get_response(self, *, node: str = "", names: tuple[str, str] | None = None) -> bytes:
        """A signed GetResponse; ``names`` are NamespaceURI and RootElementLocalName."""
        return self.envelope("GetResponse", self.selector(node, names))

    def get_request(self, *, node: str = "", names: tuple[str, str] | None = None) -> bytes:
        """A signed GetRequest; ``names`` are NamespaceURI and RootElementLocalName."""
        return self.envelope("GetRequest", self.selector(node, names))

    def selector(self, node: str = "", names: tuple[str, str] | None = None, *, at: str = "") -> str:
        """A MessageTypeSelector of now, or of ``at``."""
        selected = ""
        if names is not None:
            selected = f"<b:NamespaceURI>{names[0]}</b:NamespaceURI>"
            selected += f"<b:RootElementLocalName>{names[1]}</b:RootElementLocalName>"
        of_node = f"<b:NodeID>{node}</b:NodeID>" if node else ""
        return (
            f'<b:MessageTypeSelector {self.types} Id="SIGNED_BY_CALLER">{selected}'
            f"<b:Timestamp>{at or self.clock().isoformat()}</b:Timestamp>{of_node}</b:MessageTypeSelector>"
        )

    def get_response_to(self, original: str) -> bytes:
        """A signed GetResponse that asks for the answer to one request."""
        return self.envelope(
            "GetResponse", f'<t:OriginalMessageID {self.types} Id="SIGNED_BY_CALLER">{original}</t:OriginalMessageID>'
        )

    def timestamp(self, *, at: str = "") -> str:
        """A Timestamp of now, or of ``at``, to be signed."""
        return f'<b:Timestamp {self.types} Id="SIGNED_BY_CALLER">{at or self.clock().isoformat()}</b:Timestamp>'

    def get_status(self) -> bytes:
        """A signed GetStatus."""
        return self.envelope("GetStatus", self.timestamp())

    def get_statistics(self, *, node: str = "") -> bytes:
        """A signed GetIncomingQueueStatistics."""
        of_node = f"<t:NodeID>{node}</t:NodeID>" if node else ""
        return self.envelope("GetIncomingQueueStatistics", self.timestamp(), ahead=of_node)

    def ack(self, identifier: str, *, accepted: str = "true") -> bytes:
        """A signed Ack."""
        return self.envelope(
            "Ack",
            f'<b:AckTargetMessage {self.types} Id="SIGNED_BY_CALLER" accepted="{accepted}">{identifier}'
            "</b:AckTargetMessage>",
        )

    def envelope(
        self, operation: str, signed: str, *, by: str | None = None, ahead: str = "", beside: str = ""
    ) -> bytes:
        """``signed`` with its signature in the envelope of ``operation``, other elements around it."""
        return (
            f'<s:Envelope xmlns:s="{SOAP}"><s:Header/><s:Body><t:{operation}Request {self.types}>{ahead}{signed}'
            f"{beside}<t:CallerInformationSystemSignature>{self.sign(signed, by=by)}"
            f"</t:CallerInformationSystemSignature></t:{operation}Request></s:Body></s:Envelope>"
        ).encode()
