"""Постаматы on real processes: a change is made once, two lockers end in one state, a call is never repeated."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest

from adapter.faultpoints import VARIABLE
from deploy.local.processes import remembered_ports
from simulators.postamat.app import make_app
from tests.contract.sign_service_stand import serving
from tests.faults.conftest import ADAPTER, later
from tests.faults.test_broker_away import operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.faults.conftest import Yard

TOKEN = "a-token-of-sixteen-or-more"
ADD, ALLOW, REGISTER, GET = (
    f"postamat.{name}" for name in ("directory.add", "service.allow", "case.register", "case.get")
)
DURABLE = {"x-queue-type": "quorum"}
COMMAND_QUEUE = {
    **DURABLE,
    "x-dead-letter-exchange": "",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-delivery-limit": 1_000_000,
}


class Upstream:
    """Sends commands, keeps the replies by message_id and the events as they come."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, prefix: str, replies: str) -> None:
        """Publish to queues of ``prefix``, take replies from ``replies``."""
        self._channel = channel
        self._prefix = prefix
        self._replies = replies
        self.outcomes: dict[str, list[bytes]] = {}
        self.events: list[dict[str, Any]] = []
        self.news = asyncio.Condition()

    async def on_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self.news:
            self.outcomes.setdefault(message.correlation_id or "", []).append(message.body)
            self.news.notify_all()

    async def on_event(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self.news:
            self.events.append({"name": message.routing_key, **json.loads(message.body)})
            self.news.notify_all()

    async def publish(self, action: str, body: dict[str, Any], **headers: str) -> str:
        name = str(uuid4())
        message = aio_pika.Message(
            json.dumps(body).encode(),
            message_id=name,
            reply_to=self._replies,
            headers=headers,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._channel.default_exchange.publish(message, f"{self._prefix}{action}", mandatory=True, timeout=10)
        return name

    async def ask(self, action: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        name = await self.publish(action, body, **headers)
        await self.until(lambda: name in self.outcomes)
        outcome: dict[str, Any] = json.loads(self.outcomes[name][0])
        return outcome

    async def until(self, condition: Any, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(condition)


@asynccontextmanager
async def upstream(yard: Yard, actions: Sequence[str] = ()) -> AsyncIterator[Upstream]:
    """``actions`` have their queues before the first worker is there."""
    prefix = yard.environment["MQ_PREFIX"]
    async with operator(yard) as channel:
        replies = await channel.declare_queue(f"{prefix}answers", durable=True, arguments=DURABLE)
        returned = {"x-dead-letter-routing-key": f"{prefix}adapter.returned"}
        for action in actions:
            await channel.declare_queue(f"{prefix}{action}", durable=True, arguments=COMMAND_QUEUE | returned)
        found = Upstream(channel, prefix, replies.name)
        await replies.consume(found.on_reply, no_ack=True)
        yield found


@pytest.fixture
def portal(yard: Yard) -> Yard:
    yard.environment |= {
        "SERVICES": "postamat.*",
        "MQ_PREFETCH": "10",
        "POSTAMAT_TOKEN": TOKEN,
        "POSTAMAT_LISTEN": "off",
    }
    return yard


def locker(number: int) -> dict[str, Any]:
    return {"number": str(number), "address": "Калуга", "departments": ["ТОСП-1"], "storage_days": 3}


async def assert_each_was_added_once(portal: Yard, system: Upstream, names: Sequence[str]) -> None:
    await system.until(lambda: set(names) <= set(system.outcomes))
    await portal.quiet()
    outcomes = [json.loads(body) for name in names for body in set(system.outcomes[name])]
    # An addition made twice would be answered by ADAPTER-POSTAMAT-LOCKER-EXISTS.
    assert sorted(one["result"]["number"] for one in outcomes) == sorted(map(str, range(1, len(names) + 1)))
    assert await portal.ask("select count(*) from lockers") == len(names)


@pytest.mark.parametrize("point", [later("journal"), "outbox", later("publish"), later("mark")])
async def test_a_worker_killed_at_this_point_changes_the_registers_once(portal: Yard, point: str) -> None:
    async with upstream(portal, [ADD]) as system:
        names = [await system.publish(ADD, locker(number)) for number in range(1, 5)]
        async with portal.worker(ADAPTER, ready="", **{VARIABLE: f"{point}:2"}) as victim:
            assert await victim.ended(60) == -signal.SIGKILL
        await portal.bury(victim)
        async with portal.worker(ADAPTER):
            await assert_each_was_added_once(portal, system, names)


async def test_a_worker_killed_inside_the_transaction_leaves_nothing_and_the_next_one_does_all(portal: Yard) -> None:
    async with upstream(portal, [ADD]) as system:
        async with portal.worker(ADAPTER) as victim:
            hand = await portal.connect()
            try:
                # The register's row is written; the outcome's, in the same transaction, has to wait for this hand.
                await hand.execute("begin")
                await hand.execute("lock table proof in share mode")
                names = [await system.publish(ADD, locker(1))]
                await portal.eventually(
                    "select exists (select 1 from pg_locks l join pg_class c on c.oid = l.relation"
                    " where c.relname = 'lockers' and l.mode = 'RowExclusiveLock' and l.granted)"
                )
                assert await portal.ask("select count(*) from lockers") == 0
                await portal.kill(victim)
            finally:
                await hand.close()
        async with portal.worker(ADAPTER):
            await assert_each_was_added_once(portal, system, names)


async def put(url: str, session: aiohttp.ClientSession, casenum: str, number: str) -> tuple[int, dict[str, str]]:
    query = {
        "casenum": casenum,
        "postamatid": number,
        "timestamp": str(int(time.time())),
        "token": TOKEN,
        "userid": "1139",
        "cellid": "10",
    }
    async with session.get(f"{url}/rest-api/postamat/put-case", params=query) as answer:
        return answer.status, await answer.json()


async def test_two_lockers_at_the_same_moment_on_two_workers_end_in_one_state(portal: Yard, tmp_path: Path) -> None:
    ports = remembered_ports(tmp_path / "ports.json", ["one", "two"])
    urls = [f"http://127.0.0.1:{port}" for port in ports.values()]
    listen = [{"POSTAMAT_LISTEN": f"127.0.0.1:{port}"} for port in ports.values()]
    cases = [f"1.26-{number}" for number in range(12)]
    async with (
        portal.worker(ADAPTER, **listen[0]),
        portal.worker(ADAPTER, **listen[1]),
        upstream(portal) as system,
        operator(portal) as channel,
        aiohttp.ClientSession() as session,
    ):
        prefix = portal.environment["MQ_PREFIX"]
        for name in ("postamat.case-moved", "postamat.case-overdue"):
            await (await channel.get_queue(f"{prefix}{name}")).consume(system.on_event, no_ack=True)
        for number in (1, 2):
            rehearsed = await system.ask(ADD, locker(number), **{"x-dry-run": "true"})
            assert rehearsed == {"result": {"dry_run": True}}
            assert "result" in await system.ask(ADD, locker(number))
        for casenum in cases:
            case = {"casenum": casenum, "service": "passport", "department": "ТОСП-1", "phone": "89185555554"}
            assert "result" in await system.ask(REGISTER, case)
        answers = await asyncio.gather(
            *(put(url, session, casenum, str(n)) for casenum in cases for n, url in enumerate(urls, start=1))
        )
        await system.until(lambda: len(system.events) >= len(cases))
        for casenum, pair in zip(cases, zip(answers[::2], answers[1::2], strict=True), strict=True):
            assert sorted(status for status, _ in pair) == [200, 400]
            assert {body.get("name") for _, body in pair} == {None, "Wrong step"}
            known = (await system.ask(GET, {"casenum": casenum}))["result"]
            winner = "1" if pair[0][0] == 200 else "2"
            assert (known["state"], known["place"], len(known["movements"])) == ("В постамате", winner, 1)
            (told,) = [event for event in system.events if event["casenum"] == casenum]
            assert (told["name"], told["postamatid"]) == ("postamat.case-moved", winner)
        # Both workers look for what lies too long; each case is told of once in its life.
        await portal.ask("update locker_cases set put_at = put_at - interval '4 days'")
        await system.until(lambda: sum(one["name"] == "postamat.case-overdue" for one in system.events) >= len(cases))
        await portal.quiet()
        told_of = [one["casenum"] for one in system.events if one["name"] == "postamat.case-overdue"]
        assert sorted(told_of) == sorted(cases)
        assert await portal.ask("select count(*) from exchanges where action = 'postamat.call'") == len(cases)
        of_one_case = (
            "select array_agg(distinct action order by action) from exchanges join subjects s on s.exchange_id = id"
        )
        known = [GET, REGISTER, "postamat.call", "postamat.case-overdue"]
        assert await portal.ask(f"{of_one_case} where subject = $1", cases[0]) == sorted(known)


async def test_calls_of_a_portal_are_answered_as_it_answers_and_a_lost_answer_is_never_asked_for_again(
    portal: Yard,
) -> None:
    portal.environment |= {"POSTAMAT_MODE": "client"}
    app = make_app([TOKEN], unknown_cases=True)
    async with serving(app) as root, aiohttp.ClientSession() as session, upstream(portal) as system:
        url = root.rstrip("/")
        async with portal.worker(ADAPTER, POSTAMAT_URL=url):
            move = {"casenum": "1.26-1", "postamatid": "1", "userid": "2", "cellid": "003"}
            saved = {"result": {"status": "ok", "message": "Сохранено"}}
            assert await system.ask("postamat.put-case", move) == saved
            assert (await system.ask("postamat.put-case", move))["error"]["error_code"] == "Wrong state"
            async with session.post(f"{url}/_sim/scenario", json={"drop": "after", "times": 1}) as rule:
                assert rule.status == 201
            assert (await system.ask("postamat.issue", move))["error"]["error_code"] == "ADAPTER-UNCERTAIN"
            assert (await system.ask("postamat.issue", move | {"cellid": "x"}))["error"]["fields"][0][
                "path"
            ] == "cellid"
            async with session.get(f"{url}/_sim/ledger") as answer:
                calls = [(entry["operation"], entry["cellid"], entry["outcome"]) for entry in await answer.json()]
    assert calls == [
        ("put-case", "003", "accepted"),
        ("put-case", "003", "refused"),
        ("issue", "003", "accepted"),
    ]
    kept = await portal.ask("select string_agg(encode(coalesce(data, ''), 'escape'), '') from proof")
    assert "casenum=1.26-1" in kept
    assert TOKEN not in kept
