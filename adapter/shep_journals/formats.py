"""Form 1, «Описание форматов сообщений сервиса»: one row for each parameter of a service's messages, from its XSD.

A table for people: whatever a schema may hold has a row, also what no model of ours could express.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from lxml import etree

from adapter.drafting.schemas import XSD, Schemas
from adapter.drafting.shapes import DraftError, Text
from adapter.drafting.simple import named, simple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
_GROUP: Final = "Группа"
_ANY: Final = "Произвольный"
#: Rows that nobody reads any more: types that hold each other many times make millions.
_MOST: Final = 5000
#: Values of a list that stand in a row; of a longer one their number does.
_SHOWN: Final = 12


def message_formats(xsd: Path, request: str | None = None, answer: str | None = None) -> list[list[str]]:
    """Return the rows of the table: message, name, format, field, whether it is needed, remarks. Raises DraftError.

    ``request`` and ``answer`` name the root elements where the schema does not make it plain.
    """
    schemas = Schemas(xsd)
    roots = schemas.elements()
    rows: list[list[str]] = []
    for title, wanted, ending, option in (
        ("Запрос", request, "request", "--request"),
        ("Ответ", answer, "response", "--answer"),
    ):
        names = [wanted] if wanted else [name for name in roots if name.lower().endswith(ending)]
        if len(names) != 1 or names[0] not in roots:
            known = ", ".join(sorted(roots)) or "none"
            raise DraftError(f"name the element of the message by {option}: the schema has {known}")
        rows += [[title, *row] for row in islice(_Reader(schemas).root(roots[names[0]]), _MOST)]
        if len(rows) >= _MOST:
            raise DraftError(f"its messages have {_MOST} parameters or more: no table for people")
    return rows


class _Reader:
    """Walks from a root element down; ``way`` are the types it is inside of."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def root(self, node: etree._Element) -> Iterator[list[str]]:
        """Yield the rows of a message; of one that is a value alone, its own."""
        complex_type = self._complex(node)
        if complex_type is None:
            yield from self._element(node, "", "", (), optional=False)
        else:
            yield from self._inside(complex_type, "", (complex_type,), "", optional=False)

    def _element(
        self, node: etree._Element, path: str, remark: str, way: tuple[etree._Element, ...], *, optional: bool
    ) -> Iterator[list[str]]:
        least, most = node.get("minOccurs", "1"), node.get("maxOccurs", "1")
        description = _documentation(node)
        if node.get("ref"):
            node = self._schemas.find("element", node, str(node.get("ref")))
            description = description or _documentation(node)
        local = str(node.get("name"))
        field = f"{path}/{local}".lstrip("/")
        inner = self._complex(node)
        remarks = [remark] if remark else []
        if most != "1":
            remarks.append("повторяется" if most == "unbounded" else f"до {most} раз")
        kind = _GROUP
        if inner is None:
            kind, more = self._value(node)
            remarks += more
        elif inner in way:
            remarks.append("содержит такую же группу")
        needed = "Нет" if optional or least == "0" else "Да"
        yield [description or local, kind, field, needed, "; ".join(remarks)]
        if inner is not None and inner not in way:
            yield from self._inside(inner, field, (*way, inner), "", optional=False)

    def _inside(
        self, node: etree._Element, path: str, way: tuple[etree._Element, ...], remark: str, *, optional: bool
    ) -> Iterator[list[str]]:
        """Yield the rows of what a type, a content or a particle holds."""
        for child in node.iterchildren(etree.Element):
            kind = etree.QName(child).localname
            absent = optional or child.get("minOccurs") == "0"
            if kind == "element":
                yield from self._element(child, path, remark, way, optional=optional)
            elif kind == "any":
                yield ["Любой элемент", _ANY, f"{path}/*".lstrip("/"), "Нет" if absent else "Да", remark]
            elif kind == "attribute":
                yield from self._attribute(child, path)
            elif kind == "choice":
                yield from self._inside(child, path, way, "один из вариантов", optional=absent)
            elif kind in {"group", "attributeGroup"} and child.get("ref"):
                named_group = self._schemas.find(kind, child, str(child.get("ref")))
                yield from self._inside(named_group, path, way, remark, optional=absent)
            elif kind == "extension":
                base = self._base(child)
                if base is not None and base not in way:
                    yield from self._inside(base, path, (*way, base), remark, optional=absent)
                yield from self._inside(child, path, way, remark, optional=absent)
            elif kind in {"sequence", "all", "complexContent", "simpleContent", "restriction"}:
                yield from self._inside(child, path, way, remark, optional=absent)

    def _attribute(self, node: etree._Element, path: str) -> Iterator[list[str]]:
        if node.get("use") == "prohibited":
            return
        if node.get("ref"):
            kind, remarks, local = "Строковый", list[str](), str(node.get("ref"))
        else:
            (kind, remarks), local = self._value(node), str(node.get("name"))
        needed = "Да" if node.get("use") == "required" else "Нет"
        yield [_documentation(node) or local, kind, f"{path}/@{local}".lstrip("/"), needed, "; ".join(remarks)]

    def _complex(self, node: etree._Element) -> etree._Element | None:
        """Return the complex type of an element, ``None`` for a value."""
        inner = node.find(f"{XSD}complexType")
        if inner is not None or node.get("type") is None:
            return inner
        try:
            return self._schemas.find("complexType", node, str(node.get("type")))
        except DraftError:
            return None

    def _base(self, node: etree._Element) -> etree._Element | None:
        try:
            return self._schemas.find("complexType", node, str(node.get("base")))
        except DraftError:
            return None

    def _value(self, node: etree._Element) -> tuple[str, list[str]]:
        """Return the format of a value and what else holds of it."""
        inner, name = node.find(f"{XSD}simpleType"), node.get("type")
        if inner is None and name is None:
            return _ANY, []
        try:
            text = named(self._schemas, node, str(name), "") if inner is None else simple(self._schemas, inner, "")
        except DraftError:
            return str(name or _ANY).rpartition(":")[2], []
        remarks = [f"всегда {node.get('fixed')}"] if node.get("fixed") else []
        return _kind(text), [*remarks, *_values(text)]


def _kind(text: Text) -> str:
    kind = _SPECIALS.get(text.special) or _KINDS.get(text.kind, text.kind)
    if text.min_length is not None and text.min_length == text.max_length:
        return f"{kind}, {text.max_length} симв."
    return f"{kind}, до {text.max_length} симв." if text.max_length is not None else kind


def _values(text: Text) -> Iterator[str]:
    if text.enumeration:
        values = text.enumeration
        yield "одно из: " + ", ".join(values) if len(values) <= _SHOWN else f"одно из {len(values)} значений"


def _documentation(node: etree._Element) -> str:
    texts = node.iterfind(f"{XSD}annotation/{XSD}documentation")
    return " ".join(" ".join("".join(map(str, text.itertext())).split()) for text in texts)
