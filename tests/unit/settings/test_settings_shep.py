"""What the variables of the ШЭП must fulfil together."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from adapter.errors import ConfigurationError
from adapter.settings import load
from deploy.local.certificates import Certificates

SAMPLE = Path(__file__).parents[3] / "deploy" / "local" / "shep-services.toml"
ACTIONS = {"shep.sync.send": "shep", "zhkh-debt-requests": "smev3"}


@pytest.fixture
def shep(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "key.p12").write_bytes(b"a key")
    return {
        "MQ_HOST": "mq.example.org",
        "MQ_TLS": "off",
        "MQ_USER": "adapter",
        "MQ_PASSWORD": "password-of-mq",
        "DATABASE_HOST": "db.example.org",
        "DATABASE_NAME": "adapter",
        "DATABASE_USER": "adapter",
        "SERVICES": "shep.sync.send",
        "SIGN_SERVICE": "http://127.0.0.1:1",
        "SHEP_SERVICES_FILE": str(SAMPLE),
        "SHEP_SYNC_URL": "http://127.0.0.1:2/sync",
        "SHEP_ASYNC_URL": "http://127.0.0.1:2/async",
        "SHEP_SENDER_ID": "adapter",
        "SHEP_PASSWORD": "password-of-shep",
        "SHEP_SIGN_TOKEN": "a-token",
    }


def faults(environment: dict[str, str]) -> set[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(environment, ACTIONS)
    return set(caught.value.faults)


def test_the_smallest_environment_of_the_gateway_is_taken(shep: dict[str, str]) -> None:
    settings = load(shep, ACTIONS)
    assert settings.shep is not None
    assert (settings.shep.backend, settings.shep.listen, settings.shep.sync_timeout) == ("contract", None, 65)
    assert settings.shep.tokens == {"shep": "a-token"}
    assert "password-of-shep" in settings.secrets
    assert "password-of-shep" not in repr(settings)


def test_everything_that_is_missing_is_told_at_once(shep: dict[str, str]) -> None:
    left = {name: text for name, text in shep.items() if not name.startswith("SHEP_")} | {"SHEP_LISTEN": "0.0.0.0:1"}
    assert faults(left) >= {
        "SHEP_SERVICES_FILE",
        "SHEP_SYNC_URL",
        "SHEP_ASYNC_URL",
        "SHEP_SENDER_ID",
        "SHEP_PASSWORD",
        "SHEP_SIGN_TOKEN",
        "SHEP_PUBLIC_URL",
    }


def test_a_service_of_the_other_contour_needs_its_address(shep: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    text = SAMPLE.read_text("utf-8").replace('key = "SyncEcho"', 'key = "SyncEcho"\ncontour = "ВШЭП"', 1)
    path.write_text(text.replace("123456789021", "123456789022"), encoding="utf-8")
    wrong = faults(shep | {"SHEP_SERVICES_FILE": str(path), "SHEP_BIN": "123456789021"})
    assert wrong == {"VSHEP_SYNC_URL", "SHEP_BIN"}


def test_keys_are_for_ncanode_and_a_token_is_for_the_contract(shep: dict[str, str], tmp_path: Path) -> None:
    assert faults(shep | {"SHEP_SIGN_BACKEND": "ncanode"}) == {"SHEP_NCANODE_P12"}
    del shep["SHEP_SIGN_TOKEN"]
    assert faults(shep) == {"SHEP_SIGN_TOKEN"}
    key = {"SHEP_NCANODE_P12": str(tmp_path / "key.p12"), "SHEP_NCANODE_PASSWORD": "of-the-key"}
    settings = load(shep | {"SHEP_SIGN_BACKEND": "ncanode"} | key, ACTIONS)
    assert settings.shep is not None
    assert settings.shep.system_p12 == b"a key"
    both = faults(shep | {"SHEP_SIGN_BACKEND": "ncanode", "SERVICES": "*"} | key)
    assert "SHEP_SIGN_BACKEND" in both


def test_the_listener_has_tls_and_networks(shep: dict[str, str], tmp_path: Path) -> None:
    pair, authority = Certificates(tmp_path).server, Certificates(tmp_path).ca
    listening = shep | {"SHEP_LISTEN": "0.0.0.0:8084", "SHEP_PUBLIC_URL": "https://adapter.example.org"}
    plain = load(listening, ACTIONS)
    assert plain.shep is not None
    assert plain.shep.listener_context() is None
    assert any("SHEP_LISTEN is plain http" in warning for warning in plain.warnings)
    keys = {"SHEP_LISTEN_CERT": str(pair.certificate), "SHEP_LISTEN_KEY": str(pair.key)}
    more = {"SHEP_LISTEN_CLIENT_CA": str(authority), "SHEP_LISTEN_NETWORKS": "10.1.0.0/16, ::1"}
    settings = load(listening | keys | more, ACTIONS)
    assert settings.shep is not None
    context = settings.shep.listener_context()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [str(network) for network in settings.shep.networks or ()] == ["10.1.0.0/16", "::1/128"]
    assert not any("SHEP_LISTEN" in warning for warning in settings.warnings)
    assert faults(listening | {"SHEP_LISTEN_CLIENT_CA": str(authority)}) == {"SHEP_LISTEN_CLIENT_CA"}
    assert "SHEP_LISTEN_KEY" in faults(listening | {"SHEP_LISTEN_CERT": str(pair.certificate)})
    assert faults(listening | {"SHEP_LISTEN_NETWORKS": "10.1.0.0/33"}) == {"SHEP_LISTEN_NETWORKS"}


def test_services_without_signatures_beyond_this_machine_are_warned_of(shep: dict[str, str], tmp_path: Path) -> None:
    registry = tmp_path / "services.toml"
    row = '\n[[services]]\nkey = "Open"\nsystem = "adapter"\nname = "О"\nmode = "Синхронный"\nsecurity = 0\n'
    registry.write_text(SAMPLE.read_text("utf-8") + row, encoding="utf-8")
    listening = shep | {"SHEP_LISTEN": "0.0.0.0:1", "SHEP_PUBLIC_URL": "http://a", "SHEP_SERVICES_FILE": str(registry)}
    assert any("level 0" in warning for warning in load(listening, ACTIONS).warnings)
    guarded = load(listening | {"SHEP_LISTEN_NETWORKS": "10.0.0.0/8"}, ACTIONS)
    assert not any("level 0" in warning for warning in guarded.warnings)


def test_services_with_encryption_need_a_certificate_and_a_token(shep: dict[str, str], tmp_path: Path) -> None:
    registry = tmp_path / "services.toml"
    row = '\n[[services]]\nkey = "Sealed"\nsystem = "adapter"\nname = "Ш"\nmode = "Синхронный"\nencryption = 1\n'
    registry.write_text(SAMPLE.read_text("utf-8") + row, encoding="utf-8")
    sealed = shep | {"SHEP_SERVICES_FILE": str(registry)}
    assert faults(sealed) == {"SHEP_CIPHER_CERT", "SHEP_CIPHER_TOKEN"}
    more = {"SHEP_CIPHER_CERT": str(Certificates(tmp_path).ca), "SHEP_CIPHER_TOKEN": "another-token"}
    assert faults(sealed | more) == {"SHEP_CIPHER_CERT"}  # which is of an elliptic curve
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    (tmp_path / "rsa.pem").write_bytes(authority.cert_pem.bytes())
    more["SHEP_CIPHER_CERT"] = str(tmp_path / "rsa.pem")
    settings = load(sealed | more, ACTIONS)
    assert settings.shep is not None
    assert settings.shep.tokens["shep-cipher"] == "another-token"
    assert "another-token" in settings.secrets
    registry.write_text(SAMPLE.read_text("utf-8") + row + "security = 1\n", encoding="utf-8")
    assert faults(sealed | more) == {"SHEP_SERVICES_FILE"}
