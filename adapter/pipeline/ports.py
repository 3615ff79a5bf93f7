"""What the pipeline is handed by the bootstrap."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
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

    ``in_flight`` running exchanges, in equal shares for the gateways, so that a slow one cannot close the intake of the
    others; ``per_gateway`` calls at once where the registry says nothing else; ``max_body`` bytes of a command;
    ``crash_attempts`` rescues of one row before it is parked; ``stacktrace`` whether error replies carry one.
    """

    in_flight: int = 1000
    in_flight_bytes: int = sys.maxsize
    per_gateway: int = 256
    max_body: int = 2**20
    crash_attempts: int = 3
    require_message_id: bool = False
    stacktrace: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """The services this worker runs, by action, and the gateways they call, by name.

    ``places`` bounds the calls in flight to a gateway, by its name, where the bound is another than the usual one.
    """

    services: Mapping[str, Service]
    gateways: Mapping[str, Gateway]
    places: Mapping[str, int] = field(default_factory=dict)
