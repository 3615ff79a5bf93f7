"""``adapter shep verify``: one JSON line per file, verdicts apart, an exit code that a script can use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from adapter import cli
from simulators.shep.keys import OWN_BIN
from tests.contract.shep_reference import SAMPLES
from tests.contract.shep_signing import Hand

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


def verify(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    code = cli.main(["shep", "verify", *map(str, arguments)])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_right_signature_is_told_with_its_owner(
    kz: KzEngine, shep_keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = tmp_path / "message.xml"
    message.write_bytes(Hand(kz, shep_keys, "shep-gost").signed("<a/>"))
    code, (line,) = verify(capsys, message, "--trust", shep_keys / "ca.crt.pem", "--crl", shep_keys / "ca.crl")
    assert code == 0
    assert (line["math"], line["trust"], line["period"], line["revocation"]) == (True, "trusted", "valid", "good")
    assert line["bin"] == OWN_BIN


@pytest.mark.parametrize(
    ("name", "field", "value", "expected"),
    [
        ("expired", "period", "expired", 0),
        ("revoked", "revocation", "revoked", 0),
        ("foreign", "trust", "untrusted", 1),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said_apart(  # noqa: PLR0917  — fixtures
    kz: KzEngine,
    shep_keys: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    field: str,
    value: str,
    expected: int,
) -> None:
    message = tmp_path / "message.xml"
    message.write_bytes(Hand(kz, shep_keys, name).signed("<a/>"))
    code, (line,) = verify(capsys, message, "--trust", shep_keys / "ca.crt.pem", "--crl", shep_keys / "ca.crl")
    assert line["math"]
    assert line[field] == value
    assert code == expected


def test_a_tampered_and_an_unsigned_file_are_refused(
    kz: KzEngine, shep_keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered, unsigned, neither = tmp_path / "1.xml", tmp_path / "2.xml", tmp_path / "3.xml"
    tampered.write_bytes(Hand(kz, shep_keys, "shep").signed("<a/>").replace(b"<a/>", b"<b/>"))
    unsigned.write_bytes(b"<a/>")
    neither.write_bytes(b"<!DOCTYPE a><a/>")
    code, lines = verify(capsys, tampered, unsigned)
    assert code == 1
    assert [line["math"] for line in lines] == [False, False]
    assert verify(capsys, neither)[0] == 2
    assert verify(capsys, tmp_path / "absent.xml")[0] == 2
    assert verify(capsys, tampered, "--trust", neither)[0] == 2
    assert verify(capsys, tampered, "--crl", tmp_path / "absent.crl")[0] == 2


def test_an_algorithm_that_nobody_here_judges_is_named(
    kz: KzEngine, shep_keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = tmp_path / "message.xml"
    signed = Hand(kz, shep_keys, "shep").signed("<a/>")
    message.write_bytes(signed.replace(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-sha1"))
    code, (line,) = verify(capsys, message)
    assert code == 1
    assert line["code"] == "ADAPTER-UNSUPPORTED-ALGORITHM"


def test_the_samples_verify_and_their_expired_certificates_are_said_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the reference samples (../shared) are not on this machine")
    names = ["ncanode_wsse_rsa_sha256_verified.xml", "mitwork_xmldsig_gost2015.xml", "nitec_sync_request_gost2004.xml"]
    code, lines = verify(capsys, *(SAMPLES / name for name in names))
    assert code == 0
    assert [(line["math"], line["period"]) for line in lines] == [(True, "expired")] * 3
    copy = tmp_path / "copy.xml"
    for name in names:
        copy.write_bytes(
            (SAMPLES / name).read_bytes().replace(b"test<", b"tost<").replace(b"<messageId>", b"<messageId> ")
        )
        assert verify(capsys, copy)[0] == 1, name
