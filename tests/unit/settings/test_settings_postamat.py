"""The variables of постаматы: two modes, tokens that never show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.errors import ConfigurationError
from adapter.settings import describe, load

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.settings import Settings
    from deploy.local.certificates import Certificates

ACTIONS = {"postamat.issue": "postamat"}
LONG = "0123456789abcdef"


def read(**changes: str) -> Settings:
    environment = {
        "MQ_HOST": "mq.example.org",
        "MQ_TLS": "off",
        "MQ_USER": "adapter",
        "MQ_PASSWORD": "password-of-mq",
        "DATABASE_HOST": "db.example.org",
        "DATABASE_NAME": "adapter",
        "DATABASE_USER": "adapter",
        "SERVICES": "postamat.*",
    }
    return load(environment | changes, ACTIONS)


def faults(**changes: str) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read(**changes)
    return caught.value.faults


def said(settings: Settings) -> list[str]:
    return [warning for warning in settings.warnings if "POSTAMAT" in warning]


def test_portal_mode_is_the_default_and_needs_a_token() -> None:
    assert list(faults()) == ["POSTAMAT_TOKEN"]
    settings = read(POSTAMAT_TOKEN=LONG)
    assert settings.postamat is not None
    assert (settings.postamat.mode, settings.postamat.window, settings.postamat.storage_days) == ("portal", 300, 14)
    assert settings.postamat.ssl_context() is None
    assert said(settings) == []


def test_client_mode_needs_an_address_and_a_token() -> None:
    assert list(faults(POSTAMAT_MODE="client")) == ["POSTAMAT_URL", "POSTAMAT_TOKEN"]
    settings = read(POSTAMAT_MODE="client", POSTAMAT_URL="https://portal.example.org", POSTAMAT_TOKEN="12345")
    assert settings.postamat is not None
    assert settings.postamat.ssl_context() is not None
    assert said(settings) == []


def test_lockers_may_have_tokens_of_their_own_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"1233={LONG}\n\n77 = {LONG}=x\n", encoding="utf-8")
    settings = read(POSTAMAT_LOCKER_TOKENS=f"file:{file}")
    assert settings.postamat is not None
    assert settings.postamat.locker_tokens == {"1233": LONG, "77": f"{LONG}=x"}
    assert {LONG, f"{LONG}=x"} <= set(settings.secrets)
    assert read(POSTAMAT_LOCKER_TOKENS=f"1233={LONG}, 77={LONG}").postamat.locker_tokens == {"1233": LONG, "77": LONG}


@pytest.mark.parametrize(
    "text", ["1233", "1233=", "x=secret-canary", "1=secret-canary,1=secret-canary", ",", "file:/no/such/file"]
)
def test_tokens_that_cannot_be_read_are_refused_without_being_shown(text: str) -> None:
    found = faults(POSTAMAT_LOCKER_TOKENS=text)
    assert list(found) == ["POSTAMAT_LOCKER_TOKENS"]
    assert "canary" not in str(found)


def test_tokens_of_lockers_are_not_for_an_external_portal() -> None:
    found = faults(
        POSTAMAT_MODE="client",
        POSTAMAT_URL="https://portal.example.org",
        POSTAMAT_TOKEN=LONG,
        POSTAMAT_LOCKER_TOKENS=f"1={LONG}",
    )
    assert list(found) == ["POSTAMAT_LOCKER_TOKENS"]


def test_an_authority_is_for_https(pki: dict[str, str]) -> None:
    client = {"POSTAMAT_MODE": "client", "POSTAMAT_TOKEN": LONG, "POSTAMAT_CA": pki["ca"]}
    assert list(faults(POSTAMAT_URL="http://portal.example.org", **client)) == ["POSTAMAT_URL"]
    assert read(POSTAMAT_URL="https://portal.example.org", **client).postamat is not None


def test_what_is_dangerous_is_said_at_start() -> None:
    (warning,) = said(read(POSTAMAT_TOKEN="12345"))
    assert "POSTAMAT_TOKEN" in warning
    assert "12345" not in warning
    (warning,) = said(read(POSTAMAT_LOCKER_TOKENS="1=12345"))
    assert "POSTAMAT_LOCKER_TOKENS" in warning
    (warning,) = said(read(POSTAMAT_MODE="client", POSTAMAT_URL="http://portal.example.org", POSTAMAT_TOKEN="12345"))
    assert "POSTAMAT_URL" in warning


def test_the_window_may_be_switched_off() -> None:
    settings = read(POSTAMAT_TOKEN=LONG, POSTAMAT_CHECK_TIMESTAMP="off")
    assert settings.postamat is not None
    assert settings.postamat.window is None


def test_no_token_is_shown() -> None:
    settings = read(POSTAMAT_TOKEN="canary-0123456789", POSTAMAT_LOCKER_TOKENS="1=canary-0123456789")
    for text in (describe(settings), repr(settings)):
        assert "canary" not in text


def test_nothing_of_it_is_read_where_no_locker_is_served() -> None:
    settings = load(
        {
            "MQ_HOST": "mq",
            "MQ_TLS": "off",
            "MQ_USER": "u",
            "MQ_PASSWORD": "p",
            "DATABASE_HOST": "db",
            "DATABASE_NAME": "a",
            "DATABASE_USER": "a",
            "SERVICES": "echo",
            "POSTAMAT_MODE": "nonsense",
        },
        {"echo": "none", **ACTIONS},
    )
    assert settings.postamat is None


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, ("127.0.0.1", 8083)),
        ({"POSTAMAT_LISTEN": "[::1]:9000"}, ("::1", 9000)),
        ({"POSTAMAT_LISTEN": "Off"}, None),
    ],
)
def test_lockers_are_served_on_loopback_unless_told_otherwise(
    given: dict[str, str], place: tuple[str, int] | None
) -> None:
    settings = read(POSTAMAT_TOKEN=LONG, **given)
    assert settings.postamat is not None
    assert settings.postamat.listen == place
    assert settings.postamat.listener_context() is None
    assert said(settings) == []


@pytest.mark.parametrize("place", ["8083", "host", "host:0", "host:65536", "http://host:1", ":8083", "host:1:2"])
def test_a_place_to_listen_is_a_host_and_a_port(place: str) -> None:
    assert list(faults(POSTAMAT_TOKEN=LONG, POSTAMAT_LISTEN=place)) == ["POSTAMAT_LISTEN"]


def test_plain_http_beyond_this_machine_is_said_and_tls_is_taken_whole(certificates: Certificates) -> None:
    (caution,) = said(read(POSTAMAT_TOKEN=LONG, POSTAMAT_LISTEN="0.0.0.0:8083"))
    assert "plain http" in caution
    pair = certificates.server
    tls = {"POSTAMAT_TLS_CERT": str(pair.certificate), "POSTAMAT_TLS_KEY": str(pair.key)}
    settings = read(POSTAMAT_TOKEN=LONG, POSTAMAT_LISTEN="lockers.example.org:8443", **tls)
    assert said(settings) == []
    assert settings.postamat is not None
    assert settings.postamat.listener_context() is not None
    del tls["POSTAMAT_TLS_KEY"]
    assert list(faults(POSTAMAT_TOKEN=LONG, **tls)) == ["POSTAMAT_TLS_KEY"]
