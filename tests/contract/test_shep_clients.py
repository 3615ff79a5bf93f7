"""zeep and suds-community, by the operator's WSDLs and by ours, exchange with the simulator: all seven operations."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import suds.client
import suds.plugin
import zeep
import zeep.exceptions
import zeep.helpers
from lxml import etree
from suds.sax.text import Raw

from adapter.paths import SCHEMAS
from adapter.xml.wssecurity import SOAP, WSSE, WSU, verify_envelope
from tests.contract.shep_samples import SESSION
from tests.contract.shep_stand import ADAPTER, Stand

if TYPE_CHECKING:
    from tests.contract.shep_signing import Hand

pytest_plugins = ("tests.contract.shep_fixtures",)

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "shep" / "wsdl" / "nitec-shep-service"
WSDLS = {
    "operator": {
        "sync": REFERENCE / "SyncChannel/v10/Interfaces/SyncChannelHttp_Service.wsdl",
        "async": REFERENCE / "AsyncChannel/v10/Interfaces/AsyncChannelHttp_Service.wsdl",
        "client": REFERENCE / "AsyncChannel/v10/Interfaces/AsyncChannelClientHttp_Service.wsdl",
    },
    "ours": {port: SCHEMAS / "shep" / f"{port}.wsdl" for port in ("sync", "async", "client")},
}
PATHS = {"sync": "/shep/sync", "async": "/shep/async", "client": "/party/client"}


def signed(message: etree._Element, hand: Hand) -> etree._Element:
    """Sign the Body, as a plugin of any SOAP stack would; ``message`` is changed."""
    soap = message.find(f"{{{SOAP}}}Body")
    header = message.find(f"{{{SOAP}}}Header")
    assert soap is not None
    soap.set(f"{{{WSU}}}Id", "id-of-the-stack")
    if header is None:
        header = etree.Element(f"{{{SOAP}}}Header")
        message.insert(0, header)
    security = etree.SubElement(header, f"{{{WSSE}}}Security")
    security.append(etree.fromstring(hand.signature(etree.tostring(soap, with_tail=False))))
    return message


class Stack(Protocol):
    """A SOAP client: answers are plain dicts, lists and texts."""

    def call(self, operation: str, request: dict[str, Any]) -> Any: ...


class _ZeepPlugin(zeep.Plugin):
    def __init__(self, hand: Hand, seen: list[bytes]) -> None:
        self.hand, self.seen = hand, seen

    def egress(self, envelope: Any, http_headers: Any, operation: Any, binding_options: Any) -> Any:
        return signed(envelope, self.hand), http_headers

    def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> Any:
        self.seen.append(etree.tostring(envelope))
        return envelope, http_headers


class Zeep:
    """zeep, strict: an answer that does not fit the WSDL is an error."""

    def __init__(self, wsdl: str, url: str, hand: Hand, seen: list[bytes]) -> None:
        self.client = zeep.Client(wsdl, plugins=[_ZeepPlugin(hand, seen)])
        (binding,) = self.client.wsdl.bindings
        self.service = self.client.create_service(binding, url)

    def call(self, operation: str, request: dict[str, Any]) -> Any:
        return zeep.helpers.serialize_object(self.service[operation](request=request), dict)


class _SudsPlugin(suds.plugin.MessagePlugin):
    def __init__(self, hand: Hand, seen: list[bytes]) -> None:
        self.hand, self.seen = hand, seen

    def sending(self, context: Any) -> None:
        context.envelope = etree.tostring(signed(etree.fromstring(context.envelope), self.hand))

    def received(self, context: Any) -> None:
        self.seen.append(bytes(context.reply))


class Suds:
    """suds-community."""

    def __init__(self, wsdl: str, url: str, hand: Hand, seen: list[bytes]) -> None:
        plugin = _SudsPlugin(hand, seen)
        self.client = suds.client.Client(wsdl, location=url, plugins=[plugin], cache=None, timeout=60)

    def call(self, operation: str, request: dict[str, Any]) -> Any:
        return _plain(getattr(self.client.service, operation)(_raw(request)))


def _raw(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _raw(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    return Raw(value) if isinstance(value, str) and value.startswith("<") else value


def _plain(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_plain(item) for item in answer]
    if hasattr(answer, "__keylist__"):
        return {name: _plain(getattr(answer, name)) for name in answer.__keylist__}
    return answer if isinstance(answer, datetime | int) or answer is None else str(answer)


STACKS: dict[str, Any] = {"zeep": Zeep, "suds": Suds}
FAULTS = (zeep.exceptions.Fault, suds.WebFault)


class Pair:
    """One stack with its three clients, and what they received."""

    def __init__(self, stand: Stand, clients: dict[str, Stack], seen: list[bytes]) -> None:
        self.stand, self.clients, self.seen = stand, clients, seen

    async def call(self, port: str, operation: str, **request: Any) -> Any:
        return await asyncio.to_thread(self.clients[port].call, operation, request)


@pytest.fixture(params=[(stack, origin) for stack in STACKS for origin in WSDLS], ids="-".join)
async def pair(stand: Stand, request: pytest.FixtureRequest) -> Pair:
    stack, origin = request.param
    if not all(path.is_file() for path in WSDLS[origin].values()):
        pytest.skip("the operator's WSDLs (../shared) are not on this machine")
    seen: list[bytes] = []
    clients = {
        port: await asyncio.to_thread(STACKS[stack], path.as_uri(), stand.url(PATHS[port]), stand.hand("shep"), seen)
        for port, path in WSDLS[origin].items()
    }
    return Pair(stand, clients, seen)


def now() -> datetime:
    return datetime.now(UTC)


SENDER = {"senderId": ADAPTER["sender_id"], "password": ADAPTER["password"]}


async def test_a_synchronous_request_is_answered(pair: Pair) -> None:
    info = {"messageId": "m1", "serviceId": "SyncEcho", "messageDate": now(), "sender": SENDER}
    answer = await pair.call("sync", "SendMessage", requestInfo=info, requestData={"data": "<a>1</a>"})
    assert answer["responseInfo"]["status"]["code"] == "SCSS001"
    assert answer["responseData"]["data"] is not None
    assert verify_envelope(pair.seen[-1], pair.stand.kz).math


async def test_the_asynchronous_channel_is_walked_to_its_end(pair: Pair) -> None:
    info = {"serviceId": "AsyncEcho", "messageType": "REQUEST", "messageDate": now(), "sender": SENDER}
    receipt = await pair.call("async", "sendMessage", messageInfo=info, messageData={"data": "<a>1</a>"})
    await pair.stand.until("/_sim/messages", lambda found: len(found) == 2)
    told = await pair.call(
        "async", "getMessageStatus", messageId=receipt["messageId"], requestDate=now(), sender=SENDER
    )
    assert told["messageState"] == "DELIVERED"
    fetched = await pair.call("async", "getMessages", serviceId="AsyncEcho", sender=SENDER, amount=5)
    (message,) = fetched["messages"]
    assert message["messageInfo"]["correlationId"] == receipt["correlationId"]
    delivery = {"receiveStatus": "MESSAGE_ACCEPTED", "statusDate": now(), "resendMessage": "NOT_RESEND"}
    notification = {
        "messageId": message["messageInfo"]["messageId"],
        "serviceId": "AsyncEcho",
        "notificationDate": now(),
        "deliveryStatus": delivery,
    }
    noted = await pair.call(
        "async", "sendDeliveryNotification", notification=notification, requestDate=now(), sender=SENDER
    )
    assert noted["notificationId"]


async def test_a_participant_is_told(pair: Pair) -> None:
    info = {
        "messageId": "216386080",
        "correlationId": "3226347",
        "serviceId": "AsyncEcho",
        "messageType": "RESPONSE",
        "messageDate": now(),
        "sender": {"senderId": "other"},
    }
    receipt = await pair.call("client", "sendMessage", messageInfo=info, messageData={"data": "<a/>"})
    assert (receipt["messageId"], receipt["correlationId"]) == ("216386080", "3226347")
    notification = {
        "notificationId": "n1",
        "messageId": "216386080",
        "notificationDate": now(),
        "messageState": "DELIVERED",
        "status": {"statusCode": "1", "statusMessage": "m", "statusDate": now()},
    }
    answer = await pair.call(
        "client",
        "changeMassageStatusNotification",
        notification=notification,
        requestDate=now(),
        sessionId=SESSION,
    )
    assert answer["sessionId"] == SESSION


async def test_a_fault_is_one_of_the_contract(pair: Pair) -> None:
    info = {"serviceId": "AsyncEcho", "messageType": "RESPONSE", "messageDate": now(), "sender": SENDER}
    with pytest.raises(FAULTS) as caught:
        await pair.call("async", "sendMessage", messageInfo=info, messageData={"data": "<a/>"})
    assert "цепочки" in str(caught.value)


@pytest.mark.parametrize("name", STACKS)
async def test_the_wsdl_that_the_simulator_serves_is_enough(stand: Stand, name: str) -> None:
    url = stand.url("/shep/sync")
    client = await asyncio.to_thread(STACKS[name], f"{url}?wsdl", url, stand.hand("shep"), [])
    info = {"messageId": "m1", "serviceId": "SyncEcho", "messageDate": now(), "sender": SENDER}
    request = {"requestInfo": info, "requestData": {"data": "<a>1</a>"}}
    answer = await asyncio.to_thread(client.call, "SendMessage", request)
    assert answer["responseInfo"]["status"]["code"] == "SCSS001"
