"""The signing service's calls for the ШЭП: the reference service by its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from adapter.errors import SignerError
from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from adapter.signing.kz_client import KzSigningClient
from adapter.signing.kz_signer import checked_body, checked_document
from adapter.xml.wssecurity import SOAP, UNSIGNED, WSU, verify_document, verify_envelope
from simulators.shep.keys import read_pair
from simulators.sign_service.app import make_app
from tests.contract.shep_signing import Hand, enveloped
from tests.contract.sign_service_stand import Contract, b64, serving, tokens_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytest_plugins = ("tests.contract.shep_fixtures",)


BODY = f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="id-1"><a  b=\'1\'>текст</a></S:Body>'.encode()


DOCUMENT = '<r xmlns:q="urn:q"  a="q:b"><b>текст</b></r>'.encode()


@pytest.fixture
async def service(folder: Path) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with serving(make_app(folder)) as url, aiohttp.ClientSession(timeout=timeout) as session:
        yield url, session


def client(service: tuple[str, aiohttp.ClientSession], folder: Path, **more: Any) -> KzSigningClient:
    return KzSigningClient(service[0], session=service[1], **{"tokens": tokens_of(folder / "kz"), **more})


@pytest.mark.parametrize("key", ["shep", "shep-gost"])
async def test_the_service_signs_bodies_and_documents(
    service: tuple[str, aiohttp.ClientSession], folder: Path, kz: KzEngine, key: str
) -> None:
    signer = client(service, folder)
    signed = await signer.sign_body(BODY, key=key)
    assert signed.body == BODY
    message = enveloped(BODY.decode(), signed.signature.decode())
    assert verify_envelope(message, kz).math
    verdict = await signer.verify_envelope(message)
    assert (verdict.math, verdict.trust, verdict.period, verdict.revocation) == (True, "trusted", "valid", "good")
    document = await signer.sign_document(DOCUMENT, key=key)
    assert document.document.startswith(DOCUMENT.removesuffix(b"</r>"))
    assert [found.math for found in verify_document(document.document, kz)] == [True]
    assert [found.math for found in await signer.verify_document(document.document)] == [True]


@pytest.mark.parametrize(
    "document",
    [
        b"<a/>",
        b"<q:a  xmlns:q='urn:q' b=\"/>\" />\n",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<a b=\'"\'/>',
    ],
)
async def test_a_document_of_one_empty_element_is_signed(
    service: tuple[str, aiohttp.ClientSession], folder: Path, kz: KzEngine, document: bytes
) -> None:
    signed = await client(service, folder).sign_document(document, key="shep")
    assert [found.math for found in verify_document(signed.document, kz)] == [True]


async def test_the_official_signs_documents_alone(service: tuple[str, aiohttp.ClientSession], folder: Path) -> None:
    signer = client(service, folder)
    assert (await signer.sign_document(DOCUMENT, key="shep-official")).certificate_sha256
    with pytest.raises(SignerError, match="NOT_ALLOWED") as caught:
        await signer.sign_body(BODY, key="shep-official")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [("nobody", BODY, "не задан токен"), ("shep", b"<a/>", "NOT_ALLOWED"), ("shep", b"<a", "NOT_XML")],
)
async def test_refusals_are_final(
    service: tuple[str, aiohttp.ClientSession], folder: Path, key: str, body: bytes, said: str
) -> None:
    with pytest.raises(SignerError, match=said) as caught:
        await client(service, folder).sign_body(body, key=key)
    assert not caught.value.retryable


async def test_verdicts_of_the_service_are_apart(
    service: tuple[str, aiohttp.ClientSession], folder: Path, kz: KzEngine
) -> None:
    signer = client(service, folder)

    async def found(name: str) -> tuple[bool, str, str, str]:
        verdict = await signer.verify_envelope(Hand(kz, folder / "kz", name).signed("<a/>"))
        return verdict.math, verdict.trust, verdict.period, verdict.revocation

    assert await found("revoked") == (True, "trusted", "valid", "revoked")
    assert await found("expired") == (True, "trusted", "expired", "good")
    assert await found("foreign") == (True, "untrusted", "valid", "unchecked")
    assert (await signer.verify_envelope(enveloped("<S:Body><a/></S:Body>", ""))).reason == UNSIGNED
    strict = client(service, folder, trust=[read_pair(folder / "kz", "other").certificate_der])
    assert (await strict.verify_envelope(Hand(kz, folder / "kz", "shep").signed("<a/>"))).trust == "untrusted"


async def test_every_answer_keeps_the_contract(service: tuple[str, aiohttp.ClientSession], folder: Path) -> None:
    contract, (url, session) = Contract(), service
    token = tokens_of(folder / "kz")["shep"]
    item = {"kind": "wsse", "key": "shep", "content": b64(BODY)}
    for path, body in (
        ("/v1/kz/sign", {"items": [item, {**item, "key": "nobody"}, {**item, "key": "shep-gost"}]}),
        ("/v1/kz/sign", {"items": [{**item, "content": "%"}]}),
        ("/v1/kz/verify", {"items": [{"kind": "xml", "content": b64(DOCUMENT)}], "trust": []}),
        ("/v1/kz/verify", {"items": [{"kind": "wsse", "content": b64(b"<a>")}]}),
        ("/v1/kz/verify", {"items": [{"kind": "wsse", "content": b64(DOCUMENT)}], "trust": [b64(b"none")]}),
    ):
        async with session.post(url + path, json=body, headers={"Authorization": f"Bearer {token}"}) as response:
            contract.answer("post", path, response.status, await response.json())
    async with session.get(url + "/v1/kz/certificates") as response:
        assert response.status == 401
        contract.answer("get", "/v1/kz/certificates", 401, await response.json())
    headers = {"Authorization": f"Bearer {token}"}
    async with session.get(url + "/v1/kz/certificates", headers=headers) as response:
        contract.answer("get", "/v1/kz/certificates", 200, await response.json())


async def test_a_signature_over_something_else_is_refused(folder: Path, kz: KzEngine) -> None:
    hand = Hand(kz, folder / "kz", "shep")

    async def astray(_: web.Request) -> web.Response:
        other = BODY.replace("текст".encode(), b"")
        item = {"signature": b64(hand.signature(other)), "certificate_sha256": "0" * 64}
        return web.json_response({"items": [item]})

    app = web.Application()
    app.router.add_post("/v1/kz/sign", astray)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        with pytest.raises(SignerError, match="другое содержимое") as caught:
            await KzSigningClient(url, session=session, tokens={"shep": "x"}).sign_body(BODY, key="shep")
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_busy_service_may_be_asked_again(status: int) -> None:
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/v1/kz/verify", busy)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        with pytest.raises(SignerError) as caught:
            await KzSigningClient(url, session=session, tokens={"shep": "x"}).verify_envelope(b"<a/>")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (b"<a/>", "не подпись"),
        (b"<a", "не читается"),
        (b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>', "неверна"),
    ],
)
def test_what_is_no_signature_is_refused(signature: bytes, said: str) -> None:
    with pytest.raises(SignerError, match=said) as caught:
        checked_body(BODY, signature)
    assert not caught.value.retryable
    with pytest.raises(SignerError):
        checked_document(DOCUMENT, signature)
    with pytest.raises(SignerError):
        checked_document(b"", signature)


async def test_a_machine_without_the_engine_counts_what_it_can(
    kz: KzEngine, shep_keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures = {name: Hand(kz, shep_keys, name).signature(BODY) for name in ("shep", "shep-gost")}

    def absent() -> KzEngine:
        raise GostUnavailableError("none here")

    monkeypatch.setattr(KzEngine, "open", absent)
    for signature in signatures.values():
        assert checked_body(BODY, signature).certificate_sha256
    with pytest.raises(SignerError, match="другое содержимое"):
        checked_body(BODY.replace("текст".encode(), b""), signatures["shep"])


async def test_a_renewed_key_is_asked_for_and_another_certificate_refused(
    service: tuple[str, aiohttp.ClientSession], folder: Path, kz: KzEngine
) -> None:
    hand = Hand(kz, folder / "kz", "other")

    async def by_another(_: web.Request) -> web.Response:
        item = {"signature": b64(hand.signature(BODY)), "certificate_sha256": "0" * 64}
        return web.json_response({"items": [item]})

    async def listed(_: web.Request) -> web.Response:
        return web.json_response({"keys": []})

    app = web.Application()
    app.router.add_post("/v1/kz/sign", by_another)
    app.router.add_get("/v1/kz/certificates", listed)
    async with serving(app) as url:
        signer = KzSigningClient(url, session=service[1], tokens={"shep": "x"})
        with pytest.raises(SignerError, match="сертификат не тот"):
            await signer.sign_body(BODY, key="shep")


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"items": []}', b'{"items": [{}]}', b'{"items": [{"verdicts": []}]}'])
async def test_nonsense_of_the_service_is_asked_again(answer: bytes) -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/json")

    app = web.Application()
    for path in ("/v1/kz/sign", "/v1/kz/verify"):
        app.router.add_post(path, nonsense)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        signer = KzSigningClient(url, session=session, tokens={"shep": "x"})
        for asked in (signer.sign_body(BODY, key="shep"), signer.verify_envelope(b"<a/>")):
            with pytest.raises(SignerError) as caught:
                await asked
            assert caught.value.retryable
    with pytest.raises(SignerError, match="остановлен"):
        await signer.verify_envelope(b"<a/>")
