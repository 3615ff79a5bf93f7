"""Archives through the gateway ЕПГУ: judged before anything is sent, uploaded by chunks, asked about by number."""

from __future__ import annotations

import base64
import io
import json
import random
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from adapter.errors import AdapterError
from adapter.exchange import Accepted, Refused, TryLater, Unanswered
from adapter.gateways.epgu.profiles import PROFILES
from adapter.incoming import Local
from tests.contract.epgu_caller import PERSON_OID, zipped
from tests.contract.epgu_stand import META, SERVICES, TINY, TINY_SETTINGS, command
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from tests.contract.epgu_stand import Parts, Stand

pytest_plugins = ("tests.contract.epgu_fixtures", "tests.contract.epgu_gateway_fixtures")

FSSP = {"service_code": "60010153", "target_code": "-60010153", "region": "45000000000"}
GOSKEY = {"service_code": "10000000374", "target_code": "-10000000374", "region": "45000000000"}
#: Bytes that no compression makes smaller.
NOISE = random.Random(5).randbytes(1_500)  # noqa: S311  — content of a test file
REQ = b"<EPGURequest><OrderId>${orderId}</OrderId>\r\n<Text>$ {orderId} ${orderI}\xff</Text></EPGURequest>"


def b64(content: bytes | str) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def file(name: str, content: bytes | str = "<a/>", **more: Any) -> dict[str, Any]:
    return {"name": name, "content_base64": b64(content), **more}


def archive(content: bytes) -> dict[str, Any]:
    return {"archive": {"content_base64": b64(content)}}


async def received(stand: Stand, number: int) -> zipfile.ZipFile:
    """The archive as it came to the portal."""
    reply = await stand.world.ask("GET", f"/_sim/orders/archive?order_id={number}")
    return zipfile.ZipFile(io.BytesIO(reply.body))


async def submitted(stand: Stand, number: int) -> int:
    """How many archives the portal took for a number."""
    counts = await stand.world.admin("GET", "counts")
    return int(counts["orders"].get(str(number), {}).get("submitted", 0))


async def refused_before(stand: Stand, action: str, **body: Any) -> list[str]:
    """The fields of a command that is refused before anything is sent."""
    with pytest.raises(AdapterError) as raised:
        await stand.run(action, **body)
    assert await stand.ledger() == []
    return [fault.path for fault in raised.value.fields]


async def test_the_number_goes_into_the_named_file_alone_and_then_it_is_signed(stand: Stand) -> None:
    files = [
        file("req.xml", REQ.replace(b"\xff", b""), sign=True),
        file("piev_epgu.xml", "<IRequest>${orderId}</IRequest>"),
    ]
    result = await stand.result("epgu.order.submit", **FSSP, files=files, substitute=["req.xml"])
    number = result["order_id"]
    with await received(stand, number) as got:
        assert got.read("req.xml") == REQ.replace(b"\xff", b"").replace(b"${orderId}", str(number).encode())
        assert got.read("piev_epgu.xml") == b"<IRequest>${orderId}</IRequest>"
        assert got.namelist() == ["req.xml", "req.xml.sig", "piev_epgu.xml"]
    assert await stand.world.process_codes(number) == ["VALIDATION", "DONE", "OK"]


async def test_files_that_the_service_wants_signed_are_signed_unasked(stand: Stand) -> None:
    number = (await stand.result("epgu.order.submit", **GOSKEY, files=[file("req.xml"), file("doc.pdf", "%PDF-1")]))[
        "order_id"
    ]
    assert await stand.world.process_codes(number) == [
        "VALIDATION", "FILES_VERIFICATION", "FILES_VERIFICATION_SUCCESS", "DONE", "OK",
    ]  # fmt: skip


async def test_an_archive_of_many_chunks_arrives_whole_the_last_chunk_last(tiny: Stand) -> None:
    result = await tiny.result("epgu.order.submit", **META, files=[file("req.xml"), file("noise.bin", NOISE)])
    number, chunks = result["order_id"], result["archive"]["chunks"]
    lines = await tiny.ledger("chunk")
    assert chunks > 6
    assert (lines[0]["chunk"], lines[-1]["chunk"]) == (0, chunks - 1)
    assert sorted(line["chunk"] for line in lines) == list(range(chunks))
    assert [line["status"] for line in lines] == [206] * (chunks - 1) + [200]
    with await received(tiny, number) as got:
        assert got.read("noise.bin") == NOISE


async def test_one_chunk_has_no_numbers_and_equal_to_the_limit_is_a_push(parts: Parts) -> None:
    ready = zipped({"req.xml": "<a/>"})
    await parts.world.set(**TINY_SETTINGS | {"push_max": len(ready)})
    stand = parts.stand(replace(TINY, push_max=len(ready)))
    number = (await stand.result("epgu.order.submit", **META, **archive(ready)))["order_id"]
    (line,) = await stand.ledger("chunk")
    assert (line["chunk"], line["chunks"], line["status"], line["order_id"]) == (0, 1, 200, number)
    assert (await stand.result("epgu.order.push", **META, **archive(ready)))["order_id"] != number
    smaller = parts.stand(replace(TINY, push_max=len(ready) - 1))
    with pytest.raises(AdapterError, match="push-chunked"):
        await smaller.run("epgu.order.push", **META, **archive(ready))


async def test_chunks_are_numbered_and_described_as_the_profile_says(parts: Parts) -> None:
    await parts.world.set(**TINY_SETTINGS, chunk_base=1, meta_in_chunks=False)
    stand = parts.stand(TINY.changed(chunk_base=1, meta_in_chunks=False))
    await stand.result("epgu.order.submit", **META, files=[file("req.xml"), file("noise.bin", NOISE)])


async def test_a_chunk_that_fails_in_the_middle_is_sent_again(tiny: Stand) -> None:
    await tiny.world.scenario(operation="chunk", chunk=2, status=502, times=1)
    await tiny.world.scenario(operation="chunk", chunk=3, drop="after", times=1)
    number = (await tiny.result("epgu.order.submit", **META, files=[file("req.xml"), file("noise.bin", NOISE)]))[
        "order_id"
    ]
    assert await submitted(tiny, number) == 1


async def test_a_chunk_that_is_refused_in_the_middle_ends_the_series_with_its_number(tiny: Stand) -> None:
    await tiny.world.scenario(operation="chunk", chunk=2, refuse="push_denied")
    sent = await tiny.run("epgu.order.submit", **META, files=[file("req.xml"), file("noise.bin", NOISE)])
    assert isinstance(sent, Refused)
    (order,) = await tiny.ledger("order")
    assert (sent.error.code, sent.error.details["order_id"]) == ("push_denied", order["order_id"])
    assert await submitted(tiny, order["order_id"]) == 0


@pytest.mark.parametrize("drop", ["before", "after", "midway"])
async def test_details_tell_what_became_of_the_last_chunk(tiny: Stand, drop: str) -> None:
    (probe,) = [
        (await tiny.result("epgu.order.submit", **META, files=[file("req.xml"), file("n", NOISE)]))["archive"]["chunks"]
    ]
    await tiny.world.scenario(operation="chunk", chunk=probe - 1, drop=drop, times=1)
    sent = await tiny.run("epgu.order.submit", **META, files=[file("req.xml"), file("n", NOISE)])
    assert isinstance(sent, Unanswered), sent
    number = (await tiny.ledger("order"))[-1]["order_id"]
    prepared = tiny.made[-1]
    asked = await tiny.gateway.ask(prepared)
    if drop == "before":
        assert isinstance(asked, TryLater)
        assert asked.error.code == "NEW"
        asked = await tiny.gateway.send(prepared, earlier_attempts=1)
    assert isinstance(asked, Accepted)
    assert asked.answer is not None
    step = SERVICES["epgu.order.submit"].resume(
        command("epgu.order.submit", {**META, "files": [file("req.xml"), file("n", NOISE)]}), asked.answer
    )
    assert isinstance(step, Local)
    assert step.content["result"]["order_id"] == number
    assert await submitted(tiny, number) == 1


async def test_a_series_that_is_sent_again_after_it_got_there_is_told_as_accepted(tiny: Stand) -> None:
    await tiny.result("epgu.order.submit", **META, files=[file("req.xml"), file("n", NOISE)])
    again = await tiny.gateway.send(tiny.made[-1], earlier_attempts=1)
    assert isinstance(again, Accepted)
    first = await tiny.gateway.send(tiny.made[-1], earlier_attempts=0)
    assert isinstance(first, Refused), "without an earlier attempt the portal's no is the answer"


@pytest.mark.parametrize("rule", [{"status": 500}, {"drop": "before"}, {"refuse": "order_access"}, {"body": "garbage"}])
async def test_what_details_do_not_tell_stays_unknown(tiny: Stand, rule: dict[str, Any]) -> None:
    await tiny.result("epgu.order.submit", **META, files=[file("req.xml")])
    await tiny.world.scenario(operation="details", **rule)
    assert isinstance(await tiny.gateway.ask(tiny.made[-1]), Unanswered)


async def test_the_five_minutes_end_with_the_number_in_the_reply(parts: Parts) -> None:
    await parts.world.set(**TINY_SETTINGS)
    stand = parts.stand(TINY, upload_time=0.3)
    await parts.world.scenario(operation="chunk", chunk=1, status=503)
    sent = await stand.run("epgu.order.submit", **META, files=[file("req.xml"), file("n", NOISE)])
    assert isinstance(sent, Refused)
    assert sent.error.code == "ADAPTER-UPLOAD-LOST"
    assert sent.error.details["order_id"] == (await stand.ledger("order"))[0]["order_id"]


async def test_a_time_that_ends_with_the_last_chunk_on_its_way_leaves_it_open(parts: Parts) -> None:
    stand = parts.stand(upload_time=0.3)
    await parts.world.scenario(operation="chunk", delay=5, times=1)
    sent = await stand.run("epgu.order.submit", **META, files=[file("req.xml")])
    assert isinstance(sent, Unanswered)


async def test_a_token_that_ends_between_chunks_is_fetched_once_more(tiny: Stand) -> None:
    await tiny.world.scenario(operation="chunk", chunk=3, status=401, times=1)
    await tiny.result("epgu.order.submit", **META, files=[file("req.xml"), file("n", NOISE)])
    assert len(await tiny.ledger("token")) == 2


@pytest.mark.parametrize(
    ("last", "answer"),
    [(False, {"status": 200, "json": {"orderId": 1}}), (True, {"status": 206, "json": {"orderId": 1}}),
     (False, {"status": 206, "json": {"orderId": 7}})],
)  # fmt: skip
async def test_200_and_206_are_told_apart(tiny: Stand, last: bool, answer: dict[str, Any]) -> None:  # noqa: FBT001  — a parameter
    chunk = {} if last else {"chunk": 0}
    files = [file("req.xml")] if last else [file("req.xml"), file("n", NOISE)]
    await tiny.world.scenario(operation="chunk", answer=answer, **chunk)
    sent = await tiny.run("epgu.order.submit", **META, files=files)
    assert isinstance(sent, Unanswered)
    assert sent.error.details["order_id"]


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({**META, "files": [file("folder/req.xml")]}, ["files[0].name"]),
        ({**META, "files": [file("inner.zip")]}, ["files[0].name"]),
        ({**META, "files": [file("inner", zipped({"a": "b"}))]}, ["files[0]"]),
        ({**META, "files": [file("a.xml"), file("A.XML")]}, ["files[1].name"]),
        ({**META, "files": [file("a.xml.sig")]}, ["files[0].name"]),
        ({**FSSP, "files": [file("req.xml")]}, ["files"]),
        ({**GOSKEY, "files": [file("req.xml"), file("договор.pdf")]}, ["files[1].name"]),
        ({**GOSKEY, "files": [file("req.xml", sign=False)]}, ["files[0].sign"]),
        ({**META, "files": [file("req.xml", sign=True), file("req.xml.sig")]}, ["files[0].sign"]),
        ({**META, "files": [{"name": "req.xml", "path": "/nowhere/at/all"}]}, ["files[0].path"]),
        ({**META, "files": [{"name": "req.xml", "url": "http://elsewhere.example/"}]}, ["files[0].url"]),
        ({**META, **archive(b"no archive at all")}, ["archive.mime_type"]),
        ({**META, **archive(zipped({"folder/req.xml": "<a/>"}))}, ["archive"]),
        ({**META, **archive(zipped({"inner": zipped({"a": "b"})}))}, ["archive"]),
        ({**META, **archive(zipped({}))}, ["archive"]),
        ({**META, **archive(zipped({"a": "b"})[:-30])}, ["archive"]),
        ({**FSSP, **archive(zipped({"req.xml": "<a/>"}))}, ["archive"]),
        ({**GOSKEY, **archive(zipped({"req.xml": "<a/>"}))}, ["archive"]),
        ({**META, **archive(zipped({"a": "b"})), "substitute": ["a"]}, ["substitute"]),
        ({**META, "files": [file("a", "${orderId}"), file("a.sig")], "substitute": ["a"]}, ["substitute[0]"]),
        ({**META, "files": [file("a.xml", "nothing")], "substitute": ["a.xml"]}, ["files[0]"]),
        ({**META, "files": [file("a.xml", "${orderId}".encode("utf-16"))], "substitute": ["a.xml"]}, ["files[0]"]),
        ({**META, "files": [file("a.xml")], "substitute": ["b.xml"]}, ["substitute[0]"]),
        ({**META}, ["body"]),
        ({**META, "files": []}, ["files"]),
        ({**META, "files": [file("a.xml")], "service_code": "ПФР"}, ["service_code"]),
    ],
)  # fmt: skip
async def test_an_archive_that_would_be_refused_is_refused_before_anything_is_sent(
    stand: Stand, body: dict[str, Any], paths: list[str]
) -> None:
    assert await refused_before(stand, "epgu.order.submit", **body) == paths


@pytest.mark.parametrize("order_id", ["764000001", "abc", 0, -5, 1.5, 10**18, None])
async def test_a_number_that_is_none_is_refused_before_anything_is_sent(stand: Stand, order_id: object) -> None:
    for action in ("epgu.order.get", "epgu.order.cancel"):
        assert await refused_before(stand, action, order_id=order_id) == ["order_id"]
    assert await refused_before(stand, "epgu.order.statuses", order_ids=[order_id]) == ["order_ids[0]"]
    body = {**META, "order_id": order_id, "files": [file("a.xml")]}
    assert await refused_before(stand, "epgu.order.push-chunked", **body) == ["order_id"]


async def test_at_most_fifty_orders_are_asked_about_at_once(stand: Stand) -> None:
    assert await refused_before(stand, "epgu.order.statuses", order_ids=list(range(1, 52))) == ["order_ids"]


async def test_a_file_over_the_limit_is_refused_before_anything_is_sent(parts: Parts) -> None:
    stand = parts.stand(file_limit=1_000)
    assert await refused_before(stand, "epgu.order.submit", **META, files=[file("n", NOISE)]) == ["files[0]"]


async def test_an_unknown_service_is_refused_by_its_code(stand: Stand) -> None:
    sent = await stand.run("epgu.order.submit", **{**META, "service_code": "99999"}, files=[file("a.xml")])
    assert isinstance(sent, Refused)
    assert sent.error.code == "service_not_found"


async def test_files_by_path_are_read_once_when_the_number_is_had(stand: Stand) -> None:
    (stand.folder / "req.xml").write_text("<a>${orderId}</a>")
    given = command("epgu.order.submit", {
        **META, "files": [{"name": "req.xml", "path": str(stand.folder / "req.xml")}], "substitute": ["req.xml"],
    })  # fmt: skip
    service = SERVICES["epgu.order.submit"]
    prepared = await stand.gateway.prepare(service.start(given))  # type: ignore[arg-type]
    sent = await stand.gateway.send(prepared, earlier_attempts=0)
    (stand.folder / "req.xml").unlink()
    assert isinstance(sent, Accepted)
    assert sent.answer is not None
    upload = await stand.gateway.prepare(service.resume(given, sent.answer))  # type: ignore[arg-type]
    assert isinstance(await stand.gateway.send(upload, earlier_attempts=0), Accepted)
    number = json.loads(sent.answer.content)["order_id"]
    with await received(stand, number) as got:
        assert got.read("req.xml") == f"<a>{number}</a>".encode()


async def test_a_manifest_is_small_and_its_archive_at_rest(stand: Stand) -> None:
    given = command("epgu.order.push", {**META, "files": [file("n", NOISE * 100)]})
    prepared = await stand.gateway.prepare(SERVICES["epgu.order.push"].start(given))  # type: ignore[arg-type]
    manifest = json.loads(prepared.body)
    assert len(prepared.body) < 1_000
    assert set(manifest["archive"]) == {"path", "size", "sha256"}
    size = sum([len(piece) async for piece in stand.store.open(manifest["archive"]["path"])])
    assert size == manifest["archive"]["size"]
    assert [fact.name for fact in prepared.files] == ["n", "archive.zip"]


async def test_a_signing_service_that_is_away_names_the_number_that_waits(parts: Parts) -> None:
    async with serving(web.Application()) as gone:
        pass
    number = await parts.stand().reserved()
    parts.signer = type(parts.signer)(gone, session=parts.session, tokens={"ov": "x"})
    stand = parts.stand()
    given = command("epgu.order.push-chunked", {**META, "order_id": number, "files": [file("a.xml", sign=True)]})
    with pytest.raises(AdapterError) as raised:
        await stand.gateway.prepare(SERVICES["epgu.order.push-chunked"].start(given))  # type: ignore[arg-type]
    assert raised.value.details["order_id"] == number


async def test_a_person_submits_as_well(stand: Stand) -> None:
    await stand.result("epgu.order.submit", **META, person=PERSON_OID, files=[file("req.xml")])


def test_profiles_differ_in_what_the_documents_differ_in() -> None:
    seed, later = PROFILES["1.12"], PROFILES["1.13"]
    assert (seed.push_max, seed.chunk_min, seed.chunk_max) == (5_000_000, 1_048_576, 5_000_000)
    assert (later.push_max, later.chunk_min, later.chunk_max) == (50_000_000, 5_000_000, 50_000_000)
    assert all(profile.chunk_min <= profile.chunk_size <= profile.chunk_max for profile in PROFILES.values())
    assert [seed.chunks(size) for size in (1, 5_000_000, 5_000_001)] == [1, 1, 2]
    assert seed.changed(chunk_size=10).chunk_size == seed.chunk_min
