"""Which element a signature has to sign, by where it stands in a message of СМЭВ3.

A mathematically right signature proves nothing when it is over another element than the one that is read. So a
reference has to name exactly one element, and in the service's own containers that has to be the element beside
it, in a message that is a message: the schemas in reference smev3/wsdl say what each container signs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lxml import etree

from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Mapping

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_SIGNATURE: Final = f"{{{DS}}}Signature"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_ID_ATTRIBUTES: Final = ("Id", "ID", "id", f"{{{_WSU}}}Id")
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


def signed_element(root: etree._Element, signature: etree._Element, reference: str) -> etree._Element:
    """Return the element that ``reference`` (a URI) of ``signature`` names in the document of ``root``.

    An empty reference names the business root where it stands in PersonalSignature (both forms are seen), else the
    document. Raises MisplacedError unless that is exactly one element, and the one that the place demands.
    """
    demanded = _demanded(signature)
    if reference == "":
        if demanded is None:
            return root
        if etree.QName(_holder(signature)).localname != "PersonalSignature":
            raise MisplacedError("the reference has to name the signed element by its Id")
        return demanded
    if not reference.startswith("#") or len(reference) == 1:
        raise MisplacedError("the reference is not to an element of this document")
    named = _named(root, reference[1:])
    if demanded is not None and named is not demanded:
        raise MisplacedError("the signed element is not the one that the signature's place demands")
    return named


def _named(root: etree._Element, value: str) -> etree._Element:
    """Return the only element with this Id.

    Ids inside ds:Signature do not count when there is one outside: signatures carry copies of what they sign
    (PersonalSignature, facts of СМЭВ3), and nobody reads a message from there.
    """
    found = [
        element for element in root.iter(etree.Element) if any(element.get(name) == value for name in _ID_ATTRIBUTES)
    ]
    outside = [element for element in found if not _is_in_signature(element)]
    found = outside or found
    if not found:
        raise MisplacedError("the reference names no element")
    if len(found) > 1:
        raise MisplacedError("the Id that the reference names is not unique")
    return found[0]


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
    if len(holder) != 1 or len(parent.findall(holder.tag)) != 1:
        raise MisplacedError("the place of the signature holds more than one")
    if not _is_in_message(parent):
        raise MisplacedError("the signature stands outside the message")
    beside = [
        element
        for element in parent.iterchildren(etree.Element)
        if _is_smev(element) and etree.QName(element).localname in _BESIDE[name]
    ]
    if name == "PersonalSignature":
        beside = [element for content in beside for element in content.iterchildren(etree.Element)]
    if len(beside) != 1:
        raise MisplacedError("what the signature has to sign does not stand beside it exactly once")
    return beside[0]


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
        and len(envelope.findall(above.tag)) == 1
        and list(above.iterchildren(etree.Element)) == [operation]
    )


def _is_smev(element: etree._Element) -> bool:
    return _SMEV.fullmatch(etree.QName(element).namespace or "") is not None


def _holder(signature: etree._Element) -> etree._Element:
    holder = signature.getparent()
    if holder is None:
        raise MisplacedError("the signature stands alone")
    return holder
