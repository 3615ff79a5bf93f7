"""The configuration of ``adapter console``: the variables of a worker that it needs, and its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapter.settings.groups import Broker, Console, Database, Health, Logging
from adapter.settings.loading import fields_of, read_groups, secrets_of
from adapter.settings.values import human_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GROUPS = frozenset({"broker", "services", "database", "health", "console", "logging"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """What the console is made from; no key, token or address of a gateway is among it.

    ``actions`` are those that SERVICES names, ``warnings`` English sentences to be said loudly at start.
    """

    broker: Broker
    database: Database
    health: Health
    console: Console
    logging: Logging
    actions: tuple[str, ...]
    warnings: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def workers(self) -> tuple[str, ...]:
        """Addresses of the workers' health listeners, none where there are none."""
        if self.console.workers is not None:
            return self.console.workers
        host = f"[{self.health.host}]" if ":" in self.health.host else self.health.host
        return (f"http://{host}:{self.health.port}",) if self.health.port else ()

    @property
    def largest(self) -> str:
        """The largest command, as people write it."""
        return human_size(self.broker.max_body)


def load_console(environment: Mapping[str, str], known_actions: Mapping[str, str]) -> ConsoleSettings:
    """Return the checked configuration of the console. Raises ConfigurationError with every fault at once."""
    _, values, _ = read_groups(environment, known_actions, _GROUPS)
    console = Console(**fields_of("console", values))
    return ConsoleSettings(
        broker=Broker(**fields_of("broker", values)),
        database=Database(**fields_of("database", values)),
        health=Health(**fields_of("health", values)),
        console=console,
        logging=Logging(**fields_of("logging", values)),
        actions=values["SERVICES"],
        warnings=tuple(_warnings(console)),
        secrets=tuple(secrets_of(values)),
    )


def _warnings(console: Console) -> Iterator[str]:
    if console.listen[0] not in _LOOPBACK and console.certificate is None:
        yield "CONSOLE_LISTEN is plain http beyond this machine: tokens and contents travel in the clear"
