"""Time stamp tokens of RFC 3161: whether one is over given bytes, by whom, and when.

Digests and signatures are those of Kazakh certificates (:mod:`adapter.signing.kz`): RSA with SHA-256, and GOST
34.10-2015 of 512 bits in the form that certificates have.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from asn1crypto import cms, tsp, x509

from adapter.signing.certificates import CertificateError, read_certificate
from adapter.signing.gost_cms import CmsError, signer_certificate
from adapter.signing.kz import GOST_2015, RSA
from adapter.xml.stamps import Stamp
from adapter.xml.wssecurity import UnsupportedAlgorithmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asn1crypto import algos

    from adapter.signing.kz import KzEngine

#: Digests by their OIDs, as XML names them.
_DIGESTS: Final = {"2.16.840.1.101.3.4.2.1": RSA.digest_method, "1.2.398.3.10.1.3.3": GOST_2015.digest_method}
# asn1crypto raises these for any malformed structure; its texts print bytes, so only the rule is kept.
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)


class _StampError(ValueError):
    """A token breaks a rule; the text names it and repeats no content."""


def judged(engine: KzEngine, token: bytes, octets: bytes) -> Stamp:
    """Judge a token (DER ContentInfo) over ``octets``; never raises for foreign bytes. Trust is judged apart."""
    certificate, at = b"", ""
    try:
        signed = cms.ContentInfo.load(token, strict=True)["content"]
        (signer,) = signed["signer_infos"]
        told = signed["encap_content_info"]
        info = tsp.TSTInfo.load(bytes(told["content"]), strict=True)
        at = info["gen_time"].native.astimezone(UTC).isoformat()
        certificate = signer_certificate(token)
        _check_imprint(engine, info["message_imprint"], octets)
        _check_attributes(engine, told, signer, certificate)
        _check_value(engine, signer, certificate)
    except UnsupportedAlgorithmError as error:
        return Stamp("unsupported", at, certificate=certificate, reason=error.rule)
    except (_StampError, CmsError) as error:
        return Stamp("wrong", at, certificate=certificate, reason=str(error))
    except _MALFORMED:
        return Stamp("wrong", reason="the time stamp cannot be read")
    return Stamp("right", at, certificate=certificate)


def _check_imprint(engine: KzEngine, imprint: tsp.MessageImprint, octets: bytes) -> None:
    if _digest(engine, imprint["hash_algorithm"], octets) != imprint["hashed_message"].native:
        raise _StampError("the time stamp is over something else")


def _check_value(engine: KzEngine, signer: cms.SignerInfo, certificate: bytes) -> None:
    signed = signer["signed_attrs"].untag().dump()
    if not engine.verify(_method(signer), certificate, signed, signer["signature"].native):
        raise _StampError("the signature of the time stamp is wrong")


def _check_attributes(
    engine: KzEngine, told: cms.EncapsulatedContentInfo, signer: cms.SignerInfo, certificate: bytes
) -> None:
    """Hold the signed attributes to the content and the certificate (RFC 3161, 2.4.2). Raises _StampError."""
    attributes = {attribute["type"].native: attribute["values"] for attribute in signer["signed_attrs"]}
    if len(attributes) != len(signer["signed_attrs"]) or told["content_type"].native != "tst_info":
        raise _StampError("this is no time stamp")
    if attributes["content_type"][0].native != "tst_info":
        raise _StampError("the signed content type is another")
    if attributes["message_digest"][0].native != _digest(engine, signer["digest_algorithm"], bytes(told["content"])):
        raise _StampError("the digest of the time stamp is of other content")
    named = attributes.get("signing_certificate_v2") or attributes["signing_certificate"]
    first = named[0]["certs"][0]
    algorithm = first["hash_algorithm"]["algorithm"].native if "signing_certificate_v2" in attributes else "sha1"
    if first["cert_hash"].native != hashlib.new(algorithm, certificate, usedforsecurity=False).digest():
        raise _StampError("the time stamp names another certificate")


def _digest(engine: KzEngine, algorithm: algos.DigestAlgorithm, data: bytes) -> bytes:
    method = _DIGESTS.get(algorithm["algorithm"].dotted)
    if method is None:
        raise UnsupportedAlgorithmError("the digest algorithm of the time stamp is unsupported")
    return engine.digest(method, data)


def _method(signer: cms.SignerInfo) -> str:
    """Return the XML name of the algorithm by which a token is signed. Raises UnsupportedAlgorithmError."""
    oid = signer["signature_algorithm"]["algorithm"].dotted
    found = next((suite for suite in (RSA, GOST_2015) if oid in {suite.certificate_oid, suite.key_oid}), None)
    if found is None or _DIGESTS.get(signer["digest_algorithm"]["algorithm"].dotted) != found.digest_method:
        raise UnsupportedAlgorithmError("the signature algorithm of the time stamp is unsupported")
    return found.signature_method


def with_trust(engine: KzEngine, stamp: Stamp, anchors: Sequence[bytes]) -> Stamp:
    """Return ``stamp`` with the verdict on its authority: of ``anchors``, for time stamps alone, valid at that moment.

    Without anchors trust stays unchecked. Raises CertificateError for an anchor that cannot be read.
    """
    if not anchors or not stamp.certificate:
        return stamp
    try:
        facts = read_certificate(stamp.certificate)
        usage = x509.Certificate.load(stamp.certificate).extended_key_usage_value
        stamps = usage is not None and usage.native == ["time_stamping"]
        in_force = facts.not_before <= datetime.fromisoformat(stamp.at) <= facts.not_after
    except (CertificateError, *_MALFORMED):
        return replace(stamp, trust="untrusted")
    trusted = stamps and in_force and engine.chain(stamp.certificate, anchors)
    return replace(stamp, trust="trusted" if trusted else "untrusted")
