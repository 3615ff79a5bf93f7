"""GOST R 34.11-2012 over what does not fit into memory, for PKCS#7 over the members of large archives."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.signing import libcrypto

if TYPE_CHECKING:
    from typing import BinaryIO

    from adapter.signing.gost import GostEngine

_PIECE = 1 << 20
_OIDS = {256: "1.2.643.7.1.1.2.2", 512: "1.2.643.7.1.1.2.3"}


@dataclass(frozen=True, slots=True)
class StreamDigests:
    """Stands in for the engine where PKCS#7 asks for the digest of the data: the data are what the stream gives."""

    engine: GostEngine
    stream: BinaryIO

    def digest(self, bits: int, _data: bytes) -> bytes:
        """Return the digest of the stream, read once; some 50 MB/s: run it in a thread."""
        return digest_stream(self.stream, bits)

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Verify as the engine does."""
        return self.engine.verify(certificate, data, signature)


def digest_stream(stream: BinaryIO, bits: int) -> bytes:
    """Return the digest of everything ``stream`` gives. Raises OSError, GostUnavailableError."""
    library = libcrypto.load()
    crypto = library.functions
    crypto.EVP_DigestInit_ex.argtypes = [c_void_p, c_void_p, c_void_p]
    crypto.EVP_DigestUpdate.argtypes = [c_void_p, c_char_p, c_size_t]
    crypto.EVP_DigestFinal_ex.argtypes = [c_void_p, c_char_p, c_void_p]
    for name in ("EVP_DigestInit_ex", "EVP_DigestUpdate", "EVP_DigestFinal_ex"):
        getattr(crypto, name).restype = c_int
    context = crypto.EVP_MD_CTX_new()
    result = ctypes.create_string_buffer(bits // 8)
    try:
        done: int = crypto.EVP_DigestInit_ex(context, library.digest(_OIDS[bits]), library.engine)
        while piece := stream.read(_PIECE):
            done &= crypto.EVP_DigestUpdate(context, piece, len(piece))
        done &= crypto.EVP_DigestFinal_ex(context, result, None)
    finally:
        crypto.EVP_MD_CTX_free(context)
    if done != 1:
        raise libcrypto.GostUnavailableError(f"the digest failed: {library.last_error()}")
    return result.raw
