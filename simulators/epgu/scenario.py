"""Switches for bad days, set by ``POST /_sim/scenario`` while the simulator runs.

A rule is matched by operation and, where they are given, by the number of the order, the service and the chunk; of what
has a body, after the body was read. It applies to the calls ``skip`` + 1 to ``skip`` + ``times`` that match it.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.epgu.catalogue import WantedStatus  # noqa: TC001  — pydantic reads the annotation at run time
from simulators.epgu.codes import ERRORS, ESIA, PROCESS

Operation = Literal[
    "order",
    "push",
    "chunk",
    "details",
    "cancel",
    "statuses",
    "updated-after",
    "dictionary",
    "file",
    "token",
    "renewal",
]
Quirk = Literal[
    "capital-keys",
    "spaced-order-id",
    "message_id",
    "order-object",
    "order-null",
    "order-id-string",
    "more-fields",
]


class Answer(BaseModel):
    """An answer word for word in the place of the real one; ``json`` or ``text``, or neither."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int = Field(200, ge=200, le=599)
    json_body: Any = Field(None, alias="json")
    text: str = ""
    content_type: str = "text/plain"


class Effects(BaseModel):
    """What happens to a call. Times are seconds; everything absent happens as usual.

    Instead of the operation: ``refuse`` by a code of Приложение 4 (of ЕСИА for tokens) with ``message``, ``status``
    with an empty body or ``text``, ``redirect`` elsewhere. On the wire: ``delay`` before the operation,
    ``answer_delay`` after it, ``drop`` of the connection while the body is ``reading``, ``before`` the operation,
    ``after`` it without a byte, or ``midway`` through the answer; ``body`` spoils the bytes of the answer,
    ``quirks`` its JSON, ``answer`` replaces it, the operation being done. About an order that is sent: ``process``
    are codes that follow NEW (a final one ends it), ``process_message`` what details say at the last,
    ``order_statuses`` the portal's statuses. ``token_life`` is that of a token.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    delay: float = Field(0, ge=0, le=600)
    answer_delay: float = Field(0, ge=0, le=600)
    refuse: str | None = None
    message: str = ""
    status: int | None = Field(None, ge=200, le=599)
    text: str = ""
    redirect: str = ""
    drop: Literal["reading", "before", "after", "midway"] | None = None
    body: Literal["garbage", "html", "truncated", "empty"] | None = None
    quirks: tuple[Quirk, ...] = ()
    answer: Answer | None = None
    process: tuple[str, ...] = ()
    process_message: str | None = None
    order_statuses: tuple[WantedStatus, ...] | None = None
    token_life: float | None = Field(None, ge=0)

    @field_validator("refuse")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in ERRORS and value not in ESIA:
            raise ValueError("is a code of neither table")
        return value

    @field_validator("process")
    @classmethod
    def _in_the_table(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(code not in PROCESS for code in value):
            raise ValueError("holds a code that is not in the table")
        return value

    def over(self, other: Effects) -> Effects:
        """Return ``other`` with everything that is set here put over it."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set & _NAMES})


class Rule(Effects):
    """One switch: effects, whom they are for and how often."""

    operation: Operation
    order_id: int | None = None
    service_code: str | None = None
    chunk: int | None = Field(None, ge=0)
    skip: int = Field(0, ge=0)
    times: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _where_it_can_be(self) -> Self:
        if self.drop == "reading" and (self.operation not in {"push", "chunk"} or self._aimed()):
            raise ValueError("a body is cut while reading in push or chunk, before anything is known of it")
        if self.refuse is not None and (self.refuse in ESIA) != (self.operation in {"token", "renewal"}):
            raise ValueError("refuse is a code of ЕСИА for tokens, of Приложение 4 for anything else")
        return self

    def meets(self, operation: str, about: dict[str, object], *, reading: bool) -> bool:
        """Tell whether a call of ``operation`` is meant; ``reading`` while its body is not yet read."""
        if self.operation != operation or (self.drop == "reading") != reading:
            return False
        return all(getattr(self, name) in (None, about.get(name)) for name in ("order_id", "service_code", "chunk"))

    def _aimed(self) -> bool:
        return any(value is not None for value in (self.order_id, self.service_code, self.chunk))


NOTHING = Effects()
_NAMES = frozenset(Effects.model_fields)


class Scenarios:
    """The rules in force."""

    def __init__(self) -> None:
        """Start with none."""
        self._numbers = count(1)
        #: number -> the rule, calls still to be skipped, calls still to be met (``None``: all).
        self._rules: dict[int, tuple[Rule, int, int | None]] = {}

    def add(self, rule: Rule) -> int:
        """Put ``rule`` in force and return its number."""
        number = next(self._numbers)
        self._rules[number] = (rule, rule.skip, rule.times)
        return number

    def apply(self, operation: str, about: dict[str, object], *, reading: bool = False) -> Effects:
        """Return what the rules say about one call and count each as used; later rules go over earlier ones."""
        effects = NOTHING
        for number, (rule, skip, left) in list(self._rules.items()):
            if not rule.meets(operation, about, reading=reading):
                continue
            if skip:
                self._rules[number] = (rule, skip - 1, left)
                continue
            effects = rule.over(effects)
            if left == 1:
                del self._rules[number]
            elif left is not None:
                self._rules[number] = (rule, skip, left - 1)
        return effects

    def active(self) -> list[dict[str, object]]:
        """Return the rules in force with their numbers, ``times`` being what is left."""
        return [
            {"id": number, **rule.model_dump(mode="json", exclude_unset=True, by_alias=True), "times": left}
            for number, (rule, _, left) in self._rules.items()
        ]

    def remove(self, number: int | None = None) -> None:
        """Take one rule out of force, or all of them."""
        if number is None:
            self._rules.clear()
        else:
            self._rules.pop(number, None)
