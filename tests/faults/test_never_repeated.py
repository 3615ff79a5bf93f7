"""The worker dies between intent and answer, and the operation's repeat rule decides what is sent again."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from adapter.exchange import Repeat
from adapter.faultpoints import VARIABLE
from adapter.gateways.epgu.client import EpguGateway
from adapter.gateways.postamat.client import PostamatGateway
from adapter.gateways.shep.client import ShepGateway
from adapter.gateways.smev3.client import Smev3Gateway
from tests.faults.conftest import numbered

if TYPE_CHECKING:
    from tests.faults.conftest import Yard

TABLES = {
    "smev3": Smev3Gateway.repeat_rules,
    "epgu": EpguGateway.repeat_rules,
    "postamat": PostamatGateway.repeat_rules,
    "shep": ShepGateway.repeat_rules,
}
ROWS = [(name, operation, rule) for name, table in TABLES.items() for operation, rule in table.items()]


def rows() -> list[Any]:
    """Every row of the gateways' tables; those whose rule an earlier one shows already are left to the long run."""
    shown: set[Repeat] = set()
    parameters = []
    for name, operation, rule in ROWS:
        marks = [pytest.mark.long] if rule in shown else []
        parameters.append(pytest.param(operation, rule, id=f"{name} {operation}", marks=marks))
        shown.add(rule)
    return parameters


def test_the_tables_show_every_rule_that_the_pipeline_keeps() -> None:
    assert {rule for *_, rule in ROWS} == set(Repeat)


@pytest.mark.parametrize(("operation", "rule"), rows())
async def test_a_call_whose_worker_died_before_the_answer_follows_its_row_of_the_table(
    yard: Yard, operation: str, rule: Repeat
) -> None:
    yard.environment["REPEAT_RULES"] = json.dumps({operation: rule})
    recorder = yard.recorder
    recorder.gate.clear()
    (name, body), *_ = commands = numbered(1)
    async with yard.auditor("call") as auditor:
        async with yard.worker() as victim:
            await auditor.publish(commands)
            first = await recorder.next()
            await yard.kill(victim)
        recorder.answering = False
        recorder.gate.set()
        async with yard.worker():
            if rule is Repeat.NEVER:
                await auditor.answered(30)
                assert auditor.books.outcomes() == {"ADAPTER-UNCERTAIN": 1}
                assert recorder.submits == [first]
                return
            if rule is Repeat.ASK:
                await auditor.answered(30)
                assert auditor.books.outcomes() == {"result": 1}
                assert (recorder.submits, recorder.questions) == ([first], 1)
                return
            again = await recorder.next()
            recorder.answer(again)
            await auditor.answered(30)
    assert auditor.books.outcomes() == {"result": 1}
    assert (again.gateway_id, again.body, again.earlier) == (first.gateway_id, body, 1)
    assert recorder.effective() == {name: 1}


@pytest.mark.parametrize(("point", "submits"), [("intent", 0), ("call", 1)])
async def test_a_never_call_is_uncertain_wherever_its_worker_died_and_late_evidence_closes_it(
    yard: Yard, point: str, submits: int
) -> None:
    yard.environment["REPEAT_RULES"] = json.dumps({"push": "never"})
    recorder = yard.recorder
    recorder.answering = False
    async with yard.auditor("call") as auditor:
        async with yard.worker(**{VARIABLE: point}) as victim:
            await auditor.publish(numbered(1))
            assert await victim.ended(30) == -signal.SIGKILL
        await yard.bury(victim)
        async with yard.worker():
            await auditor.answered(30)
            assert auditor.books.outcomes() == {"ADAPTER-UNCERTAIN": 1}
            assert len(recorder.submits) == submits
            for submit in recorder.submits:
                recorder.answer(submit)
                await yard.eventually("select count(*) = 2 from outbox where state = 'sent'")
            await auditor.caught_up()
    (replies,) = auditor.books.replies.values()
    assert [reply.late for reply in replies] == [False, True][: 1 + submits]
    assert auditor.books.verdict().surplus == ()
    assert len(recorder.submits) == submits


async def test_a_call_that_is_asked_about_and_has_not_arrived_is_made_once(yard: Yard) -> None:
    yard.environment["REPEAT_RULES"] = json.dumps({"push": "ask"})
    recorder = yard.recorder
    async with yard.auditor("call") as auditor:
        async with yard.worker(**{VARIABLE: "intent"}) as victim:
            await auditor.publish(numbered(1))
            assert await victim.ended(30) == -signal.SIGKILL
        await yard.bury(victim)
        assert recorder.submits == []
        async with yard.worker():
            await auditor.answered(30)
    assert auditor.books.outcomes() == {"result": 1}
    assert (len(recorder.submits), recorder.questions) == (1, 1)


async def test_a_never_call_whose_connection_breaks_is_uncertain_at_once(yard: Yard) -> None:
    yard.environment["REPEAT_RULES"] = json.dumps({"push": "never"})
    yard.recorder.answering = False
    yard.recorder.cuts = 1
    async with yard.auditor("call") as auditor, yard.worker():
        await auditor.publish(numbered(1))
        await auditor.answered(30)
    assert auditor.books.outcomes() == {"ADAPTER-UNCERTAIN": 1}
    assert len(yard.recorder.submits) == 1
