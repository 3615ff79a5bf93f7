"""MessageIDs of СМЭВ3: UUID version 1, lower case, whose embedded moment the gateway checks.

Source: facts, smev3.md, MessageID: "UUID v1, lower case; SMEV checks the embedded time (24 h)".
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from threading import Lock
from uuid import UUID

from adapter.gateways.smev3.options import Clock, utc_now

_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
_TICKS_PER_SECOND = 10_000_000
#: RFC 9562, 6.10: the multicast bit says that the node is random and nobody's network card.
_MULTICAST = 1 << 40


class MessageIdMint:
    """Mints MessageIDs, each unlike every other one, of this process and of any other.

    The node is random per mint, because containers share network cards' addresses. Ids grow while the clock does not
    step back by more than a second; after such a step a new clock sequence keeps them apart (RFC 9562, 6.1), so that
    the embedded moment stays true: the gateway refuses ids from the past and from the future.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        """``clock`` gives the embedded moment."""
        self._clock = clock
        self._node = secrets.randbits(48) | _MULTICAST
        self._sequence = secrets.randbits(14)
        self._last = 0
        self._lock = Lock()

    def mint(self) -> str:
        """Return a new MessageID."""
        with self._lock:
            ticks = _ticks(self._clock())
            if ticks <= self._last:
                if self._last - ticks < _TICKS_PER_SECOND:
                    ticks = self._last + 1
                else:
                    self._sequence = (self._sequence + 1) & 0x3FFF
            self._last = ticks
            sequence = self._sequence
        fields = (
            ticks & 0xFFFFFFFF,
            (ticks >> 32) & 0xFFFF,
            (ticks >> 48) & 0x0FFF,
            sequence >> 8,
            sequence & 0xFF,
            self._node,
        )
        return str(UUID(fields=fields, version=1))


def minted_at(message_id: str) -> datetime:
    """Return the moment inside ``message_id``, in UTC. Raises ValueError when it is no UUID of version 1."""
    parsed = UUID(message_id)
    if parsed.version != 1:
        raise ValueError("a MessageID is a UUID of version 1")
    return _EPOCH + timedelta(microseconds=parsed.time // 10)


def _ticks(moment: datetime) -> int:
    """Return ``moment`` in the 100 ns ticks of UUID version 1."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * _TICKS_PER_SECOND + since.microseconds * 10
