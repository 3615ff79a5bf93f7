"""Time-ordered ids of our own rows: UUID version 7 (RFC 9562), each greater than those this process made before."""

from __future__ import annotations

import os
import random
import time
from typing import Final
from uuid import UUID

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
    """Return a new id: neighbours in time are neighbours in an index, and order is the order of making."""
    now = time.time_ns() // 1_000_000
    if now > _Clock.moment:
        _Clock.moment, _Clock.count = now, 0
    else:
        _Clock.count += 1
        if _Clock.count == _COUNTS:
            _Clock.moment, _Clock.count = _Clock.moment + 1, 0
    return UUID(int=_Clock.moment << 80 | _Clock.count << 64 | _VERSION_AND_VARIANT | _chance.getrandbits(62))
