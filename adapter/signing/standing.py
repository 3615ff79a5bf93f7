"""What is known of a Kazakh certificate beside its signatures: trust, period, revocation, and whose it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asn1crypto import crl, pem, x509

from adapter.signing.certificates import CertificateError, period, read_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from adapter.signing.kz import KzEngine

#: БИН stands in an organisational unit of the subject (facts of ШЭП, Security).
_BIN: Final = re.compile(r"BIN(\d{12})")


@dataclass(frozen=True, slots=True)
class Standing:
    """Verdicts apart: ``trust`` is trusted, untrusted or unchecked; ``period`` valid, expired, not-yet-valid or
    unchecked; ``revocation`` good, revoked or unchecked.
    """  # noqa: D205  — one sentence of three parts

    trust: str = "unchecked"
    period: str = "unchecked"
    revocation: str = "unchecked"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL as it was read; the numbers are serial numbers. Its signature is judged when it is asked."""

    issuer: bytes
    revoked: frozenset[int]
    this_update: datetime
    next_update: datetime | None
    algorithm: str
    signed: bytes
    signature: bytes


def standing(
    engine: KzEngine, certificate: bytes, anchors: Sequence[bytes], lists: Sequence[RevocationList], at: datetime
) -> Standing:
    """Return what is known of a DER certificate at an aware moment; without ``anchors`` trust is unchecked.

    Revocation is told only by a list that is in force and whose issuer's signature is right. Raises CertificateError
    for an anchor that cannot be read.
    """
    try:
        when = period(certificate, at)
    except CertificateError:
        return Standing()
    trusted = engine.chain(certificate, anchors) if anchors else None
    trust = {None: "unchecked", True: "trusted", False: "untrusted"}[trusted]
    return Standing(trust, when, _revocation(engine, certificate, anchors, lists, at))


def read_lists(files: Iterable[bytes]) -> list[RevocationList]:
    """Return the CRLs of files, each DER or PEM. Raises CertificateError."""
    return [_read_list(data) for data in files]


def bin_of(certificate: bytes) -> str:
    """Return the БИН of a DER certificate's owner, empty when it names none or several. Raises CertificateError."""
    read_certificate(certificate)
    subject = x509.Certificate.load(certificate).subject
    units = [
        str(part["value"].native)
        for relative in subject.chosen
        for part in relative
        if part["type"].native == "organizational_unit_name"
    ]
    found = {match[1] for unit in units if (match := _BIN.fullmatch(unit.strip()))}
    return found.pop() if len(found) == 1 else ""


def _revocation(
    engine: KzEngine, certificate: bytes, anchors: Sequence[bytes], lists: Sequence[RevocationList], at: datetime
) -> str:
    facts = read_certificate(certificate)
    verdict = "unchecked"
    for known in lists:
        in_force = known.this_update <= at and (known.next_update is None or at <= known.next_update)
        if known.issuer != facts.issuer or not in_force or not _is_signed(engine, known, anchors):
            continue
        if facts.serial in known.revoked:
            return "revoked"
        verdict = "good"
    return verdict


def _is_signed(engine: KzEngine, known: RevocationList, anchors: Sequence[bytes]) -> bool:
    return any(
        read_certificate(anchor).subject == known.issuer
        and engine.issued(anchor, known.algorithm, known.signed, known.signature)
        for anchor in anchors
    )


def _read_list(data: bytes) -> RevocationList:
    try:
        der = pem.unarmor(data)[2] if pem.detect(data) else data
        found = crl.CertificateList.load(der, strict=True)
        body = found["tbs_cert_list"]
        return RevocationList(
            issuer=body["issuer"].dump(),
            revoked=frozenset(entry["user_certificate"].native for entry in body["revoked_certificates"]),
            this_update=body["this_update"].native,
            next_update=body["next_update"].native,
            algorithm=found["signature_algorithm"]["algorithm"].dotted,
            signed=body.dump(),
            signature=found["signature"].native,
        )
    # asn1crypto raises these for any malformed structure, and its texts print the bytes: only the class is kept.
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise CertificateError(f"not a readable revocation list ({type(error).__name__})") from None
