"""The pages of the ШЭП against the code."""

from __future__ import annotations

from pathlib import Path

from adapter.gateways.shep.operations import OPERATIONS
from simulators.shep.refusals import SENTENCES
from simulators.shep.scenario import Rule

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_of_the_simulator_names_its_switches_and_codes() -> None:
    page = (DOCS / "simulator-shep.md").read_text("utf-8")
    assert [name for name in Rule.model_fields if f"`{name}`" not in page] == []
    assert [code for code in SENTENCES if code != "SIM-WISHED" and f"`{code}`" not in page] == []


def test_the_page_of_the_gateway_names_its_operations_and_their_rules() -> None:
    page = (DOCS / "shep.md").read_text("utf-8")
    rows = {key: operation.repeat for key, operation in OPERATIONS.items()}
    assert [key for key, rule in rows.items() if f"| `{key}` |" not in page or f"| {rule.value} |" not in page] == []
