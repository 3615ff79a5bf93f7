"""The adapter's side of SIGN_SERVICE (schemas/sign-service.openapi.yaml).

Every call raises :class:`adapter.errors.SignerError` and nothing else: ``retryable`` when the service could not be
reached, was busy or answered nonsense, final when it refused or answered with another signature than was asked for.
Content and tokens are never logged nor put into an error.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import aiohttp
from pydantic import ValidationError
from yarl import URL

from adapter.errors import Code, SignerError
from adapter.signing import wire
from adapter.signing.batching import ClosedError, Line
from adapter.signing.certificates import fingerprint
from adapter.signing.gost import GostEngine, GostUnavailableError
from adapter.signing.returned import ReturnedSignatures, wrong
from adapter.signing.streebog import BITS, STREEBOG_256, STREEBOG_512
from adapter.xml.signature import SignatureVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from adapter.signing.streebog import DigestAlgorithm
    from adapter.xml.signature import Gost

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Read = TypeVar("_Read")
_ToSign = tuple[Literal["smev3-xml", "cms", "bare"], str, bytes]
#: Content, and the data of a detached PKCS#7.
_ToVerify = tuple[bytes, "bytes | None"]
#: Key, algorithm and digest of content; and a PKCS#7 with algorithm and digest.
_DigestToSign = tuple[str, "DigestAlgorithm", bytes]
_DigestToVerify = tuple[bytes, "DigestAlgorithm", bytes]
_Verdicts = list[dict[str, Any]] | wire.Fault

_SIGN: Final = "/v1/sign"
_VERIFY: Final = "/v1/verify"
_SIGN_DIGEST: Final = "/v1/sign-digest"
_VERIFY_DIGEST: Final = "/v1/verify-digest"
_CERTIFICATES: Final = "/v1/certificates"
_PATHS: Final = (_SIGN, _VERIFY, _SIGN_DIGEST, _VERIFY_DIGEST, _CERTIFICATES)

#: Content bytes of one request: base64 and JSON must fit the contract's 64 MiB.
_MAX_REQUEST = 40 * 2**20
#: Larger elements are transformed for the check in a thread: it would hold the loop for milliseconds.
_INLINE_BYTES = 64 * 1024
_ALGORITHMS: Final[dict[int, DigestAlgorithm]] = {256: STREEBOG_256, 512: STREEBOG_512}
_BUSY = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class SignedXml:
    """A ds:Signature element as bytes, and the SHA-256 (hex) of the certificate that it carries."""

    signature: bytes
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class DetachedSignature:
    """A detached DER PKCS#7, and the SHA-256 (hex) of the certificate that it carries."""

    pkcs7: bytes
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key of the service: ``certificate`` is DER, ``allowed`` in the contract's words (``cms``, ``smev3-xml:*``)."""

    name: str
    algorithm: str
    certificate: bytes
    not_after: datetime
    allowed: list[str]


class SigningClient:
    """Signs and verifies through SIGN_SERVICE; concurrent calls share requests (natural batching, one line per token).

    A request ends within ``timeout`` seconds; a caller, with its wait for earlier requests, within three times that.
    """

    def __init__(  # noqa: PLR0913  — everything is given by the composition root, nothing read from the environment
        self,
        url: str,
        *,
        session: aiohttp.ClientSession,
        tokens: Mapping[str, str],
        trust: Sequence[bytes] = (),
        timeout: float = 10,
        gost: Gost | None = None,
    ) -> None:
        """``tokens`` maps key names to bearer tokens; ``trust`` are DER anchors sent with every verification.

        ``session`` stays the caller's. ``gost`` computes the digest check; by default the engine, if there is one.
        """
        self._urls = {path: URL(url.rstrip("/") + path) for path in _PATHS}
        self._session = session
        self._tokens = dict(tokens)
        self._trust = wire.trust_list(trust)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._patience = 2 * timeout
        self._returned = ReturnedSignatures(gost or _engine())
        self._fingerprints: dict[str, str] = {}
        self._algorithms: dict[str, DigestAlgorithm] = {}
        self._listings = 0
        self._listing = asyncio.Lock()
        self._signing: dict[str, Line[_ToSign, bytes | wire.Fault]] = {}
        self._verifying: Line[_ToVerify, _Verdicts] = Line(
            self._send_verify, max_items=wire.MAX_ITEMS, max_bytes=_MAX_REQUEST, patience=self._patience
        )
        self._signing_digests: dict[str, Line[_DigestToSign, bytes | wire.Fault]] = {}
        self._verifying_digests: Line[_DigestToVerify, _Verdicts] = Line(
            self._send_verify_digest, max_items=wire.MAX_ITEMS, max_bytes=_MAX_REQUEST, patience=self._patience
        )

    async def sign_xml(self, xml: bytes, *, key: str) -> SignedXml:
        """Sign the root of the standalone element ``xml`` by its Id with ``key``.

        Before returning, checks that the signature refers to that very Id, carries the certificate listed for
        ``key``, and is over that element's digest (the latter where a GOST engine is at hand). Raises SignerError.
        """
        signed = await self._sign("smev3-xml", key, xml)
        check = asyncio.to_thread if len(xml) > _INLINE_BYTES else _at_once
        certificate = await check(self._returned.check_xml, xml, signed)
        await self._must_be_listed(key, certificate)
        return SignedXml(signed, certificate)

    async def verify_xml(self, message: bytes) -> list[SignatureVerdict]:
        """Return the verdicts of every signature in ``message``, a whole document. Raises SignerError."""
        return await self._verify((message, None), len(message))

    async def sign_cms(self, data: bytes, *, key: str) -> bytes:
        """Return a detached DER PKCS#7 of ``data`` by ``key``, checked like the signature of sign_xml.

        Raises SignerError.
        """
        signed = await self._sign("cms", key, data)
        check = asyncio.to_thread if len(data) > _INLINE_BYTES else _at_once
        await self._must_be_listed(key, await check(self._returned.check_cms, data, signed))
        return signed

    async def sign_bare(self, data: bytes, *, key: str) -> tuple[bytes, bytes]:
        """Return the bare signature value (s, then r, big-endian) over ``data`` and the certificate (DER) of ``key``.

        The value is checked by that certificate where a GOST engine is at hand. Raises SignerError.
        """
        value = await self._sign("bare", key, data)
        listed = next((one.certificate for one in await self.certificates() if one.name == key), None)
        if listed is None:
            raise SignerError(Code.SIGNATURE_REFUSED, f"В сервисе подписи нет ключа {key}", retryable=False)
        self._returned.check_bare(data, value, listed)
        return value, listed

    async def verify_cms(self, cms: bytes, data: bytes) -> list[SignatureVerdict]:
        """Return the verdict of the DER PKCS#7 ``cms`` over ``data``, one entry. Raises SignerError."""
        return await self._verify((cms, data), len(cms) + len(data))

    async def sign_detached(self, digest: bytes, *, algorithm: DigestAlgorithm, key: str) -> DetachedSignature:
        """Return a detached PKCS#7 by ``key`` over content of which only the ``digest`` is given.

        ``algorithm`` is the one that the digest was made by, of the key's size (:meth:`digest_algorithm`). Before
        returning, checks that it is over that very digest, right (where a GOST engine is at hand), and by the
        certificate listed for ``key``. Raises SignerError.
        """
        if len(digest) * 8 != BITS[algorithm]:
            raise SignerError(Code.SIGNATURE_REFUSED, "Хэш не того размера, что у его алгоритма", retryable=False)
        token = self._token(key)
        line = self._signing_digests.get(token)
        if line is None:
            line = self._signing_digests[token] = Line(
                lambda items: self._send_sign_digest(token, items),
                max_items=wire.MAX_ITEMS,
                max_bytes=_MAX_REQUEST,
                patience=self._patience,
            )
        try:
            signed = _signature(await _through(line, (key, algorithm, digest), len(digest)))
        except SignerError:
            self._algorithms.pop(key, None)  # the key may have been renewed in another size
            raise
        certificate = self._returned.check_digest(digest, signed)
        await self._must_be_listed(key, certificate)
        return DetachedSignature(signed, certificate)

    async def verify_detached(self, pkcs7: bytes, digest: bytes, algorithm: DigestAlgorithm) -> list[SignatureVerdict]:
        """Return the verdict of ``pkcs7`` over content that has ``digest``, one entry. Raises SignerError.

        A digest that is not of its algorithm's size is refused by the service.
        """
        return _verdicts(await _through(self._verifying_digests, (pkcs7, algorithm, digest), len(pkcs7)))

    async def digest_algorithm(self, key: str) -> DigestAlgorithm:
        """Return the digest that ``key`` signs: of its own size. Raises SignerError, final for a key of no service."""
        if key not in self._algorithms:
            await self.certificates()
        try:
            return self._algorithms[key]
        except KeyError:
            raise SignerError(Code.SIGNATURE_REFUSED, f"В сервисе подписи нет ключа {key}", retryable=False) from None

    async def certificates(self) -> list[KeyInfo]:
        """Return the keys of the service. Raises SignerError."""
        body = await self._call("GET", _CERTIFICATES, self._any_token(), None)
        answer = _read(wire.CertificatesAnswer.model_validate_json, body)
        self._fingerprints = {entry.name: fingerprint(entry.certificate) for entry in answer.keys}
        self._algorithms = {entry.name: _ALGORITHMS[entry.bits] for entry in answer.keys}
        self._listings += 1
        return [
            KeyInfo(entry.name, entry.algorithm, entry.certificate, entry.not_after, entry.allowed)
            for entry in answer.keys
        ]

    async def close(self) -> None:
        """End running requests; whoever still waits gets a retryable SignerError. The session stays open."""
        closing = [line.close() for line in self._signing.values()]
        closing += [line.close() for line in self._signing_digests.values()]
        await asyncio.gather(self._verifying.close(), self._verifying_digests.close(), *closing)

    async def _sign(self, kind: Literal["smev3-xml", "cms", "bare"], key: str, content: bytes) -> bytes:
        token = self._token(key)
        line = self._signing.get(token)
        if line is None:
            line = self._signing[token] = Line(
                lambda items: self._send_sign(token, items),
                max_items=wire.MAX_ITEMS,
                max_bytes=_MAX_REQUEST,
                patience=self._patience,
            )
        return _signature(await _through(line, (kind, key, content), len(content)))

    def _token(self, key: str) -> str:
        """Return the key's token; empty where the login is by the session's client certificate."""
        token = self._tokens.get(key, "")
        if not token and self._tokens:
            raise SignerError(Code.SIGNATURE_REFUSED, f"Для ключа {key} не задан токен", retryable=False)
        return token

    async def _verify(self, item: _ToVerify, size: int) -> list[SignatureVerdict]:
        return _verdicts(await _through(self._verifying, item, size))

    async def _send_sign(self, token: str, items: Sequence[_ToSign]) -> Sequence[bytes | wire.Fault]:
        answer = await self._call("POST", _SIGN, token, wire.sign_request(items))
        return _one_each(_read(wire.read_signatures, answer), items)

    async def _send_verify(self, items: Sequence[_ToVerify]) -> Sequence[_Verdicts]:
        answer = await self._call("POST", _VERIFY, self._any_token(), wire.verify_request(items, self._trust))
        return _one_each(_read(wire.read_verdicts, answer), items)

    async def _send_sign_digest(self, token: str, items: Sequence[_DigestToSign]) -> Sequence[bytes | wire.Fault]:
        answer = await self._call("POST", _SIGN_DIGEST, token, wire.sign_digest_request(items))
        return _one_each(_read(wire.read_signatures, answer), items)

    async def _send_verify_digest(self, items: Sequence[_DigestToVerify]) -> Sequence[_Verdicts]:
        request = wire.verify_digest_request(items, self._trust)
        answer = await self._call("POST", _VERIFY_DIGEST, self._any_token(), request)
        return _one_each(_read(wire.read_verdicts, answer), items)

    async def _call(self, method: str, path: str, token: str, body: bytes | None) -> bytes:
        """Make one request and return the body of its answer. Raises SignerError."""
        if self._session.closed:  # aiohttp says so by a bare RuntimeError
            raise _unavailable("клиент остановлен")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                method, self._urls[path], data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                status, answer = response.status, await _bounded(response)
        except TimeoutError:
            raise _unavailable("нет ответа вовремя") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _unavailable(f"нет связи ({type(error).__name__})") from None
        if status != 200:
            raise _refused_call(status, answer)
        return answer

    def _any_token(self) -> str:
        """Return a token for what every token may: verify and list; empty where the login is by certificate."""
        return next(iter(self._tokens.values()), "")

    async def _must_be_listed(self, key: str, found: str) -> None:
        """Raise SignerError unless ``found`` is the fingerprint listed for ``key``.

        Asks for the list again first when it is another: keys are renewed. Callers at once share one asking.
        """
        seen = self._listings
        if self._fingerprints.get(key) != found:
            async with self._listing:
                if self._listings == seen:
                    await self.certificates()
        if self._fingerprints.get(key) != found:
            raise wrong("сертификат не тот, что числится за ключом")


def _engine() -> Gost | None:
    try:
        return GostEngine.open()
    except GostUnavailableError:  # the check it serves is an extra one: production may run without the engine
        return None


def _signature(signed: bytes | wire.Fault) -> bytes:
    """Return the signature of an answer. Raises SignerError when it is a refusal, or nothing."""
    if isinstance(signed, wire.Fault):
        raise _refused(signed)
    if not signed:
        raise _unavailable("ответ не по контракту")
    return signed


def _verdicts(found: _Verdicts) -> list[SignatureVerdict]:
    """Return the verdicts of an answer. Raises SignerError when it is a refusal."""
    if isinstance(found, wire.Fault):
        raise _refused(found)
    return [SignatureVerdict(**verdict) for verdict in found]


async def _through(line: Line[_Item, _Result], item: _Item, size: int) -> _Result:
    """Return the line's result for ``item``, within the line's patience and one request. Raises SignerError."""
    try:
        return await line.submit(item, size)
    except ClosedError:
        raise _unavailable("клиент остановлен") from None
    except TimeoutError:
        raise _unavailable("нет ответа вовремя") from None


async def _at_once(check: Callable[[bytes, bytes], str], xml: bytes, signature: bytes) -> str:
    return check(xml, signature)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, at most the contract's size: a broken service must not fill the memory."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > wire.MAX_BODY:
            raise _unavailable("ответ слишком велик")
    return bytes(body)


def _read(reader: Callable[[bytes], _Read], body: bytes) -> _Read:
    try:
        return reader(body)
    except ValueError:  # pydantic's ValidationError is one
        raise _unavailable("ответ не по контракту") from None


def _one_each(answers: Sequence[_Result], items: Sequence[object]) -> Sequence[_Result]:
    """Return ``answers`` if there is one per item: otherwise nobody can tell which is whose."""
    if len(answers) != len(items):
        raise _unavailable("ответ не по контракту")
    return answers


def _refused_call(status: int, body: bytes) -> SignerError:
    try:
        fault = wire.CallRefused.model_validate_json(body).error
    except ValidationError:
        fault = wire.Fault(status=status, code=f"HTTP_{status}")
    return _refused(wire.Fault(status=status, code=fault.code))


def _refused(fault: wire.Fault) -> SignerError:
    """Return the error of a refusal; the service's free text stays out, its code tells."""
    if fault.status >= 500 or fault.status in _BUSY:
        return _unavailable(fault.code)
    return SignerError(Code.SIGNATURE_REFUSED, f"{Code.SIGNATURE_REFUSED.sentence}: {fault.code}", retryable=False)


def _unavailable(why: str) -> SignerError:
    return SignerError(Code.SIGNATURE_UNAVAILABLE, f"{Code.SIGNATURE_UNAVAILABLE.sentence}: {why}", retryable=True)
