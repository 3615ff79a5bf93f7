"""The console's words: every Russian word of a template or a handler has its English, and nothing is left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from adapter.exchange import State
from adapter.web.console import words
from adapter.web.console.page import FOLDER

_CYRILLIC = re.compile("[а-яёА-ЯЁ]")
#: Names of gateways stand as they are, in both languages.
_NAMES = {"СМЭВ3", "ЕПГУ", "ШЭП", "ВШЭП", "Постаматы"}


def said_in_templates() -> set[str]:
    found: set[str] = set()
    for file in (FOLDER / "templates").glob("*.html"):
        code = " ".join(re.findall(r"\{[{%](.*?)[%}]\}", file.read_text("utf-8"), re.DOTALL))
        found |= {text for text in re.findall(r'"([^"]*)"', code) if _CYRILLIC.search(text)}
    # States of cases are the МФЦ's own words, compared and shown as they are; a language names itself.
    return found - {"В постамате", "Выдано заявителю", "Русский"}


def said_in_handlers() -> set[str]:
    found: set[str] = set()
    for file in Path(FOLDER).glob("*.py"):
        if file.stem in ("words", "judging", "positions"):
            continue
        tree = ast.parse(file.read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _CYRILLIC.search(node.value)
            and id(node) not in docstrings | pieces
        }
    return found - _NAMES


def test_every_russian_word_has_its_english_and_none_is_left_over() -> None:
    wanted = (
        said_in_templates() | said_in_handlers() | {f"Для этого нужна роль {role}" for role in ("replay", "reveal")}
    )
    assert sorted(wanted - set(words.english())) == []
    assert sorted(set(words.english()) - wanted) == []


def test_values_take_the_same_places_in_both_languages() -> None:
    for russian, english in words.english().items():
        assert re.findall(r"\{\w+\}", russian) == re.findall(r"\{\w+\}", english), russian


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_state_has_a_name(language: str) -> None:
    t = words.translator(language)
    assert len({t(f"state.{state}") for state in State}) == len(State)
    assert not [state for state in State if t(f"state.{state}").startswith("state.")]


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        ("is replied, not dead: nothing to replay", "обмен уже в состоянии «исполнена»"),
        ("no queue takes it: declare a.b; it stays parked", "очереди a.b нет: объявите её; сообщение остаётся"),
        ("something new", "something new"),
    ],
)
def test_what_recovery_says_is_said_in_russian(english: str, russian: str) -> None:
    assert words.translator("ru")(english) == russian
    assert words.translator("en")(english) == english
