"""Cases of an МФЦ and what calls of lockers do to them; everything in memory."""

from __future__ import annotations

import hmac
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: (state, call) -> state, in the words of the description.
STEPS: Final[Mapping[tuple[str, str], str]] = {
    ("на выдаче", "put-case"): "В постамате",
    ("В постамате", "issue"): "Выдано заявителю",
    ("В постамате", "back"): "на выдаче",
}
STATES: Final = ("на выдаче", "В постамате", "Выдано заявителю")
#: Columns of type integer: their text goes into a statement as it came.
_INTEGERS: Final = ("postamatid", "timestamp", "userid", "cellid")


class Entry(TypedDict):
    """One line of ``GET /_sim/ledger``; parameters that did not come are null, the token never stands here."""

    operation: str
    casenum: str | None
    postamatid: str | None
    timestamp: str | None
    userid: str | None
    cellid: str | None
    outcome: str
    name: str | None


@dataclass(slots=True)
class PortalCase:
    """A case: its state, and the locker and cell that it lies in."""

    state: str = STATES[0]
    postamatid: str | None = None
    cellid: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: HTTP status and JSON."""

    status: int
    body: Mapping[str, str]


class Portal:
    """What the portal knows."""

    def __init__(self, tokens: Iterable[str], *, unknown_cases: bool = False, limit: int = 100_000) -> None:
        """``unknown_cases`` takes any case number for one of a case to be handed out; ``limit`` bounds the ledger."""
        self.tokens = tuple(tokens)
        self.cases: dict[str, PortalCase] = {}
        self._unknown_cases = unknown_cases
        self._ledger: deque[Entry] = deque(maxlen=limit)

    def ledger(self) -> list[Entry]:
        """Return all entries, oldest first."""
        return list(self._ledger)

    def reset(self) -> None:
        """Forget every case and entry."""
        self.cases.clear()
        self._ledger.clear()

    def perform(self, operation: str, query: Mapping[str, str], wanted: Said | None = None) -> Said:
        """Do what a call asks for and write it down; ``wanted`` is said instead, with nothing done."""
        said = wanted or self._judge(operation, query)
        self._ledger.append(
            Entry(
                operation=operation,
                casenum=query.get("casenum"),
                postamatid=query.get("postamatid"),
                timestamp=query.get("timestamp"),
                userid=query.get("userid"),
                cellid=query.get("cellid"),
                outcome="accepted" if said.status == 200 else "refused",
                name=said.body.get("name"),
            )
        )
        return said

    def _judge(self, operation: str, query: Mapping[str, str]) -> Said:
        given = query.get("token", "").encode("utf-8", "surrogatepass")
        if not any(hmac.compare_digest(given, token.encode()) for token in self.tokens):
            return _refused("Wrong token", "Неверный ключ безопасности")
        for name in _INTEGERS:
            value = query.get(name)
            if value is None:
                return _refused("Bad Request", f"Отсутствуют обязательные параметры: {name}")
            if not value.isdecimal() or not value.isascii():
                return _exception("SQLSTATE[22P02]: Invalid text representation: 7 ОШИБКА: *****")
            if len(value) > 18:
                return _exception("SQLSTATE[22003]: Numeric value out of range: 7 ОШИБКА: *****")
        casenum = query.get("casenum", "")
        if self._unknown_cases and casenum:
            self.cases.setdefault(casenum, PortalCase())
        return self._step(operation, casenum, query)

    def _step(self, operation: str, casenum: str, query: Mapping[str, str]) -> Said:
        case = self.cases.get(casenum)
        if case is None:
            return _refused("No case", f"Дело {casenum} не найдено")
        state = STEPS.get((case.state, operation))
        if state is None:
            return _refused("Wrong state", f"Дело {casenum} в состоянии «{case.state}»")
        inside = state == "В постамате"
        case.state = state
        case.postamatid = query["postamatid"] if inside else None
        case.cellid = query["cellid"] if inside else None
        return Said(200, {"status": "ok", "message": "Сохранено"})


def _refused(name: str, message: str) -> Said:
    return Said(400, {"name": name, "message": message})


def _exception(message: str) -> Said:
    return Said(500, {"name": "Exception", "message": message})
