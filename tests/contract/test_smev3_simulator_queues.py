"""The simulator's queues under any order of events: nothing is lost, nothing acked comes again, heads stay heads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from simulators.smev3.queues import Address, Letter, Party, Queues
from simulators.smev3.registry import InformationType

LEASE = timedelta(minutes=15)
PARTY = Party("P", "p")
KIND = InformationType("urn:zoo/1.0.0", "Zoo", "ZooAnswer", PARTY)
ADDRESS = Address("reader", "", "request", "1.2")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([None, 5, 20]), st.sampled_from([0, 10])),
        st.tuples(st.just("take")),
        st.tuples(st.just("ack"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.sampled_from([1, 7, 15])),
    ),
    max_size=60,
)


def letter(number: int, now: datetime, life: int | None, delay: int) -> Letter:
    return Letter(
        message_id=str(number),
        original=str(number),
        kind=KIND,
        provided="",
        signature="",
        author=PARTY,
        recipient=PARTY,
        sent_at=now,
        available_at=now + timedelta(minutes=delay),
        expires_at=None if life is None else now + timedelta(minutes=life),
    )


def taken(queues: Queues, now: datetime) -> Letter | None:
    return queues.take(ADDRESS, lambda _: True, now)


@given(EVENTS)
def test_every_letter_is_acked_expired_or_still_to_be_had(events: list[tuple[object, ...]]) -> None:
    expired: list[str] = []
    gone: list[str] = []
    queues = Queues(
        LEASE, on_gone=lambda x: gone.append(x.message_id), on_expired=lambda x, _: expired.append(x.message_id)
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    put: list[str] = []
    acked: list[str] = []
    held: list[Letter] = []
    for name, *arguments in events:
        match name, arguments:
            case "put", [life, delay]:
                put.append(str(len(put)))
                queues.put(ADDRESS, letter(len(put) - 1, now, life, delay), now)  # type: ignore[arg-type]
            case "take", _:
                found = taken(queues, now)
                if found is not None:
                    assert found.message_id not in {*acked, *expired}
                    held.append(found)
            case "ack", [number]:
                if held:
                    one = held.pop(int(str(number)) % len(held))
                    was_known = one.message_id not in acked
                    assert queues.ack("reader", one.message_id, now, accepted=True) == was_known
                    acked.append(one.message_id)
            case "wait", [minutes]:
                now += timedelta(minutes=int(str(minutes)))
    now += LEASE + timedelta(minutes=10)
    rest = []
    while (found := taken(queues, now)) is not None:
        rest.append(found.message_id)
    assert sorted([*rest, *set(acked), *expired]) == sorted(put)
    assert sorted(gone) == sorted({*acked, *expired})
    assert queues.depth() == len(rest)


@given(st.integers(1, 8), st.integers(0, 8), st.integers(0, 8))
def test_unacked_letters_return_ahead_of_all_others_in_their_old_order(first: int, take: int, second: int) -> None:
    queues, now = Queues(LEASE), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(first):
        queues.put(ADDRESS, letter(number, now, None, 0), now)
    for _ in range(take):
        taken(queues, now)
    for number in range(first, first + second):
        queues.put(ADDRESS, letter(number, now, None, 0), now)
    now += LEASE
    order = [found.message_id for found in iter(lambda: taken(queues, now), None)]
    assert order == [str(number) for number in range(first + second)]


def test_a_letter_delivered_once_lives_until_its_ack() -> None:
    queues, now = Queues(LEASE), datetime(2026, 1, 1, tzinfo=UTC)
    queues.put(ADDRESS, letter(1, now, 5, 0), now)
    assert taken(queues, now) is not None
    assert taken(queues, now + LEASE) is not None, "its life is that of the way to the provider"
