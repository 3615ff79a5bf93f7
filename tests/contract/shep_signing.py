"""SOAP messages of the ШЭП, signed by a party's key without any service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.xml.wssecurity import SOAP, WSSE, WSU, Names, body_signature, document_signature
from simulators.shep.keys import read_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adapter.signing.kz import KzEngine


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


def enveloped(body: str, security: str) -> bytes:
    return (
        f'<S:Envelope xmlns:S="{SOAP}"><S:Header><wsse:Security xmlns:wsse="{WSSE}" S:mustUnderstand="1">{security}'
        f"</wsse:Security></S:Header>{body}</S:Envelope>"
    ).encode()
