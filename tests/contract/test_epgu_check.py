"""What ``adapter check`` says of ЕПГУ: it tells a wrong channel from a network fault, and both from a bad key."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web

from adapter.epgu_check import look
from adapter.recovery.environment import _read_group
from adapter.settings import Epgu, Settings, Signing
from tests.contract.epgu_caller import BLOCKED, HEAD
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.epgu_stand import Parts

pytest_plugins = ("tests.contract.epgu_fixtures", "tests.contract.epgu_gateway_fixtures")


@pytest.fixture
def variables(parts: Parts, sign_service: str, keys: Path) -> dict[str, str]:
    tokens = json.loads((keys / "tokens.json").read_text(encoding="utf-8"))
    return {
        "EPGU_URL": parts.url,
        "ESIA_URL": parts.url,
        "ESIA_API_KEYS": f"head={HEAD}",
        "SIGN_SERVICE": sign_service,
        "SIGN_TOKEN_OV": tokens["ov"],
        "SIGN_TOKEN_SP": tokens["sp"],
    }


def settings(variables: dict[str, str], **more: str) -> Settings:
    given = variables | more
    signing: dict[str, Any] = _read_group(given, "signing")
    names = {"url", "key_ov", "key_sp", "personal", "timeout", "ca"} & set(signing)
    made: Any = SimpleNamespace(
        **{name: signing[name] for name in names}, tokens={"ov": given["SIGN_TOKEN_OV"]}, ssl_context=lambda: None
    )
    assert isinstance(made.url, str)
    epgu = Epgu(**_read_group(given, "epgu"))
    return cast("Settings", SimpleNamespace(epgu=epgu, signing=cast("Signing", made)))


async def test_what_answers_is_told_with_the_keys_that_were_taken(parts: Parts, variables: dict[str, str]) -> None:
    told = await look(settings(variables))
    assert told == f"{parts.url} answers, profile 1.12; keys taken: head"
    lines = await parts.world.admin("GET", "ledger")
    assert [line["operation"] for line in lines] == ["dictionary", "token", "updated-after"]


async def test_a_wrong_channel_is_told_from_a_network_fault(parts: Parts, variables: dict[str, str]) -> None:
    await parts.world.set(hosts=["www.gosuslugi.ru"])
    with pytest.raises(LookupError, match=r"access_denied_system.*ГОСТ TLS"):
        await look(settings(variables))
    told = await look(settings(variables, EPGU_HOST="www.gosuslugi.ru"))
    assert "as www.gosuslugi.ru answers" in told
    async with serving(web.Application()) as gone:
        pass
    with pytest.raises(LookupError, match="ЕПГУ: network fault: cannot be reached"):
        await look(settings(variables, EPGU_URL=gone))
    with pytest.raises(LookupError, match="key head: ЕСИА: network fault"):
        await look(settings(variables, ESIA_URL=gone))


async def test_a_key_that_esia_refuses_is_named(variables: dict[str, str]) -> None:
    with pytest.raises(LookupError, match=r"key old: ЕСИА: ESIA-007005"):
        await look(settings(variables, ESIA_API_KEYS=f"head={HEAD},old={BLOCKED}"))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"operation": "updated-after", "refuse": "access_denied_system"}, "access_denied_system"),
        ({"operation": "updated-after", "status": 503}, "network fault: cannot be reached (HTTP 503)"),
        ({"operation": "dictionary", "drop": "after"}, "network fault: cannot be reached (ServerDisconnectedError)"),
        ({"operation": "dictionary", "body": "html"}, "ADAPTER-GATEWAY-PROTOCOL"),
    ],
)
async def test_every_bad_answer_is_told(
    parts: Parts, variables: dict[str, str], rule: dict[str, Any], said: str
) -> None:
    await parts.world.scenario(**rule)
    with pytest.raises(LookupError) as raised:
        await look(settings(variables))
    assert said in str(raised.value)


async def test_where_it_is_not_needed_nobody_is_asked() -> None:
    assert "not needed" in await look(cast("Settings", SimpleNamespace(epgu=None, signing=None)))
