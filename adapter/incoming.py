"""The domain of exchanges that begin at a gateway, and of the adapter's own registers. No I/O.

Another system asks us through a gateway, or tells us something: nobody here sent a command. Such a message becomes an
exchange of its own, journaled before its source confirms it. A :class:`Provider` is a pure function from it to the
events it becomes and, where the adapter answers by itself, to a call. Where an upstream system answers, it does so by a
command whose service looks the request up (:class:`Look`), which any worker may run.

A :class:`Register` is an application of our own beside the journal (the lockers of an МФЦ). Commands change it by the
step :class:`Local`; what it is told from outside changes it too. Either way the change, what is told of it and the
journal's rows are one transaction: after a crash all of it is there, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from adapter.exchange import Intake, Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta
    from uuid import UUID

    from adapter.errors import AdapterError
    from adapter.exchange import Answer, Call, Command, Event, Reply, State, StoredFile

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that a gateway brought and that answers nothing of ours, its signatures judged.

    ``source`` names the gateway's way in, ``key`` is the message's own id there (its repeats carry the same),
    ``action`` the provider that takes it. ``raw`` are the exact bytes received, ``content`` the business root.
    ``reply_to`` is where an answer goes, empty when none is wanted. ``subject`` is the business id that joins this
    exchange to others (an order's number); events and calls of one subject keep their order. ``facts`` is what else is
    worth knowing, small and JSON. ``test`` forbids changing data. ``deadline`` is when an answer is of no use any more,
    by default the provider's. ``unreadable`` is the rule that the message breaks, an English sentence without values:
    such a message is kept for a person. ``attachments`` are files that came with it, fetched before it is handed over.
    ``after`` are exchanges whose replies and events the broker has to confirm before this one begins.
    """

    source: str
    key: str
    action: str
    raw: bytes = field(repr=False)
    content: bytes = field(default=b"", repr=False)
    reply_to: str = ""
    subject: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Sequence[Mapping[str, Any]] = ()
    test: bool = False
    deadline: datetime | None = None
    unreadable: str = ""
    attachments: Sequence[StoredFile] = ()
    after: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Ask the journal which command of ours a message belongs to: the one that its answer tied to ``subject``.

    ``note`` is the word of the tie. While a call of ``operations`` that was made before the message came has no
    journaled end, that cannot be known, and the message waits. ``room`` is the note of a command's own subject, by
    which those that may be the owner are known: the only one among them whose answer is lost is it.
    """

    subject: str
    note: str
    operations: Sequence[str]
    room: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """The command that a message belongs to; ``gateway`` knows its call by ``gateway_id``.

    ``assumed`` says that no answer tied the two: no other command can be the one.
    """

    id: UUID
    gateway: str
    gateway_id: str
    operation: str
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """End an exchange that began at a gateway: there is nobody to reply to, ``events`` tell of it.

    ``error`` keeps it for a person (state ``dead``): run again by ``adapter dead replay``, its provider is asked anew.
    With ``to`` its one event is the owner's: it bears the command's ids and its place among the command's messages.
    ``answers`` says that it is what the owner waits for; then it is told by the owner's reply instead. ``then`` is a
    message of our own that begins an exchange once the broker has confirmed what this one tells.
    """

    events: Sequence[Event] = ()
    error: AdapterError | None = None
    to: Owner | None = None
    answers: bool = False
    then: Incoming | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the journal for the newest request of ``actions`` whose own id or subject is ``key``; changes nothing."""

    actions: Sequence[str]
    key: str


@dataclass(frozen=True, slots=True)
class Say:
    """Have the last word to a request that somebody holds open, on whichever worker, and reply ``outcome``.

    ``subject`` joins the command to others of one business id, as it does a call's.
    """

    to: UUID
    content: bytes
    outcome: Mapping[str, Any]
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A journaled :class:`Incoming` as a command that refers to it sees it.

    ``answered`` tells whether somebody else has had the last word to it already.
    """

    id: UUID
    incoming: Incoming
    received_at: datetime
    state: State
    answered: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What the journal answers to a :class:`Look`: the newest request, and the notes that calls of the subject left."""

    request: Request | None
    notes: frozenset[str] = frozenset()


class Provider(Protocol):
    """One kind of messages that a gateway brings: pure, no I/O, no clock."""

    action: str
    title: str
    gateway: str
    #: How long an exchange may go on, from its receipt on, where the message itself names no end.
    deadline: timedelta
    #: Names of the events it tells; ``<action>.failed`` is told by the pipeline and need not be among them.
    events: Sequence[str]
    #: What it takes, as its gateway names it (СМЭВ3: namespace and root element); nothing means: what no other takes.
    provides: Sequence[tuple[str, str]]

    def subject(self, incoming: Incoming) -> str:
        """Return the business id of a message, '' for none. Raises AdapterError or XmlError for what it cannot read."""
        ...

    def begin(self, incoming: Incoming) -> Done | Call | Match:
        """Return what a message becomes. A call's events are durable before its bytes leave. Raises AdapterError."""
        ...

    def proceed(self, incoming: Incoming, answer: Answer) -> Done | Call:
        """Return what follows from the journaled answer to the last call. Raises AnswerUnreadableError."""
        ...


class Matching(Provider, Protocol):
    """A provider whose first step may be a :class:`Match`."""

    def matched(self, incoming: Incoming, owner: Owner | None) -> Done | Call:
        """Return what a message becomes, from the command that it belongs to. Raises AdapterError."""
        ...


class Looking(Service, Protocol):
    """A service whose first step may be a :class:`Look`."""

    def found(self, command: Command, found: Found) -> Call | Reply | Say | Look:
        """Return the next step from what the journal answered. Raises AdapterError."""
        ...


@runtime_checkable
class Knowing(Service, Protocol):
    """A service that can say what is known of a command by the time an error ends it."""

    def known(self, command: Command, answer: Answer | None) -> Mapping[str, Any]:
        """Return what the error's details say beside the error's own; ``answer`` is the last one that was journaled.

        Called for a command that was readable; must not raise.
        """
        ...


@runtime_checkable
class Naming(Service, Protocol):
    """A service whose commands call one of many services behind its gateway: planned work may be on that one alone."""

    def called_service(self, command: Command) -> str:
        """Return the name of the service that a command calls, '' when it names none. Never raises."""
        ...


class Arrivals(Intake, Protocol):
    """The way in for everything that a gateway brings: answers by ``take``, all else by ``receive``."""

    async def receive(self, incoming: Incoming) -> bool:
        """Make ``incoming`` durable; return true when it may be confirmed (also for repeats of its key).

        Raises when it could not be made durable: it is not confirmed then, and comes again.
        """
        ...

    async def word(self, incoming: Incoming, seconds: float) -> bytes | None:
        """Wait for the last word to a received message, by whichever worker it is said; its repeats hear the same.

        ``None`` means that nobody has said it within ``seconds``, and that nobody can any more.
        """
        ...


class ArrivalSource(Protocol):
    """A poller or inbound endpoint that brings more than answers, owned by the bootstrap's task group."""

    name: str

    async def run(self, arrivals: Arrivals) -> None:
        """Fetch or listen, verify, hand over, confirm; until cancelled. Survives every gateway fault."""
        ...


class RegistersAwayError(Exception):
    """The registers cannot be written now; whether a change was made is unknown, its repeat will tell."""


class Session(Protocol):
    """A connection to the database, with a transaction open; asyncpg's is one."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction, or a savepoint in the one that is open."""
        ...

    async def fetch(self, query: str, /, *arguments: Any) -> Sequence[Any]:
        """Run one statement and return its rows."""
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """Ask a register of ours for ``operation``, in the transaction of the outcome: both are there or neither.

    ``content`` is what the service has read of the command, ``subject`` joins it to others of one business id. It is
    carried out once for each command: a crash between undoes it with the outcome, and then it is carried out anew.
    """

    register: str
    operation: str
    content: Mapping[str, Any]
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a register was told from outside: journaled as an exchange that has ended, with the events it became.

    ``source`` and ``key`` are its identity: what was told before under it must not be told again. ``about`` is the
    command that the news are of, once it has been replied to: the events carry its ids and are numbered behind its
    reply, ``raw`` is kept with it. A command that is in the journal no more leaves the news an exchange by itself.
    """

    source: str
    key: str
    action: str
    raw: bytes = field(repr=False)
    subject: str = ""
    events: Sequence[Event] = ()
    about: UUID | None = None


class Changes(Protocol):
    """How a register changes when no command asks for it; implemented by the pipeline."""

    async def change(self, work: Callable[[Session], Awaitable[tuple[Result, Sequence[Told]]]]) -> Result:
        """Run ``work`` in one transaction with what it tells, and return its result.

        ``work`` may be run again when another transaction stood in its way. Raises RegistersAwayError, and what
        ``work`` raises: then nothing has changed.
        """
        ...


class Register(Protocol):
    """An application of our own with tables of its own."""

    name: str

    async def carry_out(self, session: Session, step: Local) -> Reply:
        """Do what a command asks for. Raises AdapterError: the command fails by it and nothing has changed."""
        ...

    async def run(self, changes: Changes) -> None:
        """Listen, or do what falls due, until cancelled; owned by the worker's task group."""
        ...
