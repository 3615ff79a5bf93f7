"""The files of a schema: the one named, and what it imports or includes from below its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from lxml import etree

from adapter.drafting.shapes import DraftError
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from pathlib import Path

XSD: Final = "{http://www.w3.org/2001/XMLSchema}"
#: More files than any вид сведений has.
_MOST_FILES: Final = 64


class Schemas:
    """Global components of all files, found by kind and qualified name."""

    def __init__(self, main: Path) -> None:
        """Read ``main`` and everything it needs. Raises DraftError."""
        self.folder = main.resolve().parent
        self.files: dict[Path, etree._Element] = {}
        self._globals: dict[tuple[str, str, str], etree._Element] = {}
        self._targets: dict[etree._Element, str] = {}
        self.root = self._read(main.resolve(), "")

    def _read(self, path: Path, chameleon: str) -> etree._Element:
        if path in self.files:
            return self.files[path]
        if len(self.files) == _MOST_FILES:
            raise DraftError(f"the schema has more than {_MOST_FILES} files")
        try:
            root = parse(path.read_bytes())
        except OSError as error:
            raise DraftError(f"{path.name} cannot be read: {error.strerror}") from None
        except XmlError as error:
            raise DraftError(f"{path.name}: {error.rule}") from None
        if root.tag != f"{XSD}schema":
            raise DraftError(f"{path.name} is no XML schema")
        self.files[path] = root
        target = root.get("targetNamespace") or chameleon
        self._targets[root] = target
        for child in root.iterchildren(etree.Element):
            kind = etree.QName(child).localname
            if kind in {"import", "include"}:
                self._follow(child, path, target if kind == "include" else "")
            elif kind in {"redefine", "override"}:
                raise DraftError(f"{path.name}: xs:{kind} is not drafted")
            elif child.get("name"):
                self._globals.setdefault((kind, target, str(child.get("name"))), child)
        return root

    def _follow(self, link: etree._Element, path: Path, chameleon: str) -> None:
        location = link.get("schemaLocation")
        if location is None:
            return
        where = urlsplit(location)
        file = (path.parent / unquote(where.path)).resolve()
        if where.scheme or where.netloc or not file.is_relative_to(self.folder):
            raise DraftError(f"{path.name} refers to {location}, which is not below its folder")
        self._read(file, chameleon)

    def target(self, node: etree._Element) -> str:
        """Return the target namespace of the file that holds ``node``."""
        root = node.getroottree().getroot()
        return self._targets[root]

    def find(self, kind: str, node: etree._Element, name: str) -> etree._Element:
        """Return the global ``kind`` that ``name``, a QName as it stands at ``node``, means. Raises DraftError."""
        uri, local = self.resolve(node, name)
        found = self._globals.get((kind, uri, local))
        if found is None:
            raise DraftError(f"xs:{kind} {name} is not defined in the files of the schema")
        return found

    def resolve(self, node: etree._Element, name: str) -> tuple[str, str]:
        """Return namespace and local name of a QName at ``node``."""
        prefix, _, local = name.rpartition(":")
        uri = node.nsmap.get(prefix or None)
        if prefix and uri is None:
            raise DraftError(f"the prefix of {name} is not declared")
        return uri or self.target(node), local

    def elements(self) -> dict[str, etree._Element]:
        """Return the global elements of the main namespace by name."""
        target = self._targets[self.root]
        return {name: node for (kind, uri, name), node in self._globals.items() if kind == "element" and uri == target}
