"""The simulator's own time: that of the machine, until a test stops it or moves it on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def utc_now() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)


class SimulatedClock:
    """Runs as ``base`` does; may be moved on and stopped."""

    def __init__(self, base: Callable[[], datetime] = utc_now) -> None:
        """``base`` returns aware moments."""
        self._base = base
        self._ahead = timedelta(0)
        self._stopped: datetime | None = None

    def __call__(self) -> datetime:
        """Return the moment it is here."""
        return (self._stopped or self._base()) + self._ahead

    @property
    def stopped(self) -> bool:
        """Tell whether only :meth:`advance` moves it."""
        return self._stopped is not None

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds; never back."""
        self._ahead += timedelta(seconds=seconds)

    def stop(self, *, stopped: bool) -> None:
        """Stop at this moment, or run on from the moment it stands at."""
        now = self()
        self._stopped = now if stopped else None
        self._ahead = timedelta(0) if stopped else now - self._base()

    def reset(self) -> None:
        """Show the machine's time again."""
        self._ahead, self._stopped = timedelta(0), None
