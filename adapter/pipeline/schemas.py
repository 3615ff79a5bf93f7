"""XSD checks by the schema's path below schemas/; compiled once, kept for the worker's life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.errors import FieldFault, InvalidCommandError
from adapter.paths import SCHEMAS
from adapter.xml.parser import parse
from adapter.xml.schema import Schema, SchemaFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Schemas:
    """The schemas of the served виды сведений."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Compile all of ``paths`` now: a broken schema stops the start, not a command."""
        self._schemas = {path: Schema.load(SCHEMAS / path) for path in paths}

    def check(self, path: str, content: bytes) -> Sequence[SchemaFault]:
        """Return what the schema refuses, empty when valid. Raises XmlError for what is no XML at all."""
        return self._schemas[path].check(parse(content))

    def demand(self, path: str | None, content: bytes) -> None:
        """Refuse content that its schema would refuse: no call is made for it. Raises InvalidCommandError."""
        faults = self.check(path, content) if path else ()
        if faults:
            raise InvalidCommandError([FieldFault(fault.path, fault.rule) for fault in faults])
