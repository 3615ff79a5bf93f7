"""XML signatures as СМЭВ3 uses them: one reference over exactly the element that its place in the message demands.

Signatures in other places, which business content may bring along, are judged by the same rules as far as they are made
of GOST algorithms. Which element has to be signed is :mod:`adapter.xml.placement`'s matter, what of it is digested
:mod:`adapter.xml.referenced`'s; who signed, and whether to believe it, is not judged here.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from adapter.xml.algorithms import CPXMLSEC, Digests, digest_bits, is_digest, signature_bits, unsupported
from adapter.xml.key_info import certificates, check_key, octets_of
from adapter.xml.parser import XmlError, parse
from adapter.xml.placement import DS, Places, is_inside, is_place_of_service
from adapter.xml.referenced import (
    EXC_C14N,
    SMEV_TRANSFORM,
    Allowance,
    UnsupportedError,
    WrongSignatureError,
    canonicalize,
    referenced_octets,
)
from adapter.xml.transform import exc_c14n, smev_transform_element

if TYPE_CHECKING:
    from lxml import etree

    from adapter.xml.stamps import Stamp

__all__ = [
    "COMPUTED_WRONG",
    "DIGEST_WRONG",
    "EXC_C14N",
    "SMEV_TRANSFORM",
    "VALUE_WRONG",
    "Gost",
    "SignatureFacts",
    "SignatureVerdict",
    "sign_element",
    "signature_facts",
    "verify_message",
]

_NCNAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
#: A message of 5 MB has no room for so many, each with its certificate.
_MOST_SIGNATURES: Final = 10_000
_MOST_REFERENCES: Final = 16

#: The two reasons of a signature that was computed over other bytes or by another key. Every other reason says that
#: it could not be judged, or stands where no signature of the service stands.
VALUE_WRONG: Final = "the signature value is wrong"
DIGEST_WRONG: Final = "the digest is not that of the signed element"
COMPUTED_WRONG: Final = frozenset({VALUE_WRONG, DIGEST_WRONG})


class Gost(Digests, Protocol):
    """The arithmetic, implemented by :class:`adapter.signing.gost.GostEngine`."""

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
    unchecked; ``period`` valid, expired, not-yet-valid or unchecked. ``judged`` is false where the signature is made by
    an algorithm that is not ours: then ``math`` is false because nobody has counted, and ``reason`` names it.
    ``stamp`` is the time stamp over its value, where it has one.
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
    judged: bool = True
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What a signature says of itself, unproven: what a client compares with what it asked for."""

    reference: str
    digest: bytes
    certificate: bytes
    algorithm: str


def verify_message(data: bytes, gost: Gost) -> list[SignatureVerdict]:
    """Judge every ds:Signature of a document, in document order. Raises XmlError for what is no XML of ours.

    ``data`` is the whole message as it was received (without MIME around it): nothing may have been re-formatted.
    """
    root = parse(data)
    signatures = list(islice(root.iter(f"{{{DS}}}Signature"), _MOST_SIGNATURES + 1))
    if len(signatures) > _MOST_SIGNATURES:
        raise XmlError(f"the document has more than {_MOST_SIGNATURES} signatures")
    if not signatures:
        return []
    places, allowance = Places(root), Allowance(len(data))
    return [_verdict(places, allowance, signature, gost) for signature in signatures]


def signature_facts(signature: bytes) -> SignatureFacts:
    """Read a ds:Signature element. Raises XmlError for anything else."""
    root = parse(signature)
    if root.tag != f"{{{DS}}}Signature":
        raise XmlError("not a ds:Signature")
    signed_info = _child(root, "SignedInfo")
    reference = _child(signed_info, "Reference")
    algorithm = _child(signed_info, "SignatureMethod").get("Algorithm", "")
    return SignatureFacts(
        reference.get("URI", ""), octets_of(_child(reference, "DigestValue")), certificates(root)[0], algorithm
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
        f'<{prefix}:SignatureMethod Algorithm="{CPXMLSEC}gostr34102012-gostr34112012-{bits}"/>'
        f'<{prefix}:Reference URI="{escape(uri)}"><{prefix}:Transforms>'
        f'<{prefix}:Transform Algorithm="{EXC_C14N}"/><{prefix}:Transform Algorithm="{SMEV_TRANSFORM}"/>'
        f'</{prefix}:Transforms><{prefix}:DigestMethod Algorithm="{CPXMLSEC}gostr34112012-{bits}"/>'
        f"<{prefix}:DigestValue>{_base64(digest)}</{prefix}:DigestValue></{prefix}:Reference></{prefix}:SignedInfo>"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(slots=True)
class _Findings:
    """What was learnt of a signature before a rule broke, if one did."""

    reference: str = ""
    element: str = ""
    algorithm: str = ""
    certificate: bytes = b""


def _verdict(places: Places, allowance: Allowance, signature: etree._Element, gost: Gost) -> SignatureVerdict:
    """Judge one signature."""
    holder = signature.getparent()
    found, reason, judged = _Findings(), "", True
    try:
        _judge(places, allowance, signature, gost, found)
    except UnsupportedError as error:
        reason, judged = error.rule, False
    except XmlError as error:
        reason = error.rule
    return SignatureVerdict(
        reference=found.reference,
        element=found.element,
        parent="" if holder is None else str(holder.tag),
        math=not reason,
        reason=reason,
        algorithm=found.algorithm,
        certificate=found.certificate,
        judged=judged,
    )


def _judge(places: Places, allowance: Allowance, signature: etree._Element, gost: Gost, found: _Findings) -> None:
    """Judge one signature, telling ``found`` on the way. Raises XmlError unless it is right in everything."""
    signed_info = _child(signature, "SignedInfo")
    found.algorithm = _child(signed_info, "SignatureMethod").get("Algorithm", "")
    references = signed_info.findall(f"{{{DS}}}Reference")
    found.reference = next((reference.get("URI", "") for reference in references), "")
    chain = certificates(signature, places)
    found.certificate = chain[0]
    if signature_bits(found.algorithm) is None:  # whatever else it is, it is not ours
        raise UnsupportedError(unsupported("the signature algorithm", found.algorithm))
    targets = _targets(places, signature, references)
    main = next((place for place, target in enumerate(targets) if not is_inside(target, signature)), 0)
    found.reference, found.element = references[main].get("URI", ""), str(targets[main].tag)
    check_key(chain[0], found.algorithm)
    for reference, target in zip(references, targets, strict=True):
        _check_digest(reference, target, signature, gost, allowance)
    octets = allowance.spend(canonicalize(signed_info, _child(signed_info, "CanonicalizationMethod")))
    value = octets_of(_child(signature, "SignatureValue"))
    signer = next((certificate for certificate in chain if gost.verify(certificate, octets, value)), None)
    if signer is None:
        raise WrongSignatureError(VALUE_WRONG)
    check_key(signer, found.algorithm)
    found.certificate = signer


def _targets(places: Places, signature: etree._Element, references: list[etree._Element]) -> list[etree._Element]:
    """Return what each reference names. Raises XmlError.

    In the service's containers that is one element outside the signature: a reader has to know which one is signed.
    """
    if not 0 < len(references) <= _MOST_REFERENCES:
        raise WrongSignatureError(f"Reference has to be there, at most {_MOST_REFERENCES} times")
    if any("URI" not in reference.attrib for reference in references):
        raise WrongSignatureError("the reference has no URI")
    targets = [places.signed_element(signature, reference.get("URI", "")) for reference in references]
    holder = signature.getparent()
    outside = sum(not is_inside(target, signature) for target in targets)
    if holder is not None and is_place_of_service(str(holder.tag)) and outside != 1:
        raise WrongSignatureError("the signature has to sign exactly one element outside itself")
    return targets


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{{{DS}}}{name}")
    if len(found) != 1:
        raise WrongSignatureError(f"{name} has to be there exactly once")
    return found[0]


def _check_digest(
    reference: etree._Element, target: etree._Element, signature: etree._Element, gost: Gost, allowance: Allowance
) -> None:
    algorithm = _child(reference, "DigestMethod").get("Algorithm", "")
    bits = digest_bits(algorithm)
    if bits is None:
        raise UnsupportedError(unsupported("the digest algorithm", algorithm))
    digest = octets_of(_child(reference, "DigestValue"))
    if len(digest) * 8 not in ((bits,) if bits else (256, 512)):
        raise WrongSignatureError("the digest is not as long as its algorithm says")
    if not is_digest(digest, referenced_octets(reference, target, signature, allowance), bits, gost):
        raise WrongSignatureError(DIGEST_WRONG)
