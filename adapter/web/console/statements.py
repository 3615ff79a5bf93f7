"""SQL lives in queries/*.sql, one statement a file, and is read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "queries"


@cache
def sql(name: str) -> str:
    """Return the statement of ``queries/<name>.sql``."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
