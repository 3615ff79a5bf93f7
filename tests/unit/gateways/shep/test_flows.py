"""Delivery points, pace, fetching and following without a database or a gateway."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from adapter.errors import Code, KnownError
from adapter.exchange import Accepted, Answer, AnswerKind, Prepared, Refused, Sent, TryLater
from adapter.gateways.shep.follower import Followed, ShepFollower
from adapter.gateways.shep.pacing import Pace, Pacing
from adapter.gateways.shep.points import Points, Watched
from adapter.gateways.shep.puller import Pulled, ShepPuller
from adapter.gateways.shep.sharing import AwayError, Shared
from adapter.settings.shep_registry import Point, Service, ShepRegistry
from adapter.shep_opening import paces, pulled, watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.exchange import Call
    from adapter.incoming import Incoming, Session


class Gone(Exception):  # noqa: N818 — stands for whatever says that there is no database
    """No database."""


class Tables(Shared):
    """Answers what a test says, by the statement's name; keeps what was asked."""

    def __init__(self, **rows: Any) -> None:
        super().__init__(self._never, (Gone,))
        self.rows = rows
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    @asynccontextmanager
    async def _never(self) -> AsyncIterator[Session]:
        raise Gone
        yield

    async def fetch(self, name: str, *arguments: Any) -> Any:
        self.asked.append((name, arguments))
        if self.rows.get(name) == "away":
            raise AwayError
        return self.rows.get(name, [])


class Told:
    """A gateway that says what a test wants, and arrivals that keep what came."""

    name = "shep"

    def __init__(self, *answers: Sent) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.incoming: list[Incoming] = []
        self.away = 0

    async def prepare(self, call: Call) -> Prepared:
        self.calls.append(call)
        return Prepared(call.operation, "id", b"", None)  # type: ignore[arg-type]

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        assert (prepared.gateway_id, earlier_attempts) == ("id", 0)
        return self.answers.pop(0)

    async def receive(self, incoming: Incoming) -> bool:
        if self.away:
            self.away -= 1
            raise Gone
        self.incoming.append(incoming)
        return True


def answered(**content: Any) -> Accepted:
    verdicts = ({"signature": "right"},)
    answer = Answer("shep", "id", "id", AnswerKind.ANSWER, b"<raw/>", orjson.dumps(content), verdicts=verdicts)
    return Accepted(b"<raw/>", answer)


async def test_a_statement_without_a_database_says_so() -> None:
    away = Tables()
    with pytest.raises(AwayError):
        await Shared.fetch(away, "follow_sweep")


async def test_errors_of_this_worker_are_counted_while_the_database_is_away() -> None:
    heard: list[str] = []
    points = Points([Watched(7, 4, 60, frozenset({"S"}))], Tables(take_error="away", pull_wake="away"), heard.append)
    for service in ("S", "other", "", "S"):
        await points.failed(service)
    assert (heard.count("shep-point-errors"), heard.count("shep-point-alarm")) == (4, 1)
    await points.failed("S")
    await points.failed("S")
    assert heard.count("shep-point-off") == 2, "nobody could be told to fetch: it is tried again"


async def test_whoever_hears_a_delivery_again_ends_the_fetching_that_another_began() -> None:
    tables = Tables(pull_woken=[{"service_id": "S"}])
    points = Points([Watched(7, 4, 60, frozenset({"S", "T"}))], tables, lambda _: None)
    await points.delivered("T")
    assert [name for name, _ in tables.asked] == ["pull_woken", "pull_rest"]
    await points.delivered("T")
    assert len(tables.asked) == 2


async def test_only_declared_points_hold_a_send_and_an_unreachable_count_waits() -> None:
    pacing = Pacing({("S", "R"): Pace(9, 2, 3.0)}, Tables(take_send=[{"wait": 1.5}]))
    assert (await pacing.take("S", "R"), await pacing.take("S", ""), await pacing.take("T", "R")) == (1.5, 0.0, 0.0)
    assert await Pacing({("S", ""): Pace(9, 2, 3.0)}, Tables(take_send="away")).take("S", "") > 0


async def test_what_was_fetched_is_kept_however_long_the_journal_is_away() -> None:
    info = {"message_id": "1", "correlation_id": "2", "message_type": "REQUEST", "sender": {"sender_id": "o"}}
    told = Told(answered(messages=[{"message_info": info}, {"message_info": {**info, "message_id": ""}}]))
    told.away = 1
    heard: list[str] = []
    puller = ShepPuller([Pulled("S", "shep", 1, 5)], {"shep": told}, Tables(), heard.append)  # type: ignore[dict-item]
    await puller._turn(told, puller._pulled["S"])  # type: ignore[arg-type]
    first, second = told.incoming
    assert (first.key, first.facts["signature"], first.unreadable) == ("shep.message:S:1", "right", "")
    assert second.unreadable
    assert second.key != first.key
    assert orjson.loads(told.calls[0].content) == {"service_id": "S", "amount": 5}
    assert heard.count("shep-pulled") == 2


ROW = {"message_id": "5", "service_id": "S", "state": "", "changes": 0, "looks": 3, "late": False, "age": 200.0}


@pytest.mark.parametrize(
    ("sent", "state", "looks", "pause", "told"),
    [
        (answered(message_state="ON_DELIVERY"), "ON_DELIVERY", 0, 1.0, 0),
        (answered(message_state="DELIVERY_STOPPED"), "DELIVERY_STOPPED", 0, 1.0, 1),
        (answered(message_state="NOT_DELIVERED"), "NOT_DELIVERED", 0, None, 1),
        (Refused(KnownError(Code.INTERNAL), b""), "FAULT", 0, None, 1),
        (TryLater(KnownError(Code.GATEWAY_UNAVAILABLE)), "", 4, 16.0, 0),
    ],
    ids=["taken", "stopped", "lost", "refused", "away"],
)
async def test_a_look_tells_a_change_once_and_spaces_the_next_one(
    sent: Sent, state: str, looks: int, pause: float | None, told: int
) -> None:
    heard: list[str] = []
    gateway, tables = Told(sent), Tables()
    follower = ShepFollower(
        [Followed("S", "shep", told=False)],
        {"shep": gateway},  # type: ignore[dict-item]
        tables,
        count=heard.append,
        observe=lambda *_: None,
    )
    await follower._turn(gateway, ROW)  # type: ignore[arg-type]
    ((name, seen),) = tables.asked
    assert (name, seen[0], *seen[2:]) == ("follow_seen", "5", state, looks, pause, True)
    assert (len(gateway.incoming), heard.count("shep-delivery-late")) == (told, 1)


def test_the_registry_says_what_is_held_fetched_and_watched() -> None:
    service = {"system": "own", "name": "n", "mode": "Асинхронный"}
    point = {"url": "http://x", "call": 2, "security": 1}
    registry = ShepRegistry(
        organisations=[{"key": "o", "name": "n", "short_name": "n", "bin": "1" * 12}],  # type: ignore[list-item]
        systems=[{"key": "own", "owner": "o", "name": "n", "short_name": "n"}],  # type: ignore[list-item]
        points=[
            Point(id=1, throttling=1, throttling_timeout="45 секунд", requests=45, **point),  # type: ignore[arg-type]
            Point(id=2, max_errors=5, max_interval="1 минута", **point),  # type: ignore[arg-type]
        ],
        services=[
            Service(key="A", delivery="PUSH", point=1, **service),  # type: ignore[arg-type]
            Service(key="B", delivery="PUSH", point=2, **service),  # type: ignore[arg-type]
            Service(key="C", delivery="PUSH", **{**service, "system": "theirs"}),  # type: ignore[arg-type]
            Service(key="D", delivery="PULL", poll_interval="30 секунд", poll_amount=3, **service),  # type: ignore[arg-type]
            Service(key="E", delivery="PULL", **service),  # type: ignore[arg-type]
        ],
    )
    assert paces(registry) == {("A", ""): Pace(1, 45, 45)}
    assert [(one.service_id, one.interval, one.amount, one.asleep) for one in pulled(registry)] == [
        ("A", 30.0, 0, True),
        ("B", 30.0, 0, True),
        ("C", 30.0, 0, True),
        ("D", 30, 3, False),
    ]
    shep: Any = SimpleNamespace(registry=registry, bin="1" * 12)
    assert watched(shep) == [Watched(2, 5, 60, frozenset({"B", "C"}))]
