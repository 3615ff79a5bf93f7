"""What details of a followed order say that has not been told: pure, from the order as it is kept and what was read.

Source: seeds/003_77f5074edb620939.txt, 2.4 and Приложение 1. A change is known by the order, the status and its moment:
details list every status an order ever had, so none is missed between two readings, and none is told twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from adapter.exchange import Event
from adapter.gateways.epgu.errors import process_row
from adapter.gateways.epgu.reading import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo
    from uuid import UUID

    from adapter.errors import AdapterError
    from adapter.gateways.epgu.errors import Row
    from adapter.gateways.epgu.reading import Details
    from adapter.gateways.epgu.tokens import Who

STATUS_CHANGED: Final = "epgu.order.status-changed"
PROCESS_FAILED: Final = "epgu.order.process-failed"
NEEDS_TOKEN: Final = "epgu.order.needs-token"  # noqa: S105  — the name of an event
EVENTS: Final = (STATUS_CHANGED, PROCESS_FAILED, NEEDS_TOKEN)

#: Type of the process codes that end the processing, in the words of Приложение 1.
_FINAL: Final = "Финальный"
#: Statuses that end an order where details do not say whether they do: granted, refused, cancelled.
_ENDING: Final = frozenset({3, 4, 10})
#: Statuses of a cancellation: asked for, done, refused.
_CANCELLING: Final = frozenset({9, 10, 11})
_ASKED: Final = 9
#: Readings in vain after which an upload without an answer is known not to have been accepted.
_DOUBTS: Final = 8


class Stage(StrEnum):
    """How far an order has come."""

    PROCESSING = "processing"
    """ЕПГУ looks at the archive: details are polled."""
    STATUSES = "statuses"
    """The portal has the order: details are read when its status changes."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An order as it is kept; see the migrations 0021 and 0022 for each field."""

    order_id: int
    exchange_id: UUID
    who: Who
    profile: str | None
    stage: Stage
    from_cancel: bool
    looks: int
    seen: str | None
    told: Sequence[str]
    needs_token: bool
    version: int
    doubtful: bool = False

    @property
    def given_up(self) -> bool:
        """Whether an order that may have been accepted has not shown itself for long."""
        return self.doubtful and self.looks >= _DOUBTS


@dataclass(frozen=True, slots=True)
class News:
    """What one reading came to: ``told`` are the statuses of its events, ``behind`` that pages know a later one."""

    stage: Stage
    events: Sequence[Event] = ()
    told: Sequence[str] = ()
    behind: bool = False


def status_key(status_id: int, at: str) -> str:
    """Return the identity of a status of one order: its number, and its moment in UTC."""
    try:
        read = datetime.fromisoformat(at)
    except ValueError:
        return f"{status_id}@"
    return f"{status_id}@{read.astimezone(UTC).isoformat(timespec='milliseconds')}"


def news_of(order: Followed, details: Details, zone: tzinfo) -> News:
    """Return what is new in details; ``zone`` is that of moments without an offset."""
    row = process_row(details.code or "")
    if row is not None and row.final and not row.success:
        return News(Stage.ENDED, (_failed(order, row, details),))
    if not details.success and not details.order:
        return News(Stage.ENDED if order.given_up and details.reserved_only else Stage.PROCESSING)
    history = _history(details)
    keys = [_key(entry, zone) for entry in history]
    begins = _begin_of_cancel(history) if order.from_cancel else 0
    known = set(order.told)
    fresh: dict[str, Event] = {}
    for number in range(begins, len(history)):
        if keys[number] not in known:
            last = number == len(history) - 1
            fresh.setdefault(keys[number], _changed(order, history[number], details, zone, last=last))
    over = bool(history) and begins < len(history) and _ends(history[-1], details, last=True)
    behind = order.seen is not None and not _knows(order.seen, known | set(keys), history)
    stage = Stage.ENDED if over and not behind else Stage.STATUSES
    return News(stage, tuple(fresh.values()), tuple(fresh), behind)


def needs_token(order: Followed, error: AdapterError) -> Event:
    """Return the event of an order that cannot be looked at any more until a command brings a token."""
    body: dict[str, Any] = {"order_id": order.order_id, "code": error.code, "description": error.description}
    if error.recommendation:
        body["recommendation"] = error.recommendation
    return Event(NEEDS_TOKEN, body)


def _failed(order: Followed, row: Row, details: Details) -> Event:
    body: dict[str, Any] = {
        "order_id": order.order_id,
        "code": row.code,
        "type": _FINAL,
        "description": details.message or row.text,
    }
    if row.recommendation:
        body["recommendation"] = row.recommendation
    return Event(PROCESS_FAILED, body)


def _history(details: Details) -> list[Mapping[str, Any]]:
    """Return the statuses that details list, oldest first, the current one last."""
    listed = (details.order or {}).get("statuses")
    entries = [entry for entry in listed if _readable(entry)] if isinstance(listed, list) else []
    current = details.current
    if _readable(current) and not any(entry is current or _same(entry, current) for entry in entries):
        entries.append(current)
    return entries


def _readable(entry: object) -> bool:
    number = entry.get("statusId") if isinstance(entry, dict) else None
    return isinstance(number, int) and not isinstance(number, bool)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one.get("id") is not None and other.get("id") is not None:
        return bool(one["id"] == other["id"])
    return one["statusId"] == other["statusId"] and one.get("date") == other.get("date")


def _key(entry: Mapping[str, Any], zone: tzinfo) -> str:
    date = entry.get("date")
    return status_key(entry["statusId"], moment(date, zone) if isinstance(date, str) else "")


def _begin_of_cancel(history: Sequence[Mapping[str, Any]]) -> int:
    """Return where the last cancellation begins in a history; its end when there is none as yet."""
    asked = [number for number, entry in enumerate(history) if entry["statusId"] == _ASKED]
    if asked:
        return asked[-1]
    ends = [number for number, entry in enumerate(history) if entry["statusId"] in _CANCELLING]
    return ends[-1] if ends else len(history)


def _knows(seen: str, known: set[str], history: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether details have got to what pages say; a moment that both write in their own way is not held up."""
    return seen in known or (bool(history) and seen.startswith(f"{history[-1]['statusId']}@"))


def _changed(order: Followed, entry: Mapping[str, Any], details: Details, zone: tzinfo, *, last: bool) -> Event:
    said = details.order or {}
    more: Mapping[str, Any] = said if last else {}
    date = entry.get("date")
    body = {
        "order_id": order.order_id,
        "status_id": entry["statusId"],
        "name": _text(entry.get("title")) or _text(more.get("orderStatusName")),
        "org_code": _text(entry.get("stateOrgStatusCode")) or _text(more.get("stateOrgStatusCode")),
        "comment": _text(entry.get("comment")),
        "cancel_allowed": entry.get("cancelAllowed") is True,
        "send_message_allowed": entry.get("sendMessageAllowed") is True,
        "final": _ends(entry, details, last=last),
        "updated": moment(date, zone) if isinstance(date, str) else None,
    }
    return Event(STATUS_CHANGED, body)


def _ends(entry: Mapping[str, Any], details: Details, *, last: bool) -> bool:
    """Tell whether nothing comes after a status: what details say of it counts before any table."""
    closed = (details.order or {}).get("closed") if last else None
    if entry.get("finalStatus") is True or closed is True:
        return True
    said = isinstance(entry.get("finalStatus"), bool) or isinstance(closed, bool)
    return not said and entry["statusId"] in _ENDING


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
