"""The SMEV transform ``urn://smev-gov-ru/xmldsig/transform``, byte for byte (facts of СМЭВ3, "SMEV transform facts").

It renames every prefix to ns1, ns2, … in the order met, sorts attributes (qualified before unqualified), declares
each namespace where it is first used, drops whitespace-only text, comments and processing instructions, and writes
text as the Woodstox 6 writer does ("rule 9" of the recommendations 3.5.0.27).

The input is exc-c14n's output, and that is what makes it fast. Canonical XML has no empty-element tags, CDATA or
entities, escapes ``<`` everywhere and ``>`` in text, and declares a prefix just where it is used. So only the tags
that declare or use a prefix on an attribute need a look each; between two of them every prefix is a constant, and
all names are rewritten at once by searching bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lxml import etree

from adapter.xml.parser import XmlError, parse
from adapter.xml.text import encode_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NO_NAMESPACE = "an element stands in no namespace"
_XML_NAME = "a name of the xml namespace (xml:lang, xml:space) is not allowed"
_XML = b"http://www.w3.org/XML/1998/namespace"

#: Stands between the bracket of a tag and its name until the name is rewritten; no character of XML.
_MARK = b"\x02"
_NAME = re.compile(rb"\x02(?:[^:<> ]+:)?")
#: From so many prefixes in scope on, one pass over the names is cheaper than one search per prefix.
_MANY = 8
_DECLARATION = re.compile(rb' xmlns(?::([^="]+))?="([^"]*)"')
_QUALIFIED = re.compile(rb' ([^ :=]+):([^ =]+)="([^"]*)"')
#: A run of declarations, found fast; text may look like it.
_RUN = re.compile(rb'( xmlns(?::[^="]+)?="[^"]*")')
#: A start tag that declares a prefix or has a qualified attribute, up to the last of these: name, declarations,
#: unqualified attributes, qualified ones. C14N writes them in this order.
_NOTABLE = re.compile(
    rb'<\x02([^ <>]+)(?= xmlns|(?: [^ :="]+="[^"]*")* [^ :="]+:)((?: xmlns(?::[^="]+)?="[^"]*")*)'
    rb'((?: [^ :="]+="[^"]*")*)((?: [^ :="]+:[^ ="]+="[^"]*")*)'
)
_BLANK = re.compile(rb">[ \t\n]+<")
_INSTRUCTION = re.compile(rb"<\?.*?\?>", re.DOTALL)


class TransformError(XmlError):
    """The official transform refuses this document: a name without namespace, an ``xml:`` attribute, …."""


def smev_transform(data: bytes) -> bytes:
    """Transform a whole document: exc-c14n without comments, then the SMEV transform.

    Raises XmlError when ``data`` is no acceptable XML, TransformError when the official class would refuse it.
    """
    return smev_transform_element(parse(data))


def smev_transform_element(element: etree._Element) -> bytes:
    """Transform ``element`` as it stands in its document, without its tail. Raises TransformError."""
    return _transform(exc_c14n(element))


def smev_transform_octets(octets: bytes) -> bytes:
    """Transform what an earlier transform returned. A comment left in it parts the text around it.

    Raises XmlError, TransformError.
    """
    root = parse(octets)
    for comment in list(root.iter(etree.Comment)):
        instruction = etree.ProcessingInstruction("comment")  # what C14N keeps and the transform drops
        instruction.tail = comment.tail
        parent = comment.getparent()
        if parent is not None:
            parent.replace(comment, instruction)
    return smev_transform_element(root)


def exc_c14n(element: etree._Element, *, comments: bool = False, inclusive: Iterable[str] = ()) -> bytes:
    """Return exclusive canonical XML of ``element``; ``inclusive`` is its InclusiveNamespaces PrefixList.

    Raises TransformError where canonical XML is not defined (a relative namespace URI).
    """
    try:
        return etree.tostring(
            element,
            method="c14n",
            exclusive=True,
            with_comments=comments,
            inclusive_ns_prefixes=list(inclusive) or None,
        )
    except etree.C14NError:
        raise TransformError("canonical XML is not defined: a namespace URI is relative") from None


def _transform(canonical: bytes) -> bytes:
    """Transform the exc-c14n form (no comments, no PrefixList) of one element."""
    # Searches for one byte are far cheaper than for several, so they guard the others.
    if b"&" in canonical:
        # C14N writes these in upper case, the writer in lower case. A literal "&#xA;" cannot occur: & is escaped.
        canonical = canonical.replace(b"&#xA;", b"&#xa;").replace(b"&#xD;", b"&#xd;")
    instructions = b"?" in canonical and b"<?" in canonical
    if instructions:  # dropped at last: until then they part the text around them
        canonical = _INSTRUCTION.sub(b"<?>", canonical)
    marked = _BLANK.sub(b"><", canonical).replace(b"<", b"<" + _MARK).replace(b"<\x02/", b"</" + _MARK)
    if instructions:
        marked = marked.replace(b"<\x02?>", b"<?>")
    if b"xml:" in marked and b"\x02xml:" in marked:
        raise TransformError(_XML_NAME)
    output = b"".join(_rewrite(marked))
    if _MARK in output:
        raise TransformError(_NO_NAMESPACE)
    output = encode_texts(output)
    return output.replace(b"<?>", b"") if instructions else output


#: What a start tag declares: prefix to URI, the URI escaped as the attribute value that it will be.
_Declared = dict[bytes, bytes]
#: A notable tag and what follows it: name, declarations, unqualified attributes, qualified ones, the rest.
_Event = tuple[bytes, _Declared, bytes, bytes, bytes]


def _rewrite(marked: bytes) -> Iterable[bytes]:
    """Return the marked fragment in pieces, with its names, declarations and attributes as they have to be."""
    parts = _RUN.split(marked)
    runs = {run: _read_declarations(run) for run in set(parts[1::2])}
    prefixes = {prefix for run in runs.values() for prefix in run}
    uris = {uri for run in runs.values() for uri in run.values()}
    if (
        len(prefixes) == len(uris) == len(runs) <= _MANY
        and (b"" not in prefixes or b"" in runs[parts[1]])
        and not any(b" " + prefix + b":" in marked for prefix in (b"xml", *prefixes) if prefix)
    ):
        pieces = _in_constant_prefixes(parts, runs)
        if pieces is not None:
            return pieces
    parts = _NOTABLE.split(marked)
    if parts[0]:
        raise TransformError(_NO_NAMESPACE)
    declarations = [_read_declarations(run) for run in parts[2::5]]
    return _in_scopes(zip(parts[1::5], declarations, parts[3::5], parts[4::5], parts[5::5], strict=True))


def _read_declarations(run: bytes) -> _Declared:
    # libxml2's C14N writes an ampersand in a URI raw; other characters to escape are refused by its parser.
    return {prefix: uri.replace(b"&", b"&amp;") for prefix, uri in _DECLARATION.findall(run)}


def _in_constant_prefixes(parts: list[bytes], runs: dict[bytes, _Declared]) -> list[bytes] | None:
    """Rewrite a fragment without qualified attributes in which a prefix means one namespace and the other way round.

    Then ends of scopes may be ignored: exc-c14n repeats a declaration where it is used again, so a prefix means what
    the last declaration before it says, and every declaration just gives its element's prefix the next number. The
    default namespace has to be the root's: names in no namespace would look the same behind its end.

    ``parts`` are what stands between the declarations and these, in turn. Returns ``None`` when one of them turns out
    to be text or an attribute's value.
    """
    marks: dict[bytes, bytes] = {}
    default = b""
    output: list[bytes] = []
    before = parts[0]
    for count, (run, after) in enumerate(zip(parts[1::2], parts[2::2], strict=True), start=1):
        segment, bracket, name = before.rpartition(b"<\x02")
        prefix, _, local = name.rpartition(b":")
        uri = runs[run].get(prefix)
        if not bracket or not uri or b" " in name or b">" in name:
            return None
        output.append(_rename(segment, marks, default))
        ours = b"ns%d:" % count
        if prefix:
            marks[b"\x02%b:" % prefix] = ours
        else:
            default = ours
        output.append(b'<%b%b xmlns:ns%d="%b"' % (ours, local, count, uri))
        before = after
    output.append(_rename(before, marks, default))
    return output


def _rename(segment: bytes, marks: dict[bytes, bytes], default: bytes) -> bytes:
    """Rewrite every marked name of a piece; ``default`` (``b"ns1:"``) is what a name without prefix gets."""
    if len(marks) > _MANY:
        segment = _NAME.sub(lambda name: marks.get(name[0], name[0]), segment)
    else:
        for mark, ours in marks.items():
            segment = segment.replace(mark, ours)
    # The bare mark is a part of every other mark, so it comes last.
    return segment.replace(_MARK, default) if default else segment


class _Scope:
    """The prefixes in force between a start tag that declares some and its end tag.

    ``namespaces`` maps the document's prefixes to URIs, ``written`` URIs to ours (``b"ns1:"``); ``marks`` joins the
    two, and ``default`` is ours of the default namespace. ``depth`` counts the open elements that are named as the
    one that opened the scope: the scope ends with the end tag that makes it 0.
    """

    __slots__ = ("close", "default", "depth", "marks", "name", "namespaces", "start", "written")

    def __init__(self, name: bytes, outer: _Scope | None) -> None:
        self.namespaces: _Declared = outer.namespaces.copy() if outer else {b"": b"", b"xml": _XML}
        self.written: dict[bytes, bytes] = outer.written.copy() if outer else {}
        self.marks: dict[bytes, bytes] = outer.marks.copy() if outer else {}
        self.default: bytes = outer.default if outer else b""
        self.name = name
        self.start = b"<" + _MARK + name
        self.close = b"</" + _MARK + name + b">"
        self.depth = 1

    def open(self, event: _Event, count: int) -> tuple[bytes, int]:
        """Return a notable tag as written, and how many prefixes the fragment has by now; before it had ``count``.

        Raises TransformError for what the official class refuses.
        """
        name, declared, plain, qualified, _ = event
        prefix, _, local = name.rpartition(b":")
        self.namespaces.update(declared)
        uri = self.namespaces[prefix]
        attributes = self._attributes(qualified) if qualified else []
        declarations = b""
        for needed in (uri, *[other for other, _, _ in attributes]):
            if needed not in self.written:
                if needed in (b"", _XML):
                    raise TransformError(_XML_NAME if needed else _NO_NAMESPACE)
                count += 1
                self.written[needed] = b"ns%d:" % count
                declarations += b' xmlns:ns%d="%b"' % (count, needed)
        for prefix, other in declared.items():
            if prefix:
                self.marks[b"\x02%b:" % prefix] = self.written[other]
            else:
                self.default = self.written[other]
        written = [b' %b%b="%b"' % (self.written[other], key, value) for other, key, value in attributes]
        return b"<%b%b%b%b%b" % (self.written[uri], local, declarations, b"".join(written), plain), count

    def _attributes(self, qualified: bytes) -> list[tuple[bytes, bytes, bytes]]:
        """Return (URI, local name, value) in the order wanted."""
        return sorted((self.namespaces[prefix], key, value) for prefix, key, value in _QUALIFIED.findall(qualified))

    def end(self, segment: bytes, at: int) -> int:
        """Return where the scope ends in ``segment`` from ``at`` on, or -1, having counted for the next segment."""
        while True:
            closing = segment.find(self.close, at)
            until = len(segment) if closing < 0 else closing
            if segment.find(self.start, at, until) >= 0:
                self.depth += segment.count(self.start + b">", at, until) + segment.count(self.start + b" ", at, until)
            if closing < 0:
                return -1
            at = closing + len(self.close)
            self.depth -= 1
            if not self.depth:
                return at


def _in_scopes(events: Iterable[_Event]) -> Iterator[bytes]:
    """Rewrite any fragment."""
    scopes: list[_Scope] = []
    count = 0
    for event in events:
        name, declared, _, _, segment = event
        if declared or not scopes:
            scopes.append(_Scope(name, scopes[-1] if scopes else None))
        elif name == scopes[-1].name:
            scopes[-1].depth += 1
        head, count = scopes[-1].open(event, count)
        yield head
        done = 0
        while scopes and (end := scopes[-1].end(segment, done)) >= 0:
            scope = scopes.pop()
            yield _rename(segment[done:end], scope.marks, scope.default)
            done = end
        if scopes:
            yield _rename(segment[done:], scopes[-1].marks, scopes[-1].default)
