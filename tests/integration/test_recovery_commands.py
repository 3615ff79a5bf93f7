"""The commands of operators, on the real journal and broker: typed as a person types them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import orjson
import pytest
import structlog

from adapter import cli
from adapter.broker.codec import write_properties
from adapter.errors import Code, KnownError
from adapter.exchange import Repeat, Unanswered
from adapter.journal.journal import DatabaseAddress
from adapter.journal.migrate import migrate
from adapter.recovery.dead import replay_command
from adapter.recovery.environment import Operator
from tests.integration.test_recovery import leave_behind, submitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Database
    from tests.integration.conftest import House


def configured(database: Database) -> dict[str, Any]:
    parts = ("host", "port", "user", "password")
    return {name: getattr(database, name) for name in parts} | {"database": database.name}


@dataclass
class Done:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


class Desk:
    """An operator at the command line, with the variables of the running worker."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Output is read through ``capfd``."""
        self._capfd = capfd

    async def type(self, *words: str) -> Done:
        """Run one command in a thread: it has a loop of its own, as from a shell."""
        self._capfd.readouterr()
        try:
            code = await asyncio.to_thread(cli.main, words)
        except SystemExit as wrong_use:  # argparse speaks so
            code = int(wrong_use.code or 0)
        said = self._capfd.readouterr()
        return Done(code, said.out, said.err)


@pytest.fixture
def desk(house: House, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    for name in ("DATABASE_", "MQ_", "CA_", "CLIENT_"):
        for key, value in house.environment.items():
            if key.startswith(name):
                monkeypatch.setenv(key, value)
    # A command speaks on stdout and logs on stderr; the worker in this process would log among its words.
    monkeypatch.setattr("adapter.recovery.door.configure", lambda *_, **__: None)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield Desk(capfd)
    structlog.configure(**before)


async def bury(house: House, action: str, *, died_in: str = "received", **more: Any) -> UUID:
    """Journal a dead command as the pipeline leaves one behind: outcome, first reply counted, proof of its end."""
    error = {"error": {"error_code": "ADAPTER-DEAD", "description": "Команда остановлена до разбора оператором"}}
    row = {"owner": None, "outcome": orjson.dumps(error), "outcome_code": "ADAPTER-DEAD", "replies": 1}
    row |= {"finished_at": datetime.now(UTC), "crash_attempts": 4, "message_id": str(uuid4())}
    exchange_id = await leave_behind(house, action, "dead", **(row | more))
    await fact(house, exchange_id, "outcome", {"from": died_in, "state": "dead", "code": "ADAPTER-DEAD"})
    return exchange_id


async def fact(house: House, exchange_id: UUID, kind: str, meta: Any, **more: Any) -> None:
    await house.database.execute(
        "insert into proof (exchange_id, kind, message_id, data, content, meta) values ($1, $2, $3, $4, $5, $6)",
        exchange_id,
        kind,
        more.get("message_id"),
        more.get("data"),
        more.get("content"),
        orjson.dumps(meta),
    )


async def state(house: House, exchange_id: UUID) -> str:
    return str(await house.database.fetchval("select state from exchanges where id = $1", exchange_id))


async def kinds(house: House, exchange_id: UUID) -> list[str]:
    rows = await house.database.fetch("select kind from proof where exchange_id = $1 order by at", exchange_id)
    return [row["kind"] for row in rows]


async def meta(house: House, exchange_id: UUID, kind: str) -> Any:
    return orjson.loads(
        await house.database.fetchval(
            "select meta from proof where exchange_id = $1 and kind = $2 order by at desc limit 1", exchange_id, kind
        )
    )


async def park(house: House, queue: str, **more: Any) -> UUID:
    """Journal a reply that no queue took, whose next try by a worker is far away."""
    row = {
        "id": uuid4(),
        "exchange_id": uuid4(),
        "kind": "reply",
        "target": "",
        "routing_key": queue,
        "message_id": "the-parked-reply",
        "body": b'{"result":{"owner_name":"Secret"}}',
        "properties": write_properties(message_id=b"the-parked-reply", message_type=b"echo", correlation_id=b"c"),
        "state": "parked",
        "reason": "unroutable",
        "attempts": 3,
        "next_at": datetime.now(UTC) + timedelta(hours=1),
    } | more
    names, places = ", ".join(row), ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await house.database.execute(f"insert into outbox ({names}) values ({places})", *row.values())  # noqa: S608
    return row["id"]


async def test_dead_commands_and_parked_replies_are_listed_by_action_code_time_and_id(house: House, desk: Desk) -> None:
    old = await bury(house, "echo", finished_at=datetime.now(UTC) - timedelta(hours=5))
    new = await bury(house, "call", outcome_code="ADAPTER-INTERNAL", died_in="submitting")
    reply = await park(house, "nobody", exchange_id=new)

    async def listed(*words: str) -> list[str]:
        return [row["id"] for row in (await desk.type("dead", "list", "--json", *words)).json]

    assert await listed() == [str(old), str(new), str(reply)]
    assert await listed("--action", "echo") == [str(old)]
    assert await listed("--action", "call") == [str(new), str(reply)]
    assert await listed("--code", "ADAPTER-INTERNAL") == [str(new)]
    assert await listed("--code", "unroutable") == [str(reply)]
    assert await listed("--since", "2h") == [str(new), str(reply)]
    assert await listed("--until", (datetime.now(UTC) - timedelta(hours=1)).isoformat()) == [str(old)]
    assert await listed("--id", str(old), "--id", str(reply)) == [str(old), str(reply)]
    text = (await desk.type("dead", "list")).out.splitlines()
    assert text[0].split()[:4] == ["WHAT", "ID", "ACTION", "CODE"]
    assert "died in received, 4 crash attempts" in text[1]
    assert "to nobody, next try" in text[3]


async def test_an_empty_list_says_so(desk: Desk) -> None:
    assert await desk.type("dead", "list") == Done(0, "nothing is dead or parked\n", "")


async def test_show_masks_contents_until_a_reason_is_given_and_journals_the_reason(house: House, desk: Desk) -> None:
    body = orjson.dumps({"owner_name": "Secretov", "rooms": 3, "flags": [True, None]})
    exchange_id = await bury(house, "echo", body=body, body_size=len(body), died_in="answered")
    masked = await desk.type("dead", "show", str(exchange_id))
    assert "Secretov" not in masked.out
    assert '"owner_name": "<text, 8 characters>"' in masked.out
    assert "ADAPTER-DEAD" in masked.out
    assert f"{len(body)} B" in masked.out
    assert await kinds(house, exchange_id) == ["outcome"]
    shown = await desk.type("dead", "show", str(exchange_id), "--reveal", "asked by the inspector", "--json")
    assert shown.json["body"]["owner_name"] == "Secretov"
    assert shown.json["died_in"] == "answered"
    revealed = await meta(house, exchange_id, "revealed")
    assert revealed["reason"] == "asked by the inspector"
    assert revealed["by"]


async def test_show_of_a_parked_reply_masks_its_body_too(house: House, desk: Desk) -> None:
    reply = await park(house, "nobody")
    assert "Secret" not in (await desk.type("dead", "show", str(reply))).out
    shown = await desk.type("dead", "show", str(reply), "--reveal", "checked", "--json")
    assert shown.json["body"] == {"result": {"owner_name": "Secret"}}
    assert shown.json["routing_key"] == "nobody"


async def test_show_of_what_is_not_dead_names_its_state(house: House, desk: Desk) -> None:
    await house.upstream.ask("echo", {"a": 1}, message_id="done-before")
    done = await desk.type("dead", "show", "done-before")
    assert done.code == 1
    assert "replied" in done.err


async def test_a_replayed_command_is_run_once_by_a_worker_and_answered_as_late(house: House, desk: Desk) -> None:
    exchange_id = await bury(house, "echo")
    done = await desk.type("dead", "replay", str(exchange_id), "--reason", "the disk is repaired")
    assert done.code == 0, done.err
    reply = await house.upstream.reply()
    assert orjson.loads(reply.body) == {"result": {"left": "behind"}}
    assert reply.headers["x-adapter-late"] is True
    assert reply.headers["x-adapter-command-id"] == str(exchange_id)
    assert await state(house, exchange_id) == "replied"
    assert house.services["echo"].started == 1
    replayed = await meta(house, exchange_id, "replayed")
    assert (replayed["reason"], replayed["code"], replayed["crash_attempts"]) == (
        "the disk is repaired",
        "ADAPTER-DEAD",
        4,
    )
    assert await house.database.fetchval("select count(*) from exchanges") == 1


async def test_the_outcome_of_before_the_replay_is_kept_as_proof(house: House, desk: Desk) -> None:
    exchange_id = await bury(house, "echo")
    await desk.type("dead", "replay", str(exchange_id))
    await house.upstream.reply()
    kept = await house.database.fetchval(
        "select data from proof where exchange_id = $1 and kind = 'replayed'", exchange_id
    )
    assert orjson.loads(kept)["error"]["error_code"] == "ADAPTER-DEAD"


async def test_a_call_that_may_have_left_goes_on_under_its_own_id_when_replayed(house: House, desk: Desk) -> None:
    call = submitted()
    exchange_id = await bury(house, "call", died_in="submitting", **call)
    await fact(house, exchange_id, "request", {}, message_id=call["gateway_id"], data=b"exact bytes")
    done = await desk.type("dead", "replay", str(exchange_id))
    assert "by its repeat rule" in done.out
    prepared, earlier = await asyncio.wait_for(house.gateway.sent.get(), 15)
    assert (prepared.gateway_id, prepared.body, earlier) == (call["gateway_id"], b"exact bytes", 1)
    assert house.gateway.prepared == []


async def test_a_replayed_call_that_may_never_repeat_is_told_uncertain_and_not_sent(house: House, desk: Desk) -> None:
    house.gateway.repeat_rules["Send"] = Repeat.NEVER
    exchange_id = await bury(house, "call", died_in="submitting", **submitted())
    await fact(house, exchange_id, "request", {}, data=b"x")
    await desk.type("dead", "replay", str(exchange_id))
    assert orjson.loads((await house.upstream.reply()).body)["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    assert house.gateway.sent.empty()


async def test_a_replayed_call_whose_id_has_outlived_its_time_is_not_minted_anew(house: House, desk: Desk) -> None:
    house.gateway.id_lifetime = timedelta(hours=1)
    call = submitted(minted_at=datetime.now(UTC) - timedelta(hours=2))
    exchange_id = await bury(house, "call", died_in="submitting", **call)
    await fact(house, exchange_id, "request", {}, data=b"x")
    await desk.type("dead", "replay", str(exchange_id))
    assert orjson.loads((await house.upstream.reply()).body)["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    assert house.gateway.sent.empty()


async def test_an_unreadable_answer_is_read_again_when_replayed(house: House, desk: Desk) -> None:
    call = submitted()
    exchange_id = await bury(house, "call", died_in="answered", **call)
    answer = {"kind": "answer", "source": "scripted", "reference": call["gateway_id"], "verdicts": []}
    await fact(house, exchange_id, "answer", answer, message_id="k", data=b"raw", content=b'"readable now"')
    done = await desk.type("dead", "replay", str(exchange_id))
    assert "its answer is read again" in done.out
    assert orjson.loads((await house.upstream.reply()).body) == {"result": "readable now"}
    assert house.gateway.sent.empty()


async def test_a_repeat_that_comes_while_a_command_is_replayed_hears_the_new_outcome(house: House, desk: Desk) -> None:
    house.gateway.hold.clear()
    await house.upstream.publish("call", {"n": 1}, message_id="m1")
    await asyncio.wait_for(house.gateway.sent.get(), 15)
    (exchange_id,) = [row["id"] for row in await house.database.fetch("select id from exchanges")]
    house.gateway.script = lambda *_: Unanswered(KnownError(Code.GATEWAY_UNAVAILABLE))
    await house.database.execute(
        "update exchanges set state = 'dead', owner = null, outcome = $2, finished_at = now() where id = $1",
        exchange_id,
        b'{"error":{}}',
    )
    house.gateway.hold.set()
    await fact(house, exchange_id, "outcome", {"from": "submitting", "state": "dead"})
    await desk.type("dead", "replay", str(exchange_id))
    await house.upstream.publish("call", {"n": 1}, message_id="m1", correlation_id="the repeat")
    await house.eventually("select true from exchanges where repeat_of = $1", exchange_id)
    repeat = await house.database.fetchrow("select state, outcome from exchanges where repeat_of = $1", exchange_id)
    assert (repeat["state"], repeat["outcome"]) == ("waiting", None)


async def test_a_command_past_its_own_deadline_is_replayed_only_with_time_given(house: House, desk: Desk) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    section = write_properties(
        message_id=b"left",
        message_type=b"t",
        reply_to=house.upstream.queue.name.encode(),
        headers={"x-deadline": past.isoformat()},
    )
    exchange_id = await bury(house, "echo", deadline=past, properties=section)
    refused = await desk.type("dead", "replay", str(exchange_id))
    assert refused.code == 1
    assert "--deadline" in refused.err
    assert await state(house, exchange_id) == "dead"
    done = await desk.type("dead", "replay", str(exchange_id), "--deadline", "2h")
    assert done.code == 0, done.err
    assert "result" in orjson.loads((await house.upstream.reply()).body)


async def test_a_command_past_the_deadline_of_its_service_gets_the_same_time_again(house: House, desk: Desk) -> None:
    received = datetime.now(UTC) - timedelta(hours=3)
    exchange_id = await bury(house, "echo", received_at=received, deadline=received + timedelta(minutes=10))
    assert (await desk.type("dead", "replay", str(exchange_id))).code == 0
    assert "result" in orjson.loads((await house.upstream.reply()).body)
    assert (await meta(house, exchange_id, "replayed"))["span"] == 600


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(house: House, desk: Desk) -> None:
    exchange_id = await bury(house, "echo")
    late = await bury(
        house,
        "echo",
        deadline=datetime.now(UTC) - timedelta(hours=1),
        properties=write_properties(message_id=b"m", message_type=b"t", headers={"x-deadline": "2020-01-01T00:00:00Z"}),
    )
    reply = await park(house, house.upstream.queue.name)
    done = await desk.type("dead", "replay", "--all", "--dry-run")
    assert done.code == 1
    assert f"{exchange_id} would be handed to the workers: it is run again" in done.out
    assert f"{reply} reply would be published to {house.upstream.queue.name}" in done.out
    assert "2 would be replayed" in done.out
    assert f"{late} its x-deadline has passed" in done.err
    assert await state(house, exchange_id) == "dead"
    assert await house.database.fetchval("select state from outbox where id = $1", reply) == "parked"


async def test_all_that_a_filter_lets_through_is_replayed_at_a_rate(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    buried = [await bury(house, "echo") for _ in range(3)]
    kept = await bury(house, "call")
    pauses: list[float] = []
    asleep = asyncio.sleep

    async def sleep(seconds: float, result: Any = None) -> Any:
        if seconds == 0.25:
            pauses.append(seconds)
            seconds = 0
        return await asleep(seconds, result)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    done = await desk.type("dead", "replay", "--all", "--action", "echo", "--rate", "4/s")
    assert (done.code, "3 replayed, 0 not" in done.out) == (0, True)
    assert pauses == [0.25, 0.25]
    commands = {(await house.upstream.reply()).headers["x-adapter-command-id"] for _ in buried}
    assert commands == {str(exchange_id) for exchange_id in buried}
    assert await state(house, kept) == "dead"


async def test_a_replay_without_ids_has_to_say_all(desk: Desk) -> None:
    assert (await desk.type("dead", "replay")).code == 2
    assert (await desk.type("dead", "replay", "--action", "echo")).code == 2
    assert (await desk.type("dead", "replay", "--all", str(uuid4()))).code == 2


async def test_a_replay_of_what_is_not_dead_is_refused_by_the_name_of_its_state(house: House, desk: Desk) -> None:
    waiting = await leave_behind(house, "call", "waiting", owner=None, **submitted())
    done = await desk.type("dead", "replay", str(waiting), str(uuid4()))
    assert done.code == 1
    assert f"{waiting} is waiting" in done.err
    assert "no exchange has this id" in done.err
    assert "0 replayed, 2 not" in done.out


async def test_without_a_living_worker_a_replay_says_when_the_command_will_run(
    database: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = DatabaseAddress(configured(database))
    connection = await journal.connect()
    await migrate(connection)
    queue = SimpleNamespace(queue=SimpleNamespace(name="nobody"))
    house: Any = SimpleNamespace(database=connection, environment={"MQ_PREFIX": ""}, upstream=queue)
    exchange_id = await bury(house, "echo")
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    done = await Desk(capfd).type("dead", "replay", str(exchange_id))
    assert (done.code, done.err) == (0, "note: no worker is alive; the commands run when one starts\n")
    row = await connection.fetchrow("select state, owner, crash_attempts, replies, outcome from exchanges")
    assert tuple(row) == ("received", None, 0, 1, None)
    await connection.close()


async def test_of_two_operators_who_replay_at_the_same_moment_one_is_refused(house: House, database: Database) -> None:
    house.gateway.hold.clear()
    exchange_id = await bury(house, "call")
    connections = [await DatabaseAddress(configured(database)).connect() for _ in range(2)]
    done = await asyncio.gather(
        *(replay_command(connection, exchange_id, Operator("somebody", "here")) for connection in connections),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in done) == ["Plan", "RecoveryError"]
    assert (await kinds(house, exchange_id)).count("replayed") == 1
    house.gateway.hold.set()
    for connection in connections:
        await connection.close()


async def test_a_parked_reply_is_published_with_its_own_id_and_then_marked_sent(house: House, desk: Desk) -> None:
    exchange_id = await leave_behind(house, "echo", "replied", owner=None, replies=1, finished_at=datetime.now(UTC))
    reply = await park(house, house.upstream.queue.name, exchange_id=exchange_id)
    done = await desk.type("dead", "replay", str(reply))
    assert done.code == 0, done.err
    arrived = await house.upstream.reply()
    assert (arrived.message_id, arrived.correlation_id) == ("the-parked-reply", "c")
    assert arrived.body == b'{"result":{"owner_name":"Secret"}}'
    assert await house.database.fetchval("select state from outbox where id = $1", reply) == "sent"
    assert (await meta(house, exchange_id, "replayed"))["what"] == "reply"


async def test_parked_replies_of_a_command_are_found_by_the_commands_id(house: House, desk: Desk) -> None:
    exchange_id = await leave_behind(house, "echo", "replied", owner=None, replies=1, finished_at=datetime.now(UTC))
    await park(house, house.upstream.queue.name, exchange_id=exchange_id)
    assert (await desk.type("dead", "replay", str(exchange_id))).code == 0
    assert (await house.upstream.reply()).message_id == "the-parked-reply"


async def test_a_reply_that_still_no_queue_takes_stays_parked(house: House, desk: Desk) -> None:
    reply = await park(house, "no-such-queue")
    done = await desk.type("dead", "replay", str(reply))
    assert done.code == 1
    assert "declare no-such-queue" in done.err
    row = await house.database.fetchrow("select state, reason, attempts from outbox where id = $1", reply)
    assert tuple(row) == ("parked", "unroutable", 4)


async def test_a_parked_reply_that_a_living_worker_holds_is_left_to_it(house: House, desk: Desk) -> None:
    owner = await house.database.fetchval("select id from workers")
    reply = await park(house, house.upstream.queue.name, owner=owner)
    done = await desk.type("dead", "replay", str(reply))
    assert done.code == 1
    assert "a worker is delivering it" in done.err


async def test_a_broker_that_cannot_be_reached_is_named_and_nothing_is_marked(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = await park(house, house.upstream.queue.name)
    monkeypatch.setenv("MQ_PORT", "1")
    done = await desk.type("dead", "replay", str(reply))
    assert (done.code, done.err) == (1, f"cannot talk to {house.environment['MQ_HOST']}:1\n")
    assert await house.database.fetchval("select state from outbox where id = $1", reply) == "parked"


async def test_a_dropped_command_stays_dead_and_is_listed_no_more(house: House, desk: Desk) -> None:
    exchange_id = await bury(house, "echo")
    done = await desk.type("dead", "drop", str(exchange_id), "--reason", "sent by hand")
    assert done.code == 0, done.err
    assert (await desk.type("dead", "list", "--json")).json == []
    assert await state(house, exchange_id) == "dead"
    assert (await meta(house, exchange_id, "dropped"))["reason"] == "sent by hand"
    assert (await desk.type("dead", "show", str(exchange_id), "--json")).json["state"] == "dead, dropped"
    again = await desk.type("dead", "drop", str(exchange_id), "--reason", "again")
    assert (again.code, "was dropped before" in again.err) == (1, True)


async def test_a_dropped_command_can_be_replayed_by_its_id_and_is_listed_when_it_dies_again(
    house: House, desk: Desk
) -> None:
    exchange_id = await bury(house, "echo", body=b'{"explode": true}')
    await desk.type("dead", "drop", str(exchange_id), "--reason", "hopeless")
    assert (await desk.type("dead", "replay", str(exchange_id))).code == 0
    assert orjson.loads((await house.upstream.reply()).body)["error"]["error_code"] == "ADAPTER-INTERNAL"
    assert [row["id"] for row in (await desk.type("dead", "list", "--json")).json] == [str(exchange_id)]


async def test_a_parked_reply_is_never_dropped(house: House, desk: Desk) -> None:
    reply = await park(house, "nobody")
    done = await desk.type("dead", "drop", str(reply), "--reason", "tidy")
    assert (done.code, "declare nobody" in done.err) == (1, True)
    assert await house.database.fetchval("select state from outbox where id = $1", reply) == "parked"


async def make_uncertain(house: House) -> tuple[UUID, Any]:
    """Let a call that may not repeat end without an answer; its first reply is read."""
    house.gateway.repeat_rules["Send"] = Repeat.NEVER
    house.gateway.script = lambda *_: Unanswered(KnownError(Code.GATEWAY_UNAVAILABLE))
    told = await house.upstream.ask("call", {"n": 1}, message_id="m1", correlation_id="c1")
    assert told["error"]["error_code"] == "ADAPTER-UNCERTAIN"
    prepared, _ = house.gateway.sent.get_nowait()
    return await house.database.fetchval("select id from exchanges"), prepared


async def test_not_sent_fails_the_exchange_and_tells_the_one_who_asked_as_late(house: House, desk: Desk) -> None:
    exchange_id, prepared = await make_uncertain(house)
    done = await desk.type("resolve", prepared.gateway_id, "--not-sent", "--reason", "the gateway's log has nothing")
    assert done.code == 0, done.err
    reply = await house.upstream.reply()
    error = orjson.loads(reply.body)["error"]
    assert error["error_code"] == "ADAPTER-GATEWAY-UNAVAILABLE"
    assert "не был отправлен" in error["description"]
    assert (reply.correlation_id, reply.headers["x-adapter-late"]) == ("c1", True)
    assert await state(house, exchange_id) == "failed"
    resolved = await meta(house, exchange_id, "resolved")
    assert (resolved["what"], resolved["reason"]) == ("not-sent", "the gateway's log has nothing")
    assert resolved["by"]


async def test_sent_waits_for_the_answer_however_late_and_delivers_it_as_late(house: House, desk: Desk) -> None:
    exchange_id, prepared = await make_uncertain(house)
    await house.database.execute("update exchanges set deadline = now() - interval '1 hour'")
    done = await desk.type("resolve", str(exchange_id), "--sent", "--reason", "they called us")
    assert done.code == 0, done.err
    assert await state(house, exchange_id) == "waiting"
    # No passed deadline may spend the one late reply on saying that there is none.
    assert await house.database.fetchval("select deadline > now() + interval '100 years' from exchanges")
    await house.source.bring(house.answer(prepared, {"answered": "after all"}))
    reply = await house.upstream.reply()
    assert orjson.loads(reply.body) == {"result": {"answered": "after all"}}
    assert reply.headers["x-adapter-late"] is True
    assert await house.database.fetchval("select replies from exchanges") == 2


async def test_resolve_refuses_every_other_state_by_its_name(house: House, desk: Desk) -> None:
    exchange_id = await leave_behind(house, "call", "waiting", owner=None, **submitted())
    for answer in ("--sent", "--not-sent"):
        done = await desk.type("resolve", str(exchange_id), answer, "--reason", "x")
        assert (done.code, done.err) == (1, f"{exchange_id} is waiting, not uncertain: nothing to resolve\n")


async def test_resolve_needs_an_answer_and_a_reason(desk: Desk) -> None:
    assert (await desk.type("resolve", "x", "--sent")).code == 2
    assert (await desk.type("resolve", "x", "--reason", "y")).code == 2
    assert "must say something" in (await desk.type("resolve", "x", "--sent", "--reason", " ")).err


async def test_trace_finds_an_exchange_by_any_id_and_tells_its_way(house: House, desk: Desk) -> None:
    await house.upstream.publish("call", {"owner": "Secretov"}, message_id="m1", correlation_id="order-4711")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 15)
    await house.eventually("select true from exchanges where state = 'waiting'")
    await house.source.bring(house.answer(prepared, {"a": 1}, key="answer-1"))
    await house.upstream.reply()
    await house.eventually("select bool_and(state = 'sent') from outbox")
    exchange_id = str(await house.database.fetchval("select id from exchanges"))
    for known in (exchange_id, "m1", "order-4711", prepared.gateway_id, "answer-1"):
        assert (await desk.type("trace", known, "--json")).json["exchange"]["id"] == exchange_id
    told = (await desk.type("trace", exchange_id, "--json")).json
    events = [(part["event"], part["state"]) for part in told["timeline"]]
    assert events[:4] == [
        ("received", "received"),
        ("request", "submitting"),
        ("accepted", "waiting"),
        ("answer", "answered"),
    ]
    # The outcome is dated by the database, its reply by the worker: their order is the clocks'.
    assert sorted(name for name, _ in events[4:]) == ["outcome", "published", "written"]
    assert dict(events)["outcome"] == "replied"
    assert told["timeline"][0]["bytes"] == len(b'{"owner":"Secretov"}')
    text = (await desk.type("trace", "m1")).out
    assert "Secretov" not in text
    assert "taken by the gateway" in text
    assert "5 B" in text


async def test_trace_lists_several_matches(house: House, desk: Desk) -> None:
    first = await bury(house, "echo", correlation="one order")
    second = await bury(house, "call", correlation="one order")
    matches = (await desk.type("trace", "one order", "--json")).json["matches"]
    assert [match["id"] for match in matches] == [str(first), str(second)]
    text = (await desk.type("trace", "one order")).out
    assert "2 exchanges have this id" in text
    assert str(second) in text
    refused = await desk.type("resolve", "one order", "--sent", "--reason", "x")
    assert (refused.code, "name one of them" in refused.err) == (1, True)


async def test_trace_of_an_unknown_id_says_so(desk: Desk) -> None:
    assert await desk.type("trace", "nothing") == Done(1, "", "no exchange has this id\n")


async def test_a_proof_holds_the_exact_bytes_their_sums_and_a_page_and_is_the_same_each_time(
    house: House, desk: Desk, tmp_path: Path
) -> None:
    call = submitted(gateway_id="gw-1")
    exchange_id = await leave_behind(house, "call", "replied", owner=None, **call)
    certificate = b"\x30\x03\x02\x01\x07"
    raw = (
        b'<e:Envelope xmlns:e="urn:e"><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Certificate>'
        b"MAMC\nAQc=</ds:X509Certificate></ds:Signature></e:Envelope>"
    )
    verdict = {"reference": "#S", "parent": "{urn:t}SMEVSignature", "math": True, "trust": "trusted", "period": "valid"}
    answer = {"kind": "answer", "source": "scripted", "reference": "gw-1", "verdicts": [verdict]}
    await fact(house, exchange_id, "request", {"operation": "Send"}, message_id="gw-1", data=b"<request/>")
    await fact(house, exchange_id, "accepted", {}, message_id="gw-1", data=b"\x00\xff no text")
    await fact(house, exchange_id, "answer", answer, message_id="a-1", data=raw, content=b"<root/>")
    await fact(house, exchange_id, "outcome", {"from": "answered", "state": "replied", "code": None})
    await park(house, "nobody", exchange_id=exchange_id)
    paths = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for path in paths:
        done = await desk.type("proof", str(exchange_id), "-o", str(path), "--reason", "for the court")
        assert done.code == 0, done.err
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(paths[0]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert members["01-command.json"] == b'{"left": "behind"}'
    assert members["02-request.xml"] == b"<request/>"
    assert members["03-accepted.bin"] == b"\x00\xff no text"
    assert (members["04-answer.xml"], members["04-answer.content.xml"]) == (raw, b"<root/>")
    assert members["05-message.json"] == b'{"result":{"owner_name":"Secret"}}'
    pem = members[f"certificates/{hashlib.sha256(certificate).hexdigest()}.pem"]
    assert pem.startswith(b"-----BEGIN CERTIFICATE-----\nMAMCAQc=\n")
    assert json.loads(members["verdicts.json"]) == [{"file": "04-answer.xml", **verdict}]
    manifest = json.loads(members["manifest.json"])
    sums = {member["name"]: member["sha256"] for member in manifest["members"]}
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in members.items() if name != "manifest.json"}
    page = members["timeline.txt"].decode()
    assert "СВИДЕТЕЛЬСТВО ОБ ОБМЕНЕ" in page
    assert "SMEVSignature — математически верна; сертификат: доверенный; срок: действует" in page
    assert "Secret" not in page
    assert max(map(len, page.splitlines())) <= 132
    assert (await kinds(house, exchange_id)).count("revealed") == 2
    assert (await meta(house, exchange_id, "revealed"))["reason"] == "for the court"


async def test_a_proof_that_cannot_be_written_says_where(house: House, desk: Desk, tmp_path: Path) -> None:
    exchange_id = await bury(house, "echo")
    done = await desk.type("proof", str(exchange_id), "-o", str(tmp_path / "missing" / "x.zip"))
    assert done.code == 1
    assert "cannot write" in done.err


async def test_a_proof_goes_to_stdout_where_asked(house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange_id = await bury(house, "echo")

    class Stdout:
        buffer = io.BytesIO()

    with monkeypatch.context() as patched:
        patched.setattr("adapter.cli_proof.sys.stdout", Stdout)
        assert (await desk.type("proof", str(exchange_id), "-o", "-")).code == 0
    assert zipfile.ZipFile(Stdout.buffer).testzip() is None


async def test_a_command_without_its_variables_names_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_HOST")
    monkeypatch.setenv("DATABASE_PORT", "many")
    done = await desk.type("trace", "x")
    assert done.code == 2
    assert "DATABASE_HOST: is required" in done.err
    assert "DATABASE_PORT: must be a whole number" in done.err


async def test_a_database_that_is_away_is_told_without_values(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_HOST", "/nonexistent")
    done = await desk.type("trace", "x")
    assert done.code == 1
    assert "the database did not do it" in done.err


async def test_a_database_without_a_journal_says_what_to_do(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_NAME", "postgres")
    assert (await desk.type("trace", "x")).err == "the database has no journal yet: run adapter migrate\n"
