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

from adapter.xml.canonical import canonical_xml
from adapter.xml.parser import XmlError, parse
from adapter.xml.text import encode_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_XML_NAME = "a name of the xml namespace (xml:lang, xml:space) is not allowed"
_XML = b"http://www.w3.org/XML/1998/namespace"

#: Stands between the bracket of a tag and its name until the name is rewritten; no character of XML.
_MARK = b"\x02"
_NAME = re.compile(rb"\x02(?:[^:<> ]+:)?")
#: From so many prefixes in scope on, one pass over the names is cheaper than one search per prefix.
_MANY = 8
#: So many different tags of one scope are kept for their repetitions; a scope costs as much as it has prefixes.
_MOST_KEPT = 256
_ATTRIBUTE = re.compile(rb' ([^=]+)="([^"]*)"')

# C14N writes in a start tag: the name, declarations, unqualified attributes, qualified attributes. Each of these
# expressions stands without its leading space: a search begins with the longest literal that it can.
_DECLARATION = rb'xmlns(?::[^="]+)?="[^"]*"'
_UNQUALIFIED = rb'[^ :="<>]+="[^"]*"'
_QUALIFIED = rb'[^ :="<>]+:[^ ="<>]+="[^"]*"'
#: The notable run of a tag: from its first declaration, or its first qualified attribute, to the last of these. The
#: second expression costs more and is for documents with qualified attributes. Text may look like a run.
_DECLARING_RUN = re.compile(b"( %b(?: %b)*)" % (_DECLARATION, _DECLARATION))
_NOTABLE_RUN = re.compile(
    b"( (?:%b(?: %b)*(?:(?: %b)*(?: %b)+)?|%b(?: %b)*))"
    % (_DECLARATION, _DECLARATION, _UNQUALIFIED, _QUALIFIED, _QUALIFIED, _QUALIFIED)
)
#: What stands between bracket and run.
_HEAD = re.compile(rb'[^ <>"]+(?: %b)*' % _UNQUALIFIED)
#: The same in one, from the bracket on: it takes every tag's time and is never mistaken.
_NOTABLE_TAG = re.compile(
    rb"<\x02([^ <>]+)(?= xmlns|(?: %b)* [^ :=\"]+:)((?: %b)*(?: %b)*(?: %b)*)"
    % (_UNQUALIFIED, _DECLARATION, _UNQUALIFIED, _QUALIFIED)
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
    if next(element.iter("{}*"), None) is not None:
        raise TransformError("an element stands in no namespace")
    if next(element.iter(f"{{{_XML.decode()}}}*"), None) is not None:
        raise TransformError(_XML_NAME)
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
        return canonical_xml(element, exclusive=True, comments=comments, inclusive=list(inclusive) or None)
    except etree.C14NError:
        raise TransformError("canonical XML is not defined: a namespace URI is relative") from None


def _transform(canonical: bytes) -> bytes:
    """Transform the exc-c14n form (no comments, no PrefixList) of an element in which every element has a namespace."""
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
    output = encode_texts(b"".join(_rewrite(marked)))
    return output.replace(b"<?>", b"") if instructions else output


class _Tag:
    """A notable start tag, read.

    ``declared`` maps prefixes to URIs; ``qualified`` attributes are (prefix, local name, value), ``plain`` are the
    others as they stand. URIs are escaped as the attribute values that they will be.
    """

    __slots__ = ("declared", "name", "plain", "prefix", "qualified")

    def __init__(self, raw: bytes) -> None:
        """Read ``raw``: the name and everything up to the end of the notable run."""
        self.name, _, rest = raw.partition(b" ")
        self.prefix = self.name.rpartition(b":")[0]
        self.declared: dict[bytes, bytes] = {}
        self.qualified: list[tuple[bytes, bytes, bytes]] = []
        self.plain = b""
        for name, value in _ATTRIBUTE.findall(b" " + rest):
            prefix, _, local = name.rpartition(b":")
            if prefix == b"xmlns" or name == b"xmlns":
                # libxml2's C14N writes an ampersand in a URI raw; its parser refuses other characters to be escaped.
                self.declared[local if prefix else b""] = value.replace(b"&", b"&amp;")
            elif prefix == b"xml":
                raise TransformError(_XML_NAME)
            elif prefix:
                self.qualified.append((prefix, local, value))
            else:
                self.plain += b' %b="%b"' % (name, value)

    def template(
        self, namespaces: dict[bytes, bytes], is_written: Callable[[bytes], bool]
    ) -> tuple[bytes, list[bytes]]:
        """Return the tag, its names marked, with ``%d`` for each number that it gives out, and what these are for.

        ``namespaces`` maps the prefixes in force here to URIs; a URI that ``is_written`` has a number already.
        """
        qualified = sorted((namespaces[prefix], local, prefix, value) for prefix, local, value in self.qualified)
        uris = dict.fromkeys((namespaces[self.prefix], *[uri for uri, _, _, _ in qualified]))
        fresh = [uri for uri in uris if not is_written(uri)]
        attributes = b"".join([b' \x02%b:%b="%b"' % (prefix, local, value) for _, local, prefix, value in qualified])
        declarations = b"".join([b' xmlns:ns%%d="%b"' % uri.replace(b"%", b"%%") for uri in fresh])
        return b"<\x02%b%b%b" % (self.name, declarations, (attributes + self.plain).replace(b"%", b"%%")), fresh


#: A notable tag (name to end of its run) and what follows it up to the next one.
_Piece = tuple[bytes, bytes]


def _rewrite(marked: bytes) -> Iterable[bytes]:
    """Return the marked fragment in pieces, with its names, declarations and attributes as they have to be."""
    pieces = _cut(marked)
    tags = {raw: _Tag(raw) for raw in {raw for raw, _ in pieces}}
    pairs = {pair for tag in tags.values() for pair in tag.declared.items()}
    namespaces = dict(pairs)
    if len(pairs) == len(namespaces) == len(set(namespaces.values())):
        return _in_constant_prefixes(pieces, tags, namespaces)
    return _in_scopes(pieces)


def _cut(marked: bytes) -> list[_Piece]:
    """Cut a fragment before its notable tags. The root is one: it declares its own prefix."""
    parts = _DECLARING_RUN.split(marked)
    declared = {name for run in set(parts[1::2]) for name, _ in _ATTRIBUTE.findall(run)} - {b"xmlns"}
    # Text may look like a qualified attribute; then the costlier search is made in vain.
    if (
        len(declared) > _MANY
        or b" xml:" in marked
        or any(b" %b:" % name.removeprefix(b"xmlns:") in marked for name in declared)
    ):
        parts = _NOTABLE_RUN.split(marked)
    heads = [before.rpartition(b"<\x02") for before in parts[:-1:2]]
    if not all(_HEAD.fullmatch(name) for name in {name for _, _, name in heads}):
        parts = _NOTABLE_TAG.split(marked)
        return [(name + run, rest) for name, run, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)]
    rests = [before for before, _, _ in heads[1:]]
    rests.append(parts[-1])
    return [(name + run, rest) for (_, _, name), run, rest in zip(heads, parts[1::2], rests, strict=True)]


def _in_constant_prefixes(
    pieces: list[_Piece], tags: dict[bytes, _Tag], namespaces: dict[bytes, bytes]
) -> Iterator[bytes]:
    """Rewrite a fragment in which a prefix means one namespace everywhere, and the other way round.

    Then ends of scopes may be ignored: exc-c14n repeats a declaration where it is used again, so a prefix means what
    the last declaration before it says, and every declaration just gives its prefix the next number.
    """
    templates: dict[bytes, tuple[bytes, list[bytes]]] = {}
    for raw, tag in tags.items():
        declared = {uri: _mark(prefix) for prefix, uri in tag.declared.items()}

        def is_written(uri: bytes, declared: dict[bytes, bytes] = declared) -> bool:
            return uri not in declared

        template, fresh = tag.template(namespaces, is_written)
        templates[raw] = template, [declared[uri] for uri in fresh]
    marks = _bare_mark_last(dict.fromkeys(map(_mark, namespaces), b""))
    count = 0
    for raw, rest in pieces:
        template, fresh = templates[raw]
        first = count + 1
        for mark in fresh:
            count += 1
            marks[mark] = b"ns%d:" % count
        head = template % (count if first == count else tuple(range(first, count + 1)))
        yield _rename(head + rest, marks)


def _mark(prefix: bytes) -> bytes:
    return b"\x02%b:" % prefix if prefix else _MARK


def _bare_mark_last(marks: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return ``marks`` in the order of replacement: the default namespace's mark is a part of every other one."""
    if _MARK in marks:
        marks[_MARK] = marks.pop(_MARK)
    return marks


def _rename(piece: bytes, marks: dict[bytes, bytes]) -> bytes:
    """Replace every mark, with the prefix behind it, by ours."""
    if len(marks) > _MANY:
        return _NAME.sub(lambda name: marks[name[0]], piece)
    for mark, ours in marks.items():
        piece = piece.replace(mark, ours)
    return piece


class _Scope:
    """The prefixes in force between a start tag that declares some and its end tag.

    ``namespaces`` maps the document's prefixes to URIs, ``written`` URIs to ours (``b"ns1:"``), and ``marks`` joins
    the two. ``depth`` counts the open elements that are named as the one that opened the scope: the scope ends with
    the end tag that makes it 0. ``inner`` keeps what was read of each notable tag inside, with the scope that it
    opens, for its repetitions: they differ by their numbers only, and only one of them is open at a time.
    """

    __slots__ = ("close", "depth", "inner", "marks", "name", "namespaces", "start", "written")

    def __init__(self, name: bytes, namespaces: dict[bytes, bytes], marks: dict[bytes, bytes]) -> None:
        self.namespaces = namespaces
        self.written: dict[bytes, bytes] = {}
        self.marks = _bare_mark_last(marks)
        self.name = name
        self.start = b"<" + _MARK + name
        self.close = b"</" + _MARK + name + b">"
        self.depth = 1
        self.inner: dict[bytes, tuple[_Tag, _Scope, bytes, list[bytes]]] = {}

    def enter(self, raw: bytes, count: int) -> tuple[_Scope, bytes, int]:
        """Return the scope inside a notable tag, the tag with its names marked, and how many numbers are given out.

        Before it there were ``count``. A tag that declares nothing opens no scope.
        """
        tag, scope, template, fresh = self.inner.get(raw) or self._read(raw)
        if scope is self:
            self.depth += tag.name == self.name
            return self, template % (), count
        written, marks = scope.written, scope.marks
        written.update(self.written)
        marks.update(self.marks)
        first = count + 1
        for uri in fresh:
            count += 1
            written[uri] = b"ns%d:" % count
        for prefix, uri in tag.declared.items():
            marks[_mark(prefix)] = written[uri]
        scope.depth = 1
        return scope, template % tuple(range(first, count + 1)), count

    def _read(self, raw: bytes) -> tuple[_Tag, _Scope, bytes, list[bytes]]:
        tag = _Tag(raw)
        scope = self
        if tag.declared:
            marks = self.marks | dict.fromkeys(map(_mark, tag.declared), b"")
            scope = _Scope(tag.name, self.namespaces | tag.declared, marks)
        known = (tag, scope, *tag.template(scope.namespaces, self.written.__contains__))
        if len(self.inner) < _MOST_KEPT:
            self.inner[raw] = known
        return known

    def end(self, piece: bytes, at: int) -> int:
        """Return where the scope ends in ``piece`` from ``at`` on, or -1, having counted for the next piece."""
        while True:
            closing = piece.find(self.close, at)
            until = len(piece) if closing < 0 else closing
            if piece.find(self.start, at, until) >= 0:
                self.depth += piece.count(self.start + b">", at, until) + piece.count(self.start + b" ", at, until)
            if closing < 0:
                return -1
            at = closing + len(self.close)
            self.depth -= 1
            if not self.depth:
                return at


def _in_scopes(pieces: list[_Piece]) -> Iterator[bytes]:
    """Rewrite any fragment."""
    scope = _Scope(b"", {}, {})
    outer: list[_Scope] = []
    count = 0
    for raw, rest in pieces:
        inner, head, count = scope.enter(raw, count)
        if inner is not scope:
            outer.append(scope)
            scope = inner
        piece = head + rest
        done, at = 0, len(head)
        while outer and (end := scope.end(piece, at)) >= 0:
            yield _rename(piece[done:end], scope.marks)
            scope = outer.pop()
            done = at = end
        yield _rename(piece[done:], scope.marks)
