"""Which element a signature has to sign, by where it stands in a message of СМЭВ3.

A mathematically right signature proves nothing when it is over another element than the one that is read. So a
reference has to name exactly one element, and in the service's own containers that has to be the element beside
it, in a message that is a message: the schemas in reference smev3/wsdl say what each container signs.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Mapping

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_SIGNATURE: Final = f"{{{DS}}}Signature"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_ID_ATTRIBUTES: Final = ("Id", "ID", "id", f"{{{_WSU}}}Id", "{http://www.w3.org/XML/1998/namespace}id")
_WITH_ID: Final = etree.XPath("//*[@Id or @ID or @id or @w:Id or @xml:id]", namespaces={"w": _WSU})
#: All versions of the service, `types` and `types/basic` alike; `directive` and `routing` of 1.3 sign by other rules.
_SMEV: Final = re.compile(r"urn://x-artefacts-smev-gov-ru/services/message-exchange/types/(?:basic/)?[0-9.]+")
_SOAP: Final = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")

_SENDER_PROVIDED: Final = frozenset(
    {"SenderProvidedRequestData", "SenderProvidedResponseData", "SenderProvidedCancelData"}
)
#: What each container signs among the elements beside it, by local names.
_BESIDE: Final[Mapping[str, frozenset[str]]] = {
    "CallerInformationSystemSignature": _SENDER_PROVIDED
    | {"MessageTypeSelector", "OriginalMessageID", "Timestamp", "AckTargetMessage"},
    "SMEVSignature": frozenset({"Request", "Response", "Cancel", "MessageMetadata", "AsyncProcessingStatusData"}),
    "SenderInformationSystemSignature": _SENDER_PROVIDED,
    "PersonalSignature": frozenset({"MessagePrimaryContent"}),
}


class MisplacedError(XmlError):
    """The signature is not over the one element that its place demands; the rule says why."""


class Places:
    """The elements of one document by their Ids, and what a signature in it may be over."""

    def __init__(self, root: etree._Element) -> None:
        """Read every Id of the document of ``root`` once."""
        self._root = root
        self._ids: dict[str, list[etree._Element]] = {}
        for element in _with_id(root):
            for value in {element.get(name) for name in _ID_ATTRIBUTES}:
                if value is not None:
                    self._ids.setdefault(value, []).append(element)

    def signed_element(self, signature: etree._Element, reference: str) -> etree._Element:
        """Return the element that ``reference`` (a URI) of ``signature`` names.

        An empty reference names the business root where it stands in PersonalSignature (both forms are seen), else the
        document. Raises MisplacedError unless that is exactly one element, and the one that the place demands; what
        stands inside the signature itself (its own properties) may be signed besides.
        """
        demanded = _demanded(signature)
        if reference == "":
            if demanded is None:
                return self._root
            if etree.QName(_holder(signature)).localname != "PersonalSignature":
                raise MisplacedError("the reference has to name the signed element by its Id")
            return demanded
        if not reference.startswith("#") or len(reference) == 1:
            raise MisplacedError("the reference is not to an element of this document")
        named = self.named(reference[1:])
        if demanded is not None and named is not demanded and not is_inside(named, signature):
            raise MisplacedError("the signed element is not the one that the signature's place demands")
        return named

    def named(self, value: str) -> etree._Element:
        """Return the only element with this Id. Raises MisplacedError.

        Ids inside ds:Signature do not count when there is one outside: signatures carry copies of what they sign
        (PersonalSignature, facts of СМЭВ3), and nobody reads a message from there.
        """
        found = self._ids.get(value, [])
        if not found:
            raise MisplacedError("the reference names no element")
        if len(found) > 1:
            outside = (element for element in found if not _is_in_signature(element))
            self._ids[value] = found = list(islice(outside, 2)) or found[:2]
        if len(found) > 1:
            raise MisplacedError("the Id that the reference names is not unique")
        return found[0]


def _with_id(root: etree._Element) -> list[etree._Element]:
    found: Any = _WITH_ID(root)
    return list(found)


def is_place_of_service(holder: str) -> bool:
    """Tell whether ``holder``, the ``{ns}local`` of what holds a signature, is a container of the service's own."""
    name = etree.QName(holder or "none")
    return name.localname in _BESIDE and _SMEV.fullmatch(name.namespace or "") is not None


def is_inside(element: etree._Element, signature: etree._Element) -> bool:
    """Tell whether ``element`` stands inside ``signature``."""
    return any(above is signature for above in element.iterancestors(_SIGNATURE))


def _is_in_signature(element: etree._Element) -> bool:
    return element.tag == _SIGNATURE or next(element.iterancestors(_SIGNATURE), None) is not None


def _demanded(signature: etree._Element) -> etree._Element | None:
    """Return the element that a signature in this place has to sign; ``None`` outside the service's containers."""
    holder = signature.getparent()
    if holder is None or not _is_smev(holder):
        return None
    name = etree.QName(holder).localname
    parent = holder.getparent()
    if parent is None or name not in _BESIDE:
        return None
    if not _is_alone(signature) or not _is_alone(holder, holder.tag):
        raise MisplacedError("the place of the signature holds more than one")
    if not _is_in_message(parent):
        raise MisplacedError("the signature stands outside the message")
    beside = [
        element
        for element in parent.iterchildren(etree.Element)
        if _is_smev(element) and etree.QName(element).localname in _BESIDE[name]
    ]
    if name == "PersonalSignature":
        beside = [element for content in beside for element in islice(content.iterchildren(etree.Element), 2)]
    if len(beside) != 1:
        raise MisplacedError("what the signature has to sign does not stand beside it exactly once")
    return beside[0]


def _is_alone(element: etree._Element, tag: Any = etree.Element) -> bool:
    """Tell whether no sibling has this ``tag``; by default, whether none is an element at all."""
    return (
        next(element.itersiblings(tag), None) is None and next(element.itersiblings(tag, preceding=True), None) is None
    )


def _is_in_message(element: etree._Element) -> bool:
    """Tell whether only elements of the service stand between ``element`` and the SOAP body, or the fragment's root.

    That is where a message is read. A copy in the header, in a second body or inside business data is not read.
    """
    operation: etree._Element | None = None
    above: etree._Element | None = element
    while above is not None and _is_smev(above):
        operation, above = above, above.getparent()
    if above is None:
        return True
    envelope = above.getparent()
    name = etree.QName(above)
    return (
        name.localname == "Body"
        and name.namespace in _SOAP
        and envelope is not None
        and envelope.tag == f"{{{name.namespace}}}Envelope"
        and envelope.getparent() is None
        and _is_alone(above, above.tag)
        and operation is not None
        and _is_alone(operation)
    )


def _is_smev(element: etree._Element) -> bool:
    return _SMEV.fullmatch(etree.QName(element).namespace or "") is not None


def _holder(signature: etree._Element) -> etree._Element:
    holder = signature.getparent()
    if holder is None:
        raise MisplacedError("the signature stands alone")
    return holder
