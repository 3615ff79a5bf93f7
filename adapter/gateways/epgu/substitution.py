"""``${orderId}`` in the text files of an application replaced by its number; every other byte stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

#: What stands in a text file for the number.
MARK: Final = b"${orderId}"
#: Byte order marks of encodings in which the mark has other bytes.
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


async def numbered(pieces: AsyncIterable[bytes], order_id: int) -> AsyncIterator[bytes]:
    """Yield ``pieces`` with every mark replaced, wherever they are cut."""
    number, held = str(order_id).encode("ascii"), b""
    async for piece in pieces:
        *done, rest = (held + piece).split(MARK)
        # What may be the beginning of a mark waits for the piece that follows.
        keep = next((n for n in range(min(len(MARK) - 1, len(rest)), 0, -1) if MARK.startswith(rest[-n:])), 0)
        held = rest[len(rest) - keep :]
        out = number.join([*done, rest[: len(rest) - keep]])
        if out:
            yield out
    if held:
        yield held


class MarkSearch:
    """Looks for marks, and for what no text has, while a file passes."""

    def __init__(self) -> None:
        """Nothing has passed yet."""
        self._tail = b""
        self._first = True
        self.marks = 0
        #: False once bytes have passed that are not those of a text in an encoding that extends ASCII.
        self.is_text = True

    async def passing(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Pass ``pieces`` on."""
        async for piece in pieces:
            if self._first and piece:
                self._first = False
                self.is_text = not piece.startswith(_WIDE)
            if b"\0" in piece:
                self.is_text = False
            seen = self._tail + piece
            self.marks += seen.count(MARK)
            # Shorter than a mark, so that none is counted twice.
            self._tail = seen[-(len(MARK) - 1) :]
            yield piece
