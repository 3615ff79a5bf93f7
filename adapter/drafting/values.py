"""Example values: for each simple type a text of its kind, for each model its required members and first branches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from adapter.drafting.shapes import Model, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.drafting.shapes import Member

#: What to begin with for types whose texts have a form of their own.
_SPECIAL: Final[Mapping[str, str]] = {
    "date": "2026-01-31",
    "dateTime": "2026-01-31T09:30:00+03:00",
    "time": "09:30:00",
    "gYear": "2026",
    "gYearMonth": "2026-01",
    "gMonth": "--01",
    "gDay": "---31",
    "gMonthDay": "--01-31",
    "duration": "P1D",
    "decimal": "1",
    "double": "1",
    "float": "1",
    "base64Binary": "0KLQtdC60YHRgg==",
    "hexBinary": "00FF",
    "anyURI": "urn:example",
    "language": "ru",
}
#: Texts that the patterns of real schemas are mostly about, before one is made up from the pattern.
_USUAL: Final = (
    "35a823b4-55da-4622-a561-6bae5c0a00ba",
    "11111111145",
    "2026-01-31",
    "Иванов",
    "Текст",
    "1",
    "+79001234567",
    "name@example.ru",
    "123-456",
    "77:01:0001001:1001",
)


def example(model: Model) -> dict[str, Any]:
    """Return a JSON object of ``model``."""
    left_out = {id(member) for branches in model.choices for branch in branches[1:] for member, _ in branch}
    chosen = {id(member) for branches in model.choices for member, needed in branches[0] if needed}
    return {
        member.name: _value(member)
        for member in model.members
        if (member.needed or id(member) in chosen) and id(member) not in left_out
    }


def _value(member: Member) -> Any:
    if isinstance(member.form, Model):
        one: Any = example(member.form)
    elif member.fixed is not None:
        one = _typed(member.form, member.fixed)
    else:
        one = text_of(member.form)
    return one if member.most == 1 else [one] * max(member.least, 1)


def _typed(form: Text, text: str) -> Any:
    if form.kind == "bool":
        return text.strip() in {"true", "1"}
    return int(text) if form.kind == "int" else text


def text_of(form: Text) -> Any:
    """Return an example of a simple type."""
    if form.kind == "bool":
        return True
    if form.kind == "int":
        return _number(form)
    if form.enumeration:
        return form.enumeration[0]
    if form.special:
        return _SPECIAL.get(form.special, "x")
    if form.patterns:
        return _matching(form)
    low, high = form.min_length or 0, form.max_length
    return "Текст"[:high].ljust(low, "0") if high is None or high > 0 else ""


def _number(form: Text) -> int:
    if form.enumeration:
        return int(form.enumeration[0])
    least = 1 if form.low is None else max(form.low, 1)
    return least if form.high is None else min(form.high, least)


def _matching(form: Text) -> str:
    for pattern in form.patterns:
        made = _made(pattern)
        for text in (*_USUAL, *([made] if made is not None else [])):
            if _fits(pattern, text) and (form.min_length or 0) <= len(text) <= (form.max_length or len(text)):
                return text
    return ""


def _fits(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False


_ATOM: Final = re.compile(r"(?P<set>\[\^?(?:\\.|[^\]\\])+\])|(?P<escape>\\.)|(?P<dot>\.)|(?P<plain>[^\\\[\](){}?*+|.])")
_TIMES: Final = re.compile(r"\{(\d+)(?:,\d*)?\}|[?*+]")
_LETTERS: Final = "1aAаАzZяЯ0 -_.,:/+()№\"'"


def _made(pattern: str) -> str | None:
    """Return a text made of a pattern that is a row of atoms with counts; ``None`` for one with groups."""
    text, place = "", 0
    while place < len(pattern):
        atom = _ATOM.match(pattern, place)
        if atom is None:
            return None
        place = atom.end()
        letter = next((one for one in _LETTERS if _fits(atom.group(), one)), None)
        times = _TIMES.match(pattern, place)
        count = 1
        if times is not None:
            place = times.end()
            count = int(times[1]) if times[1] else (1 if times.group() == "+" else 0)
        if letter is None and count:
            letter = atom.group().removeprefix("\\") if len(atom.group()) <= 2 else None
        if letter is None and count:
            return None
        text += (letter or "") * count
    return text
