"""What a deployment says about its ЕПГУ and ЕСИА: value objects for the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from adapter.gateways.epgu.profiles import DEFAULT, PROFILES, Profile

#: ``(operation, outcome code, seconds, bytes out, bytes in)``, once per call.
Observe = Callable[[str, str, float, int, int], None]
#: Tells the current moment, aware of its zone.
Clock = Callable[[], datetime]

#: Addresses of the seed, table 2, by environment: both are reached by ГОСТ TLS.
HOSTS: Final[Mapping[str, str]] = MappingProxyType(
    {"SVCDEV": "https://svcdev-gostapi.test.gosuslugi.ru", "PROD": "https://www.gosuslugi.ru"}
)
#: Addresses of ЕСИА by environment.
ESIA_HOSTS: Final[Mapping[str, str]] = MappingProxyType(
    {"SVCDEV": "https://esia-portal1.test.gosuslugi.ru", "PROD": "https://esia.gosuslugi.ru"}
)


def utc_now() -> datetime:
    """Return the current moment in UTC."""
    return datetime.now(UTC)


def observe_nothing(_operation: str, _outcome: str, _seconds: float, _sent: int, _received: int) -> None:
    """Take an observation and drop it: the default where no metrics are wanted."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API-Key of ЕСИА: one employee and one system. ``sign_key`` names the key of SIGN_SERVICE that signs it."""

    value: str = field(repr=False)
    sign_key: str = "ov"


@dataclass(frozen=True, slots=True, kw_only=True)
class EsiaOptions:
    """ЕСИА. ``keys`` are API-Keys by name, the first one serves commands that name none.

    ``client_id`` is the mnemonic of the system: with it, tokens of persons are renewed, signed by ``sign_key``. By
    ``renewal`` v1 that is a PKCS#7, by v3 a bare GOST value; ``redirect_uri`` is a part of the latter where it is set.
    ``person_scope`` is the scope of a renewal, ``{oid}`` being the person. ``scopes`` are those a token should have:
    one that lacks any is told in the log. ``timeout`` is seconds for one call.
    """

    url: str
    keys: Mapping[str, ApiKey] = field(default_factory=dict)
    client_id: str = ""
    sign_key: str = "ov"
    renewal: str = "v1"
    redirect_uri: str = ""
    person_scope: str = "prm_chg?oid={oid}"
    scopes: tuple[str, ...] = ("http://lk.gosuslugi.ru/api-order",)
    timeout: float = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class EpguOptions:
    """ЕПГУ. ``url`` is its base, or that of a proxy for ГОСТ TLS; ``host`` and ``sni`` name it where these differ.

    ``profiles`` are those a command may choose, ``profile`` is the usual one. ``timeout`` is seconds for one call,
    ``upload_time`` for all chunks of an archive from the first one on. ``parallel`` chunks are sent at once.
    ``file_limit`` is the largest file of a command or an answer, in bytes. ``sign_key`` signs the files of archives.
    """

    url: str
    esia: EsiaOptions
    host: str = ""
    sni: str = ""
    profiles: Mapping[str, Profile] = field(default_factory=lambda: PROFILES)
    profile: str = DEFAULT
    timeout: float = 60
    upload_time: float = 300
    parallel: int = 4
    file_limit: int = 10**9
    sign_key: str = "ov"
