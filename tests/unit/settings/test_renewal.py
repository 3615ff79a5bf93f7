"""Certificates changed on disk: living contexts take them, half a pair is left alone, open connections stay."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme
from asn1crypto import x509

from adapter.expiry import Calendar
from adapter.settings import renewal
from adapter.settings.pem import certificates, private_key
from adapter.settings.renewal import living_client, living_listener, look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def alone() -> None:
    """No contexts of other tests."""
    renewal._living.clear()


class Pair:
    """A certificate and its key on disk, of one authority, renewed at will."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self.certificate, self.key = folder / "own.pem", folder / "own.key"
        self.authority = authority
        self.serial = 0
        self.renew()

    def renew(self, *, certificate: bool = True, key: bool = True) -> None:
        leaf = self.authority.issue_cert("localhost")
        if certificate:
            replace(self.certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
            self.serial = serial_of(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode()))
        if key:
            replace(self.key, leaf.private_key_pem.bytes())


def replace(path: Path, data: bytes) -> None:
    """Replace a file as careful tools do."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def serial_of(certificate: bytes) -> int:
    number: int = x509.Certificate.load(certificate).serial_number
    return number


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shown(port: int, client: ssl.SSLContext) -> int:
    """The serial number of what a listener shows to a new connection."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return serial_of(certificate)


def client_of(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_listener_shows_a_renewed_certificate_and_open_connections_stay(tmp_path: Path) -> None:
    pair = Pair(tmp_path, trustme.CA())
    client = client_of(pair.authority)
    context = living_listener(certificates(str(pair.certificate)), private_key(str(pair.key)))
    async with listening(context) as port:
        first = pair.serial
        assert await shown(port, client) == first
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        pair.renew()
        assert set(look().take()) == {str(pair.certificate), str(pair.key)}
        assert await shown(port, client) == pair.serial != first
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()
        assert look() == renewal.Renewal()


async def test_a_certificate_whose_key_is_not_there_yet_is_left_alone_until_it_is(tmp_path: Path) -> None:
    pair = Pair(tmp_path, trustme.CA())
    client = client_of(pair.authority)
    context = living_listener(certificates(str(pair.certificate)), private_key(str(pair.key)))
    async with listening(context) as port:
        first = pair.serial
        leaf = pair.authority.issue_cert("localhost")
        replace(pair.certificate, leaf.cert_chain_pems[0].bytes())
        assert look().refused
        assert look() == renewal.Renewal(), "it is said once"
        assert await shown(port, client) == first
        replace(pair.key, leaf.private_key_pem.bytes())
        assert look().take()
        assert await shown(port, client) != first


@pytest.mark.parametrize("spoil", [b"", b"nonsense", None], ids=["empty", "nonsense", "gone"])
async def test_a_spoiled_file_changes_nothing(tmp_path: Path, spoil: bytes | None) -> None:
    pair = Pair(tmp_path, trustme.CA())
    context = living_listener(certificates(str(pair.certificate)), private_key(str(pair.key)))
    if spoil is None:
        pair.certificate.unlink()
    else:
        pair.certificate.write_bytes(spoil)
    assert look().refused
    async with listening(context) as port:
        assert await shown(port, client_of(pair.authority)) == pair.serial


async def test_a_client_believes_a_new_authority_and_shows_its_new_certificate(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    anchor = tmp_path / "ca.pem"
    replace(anchor, old.cert_pem.bytes())
    own = Pair(tmp_path, old)
    client = living_client(certificates(str(anchor)), certificates(str(own.certificate)), private_key(str(own.key)))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    new.issue_cert("localhost").configure_cert(server)
    server.verify_mode = ssl.CERT_REQUIRED
    new.configure_trust(server)
    async with listening(server) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await shown(port, client)
        replace(anchor, new.cert_pem.bytes())
        own.authority = new
        own.renew()
        assert look().take()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        writer.write(b"let in\n")
        assert await reader.readline() == b"let in\n"
        writer.close()


def test_contexts_that_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    pair = Pair(tmp_path, trustme.CA())
    context = living_listener(certificates(str(pair.certificate)), private_key(str(pair.key)))
    assert len(renewal._living) == 1
    del context
    gc.collect()
    look()
    assert renewal._living == []


async def test_the_calendar_takes_a_renewed_certificate_by_itself_and_by_a_signal(tmp_path: Path) -> None:
    class Nothing:
        """A configuration without any certificate."""

        signing = shep = smev = epgu = None

    pair = Pair(tmp_path, trustme.CA())
    client = client_of(pair.authority)
    context = living_listener(certificates(str(pair.certificate)), private_key(str(pair.key)))
    for pace in (0.01, 3600.0):
        calendar = Calendar(Nothing(), pace=pace)  # type: ignore[arg-type]
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, calendar.wake)
        task = asyncio.create_task(calendar.run())
        try:
            async with asyncio.timeout(20), listening(context) as port:
                pair.renew()
                while await shown(port, client) != pair.serial:
                    if pace > 1:
                        os.kill(os.getpid(), signal.SIGHUP)
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
