"""Certificates and keys: paths and texts, refused when they do not fit, never left on the disk."""

from __future__ import annotations

import ssl
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from adapter.settings.cautions import cautions
from adapter.settings.checks import CHECKS
from adapter.settings.pem import Pem, anchors, certificates, client_context, private_key
from adapter.settings.values import WrongValueError


def faults_of(names: tuple[str, ...], *values: object) -> list[tuple[str, str]]:
    return [fault for checked, check in CHECKS if checked == names for fault in check(*values)]


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Shake hands in memory until both sides are content."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="mq.example.org"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mq.example.org").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("form", ["path", "text", "literal"])
def test_every_form_of_pem_makes_a_mutual_handshake(authority: trustme.CA, pki: dict[str, str], form: str) -> None:
    def given(path: str) -> str:
        text = Path(path).read_text()
        return {"path": path, "text": text, "literal": text.replace("\n", "\\n")}[form]

    certificate, key = certificates(given(pki["certificate"])), private_key(given(pki["key"]))
    context = client_context(certificates(given(pki["ca"])), certificate, key)
    handshake(context, server_context(authority))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_server_of_another_authority_is_refused(pki: dict[str, str]) -> None:
    context = client_context(certificates(pki["ca"]), certificates(pki["certificate"]), private_key(pki["key"]))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, server_context(trustme.CA()))


def test_pem_text_lies_in_a_private_file_only_while_it_is_lent(
    pki: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_key(Path(pki["key"]).read_text()).as_file() as name:
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
        assert "PRIVATE KEY" in Path(name).read_text()
    assert not Path(name).exists()
    assert not list(tmp_path.iterdir())


def test_a_lent_file_goes_away_when_its_use_fails(pki: dict[str, str]) -> None:
    def refuse() -> str:
        with private_key(Path(pki["key"]).read_text()).as_file() as name:
            kept.append(name)
            raise ssl.SSLError(1, "refused")

    kept: list[str] = []
    with pytest.raises(ssl.SSLError):
        refuse()
    assert not Path(kept[0]).exists()


def test_a_renewed_file_serves_the_next_connection(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    old, new = trustme.CA(), trustme.CA()
    old.cert_pem.write_to_path(file)
    pem = certificates(str(file))
    new.cert_pem.write_to_path(file)
    assert pem.current() == new.cert_pem.bytes().decode()
    handshake_context = client_context(pem, None, None)
    server = server_context(new)
    server.verify_mode = ssl.CERT_NONE
    handshake(handshake_context, server)


def test_a_key_of_another_certificate_is_refused_under_its_name(authority: trustme.CA, pki: dict[str, str]) -> None:
    stranger = private_key(authority.issue_cert("x").private_key_pem.bytes().decode())
    found = faults_of(("CLIENT_CERT", "CLIENT_KEY"), certificates(pki["certificate"]), stranger)
    assert found == [("CLIENT_KEY", "is not the private key of CLIENT_CERT")]


def test_a_malformed_key_is_refused(pki: dict[str, str]) -> None:
    broken = private_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
    found = faults_of(("CLIENT_CERT", "CLIENT_KEY"), certificates(pki["certificate"]), broken)
    assert [name for name, _ in found] == ["CLIENT_CERT"]


def test_each_kind_of_pem_is_told_from_the_others(pki: dict[str, str], tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(WrongValueError, match="no certificate"):
        certificates(pki["key"])
    with pytest.raises(WrongValueError, match="no private key"):
        private_key(pki["certificate"])
    with pytest.raises(WrongValueError, match="encrypted"):
        private_key("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----")
    with pytest.raises(WrongValueError, match="complete PEM block"):
        certificates("-----BEGIN CERTIFICATE-----\nAAAA\n")
    with pytest.raises(WrongValueError, match="too large"):
        certificates(str(large))
    with pytest.raises(WrongValueError, match="readable file"):
        certificates(str(tmp_path))


def test_text_around_the_blocks_is_cut(pki: dict[str, str]) -> None:
    pem = certificates(f"Удостоверяющий центр\n{Path(pki['ca']).read_text()}конец")
    assert client_context(pem, None, None).get_ca_certs()


def test_trust_anchors_are_der(authority: trustme.CA) -> None:
    text = authority.cert_pem.bytes().decode()
    other = trustme.CA().cert_pem.bytes().decode()
    assert anchors(text + other) == (ssl.PEM_cert_to_DER_cert(text), ssl.PEM_cert_to_DER_cert(other))


def test_a_certificate_near_its_end_is_said(pki: dict[str, str]) -> None:
    values = {"MQ_TLS": True, "CLIENT_CERT": certificates(pki["certificate"])}
    far = datetime.now(UTC) + timedelta(days=365_000)
    assert next(cautions({}, values, far)).startswith("CLIENT_CERT ended on ")
    assert not list(cautions({}, values))


def test_the_repr_of_pem_shows_no_key(pki: dict[str, str]) -> None:
    assert "PRIVATE" not in repr(Pem.of(Path(pki["key"]).read_text()))
