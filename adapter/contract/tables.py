"""JSON Schemas as the tables of a page: one for each structure, in Russian, with values of the examples."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Schema = dict[str, Any]

_REFERENCE: Final = "#/$defs/"
_LONGEST: Final = 60
_PATTERNS: Final[Mapping[str, str]] = {
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$": "UUID",
    "^[0-9]{11}$": "11 цифр",
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$": "дата ГГГГ-ММ-ДД",
    "^[0-9a-f]{64}$": "64 шестнадцатеричные цифры",
}
_FORMATS: Final = {"date-time": "дата и время", "uuid": "UUID"}
#: Large enough to be no bound that a person would hit.
_WORD: Final = 2**31


@dataclass(slots=True)
class Structure:
    """One table: the object's schema, and its values in the examples."""

    name: str
    schema: Mapping[str, Any]
    values: list[Any] = field(default_factory=list)


def structures(schema: Mapping[str, Any], examples: Iterable[Any], name: str) -> list[Structure]:
    """Return the structure of ``schema`` and of everything below it, each once, in the order in which they are met."""
    found: dict[str, Structure] = {}
    _visit(Structure(name, schema), list(examples), schema.get("$defs", {}), found)
    return list(found.values())


def _visit(
    structure: Structure, values: Sequence[Any], definitions: Mapping[str, Any], found: dict[str, Structure]
) -> None:
    met = structure.name in found
    structure = found.setdefault(structure.name, structure)
    structure.values += [value for value in values if isinstance(value, dict)]
    if met and not values:
        return
    for name, part in structure.schema.get("properties", {}).items():
        below = [value[name] for value in values if isinstance(value, dict) and name in value]
        for inner, many in _objects(name, part, definitions):
            items = [item for value in below if isinstance(value, list) for item in value] if many else below
            if inner.name not in found or items:
                _visit(inner, items, definitions, found)


def _objects(name: str, part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[Structure, bool]]:
    """Yield the objects that a field holds, and whether in a list."""
    for branch in branches(part):
        item, many = (branch.get("items", {}), True) if branch.get("type") == "array" else (branch, False)
        for kind in branches(item):
            reference = str(kind.get("$ref", "")).removeprefix(_REFERENCE)
            if reference in definitions and definitions[reference].get("properties"):
                yield Structure(reference, definitions[reference]), many
            elif kind.get("properties"):
                yield Structure(named(name), kind), many


def named(name: str) -> str:
    """Return what the structure of a field without a name of its own is called."""
    return "".join(word.capitalize() for word in re.split(r"[_.-]", name))


def branches(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a field may be, without null."""
    kinds = part.get("anyOf") or part.get("oneOf") or [part]
    known = [kind for kind in kinds if kind.get("type") != "null" and "required" not in set(kind) - {"type"}]
    return known or [part]


def table(structure: Structure, *, only: Iterable[str] | None = None, marks: Mapping[str, str] | None = None) -> str:
    """Return the table of a structure; ``marks`` stand in the column of what is required."""
    properties = structure.schema.get("properties", {})
    required = set(structure.schema.get("required", ()))
    lines = ["| Параметр | Описание | Обязательное | Пример |", "|---|---|---|---|"]
    for name, part in properties.items():
        if only is not None and name not in only:
            continue
        mark = (marks or {}).get(name, "+" if name in required else "-")
        said = "; ".join(filter(None, (part.get("description", ""), kind_of(name, part))))
        lines.append(f"| {name} | {cell(said)} | {mark} | {_example(name, part, structure.values)} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "Параметров нет.\n"


def kind_of(name: str, part: Mapping[str, Any]) -> str:
    """Say in Russian what a field holds."""
    return " или ".join(dict.fromkeys(filter(None, (_kind(name, kind) for kind in branches(part)))))


def _kind(name: str, part: Mapping[str, Any]) -> str:
    if "$ref" in part:
        return f"элемент {part['$ref'].removeprefix(_REFERENCE)}"
    if "enum" in part or "const" in part:
        words = [_scalar(word) for word in part.get("enum", (part.get("const"),))]
        return ("одно из: " if len(words) > 1 else "") + ", ".join(words)
    kinds = part.get("type")
    kind = next((one for one in kinds if one != "null"), "") if isinstance(kinds, list) else kinds
    return _typed(name, kind or "", part)


def _typed(name: str, kind: str, part: Mapping[str, Any]) -> str:
    if kind == "array":
        inner = kind_of(name, part.get("items", {}))
        return f"список{_span(part, 'minItems', 'maxItems')}" + (f": {inner}" if inner else "")
    if kind == "object":
        return f"элемент {named(name)}" if part.get("properties") else "объект"
    if kind == "string":
        return _text(part)
    return {"integer": f"целое число{_bounds(part)}", "number": "число", "boolean": "true или false"}.get(
        kind or "", ""
    )


def _text(part: Mapping[str, Any]) -> str:
    pattern = part.get("pattern", "")
    if pattern in _PATTERNS:
        return _PATTERNS[pattern]
    if part.get("format") in _FORMATS:
        return _FORMATS[part["format"]]
    if part.get("contentEncoding") == "base64":
        return "base64"
    span = _span(part, "minLength", "maxLength")
    length = f"строка{span} символов" if span else "строка"
    return length + (f" по образцу `{pattern}`" if pattern and len(pattern) <= _LONGEST else "")


def _span(part: Mapping[str, Any], low: str, high: str) -> str:
    least, most = part.get(low), part.get(high)
    if least and most:
        return f" от {least} до {most}" if least != most else f" из {most}"
    return f" от {least}" if least and least > 1 else f" до {most}" if most else ""


def _bounds(part: Mapping[str, Any]) -> str:
    least = part.get("minimum", part.get("exclusiveMinimum"))
    most = part.get("maximum", part.get("exclusiveMaximum"))
    if least is None or most is None or abs(most) >= _WORD - 1:
        return ""
    return f" от {least} до {most}"


def _example(name: str, part: Mapping[str, Any], values: Sequence[Any]) -> str:
    shown = next((value[name] for value in values if value.get(name) not in (None, [], {})), None)
    kinds = branches(part)
    inner = next((kind for kind in kinds if kind.get("type") == "array" and "items" in kind), None)
    if isinstance(shown, dict) or (shown is None and any("$ref" in kind for kind in kinds)):
        names = kind_of(name, part).removeprefix("элемент ")
        return "объект" if names == "объект" else f"Составной элемент {names}"
    if isinstance(shown, list) or (shown is None and inner is not None):
        names = kind_of(name, inner.get("items", {}) if inner else {})
        scalar = isinstance(shown, list) and not isinstance(shown[0], dict | list)
        if scalar:
            return cell(", ".join(map(_scalar, shown or ())))
        return f"Последовательность элементов {names.removeprefix('элемент ')}" if "элемент" in names else ""
    return "" if shown is None else cell(_scalar(shown))


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def cell(text: str) -> str:
    """Return a text as one cell of a table, cut where it is long."""
    flat = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return flat if len(flat) <= 600 else f"{flat[:599]}…"
