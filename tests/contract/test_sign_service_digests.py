"""Attachments signed and verified by their digests: contract, client, and a service that answers something else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from asn1crypto import cms

from adapter.errors import Code, SignerError
from adapter.http import make_session
from adapter.signing import gost_cms, wire
from adapter.signing.certificates import certificates_of, fingerprint
from adapter.signing.client import SigningClient
from adapter.signing.gost import GostEngine
from adapter.signing.streebog import STREEBOG_256, STREEBOG_512, StreamingStreebog
from simulators.keys import make_keys
from simulators.sign_service.app import make_app
from tests.contract.sign_service_stand import Contract, b64, serving, tokens_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DATA = b"an attachment of any size" * 1000


def _digest(bits: int, data: bytes = DATA) -> bytes:
    streebog = StreamingStreebog(bits)
    streebog.update(data)
    return streebog.digest()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.fixture
async def client(keys: Path) -> AsyncIterator[SigningClient]:
    anchors = certificates_of((keys / "ca.crt.pem").read_bytes())
    async with serving(make_app(keys)) as url, make_session(timeout=20) as session:
        client = SigningClient(url, session=session, tokens=tokens_of(keys), trust=anchors)
        yield client
        await client.close()


@pytest.mark.parametrize(("key", "algorithm", "bits"), [("ov", STREEBOG_256, 256), ("ov512", STREEBOG_512, 512)])
async def test_a_signature_by_digest_is_one_over_the_content(
    client: SigningClient, keys: Path, key: str, algorithm: Any, bits: int
) -> None:
    assert await client.digest_algorithm(key) == algorithm
    signed = await client.sign_detached(_digest(bits), algorithm=algorithm, key=key)
    assert signed.certificate_sha256 == fingerprint(certificates_of((keys / f"{key}.crt.pem").read_bytes())[0])
    assert GostEngine.open().verify_cms(signed.pkcs7, DATA).math
    info = cms.ContentInfo.load(signed.pkcs7)["content"]
    assert info["encap_content_info"]["content"].native is None
    assert {attribute["type"].native for attribute in info["signer_infos"][0]["signed_attrs"]} >= {
        "content_type",
        "message_digest",
    }


async def test_verdicts_by_digest_are_those_by_content(client: SigningClient) -> None:
    signed = await client.sign_cms(DATA, key="ov")
    (right,) = await client.verify_detached(signed, _digest(256), STREEBOG_256)
    assert (right.math, right.trust, right.period) == (True, "trusted", "valid")
    (other,) = await client.verify_detached(signed, _digest(256, b"other"), STREEBOG_256)
    assert (other.math, other.reason) == (False, "the digest is of other data")
    (larger,) = await client.verify_detached(signed, _digest(512), STREEBOG_512)
    assert (larger.math, larger.reason) == (False, "the signature is by a digest of another size")
    (junk,) = await client.verify_detached(b"junk", _digest(256), STREEBOG_256)
    assert (junk.math, junk.trust) == (False, "unchecked")


async def test_a_key_signs_no_digest_of_another_size(client: SigningClient) -> None:
    with pytest.raises(SignerError, match="WRONG_DIGEST") as caught:
        await client.sign_detached(_digest(512), algorithm=STREEBOG_512, key="ov")
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_REFUSED, False)


async def test_a_digest_that_is_not_of_its_algorithms_size_goes_nowhere(client: SigningClient) -> None:
    with pytest.raises(SignerError) as caught:
        await client.sign_detached(_digest(256), algorithm=STREEBOG_512, key="ov")
    assert not caught.value.retryable
    with pytest.raises(SignerError, match="WRONG_DIGEST"):
        await client.verify_detached(b"", b"short", STREEBOG_256)


async def test_a_key_that_the_service_does_not_have_has_no_digest(client: SigningClient) -> None:
    with pytest.raises(SignerError) as caught:
        await client.digest_algorithm("nobody")
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_REFUSED, False)


async def test_a_key_signs_digests_only_where_its_list_says_so(tmp_path: Path) -> None:
    make_keys(tmp_path)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": {"ov": {"allowed": ["cms"]}}}))
    async with serving(make_app(tmp_path)) as url, make_session(timeout=20) as session:
        client = SigningClient(url, session=session, tokens=tokens_of(tmp_path))
        with pytest.raises(SignerError, match="NOT_ALLOWED"):
            await client.sign_detached(_digest(256), algorithm=STREEBOG_256, key="ov")
        assert await client.sign_cms(DATA, key="ov")
        await client.close()


async def test_good_and_bad_digests_of_one_call_are_answered_each_by_itself(keys: Path, contract: Contract) -> None:
    def item(key: str, algorithm: str, digest: bytes) -> dict[str, str]:
        return {"key": key, "algorithm": algorithm, "digest": b64(digest)}

    request = {
        "items": [
            item("ov", "streebog-256", _digest(256)),
            item("nobody", "streebog-256", _digest(256)),
            item("sp", "streebog-256", _digest(256)),
            item("ov", "streebog-512", _digest(512)),
            item("ov", "streebog-256", _digest(512)),
            item("ov", "streebog-256", b""),
        ]
    }
    contract.request("/v1/sign-digest", request)
    tokens = tokens_of(keys)
    async with serving(make_app(keys)) as url, make_session(timeout=20) as session:
        headers = {"Authorization": f"Bearer {tokens['ov']}"}
        async with session.post(f"{url}/v1/sign-digest", json=request, headers=headers) as response:
            answer = await response.json()
        contract.answer("post", "/v1/sign-digest", response.status, answer)
        for body in (b"", b'{"items": []}', b'{"items": [{"key": "ov", "algorithm": "md5", "digest": ""}]}'):
            for path in ("/v1/sign-digest", "/v1/verify-digest"):
                async with session.post(f"{url}{path}", data=body, headers=headers) as response:
                    contract.answer("post", path, response.status, await response.json())
                    assert response.status == 400
                async with session.post(f"{url}{path}", data=body) as response:
                    assert response.status == 401
    codes = [entry["error"]["code"] if "error" in entry else "signed" for entry in answer["items"]]
    assert codes == ["signed", "UNKNOWN_KEY", "KEY_FORBIDDEN", "WRONG_DIGEST", "WRONG_DIGEST", "WRONG_DIGEST"]


def test_what_the_client_sends_of_digests_fits_the_contract(contract: Contract) -> None:
    contract.request("/v1/sign-digest", orjson.loads(wire.sign_digest_request([("ov", STREEBOG_256, _digest(256))])))
    for trust in (None, wire.trust_list([b"anchor"])):
        request = wire.verify_digest_request([(b"pkcs7", STREEBOG_512, _digest(512))], trust)
        contract.request("/v1/verify-digest", orjson.loads(request))


class _Liar:
    """A service that lists the key ``ov`` rightly and signs as it likes."""

    def __init__(self, keys: Path, signature: bytes) -> None:
        self._signature = signature
        certificate = certificates_of((keys / "ov.crt.pem").read_bytes())[0]
        self._entry = {
            "name": "ov",
            "algorithm": "GOST R 34.10-2012-256",
            "bits": 256,
            "certificate": b64(certificate),
            "certificate_sha256": fingerprint(certificate),
            "subject": "",
            "not_before": "2020-01-01T00:00:00Z",
            "not_after": "2100-01-01T00:00:00Z",
            "allowed": ["cms-digest"],
        }

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/v1/certificates":
            return web.json_response({"keys": [self._entry]})
        return web.json_response({"items": [{"signature": b64(self._signature), "certificate_sha256": "0" * 64}]})


def _signed(keys: Path, key: str, data: bytes = DATA) -> bytes:
    gost = GostEngine.open()
    private = gost.load_key((keys / f"{key}.key.pem").read_bytes())
    certificate = certificates_of((keys / f"{key}.crt.pem").read_bytes())[0]
    return gost_cms.sign_digest(gost, private, certificate, gost.digest(256, data), signed_at=datetime.now(UTC))


def _spoilt_value(signature: bytes) -> bytes:
    return signature[:-1] + bytes([signature[-1] ^ 1])


@pytest.mark.parametrize("lie", ["digest", "certificate", "value", "junk"])
async def test_a_signature_that_is_not_what_was_asked_for_is_refused(keys: Path, lie: str) -> None:
    signature = {
        "digest": _signed(keys, "ov", b"other data"),
        "certificate": _signed(keys, "sp"),
        "value": _spoilt_value(_signed(keys, "ov")),
        "junk": b"junk",
    }[lie]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _Liar(keys, signature).answer)
    async with serving(app) as url, make_session(timeout=5) as session:
        client = SigningClient(url, session=session, tokens={"ov": "token-of-sixteen-letters"})
        with pytest.raises(SignerError) as caught:
            await client.sign_detached(_digest(256), algorithm=STREEBOG_256, key="ov")
        await client.close()
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_WRONG, False)


async def test_a_service_without_the_operation_refuses_by_name(keys: Path) -> None:
    async with serving(web.Application()) as url, make_session(timeout=5) as session:
        client = SigningClient(url, session=session, tokens={"ov": "token-of-sixteen-letters"})
        with pytest.raises(SignerError, match="HTTP_404") as caught:
            await client.sign_detached(_digest(256), algorithm=STREEBOG_256, key="ov")
        await client.close()
    assert (caught.value.known, caught.value.retryable) == (Code.SIGNATURE_REFUSED, False)


def test_embedded_content_has_to_have_the_digest(keys: Path) -> None:
    gost = GostEngine.open()
    private = gost.load_key((keys / "ov.key.pem").read_bytes())
    certificate = certificates_of((keys / "ov.crt.pem").read_bytes())[0]
    attached = gost.sign_cms(private, certificate, DATA, detached=False)
    assert gost_cms.verify_digest(gost, attached, _digest(256)).math
    assert not gost_cms.verify_digest(gost, attached, _digest(256, b"x")).math


def test_the_example_digest_of_the_contract_is_that_of_nothing() -> None:
    assert base64.b64encode(_digest(256, b"")).decode() == "P1OaIT6XyALMIp1HTGqjKoJaNgsqkzqUn9klII2c4bs="
