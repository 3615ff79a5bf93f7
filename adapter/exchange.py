"""The domain in one file: what comes in, what an exchange is, and the steps a service may ask for. No I/O.

A command comes in, is made durable, becomes one official exchange with a state gateway, and its outcome goes back.
An exchange is a fold over journaled facts; a service is a pure function from those facts to the next step.
Read this file first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from adapter.errors import AdapterError
    from adapter.incoming import Local, Look, Say


class State(StrEnum):
    """States of an exchange; docs/state-machine.md draws them."""

    RECEIVED = "received"
    SUBMITTING = "submitting"
    WAITING = "waiting"
    ANSWERED = "answered"
    REPLIED = "replied"
    REJECTED = "rejected"
    FAILED = "failed"
    RETRYING = "retrying"
    UNCERTAIN = "uncertain"
    EXPIRED = "expired"
    DEAD = "dead"


#: Legal moves. Evidence may arrive at any time, so ``uncertain`` and ``expired`` can still be answered.
MOVES: Mapping[State, frozenset[State]] = {
    State.RECEIVED: frozenset(
        {State.SUBMITTING, State.REPLIED, State.REJECTED, State.RETRYING, State.FAILED, State.EXPIRED, State.DEAD}
    ),
    State.SUBMITTING: frozenset(
        {State.WAITING, State.ANSWERED, State.FAILED, State.RETRYING, State.UNCERTAIN, State.EXPIRED, State.DEAD}
    ),
    State.RETRYING: frozenset(State) - {State.RECEIVED, State.RETRYING, State.WAITING},
    State.WAITING: frozenset({State.ANSWERED, State.EXPIRED, State.DEAD}),
    State.ANSWERED: frozenset({State.REPLIED, State.FAILED, State.SUBMITTING, State.EXPIRED, State.DEAD}),
    State.UNCERTAIN: frozenset({State.ANSWERED, State.FAILED, State.WAITING}),
    State.EXPIRED: frozenset({State.ANSWERED}),
    State.DEAD: frozenset({State.RECEIVED, State.ANSWERED}),
    State.REPLIED: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset({State.ANSWERED}),
}


class Repeat(StrEnum):
    """What may be done when a call ended without an answer (ARCHITECTURE, Repeat rules)."""

    SAME_ID = "same-id"
    """Send the same bytes under the same id again; the gateway recognises the copy."""
    SAFE = "safe"
    """Repeat at will: the call changes nothing."""
    ASK = "ask"
    """Ask the gateway what became of it before anything else."""
    NEVER = "never"
    """Never repeat: the exchange becomes ``uncertain``."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a service's contract."""

    title: str
    request: Mapping[str, Any]
    reply: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a command wants sent: where its bytes are, never more than one place of the three.

    ``content`` are the bytes themselves; ``url`` (http, https, ftp) and ``path`` (a file of this machine) are read by
    the gateway through the allow-list of adapter/files. ``name`` is a bare file name, ``mime_type`` what the command
    says of the content; both travel to the provider.
    """

    name: str
    mime_type: str
    content: bytes | None = None
    url: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class FileFact:
    """What the journal keeps of a file that was sent: ``size`` in bytes, ``sha256`` in lower-case hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was received, at rest below FILES_ROOT.

    ``size`` is in bytes, ``sha256`` in lower-case hex, ``path`` relative to FILES_ROOT. ``content`` is set for a file
    of at most INLINE_FILE bytes, so that a reply needs no look at the disk.
    """

    name: str
    mime_type: str
    size: int
    sha256: str
    path: str
    content: bytes | None = None


#: Largest file, in bytes, that a reply carries itself; of a larger one it says where it lies below FILES_ROOT.
INLINE_FILE: Final = 256_000


@dataclass(frozen=True, slots=True)
class Call:
    """Ask a gateway for one operation.

    ``content`` is the operation's business content (for СМЭВ3: the business root element, UTF-8, no declaration).
    ``official`` wants the official's signature (ЭП-СП) over it. ``lane`` keeps order: calls of one lane go one by one,
    in the order in which their commands were journaled; an accepted call makes way for the next one. ``attachments``
    are files that go with it, in the command's order. ``rehearsed`` says that the call is prepared to be shown and
    never made: then nothing may leave while it is prepared, but what it takes to sign.

    ``events`` are told once, at the latest with the intent to call: they are durable before its bytes leave.
    ``reply_to`` addresses an answer to another system's request, ``instead`` is what it says in place of content,
    ``word`` which request it answers. ``subject`` joins the exchange to others of one business id (``adapter trace``),
    ``note`` is found there by a ``Look`` once the call was taken. ``schema`` is the XSD of the content where it is not
    the service's own.
    """

    gateway: str
    operation: str
    content: bytes
    official: bool = False
    lane: str | None = None
    attachments: Sequence[Attachment] = ()
    rehearsed: bool = False
    events: Sequence[Event] = ()
    reply_to: str = ""
    instead: Refusal | Progress | None = None
    word: Word | None = None
    subject: str = ""
    note: str = ""
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What a call is to a request that a gateway brought: an exchange's id, ``None`` the exchange that calls itself.

    At most one ``last`` word is said to a request, and none of any kind after it.
    """

    to: UUID | None = None
    last: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider's no: ``reasons`` are pairs of the gateway's code and a description, one at least."""

    reasons: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a provider has come with a request; ends nothing."""

    code: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """End the exchange and tell the one who asked: ``{"result": …}`` or ``{"error": {…}}``.

    ``code`` is ``None`` for a result, else the error's wire code. ``notes`` are counted, never sent
    (for example ``unknown_transport_id``). ``ties`` are subjects and notes that later messages find the command by.
    """

    outcome: Mapping[str, Any]
    code: str | None = None
    notes: Sequence[str] = ()
    ties: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something nobody asked for: published to the topic exchange ``adapter.events`` under ``name``."""

    name: str
    body: Mapping[str, Any]


#: A service may also look for a gateway's request, answer one held open, or change a register of ours.
Step: TypeAlias = "Call | Reply | Look | Say | Local"


@dataclass(frozen=True, slots=True)
class Command:
    """A journaled command as its service sees it."""

    id: UUID
    action: str
    body: bytes
    received_at: datetime
    deadline: datetime


class AnswerKind(StrEnum):
    """What a gateway's message is to the exchange it refers to."""

    ANSWER = "answer"
    """The provider's business answer: the service reads ``content``."""
    REJECTION = "rejection"
    """The gateway or provider rejected the request: ``fault`` says why."""
    STATUS = "status"
    """News that ends nothing: an event; the exchange stays as it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A message fetched from or pushed by a gateway, verified, about one exchange.

    ``key`` is the message's own id (its repeats carry the same), ``reference`` the id of the request it answers.
    ``raw`` are the exact bytes received, ``content`` the business root element as bytes (``ANSWER`` only).
    ``event`` is what a STATUS publishes, or an ANSWER that is none any more. ``mine`` is false when the queue is shared
    and the reference may belong to a neighbour. ``attachments`` are the files that came with it, fetched and checked.
    """

    source: str
    key: str
    reference: str
    kind: AnswerKind
    raw: bytes
    content: bytes = b""
    fault: AdapterError | None = None
    event: Event | None = None
    verdicts: Sequence[Mapping[str, Any]] = ()
    mine: bool = True
    attachments: Sequence[StoredFile] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call ready to leave: the exact bytes, signed, and the id the gateway will know it by.

    Journaled before it is sent; a repeat under SAME_ID sends these very bytes. ``minted_at`` is the moment inside the
    id (СМЭВ3 MessageIDs are valid 24 h from it). ``signed_by`` are SHA-256 fingerprints of the signing certificates,
    ``files`` what went with it, for the journal's record of what was sent. ``wish`` are a rehearsal's words to the
    simulator: nothing of the message, never journaled.
    """

    operation: str
    gateway_id: str
    body: bytes
    minted_at: datetime
    signed_by: Sequence[str] = ()
    files: Sequence[FileFact] = ()
    wish: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway took the request; the answer comes later (``answer`` is ``None``) or came at once.

    An answer that came at once has the gateway's name as its ``source`` and the call's id as its ``reference``. Where
    it comes later, ``events`` tell of what was said now, ``ties`` are as a reply's, and ``until`` is its own deadline.
    """

    raw: bytes
    answer: Answer | None = None
    events: Sequence[Event] = ()
    ties: Sequence[tuple[str, str]] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway said no, for good: ``error`` is what the one who asked will read."""

    error: AdapterError
    raw: bytes


@dataclass(frozen=True, slots=True)
class TryLater:
    """The gateway did not take the request and says or implies that it may later.

    ``after`` is a wish in seconds. ``remint`` means that the id was refused as stale or malformed, so that a repeat
    has to be prepared anew (only when no earlier attempt may have got through).
    """

    error: AdapterError
    raw: bytes = b""
    after: float | None = None
    remint: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody knows: bytes may have left and no readable answer came. The operation's repeat rule decides."""

    error: AdapterError
    raw: bytes = b""


Sent = Accepted | Refused | TryLater | Unanswered


class Gateway(Protocol):
    """What the pipeline needs of a gateway. One contract suite runs on every implementation."""

    name: str
    #: Repeat rule per operation; a test iterates it.
    repeat_rules: Mapping[str, Repeat]
    #: How long an id stays valid from ``minted_at`` on; ``None`` for ever.
    id_lifetime: timedelta | None

    async def prepare(self, call: Call) -> Prepared:
        """Build, validate and sign the request. Raises SignerError, or KnownError when the content is refused."""
        ...

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        """Send exactly ``prepared.body`` once, inside the gateway's own timeout. Never raises for a gateway's fault."""
        ...


class Asking(Gateway, Protocol):
    """A gateway with an operation whose rule is ``ASK``."""

    async def ask(self, prepared: Prepared) -> Sent:
        """Ask what became of a call that ended without an answer: a read-only question.

        ``Accepted`` comes with the answer; ``TryLater`` means that the call certainly has not arrived: the same bytes
        are sent again. ``Unanswered`` means that nobody knows yet: it is asked again later.
        """
        ...


class Intake(Protocol):
    """The way in for gateway messages; implemented by the pipeline, used by every source."""

    async def take(self, answer: Answer) -> bool:
        """Make ``answer`` durable; return true when it may be confirmed to the gateway (also for repeats).

        Returns false when it is not ours to confirm. Raises when it could not be made durable: do not confirm.
        """
        ...


class Source(Protocol):
    """A poller, follower or inbound endpoint of a gateway, owned by the bootstrap's task group."""

    name: str

    async def run(self, intake: Intake) -> None:
        """Fetch, verify, hand to ``intake``, confirm; until cancelled. Survives every gateway fault."""
        ...


class Service(Protocol):
    """One action's rules: pure, no I/O, no clock."""

    action: str
    title: str
    gateway: str
    #: Default deadline of a command, from its receipt on.
    deadline: timedelta
    #: XSD of the вид сведений below schemas/, checked by the pipeline both ways; ``None``: the content is no XML.
    schema: str | None
    examples: Sequence[Example]

    def start(self, command: Command) -> Step:
        """Return the first step of a command. Raises InvalidCommandError."""
        ...

    def resume(self, command: Command, answer: Answer) -> Step:
        """Return the next step from the journaled answer. Raises AnswerUnreadableError."""
        ...

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        ...
