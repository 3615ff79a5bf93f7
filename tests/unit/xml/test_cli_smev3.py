from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapter.cli import main
from adapter.signing import gost as engine
from adapter.signing.gost import GostUnavailableError

if TYPE_CHECKING:
    from tests.unit.xml.conftest import Signer

FAULTS = Path(__file__).parents[3].parent / "shared" / "reference" / "smev3" / "faults"
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
        "judged": True,
        "math": True,
        "reason": "",
        "note": "",
        "trust": "unchecked",
        "period": "valid",
        "revocation": "unchecked",
        "algorithm": "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256",
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


def test_a_folder_and_standard_input_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], good: Path
) -> None:
    inner = good.parent / "inner"
    inner.mkdir()
    good.rename(inner / "1.xml")
    (inner / ".hidden").write_text("<")
    (good.parent / "0.xml").write_text("<m/>")
    monkeypatch.setattr("sys.stdin", Standard((inner / "1.xml").read_bytes()))
    code, lines = verify(capsys, good.parent, "-")
    assert code == 1
    assert [(line["file"], line["math"]) for line in lines] == [
        (str(good.parent / "0.xml"), False),
        (str(inner / "1.xml"), True),
        ("-", True),
    ]


def test_a_file_larger_than_any_message_is_not_read_into_memory(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)
    assert main(["smev3", "verify", str(tmp_path / "large")]) == 2
    assert "at most" in capsys.readouterr().err


def test_a_signature_that_nobody_here_can_count_is_told_by_its_name_and_does_not_spoil_the_message(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, signer: Signer
) -> None:
    foreign = signer.sign(ELEMENT).replace(
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    )
    outer = f'<v:b xmlns:v="urn:v" Id="Y">{ELEMENT}{foreign}</v:b>'
    path = tmp_path / "foreign.xml"
    path.write_text(f"<m>{outer}{signer.sign(outer)}</m>")
    code, (first, second) = verify(capsys, path)
    assert (code, first["judged"], first["math"], second["math"]) == (0, False, False, True)
    assert first["reason"].endswith("#rsa-sha256")
    path.write_text(f"<m>{ELEMENT}{foreign}</m>")
    code, (line,) = verify(capsys, path)
    assert (code, line["judged"]) == (1, False)


def test_a_signature_over_the_reference_to_a_part_is_right_with_a_note(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, signer: Signer
) -> None:
    include = '<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:1"/>'

    def saved(element: str, signed: str) -> Path:
        path = tmp_path / "parts.mime"
        root = f"<m>{element}{signer.sign(signed)}</m>"
        path.write_text(f"--b\n\n{root}\n--b\nContent-ID: <1>\n\nabc\n--b--")
        return path

    element = f'<v:a xmlns:v="urn:v" Id="X">{include}</v:a>'
    code, (line,) = verify(capsys, saved(element, element.replace(include, "YWJj")))
    assert (code, line["math"], line["note"]) == (0, True, "")
    code, (line,) = verify(capsys, saved(element, element))
    assert (code, line["math"], "not signed" in line["note"]) == (0, True, True)
    code, (line,) = verify(capsys, saved(element, element.replace(include, "YWJk")))
    assert (code, line["math"], line["note"]) == (1, False, "")


def test_a_signature_that_was_indented_afterwards_is_not_right_and_the_note_says_so(
    capsys: pytest.CaptureFixture[str], good: Path
) -> None:
    indented = good.read_text().replace("<ds:SignatureMethod", "\n  <ds:SignatureMethod")
    good.write_text(indented)
    code, (line,) = verify(capsys, good)
    assert (code, line["math"], "re-formatted" in line["note"]) == (1, False, True)
    good.write_text(indented.replace("текст", "другой"))
    code, (line,) = verify(capsys, good)
    assert (code, line["math"], line["note"]) == (1, False, "")


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the recorded answers are not here: ../shared is absent")
@pytest.mark.parametrize(
    ("name", "signatures"), [("GetResponseResponce_InvalidContent.xml", 2), ("SendRequestResponce.xml", 1)]
)
def test_recorded_answers_that_somebody_indented_are_right_but_for_that(
    capsys: pytest.CaptureFixture[str], name: str, signatures: int
) -> None:
    _, lines = verify(capsys, FAULTS / name)
    assert ["re-formatted" in line["note"] for line in lines] == [True] * signatures


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
