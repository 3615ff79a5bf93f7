"""Simple types of a schema as :class:`~adapter.drafting.shapes.Text`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from adapter.drafting.schemas import XSD
from adapter.drafting.shapes import DraftError, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.drafting.schemas import Schemas

_URI: Final = XSD[1:-1]
_BOUNDS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "integer": (None, None),
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "long": (-(2**63), 2**63 - 1),
    "int": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-128, 127),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 255),
}
_STRINGS: Final = frozenset({"string", "normalizedString", "anySimpleType"})
_REFUSED: Final = frozenset({"anyType", "QName", "NOTATION", "ENTITY", "ENTITIES"})


def builtin(name: str, place: str) -> Text:
    """Return a type of XML Schema itself. Raises DraftError for those whose texts mean something elsewhere."""
    if name in _REFUSED:
        raise DraftError(f"{place}: xs:{name} is not drafted")
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        return Text("int", low=low, high=high)
    if name == "boolean":
        return Text("bool")
    return Text() if name in _STRINGS else Text(special=name, judged=True)


def named(schemas: Schemas, node: etree._Element, name: str, place: str) -> Text:
    """Return the simple type ``name`` as it is referred to at ``node``."""
    uri, local = schemas.resolve(node, name)
    if uri == _URI:
        return builtin(local, place)
    return simple(schemas, schemas.find("simpleType", node, name), place)


def simple(schemas: Schemas, node: etree._Element, place: str, depth: int = 0) -> Text:
    """Return what a ``simpleType`` element says; a union or a list is a text that the schema judges."""
    if depth > 32:
        raise DraftError(f"{place}: its simple type refers to itself")
    restriction = node.find(f"{XSD}restriction")
    if restriction is None:
        return Text(judged=True)
    base = restriction.get("base")
    if base is None:
        inner = restriction.find(f"{XSD}simpleType")
        text = Text(judged=True) if inner is None else simple(schemas, inner, place, depth + 1)
    else:
        uri, local = schemas.resolve(restriction, base)
        found = None if uri == _URI else schemas.find("simpleType", restriction, base)
        text = builtin(local, place) if found is None else simple(schemas, found, place, depth + 1)
    return _restricted(text, restriction)


def _restricted(text: Text, restriction: etree._Element) -> Text:
    values: dict[str, list[str]] = {}
    for child in restriction.iterchildren(etree.Element):
        if child.get("value") is not None:
            values.setdefault(etree.QName(child).localname, []).append(str(child.get("value")))
    changes: dict[str, Any] = {}
    for facet, fields in (
        ("length", ("min_length", "max_length")),
        ("minLength", ("min_length",)),
        ("maxLength", ("max_length",)),
    ):
        if facet in values and text.kind == "str" and not text.special:
            changes |= dict.fromkeys(fields, int(values[facet][0]))
    if text.kind == "int":
        changes |= _bounds(values)
    if "enumeration" in values:
        changes["enumeration"] = tuple(dict.fromkeys(values["enumeration"]))
    if "pattern" in values:
        # Patterns of one step are alternatives; those of a base type hold too, and are the schema's to judge.
        changes |= {"patterns": tuple(values["pattern"]), "judged": text.judged or bool(text.patterns)}
    return replace(text, **changes)


def _bounds(values: Mapping[str, list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for facet, name, step in (
        ("minInclusive", "low", 0),
        ("minExclusive", "low", 1),
        ("maxInclusive", "high", 0),
        ("maxExclusive", "high", -1),
    ):
        if facet in values:
            found[name] = int(values[facet][0]) + step
    return found
