"""Our schema of zhkh-debt-responses against the reference one: the same documents pass and the same are refused."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.paths import SCHEMAS
from adapter.services.zhkh_debt_responses import ExportDebtRequestsRequest, ZhkhDebtResponses
from adapter.xml.mapping import dump, load
from adapter.xml.parser import parse
from tests.unit.services.zhkh_commands import answer, command
from tests.unit.services.zhkh_responses import commands, documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.xml.mapping import XmlModel

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "zhkh" / "xsd" / "debt-responses-1.0.0.xsd"
OURS = etree.XMLSchema(etree.parse(SCHEMAS / str(ZhkhDebtResponses.schema)))
DOCUMENTS = documents()
DR, COMMON = "urn:dom.gosuslugi.ru/debt-responses/1.0.0", "urn:dom.gosuslugi.ru/common/1.2.0"


@pytest.fixture(scope="module")
def theirs() -> etree.XMLSchema:
    if not REFERENCE.exists():
        pytest.skip("the reference schema (../shared) is not beside this checkout")
    return etree.XMLSchema(etree.parse(REFERENCE))


def _model(document: etree._Element) -> type[XmlModel]:
    request = etree.QName(document).localname == "ExportDebtRequestsRequest"
    return ExportDebtRequestsRequest if request else ZhkhDebtResponses.answer


def _is_answer(document: etree._Element) -> bool:
    return etree.QName(document).localname == "ExportDebtRequestsResponse"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_sample_is_valid_by_ours_and_by_the_reference(name: str, theirs: etree.XMLSchema) -> None:
    document = parse(DOCUMENTS[name])
    OURS.assertValid(document)
    theirs.assertValid(document)


@pytest.mark.parametrize("name", [name for name, xml in DOCUMENTS.items() if not _is_answer(parse(xml))])
def test_every_request_loads_and_dumps_back_as_it_was(name: str) -> None:
    document = parse(DOCUMENTS[name])
    again = dump(load(document, ExportDebtRequestsRequest), etree.QName(document))
    assert etree.tostring(again, method="c14n") == etree.tostring(document, method="c14n")


@settings(max_examples=60, deadline=None)
@given(tree=commands())
def test_every_valid_command_is_valid_by_both_schemas(tree: dict[str, Any], theirs: etree.XMLSchema) -> None:
    document = parse(ZhkhDebtResponses().start(command(tree)).content)
    OURS.assertValid(document)
    theirs.assertValid(document)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_with_any_one_change_gets_the_same_verdict(name: str, theirs: etree.XMLSchema) -> None:
    good = parse(DOCUMENTS[name])
    verdicts = set()
    for place in range(len(list(good.iter()))):
        for change in CHANGES:
            document = deepcopy(good)
            change(list(document.iter())[place])
            verdict = theirs.validate(document)
            assert OURS.validate(document) == verdict, etree.tostring(document)
            verdicts.add(verdict)
            if verdict and _is_answer(document):
                ZhkhDebtResponses().resume(command({}), answer(etree.tostring(document)))
    assert verdicts == {True, False}


@settings(max_examples=100, deadline=None)
@given(spoil=st.data())
def test_a_document_with_several_changes_gets_the_same_verdict(spoil: st.DataObject, theirs: etree.XMLSchema) -> None:
    document = parse(spoil.draw(st.sampled_from(list(DOCUMENTS.values()))))
    for _ in range(spoil.draw(st.integers(2, 3))):
        spoil.draw(st.sampled_from(CHANGES))(spoil.draw(st.sampled_from(list(document.iter()))))
    assert OURS.validate(document) == theirs.validate(document)


_TEXTS = [
    "", " ", "1", " 7 ", "2147483648", "x", "true", "0", "я" * 6, "я" * 7, "я" * 101, "я" * 129, "я" * 256, "я" * 501,
    "я" * 1001, "я" * 1025, "я" * 4001, "SENT", "sent", "PROVIDED", "1" * 11, "1" * 12, "2026-11-02", "2026-11-02Z",
    "2026-02-30", "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000g",
]  # fmt: skip
_NAMES = [
    f"{{{DR}}}request-id", f"{{{DR}}}request-number", f"{{{DR}}}house-id", f"{{{DR}}}not-found", f"{{{DR}}}error",
    f"{{{DR}}}start-date", f"{{{DR}}}document", f"{{{COMMON}}}guid", f"{{{COMMON}}}request-id", f"{{{DR}}}response",
    f"{{{COMMON}}}stacktrace", f"{{{DR}}}last-page",
]  # fmt: skip


def _text(text: str, element: etree._Element) -> None:
    element.text = text


def _name(name: str, element: etree._Element) -> None:
    element.tag = name


def _identified(element: etree._Element) -> None:
    element.set("Id", "a1")


def _child(name: str, element: etree._Element) -> None:
    etree.SubElement(element, name).text = "x"


def _dropped(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _twice(element: etree._Element) -> None:
    if element.getparent() is not None:
        element.addnext(deepcopy(element))


def _a_hundred_more(element: etree._Element) -> None:
    if element.getparent() is not None and len(element) == 0:
        for _ in range(100):
            element.addnext(deepcopy(element))


def _last(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.append(element)


#: Every single change that the tests make to a document, each to one element.
CHANGES: list[Callable[[etree._Element], None]] = [
    *(partial(_text, text) for text in _TEXTS),
    *(partial(_name, name) for name in _NAMES),
    *(partial(_child, name) for name in _NAMES),
    _identified,
    _dropped,
    _twice,
    _a_hundred_more,
    _last,
]
