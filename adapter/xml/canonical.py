"""Canonical XML by libxml2, also where a namespace's name is an IRI.

Several виды сведений name their namespaces in Russian (``http://пф.рф/…`` of the pension fund). XML allows it, but
libxml2 canonicalises no name that is not a URI by RFC 3986. Canonical XML never looks into a name, so for libxml2
such names are written in ASCII, and put back in what it returns.
"""

from __future__ import annotations

import re

from lxml import etree

#: An absolute name without the characters that XML escapes or libxml2 refuses for other reasons.
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f\"&'<>\\^`{|}]*")
#: A declaration, or text that looks like one: a quotation mark in an attribute is always escaped.
_DECLARATION = re.compile(rb'( xmlns(?::[^ ="<>]+)?=)"([^"<>]*)"')


def canonical_xml(
    element: etree._Element, *, exclusive: bool, comments: bool = False, inclusive: list[str] | None = None
) -> bytes:
    """Return canonical XML of ``element`` in its document; ``inclusive`` is the PrefixList of exclusive C14N.

    Raises etree.C14NError where canonical XML is not defined (a relative namespace name) or libxml2 cannot do it.
    """
    try:
        return _by_libxml2(element, exclusive=exclusive, comments=comments, inclusive=inclusive)
    except etree.C14NError:
        names = _iris(element)
        if not names:
            raise
    document = etree.tostring(element, encoding="utf-8", xml_declaration=False, with_tail=False)
    spellings = {name.encode(): _in_ascii(name) for name in names}
    originals = {spelling: name for name, spelling in spellings.items()}
    if any(value in originals for _, value in _DECLARATION.findall(document)):
        raise etree.C14NError("a namespace name cannot be told from its spelling in ASCII")
    try:
        copy = etree.fromstring(_renamed(document, spellings), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        raise etree.C14NError("a namespace name is neither a URI nor an IRI") from None
    output = _by_libxml2(copy, exclusive=exclusive, comments=comments, inclusive=inclusive)
    return _renamed(output, originals)


def _renamed(document: bytes, names: dict[bytes, bytes]) -> bytes:
    """Write other names into declarations. Text that looks like one takes part: it is written back the same way."""
    return _DECLARATION.sub(lambda found: b'%b"%b"' % (found[1], names.get(found[2], found[2])), document)


def _by_libxml2(element: etree._Element, *, exclusive: bool, comments: bool, inclusive: list[str] | None) -> bytes:
    return etree.tostring(
        element, method="c14n", exclusive=exclusive, with_comments=comments, inclusive_ns_prefixes=inclusive
    )


def _iris(element: etree._Element) -> set[str]:
    """Return the names in force in ``element`` that are IRIs and no URIs."""
    names = {name for node in element.iter(etree.Element) for name in node.nsmap.values()}
    return {name for name in names if not name.isascii() and _IRI.fullmatch(name)}


def _in_ascii(name: str) -> bytes:
    """Spell ``name`` so that names keep their order, which is the order of attributes in canonical XML."""
    return b"".join(b"%c" % byte if byte < 0x80 else b"~%02x" % byte for byte in name.encode())
