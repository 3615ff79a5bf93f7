"""PKCS#7 (CMS, RFC 5652) signatures over attachments, by GOST keys.

СМЭВ wants a detached PKCS#7 with one signer and the signed attributes contentType and messageDigest (facts of
СМЭВ3, Attachments); signingTime is what every checker in the field shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from asn1crypto import algos, cms, core, x509

from adapter.signing.certificates import read_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.signing.gost import GostKey

_DIGESTS = {256: "1.2.643.7.1.1.2.2", 512: "1.2.643.7.1.1.2.3"}
_BITS = {oid: bits for bits, oid in _DIGESTS.items()}
_SIGNATURES = {256: "1.2.643.7.1.1.1.1", 512: "1.2.643.7.1.1.1.2"}
# Checkers also meet id-tc26-signwithdigest-gost3410-12-256/512 here: the same key and digest, said together.
_SIGNATURE_BITS = {
    "1.2.643.7.1.1.1.1": 256,
    "1.2.643.7.1.1.1.2": 512,
    "1.2.643.7.1.1.3.2": 256,
    "1.2.643.7.1.1.3.3": 512,
}


class _Verifier(Protocol):
    def digest(self, bits: int, data: bytes) -> bytes: ...
    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool: ...


class _Signer(Protocol):
    def digest(self, bits: int, data: bytes) -> bytes: ...
    def sign(self, key: object, data: bytes) -> bytes: ...


# asn1crypto raises these for any malformed structure; its texts print bytes, so only the rule is kept.
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True)
class CmsVerdict:
    """``math``: one signer's signature is right over exactly the data; else ``reason`` is a short English rule.

    ``certificate`` is the signer's DER (``b""`` when unknown), ``algorithm`` the dotted OID of its signature,
    ``signed_at`` what the signer says of its time (proves nothing).
    """

    math: bool
    reason: str
    certificate: bytes = b""
    algorithm: str = ""
    signed_at: datetime | None = None


class CmsError(ValueError):
    """A PKCS#7 breaks a rule; the text names it and repeats no content."""


def sign(  # noqa: PLR0913  — who, with what, over what, and the two choices PKCS#7 leaves
    engine: _Signer, key: GostKey, certificate: bytes, data: bytes, *, detached: bool, signed_at: datetime | None
) -> bytes:
    """Return the DER ContentInfo. Raises CertificateError."""
    digest = engine.digest(key.bits, data)
    return _signed(engine, key, certificate, digest, enclosed=None if detached else data, signed_at=signed_at)


def sign_digest(
    engine: _Signer, key: GostKey, certificate: bytes, digest: bytes, *, signed_at: datetime | None = None
) -> bytes:
    """Return the DER ContentInfo over content whose GOST R 34.11-2012 ``digest`` has the key's size.

    Raises CertificateError, and CmsError for a digest of another size.
    """
    if len(digest) * 8 != key.bits:
        raise CmsError("the digest is not of the key's size")
    return _signed(engine, key, certificate, digest, enclosed=None, signed_at=signed_at)


def _signed(  # noqa: PLR0913  — who, with what, over what, and the two choices PKCS#7 leaves
    engine: _Signer,
    key: GostKey,
    certificate: bytes,
    digest: bytes,
    *,
    enclosed: bytes | None,
    signed_at: datetime | None,
) -> bytes:
    facts = read_certificate(certificate)
    algorithm = algos.DigestAlgorithm({"algorithm": _DIGESTS[key.bits]})
    attributes = cms.CMSAttributes(
        [
            _attribute("content_type", cms.ContentType("data")),
            _attribute("signing_time", cms.Time({"utc_time": _whole_second(signed_at)})),
            _attribute("message_digest", core.OctetString(digest)),
        ]
    )
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {"issuer_and_serial_number": {"issuer": x509.Name.load(facts.issuer), "serial_number": facts.serial}}
            ),
            "digest_algorithm": algorithm,
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": _SIGNATURES[key.bits]}),
            "signature": engine.sign(key, attributes.dump()),
        }
    )
    content = {"content_type": "data"} if enclosed is None else {"content_type": "data", "content": enclosed}
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [algorithm],
            "encap_content_info": content,
            "certificates": [cms.CertificateChoices("certificate", x509.Certificate.load(certificate))],
            "signer_infos": [signer],
        }
    )
    result: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
    return result


def verify(engine: _Verifier, signature: bytes, data: bytes) -> CmsVerdict:
    """Judge ``signature`` (DER) over ``data``; embedded content, if any, must be ``data`` itself."""

    def is_of(bits: int, signed: bytes, enclosed: bytes | None) -> None:
        if enclosed is not None and enclosed != data:
            raise CmsError("the enclosed content is not the data given")
        if signed != engine.digest(bits, data):
            raise CmsError("the digest is of other data")

    return _judged(engine, signature, is_of)


def verify_digest(engine: _Verifier, signature: bytes, digest: bytes) -> CmsVerdict:
    """Judge ``signature`` (DER) over content of which only the GOST R 34.11-2012 ``digest`` is given.

    The signature has to be by a digest of that size; embedded content, if any, must have it.
    """

    def is_of(bits: int, signed: bytes, enclosed: bytes | None) -> None:
        if len(digest) * 8 != bits:
            raise CmsError("the signature is by a digest of another size")
        if enclosed is not None and engine.digest(bits, enclosed) != digest:
            raise CmsError("the enclosed content is not the data given")
        if signed != digest:
            raise CmsError("the digest is of other data")

    return _judged(engine, signature, is_of)


def _judged(engine: _Verifier, signature: bytes, is_of: Callable[[int, bytes, bytes | None], None]) -> CmsVerdict:
    """Judge ``signature``; ``is_of`` is given digest size, signed digest and embedded content. It raises CmsError."""
    certificate, algorithm, signed_at = b"", "", None
    try:
        signed, signer = _open(signature)
        certificate = _certificate_of(signed, signer)
        algorithm = signer["signature_algorithm"]["algorithm"].dotted
        attributes = {attribute["type"].native: attribute["values"] for attribute in signer["signed_attrs"]}
        signed_at = _time_of(attributes)
        is_of(*_checked(signed, signer, attributes))
        right = engine.verify(certificate, signer["signed_attrs"].untag().dump(), signer["signature"].native)
    except CmsError as wrong:
        return CmsVerdict(False, str(wrong), certificate, algorithm, signed_at)  # noqa: FBT003  — the field is named math
    except _MALFORMED:
        return CmsVerdict(False, "not a readable PKCS#7 signature", certificate, algorithm)  # noqa: FBT003  — same
    return CmsVerdict(right, "" if right else "the signature value is wrong", certificate, algorithm, signed_at)


def digest_bits(signature: bytes) -> int | None:
    """Return the size of the digest that a PKCS#7 says it is over; ``None`` for another digest or no PKCS#7."""
    try:
        signer = cms.ContentInfo.load(signature)["content"]["signer_infos"][0]
        return _BITS.get(signer["digest_algorithm"]["algorithm"].dotted)
    except _MALFORMED:
        return None


def signer_certificate(signature: bytes) -> bytes:
    """Return the DER certificate that the one signer of a DER PKCS#7 names. Raises CmsError; verifies nothing."""
    try:
        return _certificate_of(*_open(signature))
    except CmsError:
        raise
    except _MALFORMED:
        raise CmsError("not a readable PKCS#7 signature") from None


def _open(signature: bytes) -> tuple[cms.SignedData, cms.SignerInfo]:
    info = cms.ContentInfo.load(signature, strict=True)
    if info["content_type"].native != "signed_data":
        raise CmsError("not a PKCS#7 signature")
    signed = info["content"]
    if len(signed["signer_infos"]) != 1:
        raise CmsError("not exactly one signer")
    return signed, signed["signer_infos"][0]


def _certificate_of(signed: cms.SignedData, signer: cms.SignerInfo) -> bytes:
    """Return the embedded certificate that the signer's identifier names."""
    wanted = signer["sid"]
    for choice in signed["certificates"]:
        if choice.name != "certificate":
            continue
        der: bytes = choice.chosen.dump()
        facts = read_certificate(der)
        if wanted.name == "subject_key_identifier":
            if facts.key_identifier == wanted.chosen.native:
                return der
        elif (facts.issuer, facts.serial) == (wanted.chosen["issuer"].dump(), wanted.chosen["serial_number"].native):
            return der
    raise CmsError("the signer's certificate is not enclosed")


def _checked(
    signed: cms.SignedData, signer: cms.SignerInfo, attributes: dict[str, cms.SetOf]
) -> tuple[int, bytes, bytes | None]:
    """Check algorithms and attributes; return digest size, signed digest and enclosed content. Raises CmsError."""
    bits = _BITS.get(signer["digest_algorithm"]["algorithm"].dotted)
    if bits is None or _SIGNATURE_BITS.get(signer["signature_algorithm"]["algorithm"].dotted) != bits:
        raise CmsError("not a GOST R 34.10-2012 signature")
    if len(attributes) != len(signer["signed_attrs"]):
        raise CmsError("a signed attribute is repeated")
    for name in ("content_type", "message_digest"):
        if name not in attributes or len(attributes[name]) != 1:
            raise CmsError(f"the signed attribute {name} is missing or repeated")
    content = signed["encap_content_info"]
    if attributes["content_type"][0].native != content["content_type"].native:
        raise CmsError("the signed content type is another")
    return bits, attributes["message_digest"][0].native, content["content"].native


def _time_of(attributes: dict[str, cms.SetOf]) -> datetime | None:
    values = attributes.get("signing_time")
    if not values:
        return None
    moment: datetime = values[0].native
    return moment


def _attribute(kind: str, value: core.Asn1Value) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": [value]})


def _whole_second(moment: datetime | None) -> datetime:
    return (moment or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
