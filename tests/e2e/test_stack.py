"""The demo as people run it: every part a process of its own, the seed's examples from queue to queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES
from deploy.local import demo
from deploy.local.stack import Stack, read_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def stack(service_state: Path) -> Iterator[Stack]:
    """Start the whole stack below the session's folder."""
    stack = Stack(service_state / "stack")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        stack.postgres.remove()


def test_the_demo_gets_the_replies_of_the_seed(stack: Stack, tmp_path: Path) -> None:
    assert demo.main(read_upstream(stack.upstream_env), tmp_path) == 0
    replies = [json.loads((tmp_path / f"reply-{number}.json").read_text()) for number in range(1, 5)]
    assert replies == [example.reply for example in EXAMPLES]


def test_a_stack_that_is_up_is_left_alone_by_a_second_up(stack: Stack) -> None:
    before = [stack.rabbit.pid, stack.postgres.pid, stack.adapter.pid]
    stack.up()
    assert [stack.rabbit.pid, stack.postgres.pid, stack.adapter.pid] == before


def test_a_crashed_adapter_is_started_again_by_up(stack: Stack) -> None:
    stack.adapter.kill()
    assert not stack.complete
    stack.up()
    assert stack.complete


def test_down_stops_everything_and_nothing_is_left_to_stop(stack: Stack) -> None:
    stopped = stack.down()
    assert len(stopped) == len(stack.parts())
    assert stack.down() == []
    assert not stack.upstream_env.exists()
