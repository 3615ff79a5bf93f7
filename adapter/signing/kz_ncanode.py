"""NCANode 3, the usual signing service of Kazakhstan, as a backend: /wsse/sign, /wsse/verify, /xml/sign, /xml/verify.

Its API takes the key itself (PKCS#12) with every call: this file is the one place of the adapter where a private key is
held. What it is known to do wrong is made up for here and by the caller (facts of ШЭП, NCANode): it verifies the first
signature by a literal prefix and does not look whether it covers the Body, so the caller checks the place first; it
returns the message written anew, so only its signature is taken, and laid into our own bytes.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from yarl import URL

from adapter.errors import Code, SignerError
from adapter.signing.certificates import CertificateError, period
from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from adapter.signing.kz_client import exchanged
from adapter.signing.kz_signer import (
    SignedBody,
    SignedDocument,
    checked_body,
    checked_document,
    signature_in,
    unavailable,
)
from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import VALUE_WRONG, SignatureVerdict
from adapter.xml.tokens import certificate_of
from adapter.xml.wssecurity import DS, SOAP, UNSIGNED, find_signature, verify_document, verify_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lxml import etree

#: Where the status of certificates is asked; without an answer there revocation stays unknown.
_REVOCATION: Final = ["OCSP", "CRL"]
_STAMPED: Final = {"withTsp": True, "tsaPolicy": "TSA_GOST2015_POLICY"}


@dataclass(frozen=True, slots=True)
class Pkcs12:
    """A key as NCANode wants it: the file, its password and the key's name inside, if there are several."""

    content: bytes = field(repr=False)
    password: str = field(repr=False)
    alias: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return NCANode's SignerRequest."""
        found = {"key": base64.b64encode(self.content).decode(), "password": self.password}
        return found | ({"keyAlias": self.alias} if self.alias else {})


class NcaNodeSigner:
    """Signs and verifies through NCANode 3; each call is one request and ends within ``timeout`` seconds."""

    def __init__(
        self, url: str, *, session: aiohttp.ClientSession, keys: Mapping[str, Pkcs12], timeout: float = 10
    ) -> None:
        """``keys`` are by the adapter's names for them; ``session`` stays the caller's."""
        self._base = url.rstrip("/")
        self._session = session
        self._keys = dict(keys)
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def sign_body(self, body: bytes, *, key: str) -> SignedBody:
        """Sign a standalone SOAP Body; NCANode may give it another Id. Raises SignerError."""
        message = b'<S:Envelope xmlns:S="%b"><S:Header/>%b</S:Envelope>' % (SOAP.encode(), body)
        answer = await self._call("/wsse/sign", {"xml": message.decode(), **self._key(key).to_json()})
        signature = signature_in(_xml(answer), last=False)
        return await asyncio.to_thread(checked_body, body, signature, renamed=True)

    async def sign_document(self, document: bytes, *, key: str, tsp: bool = False) -> SignedDocument:
        """Put an enveloped signature into the root of ``document``. Raises SignerError.

        A time stamp is asked for as NCANode's CMS calls take it; a version that gives XML none is refused by name.
        """
        request = {"xml": document.decode(), "signers": [self._key(key).to_json()]} | (_STAMPED if tsp else {})
        answer = await self._call("/xml/sign", request)
        return await asyncio.to_thread(checked_document, document, signature_in(_xml(answer), last=True), tsp=tsp)

    async def encrypt(self, content: bytes, *, certificate: bytes) -> bytes:
        """Refuse: NCANode has no such call."""
        del content, certificate
        raise _no_cipher()

    async def decrypt(self, data: bytes, *, key: str) -> bytes:
        """Refuse: NCANode has no such call."""
        del data, key
        raise _no_cipher()

    async def verify_envelope(self, message: bytes, *, certificates: Sequence[bytes] = ()) -> SignatureVerdict:
        """Judge the transport signature of a SOAP message; the verdict tells what NCANode tells. Raises SignerError.

        A signature that only names its certificate is beyond NCANode: it is judged as one that is not supported.
        """
        try:
            found = find_signature(parse(message))
        except XmlError as error:
            return _unjudged(error.rule)
        if found is None:
            return _unjudged(UNSIGNED)
        known = _facts(found.element, certificates)
        if known.reason:
            return known
        answer = await self._call("/wsse/verify", {"xml": message.decode(), "revocationCheck": _REVOCATION})
        return _judged(replace(known, reference=found.reference, element=str(found.body.tag)), answer, message)

    async def verify_document(self, document: bytes) -> list[SignatureVerdict]:
        """Judge the signatures of a document, which NCANode judges as one. Raises SignerError."""
        try:
            root = parse(document)
        except XmlError as error:
            return [_unjudged(error.rule)]
        signatures = list(root.iter(f"{{{DS}}}Signature"))
        if not signatures:
            return []
        answer = await self._call("/xml/verify", {"xml": document.decode(), "revocationCheck": _REVOCATION})
        return [_judged(replace(_facts(found, ()), element=str(root.tag)), answer, document) for found in signatures]

    def _key(self, name: str) -> Pkcs12:
        found = self._keys.get(name)
        if found is None:
            raise unavailable(f"ключ {name} не задан")
        return found

    async def _call(self, path: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make one call. Raises SignerError for every status but 200, of HTTP or of the body."""
        body = await exchanged(
            self._session,
            "POST",
            URL(self._base + path),
            json.dumps(request),
            {"Content-Type": "application/json"},
            self._timeout,
        )
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise unavailable("ответ не по контракту") from None
        if not isinstance(answer, dict) or answer.get("status", 200) != 200:
            raise unavailable("ответ не по контракту")
        return answer


def _no_cipher() -> SignerError:
    sentence = f"{Code.SIGNATURE_REFUSED.sentence}: NCANode не шифрует"
    return SignerError(Code.SIGNATURE_REFUSED, sentence, retryable=False)


def _xml(answer: Mapping[str, Any]) -> bytes:
    text = answer.get("xml")
    if not isinstance(text, str):
        raise unavailable("ответ не по контракту")
    return text.encode()


def _unjudged(reason: str) -> SignatureVerdict:
    return SignatureVerdict("", "", "", math=False, reason=reason, algorithm="", certificate=b"")


def _facts(signature: etree._Element, certificates: Sequence[bytes]) -> SignatureVerdict:
    """Return what the signature says of itself; ``reason`` is set when NCANode could not judge it."""
    method = signature.find(f"{{{DS}}}SignedInfo/{{{DS}}}SignatureMethod")
    algorithm = "" if method is None else method.get("Algorithm", "")
    named = next(signature.iter(f"{{{DS}}}X509IssuerSerial"), None)
    try:
        certificate = certificate_of(signature, certificates)
    except XmlError as error:
        return replace(_unjudged(error.rule), algorithm=algorithm)
    reason = "" if named is None and signature.prefix == "ds" else "to NCANode this form of signature is unsupported"
    return replace(_unjudged(reason), algorithm=algorithm, certificate=certificate)


def _judged(known: SignatureVerdict, answer: Mapping[str, Any], message: bytes) -> SignatureVerdict:
    """Put NCANode's word apart: it says one word for the value, the chain, the period and revocation together."""
    try:
        when = period(known.certificate, datetime.now(UTC))
    except CertificateError:
        when = "unchecked"
    signers = answer.get("signers")
    signer = signers[0] if isinstance(signers, list) and signers and isinstance(signers[0], dict) else {}
    revocations = [entry for entry in signer.get("revocations") or [] if isinstance(entry, dict)]
    revocation = "unchecked"
    if revocations:
        revocation = "revoked" if any(entry.get("revoked") is not False for entry in revocations) else "good"
    valid, believed = answer.get("valid") is True, signer.get("valid") is True
    counted = _counted(message, known)
    math = valid if counted is None else counted and (valid or not believed)
    trust = "trusted" if believed else "unchecked" if when == "expired" or revocation == "revoked" else "untrusted"
    reason = "" if math else VALUE_WRONG if counted is False else "the service believes signature or certificate not"
    return replace(known, math=math, reason=reason, trust=trust, period=when, revocation=revocation)


def _counted(message: bytes, known: SignatureVerdict) -> bool | None:
    """Tell by this machine's engine whether the signature by itself is right, ``None`` where there is no engine."""
    try:
        engine = KzEngine.open()
    except GostUnavailableError:
        return None
    if known.element == f"{{{SOAP}}}Body":
        return verify_envelope(message, engine, [known.certificate]).math
    return all(verdict.math for verdict in verify_document(message, engine))
