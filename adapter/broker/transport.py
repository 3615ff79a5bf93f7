"""A transport for aiormq whose reader carries foreign bytes through the strict frame decoder unharmed.

Deliveries to our consumers do not reach the decoder at all (:mod:`adapter.broker.deliveries`). Content headers of what
does are re-wrapped: the raw property section travels as one byte-array header (:data:`RAW`), beside the message_id that
aiormq needs to pair a returned message. Names in ``basic.deliver`` and ``basic.return`` that are not UTF-8 are escaped.
Everything else passes as it came.
"""

from __future__ import annotations

import asyncio
import struct
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from pamqp import commands

from adapter.broker.codec import message_id_of
from adapter.broker.deliveries import BODY, DELIVER, HEADER, METHOD, Deliveries

if TYPE_CHECKING:
    import ssl

    from yarl import URL

#: Header under which a delivered message carries its raw property section.
RAW: Final = "raw"
_RETURN = (60).to_bytes(2, "big") + (50).to_bytes(2, "big")
_FRAME_END: Final = b"\xce"
_HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
#: Seconds of deliveries alone after which the library is told that the connection lives.
_SIGN_OF_LIFE: Final = 1.0
_READ: Final = 2**17
_HAS_HEADERS, _HAS_MESSAGE_ID = 1 << 13, 1 << 7


class RawProperties(commands.Basic.Properties):
    """Outgoing properties that are already marshalled: what the outbox stored is what goes out."""

    def __init__(self, raw: bytes, message_id: str) -> None:
        """``raw`` is a property section of :func:`adapter.broker.codec.write_properties`."""
        super().__init__(message_id=message_id)
        self._raw = raw

    def marshal(self) -> bytes:
        """Return the stored bytes."""
        return self._raw


class TolerantReader:
    """The part of StreamReader that aiormq's frame receiver uses, frame by frame."""

    def __init__(self, stream: asyncio.StreamReader, deliveries: Deliveries) -> None:
        """Wrap the connection's own reader; ``deliveries`` takes its frames out of the stream."""
        self._stream = stream
        self._deliveries = deliveries
        self._arrived = b""
        self._at = 0
        self._frame = b""
        self._offset = 0
        self._passed = monotonic()

    def at_eof(self) -> bool:
        """Tell whether nothing more will come."""
        return self._offset >= len(self._frame) and self._at >= len(self._arrived) and self._stream.at_eof()

    async def read(self, n: int = -1) -> bytes:
        """Read what is left of the frame, then of the stream."""
        if self._offset < len(self._frame):
            rest, self._frame, self._offset = self._frame[self._offset :], b"", 0
            return rest
        rest, self._arrived, self._at = self._arrived[self._at :], b"", 0
        return rest or await self._stream.read(n)

    async def readexactly(self, n: int) -> bytes:
        """Return the next ``n`` bytes of the current frame, fetching and mending a new frame when it is used up."""
        start = self._offset
        if start >= len(self._frame):
            self._frame, start = await self._next_frame(), 0
        self._offset = start + n
        if self._offset > len(self._frame):
            raise asyncio.IncompleteReadError(self._frame[start:], n)
        return self._frame[start : self._offset]

    async def _next_frame(self) -> bytes:
        """Return the next frame that is for the library; deliveries before it are handed over on the way."""
        while True:
            frame = self._cut()
            if frame is None:
                more = await self._stream.read(_READ)
                if not more:
                    raise asyncio.IncompleteReadError(self._arrived[self._at :], 7)
                self._arrived, self._at = self._arrived[self._at :] + more, 0
                continue
            kind, payload = frame[0], frame[7:-1]
            if not self._deliveries.take(kind, int.from_bytes(frame[1:3], "big"), payload):
                self._passed = monotonic()
                return _mended(kind, frame, payload)
            if monotonic() - self._passed > _SIGN_OF_LIFE:
                # The library takes a connection without frames for dead, and our deliveries are none to it.
                self._passed = monotonic()
                return _HEARTBEAT

    def _cut(self) -> bytes | None:
        """Cut one whole frame off what has arrived; ``None`` when it has not come to its end."""
        start = self._at
        head = self._arrived[start : start + 7]
        if len(head) < 7:
            return None
        # A broker that speaks another version says so by a header of eight bytes, and no frame follows.
        size = 8 if head.startswith(b"AMQP") else 8 + int.from_bytes(head[3:], "big")
        if start + size > len(self._arrived):
            return None
        self._at = start + size
        return self._arrived[start : self._at]


def _mended(kind: int, frame: bytes, payload: bytes) -> bytes:
    """Return a frame that the strict decoder reads."""
    if kind == HEADER:
        return _frame(frame, _wrap_header(payload))
    if kind == METHOD and payload[:4] in (DELIVER, _RETURN) and not _is_utf8(payload[4:]):
        return _frame(frame, _escape_names(payload))
    return frame


class GatheringWriter:
    """The part of StreamWriter that aiormq uses; what is written within one turn of the loop leaves as one TLS record.

    aiormq writes message by message, and a system call each is a fifth of a busy worker's time.
    """

    def __init__(self, stream: asyncio.StreamWriter) -> None:
        """Wrap the connection's own writer."""
        self._stream = stream
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Let ``data`` leave before the loop's next turn ends."""
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)

    def write_now(self, data: bytes) -> None:
        """Let ``data`` leave at once, behind what was gathered."""
        self._parts.append(data)
        self._flush()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._stream.write(b"".join(parts))

    async def drain(self) -> None:
        """Hand over what was gathered and wait until the buffer has room."""
        self._flush()
        await self._stream.drain()

    def close(self) -> None:
        """Hand over what was gathered and close."""
        self._flush()
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's."""
        return getattr(self._stream, name)


def publish_frames(channel: int, exchange: str, routing_key: str, properties: bytes, body: bytes, most: int) -> bytes:  # noqa: PLR0913, PLR0917 — a publish on the wire
    """Return the frames of one mandatory publish (AMQP 0-9-1, 4.2.6): method, header, body in pieces of ``most``."""
    names = b"".join(bytes((len(name),)) + name for name in (exchange.encode(), routing_key.encode()))
    method = b"\x00\x3c\x00\x28\x00\x00" + names + b"\x01"
    header = struct.pack(">HHQ", 60, 0, len(body)) + properties
    pieces = [body[start : start + most] for start in range(0, len(body), most)]
    frames = [(METHOD, method), (HEADER, header), *((BODY, piece) for piece in pieces)]
    return b"".join(struct.pack(">BHI", kind, channel, len(data)) + data + _FRAME_END for kind, data in frames)


def _frame(head: bytes, payload: bytes) -> bytes:
    return head[:3] + struct.pack(">I", len(payload)) + payload + _FRAME_END


def _wrap_header(payload: bytes) -> bytes:
    """Replace the property section by {headers: {raw: section}, message_id?}; class, weight and body size stay."""
    section = payload[12:]
    try:
        message_id = message_id_of(section)
    except IndexError:
        message_id = None
    table = b"\x03raw" + b"x" + struct.pack(">I", len(section)) + section
    flags, tail = _HAS_HEADERS, b""
    if message_id and message_id.isascii():
        flags |= _HAS_MESSAGE_ID
        tail = bytes((len(message_id),)) + message_id
    return payload[:12] + struct.pack(">HI", flags, len(table)) + table + tail


def _is_utf8(value: bytes) -> bool:
    # Delivery tags and lengths are bytes below 0x80 most of the time; a false alarm only costs the careful path.
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _escape_names(payload: bytes) -> bytes:
    """Escape undecodable short strings of basic.deliver or basic.return; other fields keep their bytes."""
    parts, offset = [payload[:4]], 4
    # deliver: consumer-tag, delivery-tag (8), redelivered (1), exchange, routing-key; return: code (2), three names.
    fixed = {1: 9} if payload[:4] == DELIVER else {0: 2}
    for position in range(3):
        if position in fixed:
            parts.append(payload[offset : offset + fixed[position]])
            offset += fixed[position]
        end = offset + 1 + payload[offset]
        name = payload[offset + 1 : end].decode(errors="backslashreplace").encode()[:255]
        parts.append(bytes((len(name),)) + name)
        offset = end
    return b"".join(parts) + payload[offset:]


class TolerantTransportFactory(TransportFactory):
    """Opens the socket with our TLS context and hands aiormq the tolerant reader."""

    def __init__(self, context: ssl.SSLContext | None, *, timeout: float) -> None:
        """``context`` is ``None`` for plain connections; ``timeout`` bounds the TCP and TLS handshakes, in seconds."""
        self._context = context
        self._timeout = timeout
        self.deliveries = Deliveries()
        #: Of the open connection.
        self.writer: GatheringWriter | None = None

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; raises AMQPConnectionError."""
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection(url.host, url.port, ssl=self._context, limit=2**20)
        except OSError as error:
            raise AMQPConnectionError(str(error)) from error
        self.writer = GatheringWriter(writer)
        return TolerantReader(reader, self.deliveries), self.writer  # type: ignore[return-value]  # the parts aiormq uses
