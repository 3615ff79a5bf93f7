"""Commits of few operations have functions of their own: they must leave and say what ``journal_commit`` does."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from adapter.exchange import State
from adapter.journal import commit as rooms
from adapter.journal.evidence import Evidence, EvidenceTaken
from adapter.journal.operations import Finish, Mark, Submit, TakeIn, Wait
from adapter.journal.records import Exchange, OutboxRow, ProofRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import asyncpg

    from adapter.journal.operations import Operation

pytestmark = pytest.mark.usefixtures("journal")

_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_OURS, _STRANGER = UUID(int=1), UUID(int=2)
#: What is compared of each table; moments that the database gives are compared by whether they are there.
_TABLES = {
    "exchanges": "id, action, source, state, fingerprint, delivery_session, settled, refusal, repeat_of, owner,"
    " attempts, next_at is null, next_at < now(), gateway, operation, gateway_id, minted_at, lane, outcome,"
    " outcome_code, finished_at is null, replies, events",
    "incoming": "id, body, body_sha256, body_size, properties, correlation, message_id",
    "command_key": "key, exchange_id, body_sha256",
    "proof": "exchange_id, kind, message_id, data, content, meta",
    "outbox": "id, created_at, exchange_id, kind, target, routing_key, message_id, body, properties, state, owner,"
    " attempts, reason, next_at - now(), sent_at is null",
}


class Script:
    """Operations as a worker might write them, right ones and wrong ones, the same for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 — the same for a seed, guards nothing
        self._numbers = iter(range(100, 10**6))
        self._rows: list[UUID] = []
        self._replies: list[OutboxRow] = []

    def commits(self, count: int) -> list[list[Operation[Any]]]:
        return [self._commit(self._random.randint(1, 4)) for _ in range(count)]

    def _commit(self, count: int) -> list[Operation[Any]]:
        """Draw operations; of two messages of one moment about one row either may be the first."""
        drawn = [self._any() for _ in range(count)]
        messages = [one for one in drawn if isinstance(one, Evidence)]
        return [one for one in drawn if one not in messages[1:]]

    def _any(self) -> Operation[Any]:
        kinds: list[Callable[[], Operation[Any]]] = [
            self._take,
            self._submit,
            self._wait,
            self._evidence,
            self._finish,
            self._mark,
        ]
        weights = (3, 3, 3, 4, 3, 1) if self._rows else (1, 0, 0, 0, 0, 0)
        return self._random.choices(kinds, weights)[0]()

    def _id(self) -> UUID:
        return UUID(int=next(self._numbers))

    def _row(self) -> UUID:
        return self._random.choice(self._rows[-4:])

    def _owner(self) -> UUID:
        return self._random.choice([_OURS, _OURS, _OURS, _STRANGER])

    def _fact(self, row: UUID, kind: str) -> tuple[ProofRow, ...]:
        return (ProofRow(row, kind, "m", b"data", None, b"{}"),)

    def _take(self) -> TakeIn:
        body = self._random.choice([b"one", b"two"])
        exchange = Exchange(
            id=self._id(),
            action="echo",
            source="echo",
            state=State.RECEIVED,
            received_at=_NOW + timedelta(seconds=len(self._rows)),
            deadline=_NOW + timedelta(hours=1),
            body=body,
            body_sha256=hashlib.sha256(body).digest(),
            body_size=len(body),
            properties=b"p",
            correlation="c",
            owner=_OURS,
            refusal=self._random.choice([None, None, "expired"]),
        )
        self._rows.append(exchange.id)
        key = self._random.choice([None, b"k1", b"k2", b"k3", str(exchange.id).encode()])
        session = self._random.choice(["s1", "s2"])
        return TakeIn(exchange, key, hashlib.sha256(body).digest(), session, self._random.random() < 0.2)

    def _submit(self) -> Submit:
        row = self._row()
        state = self._random.choice([State.RECEIVED, State.RECEIVED, State.ANSWERED, State.SUBMITTING])
        lane = self._random.choice([None, None, None, "lane"])
        fence = (row, self._owner(), state, self._random.choice([0, 0, 1]))
        return Submit(*fence, "gw", "Send", f"g-{row.int}", _NOW, lane, proof=self._fact(row, "request"))

    def _wait(self) -> Wait:
        row = self._row()
        return Wait(row, self._owner(), settled=self._random.random() < 0.5, proof=self._fact(row, "accepted"))

    def _evidence(self) -> Evidence:
        row, final = self._row(), self._random.random() < 0.8
        record = ProofRow(row, "answer", "a", b"raw", b"content", b"{}")
        gateway_id = self._random.choice([f"g-{row.int}", f"g-{row.int}", "nobody's"])
        key = self._random.choice([f"{row}-1", f"{row}-2"]).encode()
        sequence = None if final else self._random.choice([None, 0, 1])
        return Evidence("gw", gateway_id, key, b"sha", record, self._owner(), final, self._id(), sequence)

    def _finish(self) -> Finish:
        row = self._row()
        kind = self._random.choice(["reply", "reply", "event"])
        reply = OutboxRow(self._id(), _NOW, row, kind, "", "q", f"m-{row}", b"{}", b"p")
        self._replies.append(reply)
        owner = self._random.choice([_OURS, _OURS, None])
        came_from = self._random.choice([State.RECEIVED, State.ANSWERED, State.ANSWERED, State.WAITING])
        state, code = self._random.choice([(State.REPLIED, None), (State.FAILED, "X-1")])
        outcome = self._random.choice([b"outcome", b"outcome", None])
        return Finish(row, owner, came_from, state, outcome, code, outbox=(reply,), proof=self._fact(row, "outcome"))

    def _mark(self) -> Operation[Any]:
        if not self._replies:
            return self._take()
        state, reason = self._random.choice([("sent", None), ("parked", "unroutable")])
        return Mark(self._random.choice(self._replies), state, reason, delay=3.0)


async def _carried_out(look: asyncpg.Connection, commits: Sequence[Sequence[Operation[Any]]]) -> tuple[Any, Any]:
    """Return what was said of each operation and what the tables hold afterwards; nothing of it stays."""
    attempt = look.transaction()
    await attempt.start()
    try:
        said = [await rooms.commit(look, _OURS, operations) for operations in commits]
        for verdict in chain.from_iterable(said):
            if isinstance(verdict, EvidenceTaken) and verdict.exchange is not None:
                verdict.exchange.finished_at = None
        tables = {
            table: sorted(map(repr, await look.fetch(f"select {columns} from {table}")))  # noqa: S608 — names of ours
            for table, columns in _TABLES.items()
        }
    finally:
        await attempt.rollback()
    return said, tables


@pytest.mark.parametrize("seed", range(60))
async def test_few_operations_are_written_as_many_are(
    look: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    commits = Script(seed).commits(25)
    few = await _carried_out(look, commits)
    monkeypatch.setattr(rooms, "_FEW", 0)
    many = await _carried_out(look, commits)
    for operations, one, other in zip(commits, few[0], many[0], strict=True):
        assert one == other, operations
    assert few[1] == many[1]
    assert few[1]["exchanges"]


async def test_every_function_for_few_is_called_by_the_scripts(
    look: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    text = rooms._calls

    def noted(functions: tuple[tuple[str, int], ...]) -> str:
        called.update(name for name, _ in functions)
        return text(functions)

    monkeypatch.setattr(rooms, "_calls", noted)
    await _carried_out(look, Script(0).commits(40))
    assert called == {function for _, function in rooms._ALONE.values()}
