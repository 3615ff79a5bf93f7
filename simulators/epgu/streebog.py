"""GOST R 34.11-2012 over what does not fit into memory, for PKCS#7 over the members of large archives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.streebog import digest_stream

if TYPE_CHECKING:
    from typing import BinaryIO

    from adapter.signing.gost import GostEngine


@dataclass(frozen=True, slots=True)
class StreamDigests:
    """Stands in for the engine where PKCS#7 asks for the digest of the data: the data are what the stream gives."""

    engine: GostEngine
    stream: BinaryIO

    def digest(self, bits: int, _data: bytes) -> bytes:
        """Return the digest of the stream, read once, which takes seconds for large ones: run it in a thread."""
        return digest_stream(self.stream, bits)

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Verify as the engine does."""
        return self.engine.verify(certificate, data, signature)
