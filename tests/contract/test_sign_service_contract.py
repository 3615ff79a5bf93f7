"""The reference service against schemas/sign-service.openapi.yaml, over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from adapter.signing import wire
from adapter.signing.certificates import certificates_of
from adapter.signing.gost import GostEngine
from adapter.signing.streebog import BITS
from simulators.keys import make_keys
from simulators.sign_service.app import make_app
from tests.contract.sign_service_stand import BUSINESS, REQUEST, Contract, b64, serving, tokens_of, wrapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


class _Caller:
    """Speaks raw HTTP and holds every answer against the contract."""

    def __init__(self, url: str, session: aiohttp.ClientSession, contract: Contract, tokens: dict[str, str]) -> None:
        self.url, self.session, self.contract, self.tokens = url, session, contract, tokens

    async def post(self, path: str, body: Any, *, key: str | None = "ov", token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self.tokens[key]}"} if key or token else {}
        send = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.url + path, headers=headers, **send) as response:
            answer = await response.json()
            self.contract.answer("post", path, response.status, answer)
            return response.status, answer

    async def get(self, path: str, *, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.get(self.url + path, headers=headers) as response:
            answer = await response.json()
            self.contract.answer("get", path, response.status, answer)
            return response.status, answer


@pytest.fixture
async def caller(keys: Path, contract: Contract) -> AsyncIterator[_Caller]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with serving(make_app(keys)) as url, aiohttp.ClientSession(timeout=timeout) as session:
        yield _Caller(url, session, contract, tokens_of(keys))


def _sign(*items: dict[str, str]) -> dict[str, Any]:
    return {"items": list(items)}


def _item(key: str, content: bytes, kind: str = "smev3-xml") -> dict[str, str]:
    return {"kind": kind, "key": key, "content": b64(content)}


def _error(answer: Any) -> tuple[int, str]:
    return answer["error"]["status"], answer["error"]["code"]


def test_the_contract_is_valid_openapi(contract: Contract) -> None:
    from openapi_spec_validator import validate  # noqa: PLC0415  — the contract fixture skips where it is absent

    validate(contract.document)


def _examples(node: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if "schema" in node:
            if "example" in node:
                yield f"{pointer}/schema", node["example"]
            for example in node.get("examples", {}).values():
                yield f"{pointer}/schema", example["value"]
        for name, child in node.items():
            yield from _examples(child, f"{pointer}/{name.replace('/', '~1')}")


def test_every_example_fits_its_schema(contract: Contract) -> None:
    examples = list(_examples(contract.document))
    assert len(examples) >= 10
    for pointer, example in examples:
        contract.check(pointer, example)


def test_the_contract_and_the_code_name_the_same_refusals_and_bounds(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]
    assert set(schemas["DigestAlgorithm"]["enum"]) == set(BITS)
    assert schemas["SignDigestRequest"]["properties"]["items"]["maxItems"] == wire.MAX_ITEMS
    table = schemas["Error"]["properties"]["code"]["description"]
    rows = {tuple(cell.strip() for cell in row.split("|")[1:3]) for row in table.splitlines()[2:]}
    assert rows == {(refusal.code, str(refusal.status)) for refusal in wire.Refusal}
    assert schemas["SignRequest"]["properties"]["items"]["maxItems"] == wire.MAX_ITEMS
    assert schemas["VerifyRequest"]["properties"]["items"]["maxItems"] == wire.MAX_ITEMS


def test_what_the_client_sends_fits_the_contract(contract: Contract) -> None:
    sign = wire.SignRequest(items=[wire.SignItem(kind="cms", key="ov", content=b"\xff\x00data?>")])
    contract.request("/v1/sign", sign.model_dump(mode="json", exclude_none=True))
    items = [
        wire.VerifyXmlItem(kind="smev3-xml", content=b"<a/>"),
        wire.VerifyCmsItem(kind="cms", content=b"", data=b""),
    ]
    for trust in (None, [b"anchor"]):
        verify = wire.VerifyRequest(items=items, trust=trust)
        contract.request("/v1/verify", verify.model_dump(mode="json", exclude_none=True))


async def test_good_and_bad_items_of_one_call_are_answered_each_by_itself(caller: _Caller) -> None:
    status, answer = await caller.post(
        "/v1/sign",
        _sign(
            _item("ov", REQUEST),
            _item("nobody", REQUEST),
            _item("sp", BUSINESS),
            _item("ov", BUSINESS),
            _item("ov", b"<a>"),
            _item("ov", b'<!DOCTYPE a [<!ENTITY e "e">]><a>&e;</a>'),
            _item("ov", b"attachment", "cms"),
            _item("ov", b"parameters", "bare"),
        ),
    )
    assert status == 200
    codes = [_error(item) if "error" in item else "signed" for item in answer["items"]]
    assert codes == [
        "signed",
        (404, "UNKNOWN_KEY"),
        (403, "KEY_FORBIDDEN"),
        (403, "NOT_ALLOWED"),
        (422, "NOT_XML"),
        (422, "NOT_XML"),
        "signed",
        "signed",
    ]


async def test_an_official_signs_business_content_and_no_envelope(caller: _Caller) -> None:
    _, answer = await caller.post("/v1/sign", _sign(_item("sp", BUSINESS), _item("sp", REQUEST)), key="sp")
    signed, refused = answer["items"]
    assert "signature" in signed
    assert _error(refused) == (403, "NOT_ALLOWED")


async def test_a_business_root_named_like_an_envelope_is_no_envelope(caller: _Caller) -> None:
    disguised = b'<SenderProvidedRequestData xmlns="urn:test:business" Id="A"/>'
    _, answer = await caller.post("/v1/sign", _sign(_item("ov", disguised)))
    assert _error(answer["items"][0]) == (403, "NOT_ALLOWED")


@pytest.mark.parametrize("token", [None, "wrong", "", "тест", "\udcff"])
@pytest.mark.parametrize("path", ["/v1/sign", "/v1/verify"])
async def test_a_wrong_token_is_refused(caller: _Caller, path: str, token: str | None) -> None:
    status, answer = await caller.post(path, {"items": []}, key=None, token=token)
    assert (status, _error(answer)) == (401, (401, "UNAUTHORIZED"))


async def test_listing_needs_a_token_and_health_does_not(caller: _Caller, keys: Path) -> None:
    assert (await caller.get("/v1/certificates"))[0] == 401
    assert await caller.get("/healthz") == (200, {"status": "ok"})
    status, answer = await caller.get("/v1/certificates", token=tokens_of(keys)["sp"])
    assert status == 200
    assert {entry["name"]: entry["bits"] for entry in answer["keys"]} == {"ov": 256, "sp": 256, "ov512": 512}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"items": []}',
        b'{"items": [{"kind": "smev3-xml", "key": "ov"}]}',
        b'{"items": [{"kind": "rsa", "key": "ov", "content": ""}]}',
        b'{"items": [{"kind": "cms", "key": "ov", "content": "no base64!"}]}',
        b'{"items": [{"kind": "cms", "key": "ov", "content": "AA==", "more": 1}]}',
        b"[" * 100_000,
        b'{"items": [' + b",".join([b'{"kind": "cms", "key": "ov", "content": ""}'] * 101) + b"]}",
    ],
)
async def test_a_request_that_breaks_the_contract_is_refused_whole(caller: _Caller, body: bytes) -> None:
    status, answer = await caller.post("/v1/sign", body)
    assert (status, _error(answer)) == (400, (400, "MALFORMED_REQUEST"))
    assert "base64!" not in answer["error"]["message"]


async def test_items_and_calls_that_are_too_large_are_refused(caller: _Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.sign_service.work.MAX_CONTENT", 1000)
    _, answer = await caller.post("/v1/sign", _sign(_item("ov", b"x" * 1001, "cms"), _item("ov", b"x" * 1000, "cms")))
    assert _error(answer["items"][0]) == (413, "TOO_LARGE")
    assert "signature" in answer["items"][1]
    status, answer = await caller.post("/v1/sign", b" " * (wire.MAX_BODY + 1))
    assert (status, _error(answer)) == (413, (413, "TOO_LARGE"))


async def test_more_calls_than_there_are_places_are_told_to_come_back(
    caller: _Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.sign_service.app._MAX_CALLS", 0)
    status, answer = await caller.post("/v1/sign", _sign(_item("ov", REQUEST)))
    assert (status, _error(answer)) == (503, (503, "OVERLOADED"))


async def test_a_failure_inside_says_nothing_of_itself(caller: _Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> bytes:
        raise RuntimeError("secret content")

    monkeypatch.setattr("simulators.sign_service.work.sign_element", fail)
    status, answer = await caller.post("/v1/sign", _sign(_item("ov", REQUEST)))
    assert (status, _error(answer)) == (500, (500, "INTERNAL"))
    assert "secret" not in str(answer)


async def test_paths_and_methods_outside_the_contract_are_refused_in_its_form(caller: _Caller) -> None:
    for method, path, status in (("GET", "/v2", 404), ("GET", "/v1/sign", 405), ("POST", "/healthz", 405)):
        async with caller.session.request(method, caller.url + path) as response:
            answer = await response.json()
        assert (response.status, _error(answer)[0]) == (status, status)


async def test_verification_keeps_its_verdicts_apart(caller: _Caller, keys: Path) -> None:
    _, signed = await caller.post("/v1/sign", _sign(_item("ov", REQUEST)))
    message = wrapped(REQUEST, wire.SignAnswer.model_validate(signed).items[0].signature or b"")
    gost = GostEngine.open()
    foreign = gost.load_key((keys / "expired.key.pem").read_bytes())
    certificate = certificates_of((keys / "expired.crt.pem").read_bytes())[0]
    attachment = gost.sign_cms(foreign, certificate, b"data")
    items = [
        {"kind": "smev3-xml", "content": b64(message)},
        {"kind": "smev3-xml", "content": b64(message.replace(b"db0486d0", b"db0486d1"))},
        {"kind": "smev3-xml", "content": b64(b"<a/>")},
        {"kind": "smev3-xml", "content": b64(b"<a>")},
        {"kind": "cms", "content": b64(attachment), "data": b64(b"data")},
        {"kind": "cms", "content": b64(b"junk"), "data": b64(b"data")},
    ]
    _, answer = await caller.post("/v1/verify", {"items": items})
    seen = [
        item["error"]["code"]
        if "error" in item
        else [(verdict["math"], verdict["trust"], verdict["period"]) for verdict in item["verdicts"]]
        for item in answer["items"]
    ]
    assert seen == [
        [(True, "trusted", "valid")],
        [(False, "trusted", "valid")],
        [],
        "NOT_XML",
        [(True, "trusted", "expired")],
        [(False, "unchecked", "unchecked")],
    ]


async def test_the_calls_own_anchors_replace_the_services(caller: _Caller, keys: Path) -> None:
    stranger = certificates_of((keys / "stranger.crt.pem").read_bytes())[0]
    _, signed = await caller.post("/v1/sign", _sign(_item("ov", b"data", "cms")))
    item = {"kind": "cms", "content": signed["items"][0]["signature"], "data": b64(b"data")}
    for trust, verdict in (([b64(stranger)], "untrusted"), ([], "unchecked")):
        _, answer = await caller.post("/v1/verify", {"items": [item], "trust": trust})
        assert answer["items"][0]["verdicts"][0]["trust"] == verdict
    status, answer = await caller.post("/v1/verify", {"items": [item], "trust": [b64(b"junk")]})
    assert (status, _error(answer)) == (400, (400, "MALFORMED_REQUEST"))
