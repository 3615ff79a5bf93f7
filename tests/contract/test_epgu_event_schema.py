"""Our schema of the event service against the reference one: the same documents pass and the same are refused.

Neither is official: both are written from what public sources tell.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
from lxml import etree

from adapter.paths import SCHEMAS

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "epgu"
OURS = etree.XMLSchema(etree.parse(SCHEMAS / "epgu-event/3.1.1/event.xsd"))
NS = "http://epgu.gosuslugi.ru/lk/order/event/3.1.1"
LENGTHS = (16, 17, 20, 21, 50, 51, 210, 211, 256, 257, 2048, 2049)
TEXTS = [
    "", " ", "1", "-129", "128", "32768", "9223372036854775808", "x", "true", "0", "2018-03-01", "2018-02-30",
    "2018-03-01T15:00:00+03:00", "2018-03-01T15:00:00", *("я" * length for length in LENGTHS),
]  # fmt: skip
NAMES = ["orgCode", "techCode", "textMessageEvent", "infoEvent", "code", "eventComment", "organizationData", "areaId"]


@pytest.fixture(scope="module")
def theirs() -> etree.XMLSchema:
    path = REFERENCE / "xsd" / "event_3.1.1_reconstructed.xsd"
    if not path.exists():
        pytest.skip("the reference schema (../shared) is not beside this checkout")
    return etree.XMLSchema(etree.parse(path))


def samples() -> list[etree._Element]:
    return [etree.parse(path).getroot() for path in sorted((REFERENCE / "examples").glob("event_*.xml"))]


def test_every_sample_is_valid_by_ours_and_by_the_reference(theirs: etree.XMLSchema) -> None:
    assert samples()
    for document in samples():
        OURS.assertValid(document)
        theirs.assertValid(document)


def changed(document: etree._Element, place: int) -> list[etree._Element]:
    """Return the document with each single change to the element at ``place``."""
    found = []
    for text in TEXTS:
        found.append(deepcopy(document))
        list(found[-1].iter())[place].text = text
    for name in NAMES:
        found += [deepcopy(document), deepcopy(document)]
        list(found[-1].iter())[place].tag = f"{{{NS}}}{name}"
        etree.SubElement(list(found[-2].iter())[place], f"{{{NS}}}{name}").text = "1"
    for env in ("PROD", "prod", ""):
        found.append(deepcopy(document))
        list(found[-1].iter())[place].set("env", env)
    if place:
        found += [deepcopy(document) for _ in range(4)]
        dropped, twice, many, last = (list(one.iter())[place] for one in found[-4:])
        dropped.getparent().remove(dropped)  # type: ignore[union-attr]
        twice.addnext(deepcopy(twice))
        for _ in range(50):
            many.addnext(deepcopy(many))
        last.getparent().append(last)  # type: ignore[union-attr]
    else:
        found.append(deepcopy(document))
        found[-1].attrib.pop("env", None)
    return found


def test_a_document_with_any_one_change_gets_the_same_verdict(theirs: etree.XMLSchema) -> None:
    verdicts = set()
    for document in samples():
        for place in range(len(list(document.iter()))):
            for variant in changed(document, place):
                verdict = theirs.validate(variant)
                assert OURS.validate(variant) == verdict, etree.tostring(variant)[:400]
                verdicts.add(verdict)
    assert verdicts == {True, False}
