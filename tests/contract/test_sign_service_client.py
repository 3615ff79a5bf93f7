"""The signer port's contract: SigningClient against the reference service, over real HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from yarl import URL

from adapter.errors import Code, SignerError
from adapter.http import make_session
from adapter.signing.certificates import certificates_of, fingerprint
from adapter.signing.client import SigningClient
from adapter.signing.gost import GostEngine
from adapter.xml.parser import parse
from adapter.xml.signature import sign_element
from simulators.keys import make_keys
from simulators.sign_service.app import make_app
from tests.contract.sign_service_stand import BASIC, BUSINESS, DS, REQUEST, SMEV, serving, tokens_of, wrapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


def _der(keys: Path, name: str) -> bytes:
    return certificates_of((keys / f"{name}.crt.pem").read_bytes())[0]


class _Stand:
    """A client and its service, whose calls are counted."""

    def __init__(self, client: SigningClient, calls: list[str]) -> None:
        self.client = client
        self.calls = calls


@pytest.fixture
async def stand(keys: Path) -> AsyncIterator[_Stand]:
    calls: list[str] = []
    app = make_app(keys)

    @web.middleware
    async def count(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        calls.append(request.path)
        return await handler(request)

    app.middlewares.append(count)
    async with serving(app) as url, make_session(timeout=20) as session:
        client = SigningClient(url, session=session, tokens=tokens_of(keys), trust=[_der(keys, "ca")])
        yield _Stand(client, calls)
        await client.close()


@pytest.mark.parametrize(
    ("key", "element", "digest"),
    [
        ("ov", REQUEST, 32),
        ("ov512", REQUEST, 64),
        ("ov", f'<b:AckTargetMessage xmlns:b="{BASIC}" Id="A" accepted="true">u</b:AckTargetMessage>'.encode(), 32),
        ("ov", f'<t:Timestamp xmlns:t="{SMEV}" Id="T">2026-05-17T12:00:00Z</t:Timestamp>'.encode(), 32),
        ("sp", BUSINESS, 32),
    ],
)
async def test_a_signature_verifies_over_its_element(
    stand: _Stand, keys: Path, key: str, element: bytes, digest: int
) -> None:
    signed = await stand.client.sign_xml(element, key=key)
    assert signed.certificate_sha256 == fingerprint(_der(keys, key))
    root = parse(signed.signature)
    assert root.tag == f"{DS}Signature"
    assert not any((node.text or "").isspace() or (node.tail or "").isspace() for node in root.iter())
    (verdict,) = await stand.client.verify_xml(wrapped(element, signed.signature))
    assert (verdict.math, verdict.reason) == (True, "")
    assert verdict.reference == f"#{parse(element).get('Id')}"
    assert verdict.element == parse(element).tag
    assert (verdict.trust, verdict.period, verdict.revocation) == ("trusted", "valid", "unchecked")
    assert verdict.certificate == _der(keys, key)
    assert str(digest * 8) in verdict.algorithm


async def test_changed_content_is_refused_mathematically(stand: _Stand) -> None:
    signed = await stand.client.sign_xml(BUSINESS, key="sp")
    (verdict,) = await stand.client.verify_xml(wrapped(BUSINESS.replace("Тест".encode(), b"Test"), signed.signature))
    assert not verdict.math
    assert verdict.reason
    assert verdict.trust == "trusted"


@pytest.mark.parametrize(
    ("name", "trust", "period"), [("stranger", "untrusted", "valid"), ("expired", "trusted", "expired")]
)
async def test_trust_and_period_are_verdicts_of_their_own(
    stand: _Stand, keys: Path, name: str, trust: str, period: str
) -> None:
    gost = GostEngine.open()
    key = gost.load_key((keys / f"{name}.key.pem").read_bytes())
    signature = sign_element(REQUEST, gost, key, _der(keys, name), 256)
    (verdict,) = await stand.client.verify_xml(wrapped(REQUEST, signature))
    assert (verdict.math, verdict.trust, verdict.period) == (True, trust, period)
    (attached,) = await stand.client.verify_cms(gost.sign_cms(key, _der(keys, name), b"data"), b"data")
    assert (attached.math, attached.trust, attached.period) == (True, trust, period)


@pytest.mark.parametrize("key", ["ov", "sp", "ov512"])
async def test_an_attachment_is_signed_and_verified(stand: _Stand, keys: Path, key: str) -> None:
    signature = await stand.client.sign_cms(b"attachment", key=key)
    (right,) = await stand.client.verify_cms(signature, b"attachment")
    assert (right.math, right.trust, right.certificate) == (True, "trusted", _der(keys, key))
    (wrong,) = await stand.client.verify_cms(signature, b"attachmenT")
    assert (wrong.math, wrong.reason) == (False, "the digest is of other data")


@pytest.mark.parametrize("key", ["ov", "ov512"])
async def test_a_bare_value_is_right_by_the_certificate_that_comes_with_it(
    stand: _Stand, keys: Path, gost: GostEngine, key: str
) -> None:
    value, certificate = await stand.client.sign_bare(b"parameters", key=key)
    assert certificate == _der(keys, key)
    assert gost.verify(certificate, b"parameters", value)
    assert not gost.verify(certificate, b"parameterZ", value)


async def test_an_official_gives_no_bare_values(stand: _Stand) -> None:
    with pytest.raises(SignerError) as raised:
        await stand.client.sign_bare(b"parameters", key="sp")
    assert not raised.value.retryable


async def test_a_document_without_signatures_has_no_verdicts(stand: _Stand) -> None:
    assert await stand.client.verify_xml(b"<a/>") == []


async def test_keys_are_listed_with_what_they_may_sign(stand: _Stand, keys: Path) -> None:
    listed = {info.name: info for info in await stand.client.certificates()}
    assert set(listed) == {"ov", "sp", "ov512"}
    assert listed["sp"].allowed == ["smev3-xml:*", "cms", "cms-digest"]
    assert "smev3-xml:SenderProvidedRequestData" in listed["ov"].allowed
    assert listed["ov"].certificate == _der(keys, "ov")
    assert listed["ov"].not_after.tzinfo is not None
    assert listed["ov512"].algorithm == "GOST R 34.10-2012-512"


async def test_calls_at_once_share_requests_and_fail_each_by_itself(stand: _Stand) -> None:
    await stand.client.certificates()
    stand.calls.clear()
    contents = [REQUEST.replace(b"db0486d0", f"{number:08x}".encode()) for number in range(150)]
    contents[70] = BUSINESS
    results = await asyncio.gather(
        *(stand.client.sign_xml(content, key="ov") for content in contents), return_exceptions=True
    )
    refused = results.pop(70)
    assert isinstance(refused, SignerError)
    assert (refused.known, refused.retryable) == (Code.SIGNATURE_REFUSED, False)
    assert "NOT_ALLOWED" in refused.description
    assert not [result for result in results if isinstance(result, BaseException)]
    assert stand.calls.count("/v1/sign") <= 4
    assert len({result.signature for result in results if not isinstance(result, BaseException)}) == 149


async def test_the_two_keys_never_share_a_request(stand: _Stand) -> None:
    system, official = await asyncio.gather(
        stand.client.sign_xml(REQUEST, key="ov"), stand.client.sign_xml(BUSINESS, key="sp")
    )
    assert system.certificate_sha256 != official.certificate_sha256
    assert stand.calls.count("/v1/sign") == 2


@pytest.mark.parametrize(
    ("content", "key", "code"),
    [(BUSINESS, "ov", "NOT_ALLOWED"), (REQUEST, "sp", "NOT_ALLOWED"), (b"<a>", "sp", "NOT_XML")],
)
async def test_a_refusal_is_final_and_names_the_services_code(
    stand: _Stand, content: bytes, key: str, code: str
) -> None:
    with pytest.raises(SignerError) as caught:
        await stand.client.sign_xml(content, key=key)
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_REFUSED, False)
    assert code in caught.value.description


async def test_a_key_without_a_token_is_refused_before_any_call(stand: _Stand) -> None:
    with pytest.raises(SignerError) as caught:
        await stand.client.sign_xml(REQUEST, key="nobody")
    assert not caught.value.retryable
    assert stand.calls == []


@pytest.mark.parametrize(("swap", "code"), [({"ov": "w" * 20}, "UNAUTHORIZED"), ({"ov": "sp"}, "KEY_FORBIDDEN")])
async def test_a_wrong_token_is_a_final_refusal(keys: Path, swap: dict[str, str], code: str) -> None:
    tokens = tokens_of(keys)
    wrong = {name: tokens.get(value, value) for name, value in swap.items()}
    async with serving(make_app(keys)) as url, make_session(timeout=20) as session:
        client = SigningClient(url, session=session, tokens=wrong)
        with pytest.raises(SignerError) as caught:
            await client.sign_xml(REQUEST, key="ov")
        await client.close()
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_REFUSED, False)
    assert code in caught.value.description
    assert not any(token in str(caught.value) for token in (*tokens.values(), *wrong.values()))


async def test_a_renewed_certificate_is_taken_after_asking_again(keys: Path, tmp_path: Path) -> None:
    make_keys(tmp_path)
    tokens = tokens_of(keys)
    (tmp_path / "tokens.json").write_text((keys / "tokens.json").read_text("utf-8"), "utf-8")
    services = [make_app(keys), make_app(tmp_path)]
    async with serving(services[0]) as before, serving(services[1]) as after, make_session(timeout=20) as session:
        client = SigningClient(before, session=session, tokens=tokens)
        first = await client.sign_xml(REQUEST, key="ov")
        client._urls = {path: URL(after + path) for path in client._urls}
        second = await client.sign_xml(REQUEST, key="ov")
        await client.close()
    assert first.certificate_sha256 != second.certificate_sha256


async def test_large_content_leaves_the_loop_free(stand: _Stand) -> None:
    body = "<i>содержание</i>" * 40_000
    element = f'<b:Request xmlns:b="urn:test:business" Id="BODY">{body}</b:Request>'.replace("<i>", "<b:i>")
    content = element.replace("</i>", "</b:i>").encode()
    ticks = 0

    async def tick() -> Any:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.create_task(tick())
    try:
        signed = await stand.client.sign_xml(content, key="sp")
    finally:
        ticker.cancel()
    assert ticks >= 3
    (verdict,) = await stand.client.verify_xml(wrapped(content, signed.signature))
    assert verdict.math
