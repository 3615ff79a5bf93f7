"""The reference service as a process: start, ready line, TLS, refusal to start, stop."""

from __future__ import annotations

import contextlib
import json
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme

from adapter.http import make_session
from adapter.signing.client import SigningClient
from simulators.keys import make_keys
from simulators.sign_service.__main__ import main
from tests.contract.sign_service_stand import REQUEST, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


@contextlib.contextmanager
def _process(keys: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "simulators.sign_service", "--port", "0", "--keys", str(keys), *options]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert ready["ready"] is True
            yield ready["url"], process
        finally:
            process.kill()


async def test_it_says_when_it_is_ready_serves_and_ends_with_zero_on_sigterm(keys: Path) -> None:
    with _process(keys) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        async with make_session(timeout=10) as session:
            client = SigningClient(url, session=session, tokens=tokens_of(keys))
            assert (await client.sign_xml(REQUEST, key="ov")).signature
            await client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


async def test_mutual_tls_is_demanded_where_it_is_configured(keys: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = authority.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--client-ca", "ca.pem"]
    options = [str(tmp_path / word) if word.endswith(".pem") else word for word in files]
    nobody, somebody = ssl.create_default_context(), ssl.create_default_context()
    for context in (nobody, somebody):
        authority.configure_trust(context)
    authority.issue_cert("adapter.test").configure_cert(somebody)
    with _process(keys, *options) as (url, _):
        assert url.startswith("https://127.0.0.1:")
        async with make_session(timeout=10, ssl_context=somebody) as session:
            client = SigningClient(url, session=session, tokens=tokens_of(keys))
            assert {info.name for info in await client.certificates()} == {"ov", "sp", "ov512"}
            await client.close()
        async with make_session(timeout=10, ssl_context=nobody) as session:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await session.get(f"{url}/healthz")


def test_an_address_beyond_this_machine_has_to_be_named_and_is_warned_of(keys: Path) -> None:
    with _process(keys, "--listen", "0.0.0.0") as (_, process):  # noqa: S104  — the case under test
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=10)
    assert "beyond this machine" in complaint


@pytest.mark.parametrize(
    "options",
    [
        ["--listen", "localhost.example"],
        ["--tls-cert", "a"],
        ["--client-ca", "a"],
    ],
)
def test_options_that_make_no_sense_are_refused(keys: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", "--keys", str(keys), *options])
    assert ended.value.code == 2


def _spoil_pair(folder: Path) -> None:
    (folder / "ov.crt.pem").write_bytes((folder / "sp.crt.pem").read_bytes())


def _spoil_key(folder: Path) -> None:
    (folder / "ov.key.pem").write_text("no key")


def _share_a_token(folder: Path) -> None:
    (folder / "tokens.json").write_text(json.dumps(dict.fromkeys(("ov", "sp", "ov512"), "t" * 20)))


def _shorten_a_token(folder: Path) -> None:
    (folder / "tokens.json").write_text(json.dumps({"ov": "short", "sp": "t" * 20, "ov512": "u" * 20}))


def _allow_nonsense(folder: Path) -> None:
    (folder / "keys.json").write_text('{"keys": {"ov": {"allowed": ["everything"]}}}')


def _garble_the_list(folder: Path) -> None:
    (folder / "keys.json").write_text("{")


def _serve_nothing(folder: Path) -> None:
    (folder / "keys.json").write_text('{"keys": {}}')


def _drop_the_anchor(folder: Path) -> None:
    (folder / "ca.crt.pem").unlink()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_spoil_pair, "not of this key"),
        (_spoil_key, "ov: KeyUnreadableError"),
        (_share_a_token, "share a token"),
        (_shorten_a_token, "at least 16"),
        (_allow_nonsense, "neither cms nor"),
        (_garble_the_list, "not JSON"),
        (_serve_nothing, "no key to serve"),
        (_drop_the_anchor, "ca.crt.pem"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, complaint: str
) -> None:
    make_keys(tmp_path)
    assert callable(spoil)
    spoil(tmp_path)
    assert main(["--port", "0", "--keys", str(tmp_path)]) == 1
    assert complaint in capsys.readouterr().err


async def test_keys_json_decides_what_a_key_may_sign(tmp_path: Path) -> None:
    make_keys(tmp_path)
    (tmp_path / "keys.json").write_text('{"keys": {"ov": {"allowed": ["smev3-xml:Timestamp"]}, "sp": {}}}')
    with _process(tmp_path) as (url, _):
        async with make_session(timeout=10) as session:
            client = SigningClient(url, session=session, tokens=tokens_of(tmp_path))
            listed = {info.name: info.allowed for info in await client.certificates()}
            await client.close()
    assert listed == {"ov": ["smev3-xml:Timestamp"], "sp": ["smev3-xml:*", "cms", "cms-digest"]}
