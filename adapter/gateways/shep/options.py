"""What a deployment says about its ШЭП: one value object per contour (ШЭП or ВШЭП), and a profile per service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import IntEnum

from adapter.errors import ConfigurationError

#: ``(operation, outcome code, seconds, bytes out, bytes in)``: called once per HTTP exchange with the gateway.
Observe = Callable[[str, str, float, int, int], None]

#: Tells the current moment, aware of its zone.
Clock = Callable[[], datetime]

#: Kazakhstan has one zone since 2024.
KAZAKHSTAN = timezone(timedelta(hours=5))


class Level(IntEnum):
    """Security of a service's calls (order № 104, Приложение 1, «Безопасность при вызове сервиса»)."""

    NONE = 0
    """No transport signature."""
    GATEWAY = 1
    """The gateway signs; its signature is verified."""
    BOTH = 2
    """The gateway signs and so does whoever calls it."""


def utc_now() -> datetime:
    """Return the current moment in UTC."""
    return datetime.now(UTC)


def observe_nothing(_operation: str, _outcome: str, _seconds: float, _sent: int, _received: int) -> None:
    """Take an observation and drop it: the default where no metrics are wanted."""


def count_nothing(_name: str) -> None:
    """Take a count and drop it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How one service is called.

    ``soft_revocation`` believes certificates of which nobody knows whether they are revoked. ``unsigned_faults``
    believes a refusal that is not signed, at a level where everything else has to be; without it such a refusal leaves
    the fate of a send uncertain. ``answer_within`` is how long a command waits for its business answer after the
    receipt, ``None`` as long as it has at all. ``encrypted`` wants messages of the service encrypted, then signed.
    """

    level: Level = Level.BOTH
    soft_revocation: bool = False
    unsigned_faults: bool = False
    answer_within: timedelta | None = None
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Cipher:
    """How messages are encrypted (scenario 3): for the gateway's ``certificate`` (DER), to us for the key ``key``."""

    certificate: bytes
    key: str


@dataclass(frozen=True, slots=True)
class ShepOptions:
    """How this deployment talks to one contour.

    ``sync_url`` and ``async_url`` are the gateway's endpoints. ``sender_id`` and ``password`` are the login that the
    gateway's administrator gave out; they never come from a command. ``gateway_bin`` is the БИН in the gateway's
    certificate (empty: not checked), ``gateway_certs`` DER certificates that its answers may only name. ``system_key``
    and ``official_key`` are keys of the signing service, the latter for business data alone; ``cipher`` is for services
    that want encryption. Timeouts are seconds of one HTTP exchange; rule 15 of order № 104 gives a synchronous call one
    minute. ``profiles`` are by serviceId, ``profile`` is everybody else's.

    Raises ConfigurationError for what no message could be built from.
    """

    sync_url: str
    async_url: str
    sender_id: str
    password: str = field(repr=False)
    name: str = "shep"
    gateway_bin: str = ""
    gateway_certs: tuple[bytes, ...] = field(default=(), repr=False)
    system_key: str = "shep"
    official_key: str = "shep-official"
    cipher: Cipher | None = None
    sync_timeout: float = 65
    async_timeout: float = 40
    zone: tzinfo = KAZAKHSTAN
    profile: Profile = Profile()
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        faults = {}
        if not self.sender_id:
            faults["sender_id"] = "must not be empty"
        if self.gateway_bin and not (len(self.gateway_bin) == 12 and self.gateway_bin.isdecimal()):
            faults["gateway_bin"] = "must have 12 digits"
        if min(self.sync_timeout, self.async_timeout) <= 0:
            faults["sync_timeout"] = "timeouts must be above zero"
        if faults:
            raise ConfigurationError(faults)

    def profile_of(self, service_id: str | None) -> Profile:
        """Return the profile of a service."""
        return self.profiles.get(service_id or "", self.profile)
