"""The lockers' API, whichever side we are on: three GET calls, their parameters and their answers.

Source: seeds/002_f03ffb5ed5d4afbc.txt, «API для постаматов». The ``×tamp`` of its examples is a mangled
``&timestamp``. The token is no part of a call here: it is added where a call leaves and taken off where one comes in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from adapter.errors import FieldFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH: Final = "/rest-api/postamat/"
TOKEN: Final = "token"  # noqa: S105  — the parameter's name
#: What a call that was carried out is answered with.
SAVED: Final[Mapping[str, str]] = {"status": "ok", "message": "Сохранено"}
#: Parameters of digits. They stay texts: a cell may be numbered 007.
NUMBERS: Final = ("postamatid", "timestamp", "userid", "cellid")
CASENUM: Final = "casenum"
#: Most characters of a case number.
CASENUM_LIMIT: Final = 64

#: As many digits as a number of 64 bits always holds; more reach the portal's database as an error.
_DIGITS = re.compile("[0-9]{1,18}")


class Operation(StrEnum):
    """What a locker tells of; the last part of the path."""

    PUT_CASE = "put-case"
    """Помещение выдаваемого результата в постамат."""
    ISSUE = "issue"
    """Выдача результата заявителю."""
    BACK = "back"
    """Изъятие результата из постамата (возврат в МФЦ)."""


@dataclass(frozen=True, slots=True)
class LockerCall:
    """One call: a case is put into a cell of a locker, issued from it or taken back.

    ``timestamp`` is UNIX time in seconds as the locker wrote it, ``userid`` who serves the cell, ``cellid`` the cell.
    """

    operation: Operation
    casenum: str
    postamatid: str
    timestamp: str
    userid: str
    cellid: str

    def parameters(self) -> dict[str, str]:
        """Return the call's parameters in the order of the description, without the token."""
        return {
            CASENUM: self.casenum,
            "postamatid": self.postamatid,
            "timestamp": self.timestamp,
            "userid": self.userid,
            "cellid": self.cellid,
        }

    def target(self) -> str:
        """Return path and query, percent-encoded, without the token."""
        return f"{PATH}{self.operation}?{urlencode(self.parameters(), quote_via=quote, safe='')}"


def call_faults(parameters: Mapping[str, object]) -> Iterator[FieldFault]:
    """Yield what is wrong with the parameters of a call, each by its name; the values may be anything."""
    if not is_casenum(parameters.get(CASENUM)):
        yield FieldFault(CASENUM, f"ожидается номер дела: от 1 до {CASENUM_LIMIT} печатных символов без «|»")
    for name in NUMBERS:
        if not is_number(parameters.get(name)):
            yield FieldFault(name, "ожидается от 1 до 18 цифр")


def is_casenum(value: object) -> bool:
    """Tell whether this may be a case number: what a QR code and a query can carry whole."""
    return isinstance(value, str) and 1 <= len(value) <= CASENUM_LIMIT and value.isprintable() and "|" not in value


def is_number(value: object) -> bool:
    """Tell whether this is a text of ASCII digits that a database's number holds."""
    return isinstance(value, str) and _DIGITS.fullmatch(value) is not None
