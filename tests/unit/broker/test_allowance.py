"""How much of a queue stands in memory: bounded in bytes whatever comes, many where it is small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.broker.allowance import CAUTION, Allowance, Prefetch
from adapter.broker.deliveries import Keep

SURE, MOST, LARGEST = 3, 100, 1000


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def allowance(most: int = MOST) -> tuple[Allowance, Clock]:
    clock = Clock()
    return Allowance(Prefetch(SURE, most, LARGEST), clock), clock


def test_small_bodies_are_asked_for_by_the_hundred() -> None:
    held, _ = allowance()
    assert held.begin() == MOST
    assert [held.weigh(10, 10) for _ in range(MOST)] == [Keep.WHOLE] * MOST
    assert not held.exceeded.is_set()


def test_bodies_that_do_not_fit_together_are_left_to_the_broker_and_fewer_are_asked_for_next() -> None:
    held, clock = allowance()
    held.begin()
    assert [held.weigh(0, LARGEST) for _ in range(SURE)] == [Keep.WHOLE] * SURE
    assert held.weigh(0, 1) is Keep.NOTHING
    assert held.exceeded.is_set()
    held.release(LARGEST)
    assert held.weigh(0, 1) is Keep.NOTHING, "nothing behind what was left may be kept: an ack covers all before it"
    assert held.begin() == SURE
    assert [held.weigh(0, LARGEST) for _ in range(SURE)] == [Keep.WHOLE] * SURE
    assert held.review == CAUTION
    clock.now += CAUTION
    assert held.review == 0
    assert held.begin() == MOST
    assert held.review == float("inf")


def test_what_became_durable_makes_room() -> None:
    held, _ = allowance()
    held.begin()
    for _ in range(10 * MOST):
        assert held.weigh(100, 900) is Keep.WHOLE
        held.release(1000)


def test_of_a_body_over_the_limit_only_the_digest_is_kept_and_only_its_properties_count() -> None:
    held, _ = allowance()
    held.begin()
    assert [held.weigh(1, LARGEST + 1) for _ in range(MOST)] == [Keep.DIGEST] * MOST


def test_a_number_that_was_set_is_what_is_asked_for_and_nothing_is_left_to_the_broker() -> None:
    held, _ = allowance(most=SURE)
    assert held.begin() == SURE
    assert [held.weigh(50, LARGEST) for _ in range(SURE)] == [Keep.WHOLE] * SURE
    assert held.begin() == SURE


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2 * LARGEST)), max_size=60))
def test_no_more_is_ever_held_than_the_largest_bodies_would_take(deliveries: list[tuple[int, int]]) -> None:
    held, _ = allowance()
    held.begin()
    kept = 0
    for properties, body in deliveries:
        keep = held.weigh(properties, body)
        if keep is not Keep.NOTHING:
            kept += properties + (body if keep is Keep.WHOLE else 0)
        assert kept <= SURE * LARGEST
