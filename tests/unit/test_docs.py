"""The documents against the code: what is generated, drawn, named, linked and shown has to be so."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest
from lxml import etree

from adapter import cli
from adapter.cli_docs import errors_page
from adapter.errors import Code
from adapter.exchange import MOVES, Call, Command
from adapter.gateways.smev3.faults import CODE_RULES, RULES
from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.settings import VARIABLES

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "deploy").rglob("*.md")],
    key=lambda path: path.as_posix(),
)
READMES = (PROJECT / "README.md", PROJECT / "README.ru.md")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_UPPER = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_MOVE = re.compile(r"^ +(\w+) --> (\w+) :", re.MULTILINE)
#: Words in the form of a variable that belong to СМЭВ3, to the ШЭП or to the local stack.
_NO_VARIABLES = {
    "ACCESS_DENIED",
    "AUTO_GENERATED",
    "IN_PROGRESS_1",
    "DELIVERY_STOPPED",
    "MESSAGE_ACCEPTED",
    "MESSAGE_NOT_ACCTEPTED",
    "NOT_DELIVERED",
    "NOT_RESEND",
    "NO_DATA",
    "REQ_NOT_FOUND",
    "R_ONE",
    "SIGNED_BY_CONSUMER",
    "SIM_EPGU_URL",
    "SIM_SMEV_URL",
    "UNKNOWN_REQUEST_DESCRIPTION",
}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text(path))


def blocks(path: Path, *languages: str) -> list[str]:
    return [content for language, content in _FENCE.findall(text(path)) if language in languages]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings: lower case, punctuation dropped, spaces as dashes."""
    found = set()
    for _, heading in _HEADING.findall(prose(path)):
        plain = re.sub(r"[`*]", "", heading).strip().lower()
        kept = (c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add("".join(kept).replace(" ", "-"))
    return found


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def test_the_table_of_errors_is_what_the_code_generates() -> None:
    assert text(PROJECT / "docs/errors.md") == errors_page()


def test_the_command_prints_the_table_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docs", "errors"]) == 0
    assert capsys.readouterr().out == errors_page()


def test_every_code_and_every_fault_has_a_row() -> None:
    first_cells = set(re.findall(r"^\| `([^`]+)` \|", errors_page(), re.MULTILINE))
    assert {code.wire for code in Code} | set(RULES) | set(CODE_RULES) <= first_cells


def test_the_drawing_has_exactly_the_legal_moves() -> None:
    (drawing,) = blocks(PROJECT / "docs/state-machine.md", "mermaid")
    drawn = _MOVE.findall(drawing)
    legal = {(str(start), str(end)) for start, ends in MOVES.items() for end in ends}
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == legal


def test_the_table_of_states_names_every_state() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text(PROJECT / "docs/state-machine.md"), re.MULTILINE)
    assert sorted(rows) == sorted(map(str, MOVES))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_internal_link_resolves(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_that_a_page_names_exists(page: Path) -> None:
    known = {variable.name for variable in VARIABLES} | _NO_VARIABLES
    # Contents of code blocks have words of other languages; a page's own sentences are what people copy from.
    assert set(_UPPER.findall(prose(page))) <= known


def test_the_page_of_configuration_names_every_variable() -> None:
    page = text(PROJECT / "docs/configuration.md")
    assert [variable.name for variable in VARIABLES if f"`{variable.name}`" not in page] == []


def test_defaults_on_the_page_of_configuration_are_those_of_the_table() -> None:
    defaults = {variable.name: variable.default for variable in VARIABLES}
    rows = re.findall(r"^\| (`[^|]+) \|[^|]*\| ([^|]*?) ?\|$", text(PROJECT / "docs/configuration.md"), re.MULTILINE)
    shown = {row: [default for name in re.findall(r"`(\w+)`", row[0]) if (default := defaults[name])] for row in rows}
    assert [row for row, values in shown.items() if not row[1].startswith(", ".join(values))] == []


def test_both_readmes_have_the_same_headings_and_the_same_blocks_to_copy() -> None:
    english, russian = READMES
    levels = [[marks for marks, _ in _HEADING.findall(prose(page))] for page in READMES]
    assert levels[0] == levels[1]
    assert blocks(english, "sh") == blocks(russian, "sh")
    assert blocks(english, "python") == blocks(russian, "python")
    assert len(blocks(english, "text", "mermaid")) == len(blocks(russian, "text", "mermaid"))
    assert set(_LINK.findall(english.read_text("utf-8"))) - {"README.ru.md"} == {
        "#promises-and-their-limits" if link == "#обещания-и-их-границы" else link
        for link in _LINK.findall(russian.read_text("utf-8"))
        if link != "README.md"
    }


def test_the_client_of_the_readme_is_python() -> None:
    client, _ = blocks(READMES[0], "python")
    compile(client, "README.md", "exec")


def test_the_service_of_the_readme_works_as_it_stands() -> None:
    _, source = blocks(READMES[0], "python")
    module = ModuleType("example_extract")
    exec(compile(source, "README.md", "exec", dont_inherit=True), module.__dict__)  # noqa: S102  — our own page, to be run as shown
    service = module.make({"USE_PERSONAL_SIGNATURE": "true"})
    now = datetime(2026, 1, 1, tzinfo=UTC)
    body = json.dumps({"owner_name": "Иванов", "on_date": "2026-01-01"}).encode()
    step = service.start(Command(UUID(int=1), service.action, body, now, now + timedelta(days=1)))
    assert isinstance(step, Call)
    root = etree.fromstring(step.content)
    assert [etree.QName(child).localname for child in root] == ["owner-name", "on-date"]
    assert step.official
    assert root.get("Id")


def test_every_command_that_a_page_names_is_one_of_the_adapter() -> None:
    named = set()
    for page in PAGES:
        named |= set(re.findall(r"`adapter ([a-z0-9-]+)", prose(page)))
        named |= set(re.findall(r"^\S*adapter ([a-z0-9-]+)", "\n".join(blocks(page, "sh")), re.MULTILINE))
    assert named == set(cli._COMMANDS)


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_make_knows_every_target_of_the_readmes(readme: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(PROJECT / "Makefile"), re.MULTILINE))
    named = set(
        re.findall(
            r"\bmake ([a-z-]+)", " ".join([*blocks(readme, "sh"), *re.findall(r"`(make [^`]+)`", prose(readme))])
        )
    )
    assert named
    assert named <= targets


def test_the_page_of_the_service_shows_its_examples() -> None:
    shown = [json.loads(block) for block in blocks(PROJECT / "docs/services/zhkh-debt-requests.md", "json")]
    assert shown == [document for example in EXAMPLES for document in (example.request, example.reply)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_json_block_is_json(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


def test_the_page_of_the_simulator_names_its_scenario_switches() -> None:
    scenario = pytest.importorskip("simulators.smev3.scenario")
    page = text(PROJECT / "docs/simulator.md")
    assert [name for name in scenario.Rule.model_fields if f"`{name}`" not in page] == []


def test_the_page_of_the_signing_service_names_its_calls() -> None:
    contract = text(PROJECT / "schemas/sign-service.openapi.yaml")
    calls = re.findall(r"^  (/\S+):\n    (\w+):$", contract, re.MULTILINE)
    page = text(PROJECT / "docs/signing-service.md")
    assert calls
    assert [call for call in calls if f"`{call[1].upper()} {call[0]}`" not in page] == []


def test_decisions_are_numbered_without_a_gap_and_say_context_decision_and_consequence() -> None:
    pages = sorted((PROJECT / "docs/decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for number, page in enumerate(pages, start=1):
        content = text(page)
        assert content.startswith(f"# {number}. ")
        assert all(f"**{part}.**" in content for part in ("Context", "Decision", "Consequence"))
