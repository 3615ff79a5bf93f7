"""Deliveries taken off the wire before the library decodes them: raw properties, no object and no task a message.

A consumer opens its channel's number here; what the broker then delivers on that channel is put together from its
frames (AMQP 0-9-1, 2.3.5) and handed over at once. Every other frame goes to the library. A body that is too large to
be kept never stands in memory: its digest grows frame by frame.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Body: TypeAlias = "bytes | TooLarge"
    #: Called with delivery tag, redelivered flag, raw property section and body.
    Sink = Callable[[int, bool, bytes, Body], None]

METHOD, HEADER, BODY = 1, 2, 3
DELIVER: Final = b"\x00\x3c\x00\x3c"


@dataclass(frozen=True, slots=True)
class TooLarge:
    """What is known of a body that was not kept: its size in bytes and its SHA-256."""

    size: int
    sha256: bytes


class _Delivery:
    """One delivery while its frames arrive."""

    __slots__ = ("digest", "left", "pieces", "properties", "redelivered", "size", "tag")

    def __init__(self, payload: bytes) -> None:
        at = 5 + payload[4]  # behind the consumer's tag
        self.tag = int.from_bytes(payload[at : at + 8], "big")
        self.redelivered = bool(payload[at + 8] & 1)
        self.properties = b""
        #: Bytes of the body, and those that have not come yet: unknown before the header.
        self.size = self.left = -1
        self.pieces: list[bytes] = []
        #: Grows with a body that is not kept.
        self.digest: hashlib._Hash | None = None

    def begin(self, payload: bytes, largest: int) -> None:
        self.size = self.left = int.from_bytes(payload[4:12], "big")
        self.properties = payload[12:]
        if self.size > largest:
            self.digest = hashlib.sha256()

    def add(self, payload: bytes) -> None:
        self.left -= len(payload)
        if self.digest is None:
            self.pieces.append(payload)
        else:
            self.digest.update(payload)

    @property
    def body(self) -> Body:
        if self.digest is not None:
            return TooLarge(self.size, self.digest.digest())
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


class Deliveries:
    """Deliveries of one connection by channel."""

    def __init__(self) -> None:
        """No channel is open."""
        self._sinks: dict[int, tuple[Sink, int]] = {}
        self._coming: dict[int, _Delivery] = {}

    def open(self, channel: int, sink: Sink, largest: int = sys.maxsize) -> None:
        """Hand what arrives on ``channel`` to ``sink`` from now on, bodies over ``largest`` bytes by their digests.

        An earlier holder of the number is forgotten.
        """
        self._sinks[channel] = (sink, largest)
        self._coming.pop(channel, None)

    def take(self, kind: int, channel: int, payload: bytes) -> bool:
        """Take a frame that belongs to a delivery of an open channel; false when it is the library's."""
        coming = self._coming.get(channel)
        if coming is None:
            if kind != METHOD or not payload.startswith(DELIVER) or channel not in self._sinks:
                return False
            self._coming[channel] = _Delivery(payload)
            return True
        sink, largest = self._sinks[channel]
        if kind == HEADER:
            coming.begin(payload, largest)
        elif kind == BODY:
            coming.add(payload)
        else:
            # A channel that is closed in the middle of a delivery: what had come of it was never handed over.
            del self._coming[channel]
            return False
        if coming.left == 0:
            del self._coming[channel]
            sink(coming.tag, coming.redelivered, coming.properties, coming.body)
        return True
