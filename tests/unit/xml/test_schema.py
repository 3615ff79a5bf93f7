from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.xml.parser import XmlError, parse
from adapter.xml.schema import Schema, SchemaFault

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
  targetNamespace="urn:t" xmlns="urn:t" elementFormDefault="qualified">
  <xs:simpleType name="Code"><xs:restriction base="xs:string">
    <xs:pattern value="[A-Z]+"/><xs:minLength value="2"/><xs:maxLength value="3"/>
  </xs:restriction></xs:simpleType>
  <xs:simpleType name="Kind"><xs:restriction base="xs:string">
    <xs:enumeration value="A"/><xs:enumeration value="B"/>
  </xs:restriction></xs:simpleType>
  <xs:simpleType name="Sum"><xs:restriction base="xs:decimal">
    <xs:minInclusive value="1"/><xs:maxExclusive value="100"/><xs:fractionDigits value="2"/><xs:totalDigits value="4"/>
  </xs:restriction></xs:simpleType>
  <xs:element name="request"><xs:complexType><xs:sequence>
    <xs:element name="action" maxOccurs="3"><xs:complexType><xs:sequence>
      <xs:element name="code" type="Code" minOccurs="0"/>
      <xs:element name="kind" type="Kind" minOccurs="0"/>
      <xs:element name="sum" type="Sum" minOccurs="0"/>
      <xs:element name="date" type="xs:date" minOccurs="0"/>
      <xs:element name="fixed" type="xs:string" fixed="F" minOccurs="0"/>
    </xs:sequence><xs:attribute name="id" type="Code" use="required"/></xs:complexType></xs:element>
  </xs:sequence></xs:complexType>
  <xs:unique name="ids"><xs:selector xpath="t:action" xmlns:t="urn:t"/><xs:field xpath="@id"/></xs:unique></xs:element>
</xs:schema>
"""
NOT_HERE = "is not expected here"
ONE = '<action id="AB"/>'


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    path = tmp_path / "t.xsd"
    path.write_text(SCHEMA)
    return Schema.load(path)


def check(schema: Schema, content: str) -> list[tuple[str, str]]:
    faults = schema.check(parse(f'<request xmlns="urn:t">{content}</request>'.encode()))
    return [(fault.path, fault.rule) for fault in faults]


def test_a_valid_document_has_no_faults(schema: Schema) -> None:
    assert check(schema, '<action id="AB"><code>ABC</code><sum>1.50</sum><date>2026-01-01</date></action>') == []


@pytest.mark.parametrize(
    ("content", "path", "rule"),
    [
        ('<action id="AB"><code>{}</code></action>', "request/action/code", "has to match the pattern [A-Z]+"),
        ('<action id="AB"><code>SECRET</code></action>', "request/action/code", "has to be at most 3 characters long"),
        ('<action id="AB"><code>S</code></action>', "request/action/code", "has to be at least 2 characters long"),
        ('<action id="AB"><kind>{}</kind></action>', "request/action/kind", "has to be one of 'A', 'B'"),
        ('<action id="AB"><sum>{}</sum></action>', "request/action/sum", "is not a valid Sum"),
        ('<action id="AB"><sum>0.5</sum></action>', "request/action/sum", "has to be 1 or more"),
        ('<action id="AB"><sum>100</sum></action>', "request/action/sum", "has to be less than 100"),
        ('<action id="AB"><sum>1.234</sum></action>', "request/action/sum", "has to have at most 2 fractional digits"),
        ('<action id="AB"><sum>99.123</sum></action>', "request/action/sum", "has to have at most 4 digits"),
        ('<action id="AB"><date>{}</date></action>', "request/action/date", "is not a valid xs:date"),
        ('<action id="AB"><fixed>{}</fixed></action>', "request/action/fixed", "has to be F"),
        ('<action id="AB">{}</action>', "request/action", "may not hold text"),
        ('<action id="AB"><code><b/></code></action>', "request/action/code", "may not hold elements"),
        ('<action id="{}"/>', "request/action/@id", "has to match the pattern [A-Z]+"),
        ("<action/>", "request/action", "needs the attribute id"),
        ('<action id="AB" secret="{}"/>', "request/action", "has an attribute that is not allowed"),
        ("", "request", "lacks action"),
        (ONE + "<action id='AC'><date/><code/></action>", "request/action[2]/code", NOT_HERE + ", but fixed is"),
        (ONE + ONE, "request/action[2]", "repeats or lacks a key of ids"),
        (ONE + "<action id='AC'/>" * 2 + ONE, "request/action[4]", "is not expected here"),
    ],
)  # fmt: skip
def test_a_fault_is_a_place_and_a_limit_of_the_schema(schema: Schema, content: str, path: str, rule: str) -> None:
    assert (path, rule) in check(schema, content.replace("{}", "secret"))


@pytest.mark.parametrize(
    "value", ["secret", "secret' by the pattern 'secret", "secret\n{'secret'}.", "secret ('secret').", "{urn:secret}"]
)
def test_no_fault_repeats_a_value_however_it_is_written(schema: Schema, value: str) -> None:
    written = value.replace("'", "&apos;")
    for name in ("code", "kind", "sum", "date", "fixed"):
        faults = check(schema, f'<action id="AB"><{name}>{written}</{name}></action>')
        assert faults
        assert not [rule for _, rule in faults if "secret" in rule]


def test_an_element_inside_a_document_is_named_from_itself_on(schema: Schema) -> None:
    envelope = parse(b'<e xmlns:p="urn:t"><f/><p:request><p:action id="AB"/><p:action id="ab"/></p:request></e>')
    assert schema.check(envelope[1]) == [SchemaFault("request/action[2]/@id", "has to match the pattern [A-Z]+")]


def test_another_root_is_refused(schema: Schema) -> None:
    assert schema.check(parse(b"<other/>")) == [SchemaFault("other", "is not a root element of this schema")]


def test_faults_are_counted_to_a_hundred(tmp_path: Path) -> None:
    (tmp_path / "many.xsd").write_text(SCHEMA.replace('maxOccurs="3"', 'maxOccurs="unbounded"'))
    schema = Schema.load(tmp_path / "many.xsd")
    assert len(check(schema, "".join(f'<action id="A{n}"><code>{n}</code></action>' for n in range(200)))) == 100


def test_a_schema_is_compiled_once(tmp_path: Path) -> None:
    path = tmp_path / "t.xsd"
    path.write_text(SCHEMA)
    assert Schema.load(path) is Schema.load(tmp_path / "." / "t.xsd")


def importing(location: str) -> str:
    return f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t">
      <xs:import namespace="urn:t" schemaLocation="{location}"/>
      <xs:element name="r"><xs:complexType><xs:sequence><xs:element ref="t:request"/></xs:sequence></xs:complexType>
      </xs:element></xs:schema>"""


def test_imports_are_read_from_the_schemas_own_folder_and_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "t.xsd").write_text(SCHEMA)
    (tmp_path / "r.xsd").write_text(importing("below/t.xsd"))
    assert Schema.load(tmp_path / "r.xsd").check(parse(b"<r/>")) == [SchemaFault("r", "lacks request")]


@pytest.mark.parametrize("location", ["../t.xsd", "http://127.0.0.1:9/t.xsd", "file://host/t.xsd"])
def test_imports_from_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "t.xsd").write_text(SCHEMA)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "r.xsd").write_text(importing(location))
    with pytest.raises(XmlError):
        Schema.load(tmp_path / "own" / "r.xsd")
