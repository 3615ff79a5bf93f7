"""Counters in memory, by name and labels: for health, tests and the page of Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name and sorted (label, value) pairs.
Series = tuple[str, tuple[tuple[str, str], ...]]

#: Labels may come from a gateway's codes: a flood of new ones must not become a flood of memory.
_MAX_SERIES = 2_000


class Counters:
    """Monotonic counts of one process. Increments never raise and never block."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counts: Counter[Series] = Counter()

    def increment(self, name: str, n: int = 1, **labels: str) -> None:
        """Add ``n`` to one series; beyond the bound of series labels are dropped and the name alone counts."""
        series: Series = (name, tuple(sorted(labels.items())))
        if series not in self._counts and len(self._counts) >= _MAX_SERIES:
            series = (name, ())
        self._counts[series] += n

    def value(self, name: str, **labels: str) -> int:
        """Return the sum of the series of ``name`` that carry at least ``labels``."""
        wanted = set(labels.items())
        return sum(n for (series, pairs), n in self._counts.items() if series == name and wanted <= set(pairs))

    def snapshot(self) -> Mapping[Series, int]:
        """Return a copy of all counts."""
        return dict(self._counts)
