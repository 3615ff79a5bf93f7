"""Checks of signatures that come back from SIGN_SERVICE, before anything signed leaves (ARCHITECTURE, Security).

A key signs element after element, and its signatures differ in three places only: reference, digest, value. What
stands around them is read once, and known again byte for byte.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Final

from lxml import etree

from adapter.errors import Code, SignerError
from adapter.signing import gost_cms, wire
from adapter.signing.certificates import fingerprint
from adapter.xml.known import KnownTransform
from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import signature_facts

if TYPE_CHECKING:
    from adapter.xml.signature import Gost

_DIGEST_BITS: Final = {32: 256, 64: 512}
#: Bytes of a signature's value by a key of 256 and of 512 bits.
_VALUE_BYTES: Final = frozenset({64, 128})
_REFERENCE: Final = re.compile(rb"#[A-Za-z_][A-Za-z0-9_.-]*")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
#: Put into the three places to see that they are the ones that are read. No service gives such values.
_PROBE: Final = (b"#adapter-probe", binascii.b2a_base64(b"adapter probe", newline=False), b"YWRhcHRlcg==")
#: Frames kept: one per key and form of signature; a service that varies them makes us read each in full.
_MOST_FRAMES: Final = 64

_Frame = tuple[bytes, bytes, bytes, bytes]
_Holes = tuple[bytes, bytes, bytes]


class ReturnedSignatures:
    """Checks what was returned against what was asked for; ``gost``, where there is an engine, adds the digest."""

    def __init__(self, gost: Gost | None) -> None:
        """Nothing is known yet."""
        self._gost = gost
        self._frames: dict[_Frame, str] = {}
        self._known = KnownTransform()

    def check_xml(self, xml: bytes, signature: bytes) -> str:
        """Check reference and digest of ``signature`` by the element ``xml``; return its certificate's fingerprint.

        Raises SignerError, final.
        """
        try:
            reference, digest, certificate = self._facts(signature)
            transformed, identifier = self._transformed(xml)
            if reference != ("" if identifier is None else f"#{identifier}"):
                raise wrong("подписан другой элемент")
            bits = _DIGEST_BITS.get(len(digest))
            if bits is None:
                raise wrong("неизвестный размер хэша")
            if self._gost is not None and self._gost.digest(bits, transformed) != digest:
                raise wrong("подписано другое содержимое")
        except (XmlError, etree.LxmlError):
            raise wrong("подпись не читается") from None
        return certificate

    def _transformed(self, xml: bytes) -> tuple[bytes, str | None]:
        """Return what the signature is over, empty without an engine, and the Id of its root. Raises XmlError."""
        if self._gost is None:
            return b"", parse(xml, max_bytes=wire.MAX_CONTENT).get("Id")
        return self._known.transform(xml, max_bytes=wire.MAX_CONTENT)

    def check_cms(self, data: bytes, signature: bytes) -> str:
        """Check the PKCS#7 ``signature`` over ``data``; return its certificate's fingerprint. Raises SignerError."""
        try:
            if self._gost is not None and not gost_cms.verify(self._gost, signature, data).math:
                raise wrong("подписано другое содержимое")
            return fingerprint(gost_cms.signer_certificate(signature))
        except gost_cms.CmsError:
            raise wrong("подпись не читается") from None

    def check_bare(self, data: bytes, value: bytes, certificate: bytes) -> None:
        """Check the bare signature ``value`` over ``data`` by ``certificate`` (DER). Raises SignerError."""
        if len(value) not in _VALUE_BYTES:
            raise wrong("неизвестный размер значения подписи")
        if self._gost is not None and not self._gost.verify(certificate, data, value):
            raise wrong("подписано другое содержимое или другим ключом")

    def check_digest(self, digest: bytes, signature: bytes) -> str:
        """Check the detached PKCS#7 ``signature`` over content of ``digest``; return its certificate's fingerprint.

        Without an engine all is checked but the signature value itself. Raises SignerError.
        """
        verdict = gost_cms.verify_digest(self._gost or _Unjudged(), signature, digest)
        if not verdict.certificate:
            raise wrong("подпись не читается")
        if not verdict.math:
            raise wrong("подписано другое содержимое")
        return fingerprint(verdict.certificate)

    def _facts(self, signature: bytes) -> tuple[str, bytes, str]:
        """Return reference, digest and fingerprint of the certificate. Raises XmlError."""
        frame, holes = _apart(signature)
        if frame is not None and (known := self._frames.get(frame)) is not None:
            try:
                return holes[0].decode(), binascii.a2b_base64(holes[1], strict_mode=True), known
            except binascii.Error:
                pass  # read in full below, which says what is wrong
        facts = signature_facts(signature)
        certificate = fingerprint(facts.certificate)
        if frame is not None and _reads_holes(frame, facts.certificate):
            if len(self._frames) >= _MOST_FRAMES:
                self._frames.clear()
            self._frames[frame] = certificate
        return facts.reference, facts.digest, certificate


class _Unjudged:
    """Stands in for the engine where there is none: takes a signature value for right, and knows no digest."""

    def digest(self, _bits: int, _data: bytes) -> bytes:
        return b""

    def verify(self, _certificate: bytes, _data: bytes, _signature: bytes) -> bool:
        return True


def _apart(signature: bytes) -> tuple[_Frame | None, _Holes]:
    """Cut a signature into what varies (reference, digest, value) and the frame around it; ``None``: not so simple."""
    before, _, rest = signature.partition(b' URI="')
    reference, _, rest = rest.partition(b'"')
    middle, _, rest = rest.partition(b"DigestValue>")
    digest, _, rest = rest.partition(b"<")
    after, _, rest = rest.partition(b"SignatureValue>")
    value, _, end = rest.partition(b"<")
    plain = _REFERENCE.fullmatch(reference) and _BASE64.fullmatch(digest) and _BASE64.fullmatch(value)
    return (before, middle, after, end) if plain else None, (reference, digest, value)


def _reads_holes(frame: _Frame, certificate: bytes) -> bool:
    """Tell whether reading a signature of this frame reads just what stands in the holes, and this certificate."""
    before, middle, after, end = frame
    reference, digest, value = _PROBE
    probe = b'%b URI="%b"%bDigestValue>%b<%bSignatureValue>%b<%b' % (
        before,
        reference,
        middle,
        digest,
        after,
        value,
        end,
    )
    try:
        facts = signature_facts(probe)
    except (XmlError, etree.LxmlError):
        return False
    return (facts.reference, facts.digest, facts.certificate) == (
        reference.decode(),
        binascii.a2b_base64(digest),
        certificate,
    )


def wrong(why: str) -> SignerError:
    """Return the final error of a signature that is not what was asked for; ``why`` is a Russian phrase."""
    return SignerError(Code.SIGNATURE_WRONG, f"{Code.SIGNATURE_WRONG.sentence}: {why}", retryable=False)
