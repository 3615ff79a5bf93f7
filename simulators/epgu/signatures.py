"""Detached PKCS#7 signatures by GOST keys: is it right, and is its certificate one to be trusted now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asn1crypto import x509

from adapter.signing import gost_cms
from adapter.signing.certificates import CertificateError, certificates_of, period, read_certificate
from simulators.epgu.streebog import StreamDigests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from adapter.signing.gost import GostEngine
    from adapter.signing.gost_cms import CmsVerdict


class SignatureError(ValueError):
    """A signature is no good; the text is the reason."""


class SignatureDesk:
    """Judges signatures against one set of anchors."""

    def __init__(self, gost: GostEngine, keys: Path, anchors: Sequence[bytes]) -> None:
        """``keys`` holds the certificates that systems are registered with; ``anchors`` are DER."""
        self._gost = gost
        self._keys = keys
        self._anchors = tuple(anchors)

    def certificate(self, name: str) -> bytes:
        """Return a registered certificate (DER) of the key folder. Raises OSError, CertificateError."""
        return certificates_of((self._keys / f"{name}.crt.pem").read_bytes())[0]

    def thumbprint(self, certificate: bytes) -> str:
        """Return the Streebog-256 digest of a certificate, as client_certificate_hash names it: upper-case hex."""
        return self._gost.digest(256, certificate).hex().upper()

    def check(self, signature: bytes, data: bytes, now: datetime) -> bytes:
        """Return the certificate (DER) of the one who signed ``data``. Raises SignatureError."""
        return self._judge(self._gost.verify_cms(signature, data), now)

    def check_stream(self, signature: bytes, data: BinaryIO, now: datetime) -> bytes:
        """Judge like :meth:`check` over what ``data`` gives, read in pieces. Raises SignatureError."""
        return self._judge(gost_cms.verify(StreamDigests(self._gost, data), signature, b""), now)

    def check_raw(self, certificate: bytes, data: bytes, signature: bytes, now: datetime) -> None:
        """Judge a bare signature value. Raises SignatureError."""
        if not self._gost.verify(certificate, data, signature):
            raise SignatureError("the signature value is wrong")
        self._trust(certificate, now)

    def _judge(self, verdict: CmsVerdict, now: datetime) -> bytes:
        if not verdict.math:
            raise SignatureError(verdict.reason)
        self._trust(verdict.certificate, now)
        return verdict.certificate

    def _trust(self, certificate: bytes, now: datetime) -> None:
        try:
            known, state = self._gost.chain(certificate, self._anchors), period(certificate, now)
        except CertificateError:
            known, state = False, ""
        if not known:
            raise SignatureError("the certificate is not one of a trusted authority")
        if state != "valid":
            raise SignatureError(f"the certificate is {state}")


def names_organisation(certificate: bytes) -> bool:
    """Tell whether a certificate (DER, readable) says whose organisation its holder belongs to."""
    return bool(x509.Name.load(read_certificate(certificate).subject).native.get("organization_name"))
