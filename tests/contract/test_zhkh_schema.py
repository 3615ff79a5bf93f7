"""Our schema of zhkh-debt-requests against the reference one: the same documents pass and the same are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.paths import SCHEMAS
from adapter.services.zhkh_debt_requests import (
    EXAMPLES,
    ImportDebtRequestsRequest,
    ImportDebtRequestsResponse,
    ZhkhDebtRequests,
)
from adapter.xml.mapping import dump, load
from adapter.xml.parser import parse
from tests.unit.services.zhkh_commands import answer, command, commands

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "zhkh"
SAMPLES = sorted(REFERENCE.glob("samples/*.xml"))
OURS = etree.XMLSchema(etree.parse(SCHEMAS / str(ZhkhDebtRequests.schema)))
VALID = [sample for sample in SAMPLES if OURS.validate(etree.parse(sample))]
DR, COMMON = "urn:dom.gosuslugi.ru/debt-requests/1.0.0", "urn:dom.gosuslugi.ru/common/1.2.0"

pytestmark = pytest.mark.skipif(not SAMPLES, reason="the reference schemas and samples are not beside this checkout")


@pytest.fixture(scope="module")
def theirs() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(REFERENCE / "xsd" / "debt-requests-1.0.0.xsd"))


def compact(data: bytes) -> etree._Element:
    return etree.fromstring(data, etree.XMLParser(remove_blank_text=True))


def canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_seed_document_and_probe_gets_the_same_verdict(sample: Path, theirs: etree.XMLSchema) -> None:
    document = parse(sample.read_bytes())
    assert OURS.validate(document) == theirs.validate(document)


@pytest.mark.parametrize("sample", VALID, ids=lambda path: path.stem)
def test_every_valid_sample_loads_and_dumps_back_as_it_was(sample: Path) -> None:
    document = compact(sample.read_bytes())
    name = etree.QName(document)
    model = ImportDebtRequestsRequest if name.localname.endswith("Request") else ImportDebtRequestsResponse
    assert canonical(dump(load(document, model), name)) == canonical(document)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_seeds_json_and_xml_are_each_others_image(number: int) -> None:
    service, example = ZhkhDebtRequests(), EXAMPLES[number - 1]
    request, reply = ((REFERENCE / "samples" / f"seed_ex{number}_{part}") for part in ("request", "response"))
    assert example.request == json.loads(request.with_suffix(".json").read_text())
    assert example.reply == json.loads(reply.with_suffix(".json").read_text())
    sent = command(request.with_suffix(".json").read_bytes())
    assert canonical(parse(service.start(sent).content)) == canonical(compact(request.with_suffix(".xml").read_bytes()))
    assert service.resume(sent, answer(reply.with_suffix(".xml").read_bytes())).outcome == example.reply


@settings(max_examples=60, deadline=None)
@given(tree=commands(2))
def test_every_valid_command_is_valid_by_the_reference_schema(tree: dict[str, Any], theirs: etree.XMLSchema) -> None:
    theirs.assertValid(parse(ZhkhDebtRequests().start(command(tree)).content))


@settings(max_examples=300, deadline=None)
@given(spoil=st.data())
def test_a_document_spoiled_anywhere_gets_the_same_verdict(spoil: st.DataObject, theirs: etree.XMLSchema) -> None:
    document = compact(spoil.draw(st.sampled_from(SAMPLES)).read_bytes())
    for _ in range(spoil.draw(st.integers(1, 3))):
        _mutate(document, spoil)
    ours = OURS.validate(document)
    assert ours == theirs.validate(document)
    if ours:
        model = ImportDebtRequestsRequest if "Request" in str(document.tag)[-8:] else ImportDebtRequestsResponse
        load(document, model)


_TEXTS = st.sampled_from(
    ["", " ", "1", "+1", "-1", " 7 ", "2147483648", "1.0", "x", "я" * 255, "я" * 256, "SEND", "REVOKE", "1" * 11,
     "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000a", "2026-11-02T09:30:00",
     "2026-13-02T09:30:00", "true"]
)  # fmt: skip
_NAMES = st.sampled_from(
    [f"{{{ns}}}{name}" for ns in (DR, COMMON) for name in
     ("transport-id", "request-id", "action-type", "request-data", "action", "id", "success", "error", "result",
      "error-code", "stacktrace", "middlename", "address-details", "ImportDebtRequestsResponse")]
)  # fmt: skip


def _mutate(document: etree._Element, spoil: st.DataObject) -> None:
    """Change one thing somewhere: a text, a name, an attribute, an element's place or number."""
    element = spoil.draw(st.sampled_from(list(document.iter())))
    parent = element.getparent()
    kind = spoil.draw(st.sampled_from(["text", "name", "attribute", "drop", "twice", "last", "child"]))
    if kind == "text":
        element.text = spoil.draw(_TEXTS)
    elif kind == "name":
        element.tag = spoil.draw(_NAMES)
    elif kind == "attribute":
        element.set("Id", spoil.draw(st.sampled_from(["a1", "1a", ""])))
    elif kind == "child":
        etree.SubElement(element, spoil.draw(_NAMES)).text = spoil.draw(_TEXTS)
    elif parent is not None and kind == "drop":
        parent.remove(element)
    elif parent is not None and kind == "twice":
        parent.append(etree.fromstring(etree.tostring(element)))
    elif parent is not None:
        parent.append(element)
