"""Who may call our doors at all: TLS with certificates of callers, and networks where no signature speaks."""

from __future__ import annotations

import asyncio
import socket
import ssl
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapter.gateways.shep import Level, Profile
from adapter.gateways.shep.messages import read
from adapter.gateways.shep.security import TransportSecurity
from adapter.settings.pem import certificates, private_key, server_context
from adapter.web.shep import EndpointOptions, ShepEndpoint
from deploy.local.certificates import Certificates
from tests.contract.shep_doors import Memory
from tests.contract.shep_samples import VALID, envelope
from tests.contract.shep_signing import OwnDesk

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


def endpoint(kz: KzEngine, folder: Path, port: int, level: Level = Level.NONE, **options: Any) -> ShepEndpoint:
    signer: Any = OwnDesk(kz, folder)
    given = EndpointOptions(
        listen=("127.0.0.1", port),
        public_url="https://adapter.example.org",
        profile_of=lambda _: Profile(level=level),
        known=lambda _: True,
        **options,
    )
    return ShepEndpoint(given, TransportSecurity(signer, key="shep"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_only_callers_with_a_certificate_are_heard(kz: KzEngine, shep_keys: Path, tmp_path: Path) -> None:
    made, others, port = Certificates(tmp_path / "ours"), Certificates(tmp_path / "others"), free_port()
    pair = made.server
    context = server_context(
        certificates(str(pair.certificate)), private_key(str(pair.key)), certificates(str(made.ca))
    )
    kept = Memory()
    task = asyncio.create_task(endpoint(kz, shep_keys, port, tls=context).run(kept))

    async def call(client: Certificates | None) -> int:
        trust = ssl.create_default_context(cafile=str(made.ca))
        if client is not None:
            shown = client.client("gateway")
            trust.load_cert_chain(shown.certificate, shown.key)
        url = f"https://localhost:{port}/async"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=envelope(VALID["pushed"]), ssl=trust) as response,
        ):
            return response.status

    try:
        async with asyncio.timeout(10):
            while task.done() is False:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    break
        assert await call(made) == 200
        for stranger in (None, others):
            with pytest.raises(aiohttp.ClientError):
                await call(stranger)
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"http://localhost:{port}/async?wsdl"):
                pass
        assert len(kept.incoming) == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("networks", "level", "heard"),
    [
        (None, Level.NONE, True),
        (("127.0.0.0/8",), Level.NONE, True),
        (("10.0.0.0/8", "::/0"), Level.NONE, False),
        (("10.0.0.0/8",), Level.BOTH, True),
    ],
)
async def test_networks_speak_for_callers_of_level_zero(
    kz: KzEngine,
    shep_keys: Path,
    networks: tuple[str, ...] | None,
    level: Level,
    heard: bool,  # noqa: FBT001  — a case
) -> None:
    kept = Memory()
    near = None if networks is None else [ip_network(network) for network in networks]
    door = endpoint(kz, shep_keys, 1, level, networks=near)
    signed = OwnDesk(kz, shep_keys).hand.signed(VALID["pushed"])
    async with TestClient(TestServer(door.app(kept))) as client, client.post("/async", data=signed) as response:
        assert (response.status == 200) == heard
        answer = read(await response.read())
    assert len(kept.incoming) == heard
    if not heard:
        assert answer.fault is not None
        assert "сети" in answer.fault.faultstring
