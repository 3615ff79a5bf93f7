"""The code tables of the specification (Приложения 1 and 4), the portal's statuses and the codes of ЕСИА.

The rows are in ``codes.json``. Where the document names no HTTP status for a code, the table has the simulator's own
choice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLES: dict[str, Any] = json.loads(Path(__file__).with_name("codes.json").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A row of Приложение 4: ``status`` is the HTTP status it comes with, ``text`` the usual message."""

    code: str
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class ProcessCode:
    """A row of Приложение 1; ``since`` and ``until`` are versions of the document, "" for no bound."""

    code: str
    final: bool
    text: str
    since: str
    until: str

    def within(self, version: str) -> bool:
        """Tell whether this code exists in ``version`` of the document."""
        return _order(self.since or "0") <= _order(version) <= _order(self.until or "9")


@dataclass(frozen=True, slots=True)
class EsiaCode:
    """An error of ЕСИА: ``error`` by OAuth 2.0, ``text`` what follows the code in error_description."""

    code: str
    error: str
    status: int
    text: str


ERRORS = {row["code"]: ErrorCode(row["code"], row["status"], row["text"]) for row in _TABLES["errors"]}
PROCESS = {
    row["code"]: ProcessCode(row["code"], row["final"], row["text"], row.get("since", ""), row.get("until", ""))
    for row in _TABLES["process"]
}
ESIA = {row["code"]: EsiaCode(row["code"], row["error"], row["status"], row["text"]) for row in _TABLES["esia"]}
STATUS_NAMES: dict[int, str] = {row["id"]: row["name"] for row in _TABLES["statuses"]}
FINAL_STATUSES = frozenset(row["id"] for row in _TABLES["statuses"] if row["final"])


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
