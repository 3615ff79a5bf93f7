"""Bad input at our doors, by HTTP as the gateway sends it: a SOAP fault that names the rule, and nothing kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapter.gateways.shep.messages import MESSAGE_LIMIT, read
from tests.contract.shep_doors import Doors, opened
from tests.contract.shep_samples import ASYNC, NOW, VALID
from tests.contract.shep_samples import envelope as plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


@pytest.fixture
async def doors(kz: KzEngine, shep_keys: Path) -> AsyncIterator[Doors]:
    async with opened(kz, shep_keys) as found:
        yield found


def told(answer: tuple[int, Any]) -> tuple[str, str]:
    """The code and the words of a fault; the code is empty where no operation is known."""
    status, message = answer
    assert status == 500
    assert message.fault is not None
    info = message.fault.info
    return ("", message.fault.faultstring) if info is None else (info.code, info.message)


def pushed(service: str = "Both", change: Callable[[str], str] = str) -> str:
    return change(VALID["pushed"].replace("<serviceId>Svc<", f"<serviceId>{service}<"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(">RESPONSE<", ">REPLY<"), "no such messageType"),
        (lambda text: text.replace(">RESPONSE<", "><"), "no such messageType"),
        (lambda text: text.replace("<messageType>RESPONSE</messageType>", ""), "no such messageType"),
        (lambda text: text.replace("<correlationId>2</correlationId>", ""), "correlationId"),
        (lambda text: text.replace("<correlationId>2<", "<correlationId><"), "correlationId"),
        (lambda text: text.replace("<messageId>1</messageId>", ""), "no id"),
        (lambda text: text.replace("Both", "Nobody's"), "не обслуживается"),
        (lambda text: text.replace("<serviceId>Both</serviceId>", ""), "не обслуживается"),
    ],
)
@pytest.mark.parametrize("service", ["Both", "Open"])
async def test_a_message_that_says_too_little_is_refused_by_name(
    doors: Doors, service: str, change: Callable[[str], str], words: str
) -> None:
    content = pushed(change=change).replace(">Both<", f">{service}<")
    code, said = told(await doors.post("/async", doors.hand("gateway").signed(content)))
    assert code.startswith("ADAPTER-")
    assert words in said
    assert doors.kept.incoming == []


async def test_a_request_of_a_chain_that_begins_here_needs_no_correlation(doors: Doors) -> None:
    content = pushed(
        change=lambda text: text.replace(">RESPONSE<", ">REQUEST<").replace("<correlationId>2<", "<correlationId><")
    )
    status, answer = await doors.post("/async", doors.hand("gateway").signed(content))
    assert (status, answer.fault) == (200, None)


HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><p>proxy</body></html>"
BOMB = b'<!DOCTYPE S [<!ENTITY a "%b"><!ENTITY b "%b">]>' % (b"a" * 100, b"&a;" * 100)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not well-formed"),
        (HTML, "not well-formed"),
        (b"<html/>", "not an envelope"),
        (b'{"json": true}', "not well-formed"),
        (BOMB + plain(VALID["pushed"]).replace(b"<data/>", b"<data>&b;</data>"), "document type"),
        (b'<!DOCTYPE S SYSTEM "http://127.0.0.1:9/x.dtd">' + plain(VALID["pushed"]), "not well-formed"),
        (plain(VALID["pushed"])[:-20], "not well-formed"),
        (plain(VALID["sent-fault"]), "no operation"),
        (plain(VALID["receipt"]), "no operation"),
        (plain(VALID["fetch"]), "no operation"),
        (plain(f'<n:dropTables xmlns:n="{ASYNC}"/>'), "no operation"),
        (plain(VALID["pushed"] * 2), "one element"),
        (plain(""), "one element"),
        (plain("<a>" * 300 + "</a>" * 300), "not well-formed"),
        (plain(VALID["pushed"]).replace(b"<S:Envelope", b'<?xml version="1.0" encoding="x-none"?><S:Envelope'), ""),
        (plain(VALID["pushed"]).decode().encode("utf-16"), None),
        (plain(VALID["pushed"].replace("<data/>", f"<data>{'x' * 11_000_000}</data>")), "not well-formed"),
    ],
    ids=range(17),
)
@pytest.mark.parametrize("path", ["/async", "/sync"])
async def test_what_is_no_message_gets_a_fault(doors: Doors, path: str, raw: bytes, words: str | None) -> None:
    code, said = told(await doors.post(path, raw))
    assert code == "" or words is None
    assert (words or "").lower() in said.lower()
    assert doors.kept.incoming == []


@pytest.mark.parametrize("declared", [True, False])
async def test_more_than_a_message_may_have_is_not_even_read(doors: Doors, declared: bool) -> None:  # noqa: FBT001  — a case
    size = MESSAGE_LIMIT + 1

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // 2**20 + 1):
            yield b" " * 2**20

    data: Any = b" " * size if declared else pieces()
    async with doors.client.post("/async", data=data, headers={"Content-Type": "text/xml"}) as response:
        assert response.status == 500
        _, said = told((500, read(await response.read())))
    assert "over the limit" in said
    assert doors.kept.incoming == []


async def test_large_business_data_are_taken_whole(doors: Doors) -> None:
    content = pushed().replace("<data/>", f"<data><a>{'<b>текст</b>' * 100 + 'текст' * 300_000}</a></data>")
    assert len(content.encode()) > 3_000_000
    status, _ = await doors.post("/async", doors.hand("gateway").signed(content))
    assert status == 200
    assert len(doors.kept.incoming[0].content) > 3_000_000


@pytest.mark.parametrize(
    ("by", "code"),
    [
        ("revoked", "ADAPTER-GATEWAY-SIGNATURE"),
        ("expired", "ADAPTER-GATEWAY-SIGNATURE"),
        ("foreign", "ADAPTER-GATEWAY-SIGNATURE"),
        ("other", "ADAPTER-GATEWAY-SIGNATURE"),
        ("strange-bin", "ADAPTER-GATEWAY-SIGNATURE"),
    ],
)
@pytest.mark.parametrize("service", ["Gateway", "Both"])
async def test_who_is_not_the_gateway_is_not_believed(doors: Doors, service: str, by: str, code: str) -> None:
    assert told(await doors.post("/async", doors.hand(by).signed(pushed(service))))[0] == code
    assert told(await doors.post("/async", plain(pushed(service))))[0] == code
    assert doors.kept.incoming == []


async def test_another_content_type_or_method_does_no_harm(doors: Doors) -> None:
    raw = doors.hand("gateway").signed(pushed())
    for kind in (
        "application/soap+xml",
        "application/json",
        "multipart/related; boundary=x",
        "text/xml; charset=cp1251",
    ):
        status, _ = await doors.post("/async", raw, content_type=kind)
        assert status == 200, kind
    assert len({incoming.key for incoming in doors.kept.incoming}) == 1
    async with doors.client.put("/async", data=raw) as response:
        assert response.status == 405
    async with doors.client.get("/async") as response:
        assert response.status == 404
    async with doors.client.get("/async?file=../../pyproject.toml") as response:
        assert response.status == 404


async def test_elements_that_the_wsdl_does_not_have_are_warned_of(doors: Doors) -> None:
    content = pushed(change=lambda text: text.replace("<serviceId>", "<novelty><a>1</a></novelty><serviceId>"))
    status, _ = await doors.post("/async", doors.hand("gateway").signed(content))
    assert status == 200
    (incoming,) = doors.kept.incoming
    assert incoming.facts["warnings"]
    assert NOW[:10] in incoming.facts["message_date"]


async def test_a_defect_of_ours_is_a_fault_too(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> bool:
        raise ZeroDivisionError("a secret value")

    monkeypatch.setattr(doors.kept, "receive", broken)
    code, said = told(await doors.post("/async", doors.hand("gateway").signed(pushed())))
    assert code == "ADAPTER-INTERNAL"
    assert "secret" not in said
