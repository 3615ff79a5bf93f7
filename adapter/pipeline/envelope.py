"""What surrounds a command on the wire: switches in headers, where the reply goes, and how a reply is addressed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.broker.codec import Properties, read_properties, write_properties
from adapter.errors import FieldFault
from adapter.ids import derived_id, new_id
from adapter.journal.records import OutboxRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from adapter.broker.topology import Names
    from adapter.exchange import Event
    from adapter.journal.records import Exchange

_TRUE: Final = (True, b"true", b"1")
_FALSE: Final = (False, b"false", b"0", b"")
#: Property sections kept read: as many as usually run and arrive at once, and none of unusual size.
_REMEMBERED: Final = 2000
_REMEMBERED_BYTES: Final = 1024
#: Trace context of W3C: ids of zeros and version ff are invalid there.
_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE: Final = re.compile(rb"[\x20-\x7e]{1,512}")
#: Characters of ``x-sim``: a few words.
_LONGEST_WISH: Final = 200


@dataclass(frozen=True, slots=True)
class Envelope:
    """One command's properties, read: ``faults`` name every property that breaks the contract."""

    properties: Properties
    dry_run: bool
    progress: bool
    deadline: datetime | None
    faults: tuple[FieldFault, ...]
    trace: Mapping[str, str] = field(default_factory=dict)

    @property
    def wish(self) -> str:
        """What a rehearsal asks of a simulator (header ``x-sim``): printable ASCII, or nothing."""
        value = self.properties.headers.get(b"x-sim")
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else ""
        return text if text.isascii() and text.isprintable() and len(text) <= _LONGEST_WISH else ""


def read_envelope(raw: bytes, *, names: Names, actions: Iterable[str]) -> Envelope:
    """Read a raw property section; never raises."""
    properties = read_properties(raw)
    faults = [FieldFault(path, rule) for path, rule in properties.faults]
    deadline = None
    stamp = properties.headers.get(b"x-deadline")
    if stamp is not None:
        deadline = _moment(stamp)
        if deadline is None:
            faults.append(FieldFault("properties.headers.x-deadline", "ожидается момент времени по RFC 3339"))
    flags = {}
    for name in ("x-dry-run", "x-progress"):
        value = properties.headers.get(name.encode(), False)
        flags[name] = value in _TRUE
        if value not in _TRUE and value not in _FALSE:
            faults.append(FieldFault(f"properties.headers.{name}", "ожидается true или false"))
    target = _text(properties.reply_to)
    if properties.reply_to and b"\x00" in properties.reply_to:
        faults.append(FieldFault("properties.reply_to", "значение содержит нулевой байт"))
    if target is not None and names.is_ours(target, actions):
        faults.append(FieldFault("properties.reply_to", "очередь команд адаптера не может быть очередью ответа"))
    return Envelope(
        properties, flags["x-dry-run"], flags["x-progress"], deadline, tuple(faults), trace_context(properties)
    )


def trace_context(properties: Properties) -> dict[str, str]:
    """Return the command's ``traceparent`` and ``tracestate`` (W3C Trace Context), nothing where it is not valid.

    What is not valid is no fault of a command: whoever traces is often not the one who wrote it.
    """
    parent = properties.headers.get(b"traceparent")
    if not isinstance(parent, bytes) or not _TRACEPARENT.fullmatch(parent):
        return {}
    state = properties.headers.get(b"tracestate")
    if not isinstance(state, bytes) or not _TRACESTATE.fullmatch(state):
        return {"traceparent": parent.decode()}
    return {"traceparent": parent.decode(), "tracestate": state.decode()}


def _moment(value: Any) -> datetime | None:
    """Read an RFC 3339 moment; ``None`` for anything else, a moment without an offset included."""
    if not isinstance(value, bytes) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value.decode("ascii"))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (UnicodeDecodeError, ValueError, OverflowError):
        return None


def _text(value: bytes | None) -> str | None:
    """Return a name that the journal can keep, ``None`` for any other."""
    try:
        return value.decode() if value and b"\x00" not in value else None
    except UnicodeDecodeError:
        return None


def searchable(value: bytes | None) -> str | None:
    """Return a property as text that Postgres takes, foreign bytes escaped; for people who search."""
    return value.decode(errors="backslashreplace").replace("\x00", "\\x00") if value else None


class Addressing:
    """Builds the outbox rows of replies and events: stable ids, correlation byte for byte, one order per exchange."""

    def __init__(self, names: Names, actions: Iterable[str]) -> None:
        """``actions`` are those served: a reply never goes to one of their queues."""
        self.names = names
        self._actions = frozenset(actions)
        self._read: dict[bytes, Envelope] = {}

    def envelope(self, raw: bytes) -> Envelope:
        """Read a command's properties under this deployment's names; what was read lately is remembered.

        The way of one command asks for them at its receipt, its start, its answer and its reply.
        """
        known = self._read.get(raw)
        if known is None:
            known = read_envelope(raw, names=self.names, actions=self._actions)
            if len(raw) <= _REMEMBERED_BYTES:
                self._read[raw] = known
                if len(self._read) > _REMEMBERED:
                    del self._read[next(iter(self._read))]
        return known

    def reply(self, exchange: Exchange, outcome: bytes) -> OutboxRow:
        """Return the reply to one command; a later one after ``expired`` or ``uncertain`` is marked late.

        The reply's message_id depends on the command alone, so that a crash repeats it under the same id, and the
        repeats of one command share it.
        """
        envelope = self.envelope(exchange.properties)
        properties = envelope.properties
        target = _text(properties.reply_to)
        if target is None or self.names.is_ours(target, self._actions):
            target = self.names.reply(exchange.action)
        late = exchange.is_late
        message_id = str(derived_id(exchange.repeat_of or exchange.id, _reply_name(exchange.replies)))
        headers: dict[str, str | int | bool] = {
            "x-adapter-command-id": str(exchange.id),
            "x-adapter-seq": exchange.events + exchange.replies + 1,
        }
        if late:
            headers["x-adapter-late"] = True
        headers.update(envelope.trace)
        correlation = properties.correlation_id or properties.message_id
        section = write_properties(
            message_id=message_id.encode(),
            message_type=exchange.action.encode(),
            correlation_id=correlation,
            headers=headers,
        )
        return self._row(exchange.id, "reply", ("", target), message_id, (outcome, section))

    def event(self, exchange: Exchange, event: Event) -> OutboxRow:
        """Return one event about an exchange; its body names the command it belongs to, or the exchange without one."""
        envelope = self.envelope(exchange.properties)
        properties = envelope.properties
        correlation = properties.correlation_id or properties.message_id
        if exchange.is_request and exchange.message_id:
            correlation = exchange.message_id.encode()
        sequence = exchange.events + exchange.replies + 1
        exchange.events += 1
        message_id = str(derived_id(exchange.id, f"{event.name}:{sequence}"))
        section = write_properties(
            message_id=message_id.encode(),
            message_type=event.name.encode(),
            correlation_id=correlation,
            headers={"x-adapter-command-id": str(exchange.id), "x-adapter-seq": sequence, **envelope.trace},
        )
        about = {"id": str(exchange.id), "action": exchange.action, **_ids(exchange)}
        body = {**event.body, "exchange" if exchange.is_request else "command": about}
        row = (orjson.dumps(body), section)
        return self._row(exchange.id, "event", (self.names.events, event.name), message_id, row)

    def _row(
        self, exchange_id: UUID, kind: str, address: tuple[str, str], message_id: str, content: tuple[bytes, bytes]
    ) -> OutboxRow:
        target, routing_key = address
        body, section = content
        return OutboxRow(new_id(), datetime.now(UTC), exchange_id, kind, target, routing_key, message_id, body, section)


def _reply_name(replies: int) -> str:
    """Name the next reply of a command for its id: each one that follows another has an id of its own."""
    return ("reply", "late")[replies] if replies < 2 else f"late-{replies}"


def _ids(exchange: Exchange) -> Mapping[str, str]:
    found = {"message_id": exchange.message_id, "correlation_id": exchange.correlation}
    return {name: value for name, value in found.items() if value}
