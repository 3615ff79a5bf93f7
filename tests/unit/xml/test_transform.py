from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.xml.parser import XmlError, parse
from adapter.xml.transform import TransformError, smev_transform, smev_transform_element, smev_transform_octets

if TYPE_CHECKING:
    from types import ModuleType

PAIRS = Path(__file__).parents[3].parent / "shared" / "reference" / "smev3" / "transform"
INPUTS = sorted(PAIRS.rglob("*.in.xml"))


def _load_slow() -> ModuleType:
    path = Path(__file__).with_name("slow_transform.py")
    spec = importlib.util.spec_from_file_location("slow_transform", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["slow_transform"] = module
    spec.loader.exec_module(module)
    return module


SLOW = _load_slow()


@pytest.mark.skipif(not INPUTS, reason="the reference pairs are not here: ../shared is absent")
@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_every_reference_pair_is_reproduced_refusals_included(path: Path) -> None:
    expected = path.with_name(path.name.replace(".in.xml", ".out.xml"))
    if not expected.exists():
        with pytest.raises(TransformError):
            smev_transform(path.read_bytes())
        return
    assert smev_transform(path.read_bytes()) == expected.read_bytes()


OWN_PAIRS = {
    "declaration, comments and instructions are dropped": (
        '<?xml version="1.0"?><!-- a --><a xmlns="urn:1"><!-- b --><?c d?><b/></a><!-- e -->',
        '<ns1:a xmlns:ns1="urn:1"><ns1:b></ns1:b></ns1:a>',
    ),
    "an instruction parts the text around it": (
        '<a xmlns="urn:1">]<?p?>&gt; <?p?> <?p > < ?>x</a>',
        '<ns1:a xmlns:ns1="urn:1">]&gt; x</ns1:a>',
    ),
    "a comment joins the text around it": (
        '<a xmlns="urn:1">x<!-- c -->&gt;y </a>',
        '<ns1:a xmlns:ns1="urn:1">x>y </ns1:a>',
    ),
    "text of blanks is dropped, in CDATA and by reference too": (
        '<a xmlns="urn:1"> \n<b>\t</b><c><![CDATA[ ]]></c><d>&#13;&#10; </d></a>',
        '<ns1:a xmlns:ns1="urn:1"><ns1:b></ns1:b><ns1:c></ns1:c><ns1:d></ns1:d></ns1:a>',
    ),
    "blanks around text and wide blanks stay": (
        '<a xmlns="urn:1"> x <b>\u00a0</b> \u3000 </a>',
        '<ns1:a xmlns:ns1="urn:1"> x <ns1:b>\u00a0</ns1:b> \u3000 </ns1:a>',
    ),
    "a namespace named by an IRI": (
        '<a xmlns="http://пф.рф/УТ" xmlns:b="http://пф.рф/УТ/1" b:x="1"><b:c d="http://пф.рф/УТ"/>http://пф.рф/УТ</a>',
        """<ns1:a xmlns:ns1="http://пф.рф/УТ" xmlns:ns2="http://пф.рф/УТ/1" ns2:x="1">\
<ns2:c d="http://пф.рф/УТ"></ns2:c>http://пф.рф/УТ</ns1:a>""",
    ),
    "an unused prefix is dropped": (
        '<p:a xmlns:p="urn:1" xmlns:q="urn:2"/>',
        '<ns1:a xmlns:ns1="urn:1"></ns1:a>',
    ),
    "a prefix ends with the element that declared it, its number does not come back": (
        '<a xmlns="urn:1" xmlns:q="urn:2"><q:b><q:b/></q:b><q:b/><c q:x="1"/></a>',
        """<ns1:a xmlns:ns1="urn:1"><ns2:b xmlns:ns2="urn:2"><ns2:b></ns2:b></ns2:b><ns3:b xmlns:ns3="urn:2"></ns3:b>\
<ns1:c xmlns:ns4="urn:2" ns4:x="1"></ns1:c></ns1:a>""",
    ),
    "a default namespace that changes and comes back": (
        '<a xmlns="urn:1"><a xmlns="urn:2"><a xmlns="urn:1"/><a/></a><a/></a>',
        """<ns1:a xmlns:ns1="urn:1"><ns2:a xmlns:ns2="urn:2"><ns1:a></ns1:a><ns2:a></ns2:a></ns2:a>\
<ns1:a></ns1:a></ns1:a>""",
    ),
    "two prefixes of one namespace are one": (
        '<p:a xmlns:p="urn:1" xmlns:q="urn:1"><q:b/><p:c q:x="1"/></p:a>',
        '<ns1:a xmlns:ns1="urn:1"><ns1:b></ns1:b><ns1:c ns1:x="1"></ns1:c></ns1:a>',
    ),
    "one prefix of two namespaces is two": (
        '<p:a xmlns:p="urn:1"><p:a xmlns:p="urn:2"/><p:a/></p:a>',
        '<ns1:a xmlns:ns1="urn:1"><ns2:a xmlns:ns2="urn:2"></ns2:a><ns1:a></ns1:a></ns1:a>',
    ),
    "qualified attributes come first, by namespace, and are numbered in that order after the element": (
        '<e xmlns="urn:5" b="1" a="2" xmlns:z="urn:1" xmlns:y="urn:3" y:c="3" z:d="4" z:c="5"/>',
        """<ns1:e xmlns:ns1="urn:5" xmlns:ns2="urn:1" xmlns:ns3="urn:3" ns2:c="5" ns2:d="4" ns3:c="3" a="2" \
b="1"></ns1:e>""",
    ),
    "an attribute's value is escaped as attributes are": (
        '<a xmlns="urn:1" x="&amp;&lt;&gt;&quot;&apos;&#9;&#10;&#13;\x7f\x85 ]]&gt;"/>',
        '<ns1:a xmlns:ns1="urn:1" x="&amp;&lt;>&quot;\'&#x9;&#xa;&#xd;\x7f\x85 ]]>"></ns1:a>',
    ),
    "text may look like a declaration, an attribute or the end of one": (
        '<a xmlns="urn:1" x="&gt; xmlns:p=" y="=" z="&gt;"> xmlns:q="urn:2" p:x="1"&gt; "<b/> xmlns="urn:3"</a>',
        """<ns1:a xmlns:ns1="urn:1" x="> xmlns:p=" y="=" z=">"> xmlns:q="urn:2" p:x="1"> "<ns1:b></ns1:b> \
xmlns="urn:3"</ns1:a>""",
    ),
    "an ampersand in a namespace is escaped": (
        '<a xmlns="urn:1?a&amp;b"/>',
        '<ns1:a xmlns:ns1="urn:1?a&amp;b"></ns1:a>',
    ),
    "names that begin alike do not confuse where a scope ends": (
        '<p:r xmlns:p="urn:1"><b xmlns="urn:2"><bb/><b x="1"/><b/></b><p:b/><b xmlns="urn:3"/></p:r>',
        """<ns1:r xmlns:ns1="urn:1"><ns2:b xmlns:ns2="urn:2"><ns2:bb></ns2:bb><ns2:b x="1"></ns2:b><ns2:b></ns2:b>\
</ns2:b>\
<ns1:b></ns1:b><ns3:b xmlns:ns3="urn:3"></ns3:b></ns1:r>""",
    ),
    "control characters of Unicode become references in text": (
        '<a xmlns="urn:1">\x7f\x80\x9f\xa0</a>',
        '<ns1:a xmlns:ns1="urn:1">&#x7f;&#x80;&#x9f;\xa0</ns1:a>',
    ),
}
# Rule 9: the text, and how it has to be written.
OWN_TEXTS = {
    "short: > first": (">ab", "&gt;ab"),
    "short: > behind ]": ("a]>b", "a]&gt;b"),
    "short: > elsewhere": ("a>>b&>", "a>>b&amp;>"),
    "eleven units": ("0123456789>", "0123456789>"),
    "eleven units and one that counts twice": ("0123456789\U0001f600&>", "0123456789\U0001f600&amp;&gt;"),
    "twelve units: > behind an escape": ("0123456789<>", "0123456789&lt;&gt;"),
    "long: every other > of a row behind an escape": ("0123456789ab&>>>", "0123456789ab&amp;&gt;&gt;&gt;"),
    "long: > behind >": ("0123456789ab>>", "0123456789ab>>"),
    "long: > behind a control character": ("0123456789ab\x85>", "0123456789ab&#x85;&gt;"),
    "long: > behind a carriage return": ("0123456789ab\r>", "0123456789ab&#xd;&gt;"),
    "the 512th unit": ("x" * 511 + ">y", "x" * 511 + ">y"),
    "the 513th unit": ("x" * 512 + ">y", "x" * 512 + "&gt;y"),
    "the 1025th unit, counted in UTF-16": ("\U0001f600" * 512 + ">y", "\U0001f600" * 512 + "&gt;y"),
    "a block that begins inside a pair": ("x" + "\U0001f600" * 256 + ">y", "x" + "\U0001f600" * 256 + ">y"),
}


@pytest.mark.parametrize(("source", "expected"), OWN_PAIRS.values(), ids=OWN_PAIRS.keys())
def test_each_rule_has_a_pair_of_our_own(source: str, expected: str) -> None:
    assert smev_transform(source.encode()) == expected.encode()


@pytest.mark.parametrize(("value", "written"), OWN_TEXTS.values(), ids=OWN_TEXTS.keys())
def test_text_is_written_as_the_official_writer_does(value: str, written: str) -> None:
    element = etree.Element("{urn:1}a")
    element.text = value
    assert smev_transform_element(element) == f'<ns1:a xmlns:ns1="urn:1">{written}</ns1:a>'.encode()


@pytest.mark.parametrize(
    "source",
    [
        "<a/>",
        '<a> xmlns:p="urn:a"</a>',
        '<p:a xmlns:p="urn:1"><b/></p:a>',
        '<p:a xmlns:p="urn:1"><c xmlns="urn:2"/><b/></p:a>',
        '<a xmlns="urn:1"><b xmlns=""/></a>',
        '<a xmlns="urn:1" xml:lang="ru"/>',
        '<a xmlns="urn:1"><b xml:space="preserve" x="1"/></a>',
        '<a xmlns="urn:1"><xml:b/></a>',
        "<xml:a/>",
        '<a xmlns="relative"/>',
        '<a xmlns="urn:1" xmlns:unused="../relative"/>',
    ],
)
def test_what_the_official_class_refuses_is_refused(source: str) -> None:
    with pytest.raises(TransformError):
        smev_transform(source.encode())


def test_a_refusal_never_repeats_the_document() -> None:
    with pytest.raises(TransformError) as caught:
        smev_transform(b'<secret xmlns:p="urn:secret"/>')
    assert "secret" not in str(caught.value)


def test_an_element_is_transformed_as_it_stands_without_its_surroundings() -> None:
    root = parse(b'<p:a xmlns:p="urn:1" xmlns="urn:2" xml:lang="ru">x<b q="1"><p:c/>y</b>tail</p:a>')
    expected = b'<ns1:b xmlns:ns1="urn:2" q="1"><ns2:c xmlns:ns2="urn:1"></ns2:c>y</ns1:b>'
    assert smev_transform_element(root[0]) == expected


def test_a_comment_that_an_earlier_transform_left_parts_the_text() -> None:
    octets = b'<a xmlns="urn:1">x<!-- c -->&gt;<!-- d --> <?p <!-- ?>y<?p --> ?></a>'
    assert smev_transform_octets(octets) == b'<ns1:a xmlns:ns1="urn:1">x&gt;y</ns1:a>'


def test_many_prefixes_in_one_scope_are_kept_apart() -> None:
    names = [f"p{number}" for number in range(30)]
    declarations = " ".join(f'xmlns:{name}="urn:{name}"' for name in names)
    used = " ".join(f'{name}:x="1"' for name in names)
    source = f'<a xmlns="urn:0" {declarations} {used}>' + "".join(f"<{name}:b/>" for name in names) + "<b/></a>"
    assert smev_transform(source.encode()) == SLOW.SlowTransform().run(parse(source.encode())).encode()


URIS = ["urn:a", "urn:b", "urn:c?x&y", "http://d/"]
PREFIXES = ["", "p", "q", "ns1"]
# What has once confused a reader of bytes, and what the rules are about.
PIECES = st.sampled_from(
    [" ", "\n\t", "\r", ">", "]>", "]]", "<", "&", '"', "'", "x", "текст", "\U0001f600", "\x7f", "\x85", "\xa0", "=",
     ' xmlns:p="urn:a"', ' p:x="1"', " xmlns=", "p:x", "<p:x>", "x" * 11, "y" * 500, "&#xD;"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=5).map("".join)


@st.composite
def elements(draw: st.DrawFn, depth: int = 0) -> etree._Element:
    """Build an element with declarations, attributes and content; some are in no namespace or have xml: names."""
    refused = draw(st.integers(0, 60)) == 0
    nsmap = {prefix or None: draw(st.sampled_from(URIS)) for prefix in draw(st.sets(st.sampled_from(PREFIXES)))}
    uri = draw(st.sampled_from(["", *URIS] if refused else URIS))
    element = etree.Element(etree.QName(uri or None, draw(st.sampled_from(["a", "b", "ab"]))), nsmap=nsmap)
    for _ in range(draw(st.integers(0, 3))):
        space = draw(st.sampled_from(["", "", *URIS]))
        element.set(etree.QName(space or None, draw(st.sampled_from(["x", "y", "X", "_z"]))), draw(TEXTS))
    element.text = draw(TEXTS)
    if depth < 4:
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.integers(0, 9))
            if kind == 0:
                child: etree._Element = etree.Comment("c")
            elif kind == 1:
                child = etree.ProcessingInstruction("p", "> <a x='")
            else:
                child = draw(elements(depth=depth + 1))
            child.tail = draw(TEXTS)
            element.append(child)
    return element


def is_read(data: bytes) -> bool:
    """lxml writes what cannot be read when two prefixes of a tree built by hand fall together."""
    try:
        parse(data)
    except XmlError:
        return False
    return True


# Written out and read again: a tree built by hand may have elements whose namespace its text cannot say.
DOCUMENTS = elements().map(etree.tostring).filter(is_read)


def transform_or_refuse(data: bytes) -> bytes | None:
    try:
        return smev_transform(data)
    except TransformError:
        return None


def transform_slowly(data: bytes) -> bytes | None:
    try:
        written: str = SLOW.SlowTransform().run(parse(data))
    except SLOW.RefusedError:
        return None
    return written.encode()


@settings(max_examples=500, deadline=None)
@given(DOCUMENTS)
def test_the_fast_way_agrees_with_the_slow_one_on_random_documents(data: bytes) -> None:
    assert transform_or_refuse(data) == transform_slowly(data)


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_what_repeats_is_written_like_what_comes_once(one: bytes, other: bytes) -> None:
    data = b'<w xmlns="urn:w" xmlns:p="urn:a">%b<p:w>%b%b</p:w>%b</w>' % (one, other, one, one)
    assert transform_or_refuse(data) == transform_slowly(data)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_a_transformed_document_does_not_change_any_more(data: bytes) -> None:
    assume(b"<?" not in data)  # texts that an instruction parted are one text afterwards
    once = transform_or_refuse(data)
    assume(once is not None)
    assert transform_or_refuse(once or b"") == once


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.permutations(["one", "two", "three", "four"]))
def test_prefixes_do_not_matter(data: bytes, names: list[str]) -> None:
    renamed = parse(data)
    etree.cleanup_namespaces(renamed, top_nsmap=dict(zip(names, URIS, strict=True)))
    assert transform_or_refuse(etree.tostring(renamed)) == transform_or_refuse(data)


MARKUP = st.sampled_from(
    [b"<", b">", b"</", b"/>", b"<a", b"<p:a", b' xmlns="urn:a"', b' xmlns:p="urn:b"', b'="', b'"', b"&", b"&lt;",
     b"&#x", b";", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?", b"?>", b"<!DOCTYPE a [", b"]", b"<!ENTITY b 'c'>",
     b"&b;", b"\x00", b"\x02", b"\xff", b"\xd0\xbf", b"\xef\xbb\xbf", b" ", b"<?xml version='1.0' encoding='utf-16'?>",
     b"<?xml version='1.0' encoding='koi8-r'?>", b"xml:lang=''"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(MARKUP, max_size=30).map(b"".join)))
@example(b"")
@example('<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"))
@example(b"<a>" * 10_000)
@example(b'<!DOCTYPE a [<!ENTITY b "c">]><a xmlns="urn:a">&b;</a>')
def test_hostile_bytes_give_a_transform_or_an_xml_error(data: bytes) -> None:
    try:
        output = smev_transform(data)
    except XmlError:
        return
    assert parse(output).tag == parse(data).tag


def test_time_grows_with_the_bytes_even_where_declarations_and_texts_are_hostile() -> None:
    """Counted in work, not in seconds: the output of each unit of input is the same however many there are."""
    unit = '<b xmlns="urn:2"> xmlns:q="urn:3" <b/>&gt;</b><q:c xmlns:q="urn:4" q:x="&gt;"/>'
    one = smev_transform(f'<p:a xmlns:p="urn:1">{unit}</p:a>'.encode())
    many = smev_transform(f'<p:a xmlns:p="urn:1">{unit * 2000}</p:a>'.encode())
    assert many.count(b"<") == 2 + 2000 * (one.count(b"<") - 2)
    assert many.count(b" xmlns:ns") == 1 + 2000 * (one.count(b" xmlns:ns") - 1)
