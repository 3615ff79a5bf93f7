"""Where spans go: read only where OTEL_EXPORTER_OTLP_ENDPOINT is given. The SDK reads the other variables by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapter.settings.loading import fields_of, read_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What is known of the collector of spans; ``headers`` may hold its credentials."""

    endpoint: str
    headers: str | None = field(repr=False)
    service: str
    resource: str | None
    sampler: str | None
    sampler_argument: str | None


def load_telemetry(environment: Mapping[str, str], known_actions: Mapping[str, str]) -> Telemetry | None:
    """Return what is said of OpenTelemetry, ``None`` where it is off. Raises ConfigurationError."""
    if not environment.get(_ENDPOINT, "").strip():
        return None
    _, values, _ = read_groups(environment, known_actions, frozenset({"telemetry"}))
    return Telemetry(**fields_of("telemetry", values))
