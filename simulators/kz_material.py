"""RSA and GOST 34.10-2015 key pairs, certificates and revocation lists as in Kazakhstan, for tests and the demo."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from asn1crypto import algos, core, crl, keys, pem, x509

from adapter.signing.certificates import read_certificate
from adapter.signing.kz import GOST_2015, RSA, KzEngine, Suite, spki
from simulators.gost_material import KeyGenerationError, Pair, generate, generate_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RSA_NID = 6
_RSA_BITS = b"2048"
_CURVE = "1.2.398.3.10.1.1.2.2.1"
_DIGEST = "1.2.398.3.10.1.3.3"
_USAGE_AUTHORITY = {"key_cert_sign", "crl_sign"}
_USAGE_SIGNER = {"digital_signature", "non_repudiation"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate shall say: ``subject`` by asn1crypto's attribute names, algorithms and period.

    With ``stamps`` it is for time stamps alone (RFC 3161, 2.3).
    """

    subject: Mapping[str, str]
    suite: Suite = RSA
    authority: bool = False
    stamps: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None


def make_pair(engine: KzEngine, wanted: Wanted, issuer: Pair | None = None) -> Pair:
    """Return a new key pair, certified by ``issuer`` or, without one, by itself. Raises KeyGenerationError."""
    private, public = make_key(wanted.suite)
    subject = x509.Name.build(dict(wanted.subject))
    own_id = hashlib.sha1(public, usedforsecurity=False).digest()
    now = datetime.now(UTC).replace(microsecond=0)
    issuer_name, issuer_id = subject, own_id
    if issuer is not None:
        facts = read_certificate(issuer.certificate_der)
        issuer_name, issuer_id = x509.Name.load(facts.subject), facts.key_identifier or b""
    usage = x509.KeyUsage(_USAGE_AUTHORITY if wanted.authority else _USAGE_SIGNER)
    constraints = x509.BasicConstraints({"ca": wanted.authority})
    extensions: list[dict[str, object]] = [
        {"extn_id": "basic_constraints", "critical": True, "extn_value": constraints},
        {"extn_id": "key_usage", "critical": True, "extn_value": usage},
        {"extn_id": "key_identifier", "extn_value": core.OctetString(own_id)},
        {
            "extn_id": "authority_key_identifier",
            "extn_value": x509.AuthorityKeyIdentifier({"key_identifier": issuer_id}),
        },
    ]
    body: dict[str, object] = {
        "version": "v3",
        "serial_number": secrets.randbits(120) | 1,
        "issuer": issuer_name,
        "validity": {
            "not_before": x509.Time({"utc_time": wanted.not_before or now - timedelta(days=1)}),
            "not_after": x509.Time({"utc_time": wanted.not_after or now + timedelta(days=3650)}),
        },
        "subject": subject,
        "subject_public_key_info": keys.PublicKeyInfo.load(public),
        "extensions": extensions,
    }
    if wanted.stamps:
        purpose = {"extn_id": "extended_key_usage", "critical": True, "extn_value": ["time_stamping"]}
        body["extensions"] = [*extensions, purpose]
    if issuer is None:
        # A certificate of its own needs its key readable by some certificate: an unsigned draft serves.
        draft = _signed_certificate(body, _algorithm(wanted.suite), b"")
        signer = Pair(private, pem.armor("CERTIFICATE", draft))
    else:
        signer = issuer
    key = engine.load_key(signer.key, signer.certificate_der)
    algorithm = _algorithm(key.suite)
    signed = x509.TbsCertificate({**body, "signature": algorithm})
    der = _signed_certificate(body, algorithm, engine.sign(key, signed.dump()))
    return Pair(private, pem.armor("CERTIFICATE", der))


def make_list(
    engine: KzEngine, issuer: Pair, revoked: Sequence[bytes], *, next_update: datetime | None = None
) -> bytes:
    """Return a CRL (DER) of ``issuer`` that names the DER certificates ``revoked``."""
    key = engine.load_key(issuer.key, issuer.certificate_der)
    now = datetime.now(UTC).replace(microsecond=0)
    entries = [
        {"user_certificate": read_certificate(der).serial, "revocation_date": x509.Time({"utc_time": now})}
        for der in revoked
    ]
    body = crl.TbsCertList(
        {
            "version": "v2",
            "signature": _algorithm(key.suite),
            "issuer": x509.Name.load(read_certificate(issuer.certificate_der).subject),
            "this_update": x509.Time({"utc_time": now - timedelta(days=1)}),
            "next_update": x509.Time({"utc_time": next_update or now + timedelta(days=3650)}),
            "revoked_certificates": entries,
        }
    )
    result: bytes = crl.CertificateList(
        {
            "tbs_cert_list": body,
            "signature_algorithm": _algorithm(key.suite),
            "signature": engine.sign(key, body.dump()),
        }
    ).dump()
    return result


def make_key(suite: Suite) -> tuple[bytes, bytes]:
    """Return a new private key (PKCS#8 PEM) and its SubjectPublicKeyInfo (DER). Raises KeyGenerationError."""
    if suite is RSA:
        return generate_key(_RSA_NID, None, b"rsa_keygen_bits", _RSA_BITS)
    if suite is not GOST_2015:
        raise KeyGenerationError(f"no keys are made for {suite.name}")
    private, public = generate(512)
    octets = core.Sequence.load(public)[1].contents[1:]
    return private, spki(GOST_2015.key_oid, _CURVE, _DIGEST, octets)


def _signed_certificate(body: Mapping[str, object], algorithm: algos.SignedDigestAlgorithm, signature: bytes) -> bytes:
    der: bytes = x509.Certificate(
        {
            "tbs_certificate": x509.TbsCertificate({**body, "signature": algorithm}),
            "signature_algorithm": algorithm,
            "signature_value": signature,
        }
    ).dump()
    return der


def _algorithm(suite: Suite) -> algos.SignedDigestAlgorithm:
    if suite is RSA:
        return algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa", "parameters": core.Null()})
    return algos.SignedDigestAlgorithm({"algorithm": suite.certificate_oid})
