"""Deliveries taken off the wire before the library decodes them: raw properties, no object and no task a message.

A consumer opens its channel's number here; what the broker then delivers on that channel is put together from its
frames (AMQP 0-9-1, 2.3.5) and handed over at once. Every other frame goes to the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Called with delivery tag, redelivered flag, raw property section and body.
    Sink = Callable[[int, bool, bytes, bytes], None]

METHOD, HEADER, BODY = 1, 2, 3
DELIVER: Final = b"\x00\x3c\x00\x3c"


class _Delivery:
    """One delivery while its frames arrive; ``size`` is unknown until the header has come."""

    __slots__ = ("pieces", "properties", "redelivered", "size", "tag")

    def __init__(self, payload: bytes) -> None:
        at = 5 + payload[4]  # behind the consumer's tag
        self.tag = int.from_bytes(payload[at : at + 8], "big")
        self.redelivered = bool(payload[at + 8] & 1)
        self.properties = b""
        self.size = -1
        self.pieces: list[bytes] = []


class Deliveries:
    """Deliveries of one connection by channel."""

    def __init__(self) -> None:
        """No channel is open."""
        self._sinks: dict[int, Sink] = {}
        self._coming: dict[int, _Delivery] = {}

    def open(self, channel: int, sink: Sink) -> None:
        """Hand what arrives on ``channel`` to ``sink`` from now on; an earlier holder of the number is forgotten."""
        self._sinks[channel] = sink
        self._coming.pop(channel, None)

    def take(self, kind: int, channel: int, payload: bytes) -> bool:
        """Take a frame that belongs to a delivery of an open channel; false when it is the library's."""
        coming = self._coming.get(channel)
        if coming is None:
            if kind != METHOD or not payload.startswith(DELIVER) or channel not in self._sinks:
                return False
            self._coming[channel] = _Delivery(payload)
            return True
        if kind == HEADER:
            coming.size, coming.properties = int.from_bytes(payload[4:12], "big"), payload[12:]
        elif kind == BODY:
            coming.pieces.append(payload)
            coming.size -= len(payload)
        else:
            # A channel that is closed in the middle of a delivery: what had come of it was never handed over.
            del self._coming[channel]
            return False
        if coming.size == 0:
            del self._coming[channel]
            body = coming.pieces[0] if len(coming.pieces) == 1 else b"".join(coming.pieces)
            self._sinks[channel](coming.tag, coming.redelivered, coming.properties, body)
        return True
