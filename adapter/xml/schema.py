"""XSD validation: our own schemas compiled once; faults as a path and a rule, never the document's values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from lxml import etree

if TYPE_CHECKING:
    from pathlib import Path

_MOST: Final = 100
_QNAME: Final = re.compile(r"\{[^}]*\}")
#: libxml2's sentences, by what they are about; the values they quote are left out.
_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"Missing child element\(s\)\. Expected is (?:one of )?\( ?(.+?) ?\)"), r"lacks a child: expected \1"),
    (
        re.compile(r"This element is not expected\. Expected is (?:one of )?\( ?(.+?) ?\)"),
        r"is not expected here: expected \1",
    ),
    (re.compile(r"This element is not expected"), "is not expected here"),
    (re.compile(r"\[facet '(\w+)'\]"), r"breaks the \1 facet of its type"),
    (re.compile(r"is not a valid value of the (?:atomic|local atomic|list|union) type(?: '([^']+)')?"), r"is no \1"),
    (re.compile(r"Duplicate key-sequence .* in (?:key|unique) identity-constraint '([^']+)'"), r"repeats a key of \1"),
    (re.compile(r"attribute '([^']+)'.*is not allowed"), r"may not have the attribute \1"),
    (re.compile(r"attribute '([^']+)' is required"), r"lacks the attribute \1"),
    (re.compile(r"No matching global (?:element )?declaration"), "is not a root of this schema"),
    (re.compile(r"Character content .* is not allowed"), "may not hold text"),
    (re.compile(r"element is not nillable|is 'nilled'"), "may not be nil"),
)


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One broken rule: ``path`` in local names (``Request/action[2]/transport-id``), ``rule`` in English."""

    path: str
    rule: str


class Schema:
    """A compiled schema."""

    def __init__(self, compiled: etree.XMLSchema) -> None:
        """Use :meth:`load`."""
        self._compiled = compiled

    @classmethod
    def load(cls, path: Path) -> Schema:
        """Compile the schema of ``path`` once. Raises lxml's XMLSchemaParseError for a broken schema."""
        return _load(path.resolve())

    def check(self, element: etree._Element) -> list[SchemaFault]:
        """Return what the schema refuses, in document order; empty when ``element`` is valid."""
        if self._compiled.validate(element):
            return []
        faults = dict.fromkeys(
            SchemaFault(_path(element, entry.path), _rule(entry.message))
            for entry in self._compiled.error_log  # type: ignore[attr-defined]  # iterable at run time
        )
        return list(faults)[:_MOST]


@lru_cache(maxsize=64)
def _load(path: Path) -> Schema:
    parser = etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False)
    # Imports are relative names of our own files beside it; the network is closed to them.
    return Schema(etree.XMLSchema(etree.parse(str(path), parser)))


def _rule(message: str) -> str:
    text = _QNAME.sub("", message)
    for pattern, rule in _RULES:
        found = pattern.search(text)
        if found is not None:
            return found.expand(rule).strip()
    return "breaks the schema"


def _path(root: etree._Element, position: str | None) -> str:
    """Turn libxml2's path into local names; its nameless steps (``*[2]``) count every sibling."""
    ancestors = sum(1 for _ in root.iterancestors())
    steps, node = [etree.QName(root).localname], root
    for step in (position or "").split("/")[ancestors + 2 :]:
        name, _, index = step.rstrip("]").partition("[")
        kin = [child for child in node if isinstance(child.tag, str) and name in ("*", _qualified(child))]
        number = int(index or 1) - 1
        if number >= len(kin):
            break
        node = kin[number]
        steps.append(_step(node))
    return "/".join(steps)


def _qualified(node: etree._Element) -> str:
    name = etree.QName(node).localname
    return f"{node.prefix}:{name}" if node.prefix else name


def _step(node: etree._Element) -> str:
    parent = node.getparent()
    alike = [] if parent is None else [child for child in parent if child.tag == node.tag]
    name = etree.QName(node).localname
    return f"{name}[{alike.index(node) + 1}]" if len(alike) > 1 else name
