"""XML signatures as СМЭВ3 uses them: one reference over exactly the node that its place in the message demands.

The listed transforms are applied in their order (facts, smev3.md, Pitfalls 6); both families of algorithm URIs are read
(Pitfalls 5). A signature is mathematically right only over the node that a reader of the message reads: moved,
wrapped and duplicated Ids are refused.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from lxml import etree

from adapter.xml.parser import XmlError, parse
from adapter.xml.transform import exc_c14n, smev_transform, smev_transform_octets

if TYPE_CHECKING:
    from collections.abc import Mapping

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
SMEV_TRANSFORM: Final = "urn://smev-gov-ru/xmldsig/transform"
_C14N: Final = ("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "http://www.w3.org/2006/12/xml-c14n11")
_ENVELOPED: Final = f"{DS}enveloped-signature"
_WSU_ID: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id"
_IDS: Final = ("Id", "ID", "id", _WSU_ID)
_CPXMLSEC: Final = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"
#: Digest sizes by the end of an algorithm URI; the old names are read by the length of the digest value.
_DIGESTS: Final = {"gostr34112012-256": 256, "gostr34112012-512": 512, "gostr3411": 0}

_SIGNED_BY_CALLER: Final = frozenset(
    {
        "SenderProvidedRequestData",
        "SenderProvidedResponseData",
        "MessageTypeSelector",
        "Timestamp",
        "AckTargetMessage",
        "CancelTargetMessage",
    }
)
_SIGNED_BY_SMEV: Final = frozenset(
    {"Request", "Response", "Cancel", "MessageMetadata", "AsyncProcessingStatusData", "SmevAsyncProcessingMessage"}
)
_SIGNED_BY_SENDER: Final = frozenset({"SenderProvidedRequestData", "SenderProvidedResponseData"})
#: What stands beside the element that holds a signature, by that element's local name.
_SIBLINGS: Final[Mapping[str, frozenset[str]]] = {
    "CallerInformationSystemSignature": _SIGNED_BY_CALLER,
    "SMEVSignature": _SIGNED_BY_SMEV,
    "SenderInformationSystemSignature": _SIGNED_BY_SENDER,
}


class Gost(Protocol):
    """The arithmetic, implemented by :class:`adapter.signing.gost.GostEngine`."""

    def digest(self, bits: int, data: bytes) -> bytes:
        """GOST R 34.11-2012 of 256 or 512 bits."""
        ...

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Check an XMLDSig signature value (s, then r, big-endian) by a DER certificate."""
        ...

    def sign(self, key: object, data: bytes) -> bytes:
        """Return an XMLDSig signature value."""
        ...


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """What is known of one signature; the verdicts are kept apart (ARCHITECTURE, Security).

    ``reference`` is the URI as written, ``element`` the ``{ns}local`` of the signed node (empty when unresolved),
    ``parent`` that of the element holding ds:Signature. ``math`` is true only over exactly that node, else ``reason``
    is a short English rule. ``certificate`` is DER, empty when there is none. ``trust`` is trusted, untrusted or
    unchecked; ``period`` valid, expired, not-yet-valid or unchecked.
    """

    reference: str
    element: str
    parent: str
    math: bool
    reason: str
    algorithm: str
    certificate: bytes
    trust: str = "unchecked"
    period: str = "unchecked"
    revocation: str = "unchecked"


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What a signature says of itself, unproven: what a client compares with what it asked for."""

    reference: str
    digest: bytes
    certificate: bytes
    algorithm: str


class _WrongSignatureError(XmlError):
    """The signature is not right; the rule says why."""


def verify_message(data: bytes, gost: Gost) -> list[SignatureVerdict]:
    """Judge every ds:Signature of a document, in document order. Raises XmlError for what is no XML."""
    root = parse(data)
    return [_verdict(root, signature, gost) for signature in root.iter(f"{{{DS}}}Signature")]


def signature_facts(signature: bytes) -> SignatureFacts:
    """Read a ds:Signature element. Raises XmlError for anything else."""
    root = parse(signature)
    if root.tag != f"{{{DS}}}Signature":
        raise XmlError("is not a ds:Signature")
    reference = _reference(root)
    return SignatureFacts(
        reference.get("URI", ""),
        _octets(reference, "DigestValue"),
        _certificate(root),
        _child(_child(root, "SignedInfo"), "SignatureMethod").get("Algorithm", ""),
    )


def sign_element(  # noqa: PLR0913 — a signature is made of these
    xml: bytes, gost: Gost, key: object, certificate: bytes, bits: int, *, prefix: str = "ds"
) -> bytes:
    """Sign the root of ``xml`` by its Id (URI="#Id"), or as a document (URI="") when it has none.

    Returns a ds:Signature element in canonical form, with no white space inside. Raises XmlError for bad XML,
    TransformError for content that the СМЭВ transform refuses.
    """
    identifier = parse(xml).get("Id")
    uri = "" if identifier is None else f"#{_escape(identifier)}"
    digest = base64.b64encode(gost.digest(bits, smev_transform(xml))).decode()
    declared = f' xmlns:{prefix}="{DS}"'
    signed_info = _signed_info(prefix, uri, digest, bits)
    octets = f"<{prefix}:SignedInfo{declared}>{signed_info}</{prefix}:SignedInfo>".encode()
    value = base64.b64encode(gost.sign(key, octets)).decode()
    der = base64.b64encode(certificate).decode()
    return (
        f"<{prefix}:Signature{declared}><{prefix}:SignedInfo>{signed_info}</{prefix}:SignedInfo>"
        f"<{prefix}:SignatureValue>{value}</{prefix}:SignatureValue><{prefix}:KeyInfo><{prefix}:X509Data>"
        f"<{prefix}:X509Certificate>{der}</{prefix}:X509Certificate></{prefix}:X509Data></{prefix}:KeyInfo>"
        f"</{prefix}:Signature>"
    ).encode()


def _signed_info(prefix: str, uri: str, digest: str, bits: int) -> str:
    """Return the content of SignedInfo, already canonical."""

    def empty(name: str, algorithm: str) -> str:
        return f'<{prefix}:{name} Algorithm="{algorithm}"></{prefix}:{name}>'

    return (
        empty("CanonicalizationMethod", EXC_C14N)
        + empty("SignatureMethod", f"{_CPXMLSEC}gostr34102012-gostr34112012-{bits}")
        + f'<{prefix}:Reference URI="{uri}"><{prefix}:Transforms>'
        + empty("Transform", EXC_C14N)
        + empty("Transform", SMEV_TRANSFORM)
        + f"</{prefix}:Transforms>"
        + empty("DigestMethod", f"{_CPXMLSEC}gostr34112012-{bits}")
        + f"<{prefix}:DigestValue>{digest}</{prefix}:DigestValue></{prefix}:Reference>"
    )


def _escape(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _verdict(root: etree._Element, signature: etree._Element, gost: Gost) -> SignatureVerdict:
    holder = signature.getparent()
    reference, element, certificate, algorithm, reason = "", "", b"", "", ""
    try:
        signed_info = _child(signature, "SignedInfo")
        algorithm = _child(signed_info, "SignatureMethod").get("Algorithm", "")
        certificate = _certificate(signature)
        entry = _reference(signature)
        reference = entry.get("URI", "")
        target = _resolve(root, signature, reference)
        element = str(target.tag)
        _check_digest(entry, target, signature, gost)
        canonical = _canonicalise(signed_info, _child(signed_info, "CanonicalizationMethod"))
        if not gost.verify(certificate, canonical, _octets(signature, "SignatureValue")):
            raise _WrongSignatureError("the signature value is wrong")
    except XmlError as error:
        reason = error.rule
    parent = "" if holder is None else str(holder.tag)
    return SignatureVerdict(reference, element, parent, not reason, reason, algorithm, certificate)


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{{{DS}}}{name}")
    if len(found) != 1:
        raise _WrongSignatureError(f"{name} must be there exactly once")
    return found[0]


def _reference(signature: etree._Element) -> etree._Element:
    return _child(_child(signature, "SignedInfo"), "Reference")


def _octets(parent: etree._Element, name: str) -> bytes:
    return _base64(_child(parent, name))


def _base64(node: etree._Element) -> bytes:
    """Decode the text of a node; line breaks inside are other people's habit."""
    text = "".join(str(part) for part in node.itertext())
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _WrongSignatureError(f"{etree.QName(node).localname} is no base64") from None


def _certificate(signature: etree._Element) -> bytes:
    found = signature.findall(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate")
    if not found:
        raise _WrongSignatureError("X509Certificate is missing")
    # Where a chain is given, the signer's certificate stands first.
    return _base64(found[0])


def _resolve(root: etree._Element, signature: etree._Element, reference: str) -> etree._Element:
    """Return the node that the reference names, if it is the one that the signature's place demands."""
    demanded = _demanded(signature)
    if not reference:
        return root if demanded is None else demanded
    if not reference.startswith("#") or len(reference) < 2:
        raise _WrongSignatureError("the reference leaves the document")
    named = [node for node in root.iter(etree.Element) if _has_id(node, reference[1:])]
    named = [node for node in named if not _in_personal_signature(node)] or named
    if not named:
        raise _WrongSignatureError("the reference names no element")
    if len(named) > 1:
        raise _WrongSignatureError("the Id is not unique")
    if demanded is not None and named[0] is not demanded:
        raise _WrongSignatureError("the signed element is not the one that its place demands")
    return named[0]


def _has_id(node: etree._Element, value: str) -> bool:
    return any(node.get(name) == value for name in _IDS)


def _in_personal_signature(node: etree._Element) -> bool:
    """Tell whether a node belongs to a PersonalSignature: copies of Ids are seen there (facts, smev3.md)."""
    return any(etree.QName(above).localname == "PersonalSignature" for above in node.iterancestors(etree.Element))


def _demanded(signature: etree._Element) -> etree._Element | None:
    """Return the node that a signature in this place has to sign; ``None`` where the place demands nothing."""
    holder = signature.getparent()
    if holder is None:
        return None
    name, parent = etree.QName(holder).localname, holder.getparent()
    if parent is None or (name not in _SIBLINGS and name != "PersonalSignature"):
        return None
    siblings = [node for node in parent if isinstance(node.tag, str)]
    if name == "PersonalSignature":
        contents = [node for node in siblings if etree.QName(node).localname == "MessagePrimaryContent"]
        wanted = [node for content in contents for node in content if isinstance(node.tag, str)]
    else:
        wanted = [node for node in siblings if etree.QName(node).localname in _SIBLINGS[name]]
    if len(wanted) != 1:
        raise _WrongSignatureError("the element to be signed does not stand beside the signature exactly once")
    return wanted[0]


def _check_digest(reference: etree._Element, target: etree._Element, signature: etree._Element, gost: Gost) -> None:
    stated = _octets(reference, "DigestValue")
    algorithm = _child(reference, "DigestMethod").get("Algorithm", "")
    family = next((end for end in _DIGESTS if algorithm.endswith(end)), None)
    bits = len(stated) * 8
    if family is None or bits not in (256, 512) or _DIGESTS[family] not in (0, bits):
        raise _WrongSignatureError("the digest algorithm is not supported")
    if gost.digest(bits, _apply_transforms(reference, target, signature)) != stated:
        raise _WrongSignatureError("the digest is not that of the signed element")


def _apply_transforms(reference: etree._Element, target: etree._Element, signature: etree._Element) -> bytes:
    """Run the listed transforms in their order; what is still a node at the end is canonicalised by C14N 1.0."""
    listed = reference.findall(f"{{{DS}}}Transforms/{{{DS}}}Transform")
    if len(listed) > 8:
        raise _WrongSignatureError("too many transforms")
    node: etree._Element | None = target
    octets = b""
    for transform in listed:
        algorithm = transform.get("Algorithm", "")
        if algorithm == SMEV_TRANSFORM:
            octets = smev_transform_octets(exc_c14n(node) if node is not None else exc_c14n(parse(octets)))
            node = None
            continue
        if node is None:
            node = parse(octets)
        if algorithm == _ENVELOPED:
            node = _without_signature(node, signature)
        else:
            octets, node = _canonicalise(node, transform), None
    return octets if node is None else _c14n(node, comments=False)


def _canonicalise(node: etree._Element, method: etree._Element) -> bytes:
    """Canonicalise by a CanonicalizationMethod or Transform element."""
    algorithm, _, comments = method.get("Algorithm", "").partition("#")
    if f"{algorithm}#" == EXC_C14N and comments in ("", "WithComments"):
        listed = method.find(f"{{{EXC_C14N}}}InclusiveNamespaces")
        prefixes = () if listed is None else listed.get("PrefixList", "").split()
        return exc_c14n(node, comments=bool(comments), inclusive=prefixes)
    if algorithm in _C14N and comments in ("", "WithComments"):
        return _c14n(node, comments=bool(comments))
    raise _WrongSignatureError("the transform is not supported")


def _c14n(node: etree._Element, *, comments: bool) -> bytes:
    return etree.tostring(node, method="c14n", exclusive=False, with_comments=comments)


def _without_signature(node: etree._Element, signature: etree._Element) -> etree._Element:
    """Return a copy of ``node``, in its namespaces, without the signature inside it."""
    steps = []
    while signature is not node:
        parent = signature.getparent()
        if parent is None:
            return node
        steps.append(parent.index(signature))
        signature = parent
    copy = parse(exc_c14n(node, comments=True, inclusive=[prefix or "#default" for prefix in node.nsmap]))
    found = copy
    for step in reversed(steps):
        found = found[step]
    holder = found.getparent()
    if holder is not None:
        _keep_tail(holder, found)
        holder.remove(found)
    return copy


def _keep_tail(holder: etree._Element, found: etree._Element) -> None:
    """The text behind a removed element stays where it was."""
    if not found.tail:
        return
    before = found.getprevious()
    if before is None:
        holder.text = (holder.text or "") + found.tail
    else:
        before.tail = (before.tail or "") + found.tail
