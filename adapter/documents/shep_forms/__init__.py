"""The forms of order № 104 as data: titles, headings and rows, written by us after its appendices."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent


def read_form(number: int) -> dict[str, Any]:
    """Return form ``number`` as its file has it. Raises FileNotFoundError for a number that has none."""
    return tomllib.loads((_FOLDER / f"form{number}.toml").read_text(encoding="utf-8"))


def read_rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a table that several forms share: users, routes or points."""
    tables = tomllib.loads((_FOLDER / "rows.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = tables[name]
    return found
