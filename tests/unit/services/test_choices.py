from __future__ import annotations

from typing import ClassVar

import pytest

from adapter.services.choices import choice_faults
from adapter.xml.mapping import Namespace, XmlModel

NS = Namespace("urn:test:choices/1.0.0", "tns")


class Inner(XmlModel):
    xml_ns: ClassVar[Namespace] = NS
    xml_choices = (("one", "two", ""),)
    one: str | None = None
    two: str | None = None


class Outer(XmlModel):
    xml_ns: ClassVar[Namespace] = NS
    xml_choices = (("ids", "name born?"),)
    ids: list[str] | None = None
    name: str | None = None
    born: str | None = None
    inner: Inner | None = None
    inners: list[Inner] | None = None


class Plain(XmlModel):
    xml_ns: ClassVar[Namespace] = NS
    name: str


@pytest.mark.parametrize(
    ("tree", "faults"),
    [
        ({"ids": ["1"]}, []),
        ({"name": "x"}, []),
        ({"name": "x", "born": "y", "ids": None}, []),
        ({}, [("ids", "должно быть указано ровно одно из полей: ids, name")]),
        ({"born": "y"}, [("name", "поле обязательно вместе с born")]),
        ({"ids": [], "born": "y"}, [("born", "не указывается вместе с ids")]),
        ({"ids": [], "name": 1, "born": "y"}, [(name, "не указывается вместе с ids") for name in ("name", "born")]),
        ({"ids": [], "inner": {}}, []),
        ({"ids": [], "inner": {"one": 1, "two": 2}}, [("inner.two", "не указывается вместе с one")]),
        (
            {"ids": [], "inners": [{}, 5, {"one": 1, "two": 2}]},
            [("inners[2].two", "не указывается вместе с one")],
        ),
        ({"ids": 5, "inner": [], "inners": {}}, []),
    ],
)
def test_a_choice_names_the_field_that_is_missing_or_too_many(
    tree: dict[str, object], faults: list[tuple[str, str]]
) -> None:
    assert [(fault.path, fault.rule) for fault in choice_faults(tree, Outer)] == faults


def test_a_model_without_choices_has_no_faults() -> None:
    assert list(choice_faults({"anything": 1}, Plain)) == []
