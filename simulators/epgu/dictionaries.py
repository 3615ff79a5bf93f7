"""Dictionaries (НСИ): flat and hierarchical, whole or by pages.

Whatever is wrong with a question is said inside HTTP 200. ``fieldErrors`` and its codes are the simulator's own choice:
only code 7 is known.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_NOT_FOUND = 7
_BAD_FIELDS = 1


class Item(BaseModel):
    """One element; ``attributes`` are name and text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: str
    title: str
    parent: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)


class Dictionary(BaseModel):
    """A dictionary: elements, and ``more`` elements that are made up, numbered on from the last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    items: tuple[Item, ...] = ()
    more: int = Field(0, ge=0, le=100_000)

    @model_validator(mode="after")
    def _parents_first(self) -> Self:
        known: set[str | None] = {None}
        for item in self.items:
            if item.parent not in known or item.value in known:
                raise ValueError("an element comes once, and after its parent")
            known.add(item.value)
        return self

    def all(self) -> list[Item]:
        """Return every element, made-up ones last."""
        made = (Item(value=f"{900_000_000 + n:09d}", title=f"ТЕСТОВЫЙ ЭЛЕМЕНТ {n}") for n in range(1, self.more + 1))
        return [*self.items, *made]


class Question(BaseModel):
    """What is asked for; pages are counted from 1."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    treeFiltering: Literal["ONELEVEL", "SUBTREE"]  # noqa: N815  — the wire's name
    parentRefItemValue: str | None = None  # noqa: N815  — same
    pageNum: int | None = Field(None, ge=1)  # noqa: N815  — same
    pageSize: int | None = Field(None, ge=1)  # noqa: N815  — same


class Dictionaries:
    """All dictionaries by code."""

    def __init__(self) -> None:
        """Start with none."""
        self._items: dict[str, list[Item]] = {}

    def put(self, dictionary: Dictionary) -> None:
        """Add or replace."""
        self._items[dictionary.code] = dictionary.all()

    def answer(self, code: str, body: Any) -> dict[str, Any]:
        """Return what is said to the question ``body`` (JSON) about a dictionary."""
        try:
            question = Question.model_validate(body)
        except ValidationError as error:
            faults = [{"field": ".".join(map(str, e["loc"])) or "body", "message": e["msg"]} for e in error.errors()]
            return _said(_BAD_FIELDS, "Incorrect request fields") | {"fieldErrors": faults}
        items = self._items.get(code)
        if items is None:
            return _said(_NOT_FOUND, "Entity not found")
        parent = question.parentRefItemValue
        if parent is not None and all(item.value != parent for item in items):
            return _said(_NOT_FOUND, "Entity not found")
        children: dict[str | None, list[Item]] = {}
        for item in items:
            children.setdefault(item.parent, []).append(item)
        found = children.get(parent, [])
        # One without the other: pages of everything, or the first page.
        size = question.pageSize or len(found) or 1
        start = ((question.pageNum or 1) - 1) * size
        deep = question.treeFiltering == "SUBTREE"
        rows = [_row(item, children, deep=deep) for item in found[start : start + size]]
        return _said(0, "operation completed") | {"total": len(found), "items": rows}


def _said(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}, "fieldErrors": [], "total": 0, "items": []}


def _row(item: Item, children: dict[str | None, list[Item]], *, deep: bool) -> dict[str, Any]:
    below = children.get(item.value, [])
    return {
        "value": item.value,
        "parentValue": item.parent,
        "title": item.title,
        "isLeaf": not below,
        "children": [_row(child, children, deep=deep) for child in below] if deep else [],
        "attributes": [
            {
                "name": name,
                "type": "STRING",
                "value": {"asString": text, "typeOfValue": "STRING", "value": text},
                "valueAsOfType": text,
            }
            for name, text in item.attributes.items()
        ],
        "source": None,
        "attributeValues": dict(item.attributes),
    }
