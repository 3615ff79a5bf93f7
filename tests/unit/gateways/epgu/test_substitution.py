"""``${orderId}`` and nothing else is replaced, wherever a file is cut into pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from adapter.gateways.epgu.substitution import MARK, MarkSearch, numbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Bytes in which marks, halves of marks and anything else stand side by side.
CONTENT = st.lists(
    st.one_of(st.binary(max_size=5), st.sampled_from([MARK, MARK[:4], MARK[3:], b"$", b"${orderId ", b"$" + MARK]))
).map(b"".join)


async def cut(content: bytes, places: list[int]) -> AsyncIterator[bytes]:
    edges = sorted({0, len(content), *(place % (len(content) + 1) for place in places)})
    for start, end in pairwise(edges):
        yield content[start:end]


@given(CONTENT, st.lists(st.integers(0, 200)), st.integers(1, 10**17))
async def test_every_mark_becomes_the_number_and_every_other_byte_stays(
    content: bytes, places: list[int], number: int
) -> None:
    pieces = [piece async for piece in numbered(cut(content, places), number)]
    assert b"".join(pieces) == content.replace(MARK, str(number).encode())
    assert all(pieces)


@given(CONTENT, st.lists(st.integers(0, 200)))
async def test_marks_are_counted_and_the_bytes_passed_on(content: bytes, places: list[int]) -> None:
    search = MarkSearch()
    passed = b"".join([piece async for piece in search.passing(cut(content, places))])
    assert passed == content
    assert search.marks == content.count(MARK)
    assert not (search.is_text and b"\0" in content)


async def test_windows_1251_is_a_text_and_utf_16_is_none() -> None:
    for content, is_text in (("заявление".encode("cp1251"), True), ("заявление".encode("utf-16"), False)):
        search = MarkSearch()
        assert [piece async for piece in search.passing(cut(content, []))] == [content]
        assert search.is_text is is_text
