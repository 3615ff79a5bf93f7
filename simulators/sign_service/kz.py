"""The service's calls for the ШЭП, /v1/kz/*: RSA and GOST 34.10-2015 over SOAP Bodies and whole documents.

Its keys are in DIR/kz, made by ``python -m simulators.shep.keys DIR``; without that folder there are no such calls.
Revocation is told by the lists (*.crl) of that folder; time stamps are made by its pair ``stamps``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapter.signing.certificates import CertificateError, certificates_of, fingerprint, read_certificate
from adapter.signing.gost import KeyUnreadableError
from adapter.signing.kz_stamps import with_trust
from adapter.signing.kz_wire import (
    KzCertificatesAnswer,
    KzContentAnswer,
    KzContentItem,
    KzDecryptItem,
    KzDecryptRequest,
    KzEncryptItem,
    KzEncryptRequest,
    KzKeyEntry,
    KzSignItem,
    KzSignRequest,
    KzVerifyRequest,
)
from adapter.signing.standing import read_lists, standing
from adapter.signing.wire import (
    MAX_CONTENT,
    Refusal,
    SignAnswer,
    SignedItem,
    Verdict,
    VerifiedItem,
    VerifyAnswer,
)
from adapter.xml.parser import XmlError, parse
from adapter.xml.stamps import stamped
from adapter.xml.wssecurity import SOAP, Names, body_signature, document_signature, verify_document, verify_envelope
from simulators.kz_cipher import CipherError, decrypt, encrypt
from simulators.shep.keys import FOLDER, SERVED, read_pair
from simulators.sign_service.keyring import KeyringError
from simulators.sign_service.stamps import Authority
from simulators.sign_service.work import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from adapter.signing.kz import KzEngine, KzKey
    from adapter.signing.kz_wire import KzVerifyItem
    from adapter.xml.signature import SignatureVerdict


_Call = TypeVar("_Call", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class _Served:
    name: str
    key: KzKey
    certificate: bytes
    token: str = field(repr=False)

    @property
    def allowed(self) -> tuple[str, ...]:
        """An official signs documents and no message of the system; the key that opens messages signs nothing."""
        if "cipher" in self.name:
            return ("decrypt",)
        return ("xml",) if "official" in self.name else ("wsse", "xml")


class KzWorkshop:
    """Signs with the keys of one folder and judges by its authority and revocation lists."""

    def __init__(self, folder: Path, engine: KzEngine, clock: Callable[[], datetime] | None = None) -> None:
        """Raises KeyringError for a folder that cannot be served."""
        self._engine = engine
        self._clock = clock or (lambda: datetime.now(UTC))
        try:
            tokens = json.loads((folder / "tokens.json").read_text("utf-8"))
            self._keys = {name: self._read(folder, name, tokens[name]) for name in SERVED}
            self._anchors = certificates_of((folder / "ca.crt.pem").read_bytes())
            self._lists = read_lists(path.read_bytes() for path in sorted(folder.glob("*.crl")))
            stamps = read_pair(folder, "stamps")
            key = engine.load_key(stamps.key, stamps.certificate_der)
            self._authority = Authority(engine, key, stamps.certificate_der, clock)
        except (OSError, ValueError, KeyError, CertificateError, KeyUnreadableError) as error:
            raise KeyringError(f"{folder} cannot be served ({type(error).__name__})") from error

    def _read(self, folder: Path, name: str, token: str) -> _Served:
        pair = read_pair(folder, name)
        key = self._engine.load_key(pair.key, pair.certificate_der)
        return _Served(name, key, pair.certificate_der, token)

    def holder(self, token: str) -> _Served | None:
        """Return the key that ``token`` belongs to; every token is compared, in constant time."""
        found, given = None, token.encode("utf-8", "surrogateescape")
        for served in self._keys.values():
            if hmac.compare_digest(served.token.encode(), given):
                found = served
        return found

    def sign(self, items: Sequence[KzSignItem], holder: _Served) -> list[SignedItem]:
        """Sign every item of the key ``holder``; others get an error of their own."""
        return [self._signed(item, holder) for item in items]

    def verify(self, items: Sequence[KzVerifyItem], trust: Sequence[bytes] | None) -> list[VerifiedItem]:
        """Judge every item; ``trust`` are the call's anchors, ``None`` takes the folder's authority."""
        anchors = self._anchors if trust is None else list(trust)
        try:
            for anchor in anchors:
                read_certificate(anchor)
        except CertificateError:
            raise RefusedError(Refusal.MALFORMED_REQUEST, "an anchor in trust is no DER certificate") from None
        return [self._verified(item, anchors) for item in items]

    def encrypt(self, items: Sequence[KzEncryptItem]) -> list[KzContentItem]:
        """Encrypt every item for its certificate."""
        return [_content(partial(self._encrypted, item)) for item in items]

    def decrypt(self, items: Sequence[KzDecryptItem], holder: _Served) -> list[KzContentItem]:
        """Decrypt every item of the key ``holder``; others get an error of their own."""
        return [_content(partial(self._decrypted, item, holder)) for item in items]

    @staticmethod
    def _encrypted(item: KzEncryptItem) -> bytes:
        _bounded(item.content)
        try:
            return encrypt(item.content, item.certificate)
        except (CertificateError, CipherError):
            raise RefusedError(Refusal.MALFORMED_REQUEST, "no certificate of an RSA key") from None

    def _decrypted(self, item: KzDecryptItem, holder: _Served) -> bytes:
        _bounded(item.content)
        served = self._keys.get(item.key)
        if served is None:
            raise RefusedError(Refusal.UNKNOWN_KEY, "no key of this name")
        if served is not holder:
            raise RefusedError(Refusal.KEY_FORBIDDEN, "the token is not of this key")
        if "decrypt" not in served.allowed:
            raise RefusedError(Refusal.NOT_ALLOWED, "this key opens nothing")
        try:
            return decrypt(item.content, served.key)
        except (XmlError, CipherError):
            raise RefusedError(Refusal.NOT_XML, "not content that is encrypted for this key") from None

    def entries(self) -> list[KzKeyEntry]:
        """List the keys."""
        found = []
        for served in self._keys.values():
            facts = read_certificate(served.certificate)
            found.append(
                KzKeyEntry(
                    name=served.name,
                    algorithm=served.key.suite.name,
                    certificate=served.certificate,
                    certificate_sha256=fingerprint(served.certificate),
                    subject=facts.subject_text,
                    not_before=facts.not_before,
                    not_after=facts.not_after,
                    allowed=list(served.allowed),
                )
            )
        return found

    def _signed(self, item: KzSignItem, holder: _Served) -> SignedItem:
        try:
            served = self._keys.get(item.key)
            if served is None:
                raise RefusedError(Refusal.UNKNOWN_KEY, "no key of this name")  # noqa: TRY301  — one place answers
            if served is not holder:
                raise RefusedError(Refusal.KEY_FORBIDDEN, "the token is not of this key")  # noqa: TRY301  — same
            signature = self._signature(item, served)
        except RefusedError as refused:
            return SignedItem(error=refused.fault())
        return SignedItem(signature=signature, certificate_sha256=fingerprint(served.certificate))

    def _signature(self, item: KzSignItem, served: _Served) -> bytes:
        _bounded(item.content)
        suite = served.key.suite
        make = body_signature if item.kind == "wsse" else document_signature
        try:
            is_body = parse(item.content, max_bytes=MAX_CONTENT).tag == f"{{{SOAP}}}Body"
            if item.kind not in served.allowed or is_body != (item.kind == "wsse"):
                raise RefusedError(Refusal.NOT_ALLOWED, "this key may not sign such content")
            if item.tsp and is_body:
                raise RefusedError(Refusal.NOT_ALLOWED, "a transport signature takes no time stamp")
            signature = make(
                item.content,
                Names(suite.signature_method, suite.digest_method),
                served.certificate,
                lambda data: self._engine.digest(suite.digest_method, data),
                lambda data: self._engine.sign(served.key, data),
            )
            return stamped(signature, self._authority.token) if item.tsp else signature
        except XmlError:
            raise RefusedError(Refusal.NOT_XML, "not an XML document that can be signed") from None

    def _verified(self, item: KzVerifyItem, anchors: Sequence[bytes]) -> VerifiedItem:
        try:
            _bounded(item.content)
            found = (
                [verify_envelope(item.content, self._engine, item.certificates)]
                if item.kind == "wsse"
                else verify_document(item.content, self._engine)
            )
        except RefusedError as refused:
            return VerifiedItem(error=refused.fault())
        except XmlError:
            return VerifiedItem(error=RefusedError(Refusal.NOT_XML, "not a document that can be verified").fault())
        return VerifiedItem(verdicts=[self._verdict(verdict, anchors) for verdict in found])

    def _verdict(self, verdict: SignatureVerdict, anchors: Sequence[bytes]) -> Verdict:
        trust = period = revocation = "unchecked"
        if verdict.certificate:
            known = standing(self._engine, verdict.certificate, anchors, self._lists, self._clock())
            trust, period, revocation = known.trust, known.period, known.revocation
        stamp = verdict.stamp
        return Verdict.model_validate(
            {
                "reference": verdict.reference,
                "element": verdict.element,
                "parent": verdict.parent,
                "math": verdict.math,
                "reason": verdict.reason,
                "algorithm": verdict.algorithm,
                "certificate": verdict.certificate,
                "trust": trust,
                "period": period,
                "revocation": revocation,
                "stamp": None if stamp is None else asdict(with_trust(self._engine, stamp, anchors)),
            }
        )


def add_routes(
    app: web.Application, directory: Path, engine: KzEngine, clock: Callable[[], datetime] | None = None
) -> None:
    """Add /v1/kz/* where ``directory`` has keys for it. Raises KeyringError."""
    folder = directory / FOLDER
    if not folder.is_dir():
        return
    workshop = KzWorkshop(folder, engine, clock)

    def holder(request: web.Request) -> _Served:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        found = workshop.holder(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise RefusedError(Refusal.UNAUTHORIZED, "a valid bearer token is required")
        return found

    async def sign(request: web.Request) -> web.Response:
        served, call = holder(request), await _call(request, KzSignRequest)
        return _answer(SignAnswer(items=await asyncio.to_thread(workshop.sign, call.items, served)))

    async def verify(request: web.Request) -> web.Response:
        holder(request)
        call = await _call(request, KzVerifyRequest)
        return _answer(VerifyAnswer(items=await asyncio.to_thread(workshop.verify, call.items, call.trust)))

    async def certificates(request: web.Request) -> web.Response:
        holder(request)
        return _answer(KzCertificatesAnswer(keys=workshop.entries()))

    async def encrypt_all(request: web.Request) -> web.Response:
        holder(request)
        call = await _call(request, KzEncryptRequest)
        return _answer(KzContentAnswer(items=await asyncio.to_thread(workshop.encrypt, call.items)))

    async def decrypt_all(request: web.Request) -> web.Response:
        served, call = holder(request), await _call(request, KzDecryptRequest)
        return _answer(KzContentAnswer(items=await asyncio.to_thread(workshop.decrypt, call.items, served)))

    app.router.add_post("/v1/kz/encrypt", encrypt_all)
    app.router.add_post("/v1/kz/decrypt", decrypt_all)
    app.router.add_post("/v1/kz/sign", sign)
    app.router.add_post("/v1/kz/verify", verify)
    app.router.add_get("/v1/kz/certificates", certificates)


async def _call(request: web.Request, model: type[_Call]) -> _Call:
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RefusedError(
            Refusal.MALFORMED_REQUEST, f"not a valid request, first fault at: {place or 'the document'}"
        ) from None


def _content(work: Callable[[], bytes]) -> KzContentItem:
    try:
        return KzContentItem(content=work())
    except RefusedError as refused:
        return KzContentItem(error=refused.fault())


def _answer(model: BaseModel) -> web.Response:
    return web.Response(body=model.model_dump_json(exclude_none=True).encode(), content_type="application/json")


def _bounded(content: bytes) -> None:
    if len(content) > MAX_CONTENT:
        raise RefusedError(Refusal.TOO_LARGE, f"an item holds at most {MAX_CONTENT} bytes")
