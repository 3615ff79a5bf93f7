"""Transport signatures by a service's level: sign what goes out, judge what came in (order № 104, Приложение 8).

Verdicts are kept apart: the signature, the chain, the period, revocation, and whose the certificate is (БИН in
OU=BIN…). Before any service is asked, the signature has to stand over the very Body that is read: no service's word
helps a message that was wrapped.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from lxml import etree

from adapter.errors import Code, KnownError
from adapter.gateways.shep.calls import service_of
from adapter.gateways.shep.messages import MESSAGE_LIMIT, SEALED, Message, MessageError, body, envelope, read
from adapter.gateways.shep.options import Cipher, Level, Profile
from adapter.signing.certificates import CertificateError
from adapter.signing.kz_signer import wrong
from adapter.signing.standing import bin_of
from adapter.xml.encryption import parts_of, with_service
from adapter.xml.parser import XmlError, parse
from adapter.xml.wssecurity import UNSIGNED, MisplacedError, find_signature, is_unsupported, soap_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.signing.kz_signer import KzSigner
    from adapter.xml.signature import SignatureVerdict

_UNCHECKED: Final = "unchecked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a message's transport signature.

    ``signature`` is none, right, wrong or unsupported; ``chain`` trusted, untrusted or unchecked; ``period`` valid,
    expired, not-yet-valid or unchecked; ``revocation`` good, revoked or unchecked; ``owner`` right, wrong or unchecked
    (the certificate's БИН against the expected one). ``reason`` is a short English rule.
    """

    signature: str
    chain: str = _UNCHECKED
    period: str = _UNCHECKED
    revocation: str = _UNCHECKED
    owner: str = _UNCHECKED
    reason: str = ""
    algorithm: str = ""
    certificate_sha256: str = ""

    def facts(self) -> Mapping[str, Any]:
        """Return the verdicts as plain facts for the journal and for ``error.details``."""
        return {
            "signature": self.signature,
            "chain": self.chain,
            "period": self.period,
            "revocation": self.revocation,
            "bin": self.owner,
            "reason": self.reason,
            "algorithm": self.algorithm,
            "certificate_sha256": self.certificate_sha256,
        }


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An envelope ready to leave, and the SHA-256 fingerprints of the certificates that signed it."""

    envelope: bytes
    signed_by: tuple[str, ...] = ()


class TransportSecurity:
    """Signs with one key and judges by one set of expectations."""

    def __init__(
        self,
        signer: KzSigner,
        *,
        key: str,
        expected_bin: str = "",
        certificates: Sequence[bytes] = (),
        cipher: Cipher | None = None,
    ) -> None:
        """``expected_bin`` is the БИН of whoever signs what comes in, empty when any will do.

        ``certificates`` are DER, for messages that only name theirs. ``cipher`` is for services that want encryption.
        """
        self._cipher = cipher
        self._signer = signer
        self._key = key
        self._expected_bin = expected_bin
        self._certificates = tuple(certificates)

    async def outgoing(self, payload: bytes, level: Level, *, sealed_for: str = "") -> Outgoing:
        """Return the envelope around ``payload``, signed at level 2. Raises SignerError.

        With ``sealed_for``, a serviceId, the payload is encrypted first; that name alone stays readable.
        """
        if sealed_for:
            payload = with_service(await self._sealed(payload), sealed_for)
        if level < Level.BOTH:
            return Outgoing(envelope(body(payload)))
        return await self.signed(payload)

    async def signed(self, payload: bytes) -> Outgoing:
        """Return the signed envelope around ``payload``: over the Body, no timestamp (rule 23). Raises SignerError."""
        signed = await self._signer.sign_body(body(payload, f"id-{uuid4()}"), key=self._key)
        return Outgoing(envelope(signed.body, signed.signature), (signed.certificate_sha256,))

    async def opened(self, message: Message) -> Message:
        """Return what a sealed message says, ``raw`` being what came. Its signature has to be judged before.

        Raises SignerError, or MessageError for what cannot be read, or is of another service than it says for all.
        """
        cipher = self._need_cipher()
        body_of = soap_body(parse(message.raw, max_bytes=MESSAGE_LIMIT))
        data = etree.tostring(body_of[0], encoding="utf-8", with_tail=False)
        found = read(envelope(body(await self._signer.decrypt(data, key=cipher.key))))
        if found.part == SEALED or service_of(found.values) not in {None, message.values["service_id"]}:
            raise MessageError("the encrypted message is of another service than it names")
        return replace(found, raw=message.raw)

    async def _sealed(self, payload: bytes) -> bytes:
        sealed = await self._signer.encrypt(payload, certificate=self._need_cipher().certificate)
        try:
            parts_of(sealed)
        except XmlError:
            raise wrong("вернулось не шифрованное содержимое") from None
        return sealed

    def _need_cipher(self) -> Cipher:
        if self._cipher is None:
            raise wrong("не задан сертификат шлюза для шифрования")
        return self._cipher

    async def judge(self, raw: bytes, level: Level, *, expected_bin: str | None = None) -> Judgement:
        """Judge the message ``raw``; at level 0 nothing is looked at. Raises SignerError.

        ``expected_bin`` takes the place of the one given at the start.
        """
        if level is Level.NONE:
            return Judgement("none")
        try:
            found = find_signature(parse(raw))
        except MisplacedError as error:
            return Judgement("wrong", reason=error.rule)
        except XmlError as error:
            return Judgement("unsupported", reason=error.rule)
        if found is None:
            return Judgement("none", reason=UNSIGNED)
        verdict = await self._signer.verify_envelope(raw, certificates=self._certificates)
        if verdict.math and verdict.reference != found.reference:
            return Judgement("wrong", reason="another signature was judged than the one over the Body")
        return _judgement(verdict, self._expected_bin if expected_bin is None else expected_bin)


def refusal(judgement: Judgement, profile: Profile) -> KnownError | None:
    """Return why a message is not believed under ``profile``, ``None`` when it is."""
    if profile.level is Level.NONE:
        return None
    details = dict(judgement.facts())
    if judgement.signature == "unsupported":
        return KnownError(Code.UNSUPPORTED_ALGORITHM, details={"rule": judgement.reason, **details})
    revoked = judgement.revocation == "revoked" or (judgement.revocation == _UNCHECKED and not profile.soft_revocation)
    believed = (
        judgement.signature == "right"
        and judgement.chain == "trusted"
        and judgement.period == "valid"
        and judgement.owner != "wrong"
        and not revoked
    )
    return None if believed else KnownError(Code.GATEWAY_SIGNATURE, details=details)


def _judgement(verdict: SignatureVerdict, expected_bin: str) -> Judgement:
    owner = _UNCHECKED
    if verdict.certificate and expected_bin:
        try:
            owner = "right" if bin_of(verdict.certificate) == expected_bin else "wrong"
        except CertificateError:
            owner = "wrong"
    signature = "right" if verdict.math else "unsupported" if is_unsupported(verdict.reason) else "wrong"
    return Judgement(
        signature=signature,
        chain=verdict.trust,
        period=verdict.period,
        revocation=verdict.revocation,
        owner=owner,
        reason=verdict.reason,
        algorithm=verdict.algorithm,
        certificate_sha256=hashlib.sha256(verdict.certificate).hexdigest() if verdict.certificate else "",
    )
