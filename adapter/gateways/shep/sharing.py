"""Statements on the tables of the ШЭП that all workers share; SQL lives in queries/*.sql, one statement a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from adapter.incoming import Session

_FOLDER: Final = Path(__file__).parent / "queries"


@cache
def _sql(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


class AwayError(Exception):
    """What all workers share cannot be reached now."""


class Shared:
    """The tables, and who this worker is in their leases."""

    def __init__(
        self, lend: Callable[[], AbstractAsyncContextManager[Session]], away: tuple[type[Exception], ...] = ()
    ) -> None:
        """``lend`` gives a connection for one statement; ``away`` are its errors that say that there is none."""
        self._lend = lend
        self.away = away
        self.worker = uuid4()

    async def fetch(self, name: str, *arguments: Any) -> Sequence[Any]:
        """Run the statement ``queries/<name>.sql`` and return its rows. Raises AwayError."""
        try:
            async with self._lend() as session:
                return await session.fetch(_sql(name), *arguments)
        except self.away:
            raise AwayError from None
