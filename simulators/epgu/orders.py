"""Orders: numbers, what becomes of each one and when, and which changed since.

Progress is a plan of steps with their moments. Nothing runs by itself: whoever asks first brings every plan up to now.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from simulators.epgu.catalogue import WantedStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from simulators.epgu.accounts import System, User
    from simulators.epgu.catalogue import Service, WantedFile
    from simulators.epgu.store import Archive

_FIRST_ORDER = 764_000_001
_FIRST_HISTORY = 15_000_000_001


@dataclass(frozen=True, slots=True)
class Process:
    """A step of the processing: a code of Приложение 1 (or OK) and what details say of it."""

    code: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A status that an order had or has: its number in the history, and the moment."""

    id: int
    status: WantedStatus
    at: datetime


@dataclass(slots=True)
class Order:
    """One order. ``code`` is the process code, ``history`` the statuses of the portal, oldest first."""

    id: int
    service: Service
    system: System
    user: User
    region: str
    made_at: datetime
    code: str = "NEW"
    message: str | None = None
    over_limit: bool = False
    history: list[Entry] = field(default_factory=list)
    updated: datetime | None = None
    archive: Archive | None = None
    submitted_at: datetime | None = None
    plan: deque[tuple[datetime, Process | WantedStatus]] = field(default_factory=deque)
    overrides: dict[str, object] = field(default_factory=dict)

    @property
    def current(self) -> Entry | None:
        """The last status."""
        return self.history[-1] if self.history else None

    def results(self) -> list[tuple[Entry, WantedFile]]:
        """Return every file of the agency with the status that brought it."""
        return [(entry, file) for entry in self.history for file in entry.status.files]


class Orders:
    """All orders; times are given, never taken."""

    def __init__(self) -> None:
        """Start with none."""
        self.reset()

    def reset(self) -> None:
        """Forget every order; numbers start again."""
        self._orders: dict[int, Order] = {}
        self._numbers = count(_FIRST_ORDER)
        self._history_numbers = count(_FIRST_HISTORY)
        self._by_entry: dict[int, Order] = {}
        self._due: list[tuple[datetime, int]] = []
        #: client_id -> (last change, number) of its orders, oldest first.
        self._changes: dict[str, list[tuple[datetime, int]]] = {}

    def make(
        self, service: Service, by: tuple[System, User], region: str, now: datetime, number: int | None = None
    ) -> Order:
        """Reserve a number, or ``number`` itself. Raises ValueError for one that is taken."""
        if number is not None and number in self._orders:
            raise ValueError(f"order {number} exists")
        while number is None or number in self._orders:
            number = next(self._numbers)
        order = Order(number, service, *by, region, now)
        self._orders[number] = order
        self._touch(order, now)
        return order

    def find(self, number: int) -> Order | None:
        """Return an order by its number."""
        return self._orders.get(number)

    def with_entry(self, number: int) -> Order | None:
        """Return the order that has a status of this number in its history."""
        return self._by_entry.get(number)

    def all(self) -> list[Order]:
        """Return every order, oldest first."""
        return list(self._orders.values())

    def plan(self, order: Order, steps: Iterable[tuple[datetime, Process | WantedStatus]]) -> None:
        """Put steps, in order of their moments, in the place of what an order still had before it."""
        order.plan = deque(steps)
        for moment, _ in order.plan:
            heapq.heappush(self._due, (moment, order.id))

    def advance(self, now: datetime) -> None:
        """Do every step whose moment has come."""
        while self._due and self._due[0][0] <= now:
            _, number = heapq.heappop(self._due)
            order = self._orders[number]
            while order.plan and order.plan[0][0] <= now:
                moment, step = order.plan.popleft()
                if isinstance(step, WantedStatus):
                    self.show(order, step, moment)
                else:
                    self.process(order, step, moment)

    def process(self, order: Order, step: Process, at: datetime) -> None:
        """Set the process code."""
        order.code, order.message = step.code, step.message
        self._touch(order, at)

    def show(self, order: Order, status: WantedStatus, at: datetime) -> Entry:
        """Give the order a status; the portal has it from then on."""
        entry = Entry(next(self._history_numbers), status, at)
        order.history.append(entry)
        self._by_entry[entry.id] = order
        self._touch(order, at)
        return entry

    def changed_after(self, client_id: str, moment: datetime) -> list[Order]:
        """Return the orders of a system that changed after ``moment``: those with a status first, newest first."""
        changes = self._changes.get(client_id, [])
        # A pair of the very moment is greater than the moment with any number.
        first = bisect_right(changes, (moment, 1 << 63))
        found = [self._orders[number] for _, number in reversed(changes[first:])]
        return [order for order in found if order.history] + [order for order in found if not order.history]

    def _touch(self, order: Order, at: datetime) -> None:
        changes = self._changes.setdefault(order.system.client_id, [])
        if order.updated is not None:
            known = (order.updated, order.id)
            place = bisect_right(changes, known) - 1
            del changes[place]
        order.updated = at
        insort(changes, (at, order.id))


def spread(
    steps: Iterable[Process | WantedStatus], now: datetime, process_step: float, status_step: float
) -> list[tuple[datetime, Process | WantedStatus]]:
    """Return ``steps`` with their moments: the first at once, each other so long after the one before."""
    planned: list[tuple[datetime, Process | WantedStatus]] = []
    moment = now
    for step in steps:
        if isinstance(step, WantedStatus):
            moment += timedelta(seconds=status_step if step.after is None else step.after)
        elif planned:
            moment += timedelta(seconds=process_step)
        planned.append((moment, step))
    return planned
