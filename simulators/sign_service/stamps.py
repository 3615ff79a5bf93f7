"""A small time stamp authority of RFC 3161 for the reference signing service: RSA with SHA-256, one policy."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import algos, cms, core, tsp, x509

from adapter.signing.certificates import read_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.signing.kz import KzEngine, KzKey

#: Below the arc that ITU-T X.660 keeps for examples.
POLICY: Final = "2.999.3161"
_DIGESTS: Final = frozenset({"sha256", "sha384", "sha512"})
# asn1crypto raises these for any malformed structure.
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError)


class Authority:
    """Stamps by one key, whose certificate is for time stamps alone."""

    def __init__(
        self, engine: KzEngine, key: KzKey, certificate: bytes, clock: Callable[[], datetime] | None = None
    ) -> None:
        """``certificate`` is DER; ``clock`` tells the moment that is stamped."""
        self._engine = engine
        self._key = key
        self._certificate = certificate
        self._clock = clock or (lambda: datetime.now(UTC))

    def answer(self, request: bytes) -> bytes:
        """Return the TimeStampResp (DER) to a TimeStampReq (DER), a rejection for what is none."""
        try:
            asked = tsp.TimeStampReq.load(request, strict=True)
            imprint = asked["message_imprint"]
            name, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
            nonce, policy = asked["nonce"].native, asked["req_policy"].native
            known = name in _DIGESTS and len(digest) == hashlib.new(name).digest_size and policy in {None, POLICY}
        except _MALFORMED:
            return _rejected("bad_data_format")
        if not known:
            return _rejected("bad_alg" if policy in {None, POLICY} else "unaccepted_policy")
        token = cms.ContentInfo.load(self._token(name, digest, nonce))
        granted: bytes = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
        return granted

    def token(self, octets: bytes) -> bytes:
        """Return a time stamp token (DER) over ``octets``."""
        return self._token("sha256", hashlib.sha256(octets).digest(), None)

    def _token(self, name: str, digest: bytes, nonce: int | None) -> bytes:
        info: dict[str, Any] = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": {"hash_algorithm": {"algorithm": name}, "hashed_message": digest},
            "serial_number": secrets.randbits(120) | 1,
            "gen_time": self._clock().astimezone(UTC).replace(microsecond=0),
        }
        content = tsp.TSTInfo(info | ({} if nonce is None else {"nonce": nonce}))
        facts, named = read_certificate(self._certificate), hashlib.sha256(self._certificate).digest()
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [hashlib.sha256(content.dump()).digest()]},
                {
                    "type": "signing_certificate_v2",
                    "values": [tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": named})]})],
                },
            ]
        )
        algorithm = algos.DigestAlgorithm({"algorithm": "sha256"})
        issuer = {"issuer": x509.Name.load(facts.issuer), "serial_number": facts.serial}
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier({"issuer_and_serial_number": issuer}),
                "digest_algorithm": algorithm,
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_rsa", "parameters": core.Null()},
                "signature": self._engine.sign(self._key, attributes.dump()),
            }
        )
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algorithm],
                "encap_content_info": {"content_type": "tst_info", "content": content},
                "certificates": [cms.CertificateChoices("certificate", x509.Certificate.load(self._certificate))],
                "signer_infos": [signer],
            }
        )
        token: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
        return token


def _rejected(why: str) -> bytes:
    """Return a TimeStampResp without a token."""
    status: bytes = tsp.PKIStatusInfo({"status": "rejection", "fail_info": {why}}).dump()
    return bytes([0x30, len(status)]) + status  # asn1crypto takes the token for mandatory
