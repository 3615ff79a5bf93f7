"""Answers waiting for their sender: a queue per sender and node, leases, confirmations.

Rules (facts smev3.md): a delivered message that is not acked within the window returns to the HEAD of its queue;
an Ack names the message's own id; an Ack of what waits for none is TargetMessageIsNotFound.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from simulators.smev3.registry import InformationType


class Address(NamedTuple):
    """One queue: who reads it (by the certificate's subject) and on which node."""

    sender: str
    node: str


@dataclass(slots=True, eq=False)
class Letter:
    """One message for a sender.

    ``provided`` is the sender-provided part and ``signature`` the provider's signature over it, both as XML text.
    ``transports`` are the transport ids of the request, lower-cased, so that scenarios can mean one of them.
    """

    message_id: str
    original: str
    kind: InformationType
    provided: str
    signature: str
    author: str
    recipient: str
    sent_at: datetime
    available_at: datetime
    transports: frozenset[str] = frozenset()
    broken_signature: bool = False
    deliveries: int = 0


@dataclass(slots=True)
class Confirmation:
    """One accepted Ack, for ``GET /_sim/acks``."""

    message_id: str
    original: str
    accepted: bool
    at: datetime
    deliveries: int


@dataclass(slots=True)
class _Queue:
    ready: deque[Letter] = field(default_factory=deque)
    later: list[Letter] = field(default_factory=list)
    leased: dict[Letter, datetime] = field(default_factory=dict)


class Queues:
    """All queues; ``limit`` bounds the letters that wait, like the real service's overflow does."""

    def __init__(self, ack_timeout: timedelta, *, limit: int = 100_000, acks_limit: int = 500_000) -> None:
        """``ack_timeout`` is how long a delivered letter waits for its Ack."""
        self._ack_timeout = ack_timeout
        self._limit = limit
        self._queues: dict[Address, _Queue] = {}
        self._waiting: dict[str, tuple[Address, list[Letter]]] = {}
        self.acks: deque[Confirmation] = deque(maxlen=acks_limit)

    @property
    def full(self) -> bool:
        """Whether no further letter may be promised."""
        return len(self._waiting) >= self._limit

    def depth(self) -> int:
        """Return how many letters are not acked yet."""
        return len(self.waiting())

    def waiting(self) -> list[tuple[Address, Letter]]:
        """Return every letter that is not acked yet, with the queue it is in."""
        return [(address, letter) for address, letters in self._waiting.values() for letter in letters]

    def put(self, address: Address, letter: Letter, now: datetime) -> None:
        """Queue ``letter``; one with the id of another is a repeated delivery and waits for the same Ack."""
        queue = self._queues.setdefault(address, _Queue())
        if letter.available_at > now:
            queue.later.append(letter)
        else:
            queue.ready.append(letter)
        self._waiting.setdefault(letter.message_id, (address, []))[1].append(letter)

    def take(self, address: Address, wanted: Callable[[Letter], bool], now: datetime) -> Letter | None:
        """Lease the first letter that ``wanted`` allows, ``None`` when there is none."""
        queue = self._queues.get(address)
        if queue is None:
            return None
        self._settle(queue, now)
        for position, letter in enumerate(queue.ready):
            if wanted(letter):
                del queue.ready[position]
                queue.leased[letter] = now + self._ack_timeout
                letter.deliveries += 1
                return letter
        return None

    def _settle(self, queue: _Queue, now: datetime) -> None:
        """Move what has become due: unacked letters to the head in their old order, delayed ones to the tail."""
        # Leases are in the order of their ends, because all last equally long.
        overdue = list(takewhile(lambda letter: queue.leased[letter] <= now, queue.leased))
        for letter in reversed(overdue):
            del queue.leased[letter]
            queue.ready.appendleft(letter)
        if queue.later:
            due = sorted((x for x in queue.later if x.available_at <= now), key=lambda letter: letter.available_at)
            queue.ready.extend(due)
            queue.later = [letter for letter in queue.later if letter.available_at > now]

    def ack(self, sender: str, message_id: str, now: datetime, *, accepted: bool) -> bool:
        """Remove a delivered letter of ``sender`` for good; false when none waits for an Ack by that id."""
        address, letters = self._waiting.get(message_id, (None, []))
        if address is None or address.sender != sender:
            return False
        queue = self._queues[address]
        self._settle(queue, now)
        delivered = next((letter for letter in letters if letter.deliveries), None)
        if delivered is None:
            return False
        letters.remove(delivered)
        if queue.leased.pop(delivered, None) is None:
            queue.ready.remove(delivered)
        if not letters:
            del self._waiting[message_id]
        self.acks.append(Confirmation(message_id, delivered.original, accepted, now, delivered.deliveries))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._waiting.clear()
        self.acks.clear()
