"""Dictionaries of the ЕПГУ simulator: flat and hierarchical, paged, and errors inside HTTP 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.epgu_caller import Reply, World

pytest_plugins = ("tests.contract.epgu_fixtures",)


async def ask(world: World, code: str, **question: Any) -> Reply:
    body = {"treeFiltering": "ONELEVEL"} | question
    return await world.ask("POST", f"/api/nsi/v1/dictionary/{code}", json=body)


def values(items: list[dict[str, Any]]) -> list[Any]:
    """The values of items, each with those below it."""
    return [(item["value"], values(item["children"])) if item["children"] else item["value"] for item in items]


async def test_onelevel_gives_the_children_of_one_element(world: World) -> None:
    top = (await ask(world, "TEST_TREE")).json
    assert values(top["items"]) == ["1", "2"]
    assert [item["isLeaf"] for item in top["items"]] == [False, False]
    below = (await ask(world, "TEST_TREE", parentRefItemValue="1")).json
    assert (values(below["items"]), below["total"]) == (["11", "12"], 2)
    assert [(item["parentValue"], item["isLeaf"]) for item in below["items"]] == [("1", False), ("1", True)]


async def test_subtree_gives_everything_below(world: World) -> None:
    told = (await ask(world, "TEST_TREE", treeFiltering="SUBTREE")).json
    assert values(told["items"]) == [("1", [("11", ["111"]), "12"]), ("2", ["21"])]
    told = (await ask(world, "TEST_TREE", treeFiltering="SUBTREE", parentRefItemValue="1")).json
    assert values(told["items"]) == [("11", ["111"]), "12"]


async def test_pages_are_counted_from_1_and_without_them_everything_comes(world: World) -> None:
    whole = (await ask(world, "BIC")).json
    assert whole["total"] == len(whole["items"]) == 899
    pages = [(await ask(world, "BIC", pageNum=n, pageSize=450)).json for n in (1, 2, 3)]
    assert [len(page["items"]) for page in pages] == [450, 449, 0]
    assert {page["total"] for page in pages} == {899}
    assert pages[0]["items"] + pages[1]["items"] == whole["items"]


async def test_attributes_come_as_a_list_and_as_values(world: World) -> None:
    (first, _) = (await ask(world, "TEST_TREE", parentRefItemValue="1")).json["items"]
    assert first["attributeValues"] == {"OKATO": "45286000000"}
    (attribute,) = first["attributes"]
    assert (attribute["name"], attribute["valueAsOfType"]) == ("OKATO", "45286000000")


async def test_an_empty_dictionary_is_no_error(world: World) -> None:
    told = (await ask(world, "TEST_EMPTY")).json
    assert (told["error"]["code"], told["total"], told["items"]) == (0, 0, [])


async def test_an_unknown_dictionary_or_parent_is_an_error_inside_200(world: World) -> None:
    expected = {"error": {"code": 7, "message": "Entity not found"}, "fieldErrors": [], "total": 0, "items": []}
    for reply in (await ask(world, "NOWHERE"), await ask(world, "BIC", parentRefItemValue="x")):
        assert (reply.status, reply.json) == (200, expected)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"treeFiltering": "ALL"}, "treeFiltering"),
        ({"treeFiltering": None}, "treeFiltering"),
        ({"pageNum": 0}, "pageNum"),
        ({"pageSize": 0}, "pageSize"),
        ({"pageNum": "1"}, "pageNum"),
        ({"parentRefItemValue": 5}, "parentRefItemValue"),
    ],
)
async def test_wrong_fields_are_named_inside_200(world: World, wrong: dict[str, Any], field: str) -> None:
    reply = await ask(world, "BIC", **wrong)
    assert reply.status == 200
    assert reply.json["error"]["code"] != 0
    assert [fault["field"] for fault in reply.json["fieldErrors"]] == [field]


async def test_a_question_that_is_no_object_is_an_error_inside_200(world: World) -> None:
    reply = await world.ask("POST", "/api/nsi/v1/dictionary/BIC", json=[])
    assert (reply.status, [fault["field"] for fault in reply.json["fieldErrors"]]) == (200, ["body"])


async def test_it_has_to_be_json(world: World) -> None:
    path = "/api/nsi/v1/dictionary/BIC"
    assert (await world.ask("POST", path, data=b"{}")).status == 415
    reply = await world.ask("POST", path, data=b"{", headers={"Content-Type": "application/json"})
    assert reply.refusal == (400, "bad_request")


async def test_dictionaries_can_be_put_in(world: World) -> None:
    await world.admin("POST", "dictionaries", {"code": "NEW", "items": [{"value": "1", "title": "Один"}]}, 201)
    assert values((await ask(world, "NEW")).json["items"]) == ["1"]
    for items in ([{"value": "1", "title": "", "parent": "1"}], [{"value": "1", "title": ""}] * 2):
        await world.admin("POST", "dictionaries", {"code": "NEW", "items": items}, 400)
