"""Our schemas of the message exchange service say the same as the published ones, version by version."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.paths import SCHEMAS
from adapter.xml.schema import Schema
from tests.contract.smev3_caller import SOAP
from tests.contract.smev3_probes import ALSO_INVALID, ALSO_VALID, INVALID, VALID, VERSIONS, known, namespaces, tree

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "smev3"
XS = "{http://www.w3.org/2001/XMLSchema}"
CASES = [pytest.param(version, name, id=f"{version}-{name}") for version in VERSIONS for name in known(version)]
PROBES = {**VALID, **INVALID}


@cache
def ours(version: str) -> Schema:
    return Schema.load(SCHEMAS / "smev3" / version / "service.xsd")


@cache
def reference(version: str) -> etree.XMLSchema:
    """The published schema, all its parts together."""
    folder = REFERENCE / "wsdl" / version
    if not folder.is_dir():
        pytest.skip("the reference schemas (../shared) are not on this machine")
    root = etree.Element(f"{XS}schema")
    for path in sorted(folder.glob("smev-*.xsd")):
        target = etree.parse(path).getroot().get("targetNamespace", "")
        etree.SubElement(root, f"{XS}import", namespace=target, schemaLocation=str(path))
    return etree.XMLSchema(root)


def agreed(version: str, probe: etree._Element) -> bool:
    """The verdict of both schemas, which has to be one."""
    mine, published = ours(version).check(probe) == [], reference(version).validate(etree.ElementTree(probe))
    assert mine == published, etree.tostring(probe)
    return mine


@pytest.mark.parametrize(("version", "name"), CASES)
def test_our_schema_judges(version: str, name: str) -> None:
    text, valid = known(version)[name]
    assert (ours(version).check(tree(text, version)) == []) == valid


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_published_schema_judges_alike(version: str, name: str) -> None:
    text, valid = known(version)[name]
    assert reference(version).validate(etree.ElementTree(tree(text, version))) == valid


@pytest.mark.parametrize("version", ["1.1", "1.3"])
@pytest.mark.parametrize("name", PROBES)
def test_probes_of_another_version_are_judged_alike(version: str, name: str) -> None:
    agreed(version, tree(PROBES[name], version))


def damaged(root: etree._Element, place: int, how: str) -> etree._Element:
    """``root`` with one element left out, doubled, moved, renamed or emptied."""
    root = deepcopy(root)
    elements = list(root.iter(etree.Element))
    element = elements[place % len(elements)]
    parent = element.getparent()
    if parent is None or how == "rename":
        element.tag = element.tag.replace("e", "a", 1)
    elif how == "drop":
        parent.remove(element)
    elif how == "double":
        element.addnext(deepcopy(element))
    elif how == "move":
        parent.append(element)
    else:
        element.clear()
    return root


@settings(max_examples=300, deadline=None)
@given(data=st.data(), place=st.integers(0, 60), how=st.sampled_from(["rename", "drop", "double", "move", "empty"]))
@pytest.mark.parametrize("version", VERSIONS)
def test_damaged_messages_are_judged_alike(version: str, data: st.DataObject, place: int, how: str) -> None:
    text = data.draw(st.sampled_from([*VALID.values(), *ALSO_VALID[version].values(), *ALSO_INVALID[version].values()]))
    agreed(version, damaged(tree(text, version), place, how))


@pytest.mark.parametrize("folder", ["signed", "faults"])
def test_real_messages_are_valid_by_both(folder: str) -> None:
    seen = 0
    reference("1.2")
    for path in sorted((REFERENCE / folder).glob("*.xml")):
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        if data.startswith(b"--"):
            data = data[data.index(b"<soap:Envelope") : data.index(b"</soap:Envelope>") + len(b"</soap:Envelope>")]
        body = etree.fromstring(data).find(f"{{{SOAP}}}Body")
        assert body is not None
        detail = body.find("*/detail")
        content = body[0] if detail is None else detail[0]
        if content.tag == f"{{{SOAP}}}Fault":
            continue
        alone = etree.fromstring(etree.tostring(content, with_tail=False))
        assert agreed("1.2", alone), path.name
        seen += 1
    assert seen >= 4


def names_of(folder: Path) -> dict[str, set[str]]:
    """Names of global elements and of every enumerated value by namespace."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*.xsd"):
        root = etree.parse(path).getroot()
        if root.get("targetNamespace"):
            names = found.setdefault(root.get("targetNamespace", ""), set())
            names |= {f"element {element.get('name')}" for element in root.iterfind(f"{XS}element")}
            names |= {f"field {e.get('name')}" for e in root.iter(f"{XS}element") if e.get("name")}
            names |= {f"value {element.get('value')}" for element in root.iter(f"{XS}enumeration")}
            names |= {f"attribute {element.get('name')}" for element in root.iter(f"{XS}attribute")}
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_both_schemas_know_the_same_names(version: str) -> None:
    reference(version)
    assert names_of(SCHEMAS / "smev3" / version) == names_of(REFERENCE / "wsdl" / version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_namespaces_are_those_of_the_version(version: str) -> None:
    targets = {
        etree.parse(path).getroot().get("targetNamespace") for path in (SCHEMAS / "smev3" / version).glob("*.xsd")
    }
    assert targets - {None} <= set(namespaces(version).values())
