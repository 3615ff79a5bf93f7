"""Our schema of zhkh-debt-requests against the reference one: the same documents pass and the same are refused."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.xml.mapping import XmlModel

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
    assert canonical(dump(load(document, _model(document)), etree.QName(document))) == canonical(document)


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


@pytest.mark.parametrize(
    "sample", [path for path in SAMPLES if path.stem.startswith("seed_")], ids=lambda path: path.stem
)
def test_a_seed_document_with_any_one_change_gets_the_same_verdict(sample: Path, theirs: etree.XMLSchema) -> None:
    good = compact(sample.read_bytes())
    verdicts = set()
    for place in range(len(list(good.iter()))):
        for change in CHANGES:
            document = deepcopy(good)
            change(list(document.iter())[place])
            verdict = theirs.validate(document)
            assert OURS.validate(document) == verdict, etree.tostring(document)
            verdicts.add(verdict)
            if verdict:
                load(document, _model(document))
    assert verdicts == {True, False}


@settings(max_examples=200, deadline=None)
@given(spoil=st.data())
def test_a_document_with_several_changes_gets_the_same_verdict(spoil: st.DataObject, theirs: etree.XMLSchema) -> None:
    document = compact(spoil.draw(st.sampled_from(SAMPLES)).read_bytes())
    for _ in range(spoil.draw(st.integers(2, 3))):
        spoil.draw(st.sampled_from(CHANGES))(spoil.draw(st.sampled_from(list(document.iter()))))
    assert OURS.validate(document) == theirs.validate(document)


def _model(document: etree._Element) -> type[XmlModel]:
    request = etree.QName(document).localname == "ImportDebtRequestsRequest"
    return ImportDebtRequestsRequest if request else ImportDebtRequestsResponse


_TEXTS = [
    "", " ", "1", "+1", "-1", " 7 ", "2147483647", "2147483648", "1.0", "x", "я" * 255, "я" * 256, "SEND", "send",
    "REVOKE", "1" * 11, "1" * 12, "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000g",
    " 00000000-0000-0000-0000-00000000000a", "2026-11-02T09:30:00", "2026-13-02T09:30:00", "2026-11-02",
]  # fmt: skip
_NAMES = [
    f"{{{ns}}}{name}" for ns in (DR, COMMON) for name in
    ("transport-id", "request-id", "action-type", "request-data", "action", "id", "success", "error", "result",
     "error-code", "stacktrace", "middlename", "address-details", "ImportDebtRequestsResponse")
]  # fmt: skip


def _text(text: str, element: etree._Element) -> None:
    element.text = text


def _name(name: str, element: etree._Element) -> None:
    element.tag = name


def _identified(value: str, element: etree._Element) -> None:
    element.set("Id", value)


def _child(name: str, text: str, element: etree._Element) -> None:
    etree.SubElement(element, name).text = text


def _dropped(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _twice(element: etree._Element) -> None:
    if element.getparent() is not None:
        element.addnext(deepcopy(element))


def _last(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.append(element)


#: Every single change that the tests make to a document, each to one element.
CHANGES: list[Callable[[etree._Element], None]] = [
    *(partial(_text, text) for text in _TEXTS),
    *(partial(_name, name) for name in _NAMES),
    *(partial(_identified, value) for value in ("a1", "1a", "")),
    *(partial(_child, name, text) for name in _NAMES for text in ("", "x")),
    _dropped,
    _twice,
    _last,
]
