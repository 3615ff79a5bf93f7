"""Messages a second whose signatures are judged: in this process, and by the signing service as the worker asks it.

The message is a GetResponseResponse with the first example of zhkh-debt-requests inside, signed by its sender and by
СМЭВ, both with 256 bits. The baseline of the first line is the arithmetic alone: two GOST R 34.10-2012 verifications
and two digests by OpenSSL's engine. That of the second is the first: what HTTP, JSON and base64 cost beside the
judging, the service being a process of its own on the same processors. Rates in process are of CPU time, through HTTP
of the clock.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import uvloop
from _stand import PAIRS, PLACE, PROJECT, cpu_of, median, report, spread, tell, versions
from asn1crypto import pem
from transform_action import document

from adapter.http import make_session
from adapter.signing.client import SigningClient
from adapter.signing.gost import GostEngine
from adapter.xml.multipart import soap_message
from adapter.xml.signature import sign_element, verify_message
from deploy.local.processes import clean_environment
from simulators.keys import make_keys

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = PLACE / "verify-keys"
BUSINESS_BYTES = 3_000
#: Messages of one measurement, and how many are asked at once: what a worker with a full queue does.
COUNT = 1000
AT_ONCE = 50
SMEV = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2"
BASIC = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def certificate(name: str) -> bytes:
    """Return a test certificate as DER."""
    der: bytes = pem.unarmor((KEYS / f"{name}.crt.pem").read_bytes())[2]
    return der


def signed(gost: GostEngine, xml: str, name: str) -> str:
    """Return the signature of one of the test keys over ``xml``."""
    key = gost.load_key((KEYS / f"{name}.key.pem").read_bytes())
    return sign_element(xml.encode(), gost, key, certificate(name), 256).decode()


def answer(gost: GostEngine) -> bytes:
    """Return a response as СМЭВ delivers it."""
    identifier = "00000000-0000-1000-8000-000000000000"
    data = (
        f'<t:SenderProvidedResponseData xmlns:t="{SMEV}" Id="SIGNED_BY_CALLER"><t:MessageID>{identifier}</t:MessageID>'
        f'<t:To>1</t:To><b:MessagePrimaryContent xmlns:b="{BASIC}">{document(BUSINESS_BYTES).decode()}'
        "</b:MessagePrimaryContent></t:SenderProvidedResponseData>"
    )
    response = (
        f'<t:Response xmlns:t="{SMEV}" Id="SIGNED_BY_SMEV">'
        f"<t:OriginalMessageId>{identifier}</t:OriginalMessageId>{data}"
        f"<t:MessageMetadata><t:MessageId>{identifier}</t:MessageId><t:MessageType>RESPONSE</t:MessageType>"
        "</t:MessageMetadata><t:SenderInformationSystemSignature>"
        f"{signed(gost, data, 'giszhkh')}</t:SenderInformationSystemSignature></t:Response>"
    )
    return (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><t:GetResponseResponse xmlns:t="{SMEV}"><t:ResponseMessage>{response}'
        f"<t:SMEVSignature>{signed(gost, response, 'smev')}</t:SMEVSignature></t:ResponseMessage>"
        "</t:GetResponseResponse></s:Body></s:Envelope>"
    ).encode()


def rate(work: Callable[[], object], count: int = COUNT) -> float:
    """Return how often a second of CPU time ``work`` is done."""
    began = time.process_time()
    for _ in range(count):
        work()
    return count / (time.process_time() - began)


def arithmetic(gost: GostEngine) -> Callable[[], object]:
    """Return two verifications and two digests of as many bytes as the message's."""
    key = gost.load_key((KEYS / "smev.key.pem").read_bytes())
    data, der = bytes(BUSINESS_BYTES), certificate("smev")
    value = gost.sign(key, data)
    return lambda: [(gost.verify(der, data, value), gost.digest(256, data)) for _ in range(2)]


async def through_service(url: str, pid: int, message: bytes) -> tuple[float, float, float]:
    """Return messages a second through the service, and the CPU microseconds per message here and there."""
    tokens: dict[str, str] = json.loads((KEYS / "tokens.json").read_bytes())
    async with make_session(timeout=30) as session:
        client = SigningClient(url, session=session, tokens=tokens, trust=[certificate("ca")], timeout=30)
        turns = iter(range(COUNT))

        async def ask() -> None:
            for _ in turns:
                if not all(verdict.math and verdict.trust == "trusted" for verdict in await client.verify_xml(message)):
                    raise RuntimeError("a right signature was judged wrong")

        await client.verify_xml(message)
        here, there, began = time.process_time(), cpu_of(pid), time.perf_counter()
        await asyncio.gather(*[ask() for _ in range(AT_ONCE)])
        spent = time.perf_counter() - began
        cpu = (time.process_time() - here) / COUNT * 1e6, (cpu_of(pid) - there) / COUNT * 1e6
        await client.close()
    return COUNT / spent, *cpu


def told(gost: GostEngine, message: bytes, url: str, pid: int) -> None:
    """Measure in interleaved rounds and print both lines."""
    bare = arithmetic(gost)
    floor, ours, asked, here, there = [], [], [], [], []
    for _ in range(PAIRS):
        floor.append(rate(bare))
        ours.append(rate(lambda: verify_message(soap_message(message), gost)))
        service = uvloop.run(through_service(url, pid, message))
        for values, value in zip((asked, here, there), service, strict=True):
            values.append(value)
        tell(f"verify: {ours[-1]:.0f}/s in process, {asked[-1]:.0f}/s through the service")
    shared: dict[str, Any] = {
        "bytes": len(message),
        "signatures": 2,
        "pairs": PAIRS,
        "settings": {"library": versions("lxml", "asn1crypto", "aiohttp"), "at_once": AT_ONCE},
    }
    ratios = [mine / least for mine, least in zip(ours, floor, strict=True)]
    report(
        "verify", median(ours), "messages/s of CPU", baseline=median(floor), ratio=median(ratios), n=COUNT,
        spread=spread(ours), **shared, bar="printed",
    )  # fmt: skip
    ratios = [by_http / mine for by_http, mine in zip(asked, ours, strict=True)]
    report(
        "verify-service", median(asked), "messages/s", baseline=median(ours), ratio=median(ratios), n=COUNT,
        spread=spread(asked), cpu_us={"worker": round(median(here)), "service": round(median(there))}, **shared,
        bar="printed",
    )  # fmt: skip


def main() -> None:
    """Start the reference service and measure."""
    gost = GostEngine.open()
    make_keys(KEYS, gost)
    message = answer(gost)
    command = [sys.executable, "-m", "simulators.sign_service", "--port", "0", "--keys", str(KEYS)]
    environment = clean_environment(PYTHONPATH=str(PROJECT))
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE) as service:  # noqa: S603 — ours
        try:
            if service.stdout is None or not (line := service.stdout.readline()):
                raise RuntimeError("the signing service did not start")
            told(gost, message, json.loads(line)["url"], service.pid)
        finally:
            service.terminate()


if __name__ == "__main__":
    main()
