"""GOST R 34.10-2012 key pairs and X.509 certificates for tests and the demo, made in-process by OpenSSL's engine."""

from __future__ import annotations

import ctypes
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from asn1crypto import algos, core, keys, pem, x509

from adapter.signing import libcrypto
from adapter.signing.certificates import read_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adapter.signing.gost import GostEngine

_ALGORITHMS = {256: "1.2.643.7.1.1.1.1", 512: "1.2.643.7.1.1.1.2"}
_SIGNATURES = {256: "1.2.643.7.1.1.3.2", 512: "1.2.643.7.1.1.3.3"}
_USAGE_AUTHORITY = {"key_cert_sign", "crl_sign"}
_USAGE_SIGNER = {"digital_signature", "non_repudiation"}


class KeyGenerationError(RuntimeError):
    """OpenSSL did not make a key; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key (PKCS#8) and its certificate, both in PEM."""

    key: bytes
    certificate: bytes

    @property
    def certificate_der(self) -> bytes:
        """Return the certificate as DER."""
        der: bytes = pem.unarmor(self.certificate)[2]
        return der


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate shall say: ``subject`` by asn1crypto's attribute names, its key size and its period."""

    subject: Mapping[str, str]
    bits: int = 256
    authority: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None


def make_pair(engine: GostEngine, wanted: Wanted, issuer: Pair | None = None) -> Pair:
    """Return a new key pair, certified by ``issuer`` or, without one, by itself. Raises KeyGenerationError."""
    private, public = generate(wanted.bits)
    subject = x509.Name.build(dict(wanted.subject))
    own_id = engine.digest(256, public)[:20]
    if issuer is None:
        signer, signer_bits, issuer_name, issuer_id = private, wanted.bits, subject, own_id
    else:
        facts = read_certificate(issuer.certificate_der)
        signer, signer_bits = issuer.key, engine.key_bits(engine.load_key(issuer.key))
        issuer_name, issuer_id = x509.Name.load(facts.subject), facts.key_identifier or b""
    now = datetime.now(UTC).replace(microsecond=0)
    algorithm = algos.SignedDigestAlgorithm({"algorithm": _SIGNATURES[signer_bits]})
    body = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": secrets.randbits(120) | 1,
            "signature": algorithm,
            "issuer": issuer_name,
            "validity": {
                "not_before": x509.Time({"utc_time": wanted.not_before or now - timedelta(days=1)}),
                "not_after": x509.Time({"utc_time": wanted.not_after or now + timedelta(days=3650)}),
            },
            "subject": subject,
            "subject_public_key_info": keys.PublicKeyInfo.load(public),
            "extensions": _extensions(authority=wanted.authority, own_id=own_id, issuer_id=issuer_id),
        }
    )
    signature = engine.sign(engine.load_key(signer), body.dump())
    certificate = x509.Certificate(
        {"tbs_certificate": body, "signature_algorithm": algorithm, "signature_value": signature}
    )
    return Pair(private, pem.armor("CERTIFICATE", certificate.dump()))


def _extensions(*, authority: bool, own_id: bytes, issuer_id: bytes) -> list[dict[str, object]]:
    usage = x509.KeyUsage(_USAGE_AUTHORITY if authority else _USAGE_SIGNER)
    return [
        {"extn_id": "basic_constraints", "critical": True, "extn_value": x509.BasicConstraints({"ca": authority})},
        {"extn_id": "key_usage", "critical": True, "extn_value": usage},
        {"extn_id": "key_identifier", "extn_value": core.OctetString(own_id)},
        {
            "extn_id": "authority_key_identifier",
            "extn_value": x509.AuthorityKeyIdentifier({"key_identifier": issuer_id}),
        },
    ]


def generate(bits: int) -> tuple[bytes, bytes]:
    """Return a new private key (PKCS#8 PEM, parameter set A) and its SubjectPublicKeyInfo (DER)."""
    library = libcrypto.load()
    return generate_key(library.nid(_ALGORITHMS[bits]), library.engine, b"paramset", b"A")


def generate_key(nid: int, engine: int | None, option: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a new private key (PKCS#8 PEM) and its SubjectPublicKeyInfo (DER); ``nid`` is OpenSSL's algorithm.

    Raises KeyGenerationError.
    """
    library = libcrypto.load()
    crypto = library.functions
    for name in ("EVP_PKEY_CTX_new_id", "EVP_PKEY2PKCS8"):
        getattr(crypto, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(crypto.EVP_PKEY_CTX_new_id(nid, ctypes.c_void_p(engine)))
    key, info = ctypes.c_void_p(), ctypes.c_void_p()
    try:
        made = (
            crypto.EVP_PKEY_keygen_init(context) == 1
            and crypto.EVP_PKEY_CTX_ctrl_str(context, option, value) == 1
            and crypto.EVP_PKEY_keygen(context, ctypes.byref(key)) == 1
        )
        if not made:
            raise KeyGenerationError(library.last_error())
        info = ctypes.c_void_p(crypto.EVP_PKEY2PKCS8(key))
        private = encoded(crypto.i2d_PKCS8_PRIV_KEY_INFO, info)
        return pem.armor("PRIVATE KEY", private), encoded(crypto.i2d_PUBKEY, key)
    finally:
        crypto.PKCS8_PRIV_KEY_INFO_free(info)
        crypto.EVP_PKEY_free(key)
        crypto.EVP_PKEY_CTX_free(context)


def encoded(function: Callable[..., int], handle: ctypes.c_void_p) -> bytes:
    """Return what an i2d function writes for ``handle``."""
    length = function(handle, None)
    if length <= 0:
        raise KeyGenerationError("OpenSSL cannot encode the key")
    buffer = ctypes.create_string_buffer(length)
    # i2d moves the pointer that it is given: hand it one of its own.
    place = ctypes.cast(buffer, ctypes.c_void_p)
    function(handle, ctypes.byref(place))
    return buffer.raw
