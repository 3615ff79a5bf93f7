"""What the desks of every version share: queues, types, used identifiers, requests that wait for an answer."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid1, uuid4

from simulators.smev3.door import ID_LIFETIME, check_message_id
from simulators.smev3.faults import FAULTS, refuse
from simulators.smev3.messages import CORE, CORE_PARTY
from simulators.smev3.queues import Address, Letter, Party, Queues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.smev3.attachments import Attachment
    from simulators.smev3.contents import Author, Provided
    from simulators.smev3.ftp import Access, FtpArea
    from simulators.smev3.makings import AttachmentMaker
    from simulators.smev3.messages import Signer
    from simulators.smev3.registry import InformationType, Registry
    from simulators.smev3.scenario import Effects

_SEEN_LIMIT = 1_000_000
_REMEMBERED = 10_000


@dataclass(slots=True)
class Interaction:
    """A request on its way to a provider, and to whom the answer goes.

    ``consumer`` is the queue of a real caller; without it the request was put in by hand, and answers are kept for
    ``GET /_sim/answers``. ``closed`` says that the last word was taken.
    """

    original: str
    version: str
    kind: InformationType
    party: Party
    reply_to: str
    consumer: Address | None = None
    reference: str = ""
    transaction: str = ""
    transports: frozenset[str] = frozenset()
    effects: Effects | None = None
    closed: bool = False


@dataclass(slots=True)
class Seen:
    """Identifiers that were used, as long as they would not be refused as stale anyway."""

    _at: dict[str, datetime] = field(default_factory=dict)

    def check(self, message_id: str, now: datetime) -> None:
        """Refuse an identifier that is malformed, stale or used. Raises RefusedError."""
        check_message_id(message_id, now)
        if message_id in self._at:
            raise refuse("MessageIsAlreadySent", place="SPM:3")

    def add(self, message_id: str, now: datetime) -> None:
        """Remember an identifier."""
        self._at[message_id] = now
        while len(self._at) > _SEEN_LIMIT or self._at[next(iter(self._at))] < now - 2 * ID_LIFETIME:
            del self._at[next(iter(self._at))]

    def clear(self) -> None:
        """Forget all."""
        self._at.clear()


class Office:
    """Shared by the desks of every version."""

    def __init__(  # noqa: PLR0913  — what is shared
        self,
        registry: Registry,
        area: FtpArea,
        maker: AttachmentMaker,
        signers: dict[str, Signer],
        *,
        ack_timeout: timedelta,
        waiting_limit: int,
    ) -> None:
        """``signers`` are the keys of the simulator's own providers, by mnemonic. ``authors`` is filled later."""
        self.registry = registry
        self.area = area
        self.maker = maker
        self.signers = signers
        self.queues = Queues(ack_timeout, limit=waiting_limit, on_gone=self._forget_files, on_expired=self._expired)
        self.seen = Seen()
        self.authors: dict[str, Author] = {}
        self.interactions: dict[str, Interaction] = {}
        self.statuses: defaultdict[tuple[str, str], deque[str]] = defaultdict(deque)
        self.received: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self.answers: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)

    def reset(self) -> None:
        """Forget everything."""
        self.queues.clear()
        self.registry.reset()
        self.seen.clear()
        self.interactions.clear()
        self.statuses.clear()
        self.received.clear()
        self.answers.clear()
        self.area.clear()

    def check_room(self) -> None:
        """Refuse a message when no further one may wait. Raises RefusedError."""
        if self.queues.full:
            raise refuse("DestinationOverflow", place="SPQ:1", MessageBrokerAddress="simulator", DestinationName=CORE)

    def keep(self, attachments: Sequence[Attachment], message_id: str) -> tuple[Attachment, ...]:
        """Take attachments over: files leave the upload area. What came is told by ``GET /_sim/attachments``."""
        self.received.extend({"message_id": message_id, **item.described()} for item in attachments)
        return tuple(
            item if item.path is None else replace(item, path=self.area.keep(item.path)) for item in attachments
        )

    def publish(self, attachments: Sequence[Attachment]) -> tuple[Access, ...]:
        """Let a receiver fetch the files among ``attachments``."""
        return tuple(self.area.publish(item.identifier, item.path) for item in attachments if item.path is not None)

    def remember(self, interaction: Interaction) -> None:
        """Wait for an answer."""
        self.interactions[interaction.reply_to] = interaction
        while len(self.interactions) > _SEEN_LIMIT:
            del self.interactions[next(iter(self.interactions))]

    def answer(  # noqa: PLR0913  — a letter is made of these
        self,
        interaction: Interaction,
        message_id: str,
        provided: Provided,
        author: Party,
        now: datetime,
        *,
        attachments: tuple[Attachment, ...] = (),
        delay: timedelta = timedelta(0),
        effects: Effects | None = None,
    ) -> None:
        """Queue an answer for the caller of a request; ``effects`` are those of its last word."""
        if interaction.consumer is None or (effects is not None and effects.silent):
            return
        files = self.publish(attachments)
        for _ in range(2 if effects is not None and effects.duplicate else 1):
            letter = Letter(
                message_id=message_id,
                original=interaction.original,
                kind=interaction.kind,
                provided=provided.element,
                signature=provided.signature,
                author=author,
                recipient=interaction.party,
                sent_at=now,
                available_at=now + delay,
                reference=interaction.reference,
                transaction=interaction.transaction,
                attachments=attachments,
                files=files,
                transports=interaction.transports,
                broken_signature=effects is not None and effects.bad_smev_signature,
            )
            self.queues.put(interaction.consumer, letter, now)

    def _forget_files(self, letter: Letter) -> None:
        """Clear what was for the receiver of ``letter`` alone (facts: the area is cleared on Ack)."""
        self.area.withdraw(letter.files)

    def _expired(self, letter: Letter, now: datetime) -> None:
        """Tell a caller that nobody took the request in its life."""
        interaction = self.interactions.get(letter.reply_to)
        if interaction is None or interaction.closed:
            return
        interaction.closed = True
        identifier = fresh_id()
        kind, author = FAULTS["EndOfLifeReached"], self.authors[interaction.version]
        provided = author.rejected_late(identifier, letter.reply_to, letter.message_id, kind, "")
        if interaction.consumer is None:
            self.answers.append({"original_message_id": interaction.original, "kind": "expired", "at": now.isoformat()})
        self.answer(interaction, identifier, provided, CORE_PARTY, now)


def fresh_id() -> str:
    """Return a new UUID of version 1; its node and sequence are random, so that processes do not meet."""
    return str(uuid1(node=uuid4().int & 0xFFFFFFFFFFFF | 0x010000000000))
