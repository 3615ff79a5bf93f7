"""What operators read, against the code: every state, every alarm, every alert, every table of the journal."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import yaml

from adapter import cli
from adapter.errors import Code
from adapter.exchange import MOVES
from adapter.journal.migrate import read_migrations

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
_LEVELS = {"warning", "error", "critical", "exception"}


@cache
def events() -> dict[str, set[str]]:
    """The events that the adapter logs at each level from warning on."""
    found: dict[str, set[str]] = {level: set() for level in _LEVELS}
    for path in (PROJECT / "adapter").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LEVELS:
                word = node.args[0] if node.args else None
                if (
                    isinstance(word, ast.Constant)
                    and isinstance(word.value, str)
                    and "log" in ast.unparse(node.func.value)
                ):
                    found[node.func.attr].add(word.value)
    return found


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    below = page[page.index(heading) :]
    rows = re.findall(r"^\|(.+)\|$", below[: below.index("\n\n", below.index("\n|"))], re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows[2:]]


def test_every_error_in_the_log_has_a_row_that_says_what_to_do() -> None:
    told = {name for row in table(OPERATIONS, "Lines of level `error`") for name in re.findall(r"`([^`]+)`", row[0])}
    lasting = {name.removesuffix("…") for name in told}
    alarms = events()["error"] | events()["critical"] | events()["exception"]
    assert len(alarms) > 10
    assert {event for event in alarms if not any(event.startswith(name) for name in lasting)} == set()
    every = set().union(*events().values())
    assert {name for name in lasting if not any(event.startswith(name) for event in every)} == set()


def test_every_alert_has_a_row() -> None:
    rules = yaml.safe_load((PROJECT / "deploy/monitoring/prometheus-rules.yml").read_text("utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    told = {name for row in table(OPERATIONS, "### Alerts of Prometheus") for name in re.findall(r"`(\w+)`", row[0])}
    assert told == alerts


def test_every_state_has_a_row_that_says_what_is_normal() -> None:
    rows = table(OPERATIONS, "## What to do in each state")
    assert sorted(state for row in rows for state in re.findall(r"`(\w+)`", row[0])) == sorted(map(str, MOVES))


def test_every_command_has_a_row() -> None:
    told = {name for row in table(OPERATIONS, "## Commands") for name in re.findall(r"`adapter ([\w-]+)", row[0])}
    assert {name for name in cli._COMMANDS if name not in told} <= {"new-service"}


def test_every_table_has_its_personal_data_and_its_time_in_the_page_of_security() -> None:
    sql = "\n".join(migration.sql for migration in read_migrations())
    tables = set(re.findall(r"^create table (?:if not exists )?(\w+)", sql, re.MULTILINE | re.IGNORECASE))
    tables -= {name for name in tables if name.endswith("_default")}
    page = (DOCS / "security.md").read_text("utf-8")
    told = {name for row in table(page, "### In PostgreSQL, by table") for name in re.findall(r"`(\w+)`", row[0])}
    assert tables <= told, "say what a table holds and how long"
    assert told <= tables | {"schema_migrations"}


def test_what_the_page_of_security_watches_is_logged() -> None:
    page = (DOCS / "security.md").read_text("utf-8")
    rows = table(page, "## What to watch")
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    source = "\n".join(path.read_text("utf-8") for path in (PROJECT / "adapter").rglob("*.py"))
    assert named
    assert {name for name in named if f'"{name}"' not in source} == set()


def test_the_index_leads_to_every_page_and_that_of_the_services_to_theirs() -> None:
    for folder in (DOCS, DOCS / "services"):
        index = (folder / "README.md").read_text("utf-8")
        assert {page.name for page in folder.glob("*.md") if f"]({page.name})" not in index} <= {"README.md"}
    index = (DOCS / "README.md").read_text("utf-8")
    assert all(f"]({folder}/" in index for folder in ("decisions", "integrator"))
    assert "](services/README.md)" in index


def test_every_wire_code_says_whether_to_try_again() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|(.+)\|$", (DOCS / "errors.md").read_text("utf-8"), re.MULTILINE)
    assert {code.wire for code in Code} <= {name for name, rest in rows if len(rest.split(" | ")) >= 2}
