"""Switches for bad days, set by ``POST /_sim/scenario`` while the simulator runs.

Rules are matched at the door of one operation (``operation``, default SendRequest), for every message or for those of
one ``transport_id`` (for GetResponse: when the answer to that request is delivered), ``times`` times or until cleared.
What a SendRequest rule says about the answer is decided when the request is taken. One message alone may bring its own
by the header X-Sim (see :mod:`simulators.smev3.wish`).
"""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.smev3.faults import fault_named
from simulators.smev3.makings import WantedAttachment  # noqa: TC001  — pydantic reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Iterable


OperationName = Literal[
    "SendRequest",
    "SendResponse",
    "GetRequest",
    "GetResponse",
    "GetStatus",
    "Ack",
    "GetIncomingQueueStatistics",
    "Upload",
    "Download",
]
#: Categories of GetStatus that every version knows.
Category = Literal[
    "doesNotExist",
    "requestIsQueued",
    "requestIsAcceptedBySmev",
    "requestIsRejectedBySmev",
    "underProcessing",
    "responseIsAcceptedBySmev",
    "cancelled",
]


class Rejected(BaseModel):
    """RequestRejected by the provider: one of the four reason codes and a sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Literal["ACCESS_DENIED", "NO_DATA", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"] = "FAILURE"
    description: str = "Запрос отклонён поставщиком"


class Effects(BaseModel):
    """What happens to a message. Times are seconds; everything absent happens as usual.

    At the door: ``door_delay`` waits first, ``fault`` refuses by an element's name or an SMEV-NNN code,
    ``require_personal_signature`` refuses what has no ЭП-СП. On the wire, after the operation was done:
    ``body`` replaces the answer's bytes, ``content_type`` its header, ``multipart`` wraps it as multipart/related,
    ``drop`` cuts the connection before the operation, after it without a byte, or in the middle of the answer.
    About the answer: ``answer_delay``, ``rejection`` (by СМЭВ3, InvalidContent or the fault named) and
    ``request_rejected`` (by the provider) in its place, ``request_status`` so many statuses before it, ``silent`` none
    at all, ``duplicate`` twice, ``unknown_transport_id`` about something else, ``bad_smev_signature`` with a wrong
    SMEVSignature; ``attachments`` come with it, ``echo`` sends the request's own back. ``async_status`` tells by
    GetStatus of the request.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    door_delay: float = Field(0, ge=0, le=600)
    fault: str | None = None
    require_personal_signature: bool = False
    body: Literal["garbage", "html", "truncated", "empty"] | None = None
    content_type: str | None = None
    multipart: bool = False
    drop: Literal["before", "after", "midway"] | None = None
    answer_delay: float = Field(0, ge=0)
    rejection: bool | str = False
    request_rejected: Rejected | None = None
    request_status: int = Field(0, ge=0, le=100)
    silent: bool = False
    duplicate: bool = False
    unknown_transport_id: bool = False
    bad_smev_signature: bool = False
    attachments: tuple[WantedAttachment, ...] = Field((), max_length=100)
    echo: bool = False
    async_status: tuple[Category, ...] = ()

    @field_validator("fault", "rejection")
    @classmethod
    def _known(cls, value: bool | str | None) -> bool | str | None:  # noqa: FBT001  — pydantic calls it
        if isinstance(value, str):
            try:
                fault_named(value)
            except KeyError:
                raise ValueError("is neither a fault's element name nor its SMEV-NNN code") from None
        return value

    def over(self, other: Effects) -> Effects:
        """Return ``other`` with everything that is set here put over it."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set & _NAMES})


class Rule(Effects):
    """One switch: effects, whom they are for and how often.

    ``ftp`` is what goes wrong in the file storage, when ``operation`` is Upload or Download: the ``login`` is refused,
    the file is ``missing`` (or may not be stored), the connection is ``cut`` in the middle, the file ends too early
    without a word (``short``), or one of its bytes is another (``corrupt``).
    """

    operation: OperationName = "SendRequest"
    transport_id: str | None = None
    times: int | None = Field(None, ge=1)
    ftp: Literal["login", "missing", "cut", "short", "corrupt"] | None = None

    @model_validator(mode="after")
    def _ftp_where_it_is(self) -> Self:
        if (self.ftp is not None) != (self.operation in {"Upload", "Download"}):
            raise ValueError("ftp goes with operation Upload or Download, and with nothing else")
        return self


NOTHING = Effects()
_NAMES = frozenset(Effects.model_fields)


class Scenarios:
    """The rules in force; may be asked from any thread, because the file storage has its own."""

    def __init__(self) -> None:
        """Start with none."""
        self._numbers = count(1)
        self._rules: dict[int, tuple[Rule, int | None]] = {}
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> int:
        """Put ``rule`` in force and return its number."""
        with self._lock:
            number = next(self._numbers)
            self._rules[number] = (rule, rule.times)
        return number

    def apply(self, operation: str, transports: Iterable[str] = (), *, general: bool = True) -> Effects:
        """Return what the rules say about one message and count each rule as used once.

        ``general`` takes in the rules for every message; without it only those for one of ``transports`` are meant.
        """
        if not self._rules:
            return NOTHING
        about = {transport.lower() for transport in transports}
        effects = NOTHING
        with self._lock:
            for number, (rule, _) in list(self._rules.items()):
                meant = general if rule.transport_id is None else rule.transport_id.lower() in about
                if rule.operation == operation and meant:
                    effects = rule.over(effects)
                    self._use(number)
        return effects

    def fault_of(self, operation: str, moment: str) -> str:
        """Return what goes wrong in the file storage, "" for nothing; ``moment`` is ``login`` or ``transfer``."""
        with self._lock:
            for number, (rule, _) in self._rules.items():
                if rule.operation == operation and rule.ftp and (rule.ftp == "login") == (moment == "login"):
                    self._use(number)
                    return rule.ftp
        return ""

    def _use(self, number: int) -> None:
        rule, left = self._rules[number]
        if left == 1:
            del self._rules[number]
        elif left is not None:
            self._rules[number] = (rule, left - 1)

    def active(self) -> list[dict[str, object]]:
        """Return the rules in force with their numbers, ``times`` being what is left."""
        with self._lock:
            return [
                {"id": number, **rule.model_dump(mode="json", exclude_unset=True), "times": left}
                for number, (rule, left) in self._rules.items()
            ]

    def remove(self, number: int | None = None) -> None:
        """Take one rule out of force, or all of them."""
        with self._lock:
            if number is None:
                self._rules.clear()
            else:
                self._rules.pop(number, None)
