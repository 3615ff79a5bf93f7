from __future__ import annotations

import time

import pytest

from adapter.xml.parser import XmlError, parse, serialize

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


def test_whitespace_comments_and_instructions_are_kept_and_cdata_becomes_text() -> None:
    source = b"<a> <!-- b --><?c d?>\n<e>&lt;f</e></a>"
    assert serialize(parse(source.replace(b"&lt;f", b"<![CDATA[<f]]>"))) == source


def test_an_element_is_written_with_its_namespaces_and_without_its_tail() -> None:
    root = parse('<p:a xmlns:p="urn:1"><p:b>пусто</p:b>tail</p:a>'.encode())
    assert serialize(root[0]) == '<p:b xmlns:p="urn:1">пусто</p:b>'.encode()


@pytest.mark.parametrize(
    "source",
    [
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a+AD4APA-a/+AD4-',
    ],
)
def test_a_document_type_is_refused_in_every_disguise(source: bytes) -> None:
    with pytest.raises(XmlError):
        parse(source)


@pytest.mark.parametrize("body", ["<a>&l11;</a>", '<a b="&l11;"/>'])
def test_entities_that_multiply_are_refused_at_once(body: str) -> None:
    began = time.process_time()
    with pytest.raises(XmlError):
        parse(f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>{body}'.encode())
    assert time.process_time() - began < 2


def test_depth_is_bounded() -> None:
    parse(b"<a>" * 256 + b"</a>" * 256)
    with pytest.raises(XmlError, match="resource limit"):
        parse(b"<a>" * 257 + b"</a>" * 257)


def test_size_is_bounded() -> None:
    parse(b"<abc/>", max_bytes=6)
    with pytest.raises(XmlError, match="larger than 5 bytes"):
        parse(b"<abc/>", max_bytes=5)


@pytest.mark.parametrize(
    "source",
    [b"", b"secret", b"<secret>", b"<a></secret>", b'<a secret="1" secret="2"/>', b"<a>&secret;</a>", b"<secret:a/>",
     b"<a>\x00secret</a>", b"<a>secret\xff</a>", b'<?xml version="1.0" encoding="secret"?><a/>'],
)  # fmt: skip
def test_what_is_not_well_formed_is_refused_without_repeating_it(source: bytes) -> None:
    with pytest.raises(XmlError) as caught:
        parse(source)
    assert caught.value.rule == str(caught.value)
    assert "secret" not in caught.value.rule


def test_a_namespace_may_be_named_by_an_iri() -> None:
    source = '<a xmlns="http://пф.рф/УТ/2014-01-01"><b:c xmlns:b="http://пф.рф/ВВ"/></a>'.encode()
    assert serialize(parse(source)) == source
    assert (
        serialize(parse(b'<?xml version="1.0" encoding="windows-1251"?>' + source.decode().encode("cp1251"))) == source
    )


@pytest.mark.parametrize(
    "source",
    [
        '<a xmlns="http://пф.рф/x"/><b/>',
        '<a xmlns="http://пф.рф/x"/>text',
        '<a xmlns="http://пф.рф/x"><b></a>',
        '<a xmlns="http://пф.рф/x"><!-- c</a>',
        '<a xmlns="http://пф.рф/x"><b:c/></a>',
        '<a xmlns="http://пф.рф/x" b="1" b="2"/>',
        '<a xmlns="http://пф.рф/x">&b;</a>',
        '<!DOCTYPE a><a xmlns="http://пф.рф/x"/>',
        '<a xmlns="http://пф.рф/x">' + "<b>" * 256 + "</b>" * 256 + "</a>",
    ],
)
def test_beside_an_iri_every_other_fault_is_refused_as_ever(source: str) -> None:
    with pytest.raises(XmlError):
        parse(source.encode())
