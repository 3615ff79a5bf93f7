"""What the pipeline is handed by the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Gateway, Service
    from adapter.journal.records import Exchange


class Observer(Protocol):
    """Told of what happened; must never block or raise."""

    def command_finished(self, exchange: Exchange, *, outcome: str, code: str | None, reply_bytes: int) -> None:
        """One command ended in state ``outcome``."""
        ...

    def gateway_call(self, operation: str, outcome: str, seconds: float, bytes_out: int, bytes_in: int) -> None:
        """One call to a gateway ended; ``outcome`` is ``ok`` or a code."""
        ...

    def count(self, name: str, n: int = 1) -> None:
        """Something countable happened."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker.

    ``in_flight`` running exchanges; ``per_gateway`` calls at once, so that a slow gateway cannot hold every place;
    ``max_body`` bytes of a command; ``crash_attempts`` rescues of one row before it is parked; ``stacktrace`` whether
    error replies carry one.
    """

    in_flight: int = 1000
    per_gateway: int = 64
    max_body: int = 2**20
    crash_attempts: int = 3
    require_message_id: bool = False
    stacktrace: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """The services this worker runs, by action, and the gateways they call, by name."""

    services: Mapping[str, Service]
    gateways: Mapping[str, Gateway]
