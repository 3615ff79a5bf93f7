"""The worker's CPU for a whole zhkh exchange against a bare aiohttp loop that makes five calls of the same bytes.

Signing service and simulator are real while the bytes are recorded; then one light process answers in their stead, the
worker and the bare loop alike (bench/_recorder.py). Only the processor time of worker and loop counts. All commands are
in the queue at once and 64 calls may run at once; the bare loop makes its calls one by one (``baseline``), or fifty
loops run at once (``ratio_at_once``).
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import urllib.request
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import uvloop
from _bare_calls import KINDS
from _load import Queues
from _outside import Outside
from _stand import PAIRS, PLACE, Process, Stand, median, report, spread, tell, versions

from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.xml.parser import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COUNT = int(os.environ.get("BENCH_COUNT", "300"))
ACTION = "zhkh-debt-requests"
SECONDS = 180.0
#: ЭП-СП, and ЭП-ОВ of request, poll and Ack.
_SIGNATURES = 4


def command() -> bytes:
    """Return the seed's first example under a transport id of its own."""
    fresh = copy.deepcopy(dict(EXAMPLES[0].request))
    fresh["actions"][0]["transport_id"] = str(uuid4())
    return json.dumps(fresh, ensure_ascii=False).encode()


def call(url: str, method: str = "GET", data: bytes | None = None) -> bytes:
    """Ask the recorder."""
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 — our own process
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 — same
        return bytes(answer.read())


def bare_bytes(calls: Mapping[str, list[list[str]]]) -> dict[str, tuple[bytes, bytes]]:
    """Make five calls of what one exchange sent and got: its four signatures travel in one batch.

    Empty while one of them is not recorded.
    """
    plain = {
        kind: [(base64.b64decode(sent), base64.b64decode(got)) for sent, got in made] for kind, made in calls.items()
    }
    signed: dict[str, tuple[Any, Any]] = {}
    for sent, got in plain.get("sign", ()):
        for asked, answered in zip(json.loads(sent)["items"], json.loads(got)["items"], strict=True):
            # Polls share a signature for a while, and idle ones need theirs: one belongs to the exchange.
            signed.setdefault(parse(base64.b64decode(asked["content"])).tag, (asked, answered))
    if len(signed) != _SIGNATURES or not plain.keys() >= set(KINDS):
        return {}
    five = {kind: plain[kind][0] for kind in KINDS if kind != "sign"}
    five["sign"] = (_batch(asked for asked, _ in signed.values()), _batch(got for _, got in signed.values()))
    return five


def _batch(items: Iterable[Any]) -> bytes:
    return json.dumps({"items": list(items)}).encode()


class Neighbours:
    """Signing service, simulator and, between them and the adapter, the recorder."""

    def __init__(self, stand: Stand) -> None:
        """Start them."""
        self.keys = PLACE / "keys"
        stand.spawn(["-m", "simulators.keys", str(self.keys)]).child.wait(60)
        sign = _ready(stand.spawn(["-m", "simulators.sign_service", "--port", "0", "--keys", str(self.keys)]))
        smev = _ready(stand.spawn(["-m", "simulators.smev3", "--port", "0", "--keys", str(self.keys)]))
        self.url = _ready(stand.spawn(["bench/_recorder.py"], {"BENCH_SIGN": sign, "BENCH_SMEV": smev}))

    def variables(self) -> dict[str, str]:
        """Return the adapter's variables that lead to them."""
        tokens = json.loads((self.keys / "tokens.json").read_text(encoding="utf-8"))
        return {
            "SERVICES": ACTION,
            "SMEV_SERVICE": f"{self.url}/smev/v1.2/ws",
            "SMEV_TRUST": str(self.keys / "ca.crt.pem"),
            "SMEV_POLL_MAX": "1",
            "USE_PERSONAL_SIGNATURE": "true",
            "SIGN_SERVICE": self.url,
            "SIGN_TOKEN_OV": tokens["ov"],
            "SIGN_TOKEN_SP": tokens["sp"],
        }

    def calls(self) -> dict[str, Any]:
        """Return what was called since the last reset."""
        said: dict[str, Any] = json.loads(call(f"{self.url}/_bench/calls"))
        return said

    def play(self) -> None:
        """Answer in the stead of signing service and simulator from now on."""
        call(f"{self.url}/_bench/play", "POST", b"")

    def reset(self) -> None:
        """Forget what was called."""
        call(f"{self.url}/_bench/reset", "POST", b"")


def _ready(process: Process) -> str:
    return str(json.loads(process.wait_line('"ready"'))["url"])


async def run(outside: Outside, queues: Queues, count: int) -> None:
    """Publish fresh commands, all at once, and wait for every reply."""
    outside.expect(count)
    await asyncio.gather(*(outside.publish(queues.commands, queues.replies, command()) for _ in range(count)))
    await outside.finish(SECONDS)


def bare(stand: Stand, neighbours: Neighbours, **environment: str) -> dict[str, float]:
    """Run the bare loop in a process of its own."""
    variables = {"BENCH_URL": neighbours.url, "BENCH_FOLDER": str(PLACE / "calls"), "BENCH_COUNT": str(COUNT)}
    loop = stand.spawn(["bench/_bare_calls.py"], variables | environment)
    loop.child.wait(SECONDS)
    said: dict[str, float] = json.loads(loop.wait_line("one_by_one"))
    return said


async def main() -> None:
    """Record one exchange, then measure in interleaved pairs."""
    ours: list[float] = []
    loops: list[dict[str, float]] = []
    counts: dict[str, int] = {}
    with Stand.open() as stand:
        async with Outside.open(stand) as outside:
            queues = await Queues.declare(outside, ACTION)
            await outside.listen(queues.replies)
            neighbours = Neighbours(stand)
            variables = stand.adapter_environment(stand.database(), queues.prefix) | neighbours.variables()
            adapter = stand.spawn(["-m", "adapter", "run"], variables)
            adapter.wait_line("adapter consumes")
            await run(outside, queues, 20)
            neighbours.reset()
            await run(outside, queues, 1)
            recorded = await _record(neighbours)
            neighbours.play()
            await run(outside, queues, 50)
            for pair in range(PAIRS):
                neighbours.reset()
                before = adapter.cpu()
                await run(outside, queues, COUNT)
                ours.append((adapter.cpu() - before) / COUNT * 1e6)
                for kind, number in neighbours.calls()["counts"].items():
                    counts[kind] = counts.get(kind, 0) + number
                loops.append(bare(stand, neighbours))
                tell(
                    f"pair {pair + 1} of {PAIRS}: exchange {ours[-1]:.0f} us,"
                    f" five bare calls {loops[-1]['one_by_one']:.0f} us"
                )
            quick = bare(stand, neighbours, BENCH_LOOP="uvloop")
            _report(
                ours,
                loops,
                quick,
                {kind: round(number / PAIRS / COUNT, 2) for kind, number in counts.items()},
                recorded,
            )


async def _record(neighbours: Neighbours) -> dict[str, int]:
    """Keep the five calls for the bare loop; return the bytes sent of each. The Ack follows the reply."""
    async with asyncio.timeout(30):
        while not (five := bare_bytes(neighbours.calls()["calls"])):  # noqa: ASYNC110 — another process tells nothing
            await asyncio.sleep(0.1)
    folder = PLACE / "calls"
    folder.mkdir(exist_ok=True)
    for kind, (sent, got) in five.items():
        (folder / kind).write_bytes(sent)
        call(f"{neighbours.url}/_replay/{kind}", "PUT", got)
    return {kind: len(sent) for kind, (sent, _) in five.items()}


def _report(
    ours: list[float],
    loops: list[dict[str, float]],
    quick: dict[str, float],
    counts: dict[str, float],
    recorded: dict[str, int],
) -> None:
    ratios = [mine / loop["one_by_one"] for mine, loop in zip(ours, loops, strict=True)]
    at_once = [mine / loop["fifty_at_once"] for mine, loop in zip(ours, loops, strict=True)]
    report(
        "exchange",
        median(ours),
        "CPU us/exchange",
        baseline=median([loop["one_by_one"] for loop in loops]),
        ratio=median(ratios),
        n=COUNT,
        pairs=PAIRS,
        ratios=spread(ratios),
        ratio_at_once=round(median(at_once), 2),
        baseline_fifty_at_once=round(median([loop["fifty_at_once"] for loop in loops])),
        baseline_on_uvloop={name: round(value) for name, value in quick.items()},
        calls_per_exchange=counts,
        baseline_bytes=recorded,
        settings={
            "fsync": "on",
            "signatures": "ЭП-СП, ЭП-ОВ of request, poll and Ack",
            "library": versions("aiohttp", "aiormq", "asyncpg", "lxml", "uvloop"),
            "baseline_library": versions("aiohttp") + ", asyncio, one by one",
            "at_once": f"{COUNT} commands in the queue",
        },
        bar="ratio <= 2.5, goal 2.0",
    )


if __name__ == "__main__":
    uvloop.run(main())
