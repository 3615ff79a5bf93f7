"""Scenario 3: messages encrypted, then signed, where a service wants that; the signature is judged first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from adapter.errors import SignerError
from adapter.exchange import Accepted, Call, Refused, Unanswered
from adapter.gateways.shep import Profile
from adapter.gateways.shep.messages import SEALED as PART
from adapter.gateways.shep.messages import body, envelope, read
from adapter.gateways.shep.operations import ASYNC_SEND, GET_MESSAGES, SYNC_SEND
from adapter.gateways.shep.options import Cipher
from adapter.signing.kz_client import KzSigningClient
from adapter.xml.encryption import encrypted_data, parts_of, with_service
from adapter.xml.wssecurity import verify_envelope
from simulators.kz_cipher import decrypt, encrypt
from simulators.shep.keys import read_pair
from simulators.sign_service.app import make_app
from tests.contract.shep_caller import DATA, Caller, result_of
from tests.contract.shep_doors import SEALED, Doors, opened
from tests.contract.shep_samples import VALID
from tests.contract.sign_service_stand import Contract, b64, serving, tokens_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

SECRET = {"form": "child", "content": "<a>ТАЙНА</a>"}
SERVICES = [
    {"service_id": name, "owner": "other", "mode": mode, "point": 1, "users": ["adapter", "other"], "encrypted": True}
    for name, mode in (("SealedSync", "sync"), ("SealedAsync", "async"))
]
ASKED = {"request_info": {"service_id": "SealedSync"}, "request_data": {"data": SECRET}}
SENT = {"message_info": {"service_id": "SealedAsync", "message_type": "REQUEST"}, "message_data": {"data": SECRET}}


@pytest.fixture
async def options(caller: Caller) -> dict[str, Any]:
    """What a gateway of the stand is told to encrypt."""
    await caller.stand.post("/_sim/world", {"services": SERVICES}, 204)
    certificate = read_pair(caller.stand.folder, "gateway").certificate_der
    names = ("SealedSync", "SealedAsync", "SyncEcho")
    profiles = {name: Profile(encrypted=True) for name in names}
    return {"cipher": Cipher(certificate, "shep-cipher"), "profiles": profiles}


async def test_what_leaves_hides_everything_but_the_service(caller: Caller, options: dict[str, Any]) -> None:
    prepared = await caller.gateway(**options).prepare(Call("shep", SYNC_SEND, orjson.dumps(ASKED)))
    assert verify_envelope(prepared.body, caller.stand.kz).math
    message = read(prepared.body)
    assert (message.part, message.values) == (PART, {"service_id": "SealedSync"})
    for hidden in ("ТАЙНА", "adapter-password", "requestInfo", "messageId"):
        assert hidden.encode() not in prepared.body


async def test_calls_and_answers_are_encrypted_both_ways(caller: Caller, options: dict[str, Any]) -> None:
    sent = await caller.call(SYNC_SEND, ASKED, **options)
    assert result_of(sent)["response_data"]["data"] == SECRET
    assert isinstance(sent, Accepted)
    assert read(sent.raw).part == PART
    assert "ТАЙНА".encode() not in sent.raw
    receipt = result_of(await caller.call(ASYNC_SEND, SENT, **options))
    await caller.stand.until("/_sim/messages", lambda found: len(found) == 2)
    fetched = result_of(await caller.call(GET_MESSAGES, {"service_id": "SealedAsync"}, **options))
    (message,) = fetched["messages"]
    assert message["message_data"]["data"] == SECRET
    assert message["message_info"]["correlation_id"] == receipt["correlation_id"]


async def test_both_sides_have_to_agree_on_encryption(caller: Caller, options: dict[str, Any]) -> None:
    plain = await caller.call(SYNC_SEND, ASKED)
    assert isinstance(plain, Refused)
    assert plain.error.code == "SIM-CIPHER"
    echo = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
    sealed = await caller.call(SYNC_SEND, echo, **options)
    assert isinstance(sealed, Refused)
    assert sealed.error.code == "SIM-CIPHER"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda plain, _: plain, "ADAPTER-GATEWAY-PROTOCOL"),
        (encrypt, ""),
        (lambda plain, own: with_service(encrypt(plain, own), "SealedSync"), ""),
        (lambda plain, own: with_service(encrypt(plain, own), "Other"), "ADAPTER-GATEWAY-PROTOCOL"),
        (lambda _, own: encrypt(b"<no-operation/>", own), "ADAPTER-GATEWAY-PROTOCOL"),
        (lambda plain, own: encrypt(with_service(encrypt(plain, own), "x"), own), "ADAPTER-GATEWAY-PROTOCOL"),
        (lambda plain, own: _spoilt(encrypt(plain, own)), "ADAPTER-SIGNATURE-REFUSED"),
    ],
)
async def test_an_answer_is_opened_after_its_signature_or_not_at_all(
    caller: Caller, options: dict[str, Any], make: Callable[[bytes, bytes], bytes], code: str
) -> None:
    own = read_pair(caller.stand.folder, "shep-cipher").certificate_der
    content = make(VALID["sync-answer"].encode(), own).decode()
    by = ["gateway"]

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=caller.stand.hand(by[-1]).signed(content), content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", answer)
    async with serving(app) as url:
        sent = await caller.call(SYNC_SEND, ASKED, sync_url=url, **options)
        assert (sent.error.code if isinstance(sent, Unanswered) else "") == code
        by.append("other")
        forged = await caller.call(SYNC_SEND, ASKED, sync_url=url, **options)
        assert isinstance(forged, Unanswered)
        assert forged.error.code == "ADAPTER-GATEWAY-SIGNATURE"


def _spoilt(data: bytes) -> bytes:
    wrapped, cipher = parts_of(data)
    return encrypted_data(wrapped, cipher[:-1] + bytes([cipher[-1] ^ 1]))


@pytest.fixture
async def doors(kz: KzEngine, shep_keys: Path) -> AsyncIterator[Doors]:
    async with opened(kz, shep_keys) as found:
        yield found


def pushed(doors: Doors, service: str = SEALED, *, inner: str = "", sealed: bool = True) -> str:
    content = VALID["pushed"].replace("<serviceId>Svc<", f"<serviceId>{inner or service}<")
    if not sealed:
        return content
    own = read_pair(doors.folder, "shep-cipher").certificate_der
    return with_service(encrypt(content.encode(), own), service).decode()


async def test_our_doors_open_what_the_gateway_encrypts_and_answer_alike(doors: Doors) -> None:
    status, answer = await doors.post("/async", doors.hand("gateway").signed(pushed(doors)))
    assert (status, answer.part, answer.values["service_id"]) == (200, PART, SEALED)
    assert verify_envelope(answer.raw, doors.kz).math
    gateway = read_pair(doors.folder, "gateway")
    data = answer.raw[answer.raw.index(b"<xenc:EncryptedData") : answer.raw.index(b"</S:Body>")]
    said = read(envelope(body(decrypt(data, doors.kz.load_key(gateway.key, gateway.certificate_der)))))
    assert said.values["correlation_id"] == "2"
    (incoming,) = doors.kept.incoming
    assert (incoming.facts["service_id"], incoming.facts["signature"]) == (SEALED, "right")
    assert b"EncryptedData" in incoming.raw  # the proof keeps what came


async def test_nothing_is_opened_before_its_signature_is_believed(doors: Doors) -> None:
    honest = doors.hand("gateway").signed(pushed(doors))
    forms = {
        "by another": doors.hand("other").signed(pushed(doors)),
        "unsigned": envelope(body(pushed(doors).encode())),
        "another ciphertext": honest.replace(
            b"</xenc:CipherValue></xenc:CipherData><xenc:Enc", b"AAAA</xenc:CipherValue></xenc:CipherData><xenc:Enc"
        ),
        "another name": honest.replace(f">{SEALED}<".encode(), b">Both<"),
        "no name": honest.replace(f">{SEALED}<".encode(), b"><"),
    }
    for what, message in forms.items():
        assert message != honest, what
        status, answer = await doors.post("/async", message)
        assert (status, answer.fault is not None) == (500, True), what
    assert doors.desk.opened == 0
    assert doors.kept.incoming == []


async def test_what_is_sealed_wrongly_is_refused(doors: Doors) -> None:
    gateway = doors.hand("gateway")
    other = read_pair(doors.folder, "gateway").certificate_der
    content = VALID["pushed"].replace("<serviceId>Svc<", f"<serviceId>{SEALED}<").encode()
    for message in (
        pushed(doors, sealed=False),
        pushed(doors, inner="Both"),
        pushed(doors, "Both"),
        with_service(encrypt(content, other), SEALED).decode(),
        with_service(
            _spoilt(encrypt(content, read_pair(doors.folder, "shep-cipher").certificate_der)), SEALED
        ).decode(),
    ):
        status, answer = await doors.post("/async", gateway.signed(message))
        assert (status, answer.fault is not None) == (500, True)
    assert doors.kept.incoming == []


async def test_the_reference_service_keeps_its_contract(folder: Path) -> None:
    contract, tokens = Contract(), tokens_of(folder / "kz")
    certificate = read_pair(folder / "kz", "shep-cipher").certificate_der
    gost = read_pair(folder / "kz", "shep-gost").certificate_der
    async with serving(make_app(folder)) as url, aiohttp.ClientSession() as session:
        signer = KzSigningClient(url, session=session, tokens=tokens)
        data = await signer.encrypt(b"<a/>", certificate=certificate)
        assert await signer.decrypt(data, key="shep-cipher") == b"<a/>"
        assert await signer.encrypt(b"<a/>", certificate=certificate) != data
        for refused in (
            signer.decrypt(data, key="shep"),
            signer.decrypt(_spoilt(data), key="shep-cipher"),
            signer.decrypt(b"<a/>", key="shep-cipher"),
            signer.encrypt(b"<a/>", certificate=gost),
            signer.encrypt(b"<a/>", certificate=b"none"),
            signer.sign_body(body(b"<a/>", "id-1"), key="shep-cipher"),
        ):
            with pytest.raises(SignerError) as caught:
                await refused
            assert not caught.value.retryable
        headers = {"Authorization": f"Bearer {tokens['shep-cipher']}"}
        for path, item in (
            ("/v1/kz/encrypt", {"content": b64(b"<a/>"), "certificate": b64(certificate)}),
            ("/v1/kz/decrypt", {"key": "shep-cipher", "content": b64(data)}),
        ):
            async with session.post(
                url + path, json={"items": [item, {**item, "content": b64(b"<")}]}, headers=headers
            ) as response:
                contract.answer("post", path, response.status, await response.json())
        async with session.get(url + "/v1/kz/certificates", headers=headers) as response:
            contract.answer("get", "/v1/kz/certificates", 200, await response.json())
