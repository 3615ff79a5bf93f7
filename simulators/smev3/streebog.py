"""GOST R 34.11-2012 of files that do not fit into memory, and PKCS#7 signatures over them by the digest alone."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.signing import gost_cms
from adapter.signing.gost import GostKey
from simulators.streebog import digest_stream

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.gost import GostEngine
    from adapter.signing.gost_cms import CmsVerdict

_MOST_KNOWN = 1024
#: Digests by what tells one content of a file from another: device, inode, size, time of change, and the bits.
_known: dict[tuple[int, ...], bytes] = {}


def digest_file(path: Path, bits: int = 256) -> bytes:
    """Return the digest of the file at ``path``, read in pieces. Raises OSError, GostUnavailableError.

    Takes seconds for large files (some 180 MB/s) and holds no lock of the interpreter meanwhile: run it in a thread. A
    file that has not changed, or was only moved, is not read again.
    """
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, bits)
        if key not in _known:
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            _known[key] = digest_stream(file, bits)
        return _known[key]


@dataclass(frozen=True, slots=True)
class FileDigests:
    """Stands in for the engine where PKCS#7 asks for the digest of the data: the data are the file's."""

    engine: GostEngine
    path: Path

    def digest(self, bits: int, _data: bytes) -> bytes:
        """Return the digest of the file."""
        return digest_file(self.path, bits)

    def sign(self, key: object, data: bytes) -> bytes:
        """Sign as the engine does."""
        return self.engine.sign(key, data)

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Verify as the engine does."""
        return self.engine.verify(certificate, data, signature)


def sign_file(engine: GostEngine, key: object, certificate: bytes, path: Path) -> bytes:
    """Return a detached DER PKCS#7 over the file at ``path``."""
    if not isinstance(key, GostKey):
        raise TypeError("expected a key from GostEngine.load_key")
    return gost_cms.sign(FileDigests(engine, path), key, certificate, b"", detached=True, signed_at=None)


def sign_again(engine: GostEngine, key: object, certificate: bytes, path: Path, known: str) -> bytes:
    """Return what :func:`sign_file` does; ``known`` is the file's hash in base64 and spares reading it."""
    digest = base64.b64decode(known)
    if not isinstance(key, GostKey) or len(digest) * 8 != key.bits:
        return sign_file(engine, key, certificate, path)
    return gost_cms.sign_digest(engine, key, certificate, digest)


def verify_file(engine: GostEngine, signature: bytes, path: Path) -> CmsVerdict:
    """Judge a detached DER PKCS#7 over the file at ``path``; never raises for foreign bytes."""
    return gost_cms.verify(FileDigests(engine, path), signature, b"")
