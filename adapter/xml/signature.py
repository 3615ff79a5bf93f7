"""XML signatures as СМЭВ3 uses them: one reference over exactly the element that its place in the message demands.

The listed transforms are applied in their order, and both families of algorithm URIs are read (facts of СМЭВ3,
Pitfalls 5 and 6). Which element has to be signed is :mod:`adapter.xml.placement`'s matter; who signed, and whether
to believe it, is not judged here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol

from asn1crypto import algos, core, x509
from lxml import etree

from adapter.xml.canonical import canonical_xml
from adapter.xml.parser import XmlError, parse
from adapter.xml.placement import DS, signed_element
from adapter.xml.transform import exc_c14n, smev_transform_element, smev_transform_octets

EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
SMEV_TRANSFORM: Final = "urn://smev-gov-ru/xmldsig/transform"
_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_ENVELOPED: Final = f"{DS}enveloped-signature"
_COMMENTS: Final = "WithComments"
_CPXMLSEC: Final = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"
#: Algorithm names of both families. 0 bits: an old name, which old software also writes for 2012 keys; then the
#: certificate's key and the digest's length tell.
_FAMILIES: Final = (_CPXMLSEC, "http://www.w3.org/2001/04/xmldsig-more#")
_DIGEST_BITS: Final = {"gostr34112012-256": 256, "gostr34112012-512": 512, "gostr3411": 0}
_SIGNATURE_BITS: Final = {
    "gostr34102012-gostr34112012-256": 256,
    "gostr34102012-gostr34112012-512": 512,
    "gostr34102001-gostr3411": 0,
}
_KEY_BITS: Final = {"1.2.643.7.1.1.1.1": 256, "1.2.643.7.1.1.1.2": 512}
_KEY_2001: Final = "1.2.643.2.2.19"
_XML_NAMES: Final = "{http://www.w3.org/XML/1998/namespace}"
_MOST_TRANSFORMS: Final = 8
_NCNAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


#: The two reasons of a signature that was computed over other bytes or by another key. Every other reason says that
#: it could not be judged, or stands where no signature of the service stands.
VALUE_WRONG: Final = "the signature value is wrong"
DIGEST_WRONG: Final = "the digest is not that of the signed element"
COMPUTED_WRONG: Final = frozenset({VALUE_WRONG, DIGEST_WRONG})


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
    """Judge every ds:Signature of a document, in document order. Raises XmlError for what is no XML of ours.

    ``data`` is the whole message as it was received (without MIME around it): nothing may have been re-formatted.
    """
    root = parse(data)
    return [_verdict(root, signature, gost) for signature in root.iter(f"{{{DS}}}Signature")]


def signature_facts(signature: bytes) -> SignatureFacts:
    """Read a ds:Signature element. Raises XmlError for anything else."""
    root = parse(signature)
    if root.tag != f"{{{DS}}}Signature":
        raise XmlError("not a ds:Signature")
    signed_info = _child(root, "SignedInfo")
    reference = _child(signed_info, "Reference")
    algorithm = _child(signed_info, "SignatureMethod").get("Algorithm", "")
    return SignatureFacts(
        reference.get("URI", ""), _octets(_child(reference, "DigestValue")), _certificate(root), algorithm
    )


def sign_element(  # noqa: PLR0913  — a signature is made of these
    xml: bytes, gost: Gost, key: object, certificate: bytes, bits: int, *, prefix: str = "ds"
) -> bytes:
    """Sign the root of ``xml`` by its Id (URI="#Id"), or as a document (URI="") when it has none.

    ``bits`` are the key's, 256 or 512. Transforms are exc-c14n and SMEV. Returns a ds:Signature element without
    whitespace inside (recommendations, tables 4, 6 and 7). Raises XmlError for bad XML, TransformError for content
    that the SMEV transform refuses, ValueError for a prefix that is none.
    """
    if not _NCNAME.fullmatch(prefix):
        raise ValueError("not a namespace prefix")
    root = parse(xml)
    identifier = root.get("Id") or root.get("ID") or root.get("id")
    digest = gost.digest(bits, smev_transform_element(root))
    signed_info = _signed_info(prefix, "" if identifier is None else f"#{identifier}", digest, bits)
    # The same bytes twice: standing alone, SignedInfo declares its prefix in its canonical form.
    octets = exc_c14n(parse(f'<{prefix}:SignedInfo xmlns:{prefix}="{DS}">{signed_info}'.encode()))
    value = _base64(gost.sign(key, octets))
    return (
        f'<{prefix}:Signature xmlns:{prefix}="{DS}"><{prefix}:SignedInfo>{signed_info}'
        f"<{prefix}:SignatureValue>{value}</{prefix}:SignatureValue><{prefix}:KeyInfo><{prefix}:X509Data>"
        f"<{prefix}:X509Certificate>{_base64(certificate)}</{prefix}:X509Certificate></{prefix}:X509Data>"
        f"</{prefix}:KeyInfo></{prefix}:Signature>"
    ).encode()


def _signed_info(prefix: str, uri: str, digest: bytes, bits: int) -> str:
    """Return SignedInfo from behind its start tag on."""
    return (
        f'<{prefix}:CanonicalizationMethod Algorithm="{EXC_C14N}"/>'
        f'<{prefix}:SignatureMethod Algorithm="{_CPXMLSEC}gostr34102012-gostr34112012-{bits}"/>'
        f'<{prefix}:Reference URI="{escape(uri)}"><{prefix}:Transforms>'
        f'<{prefix}:Transform Algorithm="{EXC_C14N}"/><{prefix}:Transform Algorithm="{SMEV_TRANSFORM}"/>'
        f'</{prefix}:Transforms><{prefix}:DigestMethod Algorithm="{_CPXMLSEC}gostr34112012-{bits}"/>'
        f"<{prefix}:DigestValue>{_base64(digest)}</{prefix}:DigestValue></{prefix}:Reference></{prefix}:SignedInfo>"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _verdict(root: etree._Element, signature: etree._Element, gost: Gost) -> SignatureVerdict:
    """Judge one signature; what was learnt before a rule broke stays in the verdict."""
    holder = signature.getparent()
    reference, element, algorithm, reason = "", "", "", ""
    certificate = b""
    try:
        signed_info = _child(signature, "SignedInfo")
        algorithm = _child(signed_info, "SignatureMethod").get("Algorithm", "")
        entry = _child(signed_info, "Reference")
        reference = entry.get("URI", "")
        if "URI" not in entry.attrib:
            raise _WrongSignatureError("the reference has no URI")
        certificate = _certificate(signature)
        target = signed_element(root, signature, reference)
        element = str(target.tag)
        key_bits = _key_bits(certificate, algorithm)
        _check_digest(entry, target, signature, key_bits, gost)
        octets = _canonicalize(signed_info, _child(signed_info, "CanonicalizationMethod"))
        if not gost.verify(certificate, octets, _octets(_child(signature, "SignatureValue"))):
            raise _WrongSignatureError(VALUE_WRONG)
    except XmlError as error:
        reason = error.rule
    parent = "" if holder is None else str(holder.tag)
    return SignatureVerdict(reference, element, parent, not reason, reason, algorithm, certificate)


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{{{DS}}}{name}")
    if len(found) != 1:
        raise _WrongSignatureError(f"{name} has to be there exactly once")
    return found[0]


def _octets(element: etree._Element) -> bytes:
    """Read base64, in lines or not."""
    text = "".join(str(piece) for piece in element.itertext())
    try:
        return base64.b64decode("".join(text.split()).encode(), validate=True)
    except (binascii.Error, ValueError):
        raise _WrongSignatureError(f"{etree.QName(element).localname} is not base64") from None


def _certificate(signature: etree._Element) -> bytes:
    """Return the signer's certificate: the first one, where a chain is given."""
    found = signature.findall(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate")
    if not found:
        raise _WrongSignatureError("X509Certificate is missing")
    return _octets(found[0])


def _key_bits(certificate: bytes, algorithm: str) -> int:
    """Return the bits of the certificate's key if ``algorithm``, a signature method URI, may be made with it."""
    stated = _named(algorithm, _SIGNATURE_BITS)
    if stated is None:
        raise _WrongSignatureError("the signature algorithm is unsupported")
    key = _key_algorithm(certificate)
    if key == _KEY_2001:
        raise _WrongSignatureError("the key is unsupported: GOST R 34.10-2001 with GOST R 34.11-94")
    bits = _KEY_BITS.get(key)
    if bits is None:
        raise _WrongSignatureError("the certificate has no GOST R 34.10-2012 key")
    if stated not in (0, bits):
        raise _WrongSignatureError("the certificate's key is not of the stated signature algorithm")
    return bits


def _key_algorithm(certificate: bytes) -> str:
    """Return the OID of a DER certificate's public key."""
    try:
        info = x509.Certificate.load(certificate, strict=True)["tbs_certificate"]["subject_public_key_info"].dump()
        # asn1crypto's own reading of a public key fails for GOST, so the identifier is read by itself.
        return str(algos.AlgorithmIdentifier.load(core.Sequence.load(info)[0].dump())["algorithm"].dotted)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise _WrongSignatureError("X509Certificate is not readable") from None


def _named(algorithm: str, names: dict[str, int]) -> int | None:
    """Return the bits of an algorithm URI of either family; ``None`` when it is not one of ``names``."""
    return next(
        (names.get(algorithm.removeprefix(family)) for family in _FAMILIES if algorithm.startswith(family)), None
    )


def _check_digest(
    reference: etree._Element, target: etree._Element, signature: etree._Element, key_bits: int, gost: Gost
) -> None:
    stated = _named(_child(reference, "DigestMethod").get("Algorithm", ""), _DIGEST_BITS)
    digest = _octets(_child(reference, "DigestValue"))
    bits = stated or key_bits
    if stated is None:
        raise _WrongSignatureError("the digest algorithm is unsupported")
    if len(digest) * 8 != bits:
        raise _WrongSignatureError("the digest is not as long as its algorithm says")
    if not hmac.compare_digest(gost.digest(bits, _transformed(reference, target, signature)), digest):
        raise _WrongSignatureError(DIGEST_WRONG)


def _transformed(reference: etree._Element, target: etree._Element, signature: etree._Element) -> bytes:
    """Apply the listed transforms in their order; an element that is left is canonicalised by C14N 1.0."""
    transforms = reference.findall(f"{{{DS}}}Transforms/{{{DS}}}Transform")
    if len(transforms) > _MOST_TRANSFORMS:
        raise _WrongSignatureError("too many transforms")
    value: etree._Element | bytes = target
    algorithms = [transform.get("Algorithm", "") for transform in transforms]
    for position, (transform, algorithm) in enumerate(zip(transforms, algorithms, strict=True)):
        if algorithm == EXC_C14N and algorithms[position + 1 : position + 2] == [SMEV_TRANSFORM]:
            continue  # the SMEV transform of an element begins with it
        if algorithm == SMEV_TRANSFORM:
            value = smev_transform_octets(value) if isinstance(value, bytes) else smev_transform_element(value)
            continue
        element = parse(value) if isinstance(value, bytes) else value
        if algorithm == _ENVELOPED:
            if isinstance(value, bytes):
                raise _WrongSignatureError("enveloped-signature has to come before other transforms")
            value = _without(element, signature)
        else:
            value = _canonicalize(element, transform)
    return value if isinstance(value, bytes) else _c14n(value, comments=False)


def _canonicalize(element: etree._Element, method: etree._Element) -> bytes:
    """Canonicalise by a CanonicalizationMethod or a Transform."""
    algorithm = method.get("Algorithm", "")
    if algorithm in (EXC_C14N, EXC_C14N + _COMMENTS):
        listed = method.find(f"{{{EXC_C14N}}}InclusiveNamespaces")
        inclusive = () if listed is None else listed.get("PrefixList", "").split()
        return exc_c14n(element, comments=algorithm != EXC_C14N, inclusive=inclusive)
    if algorithm in (_C14N, f"{_C14N}#{_COMMENTS}"):
        return _c14n(element, comments=algorithm != _C14N)
    raise _WrongSignatureError("a transform or canonicalisation is unsupported")


def _c14n(element: etree._Element, *, comments: bool) -> bytes:
    """Return canonical XML 1.0 of an element in its document: with the namespaces and xml: attributes in scope."""
    inherited = {
        name: value
        for above in reversed(list(element.iterancestors(etree.Element)))
        for name, value in above.attrib.items()
        if str(name).startswith(_XML_NAMES)
    }
    try:
        if inherited.keys() - element.attrib.keys():
            element = _copy(element)
            for name, value in inherited.items():
                if name not in element.attrib:
                    element.set(name, value)
        return canonical_xml(element, exclusive=False, comments=comments)
    except etree.C14NError:
        raise _WrongSignatureError("canonical XML is not defined: a namespace URI is relative") from None


def _copy(element: etree._Element) -> etree._Element:
    """Return the element as the root of a document of its own, with the namespaces in scope."""
    return parse(etree.tostring(element, encoding="utf-8", with_tail=False))


def _without(element: etree._Element, signature: etree._Element) -> etree._Element:
    """Return a copy of ``element`` without ``signature``; itself when the signature is not inside it."""
    steps: list[int] = []
    node = signature
    while node is not element:
        parent = node.getparent()
        if parent is None:
            return element
        steps.append(parent.index(node))
        node = parent
    if not steps:
        raise _WrongSignatureError("a signature cannot be taken out of itself")
    copy = node = _copy(element)
    for step in reversed(steps):
        node = node[step]
    holder, before, tail = node.getparent(), node.getprevious(), node.tail or ""
    if holder is None:
        raise _WrongSignatureError("a signature cannot be taken out of itself")
    holder.remove(node)  # and its tail, which is the document's
    if before is None:
        holder.text = (holder.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    return copy
