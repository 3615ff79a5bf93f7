from typing import Annotated, Any, ClassVar, Literal

import pytest
from lxml import etree
from pydantic import Field

from adapter.xml.mapping import Namespace, Xml, XmlModel, dump, load, many, record
from adapter.xml.parser import XmlError, parse, serialize

BASE = Namespace("urn:base", "b")
OWN = Namespace("urn:own", "o")
ROOT = etree.QName("urn:own", "Whole")


class Base(XmlModel):
    xml_ns: ClassVar[Namespace] = BASE
    xml_id: ClassVar[bool] = True
    system_id: str


class Entry(XmlModel):
    xml_ns: ClassVar[Namespace] = OWN
    code: Annotated[int, Field(le=99)]
    has_debt: bool | None = None
    inner_entries: list["Entry"] | None = None


class Whole(Base):
    xml_ns: ClassVar[Namespace] = OWN
    kind: Literal["A", "B"] | None = None
    entries: list[Entry] = Field(default=[])
    request_ids: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=3)] = Field(default=[])
    classes: list[str] | None = None
    result: list[str] | None = None
    status: Annotated[str | None, Xml(name="STATUS", ns=BASE)] = None
    version: Annotated[int | None, Xml(attribute=True)] = None
    empty: Entry | None = None


def xml(inner: str, attributes: str = "") -> etree._Element:
    text = f'<o:Whole xmlns:o="urn:own" xmlns:b="urn:base"{attributes}><b:system-id>s</b:system-id>{inner}</o:Whole>'
    return parse(text.encode())


FULL = Whole(
    system_id="s",
    kind="B",
    entries=[Entry(code=1, has_debt=True, inner_entries=[Entry(code=-2)]), Entry(code=3, has_debt=False)],
    request_ids=["r1", "r2"],
    classes=["c"],
    result=["x"],
    status="",
    version=7,
)
FULL_XML = (
    '<o:Whole xmlns:o="urn:own" xmlns:b="urn:base" version="7"><b:system-id>s</b:system-id><o:kind>B</o:kind>'
    "<o:entry><o:code>1</o:code><o:has-debt>true</o:has-debt><o:inner-entry><o:code>-2</o:code></o:inner-entry></o:entry>"
    "<o:entry><o:code>3</o:code><o:has-debt>false</o:has-debt></o:entry>"
    "<o:request-id>r1</o:request-id><o:request-id>r2</o:request-id><o:class>c</o:class><o:result>x</o:result>"
    "<b:STATUS/></o:Whole>"
)


def canonical(data: bytes) -> bytes:
    return etree.tostring(parse(data), method="c14n")


def test_names_order_namespaces_lists_and_attributes_follow_the_model() -> None:
    assert canonical(serialize(dump(FULL, ROOT))) == canonical(FULL_XML.encode())


def test_what_was_dumped_loads_back_as_the_same_model() -> None:
    assert load(parse(FULL_XML.encode()), Whole) == FULL


def test_absent_fields_are_absent_elements_both_ways() -> None:
    bare = Whole(system_id="s")
    assert serialize(dump(bare, ROOT)).count(b"<") == 4
    assert load(xml(""), Whole) == bare


def test_an_identifier_becomes_the_id_attribute_and_loads_as_nothing() -> None:
    element = dump(FULL, ROOT, identifier="id-1")
    assert element.get("Id") == "id-1"
    assert load(element, Whole) == FULL


def test_a_model_without_an_id_takes_none() -> None:
    with pytest.raises(ValueError, match="takes no Id"):
        dump(Entry(code=1), etree.QName("urn:own", "Entry"), identifier="id-1")
    with pytest.raises(XmlError, match="Entry: unknown attribute Id"):
        load(parse(b'<Entry xmlns="urn:own" Id="x"><code>1</code></Entry>'), Entry)


@pytest.mark.parametrize("text", [" both ends ", "\t\n", "a\rb", "<&>\"'", "]]", "😀", "\u00a0"])
def test_texts_survive_bytes_verbatim(text: str) -> None:
    model = Whole(system_id=text, request_ids=[text])
    assert load(parse(serialize(dump(model, ROOT))), Whole) == model


def test_a_text_that_xml_cannot_carry_is_refused_without_being_told() -> None:
    with pytest.raises(XmlError) as caught:
        dump(Whole(system_id="secret\x00"), ROOT)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_comments_and_instructions_neither_cut_nor_break_values() -> None:
    element = xml("<!-- c --><o:entry><?pi?><o:code>1<!-- c -->2</o:code></o:entry>")
    assert load(element, Whole).entries == [Entry(code=12)]


def test_integers_and_booleans_are_read_in_every_form_of_xsd() -> None:
    element = xml("<o:entry><o:code> +5\n</o:code><o:has-debt>0</o:has-debt></o:entry>")
    assert load(element, Whole).entries == [Entry(code=5, has_debt=False)]


def test_hints_for_validators_are_skipped() -> None:
    hint = ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="urn:own x.xsd"'
    assert load(xml("", hint), Whole) == Whole(system_id="s")


@pytest.mark.parametrize(
    ("inner", "rule"),
    [
        ("<o:surprise/>", "Whole: unknown element surprise"),
        ("<b:kind>A</b:kind>", "Whole: element kind is in the wrong namespace"),
        ("<kind>A</kind>", "Whole: element kind is in the wrong namespace"),
        ("<o:kind>A</o:kind><o:kind>A</o:kind>", r"Whole/kind\[2\]: element may stand only once"),
        ("<o:kind>A<o:x/></o:kind>", "Whole/kind: text expected, found element x"),
        ("<o:kind>SECRET</o:kind>", "Whole/kind: literal error"),
        ('<o:kind a="1">A</o:kind>', "Whole/kind: unknown attribute a"),
        ("SECRET", "Whole: text between elements"),
        ("<o:entry/>", r"Whole/entry\[1\]/code: required element is missing"),
        ("<o:entry>SECRET</o:entry>", "Whole/entry: text between elements"),
        (
            "<o:entry><o:code>1</o:code></o:entry><o:entry><o:code>SECRET</o:code></o:entry>",
            r"Whole/entry\[2\]/code: integer expected",
        ),
        ("<o:entry><o:code>100</o:code></o:entry>", r"Whole/entry\[1\]/code: less than equal"),
        (
            "<o:entry><o:code>1</o:code><o:has-debt>SECRET</o:has-debt></o:entry>",
            "Whole/entry/has-debt: boolean expected",
        ),
        ("<o:request-id/>", r"Whole/request-id\[1\]: string too short"),
        (f"<o:{'x' * 99}/>", f"Whole: unknown element {'x' * 64}…"),
    ],
)
def test_what_the_model_does_not_know_is_refused_by_place_and_rule_without_values(inner: str, rule: str) -> None:
    with pytest.raises(XmlError, match=f"^{rule}$") as caught:
        load(xml(inner), Whole)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["nil", "type"])
def test_schema_instance_attributes_that_change_meaning_are_refused(name: str) -> None:
    attribute = f' xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:{name}="true"'
    with pytest.raises(XmlError, match=f"unknown attribute {name}"):
        load(xml("", attribute), Whole)


def test_an_attribute_of_a_wrong_form_is_refused() -> None:
    with pytest.raises(XmlError, match=r"^Whole: integer expected$"):
        load(xml("", ' version="SECRET"'), Whole)


def unmappable(annotation: Any) -> type[XmlModel]:
    return type("Odd", (XmlModel,), {"__annotations__": {"field": annotation}, "xml_ns": OWN, "__module__": __name__})


@pytest.mark.parametrize(
    "annotation",
    [float, dict[str, str], list[list[str]], int | str, Literal[1, 2], Annotated[list[str], Xml(attribute=True)]],
)
def test_a_field_without_an_xml_form_is_a_mistake_of_the_model_said_at_first_use(annotation: Any) -> None:
    with pytest.raises(TypeError, match="has no XML form"):
        load(parse(b"<a/>"), unmappable(annotation))


def test_one_prefix_for_two_namespaces_is_a_mistake_of_the_model() -> None:
    class Clash(XmlModel):
        xml_ns: ClassVar[Namespace] = OWN
        field: Annotated[str, Xml(ns=Namespace("urn:else", "o"))]

    with pytest.raises(TypeError, match="prefix o means two namespaces"):
        load(parse(b"<a/>"), Clash)


def test_a_record_is_a_model_in_one_expression() -> None:
    line = record("Line", OWN, name=str, hint=str | None)
    page = record("Page", BASE, line=line, others=many(line))
    element = parse(b'<Page xmlns="urn:base" xmlns:o="urn:own"><line><o:name>a</o:name></line></Page>')
    model = load(element, page)
    assert model.model_dump(exclude_none=True) == {"line": {"name": "a"}}
    assert etree.tostring(dump(model, etree.QName("urn:base", "Page")), method="c14n2") == (
        b'<b:Page xmlns:b="urn:base"><b:line><o:name xmlns:o="urn:own">a</o:name></b:line></b:Page>'
    )
    with pytest.raises(XmlError, match="Page/line: required element is missing"):
        load(parse(b'<Page xmlns="urn:base"/>'), page)


def test_an_empty_element_may_stand_for_a_value_that_the_schema_fixes() -> None:
    page = record("Page", OWN, last_page=Annotated[bool | None, Xml(empty="true")])
    for inside, value in (("<last-page/>", True), ("<last-page>false</last-page>", False), ("", None)):
        element = parse(f'<Page xmlns="{OWN.uri}">{inside}</Page>'.encode())
        assert load(element, page).model_dump() == {"last_page": value}
