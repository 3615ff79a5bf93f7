"""The adapter's side of SIGN_SERVICE for the ШЭП: /v1/kz/* of schemas/sign-service.openapi.yaml.

Every call raises :class:`adapter.errors.SignerError` and nothing else. Content and tokens are never logged nor put into
an error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from pydantic import ValidationError
from yarl import URL

from adapter.errors import Code, SignerError
from adapter.signing import kz_wire, wire
from adapter.signing.certificates import fingerprint
from adapter.signing.kz_signer import SignedBody, SignedDocument, checked_body, checked_document, unavailable, wrong
from adapter.xml.signature import SignatureVerdict
from adapter.xml.stamps import Stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGN: Final = "/v1/kz/sign"
_VERIFY: Final = "/v1/kz/verify"
_ENCRYPT: Final = "/v1/kz/encrypt"
_DECRYPT: Final = "/v1/kz/decrypt"
_CERTIFICATES: Final = "/v1/kz/certificates"
_BUSY: Final = frozenset({408, 429})


class KzSigningClient:
    """Signs and verifies through SIGN_SERVICE; each call is one request and ends within ``timeout`` seconds."""

    def __init__(
        self,
        url: str,
        *,
        session: aiohttp.ClientSession,
        tokens: Mapping[str, str],
        trust: Sequence[bytes] = (),
        timeout: float = 10,
    ) -> None:
        """``tokens`` maps key names to bearer tokens; ``trust`` are DER anchors sent with every verification.

        ``session`` stays the caller's.
        """
        self._base = url.rstrip("/")
        self._session = session
        self._tokens = dict(tokens)
        self._trust = list(trust) or None
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._fingerprints: dict[str, str] = {}
        self._listing = asyncio.Lock()

    async def sign_body(self, body: bytes, *, key: str) -> SignedBody:
        """Sign a standalone SOAP Body by its wsu:Id. Raises SignerError."""
        signature = await self._sign("wsse", body, key)
        signed = await asyncio.to_thread(checked_body, body, signature)
        await self._must_be_listed(key, signed.certificate_sha256)
        return signed

    async def sign_document(self, document: bytes, *, key: str, tsp: bool = False) -> SignedDocument:
        """Put an enveloped signature into the root of ``document``. Raises SignerError."""
        signature = await self._sign("xml", document, key, tsp=tsp)
        signed = await asyncio.to_thread(checked_document, document, signature, tsp=tsp)
        await self._must_be_listed(key, signed.certificate_sha256)
        return signed

    async def verify_envelope(self, message: bytes, *, certificates: Sequence[bytes] = ()) -> SignatureVerdict:
        """Judge the transport signature of a SOAP message. Raises SignerError."""
        verdicts = await self._verify("wsse", message, certificates)
        if len(verdicts) != 1:
            raise unavailable("ответ не по контракту")
        return verdicts[0]

    async def verify_document(self, document: bytes) -> list[SignatureVerdict]:
        """Judge every enveloped signature of a document. Raises SignerError."""
        return await self._verify("xml", document, ())

    async def encrypt(self, content: bytes, *, certificate: bytes) -> bytes:
        """Return the xenc:EncryptedData of ``content`` for the RSA key of a DER certificate. Raises SignerError."""
        items = [kz_wire.KzEncryptItem(content=content, certificate=certificate)]
        token = next(iter(self._tokens.values()), "")
        answer = await self._call("POST", _ENCRYPT, token, kz_wire.KzEncryptRequest(items=items).model_dump_json())
        return bytes(_one(_contents, answer))

    async def decrypt(self, data: bytes, *, key: str) -> bytes:
        """Return what an xenc:EncryptedData for our ``key`` holds. Raises SignerError."""
        items = [kz_wire.KzDecryptItem(key=key, content=data)]
        token = self._tokens.get(key, "")
        answer = await self._call("POST", _DECRYPT, token, kz_wire.KzDecryptRequest(items=items).model_dump_json())
        return bytes(_one(_contents, answer))

    async def certificates(self) -> list[kz_wire.KzKeyEntry]:
        """Return the keys of the service. Raises SignerError."""
        answer = await self._call("GET", _CERTIFICATES, next(iter(self._tokens.values()), ""), None)
        try:
            found = kz_wire.KzCertificatesAnswer.model_validate_json(answer).keys
        except ValidationError:
            raise unavailable("ответ не по контракту") from None
        self._fingerprints = {entry.name: fingerprint(entry.certificate) for entry in found}
        return found

    async def _sign(self, kind: kz_wire.Kind, content: bytes, key: str, *, tsp: bool = False) -> bytes:
        token = self._tokens.get(key, "")
        if not token and self._tokens:
            raise SignerError(Code.SIGNATURE_REFUSED, f"Для ключа {key} не задан токен", retryable=False)
        item = kz_wire.KzSignItem(kind=kind, key=key, content=content, tsp=tsp)
        # A service that knows no time stamps is not asked for none.
        request = kz_wire.KzSignRequest(items=[item]).model_dump_json(exclude_defaults=True)
        answer = await self._call("POST", _SIGN, token, request)
        found = _one(wire.read_signatures, answer)
        if not found:
            raise unavailable("ответ не по контракту")
        return bytes(found)

    async def _verify(
        self, kind: kz_wire.Kind, content: bytes, certificates: Sequence[bytes]
    ) -> list[SignatureVerdict]:
        item = kz_wire.KzVerifyItem(kind=kind, content=content, certificates=list(certificates))
        request = kz_wire.KzVerifyRequest(items=[item], trust=self._trust)
        body = request.model_dump_json(exclude_none=True)
        answer = await self._call("POST", _VERIFY, next(iter(self._tokens.values()), ""), body)
        return [_verdict(fields) for fields in _one(wire.read_verdicts, answer)]

    async def _must_be_listed(self, key: str, found: str) -> None:
        """Raise SignerError unless ``found`` is the fingerprint listed for ``key``; keys are renewed, so ask again."""
        if self._fingerprints.get(key) != found:
            async with self._listing:
                await self.certificates()
        if self._fingerprints.get(key) != found:
            raise wrong("сертификат не тот, что числится за ключом")

    async def _call(self, method: str, path: str, token: str, body: str | None) -> bytes:
        """Make one request and return the body of its answer. Raises SignerError."""
        if self._session.closed:
            raise unavailable("клиент остановлен")
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return await exchanged(self._session, method, URL(self._base + path), body, headers, self._timeout)


async def exchanged(  # noqa: PLR0913, PLR0917  — the parts of one request
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    body: str | None,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  — aiohttp's own, which bounds the whole request
) -> bytes:
    """Return the body of an answer with status 200. Raises SignerError, by the status of any other answer."""
    answer = bytearray()
    try:
        async with session.request(
            method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > wire.MAX_BODY:
                    raise unavailable("ответ слишком велик")
            status = response.status
    except TimeoutError:
        raise unavailable("нет ответа вовремя") from None
    except (aiohttp.ClientError, OSError) as error:
        raise unavailable(f"нет связи ({type(error).__name__})") from None
    if status == 200:
        return bytes(answer)
    try:
        code = wire.CallRefused.model_validate_json(bytes(answer)).error.code
    except ValidationError:
        code = f"HTTP_{status}"
    raise _refused(status, code)


def _contents(body: bytes) -> list[bytes | wire.Fault]:
    """Return the content, or the fault, of each item. Raises ValueError."""
    found: list[bytes | wire.Fault] = []
    for item in kz_wire.KzContentAnswer.model_validate_json(body).items:
        if item.error is None and item.content is None:
            raise ValueError("an item without content and without an error")
        found.append(item.error if item.error is not None else item.content or b"")
    return found


def _verdict(fields: Mapping[str, Any]) -> SignatureVerdict:
    told = fields.get("stamp")
    return SignatureVerdict(**{**fields, "stamp": None if told is None else Stamp(**dict(told))})


def _one(read: Any, body: bytes) -> Any:
    """Return the only item of an answer. Raises SignerError when it is a refusal, or nonsense."""
    try:
        items = read(body)
    except ValueError:  # pydantic's ValidationError is one
        raise unavailable("ответ не по контракту") from None
    if len(items) != 1:
        raise unavailable("ответ не по контракту")
    if isinstance(items[0], wire.Fault):
        raise _refused(items[0].status, items[0].code)
    return items[0]


def _refused(status: int, code: str) -> SignerError:
    """Return the error of a refusal; the service's free text stays out, its code tells."""
    if status >= 500 or status in _BUSY:
        return unavailable(code)
    return SignerError(Code.SIGNATURE_REFUSED, f"{Code.SIGNATURE_REFUSED.sentence}: {code}", retryable=False)
