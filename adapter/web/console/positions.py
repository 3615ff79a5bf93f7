"""Where the fields of a JSON text stand: the line of each path, as far as the text can be read. Pure.

The reader is lenient where the adapter's own is strict: it only finds places, and stops at what it cannot read.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from contextlib import suppress
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # public by its use, missing in typeshed
from typing import TYPE_CHECKING, Final

from adapter.services.json_body import BODY, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(r'[^\s,\]}"{\[]+')
_SYNTAX: Final = re.compile(r"строка (\d+), символ (\d+)")
_DEEPEST: Final = 100


def lines_of(text: str) -> dict[str, int]:
    """Return the line, from 1, of every path that can be found in ``text``."""
    walk = _Walk(text)
    with suppress(_EndError, JSONDecodeError):  # what was found so far is what there is to find
        walk.value([], 0, 0)
    return walk.found


def line_of(path: str, rule: str, known: Mapping[str, int]) -> int | None:
    """Return the line to mark for a fault: of its path, of the nearest object around it, or what its rule names."""
    syntax = _SYNTAX.search(rule)
    if path == BODY and syntax:
        return int(syntax[1])
    while path and path not in known:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return known.get(path)


class _EndError(Exception):
    """The text cannot be read any further."""


class _Walk:
    """One walk over a text, by hand: the standard reader forgets where things stood."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self.found: dict[str, int] = {}

    def value(self, path: list[int | str], place: int, depth: int) -> int:
        """Read the value at ``place``, note its line, return the place behind it."""
        place = self._skip(place)
        self.found.setdefault(path_of(path), self._line(place))
        if depth > _DEEPEST:
            raise _EndError
        match self._text[place : place + 1]:
            case "{":
                return self._members(path, place + 1, depth, "}")
            case "[":
                return self._members(path, place + 1, depth, "]")
            case '"':
                return int(scanstring(self._text, place + 1, False)[1])  # noqa: FBT003  — the C function's own way
            case _:
                found = _SCALAR.match(self._text, place)
                if found is None:
                    raise _EndError
                return found.end()

    def _members(self, path: list[int | str], place: int, depth: int, closing: str) -> int:
        number = 0
        while True:
            place = self._skip(place)
            char = self._text[place : place + 1]
            if char == closing:
                return place + 1
            if char == ",":
                place += 1
                continue
            segment: int | str = number
            if closing == "}":
                segment, place = self._name(place, path)
            place = self.value([*path, segment], place, depth + 1)
            number += 1

    def _name(self, place: int, path: list[int | str]) -> tuple[str, int]:
        if self._text[place : place + 1] != '"':
            raise _EndError
        name, end = scanstring(self._text, place + 1, False)  # noqa: FBT003  — the C function's own way
        self.found.setdefault(path_of([*path, name]), self._line(place))
        end = self._skip(end)
        if self._text[end : end + 1] != ":":
            raise _EndError
        return str(name), end + 1

    def _skip(self, place: int) -> int:
        found = _BLANKS.match(self._text, place)
        place = found.end() if found else place
        if place >= len(self._text):
            raise _EndError
        return place

    def _line(self, place: int) -> int:
        return bisect_left(self._breaks, place) + 1
