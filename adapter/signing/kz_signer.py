"""What the ШЭП's gateway needs of a signing service, whichever it is; and the checks that hold for all.

What was signed is what was asked for: the digest is counted again here, and the signature is laid into our own bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from lxml import etree

from adapter.errors import Code, SignerError
from adapter.signing.certificates import fingerprint
from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import RSA, KzEngine
from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import DIGEST_WRONG
from adapter.xml.stamps import Stamp
from adapter.xml.wssecurity import DS, SOAP, UnsupportedAlgorithmError, verify_document, verify_envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.xml.signature import SignatureVerdict
    from adapter.xml.wssecurity import Algorithms

#: A document whose root is an empty-element tag, with a declaration before it or not.
_EMPTY_ROOT: Final = re.compile(
    rb"""(\A\s*(?:<\?[^>]*\?>\s*)?)<([^\s<>/!?]+)((?:[^<>"'/]|"[^"]*"|'[^']*')*)/>(\s*)\Z"""
)
_WSU_ID: Final = re.compile(rb'(\swsu:Id=")[^"]*(")')


@dataclass(frozen=True, slots=True)
class SignedBody:
    """A SOAP Body, the ds:Signature over it, and the SHA-256 (hex) of the certificate that the signature carries."""

    body: bytes
    signature: bytes
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document with its enveloped signature, and the SHA-256 (hex) of the certificate that it carries."""

    document: bytes
    certificate_sha256: str


class KzSigner(Protocol):
    """Signs and verifies for the ШЭП; every call raises SignerError and nothing else."""

    async def sign_body(self, body: bytes, *, key: str) -> SignedBody:
        """Sign a standalone SOAP Body by its wsu:Id; a service may choose another Id, which the result then has."""
        ...

    async def sign_document(self, document: bytes, *, key: str, tsp: bool = False) -> SignedDocument:
        """Put an enveloped signature behind everything in the root of ``document``; its other bytes stay.

        With ``tsp`` it has a time stamp.
        """
        ...

    async def encrypt(self, content: bytes, *, certificate: bytes) -> bytes:
        """Return the xenc:EncryptedData of ``content`` for the RSA key of a DER certificate."""
        ...

    async def decrypt(self, data: bytes, *, key: str) -> bytes:
        """Return what an xenc:EncryptedData for our ``key`` holds."""
        ...

    async def verify_envelope(self, message: bytes, *, certificates: Sequence[bytes] = ()) -> SignatureVerdict:
        """Judge the transport signature of a SOAP message; ``certificates`` are those that it may only name."""
        ...

    async def verify_document(self, document: bytes) -> list[SignatureVerdict]:
        """Judge every enveloped signature of a document."""
        ...


def checked_body(body: bytes, signature: bytes, *, renamed: bool = False) -> SignedBody:
    """Return ``body`` with the signature that was returned for it, once its digest and its place are right.

    With ``renamed`` the Id is taken from the signature. Raises SignerError, final.
    """
    try:
        root = parse(signature)
        if root.tag != f"{{{DS}}}Signature":
            raise wrong("вернулась не подпись")
        if renamed:
            reference = root.find(f"{{{DS}}}SignedInfo/{{{DS}}}Reference")
            uri = "" if reference is None else reference.get("URI", "")
            if not re.fullmatch(r"#[A-Za-z_][\w.-]*", uri):
                raise wrong("подписан другой элемент")
            body = _WSU_ID.sub(rb"\g<1>%b\g<2>" % uri[1:].encode(), body, count=1)
        verdict = verify_envelope(_around(body, signature), _algorithms())
    except XmlError:
        raise wrong("подпись не читается") from None
    _check(verdict)
    return SignedBody(body, signature, fingerprint(verdict.certificate))


def checked_document(document: bytes, signature: bytes, *, tsp: bool = False) -> SignedDocument:
    """Return ``document`` with the signature that was returned for it in its root, once its digest is right.

    With ``tsp`` its time stamp has to be right too, as far as this machine can count it. Raises SignerError, final.
    """
    document = _EMPTY_ROOT.sub(
        rb"\1<\2\3></\2>\4", document
    )  # nothing can stand in it; canonical XML writes both alike
    end = document.rfind(b"</")
    if end < 0:
        raise wrong("документ пуст")
    signed = document[:end] + signature + document[end:]
    try:
        verdicts = verify_document(signed, _algorithms())
    except XmlError:
        raise wrong("подпись не читается") from None
    if not verdicts:
        raise wrong("подписи нет")
    _check(verdicts[-1])
    if tsp:
        _check_stamp(verdicts[-1].stamp)
    return SignedDocument(signed, fingerprint(verdicts[-1].certificate))


def certificate_in(signed: SignedDocument) -> bytes:
    """Return the certificate, DER, that the last signature of a document carries. Raises SignerError for none."""
    verdicts = verify_document(signed.document, _algorithms())
    if not verdicts or not verdicts[-1].certificate:
        raise wrong("сертификата нет")
    return verdicts[-1].certificate


def signature_in(message: bytes, *, last: bool) -> bytes:
    """Return the ds:Signature of a message that a service returned whole. Raises SignerError."""
    try:
        found = list(parse(message).iter(f"{{{DS}}}Signature"))
    except XmlError:
        raise wrong("подпись не читается") from None
    if not found:
        raise wrong("подписи нет")
    chosen = found[-1 if last else 0]
    return etree.tostring(chosen, encoding="utf-8", with_tail=False)


def wrong(why: str) -> SignerError:
    """Return the final error of a signature that is not what was asked for; ``why`` is a Russian phrase."""
    return SignerError(Code.SIGNATURE_WRONG, f"{Code.SIGNATURE_WRONG.sentence}: {why}", retryable=False)


def unavailable(why: str) -> SignerError:
    """Return the error of a service that may do it later; ``why`` is a Russian phrase."""
    return SignerError(Code.SIGNATURE_UNAVAILABLE, f"{Code.SIGNATURE_UNAVAILABLE.sentence}: {why}", retryable=True)


def _check(verdict: SignatureVerdict) -> None:
    """Refuse what is over something else; what this machine cannot count is the service's word."""
    if verdict.math or verdict.reason == _UNCOUNTED:
        return
    if verdict.reason == DIGEST_WRONG:
        raise wrong("подписано другое содержимое")
    raise wrong("подпись неверна")


def _check_stamp(stamp: Stamp | None) -> None:
    """Refuse a signature without the time stamp that was asked for, or with a wrong one."""
    if stamp is None:
        raise wrong("метки времени нет")
    if stamp.verdict == "wrong":
        raise wrong("метка времени неверна")


_UNCOUNTED: Final = "the algorithm of this machine is unsupported"


class _Sha256Alone:
    """The arithmetic of a machine without OpenSSL's engine: digests by SHA-256 and no signature values."""

    def digest(self, method: str, data: bytes) -> bytes:
        """Return a SHA-256 digest. Raises UnsupportedAlgorithmError."""
        if method != RSA.digest_method:
            raise UnsupportedAlgorithmError(_UNCOUNTED)
        return hashlib.sha256(data).digest()

    def verify(self, method: str, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Raise UnsupportedAlgorithmError."""
        del method, certificate, data, signature
        raise UnsupportedAlgorithmError(_UNCOUNTED)

    def stamp(self, token: bytes, octets: bytes) -> Stamp:
        """Leave a time stamp to the service's word."""
        del token, octets
        return Stamp("unsupported", reason=_UNCOUNTED)


def _algorithms() -> Algorithms:
    try:
        return KzEngine.open()
    except GostUnavailableError:  # production may run without the engine
        return _Sha256Alone()


def _around(body: bytes, signature: bytes) -> bytes:
    wsse = b"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    return b'<S:Envelope xmlns:S="%b"><S:Header><w:Security xmlns:w="%b">%b</w:Security></S:Header>%b</S:Envelope>' % (
        SOAP.encode(),
        wsse,
        signature,
        body,
    )
