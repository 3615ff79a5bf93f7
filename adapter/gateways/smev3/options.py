"""What a deployment says about its СМЭВ3: one value object for the gateway and the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from adapter.errors import ConfigurationError

#: Schema versions whose names the adapter knows (facts: smev3.md, Versions).
VERSIONS = ("1.1", "1.2", "1.3")

#: ``string-50`` of the basic schema.
NODE_ID_LIMIT = 50

#: ``(operation, outcome code, seconds, bytes out, bytes in)``: called once per HTTP exchange with the gateway.
#: The outcome is ``ok``, ``empty`` (nothing in the queue), ``cancelled`` or the error's wire code.
Observe = Callable[[str, str, float, int, int], None]

#: Tells the current moment, aware of its zone.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current moment in UTC."""
    return datetime.now(UTC)


def observe_nothing(_operation: str, _outcome: str, _seconds: float, _sent: int, _received: int) -> None:
    """Take an observation and drop it: the default where no metrics are wanted."""


@dataclass(frozen=True, slots=True)
class Smev3Options:
    """How this deployment talks to СМЭВ3.

    ``endpoint`` is the URL of the service, ``version`` the schema's (``1.1``, ``1.2``, ``1.3``). ``node_id`` makes a
    reply queue of our own: it goes into every request and every GetResponse. ``system_key`` and ``official_key`` name
    keys of the signing service (ЭП-ОВ, ЭП-СП). ``timeout`` is seconds for one HTTP exchange; ``poll_min`` and
    ``poll_max`` are seconds between polls of an empty queue. ``test_message`` marks every request as a test, on which
    the provider must not change data. ``require_trust`` refuses answers whose certificate was not checked against
    trust anchors; switch it off only where no anchors exist.

    Raises ConfigurationError for an unknown version or a NodeID that the schema does not allow.
    """

    endpoint: str
    version: str = "1.2"
    node_id: str | None = None
    system_key: str = "ov"
    official_key: str = "sp"
    timeout: float = 30
    poll_min: float = 0.2
    poll_max: float = 30.0
    test_message: bool = False
    require_trust: bool = True

    def __post_init__(self) -> None:
        """Refuse what no message could be built from."""
        faults = {}
        if self.version not in VERSIONS:
            faults["version"] = f"must be one of {', '.join(VERSIONS)}"
        if self.node_id is not None and not 0 < len(self.node_id) <= NODE_ID_LIMIT:
            faults["node_id"] = f"must have 1 to {NODE_ID_LIMIT} characters"
        if not 0 < self.poll_min <= self.poll_max:
            faults["poll_min"] = "must be above zero and not above poll_max"
        if faults:
            raise ConfigurationError(faults)
