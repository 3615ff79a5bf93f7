"""GOST R 34.11-2012 (Streebog) of content that does not fit into memory, in pieces.

ctypes gives up the interpreter lock during each call, so a thread hashes while the event loop goes on.
"""

from __future__ import annotations

import asyncio
import weakref
from ctypes import create_string_buffer
from typing import TYPE_CHECKING, Final, Literal

from adapter.signing import libcrypto

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

#: The digests as SIGN_SERVICE's contract names them (schemas/sign-service.openapi.yaml, DigestAlgorithm).
DigestAlgorithm = Literal["streebog-256", "streebog-512"]
STREEBOG_256: Final[DigestAlgorithm] = "streebog-256"
STREEBOG_512: Final[DigestAlgorithm] = "streebog-512"
#: Bits of each.
BITS: Final[dict[DigestAlgorithm, int]] = {STREEBOG_256: 256, STREEBOG_512: 512}

_OIDS: Final = {256: "1.2.643.7.1.1.2.2", 512: "1.2.643.7.1.1.2.3"}
#: Pieces below this many bytes are hashed in the event loop: a thread's turn costs more.
_INLINE: Final = 4096
#: Small pieces are joined to this many bytes before a thread takes them.
_PIECE: Final = 1 << 20


class StreamingStreebog:
    """One digest in the making; not for several threads at once.

    Takes seconds for large content (some 170 MB/s): give large pieces to :meth:`update` in a thread, or let
    :meth:`passing` do it.
    """

    def __init__(self, bits: int = 256) -> None:
        """``bits`` is 256 or 512, else ValueError. Raises GostUnavailableError where there is no engine."""
        if bits not in _OIDS:
            raise ValueError("Streebog has 256 or 512 bits")
        self.bits = bits
        self.algorithm: DigestAlgorithm = STREEBOG_256 if bits == 256 else STREEBOG_512
        self._library = libcrypto.load()
        self._functions = self._library.functions
        self._result: bytes | None = None
        self._context: int = self._functions.EVP_MD_CTX_new()
        # Not at exit: OpenSSL's own clean-up owns the memory by then.
        weakref.finalize(self, self._functions.EVP_MD_CTX_free, self._context).atexit = False
        method = self._library.digest(_OIDS[bits])
        self._must(self._functions.EVP_DigestInit_ex(self._context, method, self._library.engine))

    def update(self, data: bytes) -> None:
        """Take the next piece. Raises ValueError once :meth:`digest` was asked for."""
        if self._result is not None:
            raise ValueError("the digest is complete")
        self._must(self._functions.EVP_DigestUpdate(self._context, data, len(data)))

    def digest(self) -> bytes:
        """Return the digest of everything taken, 32 or 64 bytes; nothing can be added afterwards."""
        if self._result is None:
            result = create_string_buffer(self.bits // 8)
            self._must(self._functions.EVP_DigestFinal_ex(self._context, result, None))
            self._result = result.raw
        return self._result

    async def passing(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Pass ``chunks`` on as they come, joined to about a megabyte, and hash them in a thread meanwhile.

        A piece is hashed while its receiver works on it. When the last one was passed on, all are hashed.
        """
        hashing: asyncio.Future[None] | None = None
        try:
            async for piece in _joined(chunks):
                if hashing is not None:
                    await hashing
                    hashing = None
                if len(piece) <= _INLINE:
                    self.update(piece)
                else:
                    hashing = asyncio.ensure_future(asyncio.to_thread(self.update, piece))
                yield piece
        finally:
            if hashing is not None:
                await hashing

    def _must(self, done: int) -> None:
        if done != 1:
            raise libcrypto.GostUnavailableError(f"the digest failed: {self._library.last_error()}")


async def _joined(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    gathered, size = [], 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            yield gathered[0] if len(gathered) == 1 else b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
