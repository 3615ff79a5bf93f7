"""Following of 10,000 orders of ЕПГУ by the real worker: requests for each order that changes, and CPU while none does.

``value`` is how many requests to ЕПГУ a changed order costs, from its change to the end of the overlap in which pages
still list it; ``baseline`` is the least there can be, one reading of its details. ``cpu_ms_per_poll`` is what the
worker spends from one getUpdatedAfter to the next while nothing changes, with a tenth of the orders and with all.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import uvloop
from _stand import PAIRS, PLACE, Process, Stand, median, report, tell, versions

from adapter.broker.codec import write_properties
from adapter.gateways.epgu.follow_news import status_key

if TYPE_CHECKING:
    from collections.abc import Mapping

ORDERS = int(os.environ.get("BENCH_ORDERS", "10000"))
CHANGED = ORDERS // 10
POLL, OVERLAP = 0.5, 5.0
#: Seconds of one look at an unchanged world.
_QUIET = 3.0
_LIMIT = 10**6

_ROWS = """
with orders as (
    select {first} + n as order_id, gen_random_uuid() as id from generate_series(0, {count} - 1) n
), begun as (
    insert into exchanges (
        id, action, source, state, deadline, fingerprint, settled, finished_at, replies, gateway, gateway_id
    )
    select id, 'epgu.order.submit', 'bench', 'replied', now(), ''::bytea, true, now(), 1, 'epgu', id::text from orders
), kept as (
    insert into incoming (id, body, body_sha256, body_size, properties)
    select id, '{{}}'::bytea, ''::bytea, 2, '\\x{properties}'::bytea from orders
)
insert into epgu_followed (order_id, exchange_id, who, stage, told)
select order_id, id, '{{}}', 'statuses', array['{told}'] from orders;
analyze epgu_followed; analyze exchanges; analyze incoming;
"""
_ENDED = "update epgu_followed set stage = 'ended' where order_id >= {rest}"


@dataclass
class World:
    """The worker, its database and the simulator's side door."""

    stand: Stand
    database: str
    worker: Process
    side: aiohttp.ClientSession

    async def say(self, path: str, body: Mapping[str, Any]) -> Any:
        """Tell the simulator something."""
        async with self.side.post(f"/_sim/{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.status == 201 else None

    async def calls(self) -> dict[str, int]:
        """Return how often each operation was called so far."""
        async with self.side.get("/_sim/counts") as answer:
            told: dict[str, int] = (await answer.json())["operations"]
        return told

    async def quiet_poll(self) -> float:
        """Return CPU milliseconds of the worker for each poll while nothing changes."""
        await asyncio.sleep(POLL)
        polls, cpu = (await self.calls()).get("updated-after", 0), running(self.worker.pid)
        await asyncio.sleep(_QUIET)
        done = (await self.calls())["updated-after"] - polls
        return (running(self.worker.pid) - cpu) * 1e3 / done

    def ask(self, question: str) -> str:
        """Ask the database."""
        return self.stand.ask(self.database, question)


def running(pid: int) -> float:
    """Return the seconds that all threads of a process have run so far; finer than its clock ticks."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


async def change(world: World, orders: list[int]) -> tuple[dict[str, int], float]:
    """Change orders, wait until each is told and the overlap is over; return the calls and the seconds until told."""
    before, began = await world.calls(), time.perf_counter()
    await world.say("orders/statuses", {"order_ids": orders, "status_id": 6})
    while int(world.ask("select count(*) from outbox where kind = 'event' and state = 'sent'")) < len(orders):
        world.worker.must_live()
        await asyncio.sleep(0.2)
    told = time.perf_counter() - began
    await asyncio.sleep(OVERLAP + 2 * POLL)
    after = await world.calls()
    return {name: after.get(name, 0) - before.get(name, 0) for name in ("details", "updated-after", "statuses")}, told


async def measure(world: World) -> None:
    """Look at a quiet world, a tenth and the whole in turn, then change a tenth."""
    made = await world.say(
        "orders",
        {
            "client_id": "MNEMONIKA",
            "oid": "1000000101",
            "service_code": "10000000113",
            "count": ORDERS,
            "statuses": [{"status_id": 17, "after": 86_400}],
        },
    )
    first = made["order_ids"][0]
    properties = write_properties(message_id=b"bench", message_type=b"epgu.order.submit", correlation_id=b"bench").hex()
    async with world.side.get("/_sim/orders", params={"order_id": first}) as answer:
        (known,) = (await answer.json())[0]["statuses"]
    told = status_key(known["status_id"], known["at"])
    world.ask(_ROWS.format(first=first, count=ORDERS, properties=properties, told=told))
    some, all_of_them = [], []
    for pair in range(min(PAIRS, 3)):
        world.ask(_ENDED.format(rest=first + CHANGED))
        some.append(await world.quiet_poll())
        world.ask("update epgu_followed set stage = 'statuses'")
        all_of_them.append(await world.quiet_poll())
        tell(f"pair {pair + 1}: {CHANGED} orders {some[-1]:.1f} ms a poll, {ORDERS} orders {all_of_them[-1]:.1f} ms")
    calls, seconds = await change(world, made["order_ids"][:CHANGED])
    requests = sum(calls.values()) / CHANGED
    tell(f"{CHANGED} changes told in {seconds:.1f} s by {calls}")
    report(
        "epgu-follow",
        requests,
        "requests per changed order",
        baseline=1.0,
        ratio=requests,
        n=ORDERS,
        changed=CHANGED,
        calls=calls,
        told_in_s=round(seconds, 1),
        cpu_ms_per_poll={str(CHANGED): round(median(some), 2), str(ORDERS): round(median(all_of_them), 2)},
        cpu_ratio=round(median([more / less for more, less in zip(all_of_them, some, strict=True)]), 2),
        settings={
            "poll_s": POLL,
            "overlap_s": OVERLAP,
            "reconcile": f"off; it costs {-(-ORDERS // 50)} requests of 50 orders",
            "library": versions("aiohttp", "asyncpg"),
        },
        bar="printed; cpu_ratio <= 1.5",
    )


async def main() -> None:
    """Start everything and measure."""
    with Stand.open() as stand:
        keys = PLACE / "keys"
        stand.spawn(["-m", "simulators.keys", str(keys)]).child.wait(60)
        common = ["--port", "0", "--keys", str(keys)]
        signing, portal = (
            json.loads(stand.spawn(["-m", f"simulators.{name}", *common]).wait_line('"ready"'))["url"]
            for name in ("sign_service", "epgu")
        )
        files = PLACE / "files"
        files.mkdir(exist_ok=True)
        database, token = stand.database(), json.loads((keys / "tokens.json").read_bytes())["ov"]
        async with aiohttp.ClientSession(portal) as side:
            limits = {f"limit_{name}": _LIMIT for name in ("minute", "hour")}
            async with side.post("/_sim/settings", json=limits) as answer:
                answer.raise_for_status()
            variables = stand.adapter_environment(database, "bench.follow.") | {
                "SERVICES": "epgu.order.submit",
                "SIGN_SERVICE": signing,
                "SIGN_TOKEN_OV": token,
                "EPGU_URL": portal,
                "ESIA_URL": portal,
                "ESIA_API_KEYS": "head=11111111-1111-4111-8111-111111111111",
                "FILES_ROOT": str(files),
                "EPGU_LIMIT_MINUTE": str(_LIMIT),
                "EPGU_LIMIT_HOUR": str(_LIMIT),
                "EPGU_FOLLOW_POLL": str(POLL),
                "EPGU_FOLLOW_OVERLAP": str(OVERLAP),
                "EPGU_FOLLOW_RECONCILE": "604800",
            }
            worker = stand.spawn(["-m", "adapter", "run"], variables)
            worker.wait_line("adapter consumes")
            await measure(World(stand, database, worker, side))


if __name__ == "__main__":
    uvloop.run(main())
