"""Ids of our own: time-ordered ones for rows, UUID version 7 (RFC 9562), and such as follow from another, version 5.

They are of asyncpg's class of UUID, which is a :class:`uuid.UUID` and written, read and compared ten times as fast: its
only use outside of the journal. orjson writes none of them; take ``str`` first.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from typing import TYPE_CHECKING, Final

from asyncpg.pgproto.pgproto import UUID

if TYPE_CHECKING:
    import uuid

_VERSION_AND_VARIANT: Final = (0x7 << 76) | (0b10 << 62)
#: Bits after the millisecond: 12 of a counter, then 62 of chance, with version and variant between them.
_COUNTS: Final = 1 << 12

#: Unique, not secret: a generator seeded by the system costs no system call per id.
_chance = random.Random(os.urandom(32))  # noqa: S311 — see above
os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))


class _Clock:
    """The last moment and number given away."""

    moment = 0
    count = 0


def new_id() -> UUID:
    """Return a new id, greater than those this process made before: neighbours in time are neighbours in an index."""
    now = time.time_ns() // 1_000_000
    if now > _Clock.moment:
        _Clock.moment, _Clock.count = now, 0
    else:
        _Clock.count += 1
        if _Clock.count == _COUNTS:
            _Clock.moment, _Clock.count = _Clock.moment + 1, 0
    number = _Clock.moment << 80 | _Clock.count << 64 | _VERSION_AND_VARIANT | _chance.getrandbits(62)
    return UUID(number.to_bytes(16, "big"))


def derived_id(space: uuid.UUID, name: str) -> UUID:
    """Return the id that ``name`` has in ``space``: always the same, as :func:`uuid.uuid5` makes it."""
    digest = bytearray(hashlib.sha1(space.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes(digest))
