"""Certificates and keys of connections: given as a path or as PEM text, checked at start, turned into TLS contexts."""

from __future__ import annotations

import binascii
import os
import re
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asn1crypto import core, x509
from asn1crypto import pem as asn1_pem

from adapter.settings.values import WrongValueError, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_RSA = "1.2.840.113549.1.1.1"
_MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Pem:
    """PEM material. A path is read anew at each use, so that a renewed certificate serves the next connection."""

    path: Path | None
    text: str = field(repr=False)

    @classmethod
    def of(cls, value: str) -> Pem:
        r"""Take PEM text (also with literal ``\n`` for line breaks) or the path of a PEM file.

        Raises WrongValueError when the file cannot be read or holds no PEM block.
        """
        if "-----BEGIN" in value:
            return cls(None, _blocks_only(value.replace("\\r", "").replace("\\n", "\n")))
        path = Path(value)
        return cls(path, _read(path))

    def current(self) -> str:
        """Return the PEM blocks as they are now. Raises WrongValueError when the file went away."""
        return self.text if self.path is None else _read(self.path)

    def blocks(self) -> list[tuple[str, bytes]]:
        """Return (label, DER) of each block. Raises WrongValueError when one is not base64."""
        try:
            return [(label, der) for label, _, der in asn1_pem.unarmor(self.text.encode("ascii"), multiple=True)]
        except (ValueError, binascii.Error):
            raise WrongValueError("holds a PEM block that cannot be decoded") from None

    @contextmanager
    def as_file(self) -> Iterator[str]:
        """Lend a file name: the path itself, or a file that only this user may read, gone when the block ends.

        Only a file will do for ``ssl.SSLContext.load_cert_chain``.
        """
        if self.path is not None:
            yield str(self.path)
            return
        descriptor, name = tempfile.mkstemp(suffix=".pem")  # mkstemp creates with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(self.text)
            yield name
        finally:
            Path(name).unlink()


def certificates(value: str) -> Pem:
    """Read one or more X.509 certificates. Raises WrongValueError when there is none or one is malformed."""
    pem = Pem.of(value)
    if not _certificates_of(pem):
        raise WrongValueError("holds no certificate")
    return pem


def private_key(value: str) -> Pem:
    """Read a private key. Raises WrongValueError when there is none or when it needs a pass phrase."""
    pem = Pem.of(value)
    labels = [label for label, _ in pem.blocks() if label.endswith("PRIVATE KEY")]
    if not labels:
        raise WrongValueError("holds no private key")
    if "ENCRYPTED" in pem.text:
        raise WrongValueError("is encrypted: give a key without a pass phrase, readable by this user alone")
    return pem


def anchors(value: str) -> tuple[bytes, ...]:
    """Read trust anchors and return them as DER."""
    return tuple(certificate.dump() for certificate in _certificates_of(certificates(value)))


def expiry(pem: Pem) -> datetime:
    """Return the moment when the first certificate of ``pem`` ends."""
    ends: datetime = _certificates_of(pem)[0].not_valid_after
    return ends


def ends(pem: Pem) -> list[datetime]:
    """Return when each certificate of ``pem``, as it is now, ends. Raises WrongValueError."""
    return [certificate.not_valid_after for certificate in _certificates_of(Pem(None, pem.current()))]


def end_of(certificate: bytes) -> datetime:
    """Return when a certificate in DER ends. Raises ValueError for what is none."""
    end: datetime = x509.Certificate.load(certificate).not_valid_after
    return end


def is_rsa(certificate: bytes) -> bool:
    """Tell whether a certificate in DER is of an RSA key. Raises ValueError for what is none."""
    info = x509.Certificate.load(certificate)["tbs_certificate"]["subject_public_key_info"]
    algorithm: str = core.Sequence.load(core.Sequence.load(info.dump())[0].dump())[0].dotted
    return algorithm == _RSA


def client_context(authority: Pem | None, certificate: Pem | None, key: Pem | None) -> ssl.SSLContext:
    """Return a context that verifies the server, by ``authority`` alone or the system's store, and shows our side.

    Raises ssl.SSLError when the key is not the certificate's, WrongValueError when a file went away.
    """
    context = ssl.create_default_context(cadata=authority.current() if authority else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None and key is not None:
        show(context, certificate, key)
    return context


def show(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    """Let a context show a certificate.

    Raises ssl.SSLError when the key is another's, WrongValueError when a file went away.
    """
    with certificate.as_file() as certificate_file, key.as_file() as key_file:
        try:
            # An empty pass phrase keeps OpenSSL from asking the terminal.
            context.load_cert_chain(certificate_file, key_file, password="")
        except FileNotFoundError:
            raise WrongValueError("names a file that went away") from None


def server_context(certificate: Pem | None, key: Pem | None, authority: Pem | None = None) -> ssl.SSLContext | None:
    """Return a context that a listener shows ``certificate`` by, ``None`` (plain http) without one.

    With ``authority`` every caller has to show a certificate of it.
    """
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        context.load_verify_locations(cadata=authority.current())
        context.verify_mode = ssl.CERT_REQUIRED
    show(context, certificate, key)
    return context


def _certificates_of(pem: Pem) -> list[x509.Certificate]:
    blocks = [der for label, der in pem.blocks() if label == "CERTIFICATE"]
    try:
        found = [x509.Certificate.load(der, strict=True) for der in blocks]
        for certificate in found:
            _ = certificate.subject.native, certificate.public_key, certificate.not_valid_after
    except (ValueError, KeyError, TypeError):
        raise WrongValueError("holds a certificate that cannot be parsed") from None
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise WrongValueError(f"is neither PEM text nor a readable file ({unreadable(error)})") from None
    if len(data) > _MAX_BYTES:
        raise WrongValueError("names a file that is too large to be a certificate or key")
    return _blocks_only(data.decode("utf-8", "replace"))


def _blocks_only(text: str) -> str:
    """Cut what stands around the blocks: comments there may hold letters that OpenSSL's Python binding refuses."""
    blocks = [match[0] for match in _BLOCK.finditer(text)]
    if not blocks or not all(block.isascii() for block in blocks):
        raise WrongValueError("holds no complete PEM block")
    return "\n".join(blocks) + "\n"
