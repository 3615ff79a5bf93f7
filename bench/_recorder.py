"""The other end of every call: first a pane of glass before signing service and simulator, then their stand-in.

While it passes calls on it keeps their bytes. ``POST /_bench/play`` makes it answer by itself from what it has kept,
with the ids of the one who asks: it then costs so little that the machine's two processors measure the adapter and not
the crypto of simulators. Returned signatures keep their recorded value and carry the true reference and digest, which
is what the adapter checks of them. ``POST /_replay/KIND`` gives the recorded answer of one kind: the bare loop's end.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
from collections import deque
from typing import Final, cast
from uuid import uuid4

import orjson
from aiohttp import ClientSession, TCPConnector

from adapter.signing.gost import GostEngine
from adapter.xml.known import KnownTransform

_PASSED: Final[tuple[str, ...]] = ("content-type", "authorization", "soapaction")
_KEPT: Final = 8
_MESSAGE_ID: Final = re.compile(rb"MessageID>([0-9a-f-]{36})<")
_ORIGINAL_ID: Final = re.compile(rb"OriginalMessageId>([0-9a-f-]{36})<")
_ANSWER_ID: Final = re.compile(rb"MessageI[dD]>([0-9a-f-]{36})<")
_TRANSPORT_ID: Final = re.compile(rb"transport-id>([0-9a-f-]{36})<")
_URI: Final = re.compile(rb' URI="[^"]*"')
_DIGEST: Final = re.compile(rb"DigestValue>[^<]*<")


class Recorder:
    """Counts and bytes of calls by kind, and what is waiting to be fetched while it plays."""

    def __init__(self, sign: str, smev: str, session: ClientSession) -> None:
        """Pass everything on."""
        self._sign, self._smev, self._session = sign, smev, session
        self.counts: dict[str, int] = {}
        self.calls: dict[str, list[tuple[bytes, bytes]]] = {}
        self.playing = False
        self._canned: dict[str, bytes] = {}
        self._signatures: dict[str, bytes] = {}
        self._answer, self._empty = b"", b""
        self._waiting: deque[bytes] = deque()
        self._gost, self._known = GostEngine.open(), KnownTransform()

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to one request."""
        if path.startswith("/_replay/"):
            return 200, self._replay(method, path.removeprefix("/_replay/"), body)
        if path.startswith("/_bench/"):
            return 200, self._control(path.removeprefix("/_bench/"))
        kind = path.rpartition("/")[2] if path.startswith("/v1/") else headers["soapaction"].strip('"')[len("urn:") :]
        if self.playing:
            found = self._play(kind, body)
            self._count(kind, found)
            return 200, found
        return await self._pass(method, path, headers, body, kind)

    def _replay(self, method: str, kind: str, body: bytes) -> bytes:
        if method == "PUT":
            self._canned[kind] = body
            return b""
        return self._canned[kind]

    def _control(self, what: str) -> bytes:
        if what == "reset":
            self.counts, self.calls = {}, {}
        elif what == "play":
            self._learn()
        calls = {
            kind: [[base64.b64encode(part).decode() for part in call] for call in calls]
            for kind, calls in self.calls.items()
        }
        return json.dumps({"counts": self.counts, "calls": calls}).encode()

    def _count(self, kind: str, answer: bytes) -> str:
        if kind == "GetResponse" and b"SenderProvidedResponseData" not in answer:
            kind = "GetResponse, empty"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return kind

    async def _pass(self, method: str, path: str, headers: dict[str, str], data: bytes, kind: str) -> tuple[int, bytes]:
        """Pass a call on and keep it."""
        url = (self._sign if path.startswith("/v1/") else self._smev) + path
        passed = {name: headers[name] for name in _PASSED if name in headers}
        async with self._session.request(method, url, data=data or None, headers=passed) as response:
            body = await response.read()
            kept = self.calls.setdefault(self._count(kind, body), [])
            if len(kept) < _KEPT:
                kept.append((data, body))
            if kind == "certificates":
                self._canned[kind] = body
            elif kind == "sign":
                for asked, got in zip(json.loads(data)["items"], json.loads(body)["items"], strict=True):
                    self._signatures[asked["key"]] = base64.b64decode(got["signature"])
            elif b"GetResponseResponse" in body and b"SenderProvidedResponseData" not in body:
                self._empty = body
            return response.status, body

    def _learn(self) -> None:
        """Stand in from now on: every answer is one that was kept."""
        self._answer = self.calls["GetResponse"][0][1]
        self._canned |= {kind: self.calls[kind][0][1] for kind in ("SendRequest", "Ack", "verify")}
        self.playing = True

    def _play(self, kind: str, body: bytes) -> bytes:
        if kind == "sign":
            return orjson.dumps({"items": [self._signed(item) for item in orjson.loads(body)["items"]]})
        if kind == "verify":
            verdicts = orjson.loads(self._canned[kind])["items"][0]
            return orjson.dumps({"items": [verdicts] * len(orjson.loads(body)["items"])})
        if kind == "SendRequest":
            return self._take(body)
        if kind == "GetResponse":
            return self._waiting.popleft() if self._waiting else self._empty
        return self._canned[kind]

    def _signed(self, item: dict[str, str]) -> dict[str, str]:
        transformed, identifier = self._known.transform(base64.b64decode(item["content"]), max_bytes=2**24)
        signature = self._signatures[item["key"]]
        digest = base64.b64encode(self._gost.digest(256, transformed))
        signature = _URI.sub(b' URI="#%b"' % (identifier or "").encode(), signature, count=1)
        signature = _DIGEST.sub(b"DigestValue>%b<" % digest, signature, count=1)
        return {"signature": base64.b64encode(signature).decode()}

    def _take(self, body: bytes) -> bytes:
        """Accept a request and lay its answer ready: the kept one, with this request's ids and an id of its own."""
        asked = _one(_MESSAGE_ID, body)
        answer = self._answer.replace(_one(_ORIGINAL_ID, self._answer), asked)
        own = next(found for found in _ANSWER_ID.findall(answer) if found != asked)
        answer = answer.replace(own, str(uuid4()).encode())
        answer = answer.replace(_one(_TRANSPORT_ID, answer), _one(_TRANSPORT_ID, body))
        self._waiting.append(answer)
        accepted = self._canned["SendRequest"]
        return accepted.replace(_one(_ANSWER_ID, accepted), asked)


def _one(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    found = pattern.search(text)
    if found is None:
        raise RuntimeError(f"{pattern.pattern!r} is not in the message")
    return found[1]


class Connection(asyncio.Protocol):
    """HTTP/1.1 of our own clients: a content length or no body, one request at a time."""

    def __init__(self, recorder: Recorder) -> None:
        """Keep the recorder."""
        self._recorder = recorder
        self._buffer = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        """Answer a whole request."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(rest) < int(headers.get("content-length", "0")):
            return
        self._buffer = b""
        method, path, _ = first.split(" ")
        task = asyncio.create_task(self._answer(method, path, headers, rest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            status, answer = await self._recorder.answer(method, path, headers, body)
        except Exception:
            self._transport.close()  # the caller sees it; the loop says why in this process's output
            raise
        kind = "application/json" if path.startswith(("/v1/", "/_bench/")) else "text/xml"
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._transport.write(head.encode() + answer)


async def main() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with ClientSession(connector=TCPConnector(limit=200)) as session:
        recorder = Recorder(os.environ["BENCH_SIGN"], os.environ["BENCH_SMEV"], session)
        server = await loop.create_server(lambda: Connection(recorder), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        print(json.dumps({"ready": True, "url": f"http://127.0.0.1:{port}"}), flush=True)
        await stop.wait()
        server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
