"""What the tests of files share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.files import FileStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def joined(source: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in source])
