"""Signatures at the simulated gateway: its own, and the judgement on those of its callers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from asn1crypto import x509
from lxml import etree

from adapter.gateways.shep.calls import service_of
from adapter.gateways.shep.messages import MESSAGE_LIMIT, Message, MessageError, body, envelope, read
from adapter.signing.certificates import read_certificate
from adapter.signing.standing import bin_of, read_lists, standing
from adapter.xml.encryption import with_service
from adapter.xml.parser import XmlError, parse
from adapter.xml.wssecurity import UNSIGNED, Names, body_signature, soap_body, verify_envelope
from simulators.kz_cipher import CipherError, decrypt, encrypt
from simulators.shep.keys import read_pair
from simulators.shep.refusals import RefusedError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from adapter.signing.kz import KzEngine, KzKey


class SignatureDesk:
    """Holds the gateway's key, the authority and its revocation list."""

    def __init__(self, folder: Path, engine: KzEngine, key: str) -> None:
        """``folder`` is DIR/kz of simulators.shep.keys, ``key`` the gateway's pair. Raises OSError, ValueError."""
        self._engine = engine
        self._folder = folder
        self._own = key
        self._pairs: dict[str, tuple[KzKey, bytes]] = {}
        self._pair(key)
        self._anchors = [read_pair(folder, "ca").certificate_der]
        self._lists = read_lists([(folder / "ca.crl").read_bytes()])

    def check(self, raw: bytes, bin_number: str, now: datetime) -> None:
        """Demand a right signature of the organisation ``bin_number`` over the Body of ``raw``. Raises RefusedError."""
        verdict = verify_envelope(raw, self._engine)
        if not verdict.math:
            code = "SIM-UNSIGNED" if verdict.reason == UNSIGNED else "SIM-SIGNATURE"
            raise RefusedError(code, data=verdict.reason, side="Client")
        known = standing(self._engine, verdict.certificate, self._anchors, self._lists, now)
        if (known.trust, known.period, known.revocation) != ("trusted", "valid", "good"):
            data = f"{known.trust}, {known.period}, {known.revocation}"
            raise RefusedError("SIM-CERTIFICATE", data=data, side="Client")
        if bin_of(verdict.certificate) != bin_number:
            raise RefusedError("SIM-BIN", side="Client")

    def signed(self, payload: bytes, *, named: bool = False, by: str | None = None) -> bytes:
        """Return the signed envelope; ``named`` names the certificate by issuer and number, as the real one does.

        ``by`` names another pair of the folder than the gateway's own.
        """
        soap = body(payload, f"id-{uuid4().hex}")
        key, certificate = self._pair(by or self._own)
        suite = key.suite
        signature = body_signature(
            soap,
            Names(suite.signature_method, suite.digest_method),
            certificate,
            lambda data: self._engine.digest(suite.digest_method, data),
            lambda data: self._engine.sign(key, data),
        )
        if named:
            signature = re.sub(
                rb"<wsse:KeyIdentifier.*</wsse:KeyIdentifier>", lambda _: _issuer_serial(certificate), signature
            )
        return envelope(soap, signature)

    def sealed(self, payload: bytes, service_id: str) -> bytes:
        """Return a payload encrypted for the adapter's system."""
        certificate = read_pair(self._folder, "shep-cipher").certificate_der
        return with_service(encrypt(payload, certificate), service_id)

    def unsealed(self, message: Message) -> Message:
        """Return what a message says that is encrypted for the gateway; its signature comes first.

        Raises RefusedError.
        """
        verdict = verify_envelope(message.raw, self._engine)
        if not verdict.math:
            raise RefusedError("", verdict.reason, side="Client")
        data = etree.tostring(soap_body(parse(message.raw, max_bytes=MESSAGE_LIMIT))[0], with_tail=False)
        try:
            found = read(envelope(body(decrypt(data, self._pair("gateway")[0]))))
        except (CipherError, XmlError, MessageError):
            raise RefusedError("", "Сообщение не расшифровывается", side="Client") from None
        if service_of(found.values) not in {None, message.values["service_id"]}:
            raise RefusedError("", "Сообщение другого сервиса", side="Client")
        return replace(found, raw=message.raw)

    def wrapped(self, payload: bytes) -> bytes:
        """Return an envelope whose signed Body stands in the header, and another one where it is read."""
        message = self.signed(payload)
        start, end = message.index(b"<S:Body"), message.index(b"</S:Envelope>")
        honest = message[start:end]
        return message[:start].replace(b"</S:Header>", honest + b"</S:Header>") + body(payload) + message[end:]

    def _pair(self, name: str) -> tuple[KzKey, bytes]:
        if name not in self._pairs:
            pair = read_pair(self._folder, name)
            self._pairs[name] = self._engine.load_key(pair.key, pair.certificate_der), pair.certificate_der
        return self._pairs[name]


def _issuer_serial(certificate: bytes) -> bytes:
    facts = read_certificate(certificate)
    issuer = x509.Name.load(facts.issuer).native
    name = f"CN={issuer['common_name']},C={issuer['country_name']}"
    return (
        f"<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{name}</ds:X509IssuerName><ds:X509SerialNumber>"
        f"{facts.serial}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>"
    ).encode()
