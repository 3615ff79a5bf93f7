"""Attachments in the simulator: inside the message (MTOM) and in the file storage (FTP), both ways, right and wrong."""

from __future__ import annotations

import asyncio
import base64
import ftplib
import hashlib
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapter.xml.signature import verify_message
from simulators.smev3.app import make_app
from simulators.smev3.config import SimulatorConfig
from tests.contract.smev3_caller import REQUEST_DATA, action, debt_requests
from tests.contract.smev3_files import File, Inline, contents, fetch, headers, package, received
from tests.contract.smev3_world import World
from tests.contract.smev3_worlds import CONTENT, OWN, ZOO, Both, valid

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.gost import GostEngine
    from tests.contract.smev3_caller import Caller, Clock
    from tests.contract.smev3_world import Reply

pytest_plugins = ("tests.contract.smev3_fixtures",)

DATA = bytes(range(256)) * 40
FTP_ERRORS = (ftplib.Error, EOFError, OSError)


def new_request() -> str:
    return debt_requests(action(data=REQUEST_DATA))


async def port_of(world: World) -> int:
    port: int = (await world.admin("health"))["ftp"]
    return port


async def upload(world: World, *files: File) -> None:
    port = await port_of(world)
    for file in files:
        await asyncio.to_thread(file.upload, port)


async def fetched(world: World, reply: Reply) -> dict[str, bytes]:
    return await asyncio.to_thread(fetch, reply, await port_of(world))


async def send_files(world: World, *files: File, business: str = ZOO) -> Reply:
    message = world.caller.send_request(business, world.fresh(), tail=headers(world.caller, *files))
    return await world.post(message)


async def send_inline(world: World, *items: Inline, business: str = ZOO) -> Reply:
    message = world.caller.send_request(
        business, world.fresh(), tail=headers(world.caller, *items), contents=contents(*items)
    )
    return await world.post(message)


async def send_mtom(world: World, *items: Inline, parts: dict[str, bytes] | None = None, business: str = ZOO) -> Reply:
    message = world.caller.send_request(
        business, world.fresh(), tail=headers(world.caller, *items), contents=contents(*items, xop=True)
    )
    sent = {f"{item.name}@test": item.data for item in items} if parts is None else parts
    body, content_type = package(message, sent)
    return await world.post(body, **{"Content-Type": content_type})


def is_refused(reply: Reply, finding: str) -> bool:
    return reply.finding() == finding or reply.fault() == finding


@pytest.fixture
def version() -> str:
    return "1.2"


@pytest.fixture(params=["1.1", "1.2", "1.3"])
async def each(both: Both, request: pytest.FixtureRequest) -> Both:
    for world in (both.consumer, both.provider):
        world.caller = replace(world.caller, version=request.param)
    return both


@pytest.mark.parametrize("send", [send_inline, send_mtom])
async def test_what_is_inside_a_message_reaches_its_receiver_as_parts(each: Both, gost: GostEngine, send: Any) -> None:
    assert (await send(each.consumer, Inline(DATA), Inline(b"\r\n--other--\r\n\x00", "A2"))).status == 200
    delivery = valid(await each.provider.take())
    assert delivery.content_type == "multipart/related"
    assert received(delivery) == {"A1": DATA, "A2": b"\r\n--other--\r\n\x00"}
    assert all(verdict.math for verdict in verify_message(_envelope(delivery), gost))


def _envelope(reply: Reply) -> bytes:
    """The envelope inside a package: no signature is over what was taken out of it."""
    start = reply.body.index(b"<soap:Envelope")
    return reply.body[start : reply.body.index(b"</soap:Envelope>") + len(b"</soap:Envelope>")]


async def test_an_answer_with_attachments_goes_back_to_the_consumer(each: Both) -> None:
    _, delivery = await each.taken()
    item, file = Inline(DATA), File(DATA[::-1])
    await upload(each.provider, file)
    word = CONTENT + headers(each.provider.caller, item, file)
    said = await each.provider.say(delivery.text(".//t:ReplyTo") or "", word, contents=contents(item))
    assert said.status == 200, said.body
    answer = valid(await each.consumer.poll())
    assert received(answer) == {"A1": DATA}
    assert await fetched(each.consumer, answer) == {file.uuid: DATA[::-1]}


async def test_a_file_is_there_until_its_receiver_acks(each: Both) -> None:
    file = File(DATA)
    await upload(each.consumer, file)
    assert (await send_files(each.consumer, file)).status == 200
    delivery = valid(await each.provider.take())
    for _ in range(2):
        assert await fetched(each.provider, delivery) == {file.uuid: DATA}
    each.consumer.clock.advance(minutes=15)
    again = await each.provider.take()
    assert await fetched(each.provider, again) == {file.uuid: DATA}
    await each.provider.ack(again)
    with pytest.raises(ftplib.error_perm, match="530"):
        await fetched(each.provider, again)


async def test_a_sender_cannot_change_or_use_again_a_file_that_was_sent(both: Both) -> None:
    file = File(DATA)
    await upload(both.consumer, file)
    assert (await send_files(both.consumer, file)).status == 200
    assert (await send_files(both.consumer, file)).fault() == "AttachmentContentMiscoordination"


async def test_a_repeated_message_is_already_sent_whatever_became_of_its_files(both: Both) -> None:
    file = File(DATA)
    await upload(both.consumer, file)
    caller, identifier = both.consumer.caller, both.consumer.fresh()
    message = caller.send_request(ZOO, identifier, tail=headers(caller, file))
    first, second = await asyncio.gather(both.consumer.post(message), both.consumer.post(message))
    assert {first.fault(), second.fault()} == {None, "MessageIsAlreadySent"}


async def test_a_hash_of_512_bits_is_as_good(both: Both) -> None:
    file = File(DATA, bits=512)
    await upload(both.consumer, file)
    assert (await send_files(both.consumer, file)).status == 200


@pytest.mark.parametrize(
    ("file", "finding"),
    [
        (File(DATA, hashed=b"other"), "AttachmentContentMiscoordination"),
        (File(DATA, signed=b"other"), "SignatureIsInvalid"),
        (File(DATA, signed=b""), "NoSignatureFound"),
    ],
    ids=["hash", "signature", "unsigned"],
)
async def test_a_file_that_is_not_what_its_header_says_is_refused(both: Both, file: File, finding: str) -> None:
    await upload(both.consumer, file)
    assert is_refused(await send_files(both.consumer, file), finding)
    assert (await both.provider.take()).text(OWN) is None


async def test_a_file_that_was_never_uploaded_is_refused(both: Both) -> None:
    for uuid in (File(DATA).uuid, "../store", "", "x"):
        refused = await send_files(both.consumer, File(DATA, uuid=uuid))
        assert refused.fault() == "AttachmentContentMiscoordination"


@pytest.mark.parametrize("send", [send_inline, send_mtom])
@pytest.mark.parametrize(
    ("item", "finding"),
    [
        (Inline(DATA, signed=b"other"), "SignatureIsInvalid"),
        (Inline(DATA, signed=b""), "NoSignatureFound"),
        (Inline(DATA, by="stranger"), "CertificateIsNotFound"),
        (Inline(DATA, by="expired"), "CertificateIsExpired"),
        (Inline(DATA, mime_type="multipart/mixed"), "soap:Client"),
        (Inline(DATA, name="1digit"), "soap:Client"),
        (Inline(b"x" * (5 * 2**20 + 1)), "AttachmentSizeLimitExceeded"),
    ],
    ids=["signature", "unsigned", "stranger", "expired", "mime", "id", "size"],
)
async def test_what_is_inside_a_message_and_wrong_is_refused(both: Both, item: Inline, finding: str, send: Any) -> None:
    assert is_refused(await send(both.consumer, item), finding)
    assert (await both.provider.take()).text(OWN) is None


async def test_headers_and_contents_have_to_belong_together(both: Both) -> None:
    caller = both.consumer.caller
    first, second = Inline(DATA), Inline(DATA, "A2")
    for held, shown in (((first,), ()), ((), (first,)), ((first,), (second,)), ((first, first), (first,))):
        message = caller.send_request(
            ZOO, both.consumer.fresh(), tail=headers(caller, *held), contents=contents(*shown) if shown else ""
        )
        assert (await both.consumer.post(message)).fault() == "AttachmentContentMiscoordination"


@pytest.mark.parametrize("parts", [{}, {"other@test": DATA}])
async def test_a_part_that_did_not_come_is_refused(both: Both, parts: dict[str, bytes]) -> None:
    assert (await send_mtom(both.consumer, Inline(DATA), parts=parts)).fault() == "soap:Client"


async def test_the_limit_of_files_is_told_with_both_sizes(both: Both) -> None:
    await both.consumer.set(files_limit=len(DATA) * 2 - 1)
    files = File(DATA), File(DATA)
    await upload(both.consumer, *files)
    refused = await send_files(both.consumer, *files)
    assert refused.fault() == "AttachmentSizeLimitExceeded"
    assert refused.text(".//f:RealTotalAttachmentSize") == str(len(DATA) * 2)
    assert refused.text(".//f:PermittedTotalAttachmentSize") == str(len(DATA) * 2 - 1)


async def test_the_built_in_provider_takes_attachments_and_sends_its_own(each: Both) -> None:
    world, file = each.consumer, File(DATA)
    await upload(world, file)
    rule = {"attachments": [{"by": "mtom", "content_base64": "QUJD"}, {"by": "ftp", "size": 100_000}], "times": 1}
    await world.scenario(**rule)
    assert (await send_files(world, file, business=new_request())).status == 200
    (seen,) = await world.admin("attachments")
    assert (seen["name"], seen["size"], seen["by"]) == ("file.txt", len(DATA), "ftp")
    answer = valid(await world.poll())
    assert received(answer) == {"A1": b"ABC"}
    assert [len(data) for data in (await fetched(world, answer)).values()] == [100_000]


async def test_what_came_inside_a_message_is_shown_or_its_digest_is(both: Both) -> None:
    small, large = Inline(DATA), Inline(DATA * 10, "A2")
    assert (await send_mtom(both.consumer, small, large)).status == 200
    seen = await both.consumer.admin("attachments")
    assert [item["sha256"] for item in seen] == [hashlib.sha256(item.data).hexdigest() for item in (small, large)]
    assert [item["content_base64"] for item in seen] == [base64.b64encode(DATA).decode(), None]


async def test_files_may_go_unread_to_measure_transfers_alone(both: Both) -> None:
    await both.consumer.set(check_files=False)
    file = File(DATA, hashed=b"other", signed=b"other")
    await upload(both.consumer, file)
    assert (await send_files(both.consumer, file)).status == 200
    assert await fetched(both.provider, await both.provider.take()) == {file.uuid: DATA}


async def test_attachments_can_be_sent_back_as_they_came(each: Both) -> None:
    world, file, item = each.consumer, File(DATA), Inline(DATA[:100])
    await upload(world, file)
    await world.scenario(echo=True, times=1)
    tail = headers(world.caller, item, file)
    message = world.caller.send_request(new_request(), world.fresh(), tail=tail, contents=contents(item))
    assert (await world.post(message)).status == 200
    answer = valid(await world.poll())
    assert list(received(answer).values()) == [DATA[:100]]
    assert list((await fetched(world, answer)).values()) == [DATA]
    hashed = answer.text(".//b:RefAttachmentHeader/b:Hash") or ""
    assert base64.b64decode(hashed) == world.caller.gost.digest(256, DATA)


@pytest.mark.parametrize("flaw", ["hash", "signature", "unsigned", "missing", "short"])
async def test_a_delivery_may_be_wrong_on_purpose(both: Both, flaw: str) -> None:
    gost = both.consumer.caller.gost
    await both.provider.put(
        content=ZOO,
        recipient="ov512",
        attachments=[{"by": "ftp", "size": 1000, "flaw": flaw}, {"by": "mtom", "size": 1000, "flaw": flaw}]
        if flaw != "hash"
        else [{"by": "ftp", "size": 1000, "flaw": flaw}],
    )
    if flaw == "missing":
        delivery = await both.provider.take()
        assert b"cid:A" in delivery.body
        assert b"Content-ID: <A" not in delivery.body
        return
    delivery = await both.provider.take()
    (data,) = (await fetched(both.provider, delivery)).values()
    hashed = base64.b64decode(delivery.text(".//b:RefAttachmentHeader/b:Hash") or "")
    assert (gost.digest(256, data) == hashed) == (flaw not in {"hash", "short"})
    for header, content in (
        ("AttachmentHeader", next(iter(received(delivery).values()), b"")),
        ("RefAttachmentHeader", data),
    ):
        signature = delivery.text(f".//b:{header}/b:SignaturePKCS7")
        if flaw == "hash" and header == "AttachmentHeader":
            continue
        assert (signature is None) == (flaw == "unsigned")
        if signature:
            right = gost.verify_cms(base64.b64decode(signature), content).math
            assert right == (flaw == "hash")


@pytest.mark.parametrize("fault", ["login", "missing", "cut"])
async def test_the_file_storage_may_fail_a_sender(both: Both, fault: str) -> None:
    await both.consumer.scenario(operation="Upload", ftp=fault, times=1)
    with pytest.raises(FTP_ERRORS):
        await upload(both.consumer, File(DATA * 100))
    await upload(both.consumer, File(DATA))


@pytest.mark.parametrize("fault", ["short", "corrupt"])
async def test_the_file_storage_may_spoil_what_a_sender_stores(both: Both, fault: str) -> None:
    await both.consumer.scenario(operation="Upload", ftp=fault, times=1)
    file = File(DATA)
    await upload(both.consumer, file)
    assert (await send_files(both.consumer, file)).fault() == "AttachmentContentMiscoordination"


@pytest.mark.parametrize("fault", ["login", "missing", "cut", "short", "corrupt"])
async def test_the_file_storage_may_fail_a_receiver_who_tries_again(both: Both, fault: str) -> None:
    await both.provider.put(content=ZOO, recipient="ov512", attachments=[{"by": "ftp", "size": 3_000_000}])
    delivery = await both.provider.take()
    await both.provider.scenario(operation="Download", ftp=fault, times=1)
    spoilt: dict[str, bytes] = {}
    if fault in {"short", "corrupt"}:
        spoilt = await fetched(both.provider, delivery)
    else:
        with pytest.raises(FTP_ERRORS):
            await fetched(both.provider, delivery)
    whole = await fetched(both.provider, delivery)
    assert [len(data) for data in whole.values()] == [3_000_000]
    assert spoilt != whole


async def test_a_fault_of_the_file_storage_is_no_fault_of_an_operation(both: Both) -> None:
    for rule in ({"operation": "Upload"}, {"ftp": "cut"}):
        async with both.consumer.client.post("/_sim/scenario", json=rule) as response:
            assert response.status == 400


async def test_senders_are_held_to_one_file_in_a_folder_named_by_a_uuid(both: Both) -> None:
    port = await port_of(both.consumer)

    def misuse() -> list[str]:
        replies = []
        with ftplib.FTP() as client:  # noqa: S321  — the file storage of СМЭВ3 is FTP
            client.connect("127.0.0.1", port, 20)
            client.login()
            for command in ("MKD plain", "MKD ../x", "STOR file.txt", "RETR file.txt", "DELE file.txt"):
                try:
                    replies.append(client.sendcmd(command))
                except ftplib.error_perm as error:
                    replies.append(str(error))
        return replies

    assert [reply[:3] for reply in await asyncio.to_thread(misuse)] == ["550"] * 5


async def test_without_a_file_storage_files_are_refused_and_the_rest_works(
    keys: Path, gost: GostEngine, clock: Clock, caller: Caller
) -> None:
    app = make_app(SimulatorConfig(keys=keys, clock=clock, ftp_port=None), gost)
    async with TestClient(TestServer(app)) as client:
        world = World(client, caller, clock)
        assert (await world.admin("health"))["ftp"] is None
        refused = await send_files(world, File(DATA), business=new_request())
        assert refused.fault() == "AttachmentContentMiscoordination"
        await world.send(new_request())


async def test_a_machine_without_a_place_for_files_is_no_reason_to_stay_away(
    keys: Path, gost: GostEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    server = TestServer(make_app(SimulatorConfig(keys=keys), gost))
    async with TestClient(server) as client, client.get("/_sim/health") as response:
        assert (await response.json())["ftp"] is None
