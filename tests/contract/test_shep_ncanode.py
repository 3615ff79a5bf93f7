"""NCANode 3 as the signing service of the ШЭП, by a stand-in."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from lxml import etree

from adapter.errors import SignerError
from adapter.signing.kz_ncanode import NcaNodeSigner, Pkcs12
from adapter.xml.parser import parse
from adapter.xml.wssecurity import SOAP, UNSIGNED, WSU, verify_document, verify_envelope
from tests.contract.shep_signing import Hand, enveloped
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


BODY = f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="id-1"><a  b=\'1\'>текст</a></S:Body>'.encode()


DOCUMENT = '<r xmlns:q="urn:q"  a="q:b"><b>текст</b></r>'.encode()


class NcaNode:
    """NCANode 3 as it is known: rewrites messages, takes the first signature, looks at no place."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.verdict: dict[str, Any] = {
            "valid": True,
            "signers": [{"valid": True, "revocations": [{"revoked": False}]}],
        }
        self.rename = ""
        self.status = 200

    def app(self) -> web.Application:
        app = web.Application()
        for path in ("/wsse/sign", "/xml/sign", "/wsse/verify", "/xml/verify"):
            app.router.add_post(path, self.handle)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        call = await request.json()
        self.calls.append((request.path, call))
        if self.status != 200:
            return web.json_response({"status": self.status, "message": "no"}, status=self.status)
        answer = {"status": 200, "message": "OK"}
        if request.path.endswith("verify"):
            return web.json_response(answer | self.verdict)
        assert base64.b64decode(call["key"] if "key" in call else call["signers"][0]["key"]) == b"p12"
        make = self.wsse if request.path == "/wsse/sign" else self.xml
        return web.json_response(answer | {"xml": make(call["xml"].encode())})

    def wsse(self, message: bytes) -> str:
        body = parse(message)[-1]
        if self.rename:
            body.set(f"{{{WSU}}}Id", self.rename)
        alone = etree.tostring(body, encoding="utf-8")
        signed = enveloped(alone.decode(), self.hand.signature(alone).decode())
        return '<?xml version="1.0" encoding="UTF-8" standalone="no"?>' + signed.decode()

    def xml(self, document: bytes) -> str:
        return self.hand.document(etree.tostring(parse(document), encoding="utf-8")).decode()


@pytest.fixture
async def ncanode(kz: KzEngine, shep_keys: Path) -> AsyncIterator[tuple[NcaNode, NcaNodeSigner]]:
    stand_in = NcaNode(Hand(kz, shep_keys, "shep"))
    async with serving(stand_in.app()) as url, aiohttp.ClientSession() as session:
        yield stand_in, NcaNodeSigner(url, session=session, keys={"shep": Pkcs12(b"p12", "Qwerty12", "one")})


@pytest.mark.parametrize("rename", ["", "id-of-ncanode"])
async def test_ncanode_signs_and_our_bytes_stay(
    ncanode: tuple[NcaNode, NcaNodeSigner], kz: KzEngine, rename: str
) -> None:
    stand_in, signer = ncanode
    stand_in.rename = rename
    signed = await signer.sign_body(BODY, key="shep")
    assert signed.body == (BODY.replace(b"id-1", rename.encode()) if rename else BODY)
    assert verify_envelope(enveloped(signed.body.decode(), signed.signature.decode()), kz).math
    document = await signer.sign_document(DOCUMENT, key="shep")
    assert document.document.startswith(DOCUMENT.removesuffix(b"</r>"))
    assert [found.math for found in verify_document(document.document, kz)] == [True]
    assert [path for path, _ in stand_in.calls] == ["/wsse/sign", "/xml/sign"]
    assert stand_in.calls[0][1]["keyAlias"] == "one"


async def test_ncanode_is_asked_for_a_time_stamp_and_held_to_it(ncanode: tuple[NcaNode, NcaNodeSigner]) -> None:
    stand_in, signer = ncanode
    with pytest.raises(SignerError, match="метки времени нет") as caught:
        await signer.sign_document(DOCUMENT, key="shep", tsp=True)
    assert not caught.value.retryable
    (path, call) = stand_in.calls[-1]
    assert (path, call["withTsp"]) == ("/xml/sign", True)
    await signer.sign_document(DOCUMENT, key="shep")
    assert "withTsp" not in stand_in.calls[-1][1]


async def test_ncanode_encrypts_nothing(ncanode: tuple[NcaNode, NcaNodeSigner]) -> None:
    for asked in (ncanode[1].encrypt(b"<a/>", certificate=b""), ncanode[1].decrypt(b"<a/>", key="shep")):
        with pytest.raises(SignerError, match="не шифрует") as caught:
            await asked
        assert not caught.value.retryable


async def test_ncanode_is_asked_only_about_a_signature_in_its_place(
    ncanode: tuple[NcaNode, NcaNodeSigner], kz: KzEngine, shep_keys: Path
) -> None:
    stand_in, signer = ncanode
    hand = Hand(kz, shep_keys, "shep")
    message = hand.signed("<a/>")
    verdict = await signer.verify_envelope(message)
    assert (verdict.math, verdict.trust, verdict.period, verdict.revocation) == (True, "trusted", "valid", "good")
    assert stand_in.calls[-1][1]["revocationCheck"] == ["OCSP", "CRL"]
    asked = len(stand_in.calls)
    wrapped = message.replace(b'wsu:Id="id-1"', b'wsu:Id="id-2"')
    assert "not over the Body" in (await signer.verify_envelope(wrapped)).reason
    assert (await signer.verify_envelope(enveloped("<S:Body><a/></S:Body>", ""))).reason == UNSIGNED
    assert len(stand_in.calls) == asked


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"valid": False, "signers": [{"valid": False}]}, (True, "untrusted", "unchecked")),
        (
            {"valid": False, "signers": [{"valid": False, "revocations": [{"by": "CRL", "revoked": True}]}]},
            (True, "unchecked", "revoked"),
        ),
        ({"valid": False, "signers": [{"valid": True}]}, (False, "trusted", "unchecked")),
        ({"valid": False}, (True, "untrusted", "unchecked")),
    ],
)
async def test_what_ncanode_says_in_one_word_is_taken_apart(
    ncanode: tuple[NcaNode, NcaNodeSigner],
    kz: KzEngine,
    shep_keys: Path,
    verdict: dict[str, Any],
    expected: tuple[bool, str, str],
) -> None:
    stand_in, signer = ncanode
    stand_in.verdict = verdict
    found = await signer.verify_envelope(Hand(kz, shep_keys, "shep").signed("<a/>"))
    assert (found.math, found.trust, found.revocation) == expected


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (500, True)])
async def test_a_refusal_of_ncanode_is_one_of_ours(
    ncanode: tuple[NcaNode, NcaNodeSigner],
    status: int,
    retryable: bool,  # noqa: FBT001  — a case
) -> None:
    stand_in, signer = ncanode
    stand_in.status = status
    with pytest.raises(SignerError) as caught:
        await signer.sign_body(BODY, key="shep")
    assert caught.value.retryable == retryable
    assert "Qwerty12" not in f"{caught.value}{signer._keys}"


async def test_documents_are_verified_by_ncanode_too(
    ncanode: tuple[NcaNode, NcaNodeSigner], kz: KzEngine, shep_keys: Path
) -> None:
    stand_in, signer = ncanode
    document = Hand(kz, shep_keys, "shep").document(DOCUMENT)
    (verdict,) = await signer.verify_document(document)
    assert (verdict.math, verdict.trust) == (True, "trusted")
    (verdict,) = await signer.verify_document(document.replace("текст".encode(), b""))
    assert not verdict.math
    asked = len(stand_in.calls)
    assert await signer.verify_document(DOCUMENT) == []
    assert [found.math for found in await signer.verify_document(b"<a")] == [False]
    assert len(stand_in.calls) == asked


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b'{"status": 500}', b'{"status": 200}', b'{"status": 200, "xml": "<a/>"}']
)
async def test_nonsense_of_ncanode_signs_nothing(answer: bytes) -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/json")

    app = web.Application()
    app.router.add_post("/wsse/sign", nonsense)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        signer = NcaNodeSigner(url, session=session, keys={"shep": Pkcs12(b"p12", "Qwerty12")})
        with pytest.raises(SignerError):
            await signer.sign_body(BODY, key="shep")
        with pytest.raises(SignerError, match="не задан"):
            await signer.sign_body(BODY, key="nobody")


async def test_ncanode_is_not_asked_about_what_it_cannot_judge(
    ncanode: tuple[NcaNode, NcaNodeSigner], kz: KzEngine, shep_keys: Path
) -> None:
    stand_in, signer = ncanode
    named = "<ds:X509Data><ds:X509IssuerSerial/></ds:X509Data>"

    def only_named(signature: str) -> str:
        return re.sub(r"<wsse:KeyIdentifier.*</wsse:KeyIdentifier>", named, signature)

    message = Hand(kz, shep_keys, "shep").signed("<a/>", only_named)
    assert not (await signer.verify_envelope(message)).math
    other_prefix = Hand(kz, shep_keys, "shep").signed("<a/>").replace(b"ds:", b"dsig:").replace(b":ds=", b":dsig=")
    assert "unsupported" in (await signer.verify_envelope(other_prefix)).reason
    assert stand_in.calls == []


async def test_a_cancelled_caller_is_not_kept(ncanode: tuple[NcaNode, NcaNodeSigner]) -> None:
    task = asyncio.create_task(ncanode[1].sign_body(BODY, key="shep"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
