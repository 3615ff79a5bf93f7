"""How long things took, as histograms in memory: one search and three additions for each."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.metrics.counters import Series

#: Upper bounds in seconds; one more bucket takes what is longer.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
#: Series beyond which times are not told apart any more.
_MOST: Final = 500


class Histogram:
    """Counts by bucket, not yet added up, and the sum of seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0


class Timings:
    """Histograms of one process, by name and labels. Nothing here raises or blocks."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self._series: dict[Series, Histogram] = {}

    def observe(self, name: str, label: str, value: str, seconds: float) -> None:
        """Add one time to the series of ``name`` with one label."""
        key: Series = (name, ((label, value),))
        found = self._series.get(key)
        if found is None:
            if len(self._series) >= _MOST:
                key = (name, ((label, "other"),))
            found = self._series.setdefault(key, Histogram())
        # Clocks of two machines may disagree: what took less than nothing took nothing.
        seconds = max(seconds, 0.0)
        found.counts[bisect_left(BOUNDS, seconds)] += 1
        found.total += seconds

    def snapshot(self) -> Mapping[Series, Histogram]:
        """Return what there is, by series."""
        return dict(self._series)
