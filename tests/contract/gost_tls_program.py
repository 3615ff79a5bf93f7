"""Both ends of a ГОСТ TLS channel, as a process of its own: its OpenSSL has the GOST engine by OPENSSL_CONF.

Plain HTTP comes in, goes through TLS 1.2 with a GOST cipher to a server of ours, and on to the portal in plain. What
the ends agreed on is written as JSON lines: the name of the cipher suite, and the number that the server chose.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import suppress

CIPHERS = "LEGACY-GOST2012-GOST8912-GOST8912"
_PIECE = 1 << 16


def say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until their end."""
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    with suppress(ConnectionError, ssl.SSLError):
        writer.close()


async def join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    await asyncio.gather(pump(reader, far[1]), pump(far[0], writer))


def context(purpose: ssl.Purpose, ca: str) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=ca)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHERS)
    return made


def chosen(hello: bytes) -> int:
    """Return the cipher suite of a ServerHello: behind record, handshake, version, random and session id."""
    assert hello[0] == 22
    assert hello[5] == 2
    place = 43 + 1 + hello[43]
    return int.from_bytes(hello[place : place + 2], "big")


async def main(portal: str, name: str, folder: str) -> None:
    host, port = portal.split(":")
    inner = context(ssl.Purpose.CLIENT_AUTH, f"{folder}/ca.pem")
    inner.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    outer = context(ssl.Purpose.SERVER_AUTH, f"{folder}/ca.pem")

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        say(cipher=tls.cipher()[0], version=tls.version())
        await join(reader, writer, await asyncio.open_connection(host, int(port)))

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the number of the cipher suite as it passes by."""
        there, back = await asyncio.open_connection("127.0.0.1", tls_port)
        sending = asyncio.create_task(pump(reader, back))
        head = await there.readexactly(5)
        hello = head + await there.readexactly(int.from_bytes(head[3:5], "big"))
        say(suite=chosen(hello))
        writer.write(hello)
        await asyncio.gather(pump(there, writer), sending)

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await asyncio.open_connection("127.0.0.1", tap_port, ssl=outer, server_hostname=name)
        await join(reader, writer, far)

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=inner)
    tls_port = server.sockets[0].getsockname()[1]
    tap = await asyncio.start_server(watched, "127.0.0.1", 0)
    tap_port = tap.sockets[0].getsockname()[1]
    proxy = await asyncio.start_server(called, "127.0.0.1", 0)
    say(ready=True, url=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}", tls=tls_port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
