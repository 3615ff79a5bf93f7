"""Independent SOAP clients on the published WSDLs, zeep and suds-community; GOST signatures come in by plugins."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import suds.client
import suds.plugin
import zeep
import zeep.helpers
import zeep.xsd
from lxml import etree
from suds.sax.text import Raw

from tests.contract.smev3_caller import SOAP

if TYPE_CHECKING:
    from tests.contract.smev3_caller import Caller

_SIGNATURE = "CallerInformationSystemSignature"
_PAIR = ("NamespaceURI", "RootElementLocalName")
_UNSIGNED = {"AttachmentContentList", "NodeID", _SIGNATURE}


def signed(envelope: etree._Element, caller: Caller) -> etree._Element:
    """Sign what the operation signs, as a plugin of any SOAP stack would; ``envelope`` is changed."""
    body = envelope.find(f"{{{SOAP}}}Body")
    assert body is not None
    operation = body[0]
    types = etree.QName(operation).namespace
    target = next(child for child in operation if etree.QName(child).localname not in _UNSIGNED)
    target.set("Id", f"ID_{uuid4().hex}")
    if etree.QName(target).localname == "AckTargetMessage":
        target.set("accepted", "true")  # suds has no place for attributes of a simple content
    holder = operation.find(f"{{{types}}}{_SIGNATURE}")
    if holder is None:
        holder = etree.SubElement(operation, f"{{{types}}}{_SIGNATURE}")
    for child in holder:
        holder.remove(child)
    holder.append(etree.fromstring(caller.sign(etree.tostring(target, encoding="unicode", with_tail=False))))
    if envelope.find(f"{{{SOAP}}}Header") is None:
        envelope.insert(0, etree.Element(f"{{{SOAP}}}Header"))
    return envelope


class Stack(Protocol):
    """A SOAP client: what a test calls, the same for both. Answers are plain: dicts, lists, texts."""

    def call(self, operation: str, **arguments: Any) -> Any: ...
    def simple(self, value: Any) -> Any: ...


class _ZeepSigner(zeep.Plugin):
    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def egress(
        self, envelope: etree._Element, http_headers: dict[str, str], operation: Any, binding_options: Any
    ) -> tuple[etree._Element, dict[str, str]]:
        return signed(envelope, self.caller), http_headers


class Zeep:
    """zeep, strict: an answer that does not fit the published schema is an error."""

    def __init__(self, wsdl: str, url: str, caller: Caller) -> None:
        self.client = zeep.Client(wsdl, plugins=[_ZeepSigner(caller)])
        (binding,) = self.client.wsdl.bindings
        self.service = self.client.create_service(binding, url)

    def call(self, operation: str, **arguments: Any) -> Any:
        if operation == "GetStatus":
            arguments[_SIGNATURE] = {"_value_1": etree.Element("{http://www.w3.org/2000/09/xmldsig#}Signature")}
        prepared = {name: self._value(value) for name, value in arguments.items()}
        if "MessageTypeSelector" in prepared:
            # The names are optional as a pair, which zeep does not understand.
            prepared["MessageTypeSelector"] = dict.fromkeys(_PAIR, zeep.xsd.SkipValue) | prepared["MessageTypeSelector"]
        if operation == "Ack":
            prepared["AckTargetMessage"] |= {"Id": "X", "accepted": True}
        return zeep.helpers.serialize_object(self.service[operation](**prepared), dict)

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, str) and value.startswith("<"):
            return {"_value_1": etree.fromstring(value)}
        return value

    def simple(self, value: Any) -> Any:
        """A text or moment of an element that may have attributes."""
        return {"_value_1": value}


class _SudsSigner(suds.plugin.MessagePlugin):
    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def sending(self, context: Any) -> None:
        context.envelope = etree.tostring(signed(etree.fromstring(context.envelope), self.caller))


class Suds:
    """suds-community."""

    def __init__(self, wsdl: str, url: str, caller: Caller) -> None:
        self.client = suds.client.Client(wsdl, location=url, plugins=[_SudsSigner(caller)], cache=None, timeout=60)

    def call(self, operation: str, **arguments: Any) -> Any:
        if operation == "GetStatus":
            arguments[_SIGNATURE] = Raw('<x:Signature xmlns:x="http://www.w3.org/2000/09/xmldsig#"/>')
        prepared = {name: self._value(value) for name, value in arguments.items()}
        return _plain(getattr(self.client.service, operation)(**prepared))

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, datetime):
            return value.isoformat()
        return Raw(value) if isinstance(value, str) and value.startswith("<") else value

    def simple(self, value: Any) -> Any:
        """A text or moment of an element that may have attributes."""
        return value


def _plain(answer: Any) -> Any:
    """An answer of suds as dicts, lists and texts."""
    if isinstance(answer, list):
        return [_plain(item) for item in answer]
    if hasattr(answer, "__keylist__"):
        return {name: _plain(getattr(answer, name)) for name in answer.__keylist__}
    return answer if isinstance(answer, datetime | int) or answer is None else str(answer)


STACKS = {"zeep": Zeep, "suds": Suds}
