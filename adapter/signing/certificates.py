"""What the adapter reads from an X.509 certificate, by asn1crypto (``cryptography`` knows no GOST keys).

Input is DER; a certificate that cannot be read raises :class:`CertificateError`, whose text names the rule only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from asn1crypto import algos, core, pem, x509

if TYPE_CHECKING:
    from datetime import datetime

_KEY_NAMES = {
    "1.2.643.2.2.19": "GOST R 34.10-2001",
    "1.2.643.7.1.1.1.1": "GOST R 34.10-2012-256",
    "1.2.643.7.1.1.1.2": "GOST R 34.10-2012-512",
}


class CertificateError(ValueError):
    """Bytes that should be a DER certificate are not."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The parts of a certificate that verdicts need; names are DER, so that they compare byte for byte.

    ``public_key`` is the SubjectPublicKeyInfo, ``signed`` the TBSCertificate, ``signature`` the issuer's signature
    over it. ``may_issue`` is true for a CA certificate whose key usage, if any, allows signing certificates.
    """

    subject: bytes
    issuer: bytes
    serial: int
    key_identifier: bytes | None
    public_key: bytes
    algorithm: str
    signed: bytes
    signature: bytes
    not_before: datetime
    not_after: datetime
    may_issue: bool
    subject_text: str


# asn1crypto raises these for any malformed structure, and its texts print the bytes: only the class is kept.
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)


@lru_cache(maxsize=256)
def read_public_key(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of one DER certificate, whatever its names and extensions are.

    Raises CertificateError.
    """
    try:
        info: bytes = x509.Certificate.load(der, strict=True)["tbs_certificate"]["subject_public_key_info"].dump()
    except _MALFORMED as error:
        raise CertificateError(f"not a readable X.509 certificate ({type(error).__name__})") from None
    return info


@lru_cache(maxsize=256)
def read_certificate(der: bytes) -> CertificateFacts:
    """Return the facts of one DER certificate. Raises CertificateError.

    A name that cannot be shown has an empty text, and a certificate whose extensions cannot be read issues nothing:
    authorities do write such, and a signature by their keys is as right as any.
    """
    try:
        certificate = x509.Certificate.load(der, strict=True)
        tbs = certificate["tbs_certificate"]
        public_key = tbs["subject_public_key_info"].dump()
        # asn1crypto's PublicKeyInfo raises for algorithms it does not know: read the identifier by itself.
        key_oid = algos.AlgorithmIdentifier.load(core.Sequence.load(public_key)[0].dump())["algorithm"].dotted
        key_identifier, may_issue = _extensions(certificate)
        return CertificateFacts(
            subject=tbs["subject"].dump(),
            issuer=tbs["issuer"].dump(),
            serial=certificate.serial_number,
            key_identifier=key_identifier,
            public_key=public_key,
            algorithm=_KEY_NAMES.get(key_oid, key_oid),
            signed=tbs.dump(),
            signature=certificate["signature_value"].native,
            not_before=tbs["validity"]["not_before"].native,
            not_after=tbs["validity"]["not_after"].native,
            may_issue=may_issue,
            subject_text=_text(certificate.subject),
        )
    except _MALFORMED as error:
        raise CertificateError(f"not a readable X.509 certificate ({type(error).__name__})") from None


def _extensions(certificate: x509.Certificate) -> tuple[bytes | None, bool]:
    """Return the key identifier and whether the certificate may issue others."""
    try:
        constraints = certificate.basic_constraints_value
        usage = certificate.key_usage_value
        may_issue = bool(constraints and constraints["ca"].native)
        may_issue = may_issue and (usage is None or "key_cert_sign" in usage.native)
        identifier: bytes | None = certificate.key_identifier
    except _MALFORMED:
        return None, False
    return identifier, may_issue


def _text(name: x509.Name) -> str:
    try:
        return str(name.human_friendly)
    except _MALFORMED:
        return ""


def period(certificate: bytes, at: datetime) -> str:
    """Return ``valid``, ``expired`` or ``not-yet-valid`` of a DER certificate at an aware ``at``.

    Raises CertificateError.
    """
    facts = read_certificate(certificate)
    if at < facts.not_before:
        return "not-yet-valid"
    return "expired" if at > facts.not_after else "valid"


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a DER certificate in lower-case hex: how the journal and the contract name it."""
    return hashlib.sha256(certificate).hexdigest()


def certificates_of(data: bytes) -> list[bytes]:
    """Return every certificate of a file as DER: one DER certificate, or any number in PEM. Raises CertificateError."""
    if not pem.detect(data):
        read_certificate(data)
        return [data]
    try:
        found = [der for kind, _, der in pem.unarmor(data, multiple=True) if kind == "CERTIFICATE"]
    except ValueError:
        raise CertificateError("not a readable PEM file") from None
    for der in found:
        read_certificate(der)
    if not found:
        raise CertificateError("the file holds no certificate")
    return found
