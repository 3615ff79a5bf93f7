"""Our schemas and WSDLs of the ШЭП say the same as the operator's."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import zeep
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.paths import SCHEMAS
from adapter.xml.schema import Schema
from tests.contract.shep_reference import REFERENCE, XS, reference
from tests.contract.shep_samples import INVALID, SOAP, VALID

if TYPE_CHECKING:
    from pathlib import Path

OURS = SCHEMAS / "shep"
#: Our WSDL and the operator's.
PORTS = {
    "sync": "SyncChannel/v10/Interfaces/SyncChannelHttp_Service.wsdl",
    "async": "AsyncChannel/v10/Interfaces/AsyncChannelHttp_Service.wsdl",
    "client": "AsyncChannel/v10/Interfaces/AsyncChannelClientHttp_Service.wsdl",
}


@cache
def ours() -> Schema:
    return Schema.load(OURS / "shep.xsd")


def agreed(probe: etree._Element) -> bool:
    """The verdict of both schemas, which has to be one."""
    mine, theirs = ours().check(probe) == [], reference().validate(etree.ElementTree(probe))
    assert mine == theirs, etree.tostring(probe)
    return mine


@pytest.mark.parametrize("name", [*VALID, *INVALID])
def test_our_schema_judges(name: str) -> None:
    text = VALID.get(name) or INVALID[name]
    assert (ours().check(etree.fromstring(text)) == []) == (name in VALID)


@pytest.mark.parametrize("name", [*VALID, *INVALID])
def test_the_operators_schema_judges_alike(name: str) -> None:
    agreed(etree.fromstring(VALID.get(name) or INVALID[name]))


@settings(max_examples=400, deadline=None)
@given(text=st.sampled_from(list(VALID.values())), place=st.integers(0, 60), data=st.data())
def test_damaged_messages_are_judged_alike(text: str, place: int, data: st.DataObject) -> None:
    root = etree.fromstring(text)
    elements = list(root.iter(etree.Element))
    element = elements[place % len(elements)]
    parent = element.getparent()
    match data.draw(st.sampled_from(["rename", "drop", "double", "move", "empty", "text", "nil"])):
        case "drop" if parent is not None:
            parent.remove(element)
        case "double" if parent is not None:
            element.addnext(deepcopy(element))
        case "move" if parent is not None:
            parent.append(element)
        case "empty":
            element.clear()
        case "text":
            element.text = data.draw(st.sampled_from(["", " ", "1", "x" * 501, "REQUEST", "ON_DELIVERY"]))
        case "nil":
            element.set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true")
        case _:
            element.tag = element.tag.replace("e", "a", 1)
    agreed(root)


def test_every_sample_is_valid_by_both() -> None:
    reference()
    seen = 0
    for path in sorted((REFERENCE / "samples").rglob("*.xml")):
        body = etree.parse(path).getroot().find(f"{{{SOAP}}}Body")
        if body is None:
            continue
        detail = body.find("*/detail")
        content = etree.fromstring(etree.tostring(body[0] if detail is None else detail[0], with_tail=False))
        for data in content.iter("{*}data"):  # types of business data are the receiver's, no schema here knows them
            data.attrib.clear()
            data.tag = "data"
        assert agreed(content), path.name
        seen += 1
    assert seen >= 18


def names_of(folder: Path) -> dict[str, set[str]]:
    """Names of elements, types and enumerated values by namespace."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*.xsd"):
        root = etree.parse(path).getroot()
        if root.get("targetNamespace"):
            names = found.setdefault(root.get("targetNamespace", ""), set())
            names |= {f"global {e.get('name')}" for e in root if e.get("name")}
            names |= {f"field {e.get('name')}" for e in root.iter(f"{XS}element") if e.get("name")}
            names |= {f"value {e.get('value')}" for e in root.iter(f"{XS}enumeration")}
    return found


def test_both_schemas_know_the_same_names() -> None:
    reference()
    assert names_of(OURS) == names_of(REFERENCE / "xsd")


def contract(wsdl: Path) -> dict[str, Any]:
    """What a client sees of a WSDL: ports, operations, their elements and SOAP actions."""
    document = zeep.Client(wsdl.as_uri()).wsdl
    return {
        f"{service.name}/{port.name}/{port.binding.name}/{port.binding.port_type.name}/{operation.name}": (
            operation.soapaction,
            operation.style,
            str(operation.input.body.qname),
            str(operation.output.body.qname),
            [
                (name, [str(part.element.qname) for part in fault.abstract.parts.values()])
                for name, fault in operation.faults.items()
            ],
        )
        for service in document.services.values()
        for port in service.ports.values()
        for operation in port.binding._operations.values()
    }


@pytest.mark.parametrize("port", PORTS)
def test_our_wsdl_describes_the_same_service(port: str) -> None:
    theirs = REFERENCE / "wsdl" / "nitec-shep-service" / PORTS[port]
    if not theirs.is_file():
        pytest.skip("the operator's WSDLs (../shared) are not on this machine")
    mine = contract(OURS / f"{port}.wsdl")
    assert mine
    assert mine == contract(theirs)


def test_the_three_services_have_seven_operations_together() -> None:
    assert sum(len(contract(OURS / f"{port}.wsdl")) for port in PORTS) == 7
