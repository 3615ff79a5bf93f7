"""Models straight to bytes: what ``serialize(dump(…))`` gives, without a tree where no text needs an escape."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from adapter.xml.mapping import Leaf, dump, plan_of
from adapter.xml.parser import serialize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml import etree

    from adapter.xml.mapping import Plan, XmlModel

#: Texts that stand in XML, as an element's or an attribute's, as they are. All others are lxml's to write or to refuse.
_PLAIN: Final = re.compile('[^\x00-\x1f\x7f-\x9f&<>"\ud800-\udfff\ufffe\uffff]*')


class _NotPlainError(Exception):
    """A text has to be escaped, or cannot stand in XML; or a namespace has no prefix of its own."""


def write(model: XmlModel, root: etree.QName, *, identifier: str | None = None) -> bytes:
    """Return ``model`` as a standalone element named ``root``; ``identifier`` becomes its ``Id`` attribute.

    Raises like :func:`adapter.xml.mapping.dump`.
    """
    plan = plan_of(type(model))
    names, declarations = _names(type(model))
    if plan.identified or identifier is None:
        try:
            given = "" if identifier is None else f' Id="{_plain(identifier)}"'
            parts: list[str] = []
            _write(parts, model, names[root.text], names, plan=plan, given=f"{declarations}{given}")
            return "".join(parts).encode()
        except _NotPlainError:
            pass
    return serialize(dump(model, root, identifier=identifier))


def _write(  # noqa: PLR0913  — one level of a walk
    parts: list[str], model: XmlModel, name: str, names: _Names, *, plan: Plan, given: str = ""
) -> None:
    """Add an element; ``given`` are declarations and attributes that the model does not know of."""
    values = model.__dict__
    for step in plan.attributes:
        value = values[step.field]
        if value is not None and isinstance(step.form, Leaf):
            given += f' {step.tag}="{_plain(step.form.encode(value))}"'
    parts.append(f"<{name}{given}>")
    inside = len(parts)
    for step in plan.elements:
        value = values[step.field]
        if value is None:
            continue
        child, form = names[step.tag], step.form
        for item in value if step.many else (value,):
            if isinstance(form, Leaf):
                parts.append(f"<{child}>{_plain(form.encode(item))}</{child}>")
            else:
                _write(parts, item, child, names, plan=plan_of(form))
    if len(parts) == inside:
        parts[-1] = f"<{name}{given}/>"
    else:
        parts.append(f"</{name}>")


def _plain(text: str) -> str:
    if _PLAIN.fullmatch(text) is None:
        raise _NotPlainError
    return text


@cache
def _names(model_type: type[XmlModel]) -> tuple[_Names, str]:
    """Return how each tag of a model, and any root in its namespaces, is written, and the declarations of the root."""
    nsmap = plan_of(model_type).nsmap
    prefixes = {uri: prefix for prefix, uri in nsmap.items()}
    if len(prefixes) != len(nsmap):
        return _Names({}), ""
    return _Names(prefixes), "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in nsmap.items())


class _Names(dict[str, str]):
    """Tags as they are written, found as they are asked for."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        super().__init__()
        self._prefixes = prefixes

    def __missing__(self, tag: str) -> str:
        uri, _, local = tag[1:].partition("}")
        prefix = self._prefixes.get(uri)
        if prefix is None:
            raise _NotPlainError
        self[tag] = f"{prefix}:{local}"
        return self[tag]
