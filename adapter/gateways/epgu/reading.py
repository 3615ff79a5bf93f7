"""Answers of ЕПГУ read leniently: what documents, samples and mocks were seen to differ in. Pure.

Source: seeds/003_77f5074edb620939.txt, tables 7 to 32, and its samples; oddities are named where they are allowed for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.gateways.epgu.errors import process_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Code of a number that is reserved, or of an application that is only just registered.
NEW: Final = "NEW"
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=^[a-z])(?=[A-Z])")
#: Orders are numbered in 64 bits.
_MOST_DIGITS: Final = 18
_LINK: Final = re.compile(r"terrabyte://(\d+)/(\d{1,18})/\s*(.+?)\s*/(\d{1,3})\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """What ``terrabyte://00/{orderId}/{mnemonic}/{objectType}`` names: type 2 is the user's file, 3 a result."""

    order_id: int
    mnemonic: str
    object_type: int


@dataclass(frozen=True, slots=True)
class Details:
    """Details of an order. ``order`` is the escaped object read, ``raw`` its text as it came.

    ``final`` and ``success`` are what Приложение 1 says of ``code``; ``None`` of a code that is not there.
    """

    code: str | None
    message: str | None
    message_id: str | None
    order: Mapping[str, Any] | None
    raw: str | None

    @property
    def final(self) -> bool | None:
        """Whether processing has ended."""
        row = process_row(self.code or "")
        return None if row is None else row.final

    @property
    def success(self) -> bool | None:
        """Whether it has ended well."""
        row = process_row(self.code or "")
        return None if row is None else row.success

    @property
    def current(self) -> Mapping[str, Any]:
        """The current status: ``currentStatusHistory``, else the last of ``statuses``."""
        order = self.order or {}
        current = order.get("currentStatusHistory")
        if isinstance(current, dict):
            return current
        history = [status for status in _list(order.get("statuses")) if isinstance(status, dict)]
        return history[-1] if history else {}

    @property
    def reserved_only(self) -> bool:
        """Whether no archive has come for the number as yet."""
        return (self.code or "").strip().upper() == NEW and not self.order

    def told(self) -> dict[str, Any]:
        """Return it as JSON of the adapter: names in snake_case, the escaped text beside."""
        return {
            "code": self.code,
            "message": self.message,
            "message_id": self.message_id,
            "final": self.final,
            "success": self.success,
            "order": None if self.order is None else snake(self.order),
            "raw": self.raw,
        }


def order_id_of(said: Any) -> int | None:
    """Return ``orderId`` of an answer: a number, or a text of digits as mocks have it."""
    return as_order_id(_trimmed(said).get("orderId")) if isinstance(said, dict) else None


def as_order_id(value: object) -> int | None:
    """Return the number of an order, ``None`` for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value < 10**_MOST_DIGITS else None
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) <= _MOST_DIGITS else None


def read_details(said: Any) -> Details | None:
    """Return details; ``None`` when the answer is no object. ``order`` may be escaped, an object, or null."""
    if not isinstance(said, dict):
        return None
    order, raw = said.get("order"), None
    if isinstance(order, str):
        raw = order
        try:
            order = orjson.loads(order)
        except orjson.JSONDecodeError:
            order = None
    elif isinstance(order, dict):
        raw = orjson.dumps(order).decode()
    return Details(
        code=_text(said.get("code")),
        message=_text(said.get("message")),
        message_id=_text(said.get("messageId")) or _text(said.get("message_id")),
        order=order if isinstance(order, dict) else None,
        raw=raw,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A page of statuses; ``total`` counts all pages."""

    total: int
    rows: tuple[Mapping[str, Any], ...]


def read_page(said: Any, zone: tzinfo) -> Page | None:
    """Return a page of statuses, ``None`` when it is none.

    Names may be capitalised or have blanks around them; ``updated`` has no offset and is read in ``zone``.
    """
    if not isinstance(said, dict):
        return None
    told = {name.strip().lower(): value for name, value in said.items() if isinstance(name, str)}
    content, total = told.get("content"), told.get("totalcount", told.get("count"))
    if not isinstance(content, list) or not isinstance(total, int):
        return None
    return Page(total, tuple(_rows(content, zone)))


def _rows(content: list[Any], zone: tzinfo) -> Iterator[Mapping[str, Any]]:
    for entry in content:
        row = _trimmed(entry) if isinstance(entry, dict) else {}
        number = as_order_id(row.get("orderId"))
        if number is None:
            continue
        status = row.get("status")
        found: dict[str, Any] | None = None
        if isinstance(status, dict):
            updated = status.get("updated")
            found = {
                "status_id": status.get("statusId"),
                "status_name": status.get("statusName"),
                "updated": moment(updated, zone) if isinstance(updated, str) else None,
            }
        yield {"order_id": number, "found": found is not None, "status": found}


def moment(text: str, zone: tzinfo) -> str:
    """Return a moment with its offset (RFC 3339); one that cannot be read stays as it came."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at.replace(tzinfo=zone) if at.tzinfo is None else at).isoformat(timespec="milliseconds")


def read_link(text: str) -> Link | None:
    """Return what the link of a file names."""
    match = _LINK.fullmatch(text.strip())
    return Link(int(match[2]), match[3], int(match[4])) if match else None


def snake(value: Any) -> Any:
    """Return JSON with the names of every object in snake_case."""
    if isinstance(value, dict):
        return {_snake(name): snake(member) for name, member in value.items()}
    if isinstance(value, list):
        return [snake(member) for member in value]
    return value


def _snake(name: str) -> str:
    return _HUMP.sub("_", name.strip()).lower()


def _trimmed(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name.strip(): value for name, value in said.items() if isinstance(name, str)}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
