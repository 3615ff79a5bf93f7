from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid1, uuid4

import pytest

from adapter.gateways.smev3.message_id import MessageIdMint, minted_at

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


class SteppingClock:
    def __init__(self, *moments: datetime) -> None:
        self.moments = list(moments)

    def __call__(self) -> datetime:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


def test_an_id_is_a_lower_case_uuid_of_version_1() -> None:
    minted = MessageIdMint().mint()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", minted)


def test_the_moment_inside_an_id_is_the_clocks() -> None:
    assert minted_at(MessageIdMint(lambda: NOON).mint()) == NOON


def test_the_moment_inside_an_id_of_the_standard_library_is_read_alike() -> None:
    before = datetime.now(UTC)
    moment = minted_at(str(uuid1()))
    assert abs(moment - before) < timedelta(seconds=5)


def test_the_node_is_random_and_says_so() -> None:
    nodes = {UUID(MessageIdMint().mint()).node for _ in range(20)}
    assert len(nodes) == 20
    assert all(node >> 40 & 1 for node in nodes)


def test_ids_grow_while_the_clock_stands_still() -> None:
    mint = MessageIdMint(lambda: NOON)
    moments = [UUID(mint.mint()).time for _ in range(1000)]
    assert moments == sorted(set(moments))


def test_ids_grow_over_a_small_step_back_of_the_clock() -> None:
    mint = MessageIdMint(SteppingClock(NOON, NOON - timedelta(milliseconds=500)))
    first, second = UUID(mint.mint()), UUID(mint.mint())
    assert second.time > first.time


def test_after_a_large_step_back_the_moment_is_true_and_the_sequence_is_new() -> None:
    earlier = NOON - timedelta(hours=3)
    mint = MessageIdMint(SteppingClock(NOON, earlier))
    first, second = UUID(mint.mint()), UUID(mint.mint())
    assert minted_at(str(second)) == earlier
    assert second.clock_seq != first.clock_seq


def test_an_id_of_another_version_has_no_moment() -> None:
    with pytest.raises(ValueError, match="version 1"):
        minted_at(str(uuid4()))
