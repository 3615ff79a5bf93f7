"""WS-Security of the ШЭП: one signature in the header over the SOAP Body that is read; and signatures of a document.

The signature has to stand in the only Security header and to have one reference, to the only element of that Id, which
is the envelope's own Body: a Body signed elsewhere proves nothing about the one that is read. Who signed, and whether
to believe it, is not judged here. Source: facts of ШЭП, Security.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from lxml import etree

from adapter.xml.canonical import canonical_xml
from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import DIGEST_WRONG, VALUE_WRONG, SignatureVerdict
from adapter.xml.stamps import stamp_of
from adapter.xml.tokens import certificate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from adapter.xml.stamps import Stamp

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
X509V3: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
BASE64: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED: Final = f"{DS}enveloped-signature"

_COMMENTS: Final = "WithComments"
_SIGNATURE: Final = f"{{{DS}}}Signature"
_ID_NAMES: Final = frozenset({"Id", "ID", "id"})
_BODY_IDS: Final = (f"{{{WSU}}}Id", f"{{{WSSE}}}Id", "Id", "ID", "id")
#: Canonical forms by their names: whether exclusive, and whether comments stay.
_FORMS: Final = {
    EXC_C14N: (True, False),
    EXC_C14N + _COMMENTS: (True, True),
    C14N: (False, False),
    f"{C14N}#{_COMMENTS}": (False, True),
}
#: Signatures of one document; each is judged over all of it.
_MOST_SIGNATURES: Final = 32
UNSIGNED: Final = "the message is not signed"


class UnsupportedAlgorithmError(XmlError):
    """An algorithm, a transform or a way to name a certificate that is not known here; the rule says which."""


class MisplacedError(XmlError):
    """The signature is not over the Body that is read; the rule says why."""


class Algorithms(Protocol):
    """The arithmetic, implemented by :class:`adapter.signing.kz.KzEngine`."""

    def digest(self, method: str, data: bytes) -> bytes:
        """Return a digest by its XML name. Raises UnsupportedAlgorithmError."""
        ...

    def verify(self, method: str, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Judge a signature value by its XML name and a DER certificate. Raises UnsupportedAlgorithmError."""
        ...

    def stamp(self, token: bytes, octets: bytes) -> Stamp:
        """Judge a time stamp token (DER) over ``octets``; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """XML names of the algorithms that a signature is made with."""

    signature_method: str
    digest_method: str


@dataclass(frozen=True, slots=True)
class TransportSignature:
    """A signature that stands where it has to: over ``body``, by ``reference`` (a URI)."""

    element: etree._Element
    body: etree._Element
    reference: str


def is_unsupported(reason: str) -> bool:
    """Tell whether a verdict's reason is that nobody here can judge the signature."""
    return reason.endswith("is unsupported")


def soap_body(root: etree._Element) -> etree._Element:
    """Return the Body of a SOAP 1.1 envelope, the one that is read. Raises XmlError for any other document."""
    parts = list(root.iterchildren(etree.Element))
    names = [part.tag for part in parts]
    header, body = f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"
    if root.tag != f"{{{SOAP}}}Envelope" or names not in ([body], [header, body]):
        raise XmlError("not an envelope of SOAP 1.1 with one Body")
    return parts[-1]


def find_signature(root: etree._Element) -> TransportSignature | None:
    """Return the signature over the Body of the envelope ``root``, ``None`` when its header holds none.

    Raises MisplacedError for a signature that stands elsewhere, or is over something else; XmlError for no envelope.
    """
    body = soap_body(root)
    header = root.find(f"{{{SOAP}}}Header")
    signatures = [] if header is None else list(header.iter(_SIGNATURE))
    if header is None or not signatures:
        return None
    blocks = header.findall(f"{{{WSSE}}}Security")
    if len(signatures) != 1 or len(blocks) != 1 or signatures[0].getparent() is not blocks[0]:
        raise MisplacedError("the header has to hold one Security with one signature")
    signature = signatures[0]
    references = signature.findall(f"{{{DS}}}SignedInfo/{{{DS}}}Reference")
    if len(references) != 1:
        raise MisplacedError("the signature has to have exactly one reference")
    uri = references[0].get("URI", "")
    wanted = uri[1:]
    if not uri.startswith("#") or not wanted or wanted not in {body.get(name) for name in _BODY_IDS}:
        raise MisplacedError("the signature is not over the Body that is read")
    if sum(wanted in _ids(element) for element in root.iter(etree.Element)) != 1:
        raise MisplacedError("the Id that the reference names is not unique")
    return TransportSignature(signature, body, uri)


def verify_envelope(data: bytes, algorithms: Algorithms, certificates: Sequence[bytes] = ()) -> SignatureVerdict:
    """Judge the transport signature of a SOAP message as it was received; an unsigned one has the reason UNSIGNED.

    ``certificates`` are DER, for signatures that only name theirs. Raises XmlError for what is no XML of ours.
    """
    root = parse(data)
    try:
        found = find_signature(root)
    except MisplacedError as error:
        return _verdict(error.rule)
    if found is None:
        return _verdict(UNSIGNED)
    return _judge(found.element, found.body, algorithms, certificates, whole=None)


def verify_document(data: bytes, algorithms: Algorithms) -> list[SignatureVerdict]:
    """Judge every enveloped signature over the whole document ``data``, in document order; empty when it has none.

    Raises XmlError for what is no XML of ours.
    """
    root = parse(data)
    verdicts = []
    signatures = list(islice(root.iter(_SIGNATURE), _MOST_SIGNATURES + 1))
    if len(signatures) > _MOST_SIGNATURES:
        raise XmlError(f"more than {_MOST_SIGNATURES} signatures over one document")
    for number, signature in enumerate(signatures):
        reference = signature.find(f"{{{DS}}}SignedInfo/{{{DS}}}Reference")
        uri = None if reference is None else reference.get("URI")
        if uri is None or (uri and uri[1:] not in {root.get(name) for name in _BODY_IDS}):
            verdicts.append(_verdict("the signature is not over the whole document", reference=uri or ""))
        else:
            verdicts.append(_judge(signature, root, algorithms, (), whole=(data, number)))
    return verdicts


def body_signature(
    body: bytes, names: Names, certificate: bytes, digest: Callable[[bytes], bytes], sign: Callable[[bytes], bytes]
) -> bytes:
    """Return a ds:Signature over the standalone SOAP Body ``body`` by its wsu:Id, with an X.509 KeyIdentifier.

    It holds no timestamp (order № 104, rule 23) and no whitespace. Raises XmlError for anything but a Body with an Id.
    """
    root = parse(body)
    identifier = root.get(f"{{{WSU}}}Id", "")
    if root.tag != f"{{{SOAP}}}Body" or not _is_name(identifier):
        raise XmlError("not a SOAP Body with a wsu:Id")
    octets = canonical_xml(root, exclusive=True)
    info = _signed_info(names, f"#{identifier}", (EXC_C14N,), digest(octets), EXC_C14N)
    value = sign(
        canonical_xml(parse(f'<ds:SignedInfo xmlns:ds="{DS}">{info}</ds:SignedInfo>'.encode()), exclusive=True)
    )
    key = (
        f'<wsse:SecurityTokenReference xmlns:wsse="{WSSE}"><wsse:KeyIdentifier EncodingType="{BASE64}"'
        f' ValueType="{X509V3}">{_base64(certificate)}</wsse:KeyIdentifier></wsse:SecurityTokenReference>'
    )
    return _signature(info, value, key)


def document_signature(
    document: bytes, names: Names, certificate: bytes, digest: Callable[[bytes], bytes], sign: Callable[[bytes], bytes]
) -> bytes:
    """Return the ds:Signature that, put behind everything else in the root of ``document``, signs all of it.

    Transforms and canonical forms are those of business signatures in Kazakhstan. Raises XmlError.
    """
    root = parse(document)
    transforms = (ENVELOPED, f"{C14N}#{_COMMENTS}")
    info = _signed_info(names, "", transforms, digest(_whole(root)), C14N)
    key = f"<ds:X509Data><ds:X509Certificate>{_base64(certificate)}</ds:X509Certificate></ds:X509Data>"
    # Canonical XML 1.0 of SignedInfo shows the namespaces in scope, so it is made where the signature will stand.
    root.append(parse(_signature(info, b"", key)))
    placed = root[-1].find(f"{{{DS}}}SignedInfo")
    assert placed is not None  # noqa: S101  — made above; this tells the type checker
    return _signature(info, sign(_canonical(placed, C14N)), key)


def _judge(
    signature: etree._Element,
    target: etree._Element,
    algorithms: Algorithms,
    certificates: Sequence[bytes],
    *,
    whole: tuple[bytes, int] | None,
) -> SignatureVerdict:
    """Judge one signature over ``target``; ``whole`` is the document and the signature's place of an enveloped one."""
    reference, algorithm, reason, certificate = "", "", "", b""
    try:
        info = _child(signature, "SignedInfo")
        algorithm = _child(info, "SignatureMethod").get("Algorithm", "")
        entry = _child(info, "Reference")
        reference = entry.get("URI", "")
        certificate = certificate_of(signature, certificates)
        octets = _transformed(entry, target, whole)
        digest = algorithms.digest(_child(entry, "DigestMethod").get("Algorithm", ""), octets)
        if not hmac.compare_digest(digest, _octets(_child(entry, "DigestValue"))):
            raise XmlError(DIGEST_WRONG)  # noqa: TRY301  — one place makes the verdict
        form = _child(info, "CanonicalizationMethod")
        signed = _canonical(info, form.get("Algorithm", ""), _inclusive(form))
        if not algorithms.verify(algorithm, certificate, signed, _octets(_child(signature, "SignatureValue"))):
            raise XmlError(VALUE_WRONG)  # noqa: TRY301  — same
    except XmlError as error:
        reason = error.rule
    except etree.C14NError:
        reason = "canonical XML is not defined: a namespace URI is relative"
    holder = signature.getparent()
    return SignatureVerdict(
        reference=reference,
        element=str(target.tag),
        parent="" if holder is None else str(holder.tag),
        math=not reason,
        reason=reason,
        algorithm=algorithm,
        certificate=certificate,
        judged=not is_unsupported(reason),
        stamp=stamp_of(signature, algorithms.stamp),
    )


def _verdict(reason: str, *, reference: str = "") -> SignatureVerdict:
    return SignatureVerdict(reference, "", "", math=False, reason=reason, algorithm="", certificate=b"")


def _transformed(entry: etree._Element, target: etree._Element, whole: tuple[bytes, int] | None) -> bytes:
    """Apply the transforms: a canonical form, and before it, in a document, the leaving out of the signature itself."""
    transforms = entry.findall(f"{{{DS}}}Transforms/{{{DS}}}Transform")
    names = [transform.get("Algorithm", "") for transform in transforms]
    if whole is not None:
        if names[:1] != [ENVELOPED]:
            raise UnsupportedAlgorithmError("the list of transforms is unsupported")
        target = _without(*whole)
        transforms, names = transforms[1:], names[1:]
        if not names:
            return _whole(target)
        if len(names) == 1 and names[0] in _FORMS and not _FORMS[names[0]][0]:
            return _whole(target)
    if len(names) != 1:
        raise UnsupportedAlgorithmError("the list of transforms is unsupported")
    return _canonical(target, names[0], _inclusive(transforms[0]))


def _without(document: bytes, number: int) -> etree._Element:
    """Return the document's root without its signature ``number``."""
    root = parse(document)
    signature = list(root.iter(_SIGNATURE))[number]
    holder, before, tail = signature.getparent(), signature.getprevious(), signature.tail or ""
    if holder is None:
        raise XmlError("a signature cannot be taken out of itself")
    holder.remove(signature)  # and its tail, which is the document's
    if before is None:
        holder.text = (holder.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    return root


def _whole(root: etree._Element) -> bytes:
    """Return canonical XML 1.0 of a document; a reference to it leaves comments out (XML Signature, 4.4.3.3)."""
    if any(True for _ in root.itersiblings(etree.PI)) or any(True for _ in root.itersiblings(etree.PI, preceding=True)):
        raise UnsupportedAlgorithmError("a processing instruction beside the root is unsupported")
    return canonical_xml(root, exclusive=False)


def _canonical(element: etree._Element, name: str, inclusive: Sequence[str] = ()) -> bytes:
    form = _FORMS.get(name)
    if form is None:
        raise UnsupportedAlgorithmError("the canonical form is unsupported")
    exclusive, comments = form
    return canonical_xml(
        element, exclusive=exclusive, comments=comments, inclusive=list(inclusive) if exclusive and inclusive else None
    )


def _inclusive(method: etree._Element) -> list[str]:
    listed = method.find(f"{{{EXC_C14N}}}InclusiveNamespaces")
    return [] if listed is None else listed.get("PrefixList", "").split()


def _ids(element: etree._Element) -> Iterator[str]:
    """Return the values of every attribute that may be an Id, of whatever namespace."""
    return (str(value) for name, value in element.attrib.items() if etree.QName(name).localname in _ID_NAMES)


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{{{DS}}}{name}")
    if len(found) != 1:
        raise XmlError(f"{name} has to be there exactly once")
    return found[0]


def _octets(element: etree._Element) -> bytes:
    text = "".join(str(piece) for piece in element.itertext())
    try:
        return base64.b64decode("".join(text.split()).encode(), validate=True)
    except (binascii.Error, ValueError):
        raise XmlError(f"{etree.QName(element).localname} is not base64") from None


def _signed_info(names: Names, uri: str, transforms: Sequence[str], digest: bytes, form: str) -> str:
    """Return what stands in SignedInfo."""
    listed = "".join(f'<ds:Transform Algorithm="{name}"></ds:Transform>' for name in transforms)
    return (
        f'<ds:CanonicalizationMethod Algorithm="{form}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{names.signature_method}"></ds:SignatureMethod>'
        f'<ds:Reference URI="{uri}"><ds:Transforms>{listed}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{names.digest_method}"></ds:DigestMethod>'
        f"<ds:DigestValue>{_base64(digest)}</ds:DigestValue></ds:Reference>"
    )


def _signature(info: str, value: bytes, key: str) -> bytes:
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{info}</ds:SignedInfo>'
        f"<ds:SignatureValue>{_base64(value)}</ds:SignatureValue><ds:KeyInfo>{key}</ds:KeyInfo></ds:Signature>"
    ).encode()


def _is_name(text: str) -> bool:
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum() and not text[0].isdigit()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
