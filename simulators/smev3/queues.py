"""Messages waiting for their receiver: a queue per system, box and node; leases, confirmations, ends of life.

Rules (facts smev3.md): a delivered message that is not acked within the window returns to the HEAD of its queue;
an Ack names the message's own id; an Ack of what waits for none is TargetMessageIsNotFound.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from simulators.smev3.attachments import Attachment
    from simulators.smev3.ftp import Access
    from simulators.smev3.registry import InformationType

Box = Literal["request", "response"]


class Party(NamedTuple):
    """A system as MessageMetadata names it."""

    mnemonic: str
    name: str


class Address(NamedTuple):
    """One queue: who reads it (by the certificate's subject), on which node, what of, in which version.

    What was signed in the names of one version cannot be delivered in those of another. Requests know no node.
    """

    sender: str
    node: str
    box: Box = "response"
    version: str = "1.2"


@dataclass(slots=True, eq=False)
class Letter:
    """One message for a system.

    ``provided`` is the sender-provided part and ``signature`` the sender's signature over it, both as XML text.
    ``original`` is the request that a response answers, of a request its own id. ``transports`` are the transport ids
    of the request, lower-cased, so that scenarios can mean one of them. ``files`` are what the receiver fetches by FTP.
    """

    message_id: str
    original: str
    kind: InformationType
    provided: str
    signature: str
    author: Party
    recipient: Party | None
    sent_at: datetime
    available_at: datetime
    message_type: Literal["REQUEST", "BROADCAST", "RESPONSE"] = "RESPONSE"
    reply_to: str = ""
    reference: str = ""
    transaction: str = ""
    expires_at: datetime | None = None
    attachments: tuple[Attachment, ...] = ()
    files: tuple[Access, ...] = ()
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
    mortal: int = 0


class Queues:
    """All queues; ``limit`` bounds the letters that wait, like the real service's overflow does."""

    def __init__(
        self,
        ack_timeout: timedelta,
        *,
        limit: int = 100_000,
        acks_limit: int = 500_000,
        on_gone: Callable[[Letter], None] | None = None,
        on_expired: Callable[[Letter, datetime], None] | None = None,
    ) -> None:
        """``ack_timeout`` is how long a delivered letter waits for its Ack; it and ``limit`` may be changed.

        ``on_gone`` hears of a letter of which no copy waits any more, ``on_expired`` before that of one that nobody
        took in its life.
        """
        self.ack_timeout = ack_timeout
        self.limit = limit
        self._on_gone = on_gone or (lambda _letter: None)
        self._on_expired = on_expired or (lambda _letter, _now: None)
        self._queues: dict[Address, _Queue] = {}
        self._waiting: dict[str, tuple[Address, list[Letter]]] = {}
        self.acks: deque[Confirmation] = deque(maxlen=acks_limit)

    @property
    def full(self) -> bool:
        """Whether no further letter may be promised."""
        return len(self._waiting) >= self.limit

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
        queue.mortal += letter.expires_at is not None
        self._waiting.setdefault(letter.message_id, (address, []))[1].append(letter)

    def take(self, address: Address, wanted: Callable[[Letter], bool], now: datetime) -> Letter | None:
        """Lease the first letter that ``wanted`` allows, ``None`` when there is none."""
        self.expire(now, [address])
        queue = self._queues.get(address)
        if queue is None:
            return None
        self._settle(queue, now)
        for position, letter in enumerate(queue.ready):
            if wanted(letter):
                del queue.ready[position]
                queue.leased[letter] = now + self.ack_timeout
                letter.deliveries += 1
                return letter
        return None

    def statistics(self, sender: str, version: str, now: datetime) -> list[tuple[Address, int]]:
        """Return how many letters of each queue of ``sender`` could be taken."""
        own = [address for address in self._queues if address.sender == sender and address.version == version]
        for address in own:
            self._settle(self._queues[address], now)
        return [(address, len(self._queues[address].ready)) for address in own]

    def expire(self, now: datetime, addresses: Iterable[Address] | None = None) -> None:
        """Remove letters whose life has ended before anybody took them."""
        for address in list(self._queues if addresses is None else addresses):
            queue = self._queues.get(address)
            if queue is None or not queue.mortal:
                continue
            for letter in [*queue.ready, *queue.later]:
                if letter.expires_at is not None and letter.expires_at <= now and not letter.deliveries:
                    self._remove(address, queue, letter)
                    self._on_expired(letter, now)

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

    def _remove(self, address: Address, queue: _Queue, letter: Letter) -> None:
        """Take a letter out of its queue for good."""
        if queue.leased.pop(letter, None) is None:
            (queue.ready if letter in queue.ready else queue.later).remove(letter)
        queue.mortal -= letter.expires_at is not None
        letters = self._waiting[letter.message_id][1]
        letters.remove(letter)
        if not letters:
            del self._waiting[letter.message_id]
            self._on_gone(letter)
        if not (queue.ready or queue.later or queue.leased):
            self._queues.pop(address, None)

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
        self._remove(address, queue, delivered)
        self.acks.append(Confirmation(message_id, delivered.original, accepted, now, delivered.deliveries))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._waiting.clear()
        self.acks.clear()
