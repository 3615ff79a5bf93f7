"""What the adapter would say of a command before anything leaves: its service's own word, with the lines it is about.

The service is the one that a worker asks, so the verdict equals the adapter's. A register's or the journal's refusals
(an unknown locker, a request nobody sent) come only when the command is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

from adapter.errors import AdapterError, FieldFault, InvalidCommandError
from adapter.exchange import Call, Command
from adapter.paths import SCHEMAS
from adapter.web.console.positions import line_of, lines_of
from adapter.xml.parser import parse
from adapter.xml.schema import Schema

if TYPE_CHECKING:
    from adapter.exchange import Service


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule; ``line`` is where it stands in the text, from 1, ``None`` where that is nowhere."""

    path: str
    rule: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` and ``description`` are those of the error reply, ``None`` when the command is good."""

    code: str | None
    description: str | None
    faults: tuple[Fault, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the adapter would go on with the command."""
        return self.code is None


def judge(service: Service, text: str, most: int) -> Verdict:
    """Judge a command of at most ``most`` bytes as a worker would."""
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > most:
        return _verdict(
            InvalidCommandError(
                [FieldFault("body", f"тело команды больше допустимого: {len(body)} байт, предел {most}")]
            ),
            "",
        )
    now = datetime.now(UTC)
    try:
        step = service.start(Command(UUID(int=0), service.action, body, now, now + service.deadline))
        if isinstance(step, Call) and (step.schema or service.schema):
            faults = _schema(str(step.schema or service.schema)).check(parse(step.content))
            if faults:
                raise InvalidCommandError([FieldFault(fault.path, fault.rule) for fault in faults])
    except AdapterError as error:
        return _verdict(error, text)
    return Verdict(None, None)


@cache
def _schema(path: str) -> Schema:
    return Schema.load(SCHEMAS / path)


def _verdict(error: AdapterError, text: str) -> Verdict:
    known = lines_of(text)
    faults = tuple(Fault(fault.path, fault.rule, line_of(fault.path, fault.rule, known)) for fault in error.fields)
    return Verdict(error.code, error.description, faults)
