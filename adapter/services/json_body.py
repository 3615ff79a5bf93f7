"""Strict JSON: the bytes of a command to a tree that XML can carry, or every fault by its path.

Stricter than RFC 8259 where leniency would hide a mistake or hurt later: UTF-8 only and without a BOM, an object at the
top, no name twice, no NaN or Infinity, numbers inside 64 bits, nesting and size bounded, no text that XML 1.0 cannot
carry. Never raises anything but InvalidCommandError, whatever the bytes are.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapter.errors import FieldFault, InvalidCommandError

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

#: Path of a fault that belongs to no field.
BODY = "body"
#: Deepest nesting of a command; the deepest service needs 6.
MAX_DEPTH = 32
#: Most values in a command, so that one hostile body cannot occupy the process.
MAX_VALUES = 20_000
#: Most faults that one reply lists.
MAX_FAULTS = 100

_MAX_INTEGER = 2**63
_MAX_NUMBER_LENGTH = 64
_NAME_SHOWN = 64

_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
_FOREIGN_TEXT = re.compile(rf"[{_CONTROL}]|\]\]>")
#: In text that is XML itself, CDATA ends and every character of XML 1.0 is one of its own.
_FOREIGN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FOREIGN_NAME = re.compile(rf"[{_CONTROL}\t\n\r]")

_BOMS = (
    (b"\xef\xbb\xbf", "тело начинается с метки BOM, нужна кодировка UTF-8 без неё"),
    (b"\xff\xfe\x00\x00", "тело в кодировке UTF-32, нужна UTF-8"),
    (b"\x00\x00\xfe\xff", "тело в кодировке UTF-32, нужна UTF-8"),
    (b"\xff\xfe", "тело в кодировке UTF-16, нужна UTF-8"),
    (b"\xfe\xff", "тело в кодировке UTF-16, нужна UTF-8"),
)
#: The reader's English sentences that an integrator meets most.
_SYNTAX = {
    "Expecting value": "ожидается значение",
    "Extra data": "лишние данные после объекта",
    "Expecting property name enclosed in double quotes": "ожидается имя поля в двойных кавычках",
    "Expecting ',' delimiter": "ожидается запятая",
    "Expecting ':' delimiter": "ожидается двоеточие",
    "Unterminated string starting at": "строка не закрыта кавычкой",
    "Invalid control character at": "управляющий символ внутри строки должен быть записан через \\",
    "Illegal trailing comma before end of object": "лишняя запятая в конце объекта",
    "Illegal trailing comma before end of array": "лишняя запятая в конце списка",
}


@dataclass(frozen=True, slots=True)
class Body:
    """A command's tree, and what is wrong in it already; wrong numbers stand in the tree as :class:`Refused`."""

    tree: dict[str, Any]
    faults: Sequence[FieldFault]


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands in the tree for a value that no field may hold."""

    rule: str


class _Repeated(dict[str, Any]):
    """An object with a name written twice; ``names`` lists those names."""

    names: tuple[str, ...] = ()


def decode(body: bytes, verbatim: Container[str] = ()) -> Body:
    """Return the tree of ``body``; ``verbatim`` are the paths of fields that hold XML.

    Raises InvalidCommandError when there is none to go on with.
    """
    text = _text(body)
    tree, broken = _parse(text)
    if not isinstance(tree, dict):
        raise InvalidCommandError([FieldFault(BODY, "ожидается объект JSON")])
    inspection = _Inspection(verbatim)
    inspection.visit(tree, 1)
    if broken is not None and not inspection.faults:
        raise InvalidCommandError([broken])
    return Body(tree, inspection.faults)


def path_of(segments: Sequence[int | str]) -> str:
    """Return a path as an upstream developer writes it, ``actions[0].request_id``; :data:`BODY` for the top.

    Names in it may be anybody's: they are cut at 64 characters, and what no JSON or log line should carry is escaped.
    """
    path = ""
    for segment in segments:
        if isinstance(segment, int):
            path += f"[{segment}]"
            continue
        name = segment if len(segment) <= _NAME_SHOWN else f"{segment[:_NAME_SHOWN]}…"
        name = _FOREIGN_NAME.sub(lambda match: f"\\u{ord(match.group()):04x}", name)
        path += f".{name}" if path else name
    return path or BODY


def capped(faults: Sequence[FieldFault]) -> list[FieldFault]:
    """Return the first :data:`MAX_FAULTS` faults, closed by a note when there are more."""
    if len(faults) <= MAX_FAULTS:
        return list(faults)
    return [*faults[:MAX_FAULTS], FieldFault(BODY, f"показаны первые нарушения: {MAX_FAULTS}, есть и другие")]


def _text(body: bytes) -> str:
    rule = next((rule for mark, rule in _BOMS if body.startswith(mark)), None)
    if rule is None and body[:1] and 0 in body[:2] and b"{" in body[:4]:
        # RFC 4627, section 3: the first two characters are ASCII, so a zero byte among them tells UTF-16 or UTF-32.
        rule = "тело в кодировке UTF-16 или UTF-32, нужна UTF-8"
    if rule is None and not body.strip(b" \t\r\n"):
        rule = "тело пустое, ожидается объект JSON"
    if rule is None:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            rule = f"тело не в кодировке UTF-8, первый неверный байт на позиции {error.start}"
    raise InvalidCommandError([FieldFault(BODY, rule)])


def _parse(text: str) -> tuple[Any, FieldFault | None]:
    """Return the tree, and the broken rule of syntax when it could be read all the same."""
    try:
        return _STRICT.decode(text), None
    except json.JSONDecodeError as error:
        what = _SYNTAX.get(error.msg, "неверный синтаксис")
        fault = FieldFault(BODY, f"тело не является JSON: строка {error.lineno}, символ {error.colno}: {what}")
        raw_control = error.msg.startswith("Invalid control character")
    except RecursionError:
        fault, raw_control = FieldFault(BODY, f"вложенность больше {MAX_DEPTH}"), False
    if raw_control:
        # Read on, so that the field can be named that holds a raw control character.
        with suppress(json.JSONDecodeError, RecursionError):
            return _LENIENT.decode(text), fault
    # Raised out here: the reader's own error holds the whole document.
    raise InvalidCommandError([fault])


class _Inspection:
    """One walk over a tree: depth, size, repeated names, numbers, characters."""

    def __init__(self, verbatim: Container[str]) -> None:
        self._verbatim = verbatim
        self.faults: list[FieldFault] = []
        self._path: list[int | str] = []
        self._values = 0

    def visit(self, node: Any, depth: int) -> None:
        """Judge ``node`` and everything below it; ``depth`` is the nesting of its own level, from 1."""
        if len(self.faults) > MAX_FAULTS:
            return
        self._values += 1
        if self._values > MAX_VALUES:
            raise InvalidCommandError([FieldFault(BODY, f"слишком много значений, допустимо {MAX_VALUES}")])
        if isinstance(node, str):
            found = _FOREIGN_TEXT.search(node)
            if found and path_of(self._path) in self._verbatim:
                found = _FOREIGN_XML.search(node)
            if found:
                self._fault(_foreign_rule(found.group()))
        elif isinstance(node, Refused):
            self._fault(node.rule)
        elif isinstance(node, dict | list):
            if depth > MAX_DEPTH:
                self._fault(f"вложенность больше {MAX_DEPTH}")
                return
            self._visit_members(node, depth)

    def _visit_members(self, node: dict[str, Any] | list[Any], depth: int) -> None:
        if isinstance(node, _Repeated):
            for name in node.names:
                self._fault("поле указано более одного раза", name)
        for segment, member in node.items() if isinstance(node, dict) else enumerate(node):
            self._path.append(segment)
            self.visit(member, depth + 1)
            self._path.pop()

    def _fault(self, rule: str, *below: str) -> None:
        self.faults.append(FieldFault(path_of([*self._path, *below]), rule))


def _foreign_rule(found: str) -> str:
    if found == "]]>":
        return "последовательность символов «]]>» недопустима"
    code = ord(found)
    if 0xD800 <= code <= 0xDFFF:
        return f"непарный суррогат U+{code:04X} недопустим"
    if code == 0:
        return "символ NUL (U+0000) недопустим"
    return f"управляющий символ U+{code:04X} недопустим"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeated = _Repeated(members)
    repeated.names = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeated


def _integer(digits: str) -> int | Refused:
    # Measured before conversion: int() of a long text is quadratic and bounded by an interpreter setting.
    number = int(digits) if len(digits) <= _MAX_NUMBER_LENGTH else _MAX_INTEGER
    return number if -_MAX_INTEGER <= number < _MAX_INTEGER else Refused("число выходит за пределы 64 бит")


def _real(digits: str) -> float | Refused:
    number = float(digits) if len(digits) <= _MAX_NUMBER_LENGTH else math.inf
    return number if math.isfinite(number) else Refused("число выходит за допустимые пределы")


def _constant(_name: str) -> Refused:
    return Refused("значения NaN и Infinity недопустимы")


def _reader(*, strict: bool) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=strict
    )


_STRICT = _reader(strict=True)
_LENIENT = _reader(strict=False)
