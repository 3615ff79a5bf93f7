"""Named places where a fault test may end the process: the moments between two durable steps.

``ADAPTER_FAULT_POINT=journal`` kills the worker with SIGKILL when it first reaches the point ``journal``;
``journal:20`` at the twentieth time. It is read once at start, only tests set it, and the configuration warns of it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "ADAPTER_FAULT_POINT"
#: In the order in which a command passes them.
POINTS: Final = (
    "decode",  # a batch is read, nothing is durable
    "journal",  # the batch is durable, not acked
    "ack",  # the ack is written, perhaps not processed
    "barrier",  # the broker has processed the ack
    "intent",  # the intent to call is durable, nothing has left
    "call",  # the gateway has answered the call, its answer is not durable
    "answer",  # the final answer is durable, not confirmed to the gateway
    "outbox",  # outcome and reply are durable, not published
    "publish",  # the reply is confirmed by the broker
    "mark",  # about to mark it as sent
)

_armed: dict[str, int] = {}


def arm(environment: Mapping[str, str]) -> str | None:
    """Arm the point that the environment names; returns its name. Raises ValueError for a name that is none."""
    wanted = environment.get(VARIABLE, "")
    if not wanted:
        return None
    name, _, count = wanted.partition(":")
    if name not in POINTS or not (count or "1").isdigit():
        raise ValueError(f"{VARIABLE} is POINT or POINT:COUNT, POINT one of {', '.join(POINTS)}")
    _armed[name] = int(count or "1")
    return name


def reach(name: str) -> None:
    """Mark the place; costs one look into an empty dict when nothing is armed."""
    if name in _armed:
        _armed[name] -= 1
        if _armed[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
