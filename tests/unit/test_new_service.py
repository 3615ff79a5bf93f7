"""``adapter new-service``: what it drafts works as it stands, and what it cannot draft it refuses by name."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter import cli
from adapter.errors import InvalidCommandError
from adapter.paths import SCHEMAS
from adapter.services.zhkh_debt_responses import ExportDebtRequestsRequest, ZhkhDebtResponses
from adapter.xml.mapping import load
from adapter.xml.parser import parse
from tests.unit.services.zhkh_commands import answer, command
from tests.unit.services.zhkh_responses import documents

if TYPE_CHECKING:
    from adapter.services.information_type import InformationType

PROJECT = Path(__file__).resolve().parents[2]
DEBTS = SCHEMAS / "zhkh-debt-responses/1.0.0/debt-responses.xsd"
HEAD = (
    '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:test:{name}/1.2.0" '
    'targetNamespace="urn:test:{name}/1.2.0" elementFormDefault="qualified">'
)
ANSWER = '<xs:element name="TestResponse"><xs:complexType><xs:sequence>{}</xs:sequence></xs:complexType></xs:element>'
DONE = ANSWER.format('<xs:element name="done" type="xs:boolean"/>')


def schema(content: str, *, more: str = DONE, name: str = "x") -> str:
    """A schema whose request holds ``content``."""
    request = f'<xs:element name="TestRequest"><xs:complexType>{content}</xs:complexType></xs:element>'
    return f"{HEAD.format(name=name)}{request}{more}</xs:schema>"


def of(simple: str, *, least: int = 1) -> str:
    restriction = f'<xs:simpleType><xs:restriction base="{simple}</xs:restriction></xs:simpleType>'
    return f'<xs:sequence><xs:element name="value" minOccurs="{least}">{restriction}</xs:element></xs:sequence>'


def element(attributes: str) -> str:
    return f"<xs:sequence><xs:element {attributes}/></xs:sequence>"


LONG = "Очень длинное описание с \"кавычками\", 'апострофами' и \\ чертой. " * 20
GOOD = {
    "optional": element('name="value" type="xs:string" minOccurs="0"'),
    "repeated": element('name="entry" type="xs:string" minOccurs="2" maxOccurs="unbounded"'),
    "enumeration": of('xs:string"><xs:enumeration value="A"/><xs:enumeration value="Б &quot;в&quot;"/>'),
    "many-values": of('xs:string">' + "".join(f'<xs:enumeration value="VALUE-{n:03}"/>' for n in range(99))),
    "long-values": of(f'xs:string"><xs:enumeration value="{"ы" * 200}"/>'),
    "long-names": element(f'name="{"long-" * 15}name" type="xs:string" maxOccurs="9"'),
    "pattern": of(r'xs:string"><xs:pattern value="[A-Z]{2}-\d{4}"/>'),
    "alternatives": of(r'xs:string"><xs:pattern value="\d{3}"/><xs:pattern value="[а-я]{5}"/>'),
    "foreign-pattern": of(r'xs:string"><xs:pattern value="[a-z-[aeiou]]*"/>'),
    "length": of('xs:string"><xs:length value="300"/>'),
    "bounds": of('xs:integer"><xs:minExclusive value="5"/><xs:maxInclusive value="9"/>'),
    "date": element('name="on-date" type="xs:date" maxOccurs="3"'),
    "moment": element('name="at" type="xs:dateTime"'),
    "money": element('name="sum" type="xs:decimal"'),
    "base64": element('name="content" type="xs:base64Binary"'),
    "year": element('name="year" type="xs:gYear"'),
    "fixed": element('name="kind" type="xs:string" fixed="only"'),
    "boolean": element('name="agreed" type="xs:boolean" default="true"'),
    "names": "<xs:sequence>"
    + "".join(
        f'<xs:element name="{name}" type="xs:string"/>'
        for name in (
            "class",
            "json",
            "СвЮЛ",
            "LegalEntityName",
            "ИНН",
            "a_b",
            "a.b",
            "list",
            "model_config",
            "str",
            "_1",
        )
    )
    + "</xs:sequence>",
    "nested": "<xs:sequence>"
    '<xs:element name="person" maxOccurs="5"><xs:complexType><xs:sequence>'
    '<xs:element name="name" type="xs:string"/><xs:element name="document" minOccurs="0"><xs:complexType>'
    '<xs:sequence><xs:element name="number" type="xs:int"/></xs:sequence></xs:complexType></xs:element>'
    "</xs:sequence></xs:complexType></xs:element></xs:sequence>",
    "attribute": '<xs:sequence><xs:element name="value" type="xs:string"/></xs:sequence>'
    '<xs:attribute name="kind" type="xs:int" use="required"/><xs:attribute name="Id" type="xs:ID"/>',
    "choice": '<xs:choice><xs:element name="inn" type="xs:string"/><xs:sequence>'
    '<xs:element name="name" type="xs:string"/><xs:element name="born" type="xs:date" minOccurs="0"/>'
    "</xs:sequence></xs:choice>",
    "described": f'<xs:sequence><xs:element name="value" type="xs:string"><xs:annotation><xs:documentation>{LONG}'
    "</xs:documentation></xs:annotation></xs:element></xs:sequence>",
    "empty": "",
}


_TYPES = [
    "string", "int", "boolean", "date", "dateTime", "decimal", "base64Binary", "hexBinary", "positiveInteger", "byte",
    "anyURI", "token", "gYear", "time", "double", "NMTOKEN", "language", "duration", "unsignedInt",
]  # fmt: skip
_NAMES = ["a", "b", "Cd", "e-f", "g_h", "type", "Ю", "id", "XMLName", "n1"]
_RESTRICTED = [
    '"xs:string"><xs:maxLength value="3"/>',
    '"xs:string"><xs:minLength value="0"/><xs:maxLength value="0"/>',
    '"xs:string"><xs:minLength value="7"/>',
    '"xs:int"><xs:maxExclusive value="-5"/>',
    '"xs:string"><xs:enumeration value=""/><xs:enumeration value="в"/>',
    '"xs:string"><xs:pattern value="[А-Я]{3}\\d{2}"/>',
    '"xs:int"><xs:enumeration value="1"/><xs:enumeration value="2"/>',
]


def _occurring(draw: st.DrawFn) -> str:
    least, more = draw(st.integers(0, 2)), draw(st.sampled_from([0, 1, 3, None]))
    most = "unbounded" if more is None else max(least + more, 1)
    return f'minOccurs="{least}" maxOccurs="{most}"'


@st.composite
def contents(draw: st.DrawFn) -> str:
    """Particles of a request, nested up to three deep; names stay unique, so that the schema is never ambiguous."""
    names = iter(draw(st.permutations([f"{name}{digit}" for name in _NAMES for digit in "xyz"])))

    def particle(depth: int) -> str:
        kind = draw(st.sampled_from(["plain", "plain", "restricted", "model", "choice", "sequence"]))
        if kind in ("choice", "sequence") and depth < 3:
            parts = "".join(particle(depth + 1) for _ in range(draw(st.integers(1, 3))))
            return f'<xs:{kind} minOccurs="{draw(st.integers(0, 1))}">{parts}</xs:{kind}>'
        name = next(names)
        head = f'<xs:element name="{name}" {_occurring(draw)}'
        if kind == "model" and depth < 3:
            inner = "".join(particle(depth + 1) for _ in range(draw(st.integers(1, 2))))
            attribute = draw(st.sampled_from(["", f'<xs:attribute name="{name}" type="xs:int" use="required"/>']))
            return f"{head}><xs:complexType><xs:sequence>{inner}</xs:sequence>{attribute}</xs:complexType></xs:element>"
        if kind == "restricted":
            rule = draw(st.sampled_from(_RESTRICTED))
            return f"{head}><xs:simpleType><xs:restriction base={rule}</xs:restriction></xs:simpleType></xs:element>"
        return f'{head} type="xs:{draw(st.sampled_from(_TYPES))}"/>'

    return f"<xs:sequence>{''.join(particle(1) for _ in range(draw(st.integers(0, 3))))}</xs:sequence>"


def drafted(path: Path, out: Path, *more: str) -> int:
    return cli.main(["new-service", str(path), "--out", str(out), *more])


def loaded(out: Path, module: str) -> InformationType:
    spec = importlib.util.spec_from_file_location(f"test_{module}", out / f"adapter/services/{module}.py")
    assert spec is not None
    assert spec.loader is not None
    made: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made.make({})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every good schema drafted into one project, and the one of debt responses beside them."""
    out = tmp_path_factory.mktemp("project")
    for name, content in GOOD.items():
        path = out / f"{name}.xsd"
        path.write_text(schema(content, name=name), encoding="utf-8")
        assert drafted(path, out) == 0, name
    assert drafted(DEBTS, out, "--action", "zhkh-debt-drafted") == 0
    return out


@pytest.mark.parametrize("name", [*GOOD, "zhkh-debt-drafted"])
def test_the_drafted_example_is_valid_by_the_schema(folder: Path, name: str) -> None:
    service = loaded(folder, name.replace("-", "_"))
    example = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert example == service.examples[0].request
    assert service.schema is not None
    compiled = etree.XMLSchema(etree.parse(folder / "schemas" / service.schema))
    compiled.assertValid(etree.fromstring(service.start(command(example)).content))


def test_the_page_of_debt_responses_is_the_drafted_one(tmp_path: Path) -> None:
    assert drafted(DEBTS, tmp_path, "--action", "zhkh-debt-responses") == 0
    page = "docs/services/zhkh-debt-responses.md"
    assert (PROJECT / page).read_text(encoding="utf-8") == (tmp_path / page).read_text(encoding="utf-8")


def test_the_drafted_example_is_a_command_of_the_service_written_by_hand(folder: Path) -> None:
    example = json.loads((folder / "zhkh-debt-drafted.json").read_text(encoding="utf-8"))
    by_hand, by_draft = ZhkhDebtResponses().start(command(example)), loaded(folder, "zhkh_debt_drafted")
    assert canonical(by_hand.content) == canonical(by_draft.start(command(example)).content)


@pytest.mark.parametrize("name", documents())
def test_the_draft_of_debt_responses_reads_and_writes_like_the_service_written_by_hand(folder: Path, name: str) -> None:
    service, xml = loaded(folder, "zhkh_debt_drafted"), documents()[name]
    if b"Response " in xml:
        assert service.resume(command({}), answer(xml)) == ZhkhDebtResponses().resume(command({}), answer(xml))
    else:
        tree = json.loads(load(parse(xml), ExportDebtRequestsRequest).model_dump_json())
        assert canonical(service.start(command(tree)).content) == canonical(xml)


def canonical(content: bytes) -> bytes:
    """XML whatever its prefixes, by rewriting them as the parser finds namespaces."""
    root = etree.fromstring(content)
    return repr([(node.tag, node.text, dict(node.attrib)) for node in root.iter()]).encode()


def test_drafted_modules_pass_ruff_and_mypy(folder: Path) -> None:
    files = sorted(map(str, (folder / "adapter/services").glob("*.py")))
    settings = str(PROJECT / "pyproject.toml")
    for arguments in (
        ["ruff", "check", "--no-cache", "--config", settings, "--ignore", "INP001", *files],
        ["mypy", "--config-file", settings, "--cache-dir", str(PROJECT / ".mypy_cache"), *files],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=contents())
def test_whatever_is_drafted_works_and_the_rest_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    out = tmp_path_factory.mktemp("wild")
    path = out / "wild.xsd"
    path.write_text(schema(content, name="wild"), encoding="utf-8")
    code = drafted(path, out)
    event(f"code {code}")
    assert code in (0, 2)
    if code == 0:
        example = json.loads((out / "wild.json").read_text(encoding="utf-8"))
        content_bytes = loaded(out, "wild").start(command(example)).content
        etree.XMLSchema(etree.parse(path)).assertValid(etree.fromstring(content_bytes))


def test_a_choice_is_a_rule_of_the_drafted_command(folder: Path) -> None:
    service = loaded(folder, "choice")
    broken = {"neither": {}, "both": {"inn": "1", "name": "x"}, "half": {"born": "2026-01-01"}}
    for tree in broken.values():
        with pytest.raises(InvalidCommandError):
            service.start(command(tree))
    assert b"<tns:born>" in service.start(command({"name": "x", "born": "2026-01-01"})).content


def test_the_drafted_answer_is_read(folder: Path) -> None:
    service = loaded(folder, "optional")
    told = b'<TestResponse xmlns="urn:test:optional/1.2.0"><done>1</done></TestResponse>'
    assert service.resume(command({}), answer(told)).outcome == {"result": {"done": True}}


REFUSED = {
    "recursive": (
        '<xs:sequence><xs:element name="node" type="t:Node"/></xs:sequence>',
        (
            '<xs:complexType name="Node"><xs:sequence><xs:element name="node" type="t:Node" minOccurs="0"/>'
            "</xs:sequence></xs:complexType>"
        ),
        "the type Node holds itself",
    ),
    "any": ('<xs:sequence><xs:any processContents="lax"/></xs:sequence>', "", "xs:any may hold anything"),
    "mixed": (
        '<xs:sequence><xs:element name="p"><xs:complexType mixed="true"/></xs:element></xs:sequence>',
        "",
        "text between elements",
    ),
    "repeated choice": (
        '<xs:choice maxOccurs="9"><xs:element name="a" type="xs:int"/><xs:element name="b" type="xs:int"/></xs:choice>',
        "",
        "a repeated xs:choice",
    ),
    "unqualified": (element('name="a" type="xs:int" form="unqualified"'), "", "TestRequest/a: an element without"),
    "text with attributes": (
        (
            '<xs:sequence><xs:element name="a"><xs:complexType><xs:simpleContent><xs:extension base="xs:string"/>'
            "</xs:simpleContent></xs:complexType></xs:element></xs:sequence>"
        ),
        "",
        "xs:simpleContent is not drafted",
    ),
    "untyped": (element('name="a"'), "", "TestRequest/a: an element without a type"),
    "unknown type": (element('name="a" type="t:Nowhere"'), "", "does not compile"),
    "twice": (
        (
            '<xs:sequence><xs:element name="a" type="xs:int"/><xs:element name="b" type="xs:int"/>'
            '<xs:element name="a" type="xs:int"/></xs:sequence>'
        ),
        "",
        "a stands in two places",
    ),
    "far import": ("", '<xs:import namespace="urn:far" schemaLocation="http://example.org/far.xsd"/>', "below"),
    "upward import": ("", '<xs:import namespace="urn:far" schemaLocation="../far.xsd"/>', "not below its folder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drafted_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, types, reason = REFUSED[name]
    path = tmp_path / "bad.xsd"
    path.write_text(schema(content, more=types + DONE), encoding="utf-8")
    assert drafted(path, tmp_path / "out") == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', f"{HEAD.format(name='x')}</xs:schema>"],
)
def test_what_is_no_schema_of_two_messages_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.xsd"
    path.write_text(text, encoding="utf-8")
    assert drafted(path, tmp_path / "out") == 2


def test_nothing_is_written_over_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "again-1.0.0.xsd"
    path.write_text(schema(GOOD["optional"]), encoding="utf-8")
    assert drafted(path, tmp_path) == 0
    module = tmp_path / "adapter/services/again.py"
    module.write_text("mine", encoding="utf-8")
    assert drafted(path, tmp_path) == 2
    assert "--force" in capsys.readouterr().err
    assert module.read_text(encoding="utf-8") == "mine"
    assert drafted(path, tmp_path, "--force") == 0
    assert module.read_text(encoding="utf-8") != "mine"


def test_of_two_root_elements_the_one_with_a_plain_name_is_the_other_message(tmp_path: Path) -> None:
    path = tmp_path / "form.xsd"
    path.write_text(schema(GOOD["optional"]).replace("TestRequest", "FormData"), encoding="utf-8")
    assert drafted(path, tmp_path) == 0
    assert loaded(tmp_path, "form").request_root.localname == "FormData"


def test_root_elements_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "roots.xsd"
    more = DONE + DONE.replace("TestResponse", "OtherResponse")
    path.write_text(schema(GOOD["optional"], more=more), encoding="utf-8")
    assert drafted(path, tmp_path) == 2
    assert drafted(path, tmp_path, "--answer", "NoResponse") == 2
    assert drafted(path, tmp_path, "--answer", "OtherResponse") == 0
    assert loaded(tmp_path, "roots").answer_root.localname == "OtherResponse"


@pytest.mark.parametrize("action", ["Zhkh", "a b", "../a", "1a", "a_b"])
def test_a_name_that_is_no_action_is_refused(tmp_path: Path, action: str) -> None:
    assert drafted(DEBTS, tmp_path, "--action", action) == 2
