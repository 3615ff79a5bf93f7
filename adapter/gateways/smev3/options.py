"""What a deployment says about its СМЭВ3: one value object for the gateway and the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from adapter.errors import ConfigurationError
from adapter.xml.fragment import is_of_elements

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
    ``poll_max`` are seconds between polls of an empty queue. ``selects`` fetches messages of one вид сведений alone, by
    NamespaceURI and RootElementLocalName of a request or an answer; without it all. ``life`` is how long a request
    lives from its MessageID on (EOL); without it for ever. ``business_process`` are elements that go into every
    request's BusinessProcessMetadata, each with its own namespace declared. ``test_message`` marks every request as a
    test, on which the provider must not change data. ``ftp_host`` and ``ftp_port`` are the file storage for large
    attachments, by default on the endpoint's host. ``require_trust`` refuses messages whose certificate was not
    checked against trust anchors; switch it off only where no anchors exist.

    Raises ConfigurationError for what the schema does not allow.
    """

    endpoint: str
    version: str = "1.2"
    node_id: str | None = None
    system_key: str = "ov"
    official_key: str = "sp"
    timeout: float = 30
    poll_min: float = 0.2
    poll_max: float = 30.0
    selects: tuple[str, str] | None = None
    life: timedelta | None = None
    business_process: bytes = b""
    test_message: bool = False
    require_trust: bool = True
    ftp_host: str | None = None
    ftp_port: int = 21

    def __post_init__(self) -> None:
        """Refuse what no message could be built from."""
        faults = {}
        if self.version not in VERSIONS:
            faults["version"] = f"must be one of {', '.join(VERSIONS)}"
        if self.node_id is not None and not 0 < len(self.node_id) <= NODE_ID_LIMIT:
            faults["node_id"] = f"must have 1 to {NODE_ID_LIMIT} characters"
        if not 0 < self.poll_min <= self.poll_max:
            faults["poll_min"] = "must be above zero and not above poll_max"
        if self.selects is not None and not all(self.selects):
            faults["selects"] = "must name both the namespace and the root element"
        if self.life is not None and self.life <= timedelta(0):
            faults["life"] = "must be above zero"
        if not is_of_elements(self.business_process):
            faults["business_process"] = "must be XML elements, each in a namespace that it declares"
        if faults:
            raise ConfigurationError(faults)

    @property
    def storage(self) -> tuple[str, int]:
        """Host and port of the file storage."""
        return self.ftp_host or urlsplit(self.endpoint).hostname or "", self.ftp_port
