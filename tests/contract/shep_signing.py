"""SOAP messages of the ШЭП, signed by a party's key without any service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapter.errors import Code, SignerError
from adapter.signing.certificates import fingerprint
from adapter.signing.kz_signer import SignedBody
from adapter.signing.standing import read_lists, standing
from adapter.xml.parser import XmlError
from adapter.xml.wssecurity import SOAP, WSSE, WSU, Names, body_signature, document_signature, verify_envelope
from simulators.kz_cipher import CipherError, decrypt, encrypt
from simulators.shep.keys import read_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from adapter.signing.kz import KzEngine
    from adapter.xml.signature import SignatureVerdict


class Hand:
    """One party's key."""

    def __init__(self, engine: KzEngine, folder: Path, name: str) -> None:
        pair = read_pair(folder, name)
        self.engine = engine
        self.certificate = pair.certificate_der
        self.key = engine.load_key(pair.key, self.certificate)
        self.names = Names(self.key.suite.signature_method, self.key.suite.digest_method)

    def _digest(self, data: bytes) -> bytes:
        return self.engine.digest(self.names.digest_method, data)

    def _sign(self, data: bytes) -> bytes:
        return self.engine.sign(self.key, data)

    def signature(self, body: bytes) -> bytes:
        return body_signature(body, self.names, self.certificate, self._digest, self._sign)

    def signed(self, payload: str, change: Callable[[str], str] = str, identifier: str = "id-1") -> bytes:
        """A signed message around ``payload``; ``change`` spoils or dresses up the signature."""
        body = f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="{identifier}">{payload}</S:Body>'
        return enveloped(body, change(self.signature(body.encode()).decode()))

    def document(self, xml: bytes) -> bytes:
        """``xml`` with an enveloped signature over all of it."""
        signature = document_signature(xml, self.names, self.certificate, self._digest, self._sign)
        end = xml.rindex(b"</")
        return xml[:end] + signature + xml[end:]


class OwnDesk:
    """Transport signatures made and judged in this process, as the reference service does it."""

    def __init__(self, engine: KzEngine, folder: Path) -> None:
        self.hand = Hand(engine, folder, "shep")
        self.folder = folder
        self.opened = 0
        self.anchors = [read_pair(folder, "ca").certificate_der]
        self.lists = read_lists([(folder / "ca.crl").read_bytes()])

    async def sign_body(self, body: bytes, *, key: str) -> SignedBody:
        assert key
        return SignedBody(body, self.hand.signature(body), fingerprint(self.hand.certificate))

    async def encrypt(self, content: bytes, *, certificate: bytes) -> bytes:
        return encrypt(content, certificate)

    async def decrypt(self, data: bytes, *, key: str) -> bytes:
        self.opened += 1
        pair = read_pair(self.folder, key)
        try:
            return decrypt(data, self.hand.engine.load_key(pair.key, pair.certificate_der))
        except (CipherError, XmlError):
            raise SignerError(Code.SIGNATURE_REFUSED, "не открывается", retryable=False) from None

    async def verify_envelope(self, message: bytes, *, certificates: Sequence[bytes] = ()) -> SignatureVerdict:
        verdict = verify_envelope(message, self.hand.engine, certificates)
        if not verdict.certificate:
            return verdict
        found = standing(self.hand.engine, verdict.certificate, self.anchors, self.lists, datetime.now(UTC))
        return replace(verdict, trust=found.trust, period=found.period, revocation=found.revocation)


def enveloped(body: str, security: str) -> bytes:
    return (
        f'<S:Envelope xmlns:S="{SOAP}"><S:Header><wsse:Security xmlns:wsse="{WSSE}" S:mustUnderstand="1">{security}'
        f"</wsse:Security></S:Header>{body}</S:Envelope>"
    ).encode()
