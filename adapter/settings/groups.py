"""What the rooms receive: frozen groups of values, one per concern, already checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapter.files.policy import FilesPolicy
from adapter.settings.pem import Pem, client_context
from adapter.settings.renewal import living_client, living_listener

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from datetime import date, tzinfo
    from ipaddress import IPv4Network, IPv6Network
    from pathlib import Path

    from adapter.files.policy import AllowedHost
    from adapter.settings.shep_registry import ShepRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """RabbitMQ. ``max_body`` in bytes, ``heartbeat`` in seconds; a host without a port of its own has ``port``."""

    hosts: tuple[tuple[str, int | None], ...]
    port: int
    user: str | None
    password: str | None = field(repr=False)
    vhost: str
    tls: bool
    ca: Pem | None
    certificate: Pem | None
    key: Pem | None
    prefix: str
    prefetch: int
    max_body: int
    require_message_id: bool
    heartbeat: int

    @property
    def nodes(self) -> tuple[tuple[str, int], ...]:
        """Host and port of every node, in the order in which they are tried."""
        return tuple((host, port or self.port) for host, port in self.hosts)

    @property
    def external(self) -> bool:
        """Whether the login is SASL EXTERNAL: by the client certificate."""
        return self.user is None

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a context for the next connection, ``None`` with MQ_TLS=off; reads renewed files."""
        return client_context(self.ca, self.certificate, self.key) if self.tls else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """PostgreSQL."""

    host: str
    port: int
    name: str
    user: str
    password: str | None = field(repr=False)
    sslmode: str
    ca: Pem | None

    def connect_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of asyncpg's ``connect`` and ``create_pool``."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.name,
            "user": self.user,
            "password": self.password,
            "ssl": self._ssl(),
        }

    def _ssl(self) -> ssl.SSLContext | str | None:
        if self.host.startswith("/"):
            return None
        if self.sslmode not in {"verify-ca", "verify-full"}:
            return self.sslmode
        context = living_client(self.ca, None, None)
        context.check_hostname = self.sslmode == "verify-full"
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Smev:
    """СМЭВ3. Times in seconds; ``trust`` are DER certificates.

    ``provides`` are namespaces and roots of requests that are taken, none of them for every one.
    """

    endpoint: str
    version: str
    node_id: str
    trust: tuple[bytes, ...] = field(repr=False)
    timeout: float
    calls: int
    poll_min: float
    poll_max: float
    selects: tuple[str, str] | None
    life: float | None
    provides: tuple[tuple[str, str], ...] | None
    statuses: bool
    business_process: str | None
    test_message: bool
    ftp_host: str | None
    ftp_port: int
    sim_headers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """SIGN_SERVICE: the service that holds the keys of ЭП-ОВ (``ov``) and ЭП-СП (``sp``)."""

    url: str
    personal: bool
    key_ov: str
    key_sp: str
    token_ov: str | None = field(repr=False)
    token_sp: str | None = field(repr=False)
    timeout: float
    ca: Pem | None
    certificate: Pem | None
    key: Pem | None

    @property
    def tokens(self) -> Mapping[str, str]:
        """Bearer token by key name."""
        pairs = ((self.key_ov, self.token_ov), (self.key_sp, self.token_sp))
        return {key: token for key, token in pairs if token is not None}

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for https, ``None`` for plain http."""
        return living_client(self.ca, self.certificate, self.key) if self.url.startswith("https:") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files that come in with commands and answers: ``root`` of those received, ``max_size`` of each in bytes."""

    root: Path
    paths: tuple[Path, ...] | None
    hosts: tuple[AllowedHost, ...] | None
    max_size: int

    def policy(self) -> FilesPolicy:
        """Return what commands may name; folders without links on the way, as they are now."""
        return FilesPolicy(
            paths=tuple(path.resolve() for path in self.paths or ()), hosts=self.hosts or (), max_size=self.max_size
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Epgu:
    """ЕПГУ and ЕСИА. Times in seconds, sizes in bytes; ``api_keys`` are (GUID, name of a signing key) by name."""

    environment: str
    url: str | None
    host: str | None
    sni: str | None
    ca: Pem | None
    system: str | None
    profile: str
    prefix: str | None
    zone: str | None
    chunk_size: int | None
    chunk_base: int
    chunk_meta: bool
    parallel: int
    timeout: float
    calls: int
    sign_key: str | None
    limit_minute: int
    limit_hour: int
    limit_day: int
    limit_month: int
    limit_year: int
    limit_orders: int
    limit_services: Mapping[str, int] | None
    follow: bool
    follow_first: float
    follow_longest: float
    follow_poll: float
    follow_overlap: float
    follow_reconcile: float
    follow_share: int
    esia_url: str | None
    api_keys: Mapping[str, tuple[str, str]] | None = field(repr=False)
    person_scope: str
    renewal: str
    redirect_uri: str | None
    scopes: tuple[str, ...]
    esia_timeout: float

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for https where an authority of its own is given."""
        return None if self.ca is None else living_client(self.ca, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Postamat:
    """Постаматы. ``mode`` is portal or client; times in seconds; ``locker_tokens`` by the number of a locker.

    ``listen`` is host and port where lockers call, ``None`` nowhere; ``certificate`` and ``key`` make that https.
    """

    mode: str
    url: str | None
    token: str | None = field(repr=False)
    locker_tokens: Mapping[str, str] | None = field(repr=False)
    timeout: float
    ca: Pem | None
    check_timestamp: bool
    timestamp_window: float
    storage_days: int
    listen: tuple[str, int] | None
    certificate: Pem | None
    key: Pem | None

    @property
    def window(self) -> float | None:
        """How far the timestamp of a locker's call may be from now; ``None`` does not look."""
        return self.timestamp_window if self.check_timestamp else None

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for https, ``None`` for plain http."""
        return living_client(self.ca, None, None) if (self.url or "").startswith("https:") else None

    def listener_context(self) -> ssl.SSLContext | None:
        """Return the context that lockers are served with, ``None`` for plain http."""
        return living_listener(self.certificate, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shep:
    """ШЭП and ВШЭП (``outer``). Times in seconds; ``gateway_certs`` and ``trust`` are DER certificates.

    ``listen`` is host and port where the gateway calls us, ``None`` nowhere; ``public_url`` how it reaches that.
    ``networks`` are those from which services without signatures may be called, ``None`` being all.
    """

    registry: ShepRegistry
    sync_url: str
    async_url: str
    outer_sync_url: str | None
    outer_async_url: str | None
    sender_id: str
    password: str = field(repr=False)
    bin: str | None
    gateway_bin: str | None
    gateway_certs: tuple[bytes, ...] | None = field(repr=False)
    trust: tuple[bytes, ...] | None = field(repr=False)
    backend: str
    system_p12: bytes | None = field(repr=False)
    system_p12_password: str | None = field(repr=False)
    official_p12: bytes | None = field(repr=False)
    official_p12_password: str | None = field(repr=False)
    system_key: str
    system_token: str | None = field(repr=False)
    official_key: str
    official_token: str | None = field(repr=False)
    cipher_certificate: tuple[bytes, ...] | None = field(repr=False)
    cipher_key: str
    cipher_token: str | None = field(repr=False)
    sync_timeout: float
    async_timeout: float
    listen: tuple[str, int] | None
    public_url: str | None
    listen_certificate: Pem | None
    listen_key: Pem | None
    listen_authority: Pem | None
    networks: tuple[IPv4Network | IPv6Network, ...] | None
    zone: tzinfo

    def listener_context(self) -> ssl.SSLContext | None:
        """Return the context that the gateway is served with, ``None`` for plain http."""
        return living_listener(self.listen_certificate, self.listen_key, self.listen_authority)

    holidays: tuple[date, ...] | None

    @property
    def tokens(self) -> Mapping[str, str]:
        """Bearer token by key name."""
        pairs = (
            (self.system_key, self.system_token),
            (self.official_key, self.official_token),
            (self.cipher_key, self.cipher_token),
        )
        return {key: token for key, token in pairs if token is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Elastic:
    """Elasticsearch, where metrics go."""

    host: str
    port: int
    prefix: str
    scheme: str
    user: str | None
    password: str | None = field(repr=False)
    ca: Pem | None
    hash_key: str | None = field(repr=False)

    @property
    def url(self) -> str:
        """Address of the node."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for https, ``None`` for plain http."""
        return living_client(self.ca, None, None) if self.scheme == "https" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health listener; port 0 means none."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The console. ``listen`` is host and port, ``tokens`` are (token, roles) by the name of who holds one.

    ``certificate`` and ``key`` make it https; ``workers`` are the health listeners it asks; ``session`` in seconds.
    """

    listen: tuple[str, int]
    tokens: Mapping[str, tuple[str, frozenset[str]]] = field(repr=False)
    certificate: Pem | None
    key: Pem | None
    language: str
    session: float
    workers: tuple[str, ...] | None

    def listener_context(self) -> ssl.SSLContext | None:
        """Return the context that the console is served with, ``None`` for plain http."""
        return living_listener(self.certificate, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Limits of the work itself. ``memory_limit`` in bytes, ``shutdown_grace`` in seconds."""

    memory_limit: int
    dedupe_days: int
    retention_days: int | None
    shutdown_grace: float
    error_stacktrace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """How the process speaks about itself: arguments of :func:`adapter.log.configure`."""

    level: str
    format: str
    stacktrace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """``actions`` this process serves, and the services' own switches by variable name."""

    actions: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration. A group that nothing served needs is ``None`` and was not read.

    ``warnings`` are English sentences to be said loudly at start; ``effective`` is every variable as it took effect,
    secrets masked; ``secrets`` are the values that logs must never show.
    """

    broker: Broker
    database: Database
    smev: Smev | None
    signing: Signing | None
    shep: Shep | None
    epgu: Epgu | None
    postamat: Postamat | None
    files: Files | None
    elastic: Elastic | None
    health: Health
    pipeline: Pipeline
    logging: Logging
    services: Services
    warnings: tuple[str, ...]
    effective: Mapping[str, str]
    secrets: tuple[str, ...] = field(repr=False)
