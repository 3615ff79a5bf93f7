"""Form 1, «Описание форматов сообщений сервиса»: one row for each parameter of a service's messages, from its XSD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.drafting.complex import read_contract
from adapter.drafting.schemas import Schemas
from adapter.drafting.shapes import Model, Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adapter.drafting.shapes import Member

_KINDS: Final = {"str": "Строковый", "int": "Целое число", "bool": "Логический"}
_SPECIALS: Final = {
    "date": "Дата",
    "dateTime": "Дата и время",
    "time": "Время",
    "decimal": "Число",
    "double": "Число",
    "float": "Число",
    "base64Binary": "Двоичный (base64)",
}
#: Values of a list that stand in a row; of a longer one their number does.
_SHOWN: Final = 12


def message_formats(xsd: Path, request: str | None = None, answer: str | None = None) -> list[list[str]]:
    """Return the rows of the table: message, name, format, field, whether it is needed, remarks. Raises DraftError.

    ``request`` and ``answer`` name the root elements where the schema does not make it plain.
    """
    contract = read_contract(Schemas(xsd), request, answer, xsd)
    rows = [["Запрос", *row] for row in _rows(contract.request, "")]
    return rows + [["Ответ", *row] for row in _rows(contract.answer, "")]


def _rows(model: Model, path: str) -> Iterator[list[str]]:
    for member in model.members:
        yield from _member(member, path, needed=member.least > 0, remark="")
    for branches in model.choices:
        for branch in branches:
            for member, needed in branch:
                yield from _member(member, path, needed=needed and member.least > 0, remark="один из вариантов")


def _member(member: Member, path: str, *, needed: bool, remark: str) -> Iterator[list[str]]:
    field = f"{path}/{'@' if member.attribute else ''}{member.local}".lstrip("/")
    name = member.description or member.local
    form = member.form
    kind = _kind(form) if isinstance(form, Text) else "Группа"
    yield [name, kind, field, "Да" if needed else "Нет", "; ".join(_remarks(member, remark))]
    if isinstance(form, Model):
        yield from _rows(form, field)


def _kind(text: Text) -> str:
    kind = _SPECIALS.get(text.special) or _KINDS.get(text.kind, text.kind)
    if text.min_length is not None and text.min_length == text.max_length:
        return f"{kind}, {text.max_length} симв."
    return f"{kind}, до {text.max_length} симв." if text.max_length is not None else kind


def _remarks(member: Member, remark: str) -> Iterator[str]:
    if remark:
        yield remark
    if member.most is None or member.most > 1:
        yield "повторяется" if member.most is None else f"до {member.most} раз"
    if member.fixed is not None:
        yield f"всегда {member.fixed}"
    if isinstance(member.form, Text) and member.form.enumeration:
        values = member.form.enumeration
        yield "одно из: " + ", ".join(values) if len(values) <= _SHOWN else f"одно из {len(values)} значений"
