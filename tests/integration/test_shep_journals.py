"""The journals of order № 104, written from what a worker of the product exchanged with the simulated ШЭП."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import structlog

from adapter.documents.shep_forms import read_form
from adapter.shep_journals.watch import EmergencyWatch
from adapter.workdays import Calendar
from tests.documents_read import sheet, tables, words
from tests.integration.shep_house import DATA, told
from tests.integration.test_recovery_commands import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import asyncpg

    from tests.integration.conftest import HouseBuilder
    from tests.integration.shep_house import Shep

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")


@pytest.fixture
def clerk(
    shep: Shep,
    builder: HouseBuilder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Desk]:
    """Who keeps the journals: at the command line, with the registry of the worker."""
    for key, value in builder.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SHEP_SERVICES_FILE", str(tmp_path / "services.toml"))
    monkeypatch.setenv("SHEP_SENDER_ID", "adapter")
    monkeypatch.setattr("adapter.recovery.door.configure", lambda *_, **__: None)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield Desk(capfd)
    structlog.configure(**before)


def period() -> tuple[str, ...]:
    now = datetime.now(UTC)
    return ("--from", (now - timedelta(hours=1)).isoformat(), "--to", (now + timedelta(hours=1)).isoformat())


async def everything(shep: Shep) -> dict[str, Any]:
    """Exchange one message of each kind; return the asynchronous receipt."""
    sync = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
    await shep.upstream.ask("shep.sync.send", sync)
    body = {"message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"}, "message_data": {"data": DATA}}
    async with shep.events("shep.message.received") as arrived, shep.events("shep.status.changed") as news:
        receipt: dict[str, Any] = (await shep.upstream.ask("shep.async.send", body))["result"]
        await told(arrived)
        await told(news)
    await shep.upstream.ask("shep.async.status", {"message_id": receipt["message_id"]})
    async with shep.events("shep.sync.requested") as arrived:
        asked = {"sender_id": "other", "service_id": "OwnSync", "data": DATA}
        waits = asyncio.create_task(shep.stand.post("/_sim/ask", asked, 200))
        request = await told(arrived)
        await shep.upstream.ask("shep.sync.answer", {"message_id": request["message_id"], "data": DATA})
        await asyncio.wait_for(waits, 15)
    return receipt


async def test_the_log_has_every_message_of_both_directions(shep: Shep, clerk: Desk, tmp_path: Path) -> None:
    receipt = await everything(shep)
    rows = (await clerk.type("shep", "journal", *period(), "--json")).json
    told = [(row["channel"], row["kind"], row["sender"], row["receiver"], row["state"]) for row in rows]
    assert told == [
        ("Синхронный (ШЭП)", "REQUEST", "adapter", "ТДИС (SyncEcho)", "Принято ШЭП"),
        ("Синхронный (ШЭП)", "RESPONSE", "ТДИС (SyncEcho)", "adapter", "Передано получателю"),
        ("Асинхронный (ШЭП)", "REQUEST", "adapter", "ТДИС (AsyncEcho)", "Доставлено"),
        ("Асинхронный (ШЭП)", "RESPONSE", rows[3]["sender"], "adapter", "Передано получателю"),
        ("Асинхронный (ШЭП)", "Уведомление о статусе", "ШЭП", "adapter", "Доставлено"),
        ("Асинхронный (ШЭП)", "Запрос состояния", "adapter", "ШЭП", "Принято ШЭП"),
        ("Синхронный (ШЭП)", "REQUEST", "other", "ТИСА (OwnSync)", "Передано получателю"),
        ("Синхронный (ШЭП)", "RESPONSE", "ТИСА (OwnSync)", "other", "Ответ дан"),
    ]
    assert [rows[place]["message_id"] for place in (2, 4, 5)] == [receipt["message_id"]] * 3
    assert all(row["received"] <= row["sent"] for row in rows)

    shown = await clerk.type("shep", "journal", *period())
    assert shown.out.startswith("\ufeff")
    assert "password" not in shown.out
    table = list(csv.reader(io.StringIO(shown.out[1:], newline=""), delimiter=";"))
    assert table[0] == read_form(6)["headings"]
    assert [row[0] for row in table[1:]] == [str(number) for number in range(1, 9)]
    assert (await clerk.type("shep", "journal", *period(), "--service", "OwnSync", "--json")).json == rows[6:]

    file = tmp_path / "journal.xlsx"
    assert (await clerk.type("shep", "journal", *period(), "--format", "xlsx", "-o", str(file))).code == 0
    assert sheet(file.read_bytes())[3] == read_form(6)["headings"]
    assert len(sheet(file.read_bytes())) == 5 + 8
    assert (await clerk.type("shep", "journal", *period(), "--format", "xlsx")).code == 1
    wrong = await clerk.type("shep", "journal", "--from", "yesterday", "--to", "2026-11-01")
    assert (wrong.code, wrong.err.partition(":")[0]) == (1, "--from")


LATE = """
with late as (
    insert into exchanges (id, action, source, state, received_at, deadline, fingerprint, next_at)
    values ($1, 'shep.async.send', 'q', 'retrying', $2, now() + interval '1 day', ''::bytea, now() + interval '1 day')
    returning id
)
insert into incoming (id, body, body_sha256, body_size, properties)
select id, ''::bytea, ''::bytea, 0, ''::bytea from late
"""
ASTANA = timezone(timedelta(hours=5))


async def test_a_message_that_waits_over_a_working_day_becomes_an_entry_that_people_close(
    shep: Shep, clerk: Desk, look: asyncpg.Connection, tmp_path: Path
) -> None:
    late = uuid4()
    received = datetime.now(UTC) - timedelta(days=9)
    await look.execute(LATE, late, received)
    holidays = frozenset((received + timedelta(days=day)).date() for day in range(-1, 12))
    resting, working = EmergencyWatch(Calendar(ASTANA, holidays)), EmergencyWatch(Calendar(ASTANA))
    assert await resting.look(look) == (0, ())
    assert await working.look(look) == (1, ())
    assert await working.look(look) == (0, ())
    (entry,) = (await clerk.type("shep", "emergency", "list", "--json")).json
    assert (entry["opened_by"], entry["exchange_id"], entry["sent_at"]) == ("adapter", str(late), None)
    number = str(entry["number"])

    opened = ("--received", "2026-11-19T09:00", "--reason", "=Обрыв канала")
    assert (await clerk.type("shep", "emergency", "open", *opened)).out == f"entry {entry['number'] + 1} is open\n"
    refused = await clerk.type("shep", "emergency", "close", number, "--reason", "Работы")
    assert (refused.code, refused.err) == (
        1,
        "--measures, --sent, --person: is required before an entry is closed (form 7)\n",
    )
    await look.execute("insert into proof (exchange_id, kind) values ($1, 'request')", late)
    await working.look(look)
    noted = ("--notified", "2h", "--arrived", "1h", "--measures", "Повторная отправка", "--reason", "Работы")
    assert (await clerk.type("shep", "emergency", "note", number, *noted)).code == 0
    assert (await clerk.type("shep", "emergency", "close", number, "--person", "Тестов Тест")).code == 0
    assert (await clerk.type("shep", "emergency", "note", number, *noted)).code == 1
    (left,) = (await clerk.type("shep", "emergency", "list", "--open", "--json")).json
    assert left["number"] == entry["number"] + 1

    table = list(csv.reader(io.StringIO((await clerk.type("shep", "emergency", "export")).out[1:]), delimiter=";"))
    assert table[0] == read_form(7)["headings"]
    assert (table[1][5:7], table[1][8:]) == (["Работы", "Повторная отправка"], ["Тестов Тест", ""])
    assert table[1][2] == f"{received.astimezone(ASTANA):%d.%m.%Y %H:%M:%S}"
    assert (table[2][2], table[2][5]) == ("19.11.2026 09:00:00", "'=Обрыв канала")
    file = tmp_path / "emergencies.xlsx"
    assert (await clerk.type("shep", "emergency", "export", "--format", "xlsx", "-o", str(file))).code == 0
    assert sheet(file.read_bytes())[3] == read_form(7)["headings"]
    ahead = await clerk.type("shep", "emergency", "open", "--received", "2999-01-01T00:00")
    assert (ahead.code, ahead.err) == (1, "--received: must not lie ahead\n")


async def test_the_test_exchange_of_the_order_is_made_and_its_protocol_written(
    shep: Shep, clerk: Desk, tmp_path: Path
) -> None:
    data, file = tmp_path / "request.xml", tmp_path / "protocol.docx"
    data.write_text("<request/>", encoding="utf-8")
    arguments = ("--data", str(data), "-o", str(file))
    done = await clerk.type("shep", "selftest", "AsyncEcho", *arguments, "--json")
    assert (done.code, done.json["passed"]) == (0, True)
    number = done.json["steps"][-1]["ids"]["message_id"]
    facts, steps = tables(file.read_bytes())
    assert facts[0] == ["Сервис", "ТЕСТ Сервис, отвечающий отдельным сообщением (AsyncEcho)"]
    assert [row[1] for row in steps[1:]] == [step["name"] for step in done.json["steps"]]
    assert f"message_id: {number}" in steps[-1][3]
    assert any(word.startswith("Вывод: интеграция успешна") for word in words(file.read_bytes()))

    told = await clerk.type("shep", "selftest", "SyncEcho", *arguments)
    assert told.code == 0
    assert "Получено ответное сообщение" in told.out
    await shep.stand.scenario(operation="SendMessage", service_id="SyncEcho", fault="X-1")
    failed = await clerk.type("shep", "selftest", "SyncEcho", *arguments)
    assert (failed.code, "X-1" in failed.out) == (1, True)
    assert any(word.startswith("Вывод: интеграция не подтверждена") for word in words(file.read_bytes()))
    assert "password" not in " ".join(words(file.read_bytes()))
    for wrong, name in (
        (("AsyncEcho",), "--data"),
        (("Nothing",), "SERVICE"),
        (("AsyncEcho", "--channel", "sync"), "--c"),
    ):
        refused = await clerk.type("shep", "selftest", *wrong)
        assert refused.code == 1
        assert refused.err.startswith(name)
