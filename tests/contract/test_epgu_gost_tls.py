"""A real ГОСТ TLS connection (0xFF85) between the adapter's client and the portal, by the engine of Debian.

The engine is no certified СКЗИ: what is shown is that the adapter goes through a proxy as docs/epgu.md describes.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapter.signing.libcrypto import ENGINE_PACKAGE, ENGINE_VARIABLE
from deploy.local.debian import find
from tests.contract.epgu_stand import META

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.epgu_stand import Parts

pytest_plugins = ("tests.contract.epgu_fixtures", "tests.contract.epgu_gateway_fixtures")

PROJECT = Path(__file__).parents[2]
HOST = "www.gosuslugi.ru"
#: CryptoPro's private number of the suite, which the specification asks for.
TLS_CIPHER_2012 = 0xFF85


def engine() -> str:
    """The engine's file, or a reason to skip."""
    given = os.environ.get(ENGINE_VARIABLE)
    found = Path(given) if given else find(ENGINE_PACKAGE, "usr/lib/*/engines-3/gost.so")
    if found is None or not found.exists():
        pytest.skip(f"{ENGINE_PACKAGE} is not on this machine")
    return str(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OpenSSL configuration with the engine, an authority, and the portal's certificate."""
    folder = tmp_path_factory.mktemp("gost-tls")
    (folder / "gost.cnf").write_text(
        "openssl_conf = init\n[init]\nengines = engines\n[engines]\ngost = gost\n"
        f"[gost]\nengine_id = gost\ndynamic_path = {engine()}\ndefault_algorithms = ALL\n"
        "[req]\ndistinguished_name = dn\n[dn]\n"
    )
    key = ["-newkey", "gost2012_256", "-pkeyopt", "paramset:A", "-nodes", "-md_gost12_256", "-days", "2"]
    more = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"]
    openssl(folder, "req", "-x509", *key, "-subj", "/CN=ca", *more, "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, "req", *key[:-2], "-subj", f"/CN={HOST}", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{HOST}\n")
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-md_gost12_256", "-extfile", "names", "-out", "server.pem")  # fmt: skip
    return folder


def openssl(folder: Path, *arguments: str) -> None:
    environment = {"PATH": os.environ["PATH"], "OPENSSL_CONF": str(folder / "gost.cnf")}
    done = subprocess.run(["openssl", *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this openssl makes no GOST certificates: {done.stderr.decode()[-200:]}")


class Channel:
    """The proxy's process: where it listens, and what it has said of its connections."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        """``ready`` is its first line."""
        self._process = process
        self.url: str = ready["url"]
        self.tls_port: int = ready["tls"]

    async def said(self, name: str) -> Any:
        """Return the next thing it says under ``name``."""
        while True:
            line = json.loads(await asyncio.wait_for(reader(self._process).readline(), 10))
            if name in line:
                return line[name]


def reader(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    assert process.stdout is not None
    return process.stdout


@pytest.fixture
async def channel(parts: Parts, folder: Path) -> AsyncIterator[Channel]:
    environment = {"PATH": os.environ["PATH"], "OPENSSL_CONF": str(folder / "gost.cnf")}
    argv = [sys.executable, "tests/contract/gost_tls_program.py", parts.url.removeprefix("http://"), HOST, str(folder)]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=PROJECT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    line = await asyncio.wait_for(reader(process).readline(), 20)
    if not line:
        assert process.stderr is not None
        pytest.skip(f"this Python's OpenSSL has no GOST: {(await process.stderr.read()).decode()[-200:]}")
    yield Channel(process, json.loads(line))
    process.kill()
    await process.wait()


async def test_an_application_goes_through_a_gost_tls_proxy_with_the_cipher_of_the_specification(
    parts: Parts, channel: Channel
) -> None:
    await parts.world.set(hosts=[HOST])
    stand = parts.stand(url=channel.url, esia=parts.url, host=HOST)
    number = (await stand.result("epgu.order.create", **META))["order_id"]
    assert await channel.said("suite") == TLS_CIPHER_2012
    assert await channel.said("cipher") == "LEGACY-GOST2012-GOST8912-GOST8912"
    files = [{"name": "req.xml", "content_base64": "PHJlcXVlc3QvPg=="}]
    told = await stand.result("epgu.order.push-chunked", **META, order_id=number, files=files)
    assert told["order_id"] == number
    lines = await stand.ledger("order", "chunk")
    assert [line["headers"]["Host"] for line in lines] == [HOST, HOST]


async def test_without_gost_the_portal_cannot_be_spoken_to(parts: Parts, channel: Channel) -> None:
    """The client of this process has no GOST: it gets no further than the handshake, and nothing was sent."""
    stand = parts.stand(url=f"https://127.0.0.1:{channel.tls_port}", esia=parts.url, host=HOST, sni=HOST)
    sent = await stand.run("epgu.order.create", **META)
    assert not isinstance(sent, dict)
    assert sent.error.code == "ADAPTER-GATEWAY-UNAVAILABLE"
    assert await stand.ledger() == []
