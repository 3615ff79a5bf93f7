"""What a schema says, in the terms of our models."""

from __future__ import annotations

from dataclasses import dataclass, field


class DraftError(Exception):
    """The schema holds what no model of ours can express; the sentence names the place and the reason."""


@dataclass(frozen=True, slots=True)
class Text:
    """A simple type: ``kind`` is ``str``, ``int`` or ``bool``.

    ``special`` names a builtin whose texts have a form of their own (``date``, ``dateTime``, ``decimal``,
    ``base64Binary``, …). Lengths are in characters, bounds are inclusive. ``patterns`` are alternatives as the schema
    writes them; ``judged`` says that more rules are left to the schema.
    """

    kind: str = "str"
    special: str = ""
    enumeration: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    low: int | None = None
    high: int | None = None
    judged: bool = False


@dataclass(slots=True)
class Member:
    """An element or attribute of a model.

    ``least`` and ``most`` (``None``: without end) count it where it stands, ``needed`` says that it always stands.
    ``fixed`` is its only value, ``empty`` what an empty element means.
    """

    local: str
    namespace: str
    form: Text | Model
    least: int = 1
    most: int | None = 1
    attribute: bool = False
    fixed: str | None = None
    empty: str | None = None
    description: str = ""
    name: str = ""
    needed: bool = True


@dataclass(slots=True)
class Model:
    """A complex type. ``choices`` hold branches; each member of one stands with whether its branch needs it."""

    name: str
    namespace: str
    members: list[Member] = field(default_factory=list)
    choices: list[list[list[tuple[Member, bool]]]] = field(default_factory=list)
    identified: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """A request and its answer, both in ``namespace``.

    ``roots`` are their elements; ``files`` the schema files read, the main one first.
    """

    namespace: str
    request: Model
    answer: Model
    roots: tuple[str, str]
    description: str
    files: tuple[str, ...]
