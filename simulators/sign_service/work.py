"""What the service does with one item: sign or verify. No HTTP, no event loop; runs in a thread when much comes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lxml import etree

from adapter.signing import gost_cms
from adapter.signing.certificates import CertificateError, period, read_certificate
from adapter.signing.streebog import BITS
from adapter.signing.wire import (
    MAX_CONTENT,
    Fault,
    Refusal,
    SignDigestItem,
    SignedItem,
    SignItem,
    Verdict,
    VerifiedItem,
    VerifyCmsItem,
    VerifyDigestItem,
    VerifyXmlItem,
)
from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import sign_element, verify_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapter.signing.gost import CmsVerdict, GostEngine
    from simulators.sign_service.keyring import Keyring, ServedKey


class RefusedError(Exception):
    """An item or a call is refused; ``message`` is English and repeats no content."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        """``refusal`` gives code and HTTP status."""
        super().__init__(message)
        self.refusal = refusal
        self.message = message

    def fault(self) -> Fault:
        """Return the wire form."""
        return Fault(status=self.refusal.status, code=self.refusal.code, message=self.message)


class Workshop:
    """Signs with the keys of one keyring and verifies against its anchors."""

    def __init__(self, engine: GostEngine, keyring: Keyring, clock: Callable[[], datetime] | None = None) -> None:
        """``clock`` gives an aware now for periods and signing times."""
        self._engine = engine
        self._keyring = keyring
        self._clock = clock or (lambda: datetime.now(UTC))

    def sign(self, items: Sequence[SignItem], holder: ServedKey) -> list[SignedItem]:
        """Sign every item of the key ``holder``, whose token came with the call; others get an error of their own."""
        return [self._sign_or_refuse(item, holder) for item in items]

    def verify(
        self, items: Sequence[VerifyXmlItem | VerifyCmsItem], trust: Sequence[bytes] | None
    ) -> list[VerifiedItem]:
        """Judge every item; ``trust`` are the call's anchors, ``None`` takes the service's own.

        Raises RefusedError for an anchor that is no certificate: judging without it would be another judgement.
        """
        anchors = self._anchors(trust)
        return [self._verify_or_refuse(item, anchors) for item in items]

    def _anchors(self, trust: Sequence[bytes] | None) -> Sequence[bytes]:
        anchors = self._keyring.anchors if trust is None else tuple(trust)
        try:
            for anchor in anchors:
                read_certificate(anchor)
        except CertificateError:
            raise RefusedError(Refusal.MALFORMED_REQUEST, "an anchor in trust is no DER certificate") from None
        return anchors

    def sign_digests(self, items: Sequence[SignDigestItem], holder: ServedKey) -> list[SignedItem]:
        """Sign every digest of the key ``holder``; others get an error of their own."""
        return [self._sign_or_refuse(item, holder) for item in items]

    def verify_digests(self, items: Sequence[VerifyDigestItem], trust: Sequence[bytes] | None) -> list[VerifiedItem]:
        """Judge every item as :meth:`verify` does. Raises RefusedError for an anchor that is no certificate."""
        anchors = self._anchors(trust)
        return [self._verify_or_refuse(item, anchors) for item in items]

    def _sign_or_refuse(self, item: SignItem | SignDigestItem, holder: ServedKey) -> SignedItem:
        try:
            served = self._keyring.keys.get(item.key)
            if served is None:
                raise RefusedError(Refusal.UNKNOWN_KEY, "no key of this name")  # noqa: TRY301  — one place answers
            if served is not holder:
                raise RefusedError(Refusal.KEY_FORBIDDEN, "the token is not of this key")  # noqa: TRY301  — same
            signature = self._signature(item, served)
        except RefusedError as refused:
            return SignedItem(error=refused.fault())
        return SignedItem(signature=signature, certificate_sha256=served.fingerprint)

    def _signature(self, item: SignItem | SignDigestItem, served: ServedKey) -> bytes:
        if isinstance(item, SignDigestItem):
            return self._digest(item, served)
        _bounded(item.content)
        make = {"smev3-xml": self._xml, "cms": self._cms, "bare": self._bare}[item.kind]
        return make(item, served)

    def _bare(self, item: SignItem, served: ServedKey) -> bytes:
        if "bare" not in served.allowed:
            raise RefusedError(Refusal.NOT_ALLOWED, "this key may not give bare signature values")
        return self._engine.sign(served.key, item.content)

    def _digest(self, item: SignDigestItem, served: ServedKey) -> bytes:
        if "cms-digest" not in served.allowed:
            raise RefusedError(Refusal.NOT_ALLOWED, "this key may not sign digests")
        _of_its_size(item)
        if BITS[item.algorithm] != served.key.bits:
            raise RefusedError(Refusal.WRONG_DIGEST, "the digest is not of the key's size")
        return gost_cms.sign_digest(self._engine, served.key, served.certificate, item.digest, signed_at=self._clock())

    def _xml(self, item: SignItem, served: ServedKey) -> bytes:
        try:
            root = etree.QName(parse(item.content, max_bytes=MAX_CONTENT))
            if not served.may_sign(root.namespace or "", root.localname):
                raise RefusedError(Refusal.NOT_ALLOWED, "this key may not sign this root element")
            return sign_element(
                item.content, self._engine, served.key, served.certificate, self._engine.key_bits(served.key)
            )
        except XmlError:
            raise RefusedError(Refusal.NOT_XML, "not an XML element that can be signed") from None

    def _cms(self, item: SignItem, served: ServedKey) -> bytes:
        if "cms" not in served.allowed:
            raise RefusedError(Refusal.NOT_ALLOWED, "this key may not sign attachments")
        return self._engine.sign_cms(served.key, served.certificate, item.content, signed_at=self._clock())

    def _verify_or_refuse(
        self, item: VerifyXmlItem | VerifyCmsItem | VerifyDigestItem, anchors: Sequence[bytes]
    ) -> VerifiedItem:
        try:
            _bounded(item.content)
            if isinstance(item, VerifyXmlItem):
                return VerifiedItem(verdicts=self._xml_verdicts(item.content, anchors))
            if isinstance(item, VerifyDigestItem):
                _of_its_size(item)
                verdict = gost_cms.verify_digest(self._engine, item.content, item.digest)
            else:
                _bounded(item.data)
                verdict = self._engine.verify_cms(item.content, item.data)
            return VerifiedItem(verdicts=[self._cms_verdict(verdict, anchors)])
        except RefusedError as refused:
            return VerifiedItem(error=refused.fault())

    def _xml_verdicts(self, message: bytes, anchors: Sequence[bytes]) -> list[Verdict]:
        try:
            found = verify_message(message, self._engine)
        except XmlError:
            raise RefusedError(Refusal.NOT_XML, "not an XML document that can be verified") from None
        return [
            Verdict(
                reference=verdict.reference,
                element=verdict.element,
                parent=verdict.parent,
                math=verdict.math,
                reason=verdict.reason,
                algorithm=verdict.algorithm,
                certificate=verdict.certificate,
                **self._standing(verdict.certificate, anchors),
            )
            for verdict in found
        ]

    def _cms_verdict(self, verdict: CmsVerdict, anchors: Sequence[bytes]) -> Verdict:
        return Verdict(
            reference="",
            element="",
            parent="",
            math=verdict.math,
            reason=verdict.reason,
            algorithm=verdict.algorithm,
            certificate=verdict.certificate,
            **self._standing(verdict.certificate, anchors),
        )

    def _standing(self, certificate: bytes, anchors: Sequence[bytes]) -> dict[str, str]:
        """Return trust, period and revocation of a signer; the reference service knows no revocation lists."""
        try:
            when = period(certificate, self._clock())
            trust = "unchecked" if not anchors else self._trust(certificate, anchors)
        except CertificateError:
            return {"trust": "unchecked", "period": "unchecked", "revocation": "unchecked"}
        return {"trust": trust, "period": when, "revocation": "unchecked"}

    def _trust(self, certificate: bytes, anchors: Sequence[bytes]) -> str:
        return "trusted" if self._engine.chain(certificate, anchors) else "untrusted"


def _bounded(content: bytes) -> None:
    if len(content) > MAX_CONTENT:
        raise RefusedError(Refusal.TOO_LARGE, f"an item holds at most {MAX_CONTENT} bytes")


def _of_its_size(item: SignDigestItem | VerifyDigestItem) -> None:
    if len(item.digest) * 8 != BITS[item.algorithm]:
        raise RefusedError(Refusal.WRONG_DIGEST, "the digest is not of its algorithm's size")
