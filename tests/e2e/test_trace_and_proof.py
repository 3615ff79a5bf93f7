"""A real exchange afterwards: its way traced by what an upstream system knows, its proof checked offline."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.signing.certificates import certificates_of, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Stack, Talk


def unpack(file: Path, folder: Path) -> tuple[list[str], set[str]]:
    """Return the letters of a proof in their order, and the fingerprints of its certificates."""
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    letters = sorted(str(path) for path in folder.glob("[0-9]*-*.xml") if ".content." not in path.name)
    return letters, {path.stem for path in (folder / "certificates").iterdir()}


async def test_a_real_exchange_is_traced_by_its_correlation_and_its_proof_verifies_offline(
    stack: Stack, talk: Talk, tmp_path: Path, gost_keys: Path
) -> None:
    await talk.ask(EXAMPLES[0].request, correlation_id="order-for-the-trace")
    traced = stack.command("trace", "order-for-the-trace", "--json")
    assert traced.returncode == 0, traced.stderr
    told = json.loads(traced.stdout)
    assert told["exchange"]["state"] == "replied"
    events = [part["event"] for part in told["timeline"]]
    assert events[:3] == ["received", "request", "accepted"]
    # Found as well by the id of СМЭВ3's own message, which their support would name.
    (answer,) = (part for part in told["timeline"] if part["event"] == "answer")
    assert json.loads(stack.command("trace", answer["message_id"], "--json").stdout)["exchange"] == told["exchange"]

    file = tmp_path / "proof.zip"
    made = stack.command("proof", "order-for-the-trace", "-o", str(file))
    assert made.returncode == 0, made.stderr
    letters, kept = unpack(file, tmp_path)
    assert [letter.rpartition("-")[2] for letter in letters] == ["request.xml", "accepted.xml", "answer.xml"]
    verified = stack.command("smev3", "verify", letters[0], letters[2], "--trust", str(gost_keys / "ca.crt.pem"))
    assert verified.returncode == 0, verified.stdout
    ov, sp, smev = (certificates_of((gost_keys / f"{name}.crt.pem").read_bytes())[0] for name in ("ov", "sp", "smev"))
    assert {fingerprint(ov), fingerprint(sp), fingerprint(smev)} <= kept
    assert all(verdict["math"] for verdict in json.loads((tmp_path / "verdicts.json").read_bytes()))
    page = (tmp_path / "timeline.txt").read_text(encoding="utf-8")
    assert "SMEVSignature — математически верна; сертификат: доверенный; срок: действует" in page


async def test_a_list_of_nothing_is_all_that_stdout_says(stack: Stack, talk: Talk) -> None:
    listed = stack.command("dead", "list", "--json", "--action", "nothing-of-that-name")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, b"[]\n", b"")
