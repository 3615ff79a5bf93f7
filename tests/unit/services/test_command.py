from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapter.errors import FieldFault, InvalidCommandError
from adapter.services.command import read_command
from adapter.services.fields import Date, Snils, Uuid, broken
from adapter.services.json_body import MAX_FAULTS

_CANARY = "КАНАРЕЙКА-4711"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    house_number: int


class Whole(BaseModel):
    """One field of every kind that services use."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: Annotated[str, Field(min_length=2, max_length=4)] = "ok"
    name: Annotated[str, Field(min_length=1)] = "n"
    number: Annotated[int, Field(gt=0, le=9)] = 1
    flag: bool = True
    real: float = 1.0
    kind: Literal["A", "B"] = "A"
    code: Annotated[str, Field(pattern="^[0-9]$")] = "1"
    uuid: Uuid = "00000000-0000-0000-0000-000000000000"
    snils: Snils = "11111111145"
    date: Date = "2026-01-31"
    parts: Annotated[list[Part], Field(min_length=1, max_length=2)] = Field(default=[Part(house_number=1)])
    part: Part | None = None
    either: int | Annotated[str, Field(max_length=1)] = 1


def faults(tree: object, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidCommandError) as caught:
        read_command(json.dumps(tree).encode(), Whole, **options)
    return [(fault.path, fault.rule) for fault in caught.value.fields]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("text", 1, "ожидается строка"),
        ("text", None, "значение не может быть null"),
        ("text", "1", "слишком короткое значение, нужно символов не меньше 2"),
        ("text", "12345", "слишком длинное значение, допустимо символов не больше 4"),
        ("name", "", "значение не может быть пустым"),
        ("number", "1", "ожидается целое число"),
        ("number", 1.0, "ожидается целое число"),
        ("number", True, "ожидается целое число"),
        ("number", 0, "число должно быть больше 0"),
        ("number", 10, "число должно быть не больше 9"),
        ("flag", "true", "ожидается true или false"),
        ("real", "1", "ожидается число"),
        ("kind", "C", "допустимые значения: A, B"),
        ("code", "x", "значение не соответствует образцу ^[0-9]$"),
        ("uuid", "x", "ожидается UUID вида xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx из цифр и букв a-f любого регистра"),
        ("snils", "111-111-111 45", "ожидается 11 цифр без пробелов и дефисов"),
        ("snils", "١١١١١١١١١٤٥", "ожидается 11 цифр без пробелов и дефисов"),
        ("date", "31.01.2026", "ожидается дата вида ГГГГ-ММ-ДД"),
        ("parts", {}, "ожидается список"),
        ("parts", [], "слишком мало элементов, нужно не меньше 1"),
        ("parts", [{"house_number": 1}] * 3, "слишком много элементов, допустимо не больше 2"),
        ("part", [], "ожидается объект"),
        ("either", [], "ожидается целое число либо ожидается строка"),
        ("txt", 1, "неизвестное поле, возможно, имелось в виду text"),
        ("Text", 1, "неизвестное поле, возможно, имелось в виду text"),
        ("совсем_другое", 1, "неизвестное поле"),
    ],
)
def test_every_kind_of_fault_is_a_russian_sentence(field: str, value: object, rule: str) -> None:
    assert faults({field: value}) == [(field, rule)]


def test_paths_lead_into_lists_and_objects_and_suggestions_look_there() -> None:
    assert faults({"parts": [{"house_number": 1}, {"house-number": 1}], "part": {}}) == [
        ("parts[1].house_number", "обязательное поле отсутствует"),
        ("parts[1].house-number", "неизвестное поле, возможно, имелось в виду house_number"),
        ("part.house_number", "обязательное поле отсутствует"),
    ]


def test_faults_of_characters_fields_and_rules_come_together_and_once_per_field() -> None:
    found = faults({"text": "a]]>bcdef", "number": 0}, rules=lambda _tree: [FieldFault("parts", "правило")])
    assert found == [
        ("text", "последовательность символов «]]>» недопустима"),
        ("number", "число должно быть больше 0"),
        ("parts", "правило"),
    ]


def test_a_rule_alone_refuses_a_command_whose_fields_are_right() -> None:
    assert faults({}, rules=lambda _tree: [FieldFault("parts", "правило")]) == [("parts", "правило")]


def test_a_hundred_faults_are_shown_and_a_note_tells_of_more() -> None:
    found = faults({f"unknown {number}": number for number in range(1000)})
    assert len(found) == MAX_FAULTS + 1
    assert found[-1][0] == "body"


def test_the_faults_of_rules_never_push_a_fields_fault_over_the_cap() -> None:
    found = faults({"number": 0}, rules=lambda _tree: [FieldFault("parts", "правило")] * 1000)
    assert found[0] == ("number", "число должно быть больше 0")


def test_no_value_of_the_command_is_in_the_error_or_behind_it() -> None:
    tree = dict.fromkeys(Whole.model_fields, _CANARY) | {
        "parts": [_CANARY, {"house_number": _CANARY}],
        "extra": _CANARY,
    }
    with pytest.raises(InvalidCommandError) as caught:
        read_command(json.dumps(tree).encode(), Whole)
    error = caught.value
    assert _CANARY not in f"{error!r} {error} {error.to_wire()}"
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_broken_syntax_leaves_no_document_behind_the_error() -> None:
    with pytest.raises(InvalidCommandError) as caught:
        read_command(f'{{"text": "{_CANARY}", }}'.encode(), Whole)
    assert _CANARY not in f"{caught.value!r} {caught.value.to_wire()}"
    assert caught.value.__context__ is None


def test_the_error_of_a_rule_has_a_russian_sentence_and_an_english_slug() -> None:
    error = ValidationError.from_exception_data("x", [{"type": broken("too_odd", "нечётно"), "input": 1}])
    [detail] = error.errors()
    assert (detail["type"], detail["msg"]) == ("too_odd", "нечётно")
