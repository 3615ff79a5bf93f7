"""AMQP basic properties as bytes: a reader that no foreign byte can break, and the writer of our own messages.

The stock decoder insists on UTF-8 and on sane timestamps; one message that breaks the rule takes the whole
connection down (LOCAL-SERVICES, "aio-pika 10: what was measured"). Here every short string stays bytes, every odd
value becomes a named fault, and the raw property section is what the journal keeps.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Flag bits of the fourteen basic properties, in wire order (AMQP 0-9-1, class basic).
_SHORT: Final = "short"
_TABLE: Final = "table"
_OCTET: Final = "octet"
_STAMP: Final = "stamp"
_LAYOUT: Final = (
    ("content_type", 1 << 15, _SHORT),
    ("content_encoding", 1 << 14, _SHORT),
    ("headers", 1 << 13, _TABLE),
    ("delivery_mode", 1 << 12, _OCTET),
    ("priority", 1 << 11, _OCTET),
    ("correlation_id", 1 << 10, _SHORT),
    ("reply_to", 1 << 9, _SHORT),
    ("expiration", 1 << 8, _SHORT),
    ("message_id", 1 << 7, _SHORT),
    ("timestamp", 1 << 6, _STAMP),
    ("message_type", 1 << 5, _SHORT),
    ("user_id", 1 << 4, _SHORT),
    ("app_id", 1 << 3, _SHORT),
    ("cluster_id", 1 << 2, _SHORT),
)
#: All that is not a header, in that order.
_said = attrgetter(*(name for name, _, kind in _LAYOUT if kind is not _TABLE))
#: Names on the wire where ours differ.
_WIRE_NAMES: Final = {"message_type": "type"}
#: Seconds of the last moment of year 9999: later timestamps name no date.
_LAST_MOMENT: Final = 253_402_300_799
_MAX_DEPTH: Final = 8
#: Headers by which quorum queues count deliveries.
_COUNTERS: Final = frozenset({b"x-delivery-count", b"x-acquired-count"})


class MalformedPropertiesError(ValueError):
    """The property section ends early or names an unknown field type: it cannot be read to its end."""


@dataclass(slots=True)
class Properties:
    """Basic properties of one message; short strings are the bytes that came, ``None`` where absent.

    ``faults`` names what a strict reader would have refused: (property, Russian rule).
    """

    content_type: bytes | None = None
    content_encoding: bytes | None = None
    headers: dict[bytes, Any] = field(default_factory=dict)
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: bytes | None = None
    reply_to: bytes | None = None
    expiration: bytes | None = None
    message_id: bytes | None = None
    timestamp: int | None = None
    message_type: bytes | None = None
    user_id: bytes | None = None
    app_id: bytes | None = None
    cluster_id: bytes | None = None
    faults: list[tuple[str, str]] = field(default_factory=list)


def read_properties(raw: bytes) -> Properties:
    """Read a raw property section (flags and values); never raises, says what is wrong in ``faults``."""
    properties = Properties()
    try:
        flags = int.from_bytes(raw[0:2], "big")
        offset = 2
        for name, bit, kind in _LAYOUT:
            if flags & bit:
                value, offset = (
                    _read_headers(raw, offset, properties) if kind is _TABLE else _READERS[kind](raw, offset)
                )
                setattr(properties, name, value)
    except (MalformedPropertiesError, struct.error, IndexError):
        properties.faults.append(("properties", "свойства сообщения не читаются по протоколу AMQP 0-9-1"))
    _judge(properties)
    return properties


def _read_headers(raw: bytes, offset: int, properties: Properties) -> tuple[dict[bytes, Any], int]:
    """Read the header table, or name it as unreadable and step over it: what follows still tells whom to answer."""
    _, end = _span(raw, offset, 0)
    try:
        return _table(raw, offset)
    except (MalformedPropertiesError, struct.error, IndexError):
        properties.faults.append(("properties.headers", "заголовки не читаются по протоколу AMQP 0-9-1"))
        return {}, end


def told_apart(properties: Properties) -> bytes:
    """Return what the publisher said, in one form: equal for a message and for its redelivery.

    A quorum queue adds a counter to the headers of what it delivers again and writes the table anew, in its own order.
    """
    headers = sorted((key, value) for key, value in properties.headers.items() if key not in _COUNTERS)
    return repr((headers, list(_said(properties)))).encode()


def _judge(properties: Properties) -> None:
    """Name every property that a strict reader would have died on."""
    for name, _, kind in _LAYOUT:
        value = getattr(properties, name)
        if kind is _SHORT and value is not None and not _is_utf8(value):
            path = f"properties.{_WIRE_NAMES.get(name, name)}"
            properties.faults.append((path, "значение не в кодировке UTF-8"))
    if any(not _is_utf8(key) for key in properties.headers):
        properties.faults.append(("properties.headers", "имя заголовка не в кодировке UTF-8"))
    if properties.timestamp is not None and properties.timestamp > _LAST_MOMENT:
        properties.faults.append(("properties.timestamp", "отметка времени вне допустимых дат"))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _short(raw: bytes, offset: int) -> tuple[bytes, int]:
    end = offset + 1 + raw[offset]
    if end > len(raw):
        raise MalformedPropertiesError
    return raw[offset + 1 : end], end


def _octet(raw: bytes, offset: int) -> tuple[int, int]:
    return raw[offset], offset + 1


def _stamp(raw: bytes, offset: int) -> tuple[int, int]:
    return int(struct.unpack_from(">Q", raw, offset)[0]), offset + 8


def _table(raw: bytes, offset: int, depth: int = 0) -> tuple[dict[bytes, Any], int]:
    offset, end = _span(raw, offset, depth)
    table: dict[bytes, Any] = {}
    while offset < end:
        key, offset = _short(raw, offset)
        table[key], offset = _value(raw, offset, depth)
    return table, end


def _array(raw: bytes, offset: int, depth: int) -> tuple[list[Any], int]:
    offset, end = _span(raw, offset, depth)
    items: list[Any] = []
    while offset < end:
        item, offset = _value(raw, offset, depth)
        items.append(item)
    return items, end


def _span(raw: bytes, offset: int, depth: int) -> tuple[int, int]:
    end = offset + 4 + int(struct.unpack_from(">I", raw, offset)[0])
    if end > len(raw) or depth > _MAX_DEPTH:
        raise MalformedPropertiesError
    return offset + 4, end


#: Fixed-size field types of RabbitMQ's dialect.
_FIXED: Final = {
    ord("t"): (">?", 1),
    ord("b"): (">b", 1),
    ord("B"): (">B", 1),
    ord("s"): (">h", 2),
    ord("u"): (">H", 2),
    ord("I"): (">i", 4),
    ord("i"): (">I", 4),
    ord("l"): (">q", 8),
    ord("L"): (">q", 8),
    ord("f"): (">f", 4),
    ord("d"): (">d", 8),
    ord("T"): (">Q", 8),
}


def _value(raw: bytes, offset: int, depth: int) -> tuple[Any, int]:
    kind, offset = raw[offset], offset + 1
    if kind in (ord("S"), ord("x")):
        start, end = _span(raw, offset, depth)
        return raw[start:end], end
    if kind in _FIXED:
        form, size = _FIXED[kind]
        return struct.unpack_from(form, raw, offset)[0], offset + size
    if kind == ord("F"):
        return _table(raw, offset, depth + 1)
    if kind == ord("A"):
        return _array(raw, offset, depth + 1)
    if kind == ord("V"):
        return None, offset
    if kind == ord("D"):
        return raw[offset : offset + 5], offset + 5
    raise MalformedPropertiesError


_READERS: Final[Mapping[str, Callable[[bytes, int], tuple[Any, int]]]] = {
    _SHORT: _short,
    _OCTET: _octet,
    _STAMP: _stamp,
}


def write_properties(  # noqa: PLR0913 — the arguments are the protocol's properties
    *,
    message_id: bytes,
    message_type: bytes,
    correlation_id: bytes | None = None,
    reply_to: bytes | None = None,
    headers: Mapping[str, str | int | bool] | None = None,
    content_type: bytes = b"application/json",
    expiration: bytes | None = None,
) -> bytes:
    """Return the raw property section of a persistent message of ours, values byte for byte.

    Every short string has to fit 255 bytes; raises ValueError otherwise.
    """
    flags = (1 << 15) | (1 << 12) | (1 << 7) | (1 << 5)
    parts = [_write_short(content_type)]
    if headers:
        flags |= 1 << 13
        parts.append(_write_table(headers))
    parts.append(b"\x02")
    for bit, value in ((1 << 10, correlation_id), (1 << 9, reply_to), (1 << 8, expiration)):
        if value is not None:
            flags |= bit
            parts.append(_write_short(value))
    parts += (_write_short(message_id), _write_short(message_type))
    return flags.to_bytes(2, "big") + b"".join(parts)


def _write_short(value: bytes) -> bytes:
    if len(value) > 255:
        raise ValueError("a short string holds at most 255 bytes")
    return bytes((len(value),)) + value


def _write_table(headers: Mapping[str, str | int | bool]) -> bytes:
    parts: list[bytes] = []
    for key, value in headers.items():
        parts.append(_write_short(key.encode()))
        if isinstance(value, bool):
            parts.append(b"t" + bytes((value,)))
        elif isinstance(value, int):
            parts.append(b"l" + struct.pack(">q", value))
        else:
            text = value.encode()
            parts.append(b"S" + struct.pack(">I", len(text)) + text)
    table = b"".join(parts)
    return struct.pack(">I", len(table)) + table


def message_id_of(raw: bytes) -> bytes | None:
    """Return the message_id of a raw property section without reading the rest; ``None`` when absent."""
    flags = int.from_bytes(raw[0:2], "big")
    offset = 2
    for name, bit, kind in _LAYOUT:
        if not flags & bit:
            continue
        if name == "message_id":
            return raw[offset + 1 : offset + 1 + raw[offset]]
        if kind is _SHORT:
            offset += 1 + raw[offset]
        elif kind is _TABLE:
            offset += 4 + int.from_bytes(raw[offset : offset + 4], "big")
        else:
            offset += 1 if kind is _OCTET else 8
    return None
