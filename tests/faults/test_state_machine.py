"""Whatever crashes, repeats, delays, rescues and late evidence do, every row makes legal moves only."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapter.exchange import MOVES, State
from adapter.journal.journal import DatabaseAddress, Journal
from adapter.journal.migrate import migrate
from adapter.journal.operations import Finish, Operation, Retry, TakenAs, Wait
from adapter.journal.records import OutboxRow
from tests.integration.rows import evidence, submit, take

if TYPE_CHECKING:
    import asyncpg

    from tests.conftest import Database

ENDS = (State.REPLIED, State.REJECTED, State.FAILED, State.UNCERTAIN, State.EXPIRED, State.DEAD)
#: After these a late answer is legal: one more reply.
OPEN_ENDS = {State.UNCERTAIN, State.EXPIRED, State.FAILED}
KEYS = (b"k1", b"k2")
TWO = st.integers(0, 1)
ANY = st.integers(0, 50)


class JournalMachine(RuleBasedStateMachine):
    """Two workers on one journal. ``seen`` holds every state that each row was ever found in, in order."""

    loop: asyncio.AbstractEventLoop
    address: DatabaseAddress

    @initialize()
    def begin(self) -> None:
        self.seen: dict[UUID, list[State]] = {}
        self.gateway_ids: list[str] = []
        self.holders: dict[bytes | None, bytes] = {}
        self.look: asyncpg.Connection = self.wait(self.address.connect())
        self.wait(self.look.execute("truncate exchanges, command_key, outbox, workers"))
        self.runs: list[asyncio.Task[None]] = []
        self.workers: list[Journal] = []
        for number in range(2):
            self.hire(number)

    def hire(self, number: int) -> None:
        journal = Journal(self.address, worker_name=f"w{number}")
        run = self.loop.create_task(journal.run())
        self.wait(journal.available.wait())
        self.wait(journal.take_lease())
        self.workers[number : number + 1] = [journal]
        self.runs[number : number + 1] = [run]

    @staticmethod
    async def write(journal: Journal, operation: Operation[Any]) -> Any:
        return await journal.write(operation)

    def wait(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def row(self, pick: int) -> asyncpg.Record:
        ids = list(self.seen)
        return self.wait(self.look.fetchrow("select * from exchanges where id = $1", ids[pick % len(ids)]))

    @rule(worker=TWO, key=st.sampled_from([None, *KEYS]), body=st.sampled_from([b"1", b"2"]), again=st.booleans())
    def deliver(self, worker: int, key: bytes | None, body: bytes, *, again: bool) -> None:
        journal = self.workers[worker]
        operation = take(journal, body, key=key, session=str(uuid4()), redelivered=again)
        # As on the wire, where it covers the message_id among the properties.
        operation.fingerprint = hashlib.sha256((key or b"") + b"/" + body).digest()
        taken = self.wait(self.write(journal, operation))
        if taken.kind is TakenAs.REDELIVERED:
            assert again
            assert taken.exchange_id in self.seen
            return
        self.seen[taken.exchange_id] = []
        if taken.kind is TakenAs.NEW:
            assert key is None or key not in self.holders
            self.holders[key] = body
        else:  # the second one under an identity repeats the first or is refused
            assert (taken.kind is TakenAs.REPEAT) == (self.holders[key] == body)

    @precondition(lambda self: self.seen)
    @rule(worker=TWO, pick=ANY, known=ANY)
    def call(self, worker: int, pick: int, known: int) -> None:
        """Intend a call with what the worker knows, which may be old."""
        row, journal = self.row(pick), self.workers[worker]
        states = self.seen[row["id"]]
        state, attempts = states[known % len(states)], known % 3
        gateway_id = row["gateway_id"] or str(uuid4())
        asked = submit(journal, row["id"], gateway_id, state=state, attempts=attempts)
        applied = self.wait(self.write(journal, asked))
        assert applied == (
            row["owner"] == journal.worker
            and row["state"] == state
            and row["attempts"] == attempts
            and state in (State.RECEIVED, State.RETRYING, State.SUBMITTING, State.ANSWERED)
        )
        if applied:
            self.gateway_ids.append(gateway_id)

    @precondition(lambda self: self.seen)
    @rule(worker=TWO, pick=ANY, later=st.booleans())
    def end_call(self, worker: int, pick: int, *, later: bool) -> None:
        row, journal = self.row(pick), self.workers[worker]
        operation = Retry(row["id"], journal.worker, 0.0) if later else Wait(row["id"], journal.worker)
        applied = self.wait(self.write(journal, operation))
        assert not applied or row["owner"] == journal.worker

    @precondition(lambda self: self.seen)
    @rule(worker=TWO, pick=ANY, known=ANY, end=st.sampled_from(ENDS))
    def finish(self, worker: int, pick: int, known: int, end: State) -> None:
        row, journal = self.row(pick), self.workers[worker]
        states = self.seen[row["id"]]
        state = states[known % len(states)]
        if end not in MOVES[state]:
            return
        now = datetime.now(UTC)
        reply = OutboxRow(uuid4(), now, row["id"], "reply", "", "q", str(uuid4()), b"{}", b"")
        operation = Finish(row["id"], journal.worker, state, end, b"{}", None, outbox=(reply,))
        applied = self.wait(self.write(journal, operation)).applied
        assert applied == (row["owner"] == journal.worker and row["state"] == state)

    @precondition(lambda self: self.gateway_ids)
    @rule(worker=TWO, pick=ANY, repeated=st.booleans(), final=st.booleans())
    def answer(self, worker: int, pick: int, *, repeated: bool, final: bool) -> None:
        """Bring evidence: on time, late, twice."""
        gateway_id = self.gateway_ids[pick % len(self.gateway_ids)]
        key = gateway_id.encode() if repeated else uuid4().bytes
        journal = self.workers[worker]
        self.wait(self.write(journal, evidence(journal, gateway_id, key, final=final)))

    @rule(worker=TWO)
    def crash(self, worker: int) -> None:
        """A worker dies without a word, its lease lapses, another takes its place."""
        dead = self.workers[worker]
        self.runs[worker].cancel()
        self.wait(asyncio.wait({self.runs[worker]}))
        self.wait(self.look.execute("delete from workers where id = $1", dead.worker))
        self.hire(worker)

    @rule(worker=TWO)
    def recover(self, worker: int) -> None:
        """Do what time does: rescue, retry."""
        journal = self.workers[worker]
        before = self.wait(self.look.fetch("select id, owner from exchanges"))
        living = {journal.worker for journal in self.workers}
        exchange = self.wait(journal.claim_orphan(["echo"], "adapter.returned"))
        if exchange is not None:
            assert next(row["owner"] for row in before if row["id"] == exchange.id) not in living
        self.wait(journal.claim_retries(["echo"], 10))

    @invariant()
    def every_move_is_legal(self) -> None:
        if not hasattr(self, "look"):
            return
        for row in self.wait(self.look.fetch("select id, state from exchanges")):
            states, state = self.seen[row["id"]], State(row["state"])
            if not states or states[-1] is not state:
                assert not states or state in MOVES[states[-1]]
                states.append(state)

    @invariant()
    def every_command_has_one_reply_or_an_open_end_and_a_late_one(self) -> None:
        if not hasattr(self, "look"):
            return
        question = "select exchange_id, count(*) as replies from outbox where kind = 'reply' group by 1"
        for row in self.wait(self.look.fetch(question)):
            open_ends = sum(state in OPEN_ENDS or state is State.DEAD for state in self.seen[row["exchange_id"]])
            assert row["replies"] <= 1 + open_ends

    def teardown(self) -> None:
        if hasattr(self, "look"):
            for run in self.runs:
                run.cancel()
            self.wait(asyncio.wait(set(self.runs)))
            self.wait(self.look.close())


def test_no_order_of_crashes_repeats_rescues_and_late_answers_makes_an_illegal_move(database: Database) -> None:
    arguments = {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
    }
    loop = asyncio.new_event_loop()
    JournalMachine.loop, JournalMachine.address = loop, DatabaseAddress(arguments)

    async def prepare() -> None:
        connection = await JournalMachine.address.connect()
        await migrate(connection)
        await connection.close()

    try:
        loop.run_until_complete(prepare())
        run_state_machine_as_test(
            JournalMachine,
            settings=settings(
                max_examples=12,
                stateful_step_count=20,
                deadline=None,
                phases=[Phase.generate],  # shrinking would cost minutes of commits
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
    finally:
        loop.close()
