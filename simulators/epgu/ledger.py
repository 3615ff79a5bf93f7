"""What came to the door, in the order it came, and the same counted by order."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable


class Line(TypedDict, total=False):
    """One call: ``status`` is HTTP's (0: the connection was cut), ``code`` why it was refused, ``null`` if it was not.

    ``chunk``, ``chunks``, ``size`` and ``sha256`` tell of an uploaded file, ``client_id`` and ``user`` whose token it
    was.
    """

    operation: str
    at: str
    order_id: int | None
    service_code: str | None
    client_id: str | None
    user: str | None
    status: int
    code: str | None
    chunk: int
    chunks: int
    size: int
    sha256: str
    headers: dict[str, str]


class Ledger:
    """The last ``limit`` calls, oldest first; the counts are of all."""

    def __init__(self, limit: int = 200_000) -> None:
        """``limit`` bounds memory."""
        self._lines: deque[Line] = deque(maxlen=limit)
        self._operations: Counter[str] = Counter()
        self._orders: dict[int, Counter[str]] = {}

    def record(self, line: Line) -> None:
        """Write one call; what was refused counts as ``refused`` beside its operation."""
        self._lines.append(line)
        operation, number = line["operation"], line.get("order_id")
        self._operations[operation] += 1
        if number is not None:
            counts = self._orders.setdefault(number, Counter())
            counts[operation] += 1
            if line["code"] is not None:
                counts["refused"] += 1

    def submitted(self, number: int) -> None:
        """Write that an order went off: an archive was taken whole."""
        self._orders.setdefault(number, Counter())["submitted"] += 1

    def lines(self, operation: str = "", order_id: int | None = None) -> Iterable[Line]:
        """Return calls, of one operation or about one order if these are given."""
        return [
            line
            for line in self._lines
            if operation in ("", line["operation"]) and order_id in (None, line.get("order_id"))
        ]

    def counts(self) -> dict[str, int]:
        """Return how many calls of each operation came."""
        return dict(self._operations)

    def by_order(self) -> dict[str, dict[str, int]]:
        """Return the same for each order, with ``refused`` and ``submitted``."""
        return {str(number): dict(counts) for number, counts in self._orders.items()}

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._operations.clear()
        self._orders.clear()
