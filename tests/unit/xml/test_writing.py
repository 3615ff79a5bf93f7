from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.xml.mapping import Namespace, XmlModel, dump
from adapter.xml.parser import XmlError, serialize
from adapter.xml.writing import write
from tests.unit.xml.test_mapping import FULL, OWN, ROOT, Entry, Whole

_TEXTS = st.one_of(st.text(), st.sampled_from(["", " ", "a&b", "<", ">", '"', "\r", "\t\n", "\x7f", "\x85", "\ufffe"]))


def test_a_model_is_written_as_its_tree_would_be() -> None:
    assert write(FULL, ROOT) == serialize(dump(FULL, ROOT))
    assert write(FULL, ROOT, identifier="id-1") == serialize(dump(FULL, ROOT, identifier="id-1"))
    bare = Whole(system_id="", empty=None, entries=[Entry(code=1, inner_entries=[])])
    assert write(bare, ROOT) == serialize(dump(bare, ROOT))


@given(_TEXTS, _TEXTS, st.lists(_TEXTS, max_size=2))
def test_any_text_is_written_or_refused_as_its_tree_would_be(system: str, identifier: str, classes: list[str]) -> None:
    model = Whole(system_id=system, classes=classes)
    try:
        expected = serialize(dump(model, ROOT, identifier=identifier))
    except (XmlError, ValueError) as error:
        with pytest.raises(type(error)):
            write(model, ROOT, identifier=identifier)
    else:
        assert write(model, ROOT, identifier=identifier) == expected


def test_a_model_that_takes_no_id_is_refused_one() -> None:
    with pytest.raises(ValueError, match="takes no Id"):
        write(Entry(code=1), etree.QName("urn:own", "Entry"), identifier="x")


def test_a_root_in_a_foreign_namespace_is_left_to_the_tree() -> None:
    root = etree.QName("urn:foreign", "Root")
    assert write(FULL, root) == serialize(dump(FULL, root))


def test_two_prefixes_of_one_namespace_are_left_to_the_tree() -> None:
    class Twin(XmlModel):
        xml_ns: ClassVar[Namespace] = Namespace("urn:own", "twin")
        code: str

    class Both(XmlModel):
        xml_ns: ClassVar[Namespace] = OWN
        twin: Twin

    model = Both(twin=Twin(code="c"))
    assert write(model, ROOT) == serialize(dump(model, ROOT))
