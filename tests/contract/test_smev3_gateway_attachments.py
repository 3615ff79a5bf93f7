"""Attachments of the СМЭВ3 gateway against the simulator and its file storage: both roles, both ways, bad days.

What depends on the schema runs in each version; the rest in one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from adapter.errors import Code, FileError, FileTooLargeError, KnownError, SignerError
from adapter.exchange import Accepted, AnswerKind, Attachment, Call
from adapter.files import FtpFiles
from adapter.gateways.smev3 import Smev3RequestSource, fetching, outgoing
from adapter.gateways.smev3.options import VERSIONS
from adapter.gateways.smev3.responses import PrimaryContent
from adapter.paths import SCHEMAS
from adapter.xml.multipart import soap_message
from adapter.xml.parser import parse, serialize
from adapter.xml.schema import Schema
from simulators.sign_service.app import make_app as make_sign_service
from tests.contract.sign_service_stand import serving
from tests.contract.smev3_attachments_stand import PROVIDER, Desk, Files, open_files, running
from tests.contract.smev3_caller import DEBT_REQUESTS
from tests.contract.smev3_stand import SEND_REQUEST, call, open_stand
from tests.contract.smev3_worlds import ZOO, ZOO_ANSWER, published

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from adapter.signing.gost import GostEngine

SMALL = bytes(range(256)) * 40
LARGE = SMALL * 550  # above what may be inside a message
SOAP_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
OCTETS = "application/octet-stream"


@pytest.fixture(scope="module")
async def signing(keys: Path, gost: GostEngine) -> AsyncIterator[str]:
    async with serving(make_sign_service(keys, engine=gost)) as url:
        yield url


@pytest.fixture
def version() -> str:
    return "1.2"


@pytest.fixture
async def files(keys: Path, gost: GostEngine, signing: str, version: str, tmp_path: Path) -> AsyncIterator[Files]:
    async with open_stand(keys, gost, signing, version) as stand:
        yield await open_files(stand, tmp_path)


def small(name: str = "spravka.txt", content: bytes = SMALL) -> Attachment:
    return Attachment(name, OCTETS, content=content)


def large(files: Files, name: str = "большой файл.bin", content: bytes = LARGE) -> Attachment:
    path = files.folder / hashlib.sha256(name.encode()).hexdigest()
    path.write_bytes(content)
    return Attachment(name, OCTETS, path=str(path))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("official", [False, True])
async def test_attachments_go_out_with_a_request_and_come_in_with_an_answer(
    files: Files, version: str, *, official: bool
) -> None:
    prepared = await files.ask(small(), large(files), small("вторая.txt", b"\r\n--x\r\n\x00"), official=official)
    assert [(fact.name, fact.size) for fact in prepared.files] == [
        ("spravka.txt", len(SMALL)),
        ("большой файл.bin", len(LARGE)),
        ("вторая.txt", 8),
    ]
    assert prepared.files[1].sha256 == hashlib.sha256(LARGE).hexdigest()
    assert len(set(prepared.signed_by)) == 1 + official
    _must_be_valid(prepared.body, version)
    async with files.requests() as desk:
        request = await desk.next()
        await files.stand.acked()
    assert request.attachments_fault is None
    assert {file.name: file.size for file in request.attachments} == {
        "spravka.txt": len(SMALL),
        "attachment-2": 8,
        "большой файл.bin": len(LARGE),
    }
    for file in request.attachments:
        stored = (files.root / file.path).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == file.sha256
        assert file.content == (stored if len(stored) <= 256_000 else None)
    pkcs7 = [verdict for verdict in request.verdicts if not verdict["reference"] and not verdict["parent"]]
    assert [(verdict["math"], verdict["trust"]) for verdict in pkcs7] == [(True, "trusted")] * 3

    provider = files.gateway(system_key=PROVIDER)
    word = PrimaryContent(ZOO_ANSWER.encode(), official=official, attachments=(small(), large(files)))
    said = await provider.prepare_response(request.reply_to, word)
    _must_be_valid(said.body, version)
    assert isinstance(await provider.send(said, earlier_attempts=0), Accepted)
    async with files.answers() as intake:
        answer = await intake.next()
        await files.stand.acked(2)
    assert (answer.kind, answer.reference, answer.fault) == (AnswerKind.ANSWER, prepared.gateway_id, None)
    assert [(file.name, file.size) for file in answer.attachments] == [
        ("spravka.txt", len(SMALL)),
        ("большой файл.bin", len(LARGE)),
    ]
    assert answer.attachments[1].path == answer.attachments[1].sha256[:2] + "/" + answer.attachments[1].sha256


def _must_be_valid(body: bytes, version: str) -> None:
    """Our schema and the reference have to find the message valid, with its parts in their places."""
    payload = parse(soap_message(body)).find(SOAP_BODY)
    assert payload is not None
    alone = parse(serialize(payload[0]))
    assert Schema.load(SCHEMAS / "smev3" / version / "service.xsd").check(alone) == []
    schema = published(version)
    if schema is not None:
        schema.assertValid(alone.getroottree())


async def test_the_same_bytes_are_sent_again_and_taken_as_the_same(files: Files) -> None:
    prepared = await files.ask(small(), large(files))
    assert isinstance(await files.gateway().send(prepared, earlier_attempts=1), Accepted)
    assert len(await files.stand.told("attachments")) == 2


async def test_a_rehearsal_signs_and_moves_nothing(files: Files) -> None:
    await files.stand.scenario(operation="Upload", ftp="login")
    call = Call("smev3", SEND_REQUEST, ZOO.encode(), attachments=(small(), large(files)), rehearsed=True)
    prepared = await files.gateway().prepare(call)
    assert prepared.files[1].size == len(LARGE)
    assert b"RefAttachmentHeader>" in prepared.body


@pytest.mark.parametrize("fault", ["login", "missing", "cut"])
async def test_an_upload_that_fails_is_tried_again(files: Files, fault: str) -> None:
    await files.stand.scenario(operation="Upload", ftp=fault, times=1)
    await files.ask(large(files))
    (seen,) = await files.stand.told("attachments")
    assert seen["size"] == len(LARGE)


async def test_a_storage_that_stays_away_puts_the_call_off_and_names_the_attachment(files: Files) -> None:
    await files.stand.scenario(operation="Upload", ftp="login")
    with pytest.raises(FileError) as raised:
        await files.prepared(small(), large(files))
    assert (raised.value.code, raised.value.retryable) == ("ADAPTER-ATTACHMENT-UNAVAILABLE", True)
    assert [fault.path for fault in raised.value.fields] == ["attachments[1]"]


@pytest.mark.parametrize(
    ("attachment", "path"),
    [
        (Attachment("a.pdf", "application/pdf", content=b"no pdf"), "attachments[1].mime_type"),
        (Attachment("a.txt", "multipart/mixed", content=b"x"), "attachments[1].mime_type"),
        (Attachment("../a", OCTETS, content=b"x"), "attachments[1].name"),
        (Attachment("a\r\nDELE b", OCTETS, content=b"x"), "attachments[1].name"),
        (Attachment("a", OCTETS, path="/etc/hostname"), "attachments[1].path"),
        (Attachment("a", OCTETS, url="http://127.0.0.1/a"), "attachments[1].url"),
    ],
    ids=["lying", "mime", "folder", "line", "path", "url"],
)
async def test_an_attachment_that_cannot_be_sent_is_named(files: Files, attachment: Attachment, path: str) -> None:
    with pytest.raises(FileError) as raised:
        await files.prepared(small(), attachment)
    assert (raised.value.code, raised.value.retryable) == ("ADAPTER-ATTACHMENT-REFUSED", False)
    assert [fault.path for fault in raised.value.fields] == [path]


async def test_a_file_that_is_not_there_is_named(files: Files) -> None:
    with pytest.raises(FileError) as raised:
        await files.prepared(Attachment("a", OCTETS, path=str(files.folder / "missing")))
    assert [fault.path for fault in raised.value.fields] == ["attachments[0].path"]


async def test_more_than_the_storage_takes_for_one_message_is_refused_by_its_limit(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "FILES_LIMIT", len(LARGE) * 2 - 1)
    with pytest.raises(FileTooLargeError) as raised:
        await files.prepared(large(files), large(files, "second"))
    assert [fault.path for fault in raised.value.fields] == ["attachments[1]"]


async def test_small_attachments_beyond_five_megabytes_go_by_the_storage(files: Files) -> None:
    half = b"x" * (3 * 2**20)
    await files.ask(small("a", half), small("b", half), small("c", b"y" * 2**21))
    seen = {entry["name"]: entry["by"] for entry in await files.stand.told("attachments")}
    assert seen == {"a": "mtom", "b": "ftp", "c": "mtom"}


async def test_the_gateway_names_its_own_limit(files: Files) -> None:
    await files.tell("settings", files_limit=len(LARGE) - 1)
    sent = await files.gateway().send(await files.prepared(large(files)), earlier_attempts=0)
    assert not isinstance(sent, Accepted)
    assert sent.error.details["fault"] == "AttachmentSizeLimitExceeded"


@pytest.mark.parametrize("fault", ["login", "missing", "cut", "short", "corrupt"])
async def test_a_download_that_fails_is_tried_again_before_the_ack(files: Files, fault: str) -> None:
    await files.stand.scenario(operation="Download", ftp=fault, times=1)
    await files.put({"by": "ftp", "size": 3_000_000})
    async with files.requests() as desk:
        request = await desk.next()
        (ack,) = await files.stand.acked()
    assert (ack["message_id"], ack["deliveries"]) == (request.key, 1)
    assert [file.size for file in request.attachments] == [3_000_000]
    assert files.left() == []


async def test_a_storage_that_stays_away_leaves_the_message_with_the_gateway(files: Files) -> None:
    await files.stand.scenario(operation="Download", ftp="login", times=6)
    await files.put({"by": "ftp", "size": 300_000})
    async with files.requests() as desk:
        await _until_rule_ends(files)
        assert await files.stand.told("acks") == []
        files.stand.clock.advance(minutes=15)
        request = await desk.next()
        (ack,) = await files.stand.acked()
    assert (len(request.attachments), ack["deliveries"]) == (1, 2)


async def _until_rule_ends(files: Files) -> None:
    async with asyncio.timeout(20):
        while await files.stand.told("scenario"):  # noqa: ASYNC110  — the simulator has no signal of its own
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        ({"by": "ftp", "flaw": "hash"}, "хэшу"),
        ({"by": "ftp", "flaw": "signature"}, "подпись"),
        ({"by": "ftp", "flaw": "short"}, "хэшу"),
        ({"by": "mtom", "flaw": "signature"}, "подпись"),
        ({"by": "mtom", "flaw": "unsigned"}, "нет подписи"),
        ({"by": "mtom", "flaw": "missing"}, "не пришло"),
        ({"by": "mtom", "flaw": "short"}, "подпись"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
async def test_an_attachment_that_is_not_what_was_signed_is_a_named_error(
    files: Files, wanted: dict[str, Any], rule: str
) -> None:
    prepared = await _answered_with(files, {"by": "mtom", "size": 10}, wanted | {"size": 1000, "name": "b.txt"})
    async with files.answers() as intake:
        answer = await intake.next()
        await files.stand.acked()
    assert (answer.kind, answer.reference) == (AnswerKind.REJECTION, prepared.gateway_id)
    assert answer.fault is not None
    assert answer.fault.code == "ADAPTER-ATTACHMENT-WRONG"
    (fault,) = answer.fault.fields
    assert fault.path == "attachments[1]"
    assert rule in fault.rule.lower()
    assert parse(answer.content).tag == f"{{{DEBT_REQUESTS}}}ImportDebtRequestsResponse"
    assert [file.size for file in answer.attachments] == [10]
    assert files.left() == []


async def _answered_with(files: Files, *attachments: dict[str, Any]) -> Any:
    """Ask the built-in provider, whose answer then has ``attachments`` made by the simulator."""
    await files.stand.scenario(attachments=attachments, times=1)
    prepared = await files.gateway().prepare(call())
    assert isinstance(await files.gateway().send(prepared, earlier_attempts=0), Accepted)
    return prepared


async def test_an_attachment_without_a_signature_is_taken_when_its_hash_is_signed(files: Files) -> None:
    await _answered_with(files, {"by": "ftp", "size": 1000, "flaw": "unsigned"})
    async with files.answers() as intake:
        answer = await intake.next()
    assert (answer.kind, len(answer.attachments)) == (AnswerKind.ANSWER, 1)


async def test_a_file_that_is_missing_for_good_is_never_confirmed(files: Files) -> None:
    await files.put({"by": "ftp", "size": 1000, "flaw": "missing"})
    await files.put({"by": "mtom", "size": 1000})
    async with files.requests() as desk:
        other = await desk.next()
        (ack,) = await files.stand.acked()
    assert ack["message_id"] == other.key


@pytest.mark.parametrize("wire", [{"multipart": True}, {"content_type": "text/html"}], ids=["wrapped", "lying"])
async def test_an_answer_is_read_by_its_bytes_whatever_its_content_type(files: Files, wire: dict[str, Any]) -> None:
    await files.stand.scenario(operation="GetRequest", **wire)
    await files.put({"by": "mtom", "content_base64": base64.b64encode(SMALL).decode()}, {"by": "ftp", "size": 1000})
    async with files.requests() as desk:
        request = await desk.next()
    assert request.attachments[0].content == SMALL


class HeldFtp(FtpFiles):
    """Downloads when it is let, and counts."""

    def __init__(self) -> None:
        super().__init__(timeout=5)
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self.downloads = 0

    async def download(self, *where: Any) -> AsyncGenerator[bytes]:  # type: ignore[override]
        self.downloads += 1
        self.begun.set()
        await asyncio.wait_for(self.let.wait(), 20)
        async for piece in super().download(*where):
            yield piece


async def test_copies_join_the_download_that_runs_here_or_in_another_worker(files: Files) -> None:
    ftp = HeldFtp()
    delivered = asyncio.Semaphore(0)

    def observe(operation: str, outcome: str, *_: object) -> None:
        if (operation, outcome) == ("GetRequest", "ok"):
            delivered.release()

    await files.put({"by": "ftp", "size": 300_000})
    async with files.requests(ftp=ftp, observe=observe) as desk, contextlib.AsyncExitStack() as another:
        await asyncio.wait_for(delivered.acquire(), 20)
        await asyncio.wait_for(ftp.begun.wait(), 20)
        others = await another.enter_async_context(files.requests(ftp=ftp, observe=observe))
        for _ in range(4):  # with either of them polling, each has a copy soon
            files.stand.clock.advance(minutes=16)
            await asyncio.wait_for(delivered.acquire(), 20)
        ftp.let.set()
        request = await desk.next()
        (ack,) = await files.stand.acked()
    assert ftp.downloads == 1
    assert (ack["message_id"], ack["deliveries"]) == (request.key, 5)
    if not others.empty():
        assert (await others.next()).attachments == request.attachments


async def test_another_worker_takes_the_download_that_ended(files: Files) -> None:
    ftp = HeldFtp()
    ftp.let.set()
    await files.put({"by": "ftp", "size": 300_000}, {"by": "mtom", "size": 5})
    async with files.requests(ftp=ftp) as desk:
        desk.durable = False
        first = await desk.next()
    files.stand.clock.advance(minutes=16)
    async with files.requests(ftp=ftp) as desk:
        second = await desk.next()
        await files.stand.acked()
    assert ftp.downloads == 1
    assert second.attachments == first.attachments
    assert [verdict["math"] for verdict in second.verdicts] == [verdict["math"] for verdict in first.verdicts]


def refusing(error: SignerError, times: int) -> Any:
    """A signing service that refuses to verify so often, before it cannot find anything wrong."""
    left = iter(range(times))

    async def verify_detached(*_: Any, **__: Any) -> list[Any]:
        if next(left, None) is None:
            return []
        raise error

    return verify_detached


async def test_a_signing_service_that_is_away_leaves_the_message_with_the_gateway(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    log = fetching._log
    monkeypatch.setattr(
        fetching, "_log", SimpleNamespace(warning=lambda event, **_: said.put_nowait(event), info=log.info)
    )
    away = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    monkeypatch.setattr(files.stand.signer, "verify_detached", refusing(away, 1))
    await files.put({"by": "ftp", "size": 300_000})
    async with files.requests() as desk:
        assert await asyncio.wait_for(said.get(), 20) == "smev3.attachments-not-fetched"
        assert await files.stand.told("acks") == []
        files.stand.clock.advance(minutes=16)
        request = await desk.next()
        (ack,) = await files.stand.acked()
    assert (len(request.attachments), ack["deliveries"]) == (1, 2)


async def test_a_signing_service_that_cannot_judge_files_leaves_the_signed_hash_to_prove_them(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    unable = SignerError(Code.SIGNATURE_REFUSED, retryable=False)
    monkeypatch.setattr(files.stand.signer, "verify_detached", refusing(unable, 99))
    await files.put({"by": "mtom", "size": 10})
    await files.put({"by": "ftp", "size": 300_000})
    async with files.requests() as desk:
        request = await desk.next()
        (ack,) = await files.stand.acked()
    assert ack["message_id"] == request.key
    assert [file.size for file in request.attachments] == [300_000]


async def test_without_a_place_for_files_their_messages_stay_with_the_gateway_and_somebody_is_told(
    files: Files,
) -> None:
    reasons: asyncio.Queue[str] = asyncio.Queue()
    options = files.options(system_key=PROVIDER)
    source = Smev3RequestSource(
        options, session=files.stand.session, signer=files.stand.signer, on_pause=reasons.put_nowait
    )
    await files.put({"by": "mtom", "size": 10})
    async with running(source.run(Desk())):
        assert "FILES_ROOT" in await asyncio.wait_for(reasons.get(), 20)
    assert await files.stand.told("acks") == []


async def test_a_gateway_that_was_given_no_way_out_refuses_attachments(files: Files) -> None:
    with pytest.raises(KnownError):
        await files.stand.gateway().prepare(Call("smev3", SEND_REQUEST, ZOO.encode(), attachments=(small(),)))
