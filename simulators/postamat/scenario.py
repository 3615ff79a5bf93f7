"""Switches for bad days, set by ``POST /_sim/scenario`` while the simulator runs.

A rule is meant for every call or for those of one ``operation`` or ``casenum``, ``times`` times or until cleared. Where
several fit, the one that came last says more.
"""

from __future__ import annotations

from itertools import count
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """What is answered in place of doing anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int = Field(ge=200, le=599)
    name: str = "Exception"
    message: str = "SQLSTATE[08006]: Connection failure: 7 ОШИБКА: *****"


class Rule(BaseModel):
    """One switch. Times are seconds; everything absent happens as usual.

    ``delay`` waits before the call is carried out, ``answer`` refuses it. On the wire, after the call was carried out:
    ``body`` replaces the answer's bytes, ``echo`` puts the call's own address, token and all, into it; ``drop`` cuts
    the connection before the call is carried out, after it without a byte, or in the middle of the answer; ``status``
    replaces the answer's HTTP status.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: Literal["put-case", "issue", "back"] | None = None
    casenum: str | None = None
    times: int | None = Field(None, ge=1)
    delay: float = Field(0, ge=0, le=600)
    answer: Answer | None = None
    body: Literal["garbage", "html", "truncated", "empty", "huge"] | None = None
    echo: bool = False
    drop: Literal["before", "after", "midway"] | None = None
    status: int | None = Field(None, ge=200, le=599)


NOTHING = Rule()


class Scenarios:
    """The rules in force."""

    def __init__(self) -> None:
        """Start with none."""
        self._numbers = count(1)
        self._rules: dict[int, tuple[Rule, int | None]] = {}

    def add(self, rule: Rule) -> int:
        """Put ``rule`` in force and return its number."""
        number = next(self._numbers)
        self._rules[number] = (rule, rule.times)
        return number

    def apply(self, operation: str, casenum: str) -> Rule:
        """Return what the rules say about one call and count each that fits as used once."""
        found = NOTHING
        for number, (rule, left) in list(self._rules.items()):
            if rule.operation in {None, operation} and rule.casenum in {None, casenum}:
                found = found.model_copy(update={name: getattr(rule, name) for name in rule.model_fields_set})
                if left == 1:
                    del self._rules[number]
                elif left is not None:
                    self._rules[number] = (rule, left - 1)
        return found

    def active(self) -> list[dict[str, object]]:
        """Return the rules in force with their numbers, ``times`` being what is left."""
        return [
            {"id": number, **rule.model_dump(mode="json", exclude_unset=True), "times": left}
            for number, (rule, left) in self._rules.items()
        ]

    def remove(self, number: int | None = None) -> None:
        """Take one rule out of force, or all of them."""
        if number is None:
            self._rules.clear()
        else:
            self._rules.pop(number, None)
