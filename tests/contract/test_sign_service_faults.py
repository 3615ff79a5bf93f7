"""The client against a signing service that is down, slow, confused or lying."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from adapter.errors import Code, SignerError
from adapter.http import make_session
from adapter.signing.certificates import certificates_of, fingerprint
from adapter.signing.client import SigningClient
from adapter.signing.gost import GostEngine
from adapter.xml.signature import sign_element
from simulators.keys import make_keys
from tests.contract.sign_service_stand import REQUEST, b64, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_TOKEN = "token-that-must-not-leak"
_CANARY = "canary-content"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


async def _caught(handler: Callable[[web.Request], Awaitable[web.StreamResponse]], call: str = "sign") -> SignerError:
    """Return what the client raises when every path answers by ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with serving(app) as url, make_session(timeout=5) as session:
        client = SigningClient(url, session=session, tokens={"ov": _TOKEN}, timeout=0.5)
        calls = {
            "sign": lambda: client.sign_xml(REQUEST, key="ov"),
            "cms": lambda: client.sign_cms(b"data", key="ov"),
            "verify": lambda: client.verify_xml(b"<a/>"),
            "certificates": client.certificates,
        }
        try:
            with pytest.raises(SignerError) as caught:
                await calls[call]()
        finally:
            await client.close()
    assert _TOKEN not in str(caught.value)
    assert _CANARY not in str(caught.value)
    return caught.value


def _says(body: bytes | str, status: int = 200, content_type: str = "application/json") -> Any:
    content = body.encode() if isinstance(body, str) else body

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=content, status=status, content_type=content_type)

    return handler


@pytest.mark.parametrize("call", ["sign", "cms", "verify", "certificates"])
@pytest.mark.parametrize(
    "body",
    [
        "",
        f"<html><body>{_CANARY}</body></html>",
        '{"items": [{"signature": "',
        "[]",
        '{"items": []}',
        '{"items": [{}]}',
        '{"items": [{}, {}]}',
        '{"items": [{"signature": "не base64"}]}',
        '{"items": [{"verdicts": [{"math": "maybe"}]}]}',
        '{"items": null, "keys": null}',
        b"\xff\xfe\x00",
    ],
)
async def test_nonsense_is_retryable_and_never_an_answer(call: str, body: bytes | str) -> None:
    error = await _caught(_says(body), call)
    assert (error.known, error.retryable) == (Code.SIGNATURE_UNAVAILABLE, True)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (302, Code.SIGNATURE_REFUSED, False),
        (400, Code.SIGNATURE_REFUSED, False),
        (401, Code.SIGNATURE_REFUSED, False),
        (403, Code.SIGNATURE_REFUSED, False),
        (404, Code.SIGNATURE_REFUSED, False),
        (413, Code.SIGNATURE_REFUSED, False),
        (408, Code.SIGNATURE_UNAVAILABLE, True),
        (429, Code.SIGNATURE_UNAVAILABLE, True),
        (500, Code.SIGNATURE_UNAVAILABLE, True),
        (502, Code.SIGNATURE_UNAVAILABLE, True),
        (503, Code.SIGNATURE_UNAVAILABLE, True),
    ],
)
async def test_a_status_decides_whether_asking_again_may_help(status: int, code: Code, retryable: bool) -> None:  # noqa: FBT001  — a table's column
    error = await _caught(_says(_CANARY, status, "text/html"))
    assert (error.known, error.retryable) == (code, retryable)


async def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    assert not (await _caught(handler)).retryable
    assert seen == ["/v1/sign"]


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (404, Code.SIGNATURE_REFUSED, False),
        (403, Code.SIGNATURE_REFUSED, False),
        (500, Code.SIGNATURE_UNAVAILABLE, True),
        (503, Code.SIGNATURE_UNAVAILABLE, True),
    ],
)
async def test_an_items_error_keeps_its_code_and_drops_its_text(status: int, code: Code, retryable: bool) -> None:  # noqa: FBT001  — same
    fault = {"status": status, "code": "SOME_CODE", "message": _CANARY}
    error = await _caught(_says(json.dumps({"items": [{"error": fault}]})))
    assert (error.known, error.retryable) == (code, retryable)
    assert "SOME_CODE" in error.description


async def test_a_service_that_is_down_is_retryable() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        async with make_session(timeout=5) as session:
            url = f"http://127.0.0.1:{held.getsockname()[1]}"
            client = SigningClient(url, session=session, tokens={"ov": _TOKEN})
            with pytest.raises(SignerError) as caught:
                await client.sign_xml(REQUEST, key="ov")
            await client.close()
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_UNAVAILABLE, True)


async def test_a_service_that_does_not_answer_ends_at_the_timeout() -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    error = await asyncio.wait_for(_caught(handler), 10)
    assert (error.known, error.retryable) == (Code.SIGNATURE_UNAVAILABLE, True)


async def test_a_crowd_before_a_service_that_does_not_answer_ends_at_its_patience() -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with serving(app) as url, make_session(timeout=5) as session:
        client = SigningClient(url, session=session, tokens={"ov": _TOKEN}, timeout=0.2)
        calls = asyncio.gather(
            *(client.sign_xml(REQUEST, key="ov") for _ in range(2000)), return_exceptions=True
        )  # 20 requests, two at a time, would take 2 seconds
        ends = await asyncio.wait_for(calls, 1.5)
        await client.close()
    assert all(isinstance(end, SignerError) and end.retryable for end in ends)


async def test_a_connection_cut_in_the_answer_is_retryable() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"items": [')
        assert request.transport is not None
        request.transport.close()
        return response

    error = await _caught(handler)
    assert (error.known, error.retryable) == (Code.SIGNATURE_UNAVAILABLE, True)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.signing.wire.MAX_BODY", 10_000)
    error = await _caught(_says(" " * 10_001))
    assert (error.known, error.retryable) == (Code.SIGNATURE_UNAVAILABLE, True)


async def test_a_closed_client_says_so() -> None:
    async with make_session(timeout=5) as session:
        client = SigningClient("http://127.0.0.1:9", session=session, tokens={"ov": _TOKEN})
        await client.close()
        with pytest.raises(SignerError) as caught:
            await client.sign_xml(REQUEST, key="ov")
    assert caught.value.retryable
    client = SigningClient("http://127.0.0.1:9", session=session, tokens={"ov": _TOKEN})
    with pytest.raises(SignerError) as caught:
        await client.certificates()
    assert caught.value.retryable


class _Liar:
    """A service that signs what it likes with what it likes."""

    def __init__(self, keys: Path, *, signer: str = "ov", listed: str = "ov") -> None:
        self._gost = GostEngine.open()
        self._key = self._gost.load_key((keys / f"{signer}.key.pem").read_bytes())
        self._certificate = certificates_of((keys / f"{signer}.crt.pem").read_bytes())[0]
        self._listed = certificates_of((keys / f"{listed}.crt.pem").read_bytes())[0]
        self.signature = b""

    def xml(self, element: bytes) -> bytes:
        return sign_element(element, self._gost, self._key, self._certificate, 256)

    def cms(self, data: bytes) -> bytes:
        return self._gost.sign_cms(self._key, self._certificate, data)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/v1/sign":
            item = {"signature": b64(self.signature), "certificate_sha256": fingerprint(self._listed)}
            return web.json_response({"items": [item]})
        entry = {
            "name": "ov",
            "algorithm": "GOST R 34.10-2012-256",
            "bits": 256,
            "certificate": b64(self._listed),
            "certificate_sha256": fingerprint(self._listed),
            "subject": "",
            "not_before": "2026-01-01T00:00:00Z",
            "not_after": "2027-01-01T00:00:00Z",
            "allowed": [],
        }
        return web.json_response({"keys": [entry]})


async def test_a_signature_of_another_id_is_refused(keys: Path) -> None:
    liar = _Liar(keys)
    liar.signature = liar.xml(REQUEST.replace(b"SIGNED_BY_CONSUMER", b"SIGNED_BY_OTHER"))
    error = await _caught(liar.answer)
    assert (error.known, error.retryable) == (Code.SIGNATURE_WRONG, False)
    assert "другой элемент" in error.description


async def test_a_signature_of_other_content_under_the_same_id_is_refused(keys: Path) -> None:
    liar = _Liar(keys)
    liar.signature = liar.xml(REQUEST.replace(b"db0486d0", b"db0486d1"))
    error = await _caught(liar.answer)
    assert (error.known, error.retryable) == (Code.SIGNATURE_WRONG, False)
    assert "другое содержимое" in error.description


async def test_a_signature_by_a_certificate_that_is_not_the_keys_is_refused(keys: Path) -> None:
    liar = _Liar(keys, signer="stranger")
    liar.signature = liar.xml(REQUEST)
    error = await _caught(liar.answer)
    assert (error.known, error.retryable) == (Code.SIGNATURE_WRONG, False)
    assert "сертификат" in error.description


@pytest.mark.parametrize("signature", [b"junk", b"<a/>", b"<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>"])
async def test_something_that_is_no_signature_is_refused(keys: Path, signature: bytes) -> None:
    liar = _Liar(keys)
    liar.signature = signature
    error = await _caught(liar.answer)
    assert (error.known, error.retryable) == (Code.SIGNATURE_WRONG, False)


@pytest.mark.parametrize(("signer", "data"), [("ov", b"other"), ("stranger", b"data")])
async def test_a_pkcs7_of_other_data_or_of_another_signer_is_refused(keys: Path, signer: str, data: bytes) -> None:
    liar = _Liar(keys, signer=signer)
    liar.signature = liar.cms(data)
    error = await _caught(liar.answer, "cms")
    assert (error.known, error.retryable) == (Code.SIGNATURE_WRONG, False)


async def test_something_that_is_no_pkcs7_is_refused(keys: Path) -> None:
    liar = _Liar(keys)
    liar.signature = b"junk"
    error = await _caught(liar.answer, "cms")
    assert (error.known, error.retryable) == (Code.SIGNATURE_WRONG, False)
