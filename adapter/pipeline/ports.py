"""What the pipeline is handed by the bootstrap."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from adapter.exchange import Gateway, Service
    from adapter.incoming import Provider, Register
    from adapter.journal.records import Exchange


#: Entered around every run of an exchange's step; must never block or raise.
Trace: TypeAlias = "Callable[[Exchange], AbstractContextManager[None]]"

#: Events that any worker may publish, whatever it serves; each has a durable queue of its name.
OWN_EVENTS: Final = ("smev3.request-status", "adapter.accepted", "adapter.sent", "adapter.answered")


class Observer(Protocol):
    """Told of what happened; must never block or raise."""

    def command_finished(self, exchange: Exchange, *, outcome: str, code: str | None, reply_bytes: int) -> None:
        """One command ended in state ``outcome``."""
        ...

    def gateway_call(  # noqa: PLR0913, PLR0917  — what there is to tell of one call
        self, operation: str, outcome: str, seconds: float, bytes_out: int, bytes_in: int, gateway: str = "smev3"
    ) -> None:
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
    ``providers`` take what gateways bring, by action: these actions have no command queue. ``registers`` are
    applications of our own that commands change, by name.
    """

    services: Mapping[str, Service]
    gateways: Mapping[str, Gateway]
    places: Mapping[str, int] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    registers: Mapping[str, Register] = field(default_factory=dict)

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events that these services and providers may tell; each has a durable queue."""
        named = [name for provider in self.providers.values() for name in provider.events]
        named += [f"{action}.failed" for action in self.providers]
        named += [name for service in self.services.values() for name in getattr(service, "events", ())]
        return tuple(dict.fromkeys(named))

    @property
    def schemas(self) -> frozenset[str]:
        """Schemas that contents are checked by, below schemas/."""
        services = [*self.services.values(), *self.providers.values()]
        more = {path for service in services for path in getattr(service, "schemas", ())}
        return frozenset({service.schema for service in self.services.values() if service.schema} | more)
