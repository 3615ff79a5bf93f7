"""zeep and suds-community as SOAP clients by the operator's WSDLs and by ours, each with a plugin that signs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import suds.client
import suds.plugin
import zeep
import zeep.exceptions
import zeep.helpers
from lxml import etree
from suds.sax.text import Raw

from adapter.paths import SCHEMAS
from adapter.xml.wssecurity import SOAP, WSSE, WSU
from tests.contract.shep_reference import REFERENCE

if TYPE_CHECKING:
    from tests.contract.shep_signing import Hand

_FOLDER = REFERENCE / "wsdl" / "nitec-shep-service"
WSDLS = {
    "operator": {
        "sync": _FOLDER / "SyncChannel/v10/Interfaces/SyncChannelHttp_Service.wsdl",
        "async": _FOLDER / "AsyncChannel/v10/Interfaces/AsyncChannelHttp_Service.wsdl",
        "client": _FOLDER / "AsyncChannel/v10/Interfaces/AsyncChannelClientHttp_Service.wsdl",
    },
    "ours": {port: SCHEMAS / "shep" / f"{port}.wsdl" for port in ("sync", "async", "client")},
}


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
