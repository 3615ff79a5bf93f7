"""Fragments: elements beside each other, to be laid into a message as they are."""

from __future__ import annotations

from lxml import etree

from adapter.xml.parser import XmlError, parse


def is_of_elements(fragment: bytes) -> bool:
    """Tell whether ``fragment`` holds nothing but elements, each in a namespace that it declares itself."""
    try:
        root = parse(b"<x>%b</x>" % fragment)
    except XmlError:
        return False
    texts = [root.text, *(child.tail for child in root)]
    return not any(text and text.strip() for text in texts) and all(
        isinstance(child.tag, str) and etree.QName(child).namespace for child in root
    )
