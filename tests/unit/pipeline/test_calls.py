"""While a gateway or the signing is away no call is made, and what is put off says whether it may have left before."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest

from adapter.errors import AdapterError, Code, FileError, KnownError, SignerError
from adapter.exchange import (
    Accepted,
    Answer,
    AnswerKind,
    Attachment,
    Call,
    FileFact,
    Prepared,
    Refused,
    Repeat,
    Sent,
    State,
    TryLater,
    Unanswered,
)
from adapter.gateways.smev3.mtom import include, pack
from adapter.journal.operations import Submit
from adapter.journal.records import Exchange
from adapter.pipeline.breaker import THRESHOLD
from adapter.pipeline.bulkhead import Bulkhead
from adapter.pipeline.calls import Caller
from adapter.pipeline.places import Places
from adapter.pipeline.ports import Registry
from tests.unit.pipeline.test_breaker import Told

if TYPE_CHECKING:
    from adapter.journal.records import ProofRow

GONE = AdapterError("GONE", "нет ответа")
CALL = Call("gateway", "Send", b"{}")
LIVE = SimpleNamespace(dry_run=False, progress=False)
DRY = SimpleNamespace(dry_run=True, progress=False)


@dataclass
class Gateway:
    """Answers every call with ``result``; ``signing`` is raised by prepare."""

    rule: Repeat = Repeat.SAME_ID
    result: Sent = field(default_factory=lambda: Unanswered(GONE))
    signing: Exception | None = None
    sent: list[Prepared] = field(default_factory=list)
    name: str = "gateway"
    id_lifetime: timedelta | None = None
    files: tuple[FileFact, ...] = ()
    body: bytes = b""
    rehearsed: bool = False

    @property
    def repeat_rules(self) -> dict[str, Repeat]:
        return {"Send": self.rule}

    async def prepare(self, call: Call) -> Prepared:
        if self.signing is not None:
            raise self.signing
        self.rehearsed = call.rehearsed
        return Prepared(call.operation, str(uuid4()), self.body or call.content, datetime.now(UTC), files=self.files)

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        self.sent.append(prepared)
        return self.result


@dataclass
class Journal:
    """Takes everything that is written; ``facts`` are the rows it gives back, by kind."""

    worker: Any = field(default_factory=uuid4)
    written: list[Any] = field(default_factory=list)
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def write(self, operation: Any) -> bool:
        self.written.append(operation)
        return True

    write_surely = write

    async def request_size(self, _: Any) -> int:
        return sum(len(row["data"]) for row in self.facts.get("request", []))

    async def proofs(self, _: Any, kind: str) -> list[dict[str, Any]]:
        return self.facts.get(kind, [])


@dataclass
class Runner:
    """Notes what becomes of an exchange."""

    ends: list[tuple[str, Any]] = field(default_factory=list)
    puts_off: list[tuple[AdapterError, dict[str, Any], float | None]] = field(default_factory=list)
    facts: list[ProofRow] = field(default_factory=list)

    async def retry(
        self, _: Any, error: AdapterError, *, proof: ProofRow, after: Any = None, remint: bool = False
    ) -> None:
        assert not remint
        self.puts_off.append((error, orjson.loads(proof.meta or b""), after))

    async def fail(self, _: Any, state: State, error: AdapterError, *facts: ProofRow) -> None:
        self.ends.append((state, error.code))
        self.facts += facts

    async def reply(self, _: Any, step: Any) -> None:
        self.ends.append(("reply", step))

    def progress(self, *_: Any) -> list[Any]:
        return []

    def offer(self, rows: list[Any]) -> None:
        assert rows == []


def exchange(state: State = State.RECEIVED, **more: Any) -> Exchange:
    now = datetime.now(UTC)
    digest = hashlib.sha256(b"{}").digest()
    row = Exchange(uuid4(), "a", "a", state, now, now + timedelta(hours=1), b"{}", digest, 2, b"")
    for name, value in more.items():
        setattr(row, name, value)
    return row


def called(state: State) -> Exchange:
    """An exchange whose request is journaled."""
    return exchange(
        state, gateway="gateway", operation="Send", gateway_id="id", minted_at=datetime.now(UTC), attempts=1
    )


class Room:
    """A caller among its neighbours."""

    def __init__(self) -> None:
        """Everything works."""
        self.gateway, self.journal, self.runner = Gateway(), Journal(), Runner()
        self.bulkhead = Bulkhead("gateway", 1, Told())
        service: Any = SimpleNamespace(gateway="gateway")
        registry = Registry({"a": service}, {"gateway": self.gateway})
        self.caller: Any = Caller(self.journal, registry, {"gateway": self.bulkhead})  # type: ignore[arg-type]
        self.journal.facts["request"] = [{"data": b"the bytes"}]

    async def first(self, envelope: Any = LIVE) -> None:
        await self.caller.first(self.runner, exchange(), envelope, CALL)

    async def repeat(self, row: Exchange) -> None:
        await self.caller.repeat(self.runner, row, LIVE)

    def go_away(self) -> None:
        for _ in range(THRESHOLD):
            self.bulkhead.calls.failed(GONE, probe=False)


@pytest.fixture
async def room() -> Room:
    return Room()


@pytest.mark.parametrize(
    "result", [Unanswered(GONE), TryLater(GONE), TryLater(KnownError(Code.GATEWAY_UNAVAILABLE), b"x")]
)
async def test_calls_without_an_answer_open_the_breaker_and_no_more_are_made(room: Room, result: Sent) -> None:
    room.gateway.result = result
    for _ in range(THRESHOLD + 5):
        await room.first()
    assert len(room.gateway.sent) == THRESHOLD
    assert len(room.runner.puts_off) == THRESHOLD + 5
    assert sum(isinstance(operation, Submit) for operation in room.journal.written) == THRESHOLD
    error, meta, after = room.runner.puts_off[-1]
    assert (error, meta["sent"]) == (result.error, False)  # type: ignore[union-attr]
    assert after is not None
    assert after > 0


@pytest.mark.parametrize("result", [Accepted(b"x"), Refused(GONE, b"x"), TryLater(GONE, b"full")])
async def test_any_considered_answer_is_a_sign_of_life(room: Room, result: Sent) -> None:
    for _ in range(THRESHOLD - 1):
        await room.first()
    room.gateway.result = result
    await room.first()
    room.gateway.result = Unanswered(GONE)
    await room.first()
    assert room.bulkhead.calls.closed


async def test_a_dry_run_needs_no_gateway(room: Room) -> None:
    room.go_away()
    await room.first(DRY)
    assert [end for end, _ in room.runner.ends] == ["reply"]


async def test_an_interrupted_call_that_is_put_off_is_remembered_as_perhaps_sent(room: Room) -> None:
    room.go_away()
    await room.repeat(called(State.SUBMITTING))
    await room.repeat(called(State.RETRYING))
    assert [meta["sent"] for _, meta, _ in room.runner.puts_off] == [True, False]
    assert room.gateway.sent == []


async def test_a_call_that_may_never_repeat_is_put_off_only_while_it_certainly_has_not_left(room: Room) -> None:
    room.gateway.rule = Repeat.NEVER
    room.go_away()
    await room.repeat(called(State.RETRYING))
    assert (len(room.runner.puts_off), room.runner.ends) == (1, [])
    await room.repeat(called(State.SUBMITTING))
    assert room.runner.ends == [(State.UNCERTAIN, "ADAPTER-UNCERTAIN")]


async def test_what_is_known_of_a_call_that_is_not_repeated_is_journaled(room: Room) -> None:
    room.gateway.rule = Repeat.NEVER
    room.gateway.result = Unanswered(GONE, raw=b"what was asked")
    await room.first()
    assert room.runner.ends == [(State.UNCERTAIN, "ADAPTER-UNCERTAIN")]
    assert [(fact.kind, fact.data) for fact in room.runner.facts] == [("unanswered", b"what was asked")]


async def test_the_same_bytes_go_out_again_as_the_probe_and_close_the_breaker(room: Room) -> None:
    room.go_away()
    room.bulkhead.calls._probe_at = 0.0
    room.gateway.result = Accepted(b"x")
    await room.repeat(called(State.RETRYING))
    assert [(prepared.gateway_id, prepared.body) for prepared in room.gateway.sent] == [("id", b"the bytes")]
    assert room.bulkhead.calls.closed


async def test_signing_that_is_away_is_asked_no_more_and_a_refusal_of_it_is_an_answer(room: Room) -> None:
    room.gateway.signing = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    for _ in range(THRESHOLD + 5):
        await room.first()
    assert not room.bulkhead.signing.closed
    assert room.bulkhead.calls.closed
    assert room.journal.written == []
    room.bulkhead.signing._probe_at = 0.0
    room.gateway.signing = SignerError(Code.SIGNATURE_REFUSED, retryable=False)
    with pytest.raises(SignerError):
        await room.first()
    assert room.bulkhead.signing.closed


async def test_a_file_that_is_away_puts_the_call_off_and_is_no_trouble_of_the_signing(room: Room) -> None:
    room.gateway.signing = FileError(Code.ATTACHMENT_UNAVAILABLE, retryable=True)
    for _ in range(THRESHOLD + 5):
        await room.first()
    assert room.bulkhead.signing.closed
    error, meta, after = room.runner.puts_off[-1]
    assert (error.code, meta["sent"]) == ("ADAPTER-ATTACHMENT-UNAVAILABLE", False)
    assert after is not None
    room.gateway.signing = FileError(Code.ATTACHMENT_REFUSED, retryable=False)
    with pytest.raises(FileError):
        await room.first()


async def test_what_was_sent_along_is_journaled_with_the_request(room: Room) -> None:
    room.gateway.files = (FileFact("a.txt", 3, "ab" * 32),)
    await room.first()
    (proof,) = room.journal.written[0].proof
    assert orjson.loads(proof.meta)["files"] == [{"name": "a.txt", "size": 3, "sha256": "ab" * 32}]


async def test_a_rehearsal_is_prepared_as_one_and_shown_with_its_parts_in_place(room: Room) -> None:
    body = pack(b"<S>%b</S>" % include("a"), {"a": b"abc"})
    room.gateway.body = body
    await room.first(DRY)
    assert room.gateway.rehearsed
    ((_, step),) = room.runner.ends
    assert step.outcome["result"]["xml"] == "<S>YWJj</S>"


async def test_a_probe_that_breaks_by_a_defect_lets_the_next_one_go(room: Room) -> None:
    room.go_away()
    room.bulkhead.calls._probe_at = 0.0
    room.journal.write = _broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await room.first()
    assert not room.bulkhead.calls.refuses
    assert (room.bulkhead.calling, room.bulkhead.preparing) == (0, 0)


async def _broken(_: Any) -> bool:
    raise RuntimeError("a defect")


async def test_the_cause_is_told_of_retrying_exchanges_while_it_lasts(room: Room) -> None:
    assert room.caller.cause(exchange(State.RETRYING)) is None
    room.go_away()
    assert room.caller.cause(exchange(State.RETRYING))["cause"] == "GONE"
    assert room.caller.cause(exchange(State.WAITING)) is None


def asking(room: Room, told: Sent) -> list[Prepared]:
    """Let the gateway be one that is asked; return what it was asked about."""
    asked: list[Prepared] = []

    async def ask(prepared: Prepared) -> Sent:
        asked.append(prepared)
        return told

    room.gateway.rule = Repeat.ASK
    room.gateway.ask = ask  # type: ignore[attr-defined]
    return asked


async def test_what_became_of_an_interrupted_call_is_asked_and_its_answer_taken(room: Room) -> None:
    answer = Answer("gateway", "k", "id", AnswerKind.ANSWER, b"raw", b"{}")
    asked = asking(room, Accepted(b"raw", answer))
    taken: list[Answer] = []

    class Way:
        async def take(self, answer: Answer) -> bool:
            taken.append(answer)
            return True

    room.caller.intake = Way()
    await room.repeat(called(State.SUBMITTING))
    assert [prepared.gateway_id for prepared in asked] == ["id"]
    assert (taken, room.gateway.sent) == ([answer], [])


async def test_a_call_that_certainly_has_not_arrived_is_made_again_with_its_bytes(room: Room) -> None:
    asked = asking(room, TryLater(GONE, raw=b"no such order"))
    room.gateway.result = Accepted(b"x")
    await room.repeat(called(State.SUBMITTING))
    assert [(prepared.gateway_id, prepared.body) for prepared in room.gateway.sent] == [("id", b"the bytes")]
    assert len(asked) == 1


async def test_while_nobody_knows_what_became_of_a_call_it_is_asked_again_and_not_made(room: Room) -> None:
    asking(room, Unanswered(GONE))
    await room.repeat(called(State.SUBMITTING))
    error, meta, _ = room.runner.puts_off[-1]
    assert (error.code, meta["sent"], room.gateway.sent) == ("GONE", True, [])


async def test_a_call_that_was_refused_while_nobody_listened_ends_with_that(room: Room) -> None:
    asking(room, Refused(KnownError(Code.REJECTED_BY_PROVIDER), b"raw"))
    await room.repeat(called(State.SUBMITTING))
    assert room.runner.ends == [(State.FAILED, Code.REJECTED_BY_PROVIDER.wire)]


async def test_a_call_that_has_certainly_not_left_is_made_without_asking(room: Room) -> None:
    asked = asking(room, Unanswered(GONE))
    room.gateway.result = Accepted(b"x")
    await room.repeat(called(State.RETRYING))
    assert (len(room.gateway.sent), asked) == (1, [])


@pytest.mark.parametrize("repeated", [False, True])
async def test_calls_of_many_bytes_are_in_memory_a_few_at_a_time(room: Room, *, repeated: bool) -> None:
    present, most, gate = 0, 0, asyncio.Event()

    async def held(*_: Any, **__: Any) -> Any:
        nonlocal present, most
        present += 1
        most = max(most, present)
        await gate.wait()
        present -= 1
        return Unanswered(GONE) if repeated else Prepared("Send", "id", b"", datetime.now(UTC))

    room.bulkhead.places = Places(100)
    room.journal.facts["request"] = [{"data": b"x" * 2_000_000}]
    call = replace(CALL, attachments=(Attachment("a.txt", "text/plain", content=b"x"),))
    if repeated:
        room.gateway.send = held  # type: ignore[method-assign]
        work = [room.repeat(called(State.RETRYING)) for _ in range(30)]
    else:
        room.gateway.prepare = held  # type: ignore[method-assign]
        work = [room.caller.first(room.runner, exchange(), LIVE, call) for _ in range(30)]
    running = asyncio.gather(*work)
    while present < 8:  # noqa: ASYNC110  — the calls tell nobody
        await asyncio.sleep(0)
    gate.set()
    await running
    assert most == 8
