"""XSD validation: our own schemas, compiled once; faults as a path and a rule, never the document's values."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from lxml import etree

from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A document that is wrong all over is described well enough by so many faults.
_MOST: Final = 100
_NAMESPACE: Final = re.compile(r"\{[^'}]*\}")

# libxml2's errors by the end of their type name, each with what may be taken from its sentence: names and limits of
# the schema. The sentences quote values too, so every expression is greedy up to the last place that is not a value.
_RULES: Final[Mapping[str, tuple[re.Pattern[str] | None, str]]] = {
    "CVC_LENGTH_VALID": (re.compile(r".*length of '(\d+)'\.$", re.DOTALL), "has to be exactly {} characters long"),
    "CVC_MINLENGTH_VALID": (re.compile(r".*length of '(\d+)'\.$", re.DOTALL), "has to be at least {} characters long"),
    "CVC_MAXLENGTH_VALID": (re.compile(r".*length of '(\d+)'\.$", re.DOTALL), "has to be at most {} characters long"),
    "CVC_PATTERN_VALID": (re.compile(r".* by the pattern '(.*)'\.$", re.DOTALL), "has to match the pattern {}"),
    "CVC_ENUMERATION_VALID": (re.compile(r".* element of the set \{(.*)\}\.$", re.DOTALL), "has to be one of {}"),
    "CVC_MININCLUSIVE_VALID": (re.compile(r".*\('([^']*)'\)\.$", re.DOTALL), "has to be {} or more"),
    "CVC_MAXINCLUSIVE_VALID": (re.compile(r".*\('([^']*)'\)\.$", re.DOTALL), "has to be {} or less"),
    "CVC_MINEXCLUSIVE_VALID": (re.compile(r".* '([^']*)'\.$", re.DOTALL), "has to be more than {}"),
    "CVC_MAXEXCLUSIVE_VALID": (re.compile(r".* '([^']*)'\.$", re.DOTALL), "has to be less than {}"),
    "CVC_TOTALDIGITS_VALID": (re.compile(r".*\('([^']*)'\)\.$", re.DOTALL), "has to have at most {} digits"),
    "CVC_FRACTIONDIGITS_VALID": (
        re.compile(r".*\('([^']*)'\)\.$", re.DOTALL),
        "has to have at most {} fractional digits",
    ),
    "CVC_DATATYPE_VALID_1_2_1": (re.compile(r".* type '([^']*)'\.$", re.DOTALL), "is not a valid {}"),
    "CVC_DATATYPE_VALID_1_2_2": (re.compile(r".* type '([^']*)'\.$", re.DOTALL), "is not a valid {}"),
    "CVC_DATATYPE_VALID_1_2_3": (re.compile(r".* type '([^']*)'\.$", re.DOTALL), "is not a valid {}"),
    "CVC_COMPLEX_TYPE_4": (
        re.compile(r".*The attribute '([^']*)' is required but missing\.$"),
        "needs the attribute {}",
    ),
    "CVC_COMPLEX_TYPE_3_2_1": (None, "has an attribute that is not allowed"),
    "CVC_COMPLEX_TYPE_3_2_2": (None, "has an attribute that is not allowed"),
    "CVC_COMPLEX_TYPE_2_1": (None, "has to be empty"),
    "CVC_COMPLEX_TYPE_2_2": (None, "may not hold elements"),
    "CVC_COMPLEX_TYPE_2_3": (None, "may not hold text"),
    "CVC_TYPE_3_1_1": (None, "has an attribute that is not allowed"),
    "CVC_TYPE_3_1_2": (None, "may not hold elements"),
    "CVC_ELT_1": (None, "is not a root element of this schema"),
    "CVC_ELT_3_1": (None, "may not be nil"),
    "CVC_ELT_3_2_1": (None, "is nil and not empty"),
    "CVC_ELT_5_2_2_2_1": (re.compile(r".* fixed value constraint '(.*)'\.$", re.DOTALL), "has to be {}"),
    "CVC_ELT_5_2_2_2_2": (re.compile(r".* fixed value constraint '(.*)'\.$", re.DOTALL), "has to be {}"),
    "CVC_IDC": (re.compile(r".* identity-constraint '([^']*)'\.$", re.DOTALL), "repeats or lacks a key of {}"),
}
_MISSING: Final = re.compile(r".*Missing child element\(s\)\. Expected is (?:one of )?\( (.*) \)\.$")
_EXPECTED: Final = re.compile(r".*This element is not expected\. Expected is (?:one of )?\( (.*) \)\.$")
_ATTRIBUTE: Final = re.compile(r"Element '[^']*', attribute '([^']*)': ")


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One broken rule.

    ``path`` is made of local names, with an index where siblings share one, and ends in ``@name`` for an attribute:
    ``ImportDebtRequestsRequest/action[2]/transport-id``. ``rule`` is an English sentence about it, made of the
    schema's names and limits only.
    """

    path: str
    rule: str


class Schema:
    """A compiled schema; may be used from any thread."""

    def __init__(self, compiled: etree.XMLSchema) -> None:
        """Use :meth:`load`."""
        self._compiled = compiled
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path) -> Schema:
        """Compile the schema file ``path``, once per process.

        What it imports or includes is read only from its own folder and below, never from a network. Raises XmlError
        for anything else and for a schema that does not compile.
        """
        return _load(path.resolve())

    def check(self, element: etree._Element) -> list[SchemaFault]:
        """Return what the schema refuses, in document order, at most 100 faults; empty when ``element`` is valid."""
        with self._lock:  # the log is the compiled schema's, not the call's
            if self._compiled.validate(element):
                return []
            log: Any = self._compiled.error_log
            entries = list(log)
        faults: dict[SchemaFault, None] = {}
        for fault in _faults(element, entries):
            faults[fault] = None
            if len(faults) == _MOST:
                break
        return list(faults)


class _OwnFiles(etree.Resolver):
    """Reads schemas of one folder, refuses everything else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        """Return the file's content, as lxml asks for it. Raises XmlError."""
        location = urlsplit(system_url)
        path = Path(unquote(location.path)).resolve()
        if location.scheme not in ("", "file") or location.netloc or not path.is_relative_to(self._folder):
            raise XmlError("the schema imports what lies outside its folder")
        del public_id
        return self.resolve_filename(str(path), context)  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _load(path: Path) -> Schema:
    parser = etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False)
    parser.resolvers.add(_OwnFiles(path.parent))
    try:
        return Schema(etree.XMLSchema(etree.parse(str(path), parser)))
    except (etree.XMLSchemaParseError, etree.XMLSyntaxError, OSError) as error:
        raise XmlError(f"the schema {path.name} does not compile: {error}") from None


def _faults(root: etree._Element, entries: Iterable[Any]) -> Iterable[SchemaFault]:
    for entry in entries:
        message = _NAMESPACE.sub("", entry.message)
        rule = _rule(entry.type_name.removeprefix("SCHEMAV_"), message)
        if rule is None:
            continue
        attribute = _ATTRIBUTE.match(message)
        about = f"/@{attribute[1]}" if attribute and "an attribute" not in rule else ""
        yield SchemaFault(_path(root, entry.path) + about, rule)


def _rule(kind: str, message: str) -> str | None:
    """Say the rule in our words; ``None`` for what only repeats another fault."""
    if kind == "ELEMENT_CONTENT":
        for expected, sentence in ((_MISSING, "lacks {}"), (_EXPECTED, "is not expected here, but {} is")):
            if found := expected.match(message):
                return sentence.format(" or ".join(found[1].split(", ")))
        return "is not expected here"
    if "No precomputed value available" in message:
        return None
    pattern, sentence = _RULES.get(kind, (None, "breaks the schema"))
    if pattern is None:
        return sentence
    found = pattern.match(message)
    return sentence.format(found[1]) if found else "breaks the schema"


def _path(root: etree._Element, position: str | None) -> str:
    """Turn libxml2's path into local names.

    Its steps are ``name``, ``prefix:name`` or, in a default namespace, ``*``; an index counts the siblings that the
    step fits. The first step is the root validated.
    """
    node, names = root, [etree.QName(root).localname]
    for step in (position or "").split("/")[2:]:
        name, _, index = step.rstrip("]").partition("[")
        fitting = [child for child in node.iterchildren(etree.Element) if name in ("*", _prefixed(child))]
        number = int(index or 1) - 1
        if number >= len(fitting):
            break
        node = fitting[number]
        names.append(_step(node))
    return "/".join(names)


def _prefixed(element: etree._Element) -> str:
    name = etree.QName(element).localname
    return f"{element.prefix}:{name}" if element.prefix else name


def _step(element: etree._Element) -> str:
    name = etree.QName(element).localname
    parent = element.getparent()
    alike = [] if parent is None else [child for child in parent if child.tag == element.tag]
    return f"{name}[{alike.index(element) + 1}]" if len(alike) > 1 else name
