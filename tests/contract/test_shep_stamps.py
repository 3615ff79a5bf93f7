"""Time stamps on business signatures: made by the reference service, held to openssl's word, told apart in verdicts."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from adapter import cli
from adapter.errors import InvalidCommandError, SignerError
from adapter.exchange import Call
from adapter.gateways.shep.operations import SYNC_SEND
from adapter.services.registry import make_services
from adapter.signing.kz_client import KzSigningClient
from adapter.signing.kz_stamps import judged, with_trust
from adapter.xml.stamps import stamped
from adapter.xml.wssecurity import verify_document
from simulators.shep.keys import read_pair
from simulators.sign_service.app import make_app
from simulators.sign_service.stamps import Authority
from tests.contract.shep_caller import SYNC, Caller
from tests.contract.shep_signing import Hand
from tests.contract.sign_service_stand import Contract, b64, serving, tokens_of
from tests.unit.services.zhkh_commands import command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

DOCUMENT = '<r xmlns:q="urn:q"  a="q:b"><b>текст</b></r>'.encode()
REGISTRY = Path(__file__).parents[2] / "deploy" / "local" / "shep-services.toml"


@pytest.fixture
def authority(kz: KzEngine, shep_keys: Path) -> Authority:
    pair = read_pair(shep_keys, "stamps")
    return Authority(kz, kz.load_key(pair.key, pair.certificate_der), pair.certificate_der)


@pytest.fixture
async def signer(folder: Path) -> AsyncIterator[KzSigningClient]:
    async with serving(make_app(folder)) as url, aiohttp.ClientSession() as session:
        yield KzSigningClient(url, session=session, tokens=tokens_of(folder / "kz"))


async def test_a_stamped_signature_verifies_and_tells_its_moment(signer: KzSigningClient, kz: KzEngine) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    signed = await signer.sign_document(DOCUMENT, key="shep-gost", tsp=True)
    assert signed.document.startswith(DOCUMENT.removesuffix(b"</r>"))
    (verdict,) = verify_document(signed.document, kz)
    assert verdict.math, verdict.reason
    assert verdict.stamp is not None
    assert (verdict.stamp.verdict, verdict.stamp.trust) == ("right", "unchecked")
    assert before <= datetime.fromisoformat(verdict.stamp.at) <= datetime.now(UTC)
    (told,) = await signer.verify_document(signed.document)
    assert told.stamp is not None
    assert (told.math, told.stamp.verdict, told.stamp.trust) == (True, "right", "trusted")
    assert told.stamp.certificate == verdict.stamp.certificate
    (plain,) = await signer.verify_document((await signer.sign_document(DOCUMENT, key="shep")).document)
    assert (plain.math, plain.stamp) == (True, None)


@pytest.mark.parametrize("octets", [b"", b"the octets of a value" * 1000])
def test_openssl_verifies_what_the_authority_answers(
    authority: Authority, shep_keys: Path, tmp_path: Path, octets: bytes
) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the program openssl is not on this machine")
    data, query, reply = tmp_path / "data", tmp_path / "query.tsq", tmp_path / "reply.tsr"
    data.write_bytes(octets)

    def openssl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([program, "ts", *map(str, arguments)], check=False, capture_output=True)

    assert openssl("-query", "-data", data, "-sha256", "-cert", "-out", query).returncode == 0
    reply.write_bytes(authority.answer(query.read_bytes()))
    trust = ("-CAfile", shep_keys / "ca.crt.pem")
    verified = openssl("-verify", "-queryfile", query, "-in", reply, *trust)
    assert verified.returncode == 0, verified.stderr
    assert openssl("-verify", "-data", data, "-in", reply, *trust).returncode == 0
    data.write_bytes(octets + b"!")
    assert openssl("-verify", "-data", data, "-in", reply, *trust).returncode != 0
    reply.write_bytes(authority.answer(b"nonsense"))
    assert b"Status: Rejected" in openssl("-reply", "-in", reply, "-text").stdout


def test_every_changed_byte_of_a_stamp_is_seen(authority: Authority, kz: KzEngine) -> None:
    token, octets = authority.token(b"octets"), b"octets"
    good = judged(kz, token, octets)
    assert good.verdict == "right"
    assert judged(kz, token, b"others").reason == "the time stamp is over something else"
    for at in range(0, len(token), 7):
        changed = bytearray(token)
        changed[at] ^= 0x41
        found = judged(kz, bytes(changed), octets)
        assert found.verdict != "right" or (found.at, found.certificate) == (good.at, good.certificate), at
    for cut in (0, 10, len(token) // 2):
        assert judged(kz, token[:cut], octets).verdict == "wrong"


def test_whose_stamp_is_believed(authority: Authority, kz: KzEngine, shep_keys: Path) -> None:
    anchors = [read_pair(shep_keys, "ca").certificate_der]
    good = judged(kz, authority.token(b"x"), b"x")
    assert with_trust(kz, good, anchors).trust == "trusted"
    assert with_trust(kz, good, []).trust == "unchecked"
    assert with_trust(kz, good, [read_pair(shep_keys, "foreign").certificate_der]).trust == "untrusted"
    pair = read_pair(shep_keys, "shep")  # trusted for signatures, not for stamps
    other = Authority(kz, kz.load_key(pair.key, pair.certificate_der), pair.certificate_der)
    assert with_trust(kz, judged(kz, other.token(b"x"), b"x"), anchors).trust == "untrusted"
    stamps = read_pair(shep_keys, "stamps")
    key = kz.load_key(stamps.key, stamps.certificate_der)
    early = Authority(kz, key, stamps.certificate_der, lambda: datetime.now(UTC) - timedelta(days=400))
    assert with_trust(kz, judged(kz, early.token(b"x"), b"x"), anchors).trust == "untrusted"


def test_a_stamp_moved_to_another_signature_is_wrong(
    authority: Authority, kz: KzEngine, shep_keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hand = Hand(kz, shep_keys, "shep")
    signature = hand.document(DOCUMENT)[len(DOCUMENT) - len(b"</r>") : -len(b"</r>")]
    right = DOCUMENT.replace(b"</r>", stamped(signature, authority.token) + b"</r>")
    moved = DOCUMENT.replace(b"</r>", stamped(signature, lambda _: authority.token(b"another value")) + b"</r>")
    files = [tmp_path / "right.xml", tmp_path / "moved.xml", tmp_path / "none.xml"]
    for file, content in zip(files, (right, moved, hand.document(DOCUMENT)), strict=True):
        file.write_bytes(content)
    assert cli.main(["shep", "verify", *map(str, files), "--trust", str(shep_keys / "ca.crt.pem")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["math"] for line in lines] == [True] * 3
    assert [(line["stamp"] or {}).get("verdict") for line in lines] == ["right", "wrong", None]
    assert lines[0]["stamp"]["trust"] == "trusted"
    assert lines[1]["stamp"]["reason"] == "the time stamp is over something else"


async def test_the_contract_has_stamps_for_documents_alone(signer: KzSigningClient, folder: Path) -> None:
    contract, token = Contract(), tokens_of(folder / "kz")["shep"]
    body = b'<S:Body xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"/>'
    items = [
        {"kind": kind, "key": "shep", "content": b64(content), "tsp": True}
        for kind, content in (("xml", DOCUMENT), ("wsse", body))
    ]
    async with aiohttp.ClientSession() as session, serving(make_app(folder)) as url:
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{url}/v1/kz/sign", json={"items": items}, headers=headers) as response:
            answer = await response.json()
        contract.answer("post", "/v1/kz/sign", 200, answer)
        assert answer["items"][1]["error"]["code"] == "NOT_ALLOWED"
        document = await signer.sign_document(DOCUMENT, key="shep", tsp=True)
        asked = {"items": [{"kind": "xml", "content": b64(document.document)}]}
        async with session.post(f"{url}/v1/kz/verify", json=asked, headers=headers) as response:
            answer = await response.json()
        contract.answer("post", "/v1/kz/verify", 200, answer)
        assert answer["items"][0]["verdicts"][0]["stamp"]["verdict"] == "right"


async def test_a_service_that_gives_no_stamp_is_refused(kz: KzEngine, shep_keys: Path, folder: Path) -> None:
    signature = Hand(kz, shep_keys, "shep").document(DOCUMENT)[len(DOCUMENT) - 4 : -4]
    seen: list[Any] = []

    async def unstamped(request: web.Request) -> web.Response:
        seen.append((await request.json())["items"][0])
        return web.json_response({"items": [{"signature": b64(signature), "certificate_sha256": "0" * 64}]})

    app = web.Application()
    app.router.add_post("/v1/kz/sign", unstamped)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        signer = KzSigningClient(url, session=session, tokens=tokens_of(folder / "kz"))
        with pytest.raises(SignerError, match="метки времени нет") as caught:
            await signer.sign_document(DOCUMENT, key="shep", tsp=True)
    assert not caught.value.retryable
    assert seen[0]["tsp"] is True


async def test_a_command_has_its_data_stamped(caller: Caller, kz: KzEngine) -> None:
    data = {"form": "child", "content": "<a>1</a>"}
    content = {**SYNC, "request_data": {"data": data}, "sign_data": "official", "tsp": True}
    prepared = await caller.gateway().prepare(Call("shep", SYNC_SEND, orjson.dumps(content)))
    sent = prepared.body[prepared.body.index(b"<data>") + 6 : prepared.body.index(b"</data>")]
    (verdict,) = verify_document(sent, kz)
    assert verdict.math
    assert verdict.stamp is not None
    assert verdict.stamp.verdict == "right"


def test_only_a_signature_can_be_stamped() -> None:
    services = make_services({"SHEP_SERVICES_FILE": str(REGISTRY)})
    body = {**SYNC, "tsp": True}
    with pytest.raises(InvalidCommandError) as caught:
        services["shep.sync.send"].start(command(body))
    assert [fault.path for fault in caught.value.fields] == ["tsp"]
    call = services["shep.sync.send"].start(command({**body, "sign_data": "system"}))
    assert orjson.loads(call.content)["tsp"] is True
