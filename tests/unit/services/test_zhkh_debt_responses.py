from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter.errors import AnswerUnreadableError, ConfigurationError, InvalidCommandError
from adapter.services import zhkh_debt_responses as module
from adapter.services.registry import known_actions, make_services
from adapter.services.zhkh_debt_responses import ANSWER, ASKED, ZhkhDebtResponses
from tests.unit.services.zhkh_commands import answer, command
from tests.unit.services.zhkh_responses import documents

SENDER = {name: ASKED[name] for name in ("information_system_id", "organization_id")}
ID = SENDER["organization_id"]
PERIOD = {"start_date": "2026-01-01", "end_date": "2026-02-01"}


def faults(tree: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidCommandError) as caught:
        ZhkhDebtResponses().start(command(tree))
    return {fault.path: fault.rule for fault in caught.value.fields}


def test_the_registry_finds_it_and_it_stays_under_120_lines() -> None:
    assert known_actions()["zhkh-debt-responses"] == "smev3"
    assert len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()) < 120


def test_the_example_is_sent_and_its_reply_is_read() -> None:
    (example,) = ZhkhDebtResponses.examples
    assert b"<tns:request-id>" in ZhkhDebtResponses().start(command(example.request)).content
    reply = ZhkhDebtResponses().resume(command(ASKED), answer(documents()["error"]))
    assert (reply.code, set(reply.outcome)) == (ANSWER["error"]["error_code"], {"error"})


def test_the_personal_signature_is_configured_like_that_of_the_first_service() -> None:
    service = make_services({"USE_PERSONAL_SIGNATURE": "true"})["zhkh-debt-responses"]
    call = service.start(command(ASKED))
    assert call.official  # type: ignore[union-attr]
    assert b' Id="id-' in call.content  # type: ignore[union-attr]
    with pytest.raises(ConfigurationError):
        ZhkhDebtResponses.configured({"USE_PERSONAL_SIGNATURE": "perhaps"})


@pytest.mark.parametrize(
    ("asked", "path", "rule"),
    [
        ({}, "request_ids", "ровно одно из полей: request_ids, request_numbers, request_creation_period"),
        ({"request_ids": []}, "request_ids", "не меньше 1"),
        ({"request_ids": [ID] * 101}, "request_ids", "не больше 100"),
        ({"request_ids": ["x"]}, "request_ids[0]", "ожидается UUID"),
        ({"request_ids": ID}, "request_ids", "ожидается список"),
        ({"request_ids": [ID], "request_numbers": ["1234567"]}, "request_numbers", "не указывается вместе"),
        ({"request_numbers": ["123456"]}, "request_numbers[0]", "не меньше 7"),
        ({"house_ids": [ID]}, "request_creation_period", "обязательно вместе с house_ids"),
        ({"request_creation_period": {"start_date": "2026-01-01"}}, "request_creation_period.end_date", "отсутствует"),
        ({"request_creation_period": PERIOD | {"end_date": "01.02.2026"}}, "request_creation_period.end_date", "ГГГГ"),
        ({"request_creation_period": PERIOD, "request_statuses": ["LOST"]}, "request_statuses[0]", "DRAFT, PROCESSING"),
        ({"request_creation_period": PERIOD, "request_statuses": ["SENT"] * 5}, "request_statuses", "не больше 4"),
        ({"request_creation_period": PERIOD, "request_results": [2**31]}, "request_results[0]", "не больше 2147483647"),
        (
            {"request_creation_period": PERIOD, "applicant_info": {"snils": "111-111-111 45"}},
            "applicant_info.snils",
            "11 цифр",
        ),
        ({"request_creation_period": PERIOD, "request_stats": 1}, "request_stats", "возможно, имелось в виду"),
    ],
)
def test_bad_input_is_named_by_field_and_rule(asked: dict[str, Any], path: str, rule: str) -> None:
    assert rule in faults(SENDER | asked)[path]


def test_all_faults_come_at_once() -> None:
    found = faults({"request_ids": ["x"], "house_ids": ["y"], "colour": "red"})
    assert set(found) == {*SENDER, "request_ids[0]", "house_ids[0]", "house_ids", "colour"}


def test_an_answer_says_whether_there_is_a_debt() -> None:
    outcome = ZhkhDebtResponses().resume(command(ASKED), answer(documents()["found"])).outcome
    (request,) = outcome["result"]["request_data"]
    assert request["subrequests"][0]["response"]["has_debt"] is True
    assert request["sent_date"] == "2026-01-03+03:00"


def test_an_empty_mark_of_the_last_page_is_true() -> None:
    outcome = ZhkhDebtResponses().resume(command(ASKED), answer(documents()["last page"])).outcome
    assert outcome["result"]["paged_output"] == {"last_page": True}


def test_an_answer_of_another_type_is_unreadable() -> None:
    with pytest.raises(AnswerUnreadableError):
        ZhkhDebtResponses().resume(command(ASKED), answer(documents()["by id"]))
