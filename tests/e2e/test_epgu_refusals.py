"""Bad days of applications to ЕПГУ from queue to queue: refused before anything is sent, else told as it is."""

from __future__ import annotations

import base64
import io
import os
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import docx
import pytest

from tests.e2e.epgu_stand import META

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Stack
    from tests.e2e.epgu_stand import Applicant, Ground

pytest_plugins = ("tests.e2e.epgu_fixtures",)

GOSKEY = {"service_code": "10000000374", "target_code": "-10000000374", "region": "45000000000"}


def file(name: str, content: bytes = b"<a/>", **more: Any) -> dict[str, Any]:
    return {"name": name, "content_base64": base64.b64encode(content).decode(), **more}


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"<a/>")
    return out.getvalue()


def ready(*names: str) -> dict[str, Any]:
    return {"archive": {"content_base64": base64.b64encode(zipped(*names)).decode()}}


@pytest.fixture
def large(applicant: Applicant) -> dict[str, Any]:
    """A file that makes an archive of three chunks."""
    path = applicant.files / "large.bin"
    if not path.exists():
        path.write_bytes(os.urandom(2_600_000))
    return {"name": "large.bin", "path": str(path)}


BAD = [
    ("an archive with folders", "submit", {**META, **ready("folder/req.xml")}, "archive"),
    ("a nested archive", "submit", {**META, "files": [file("inner", zipped("a.xml"))]}, "files[0]"),
    ("a name with a folder", "push", {**META, "files": [file("folder/req.xml")]}, "files[0].name"),
    (
        "too many files",
        "submit",
        {**GOSKEY, "files": [file(f"{n}.xml") for n in range(40)] + [file("req.xml")]},
        "files",
    ),
    ("a missing file", "submit", {**META, "files": [{"name": "a.xml", "path": "/nowhere/a.xml"}]}, "files[0].path"),
    ("no file at all", "push", META, "body"),
    ("a number that is none", "push-chunked", {**META, "order_id": "76A", "files": [file("a.xml")]}, "order_id"),
    ("a number that is none", "cancel", {"order_id": "76A"}, "order_id"),
    ("a service that is none", "submit", {**META, "service_code": "ПФР", "files": [file("a.xml")]}, "service_code"),
]


@pytest.mark.parametrize(("_", "action", "body", "path"), BAD, ids=[f"{name}, {action}" for name, action, _, _ in BAD])
async def test_what_can_be_known_is_refused_before_anything_is_sent(
    applicant: Applicant, _: str, action: str, body: dict[str, Any], path: str
) -> None:
    before = await applicant.ledger("order"), await applicant.ledger("push"), await applicant.ledger("chunk")
    error = await applicant.refusal(f"epgu.order.{action}", body)
    assert error["error_code"] in {"ADAPTER-INVALID-COMMAND", "ADAPTER-ATTACHMENT-REFUSED"}
    assert path in [fault["path"] for fault in error["fields"]]
    assert before == (await applicant.ledger("order"), await applicant.ledger("push"), await applicant.ledger("chunk"))


async def test_a_push_over_its_limit_is_refused_before_anything_is_sent(applicant: Applicant) -> None:
    (applicant.files / "over.bin").write_bytes(os.urandom(5_000_001))
    body = {**META, "files": [{"name": "over.bin", "path": str(applicant.files / "over.bin")}]}
    pushed = len(await applicant.ledger("push"))
    error = await applicant.refusal("epgu.order.push", body)
    assert "push-chunked" in error["description"]
    assert len(await applicant.ledger("push")) == pushed


async def test_a_service_that_the_portal_has_not_is_told_by_its_code(applicant: Applicant) -> None:
    error = await applicant.refusal("epgu.order.submit", {**META, "service_code": "99999", "files": [file("a.xml")]})
    assert error["error_code"] == "service_not_found"
    assert "service_code" in error["recommendation"]


async def test_a_chunk_that_is_refused_in_the_middle_tells_the_number(
    applicant: Applicant, large: dict[str, Any]
) -> None:
    await applicant.tell("scenario", {"operation": "chunk", "chunk": 1, "refuse": "push_denied"})
    error = await applicant.refusal("epgu.order.submit", {**META, "files": [file("req.xml"), large]})
    number = (await applicant.ledger("order"))[-1]["order_id"]
    assert (error["error_code"], error["details"]["order_id"]) == ("push_denied", number)


async def test_a_chunk_that_fails_in_the_middle_is_sent_again_and_the_archive_arrives_once(
    applicant: Applicant, large: dict[str, Any]
) -> None:
    await applicant.tell("scenario", {"operation": "chunk", "chunk": 1, "drop": "after", "times": 1})
    number = (await applicant.result("epgu.order.submit", {**META, "files": [file("req.xml"), large]}))["order_id"]
    lines = await applicant.ledger("chunk", number)
    assert [(line["chunk"], line["status"]) for line in lines] == [(0, 206), (1, 0), (1, 206), (2, 200)]


async def test_a_token_that_is_refused_in_the_middle_tells_the_number(
    applicant: Applicant, large: dict[str, Any]
) -> None:
    await applicant.tell("scenario", {"operation": "chunk", "chunk": 1, "status": 401})
    error = await applicant.refusal("epgu.order.submit", {**META, "files": [file("req.xml"), large]})
    number = (await applicant.ledger("order"))[-1]["order_id"]
    assert (error["error_code"], error["details"]["order_id"]) == ("ADAPTER-TOKEN-REFUSED", number)
    assert error["recommendation"]


async def test_a_token_that_esia_refuses_in_the_middle_tells_the_number(
    applicant: Applicant, large: dict[str, Any]
) -> None:
    await applicant.result("epgu.order.create", META)  # has a token from here on
    await applicant.tell("scenario", {"operation": "chunk", "chunk": 1, "status": 401, "times": 1})
    await applicant.tell("scenario", {"operation": "token", "refuse": "ESIA-007005"})
    error = await applicant.refusal("epgu.order.submit", {**META, "files": [file("req.xml"), large]})
    number = (await applicant.ledger("order"))[-1]["order_id"]
    assert (error["error_code"], error["details"]["order_id"]) == ("ESIA-007005", number)


async def test_a_deadline_that_passes_after_the_reservation_tells_the_number(applicant: Applicant) -> None:
    await applicant.tell("scenario", {"operation": "chunk", "status": 429})
    moment = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    body = {**META, "files": [file("req.xml")]}
    error = await applicant.refusal("epgu.order.submit", body, headers={"x-deadline": moment})
    number = (await applicant.ledger("order"))[-1]["order_id"]
    assert (error["error_code"], error["details"]["order_id"]) == ("ADAPTER-EXPIRED", number)


async def test_a_push_without_an_answer_is_uncertain_and_its_request_is_journaled(applicant: Applicant) -> None:
    name = str(uuid4())
    await applicant.tell("scenario", {"operation": "push", "drop": "after", "times": 1})
    error = await applicant.refusal("epgu.order.push", {**META, "files": [file("a.xml")]}, message_id=name)
    assert error["error_code"] == "ADAPTER-UNCERTAIN"
    (call,) = await applicant.calls(name)
    assert (call["answer"], call["request"]["client_id"]) == (None, "MNEMONIKA")
    assert call["request"]["headers"]["Authorization"] == "Bearer [token]"


async def test_a_rehearsal_lists_the_files_and_reserves_no_number(applicant: Applicant) -> None:
    reserved = len(await applicant.ledger("order"))
    body = {**META, "files": [file("req.xml", b"<a>${orderId}</a>")], "substitute": ["req.xml"]}
    told = await applicant.result("epgu.order.submit", body, headers={"x-dry-run": True})
    assert told["dry_run"] is True
    assert told["json"]["meta"] == META
    assert [(one["name"], one["size"]) for one in told["files"]] == [("req.xml", 17)]
    assert "xml" not in told
    assert len(await applicant.ledger("order")) == reserved
    pushed = len(await applicant.ledger("push"))
    told = await applicant.result("epgu.order.push", {**META, "files": [file("a.xml")]}, headers={"x-dry-run": True})
    assert [one["name"] for one in told["files"]] == ["a.xml", "archive.zip"]
    assert len(await applicant.ledger("push")) == pushed


async def test_an_incident_is_written_of_what_the_journal_has(
    stack: Stack, ground: Ground, applicant: Applicant, large: dict[str, Any], tmp_path: Path
) -> None:
    await applicant.tell("scenario", {"operation": "chunk", "chunk": 1, "status": 403, "text": "denied"})
    error = await applicant.refusal("epgu.order.submit", {**META, "files": [file("req.xml"), large]})
    number = str(error["details"]["order_id"])
    (tmp_path / "words.txt").write_text("Подавали заявление, всё упало", encoding="utf-8")
    options = ("--description", str(tmp_path / "words.txt"), "-o", str(tmp_path / "letter"))
    written = stack.command("incident", number, *options, **ground.environment)
    assert written.returncode == 0, written.stderr
    assert "MNEMONIKA #API-ЕПГУ #Ошибка 403 при загрузке архива по частям" in written.stdout.decode()
    text = (tmp_path / "letter.txt").read_text(encoding="utf-8")
    for part in (
        "Кому: sd@sc.digital.gov.ru", "Идентификатор (client_id): MNEMONIKA", "(org_oid): 1000000001",
        "а. http-метод: POST", "/api/gusmev/push/chunked", "Authorization: Bearer [token]", f'"orderId":"{number}"',
        f"6. Номер заявления (orderId)\n   {number}", "ФИО в ЕСИА: не получено", "HTTP 403", "(МСК)", "всё упало",
    ):  # fmt: skip
        assert part in text, part
    assert "eyJ" not in text
    cells = [cell.text for table in docx.Document(str(tmp_path / "letter.docx")).tables for row in table.rows
             for cell in row.cells]  # fmt: skip
    assert "MNEMONIKA" in cells
    assert any("Authorization: Bearer [token]" in cell for cell in cells)
    modes = {name: oct((tmp_path / name).stat().st_mode)[-3:] for name in ("letter.txt", "letter.docx")}
    assert set(modes.values()) == {"600"}
