"""The keys that the service holds: by name, each with its token and the list of what it may sign."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asn1crypto import pem

from adapter.signing.certificates import CertificateError, certificates_of, fingerprint, read_certificate
from adapter.signing.gost import KeyUnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from adapter.signing.gost import GostEngine, GostKey

#: Roots in these namespaces belong to СМЭВ's own envelope; any other root is business content.
ENVELOPE_NAMESPACES = "urn://x-artefacts-smev-gov-ru/services/message-exchange/"

#: Content that is no XML: attachments by their bytes, by their digest alone, which the service cannot look behind, and
#: any bytes by a bare value.
_WORDS = frozenset({"cms", "cms-digest", "bare"})
_ENVELOPE = (
    "smev3-xml:SenderProvidedRequestData",
    "smev3-xml:SenderProvidedResponseData",
    "smev3-xml:MessageTypeSelector",
    "smev3-xml:AckTargetMessage",
    "smev3-xml:Timestamp",
    "cms",
    "cms-digest",
    "bare",
)
#: What keys may sign when keys.json says nothing: the system its envelopes, the official business content.
DEFAULT_ALLOWED: Mapping[str, Sequence[str]] = {
    "ov": _ENVELOPE,
    "ov512": _ENVELOPE,
    "sp": ("smev3-xml:*", "cms", "cms-digest"),
}


class KeyringError(Exception):
    """The key folder cannot be served; the sentence names the file and the rule, no contents."""


@dataclass(frozen=True, slots=True)
class ServedKey:
    """One key; ``allowed`` holds ``cms``, ``cms-digest``, ``bare``, ``smev3-xml:NAME`` or ``smev3-xml:*``.

    ``smev3-xml:NAME`` is a root NAME of СМЭВ's envelope; ``smev3-xml:*`` is any business root and never an envelope:
    an official's key signs no message of the system.
    """

    name: str
    key: GostKey
    certificate: bytes
    fingerprint: str
    allowed: tuple[str, ...]
    token: str = field(repr=False)

    def may_sign(self, namespace: str, name: str) -> bool:
        """Tell whether an XML root may be signed."""
        if namespace.startswith(ENVELOPE_NAMESPACES):
            return f"smev3-xml:{name}" in self.allowed
        return "smev3-xml:*" in self.allowed


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by name, and the anchors that verification trusts when a request names none."""

    keys: Mapping[str, ServedKey]
    anchors: tuple[bytes, ...]

    def holder(self, token: str) -> ServedKey | None:
        """Return the key that ``token`` belongs to; every token is compared, in constant time."""
        found, given = None, token.encode("utf-8", "surrogateescape")  # a header may hold any bytes
        for served in self.keys.values():
            if hmac.compare_digest(served.token.encode(), given):
                found = served
        return found


def load_keyring(directory: Path, engine: GostEngine, trust: Sequence[Path] = ()) -> Keyring:
    """Read keys, tokens.json and, if there is one, keys.json ({"keys": {NAME: {"allowed": [...]}}}) of ``directory``.

    ``trust`` are files of anchors; without them DIR/ca.crt.pem. Raises KeyringError.
    """
    tokens = _json(directory / "tokens.json")
    if (directory / "keys.json").exists():
        entries = _json(directory / "keys.json").get("keys")
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise KeyringError("keys.json: expected an object of keys")
        allowed = {name: entry.get("allowed", DEFAULT_ALLOWED.get(name, ())) for name, entry in entries.items()}
    else:
        allowed = {name: what for name, what in DEFAULT_ALLOWED.items() if (directory / f"{name}.key.pem").exists()}
    keys = {name: _served(directory, engine, name, what, tokens.get(name)) for name, what in allowed.items()}
    if not keys:
        raise KeyringError(f"{directory} holds no key to serve: make some with python -m simulators.keys")
    if len({served.token for served in keys.values()}) != len(keys):
        raise KeyringError("tokens.json: two keys share a token")
    return Keyring(keys, _anchors(trust or (directory / "ca.crt.pem",)))


def _served(directory: Path, engine: GostEngine, name: str, allowed: Sequence[str], token: object) -> ServedKey:
    if not isinstance(token, str) or len(token) < 16:
        raise KeyringError(f"tokens.json: {name} needs a token of at least 16 characters")
    if not all(isinstance(what, str) and (what in _WORDS or what.startswith("smev3-xml:")) for what in allowed):
        rule = "neither cms nor cms-digest nor bare nor smev3-xml:NAME"
        raise KeyringError(f"keys.json: {name} lists something that is {rule}")
    try:
        key = engine.load_key((directory / f"{name}.key.pem").read_bytes())
        certificate = pem.unarmor((directory / f"{name}.crt.pem").read_bytes())[2]
        belongs = engine.matches(key, certificate)
    except OSError as error:
        raise KeyringError(f"{error.filename}: {error.strerror}") from error
    except (KeyUnreadableError, CertificateError, ValueError) as error:
        raise KeyringError(f"{name}: {type(error).__name__}") from error
    if not belongs:
        raise KeyringError(f"{name}: the certificate is not of this key")
    read_certificate(certificate)
    return ServedKey(name, key, certificate, fingerprint(certificate), tuple(allowed), token)


def _anchors(files: Sequence[Path]) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for file in files:
        try:
            found += certificates_of(file.read_bytes())
        except OSError as error:
            raise KeyringError(f"{file}: {error.strerror}") from error
        except CertificateError as error:
            raise KeyringError(f"{file}: {error}") from error
    return tuple(found)


def _json(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise KeyringError(f"{file}: {error.strerror}") from error
    except ValueError:
        raise KeyringError(f"{file}: not JSON") from None
    if not isinstance(content, dict):
        raise KeyringError(f"{file}: expected an object")
    return content
