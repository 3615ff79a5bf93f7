"""The configuration of the console: tokens with roles, and nothing of what gateways need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.errors import ConfigurationError
from adapter.settings import ConsoleSettings, load_console

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {
    "MQ_HOST": "mq.example.org",
    "MQ_TLS": "off",
    "MQ_USER": "console",
    "MQ_PASSWORD": "secret",
    "DATABASE_HOST": "db.example.org",
    "DATABASE_NAME": "adapter",
    "DATABASE_USER": "console",
    "CONSOLE_TOKENS": "olga:reveal+replay=0123456789abcdef,viktor=fedcba9876543210",
}
ACTIONS = {"zhkh-debt-requests": "smev3"}


def settings(**changes: str) -> ConsoleSettings:
    return load_console(ENVIRONMENT | changes, ACTIONS)


def refused(**changes: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings(**changes)
    return str(caught.value)


def test_a_console_needs_no_variable_of_a_gateway_and_listens_on_loopback() -> None:
    made = settings()
    assert made.console.listen == ("127.0.0.1", 8086)
    assert made.actions == ("zhkh-debt-requests",)
    assert made.workers == ("http://127.0.0.1:8080",)
    assert made.warnings == ()


def test_every_holder_may_view_and_has_the_roles_that_stand_behind_the_name() -> None:
    tokens = settings().console.tokens
    assert tokens["olga"] == ("0123456789abcdef", {"view", "reveal", "replay"})
    assert tokens["viktor"] == ("fedcba9876543210", {"view"})


def test_tokens_come_from_a_file_with_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# who may\nolga:view+replay=0123456789abcdef\n\nviktor=fedcba9876543210\n")
    assert set(settings(CONSOLE_TOKENS=f"file:{file}").console.tokens) == {"olga", "viktor"}


@pytest.mark.parametrize(
    "tokens",
    [
        "olga=short",
        "olga:admin=0123456789abcdef",
        "olga",
        "=0123456789abcdef",
        "olga=0123456789abcdef,viktor=0123456789abcdef",
        "olga=0123456789abcdef,olga=fedcba9876543210",
        "olga=0123456789 abcdef",
        ",",
    ],
    ids=["short", "role", "bare", "nobody", "same token", "same name", "blank", "none"],
)
def test_tokens_that_let_in_the_wrong_people_are_refused(tokens: str) -> None:
    said = refused(CONSOLE_TOKENS=tokens)
    assert "CONSOLE_TOKENS" in said
    assert "0123456789" not in said


def test_tokens_never_show_in_a_repr_and_are_secrets_of_the_log() -> None:
    made = settings()
    assert "0123456789abcdef" not in repr(made)
    assert {"0123456789abcdef", "fedcba9876543210"} <= set(made.secrets)


def test_plain_http_beyond_this_machine_is_said_loudly() -> None:
    (warning,) = settings(CONSOLE_LISTEN="0.0.0.0:8086").warnings
    assert "CONSOLE_LISTEN" in warning


def test_a_certificate_without_its_key_is_refused(pki: dict[str, str]) -> None:
    assert "CONSOLE_TLS_KEY" in refused(CONSOLE_TLS_CERT=pki["certificate"])
    assert (
        settings(CONSOLE_TLS_CERT=pki["certificate"], CONSOLE_TLS_KEY=pki["key"]).console.listener_context() is not None
    )


def test_no_health_listener_means_no_worker_to_ask() -> None:
    assert settings(HEALTH_PORT="0").workers == ()
    assert settings(CONSOLE_WORKERS="http://10.0.0.1:8080/,http://10.0.0.2:8080").workers == (
        "http://10.0.0.1:8080",
        "http://10.0.0.2:8080",
    )
