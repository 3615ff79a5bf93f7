"""Which information types (виды сведений) are registered, who provides them and by which schema they are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from lxml import etree

from adapter.paths import SCHEMAS
from adapter.xml.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from simulators.smev3.queues import Party

#: A namespace ends with its version; a selector that names one version selects them all.
_VERSION = re.compile(r"[/:]\d+(\.\d+)*/?$")
_TARGET = re.compile(rb'targetNamespace\s*=\s*["\']([^"\']*)["\']')

#: The whole message as its service's JSON, or the answer to it: what a provider works on.
Document = dict[str, Any]


class Provider(Protocol):
    """An information system behind СМЭВ3 that answers requests of one type."""

    def read(self, root: etree._Element) -> Document:
        """Return the schema-valid business content as JSON."""
        ...

    def handle(self, message: Document, now: datetime, *, test: bool) -> Document:
        """Do what ``message`` asks and return the answer as JSON; a ``test`` message changes nothing."""
        ...

    def write(self, answer: Document) -> bytes:
        """Return the answer's business root as XML bytes."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...


@dataclass(frozen=True, slots=True)
class InformationType:
    """One registered type: a request root, a response root, who answers.

    ``provider`` is one of the simulator's own; without it requests go to the queue of the system ``identity``.
    A type whose ``response_root`` is empty takes any root for an answer. Nobody answers a ``broadcast``.
    """

    namespace: str
    request_root: str
    response_root: str
    party: Party
    provider: Provider | None = None
    identity: str = ""
    broadcast: bool = False

    def selected_by(self, namespace: str, local_name: str) -> bool:
        """Tell whether a selector means this type: request or response root, whatever the version."""
        return local_name in {self.request_root, self.response_root} and family(namespace) == family(self.namespace)

    def answered_by(self, root: str) -> bool:
        """Tell whether ``{namespace}local`` is the root of an answer."""
        return not self.response_root or root == f"{{{self.namespace}}}{self.response_root}"


class Registry:
    """All registered types; a schema is read when the first message of its namespace comes."""

    def __init__(self, types: Sequence[InformationType], folder: Path = SCHEMAS) -> None:
        """``folder`` holds the schemas of information types as <name>/<version>/*.xsd."""
        self._folder = folder
        self._born = tuple(types)
        self._by_root: dict[str, InformationType] = {}
        self._schemas: dict[str, Schema] = {}
        self.reset()

    @property
    def types(self) -> tuple[InformationType, ...]:
        """Every registered type."""
        return tuple(self._by_root.values())

    def reset(self) -> None:
        """Forget the types that were added."""
        self._by_root = {f"{{{entry.namespace}}}{entry.request_root}": entry for entry in self._born}

    def add(self, entry: InformationType) -> None:
        """Register ``entry``, in place of one with the same request root."""
        self._by_root[f"{{{entry.namespace}}}{entry.request_root}"] = entry

    def find(self, root: str) -> InformationType | None:
        """Return the type whose request root is ``{namespace}local``, ``None`` when nobody registered it."""
        return self._by_root.get(root)

    def knows(self, root: str) -> bool:
        """Tell whether ``{namespace}local`` is the root of any request or answer."""
        return root in self._by_root or any(entry.answered_by(root) for entry in self.types)

    def selects(self, namespace: str, local_name: str, *, of: str = "") -> bool:
        """Tell whether a selector names a registered type; ``of`` means one whose requests that system takes."""
        return any(
            entry.selected_by(namespace, local_name) and (not of or entry.identity == of) for entry in self.types
        )

    def check(self, root: etree._Element) -> str:
        """Return the first rule that ``root`` breaks in its registered schema, "" when there is none of either."""
        namespace = etree.QName(root).namespace or ""
        if namespace not in self._schemas and namespace not in _schema_files(self._folder):
            return ""
        faults = self.schema(namespace).check(root)
        return f"{faults[0].path}: {faults[0].rule}" if faults else ""

    def schema(self, namespace: str) -> Schema:
        """Return the registered schema of ``namespace``. Raises LookupError when no file targets it."""
        if namespace not in self._schemas:
            self._schemas[namespace] = Schema.load(_schema_files(self._folder)[namespace])
        return self._schemas[namespace]


@cache
def _schema_files(folder: Path) -> Mapping[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.xsd")):
        found = _TARGET.search(path.read_bytes())
        if found and "smev3" not in path.relative_to(folder).parts:
            files.setdefault(found[1].decode(), path)
    return files


def family(namespace: str) -> str:
    """Return ``namespace`` without the version at its end."""
    return _VERSION.sub("", namespace)
