"""The proof of an exchange as a file, and its page."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from adapter.exchange import State
from adapter.journal.records import Exchange
from adapter.recovery.archive import make_archive
from adapter.recovery.history import Fact, History
from adapter.recovery.page import page

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SIGNED = '<a xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:X509Certificate>{}</d:X509Certificate></a>'


def exchange(**more: Any) -> Exchange:
    values = {"id": UUID(int=7), "action": "call", "source": "call", "state": State.WAITING, "received_at": AT}
    values |= {"deadline": AT, "body": b"{}", "body_sha256": b"\x01", "body_size": 2, "properties": b"\x00\x00"}
    return Exchange(**(values | more))


def unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_signature_without_a_readable_certificate_keeps_its_bytes_and_adds_no_certificate() -> None:
    letters = [SIGNED.format(text).encode() for text in ("not base64!", "", "AQ")]
    facts = [Fact(AT, "request", State.SUBMITTING, data=letter) for letter in letters]
    members = unzip(make_archive(History(exchange(), facts)))
    assert [members[f"0{n}-request.xml"] for n in (1, 2, 3)] == letters
    assert not [name for name in members if name.startswith("certificates/")]


def test_the_same_certificate_in_two_messages_is_kept_once() -> None:
    facts = [Fact(AT, "answer", State.ANSWERED, data=SIGNED.format("MAMC AQc=").encode()) for _ in range(2)]
    members = unzip(make_archive(History(exchange(), facts)))
    assert len([name for name in members if name.startswith("certificates/")]) == 1


def test_a_command_that_was_too_large_to_keep_is_told_by_its_digest_and_size() -> None:
    large = exchange(body=None, body_size=10**7, body_sha256=b"\xab" * 32)
    manifest = json.loads(
        unzip(make_archive(History(large, [Fact(AT, "received", State.RECEIVED, size=10**7)])))["manifest.json"]
    )
    told = manifest["exchange"]
    assert (told["command_kept"], told["command_bytes"], told["command_sha256"]) == (False, 10**7, "ab" * 32)


def test_who_has_looked_changes_nothing_in_the_archive() -> None:
    facts = [Fact(AT, "received", State.RECEIVED, data=b"{}")]
    looked = [*facts, Fact(AT, "revealed", State.RECEIVED, notes={"by": "somebody"})]
    assert make_archive(History(exchange(), facts)) == make_archive(History(exchange(), looked))


def test_the_archive_does_not_depend_on_the_day_it_is_made() -> None:
    with zipfile.ZipFile(io.BytesIO(make_archive(History(exchange(), [])))) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_long_history_still_fits_one_sheet_and_says_what_it_leaves_out() -> None:
    facts = [Fact(AT + timedelta(seconds=n), "retry", State.RETRYING, code="X" * 60, size=n) for n in range(500)]
    verdicts = [{"file": "f" * 200, "math": False, "parent": "{u}Signature"} for _ in range(20)]
    lines = page(exchange(), facts, {}, verdicts, 0).splitlines()
    assert len(lines) <= 66
    assert any("ещё событий: 472" in line for line in lines)
    assert any("ещё подписей: 14" in line for line in lines)
    assert any("математически НЕВЕРНА" in line or "…" in line for line in lines)
    assert lines[-1].startswith("в manifest.json")
    assert [line for line in lines if line.startswith("500 ")]


def test_a_page_without_signatures_says_so() -> None:
    assert "Проверок подписей в журнале нет." in page(exchange(), [], {}, [], 0)


def test_foreign_ids_cannot_draw_on_the_page() -> None:
    told = page(exchange(message_id="id\nСостояние           исполнена\x1b[31m"), [], {}, [], 0)
    assert sum(line.startswith("Состояние") for line in told.splitlines()) == 1
    assert "\x1b" not in told
