from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asn1crypto import pem

from adapter.signing.certificates import read_certificate
from simulators.keys import main, make_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from adapter.signing.gost import GostEngine

_NAMES = ("ca", "ov", "sp", "ov512", "smev", "giszhkh", "stranger", "expired")


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != ".lock"}


def test_every_pair_belongs_together_and_only_the_stranger_is_of_another_authority(
    gost: GostEngine, keys: Path, der: Callable[[str], bytes]
) -> None:
    for name in _NAMES:
        key = gost.load_key((keys / f"{name}.key.pem").read_bytes())
        assert gost.matches(key, der(name)), name
        assert gost.chain(der(name), [der("ca")]) == (name != "stranger"), name
        assert "ТЕСТ" in read_certificate(der(name)).subject_text, name


def test_private_files_are_for_their_owner_alone(keys: Path) -> None:
    private = [*keys.glob("*.key.pem"), keys / "tokens.json"]
    assert len(private) == len(_NAMES) + 1
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}


def test_a_second_run_changes_nothing(gost: GostEngine, tmp_path: Path) -> None:
    make_keys(tmp_path, gost)
    before = _contents(tmp_path)
    make_keys(tmp_path, gost)
    assert _contents(tmp_path) == before


def test_what_is_broken_is_renewed_and_the_rest_stays(gost: GostEngine, tmp_path: Path) -> None:
    make_keys(tmp_path, gost)
    before = _contents(tmp_path)
    (tmp_path / "sp.crt.pem").unlink()
    (tmp_path / "smev.key.pem").write_bytes(before["ov.key.pem"])
    (tmp_path / "tokens.json").write_text('{"ov": "kept-because-it-is-there"}')
    make_keys(tmp_path, gost)
    after = _contents(tmp_path)
    changed = {name for name, content in after.items() if content != before[name]}
    assert changed == {"sp.crt.pem", "sp.key.pem", "smev.crt.pem", "smev.key.pem", "tokens.json"}
    tokens = json.loads(after["tokens.json"])
    assert tokens["ov"] == "kept-because-it-is-there"
    assert len(set(tokens.values())) == len(tokens)


def test_a_new_authority_renews_what_stood_below_the_old_one(gost: GostEngine, tmp_path: Path) -> None:
    make_keys(tmp_path, gost)
    (tmp_path / "ca.key.pem").unlink()
    make_keys(tmp_path, gost)
    authority = pem.unarmor((tmp_path / "ca.crt.pem").read_bytes())[2]
    assert gost.chain(pem.unarmor((tmp_path / "ov.crt.pem").read_bytes())[2], [authority])


def test_two_runs_at_once_agree_on_one_authority(gost: GostEngine, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulators.keys", str(tmp_path)]
    root = Path(__file__).parents[3]
    runs = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) for _ in range(2)]
    for run in runs:
        output, _ = run.communicate(timeout=30)
        assert (run.returncode, output.decode().strip()) == (0, str(tmp_path))
    authority = pem.unarmor((tmp_path / "ca.crt.pem").read_bytes())[2]
    for name in ("ov", "sp", "smev"):
        assert gost.chain(pem.unarmor((tmp_path / f"{name}.crt.pem").read_bytes())[2], [authority])


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([str(tmp_path / "file" / "keys")]) == 1
    assert "keys cannot be made" in capsys.readouterr().err
