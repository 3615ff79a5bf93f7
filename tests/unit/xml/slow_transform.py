"""The SMEV transform written for reading and not for speed: a walk over the tree, character by character.

The tests hold the product's transform to it on random documents; the pairs in test_transform.py hold both to the facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterator

XML = "http://www.w3.org/XML/1998/namespace"


class RefusedError(Exception):
    """The official class refuses the document."""


class SlowTransform:
    """One run over one element."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, element: etree._Element) -> str:
        return "".join(self._element(element, {}))

    def _element(self, element: etree._Element, outer: dict[str, str]) -> Iterator[str]:
        name = etree.QName(element)
        if not name.namespace or name.namespace == XML:
            raise RefusedError
        known = dict(outer)
        declared: list[str] = []

        def prefix(uri: str) -> str:
            if uri == XML:
                raise RefusedError
            if uri not in known:
                self.count += 1
                known[uri] = f"ns{self.count}"
                declared.append(f' xmlns:ns{self.count}="{attribute(uri)}"')
            return known[uri]

        tag = f"{prefix(name.namespace)}:{name.localname}"
        attributes = [(etree.QName(key), value) for key, value in element.attrib.items()]
        qualified = sorted((key.namespace, key.localname, value) for key, value in attributes if key.namespace)
        plain = sorted((key.localname, value) for key, value in attributes if not key.namespace)
        written = [f' {prefix(uri)}:{local}="{attribute(value)}"' for uri, local, value in qualified]
        written += [f' {local}="{attribute(value)}"' for local, value in plain]
        yield f"<{tag}{''.join(declared)}{''.join(written)}>"
        yield from self._content(element, known)
        yield f"</{tag}>"

    def _content(self, element: etree._Element, known: dict[str, str]) -> Iterator[str]:
        collected = element.text or ""
        for child in element:
            if not isinstance(child, etree._Comment):  # exc-c14n takes comments out, so texts around one are one
                yield text(collected)
                collected = ""
            if isinstance(child.tag, str):
                yield from self._element(child, known)
            collected += child.tail or ""
        yield text(collected)


def attribute(value: str) -> str:
    named = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xa;", "\r": "&#xd;"}
    return "".join(named.get(character, character) for character in value)


def text(value: str) -> str:
    if all(character <= " " for character in value):
        return ""
    units = value.encode("utf-16-le")
    return _whole(value) if len(units) // 2 < 12 else _blocks(value)


def _whole(value: str) -> str:
    return "".join(
        "&gt;" if character == ">" and (at == 0 or value[at - 1] == "]") else _escaped(character) or character
        for at, character in enumerate(value)
    )


def _blocks(value: str) -> str:
    output, units, before_escaped = [], 0, False
    for at, character in enumerate(value):
        escaped = _escaped(character)
        if character == ">" and (units % 512 == 0 or before_escaped or value[at - 1] == "]"):
            escaped = "&gt;"
        output.append(escaped or character)
        before_escaped = bool(escaped)
        units += len(character.encode("utf-16-le")) // 2
    return "".join(output)


def _escaped(character: str) -> str:
    if "\x7f" <= character <= "\x9f":
        return f"&#x{ord(character):x};"
    return {"&": "&amp;", "<": "&lt;", "\r": "&#xd;"}.get(character, "")
