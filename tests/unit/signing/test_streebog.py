"""The streamed digest against the engine's digest of the whole, and against RFC 6986."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.signing.gost import GostEngine
from adapter.signing.streebog import StreamingStreebog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@pytest.mark.parametrize("bits", [256, 512])
@given(pieces=st.lists(st.binary(max_size=300), max_size=8))
def test_pieces_have_the_digest_of_the_whole(bits: int, pieces: list[bytes]) -> None:
    streebog = StreamingStreebog(bits)
    for piece in pieces:
        streebog.update(piece)
    assert streebog.digest() == streebog.digest() == GostEngine.open().digest(bits, b"".join(pieces))


def test_the_first_message_of_rfc_6986_has_its_digest() -> None:
    streebog = StreamingStreebog(256)
    streebog.update(b"0123456789012345678901234567890123456789")
    streebog.update(b"01234567890123456789012")
    assert streebog.digest().hex() == "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500"


def test_nothing_can_be_added_to_a_complete_digest() -> None:
    streebog = StreamingStreebog()
    streebog.digest()
    with pytest.raises(ValueError, match="complete"):
        streebog.update(b"more")


def test_there_is_no_streebog_of_other_sizes() -> None:
    with pytest.raises(ValueError, match="256 or 512"):
        StreamingStreebog(384)


async def _from(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("sizes", [[], [0], [1, 2, 3], [5000] * 5, [700_000] * 4, [3_000_000]])
async def test_what_passes_comes_out_whole_and_is_hashed(sizes: list[int]) -> None:
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    streebog = StreamingStreebog(256)
    passed = [piece async for piece in streebog.passing(_from(pieces))]
    assert b"".join(passed) == b"".join(pieces)
    assert streebog.digest() == GostEngine.open().digest(256, b"".join(pieces))


async def test_a_source_that_breaks_breaks_what_passes() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        async for _ in StreamingStreebog().passing(broken()):
            pass


def test_other_threads_run_while_a_piece_is_hashed() -> None:
    streebog, started, done = StreamingStreebog(), threading.Event(), threading.Event()
    piece = bytes(32 << 20)

    def hash_it() -> None:
        started.set()
        streebog.update(piece)
        done.set()

    worker = threading.Thread(target=hash_it)
    worker.start()
    started.wait(10)
    turns = 0
    while not done.is_set():
        turns += 1
    worker.join()
    assert turns > 1000  # holding the interpreter's lock, the call would leave this thread a turn or two
