from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from adapter.cli import main
from adapter.signing import gost as engine
from adapter.signing.gost import GostUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.xml.conftest import Signer

ELEMENT = '<v:a xmlns:v="urn:v" Id="X">текст</v:a>'


class Standard:
    """Standard input and output as bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.buffer = io.BytesIO(data)

    def flush(self) -> None:
        """Nothing is held back."""


def transform(monkeypatch: pytest.MonkeyPatch, data: bytes) -> tuple[int, bytes]:
    output = Standard()
    monkeypatch.setattr("sys.stdin", Standard(data))
    monkeypatch.setattr("sys.stdout", output)
    code = main(["smev3", "transform"])
    return code, output.buffer.getvalue()


def verify(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    code = main(["smev3", "verify", *[str(argument) for argument in arguments]])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def good(tmp_path: Path, signer: Signer) -> Path:
    path = tmp_path / "good.xml"
    path.write_text(f"\ufeff<m>{ELEMENT}{signer.sign(ELEMENT)}</m>")
    return path


@pytest.fixture
def bad(tmp_path: Path, good: Path) -> Path:
    path = tmp_path / "bad.xml"
    path.write_text(good.read_text().replace("текст", "другой"))
    return path


def test_transform_writes_exactly_the_transformed_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert transform(monkeypatch, b'<a xmlns="urn:1"> <b/></a>\n') == (
        0,
        b'<ns1:a xmlns:ns1="urn:1"><ns1:b></ns1:b></ns1:a>',
    )


@pytest.mark.parametrize("data", [b"<a/>", b"<a", b"", b"<!DOCTYPE a><a/>"])
def test_transform_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    assert transform(monkeypatch, data) == (2, b"")
    assert capsys.readouterr().err.count("\n") == 1


def test_verify_prints_a_line_for_each_signature(
    capsys: pytest.CaptureFixture[str], good: Path, bad: Path, signer: Signer
) -> None:
    code, (line,) = verify(capsys, good)
    assert code == 0
    assert line == {
        "file": str(good),
        "reference": "#X",
        "element": "{urn:v}a",
        "parent": "m",
        "math": True,
        "reason": "",
        "trust": "unchecked",
        "period": "valid",
        "subject": line["subject"],
        "sha256": hashlib.sha256(signer.certificate("ov")).hexdigest(),
    }
    assert "ТЕСТ" in line["subject"]
    code, lines = verify(capsys, good, bad)
    assert (code, [line["math"] for line in lines]) == (1, [True, False])
    assert lines[1]["reason"]


@pytest.mark.parametrize(("anchors", "code", "trust"), [("ca", 0, "trusted"), ("stranger", 1, "untrusted")])
def test_trust_is_apart_from_the_mathematics_and_has_to_hold_when_asked_for(
    capsys: pytest.CaptureFixture[str], good: Path, signer: Signer, *, anchors: str, code: int, trust: str
) -> None:
    pem = signer.folder / f"{anchors}.crt.pem"
    der = good.with_name("anchor.der")
    der.write_bytes(signer.certificate(anchors))
    for path in (pem, der):
        found, (line,) = verify(capsys, good, "--trust", path)
        assert (found, line["math"], line["trust"]) == (code, True, trust)


def test_an_expired_certificate_is_said_and_changes_nothing_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, signer: Signer
) -> None:
    path = tmp_path / "expired.xml"
    path.write_text(f"<m>{ELEMENT}{signer.sign(ELEMENT, 'expired')}</m>")
    code, (line,) = verify(capsys, path, "--trust", signer.folder / "ca.crt.pem")
    assert (code, line["math"], line["trust"], line["period"]) == (0, True, "trusted", "expired")


def test_a_file_without_signatures_is_not_right(capsys: pytest.CaptureFixture[str], tmp_path: Path, good: Path) -> None:
    empty = tmp_path / "empty.xml"
    empty.write_text("<m/>")
    code, lines = verify(capsys, empty, good)
    assert (code, [line["math"] for line in lines]) == (1, [False, True])


def test_a_signature_without_a_certificate_is_not_trusted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, signer: Signer
) -> None:
    path = tmp_path / "none.xml"
    path.write_text('<m><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/></m>')
    code, (line,) = verify(capsys, path, "--trust", signer.folder / "ca.crt.pem")
    assert (code, line["math"], line["trust"], line["sha256"]) == (1, False, "untrusted", "")


@pytest.mark.parametrize("content", [None, b"<m", b"--b\r\n\r\n"])
def test_unreadable_files_are_refused_and_the_others_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, good: Path, content: bytes | None
) -> None:
    path = tmp_path / "x.xml"
    if content is not None:
        path.write_bytes(content)
    code, lines = verify(capsys, path, good)
    assert (code, [line["math"] for line in lines]) == (2, [True])


def test_unreadable_anchors_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, good: Path) -> None:
    anchors = tmp_path / "anchors.pem"
    assert verify(capsys, good, "--trust", anchors)[0] == 2
    anchors.write_bytes(b"garbage")
    assert verify(capsys, good, "--trust", anchors)[0] == 2


def test_a_missing_engine_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], good: Path
) -> None:
    def missing(*_: object) -> None:
        raise GostUnavailableError("install libengine-gost-openssl")

    monkeypatch.setattr(engine.GostEngine, "open", missing)
    assert main(["smev3", "verify", str(good)]) == 2
    assert "libengine-gost-openssl" in capsys.readouterr().err
