"""The pages of ЕПГУ against the code: every field and every example is shown, every operation has its rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

from adapter.exchange import Call, Command
from adapter.gateways.epgu.client import EpguGateway
from adapter.services.registry import make_services
from tests.contract.epgu_stand import command

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs/services/epgu.md").read_text("utf-8")
SERVICES = {action: service for action, service in make_services({}).items() if service.gateway == "epgu"}


def section(action: str) -> str:
    return PAGE.partition(f"\n## {action}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("action", SERVICES)
def test_the_page_shows_every_field_and_example(action: str) -> None:
    rows = re.findall(r"^\| ([a-z_]+) \|", section(action), re.MULTILINE)
    assert set(SERVICES[action].command_schema()["properties"]) == set(rows)
    shown = [
        json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", section(action), re.MULTILINE | re.DOTALL)
    ]
    assert shown == [document for example in SERVICES[action].examples for document in (example.request, example.reply)]


@pytest.mark.parametrize("action", SERVICES)
def test_every_example_is_a_command_that_leads_to_a_call(action: str) -> None:
    for example in SERVICES[action].examples:
        given: Command = command(action, dict(example.request))
        assert isinstance(given.id, UUID)
        step = SERVICES[action].start(given)
        assert isinstance(step, Call)
        assert step.operation in EpguGateway.repeat_rules


def test_the_application_that_the_readme_sends_is_a_command_of_the_page() -> None:
    body = json.loads((PROJECT / "deploy/local/epgu/submit.json").read_bytes())
    step = SERVICES["epgu.order.submit"].start(command("epgu.order.submit", body))
    assert isinstance(step, Call)
    assert [file.name for file in step.attachments] == ["req.xml", "piev_epgu.xml"]
    assert b"${orderId}" in (step.attachments[0].content or b"")


def test_the_page_tells_the_repeat_rule_of_every_operation() -> None:
    page = (PROJECT / "docs/epgu.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| ([a-z, -]+) \| (safe|ask|never)", page, re.MULTILINE))
    told = {name: rule for names, rule in rows.items() for name in names.split(", ")}
    assert told == {name: str(rule) for name, rule in EpguGateway.repeat_rules.items()}
