"""The letter to ЕПГУ's support: eight points from what is journaled, impersonal where it has to be."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.documents.letter import Letter, Point, as_docx, as_text
from adapter.exchange import State
from adapter.journal.records import Exchange
from adapter.recovery.history import Fact, History
from adapter.recovery.incident import ADDRESS, UNKNOWN, Sender, incident

AT = datetime(2026, 3, 2, 9, 15, 30, 250_000, tzinfo=UTC)
REQUEST: dict[str, Any] = {
    "method": "POST",
    "host": "svcdev-gostapi.test.gosuslugi.ru",
    "url": "https://svcdev-gostapi.test.gosuslugi.ru/api/gusmev/order/2060000001/cancel?reason=%D0%98%D0%B2%D0%B0%D0%BD",
    "headers": {"Accept": "*/*", "Authorization": "Bearer [token]"},
    "sent_at": "2026-03-02T09:15:30.250+00:00",
    "token_at": "2026-03-02T09:10:00+00:00",
    "client_id": "MNEMONIKA",
    "org_oid": "1000000001",
    "subject": "1000000101",
    "body": '{"region":"45000000000","name":"Иванов Иван Иванович"}',
}


def record(status: int, body: str = "", **request: Any) -> dict[str, Any]:
    answer = {"status": status, "body": body, "received_at": "2026-03-02T09:15:31+00:00", "headers": {}}
    return {"request": REQUEST | request, "answer": answer}


def history(*records: dict[str, Any], error: dict[str, Any] | None = None, operation: str = "cancel") -> History:
    exchange = Exchange(
        UUID(int=7), "epgu.order.cancel", "q", State.FAILED, AT, AT + timedelta(hours=1), b'{"order_id": 2060000001}',
        b"", 0, b"p", operation=operation, gateway="epgu", outcome=json.dumps({"error": error or {}}).encode(),
    )  # fmt: skip
    facts = [Fact(AT, "refused", State.FAILED, data=json.dumps(one).encode()) for one in records]
    return History(exchange, facts)


def test_the_letter_has_address_subject_and_all_eight_points() -> None:
    error = {"error_code": "order_access", "description": "Нет прав", "recommendation": "Проверить маркер"}
    told = incident(
        history(record(403, '{"code":"order_access","message":"\\u041d\\u0435\\u0442"}'), error=error),
        Sender("AAA1", "SVCDEV", "Было так"),
    )
    assert (told.address, told.subject) == (ADDRESS, "AAA1 #API-ЕПГУ #Ошибка 403 order_access при отмене заявления")
    text = as_text(told)
    assert [f"\n{number}. " in text for number in range(1, 9)] == [True] * 8
    assert "\n9. " not in text
    for part in (
        "Наименование: AAA1", "(client_id): MNEMONIKA", "(org_oid): 1000000001", "SVCDEV (тестовая)",
        "Запрос: 02.03.2026 12:15:30 (МСК)", "Получение маркера доступа: 02.03.2026 12:10:00 (МСК)",
        "а. http-метод: POST", "б. host: svcdev-gostapi.test.gosuslugi.ru", "reason=Иван", "Иванов Иван Иванович",
        "\n   2060000001", "Было так", "Рекомендация спецификации: Проверить маркер", "HTTP 403 order_access",
        '"message":"Нет"',
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize("sender", [Sender("AAA1", "PROD"), Sender("AAA1", "SVCDEV")], ids=["configured", "by host"])
def test_a_request_to_the_productive_environment_is_impersonal(sender: Sender) -> None:
    request = {"host": "www.gosuslugi.ru"} if sender.environment == "SVCDEV" else {}
    answer = record(500, '{"code":"x","message":"Иванов Иван Иванович, 111-111-111 45","snils":"1"}', **request)
    words = Sender(sender.mnemonic, sender.environment, "Звонил Иванов И. И., +7 918 555-55-54, a@b.ru")
    text = as_text(incident(history(answer), words))
    for hidden in ("Иван", "111-111", "918", "a@b.ru", "snils", "%D0%98"):
        assert hidden not in text, hidden
    assert all(kept in text for kept in ("45000000000", "2060000001", "org_oid): 1000000001", ADDRESS))


def test_what_the_journal_has_not_is_said_to_be_unknown() -> None:
    text = as_text(incident(history(operation="order"), Sender("", "SVCDEV")))
    assert text.count(UNKNOWN) > 12
    assert "До ЕПГУ запрос не дошёл" in text
    assert "МНЕМОНИКА #API-ЕПГУ #" in text


def test_an_application_that_was_not_processed_is_told_by_its_status() -> None:
    event = {"order_id": 1, "code": "VALIDATION_ERROR", "description": "нет поля Region", "recommendation": "Исправить"}
    taken = history(record(200), operation="push-chunked")
    news = Fact(
        AT, "written", State.REPLIED, data=json.dumps(event).encode(), notes={"to": "epgu.order.process-failed"}
    )
    told = incident(History(taken.exchange, [*taken.facts, news]), Sender("A", "SVCDEV"))
    assert told.subject == "A #API-ЕПГУ #Статус VALIDATION_ERROR при обработке заявления"
    assert all(part in as_text(told) for part in ("нет поля Region", "Рекомендация спецификации: Исправить"))


def test_behind_a_proxy_the_portal_s_own_address_is_told() -> None:
    proxied = record(403, host="www.gosuslugi.ru", url="http://127.0.0.1:18080/api/gusmev/order")
    text = as_text(incident(history(proxied), Sender("A", "SVCDEV")))
    assert "в. URL: https://www.gosuslugi.ru/api/gusmev/order" in text


def test_a_call_without_an_answer_is_told_as_such() -> None:
    lost = {"request": REQUEST, "answer": None, "failure": {"reason": "ServerDisconnectedError", "at": AT.isoformat()}}
    told = incident(history(record(200), lost), Sender("AAA1", "SVCDEV"))
    assert told.subject == "AAA1 #API-ЕПГУ #Нет ответа при отмене заявления"
    assert "ServerDisconnectedError" in as_text(told)


def test_the_call_that_failed_is_told_though_others_followed() -> None:
    told = incident(history(record(502, host="a", url="https://a/bad"), record(200)), Sender("A", "SVCDEV"))
    assert "Ошибка 502" in told.subject
    assert "в. URL: https://a/bad" in as_text(told)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=50)), max_size=4), st.text(max_size=30))
def test_any_text_makes_a_document_that_opens(lines: list[tuple[str, str]], words: str) -> None:
    letter = Letter(ADDRESS, words, [Point(words, lines)])
    document = docx.Document(io.BytesIO(as_docx(letter)))
    assert ADDRESS in document.paragraphs[0].text
    assert as_text(letter).startswith(f"Кому: {ADDRESS}\n")


@given(st.binary(max_size=80))
def test_whatever_is_journaled_makes_a_letter(data: bytes) -> None:
    wild = History(history().exchange, [Fact(AT, "answer", State.FAILED, data=data)])
    assert len(incident(wild, Sender("A", "PROD")).points) == 8


def test_the_document_is_a_word_file_with_the_points_as_headings() -> None:
    made = as_docx(incident(history(record(403)), Sender("AAA1", "SVCDEV")))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert "word/document.xml" in archive.namelist()
    document = docx.Document(io.BytesIO(made))
    bold = [paragraph.text for paragraph in document.paragraphs if paragraph.runs and paragraph.runs[0].bold]
    assert [text[:2] for text in bold if text[0].isdigit()] == [f"{number}." for number in range(1, 9)]
    assert document.core_properties.title.startswith("AAA1")
