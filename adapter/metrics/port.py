"""The port: what the rooms may tell, and the implementation that tells nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from adapter.metrics.counters import Counters
from adapter.metrics.documents import word
from adapter.metrics.timings import Timings

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedCommand:
    """One command that ended: ``outcome`` is its state, ``seconds`` run from its receipt to its outcome."""

    action: str
    exchange_id: UUID | str
    outcome: str
    code: str | None
    seconds: float
    request_bytes: int
    reply_bytes: int
    attempts: int
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayCall:
    """One call to a gateway that ended, with or without an answer.

    ``outcome`` is ``ok``, ``failed``, ``cancelled``, or ``empty`` for a look into an empty queue, which is only
    counted. ``exchange_id`` and ``action`` are ``None`` where the call serves no exchange yet (a poll).
    """

    gateway: str
    operation: str
    outcome: str
    seconds: float
    sent_bytes: int
    received_bytes: int
    code: str | None = None
    action: str | None = None
    exchange_id: UUID | str | None = None
    attempt: int = 1


class Metrics(Protocol):
    """Told of what happened. Nothing here blocks, awaits or raises, except ``close``, which is bounded."""

    counters: Counters
    timings: Timings

    def command_finished(self, command: FinishedCommand) -> None:
        """Take note of a finished command."""
        ...

    def gateway_call(self, call: GatewayCall) -> None:
        """Take note of a gateway call."""
        ...

    def count(self, name: str, n: int = 1) -> None:
        """Something countable happened ``n`` times."""
        ...

    async def close(self) -> None:
        """Send what is still held, within a bound; count the rest as dropped."""
        ...


class CountingMetrics:
    """Counts in memory."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.counters = Counters()
        self.timings = Timings()

    def command_finished(self, command: FinishedCommand) -> None:
        """Count the command by action, outcome and code."""
        self.counters.increment(
            "commands", action=word(command.action), outcome=word(command.outcome), code=word(command.code or "")
        )
        self.timings.observe("command", "action", word(command.action), command.seconds)

    def gateway_call(self, call: GatewayCall) -> None:
        """Count the call by gateway, operation, outcome and code."""
        self.counters.increment(
            "gateway_calls",
            gateway=word(call.gateway),
            operation=word(call.operation),
            outcome=word(call.outcome),
            code=word(call.code or ""),
        )
        self.timings.observe("gateway_call", "gateway", word(call.gateway), call.seconds)

    def count(self, name: str, n: int = 1) -> None:
        """Count ``name``."""
        self.counters.increment(name, n)

    async def close(self) -> None:
        """Nothing is held."""


class NoMetrics(CountingMetrics):
    """Metrics are off: counts stay in memory and nothing is sent."""
