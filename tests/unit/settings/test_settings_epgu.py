"""The variables of ЕПГУ and ЕСИА: what is needed, what follows from what, what stays secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapter.errors import ConfigurationError
from adapter.settings import describe, load

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.settings import Settings

ACTIONS = {"epgu.order.submit": "epgu", "epgu.order.get": "epgu"}
GUID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return {
        "SERVICES": "epgu.*",
        "MQ_HOST": "mq",
        "MQ_TLS": "off",
        "MQ_USER": "u",
        "MQ_PASSWORD": "p",
        "DATABASE_HOST": "db",
        "DATABASE_NAME": "adapter",
        "DATABASE_USER": "adapter",
        "SIGN_SERVICE": "https://sign.example.org",
        "SIGN_TOKEN_OV": "token-of-ov",
        "FILES_ROOT": str(tmp_path),
        "ESIA_API_KEYS": f"head={GUID}",
    }


def read(base: dict[str, str], **more: str) -> Settings:
    return load(base | more, ACTIONS)


def faults(base: dict[str, str], **more: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read(base, **more)
    return list(raised.value.faults)


def test_little_is_needed_and_the_rest_is_that_of_the_seed(base: dict[str, str]) -> None:
    epgu: Any = read(base).epgu
    assert (epgu.environment, epgu.profile, epgu.url, epgu.limit_minute, epgu.limit_orders) == (
        "SVCDEV",
        "1.12",
        None,
        2000,
        20,
    )
    assert dict(epgu.api_keys) == {"head": (GUID, "")}
    assert epgu.ssl_context() is None
    assert read(base).smev is None


def test_someone_s_token_has_to_be_had(base: dict[str, str]) -> None:
    assert faults(base, ESIA_API_KEYS="") == ["ESIA_API_KEYS"]
    assert read(base, ESIA_API_KEYS="", EPGU_SYSTEM="AAA1").epgu is not None


def test_archives_need_a_folder(base: dict[str, str]) -> None:
    assert faults(base, FILES_ROOT="") == ["FILES_ROOT"]


def test_keys_are_read_from_a_file_with_their_signing_keys(base: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"head={GUID}\nbranch = {GUID}/ov512\n")
    epgu: Any = read(base, ESIA_API_KEYS=f"file:{file}").epgu
    assert dict(epgu.api_keys) == {"head": (GUID, ""), "branch": (GUID, "ov512")}


@pytest.mark.parametrize("text", ["head", f"{GUID}", f"a={GUID},a={GUID}", "a=short", f"a b={GUID}", ","])
def test_keys_of_another_form_are_refused_without_showing_them(base: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(base, ESIA_API_KEYS=text)
    assert GUID not in str(raised.value)


def test_limits_of_services_are_numbers_by_code(base: dict[str, str]) -> None:
    epgu: Any = read(base, EPGU_LIMIT_SERVICES="10000000588=100, 60010153=5").epgu
    assert epgu.limit_services == {"10000000588": 100, "60010153": 5}
    assert faults(base, EPGU_LIMIT_SERVICES="гостиницы=5") == ["EPGU_LIMIT_SERVICES"]


def test_secrets_are_masked_and_known_to_the_logs(base: dict[str, str]) -> None:
    settings = read(base)
    assert GUID in settings.secrets
    assert GUID not in describe(settings)


def test_what_travels_in_the_clear_is_said(base: dict[str, str]) -> None:
    settings = read(base, EPGU_URL="http://proxy.example.org", ESIA_URL="http://esia.example.org")
    assert sum("EPGU_URL" in warning or "ESIA_URL" in warning for warning in settings.warnings) == 2
    assert not any("EPGU_URL" in warning for warning in read(base, EPGU_URL="http://127.0.0.1:8080").warnings)
