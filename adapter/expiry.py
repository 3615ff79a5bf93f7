"""The calendar of certificates: how many days each has left, said in time; and certificates renewed while we run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from adapter.errors import AdapterError
from adapter.http import make_session
from adapter.settings import VARIABLES, Pem
from adapter.settings.pem import end_of, ends
from adapter.settings.renewal import look
from adapter.settings.values import WrongValueError
from adapter.signing.client import SigningClient
from adapter.signing.kz_client import KzSigningClient
from adapter.signing.kz_signer import certificate_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import aiohttp

    from adapter.settings import Settings, Shep, Signing

log = structlog.get_logger(__name__)

#: Days before the end at which it is said, once each.
THRESHOLDS: Final = (30, 14, 3)
#: Seconds between two looks at the files of certificates, and between two readings of the whole calendar.
_PACE: Final = 10.0
_READING: Final = 3600.0
_DAY: Final = timedelta(days=1)
#: Signed to learn whose certificate a key has, and thrown away.
_NOTHING: Final = b'<check xmlns="urn:adapter:check">certificate</check>'


@dataclass(frozen=True, slots=True)
class Expiring:
    """One certificate: ``name`` is its variable (numbered where it holds several) or its key at the signing service."""

    name: str
    ends: datetime

    def days(self, now: datetime | None = None) -> float:
        """Return how many days are left, below zero when it has ended."""
        return (self.ends - (now or datetime.now(UTC))) / _DAY

    def threshold(self, now: datetime | None = None) -> int | None:
        """Return the smallest of :data:`THRESHOLDS` that has been reached, ``None`` for one with more time."""
        reached = [days for days in THRESHOLDS if self.days(now) <= days]
        return min(reached) if reached else None

    def sentence(self, now: datetime | None = None) -> str:
        """Say when it ends, for people."""
        left = self.days(now)
        return f"ended on {self.ends:%Y-%m-%d}" if left < 0 else f"until {self.ends:%Y-%m-%d}, {int(left)} days left"


def given(settings: Settings) -> list[Expiring]:
    """Return every certificate that the configuration names, as its file is now; what cannot be read is left out."""
    return list(_given(settings))


def _given(settings: Settings) -> Iterator[Expiring]:
    for variable in VARIABLES:
        group = getattr(settings, variable.group, None)
        value = getattr(group, variable.field, None)
        moments: Sequence[datetime] = ()
        if isinstance(value, Pem) and not variable.name.endswith("KEY"):
            with suppress(WrongValueError):
                moments = ends(value)
        elif isinstance(value, tuple) and value and all(isinstance(part, bytes) for part in value):
            moments = [end_of(part) for part in value]
        for number, moment in enumerate(moments, 1):
            yield Expiring(variable.name if len(moments) == 1 else f"{variable.name}.{number}", moment)


async def of_keys(settings: Settings) -> list[Expiring]:
    """Return the certificates of our keys at the signing service. Raises AdapterError when it does not tell."""
    signing, shep = settings.signing, settings.shep
    if signing is None:
        return []
    found: list[Expiring] = []
    async with make_session(timeout=signing.timeout, ssl_context=signing.ssl_context()) as session:
        if settings.smev is not None or settings.epgu is not None:
            client = SigningClient(signing.url, session=session, tokens=signing.tokens, timeout=signing.timeout)
            wanted = {signing.key_ov, *([signing.key_sp] if signing.personal else [])}
            if settings.epgu is not None and settings.epgu.sign_key:
                wanted.add(settings.epgu.sign_key)
            try:
                keys = await client.certificates()
            finally:
                await client.close()
            found += [Expiring(f"key {key.name}", key.not_after) for key in keys if key.name in wanted]
        if shep is not None:
            found += await of_shep_keys(shep, signing, session)
    return found


async def of_shep_keys(shep: Shep, signing: Signing, session: aiohttp.ClientSession) -> list[Expiring]:
    """Return the certificates of our keys for the ШЭП. Raises AdapterError.

    NCANode, which is sent the keys, lists none: each of them signs what means nothing.
    """
    if shep.backend == "contract":
        client = KzSigningClient(signing.url, session=session, tokens=shep.tokens, timeout=signing.timeout)
        names = {shep.system_key, *([shep.official_key] if shep.official_token else [])}
        return [Expiring(f"key {key.name}", key.not_after) for key in await client.certificates() if key.name in names]
    from adapter.shep_opening import make_signer  # noqa: PLC0415  — zeep is loaded only where ШЭП is on

    signer = make_signer(shep, signing, session)
    given = ((shep.system_key, shep.system_p12), (shep.official_key, shep.official_p12))
    return [
        Expiring(f"key {name}", end_of(certificate_in(await signer.sign_document(_NOTHING, key=name))))
        for name, p12 in given
        if p12 is not None
    ]


class Calendar:
    """Reads the calendar every hour, says what nears its end, and takes certificates that were renewed on disk."""

    def __init__(self, settings: Settings, *, pace: float = _PACE) -> None:
        """``pace`` is the time between two looks at the files, in seconds."""
        self._settings = settings
        self._pace = pace
        self._woken = asyncio.Event()
        self._said: dict[str, tuple[datetime, int]] = {}
        self._keys: list[Expiring] = []
        self.entries: list[Expiring] = []

    def wake(self) -> None:
        """Look at once (SIGHUP)."""
        self._woken.set()

    def days(self) -> Mapping[str, float]:
        """Return the days left of each certificate, by its name."""
        return {entry.name: entry.days() for entry in self.entries}

    async def run(self) -> None:
        """Look until cancelled. A signing service that is away leaves its keys as they were told last."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            asked = self._woken.is_set()
            self._woken.clear()
            if await take_renewed() or asked or clock() >= due:
                await self._read()
                due = clock() + _READING
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._pace)

    async def _read(self) -> None:
        entries = await asyncio.to_thread(given, self._settings)
        try:
            async with asyncio.timeout(60):
                self._keys = await of_keys(self._settings)
        except (AdapterError, TimeoutError) as error:
            log.info("the signing service does not tell its certificates now", error=type(error).__name__)
        self.entries = [*entries, *self._keys]
        for entry in self.entries:
            self._warn(entry)

    def _warn(self, entry: Expiring) -> None:
        threshold = entry.threshold()
        if threshold is None or self._said.get(entry.name) == (entry.ends, threshold):
            return
        self._said[entry.name] = (entry.ends, threshold)
        say = log.error if threshold == min(THRESHOLDS) else log.warning
        say("a certificate nears its end", certificate=entry.name, ends=entry.ends.date(), days=int(entry.days()))


async def take_renewed() -> bool:
    """Take certificates that have changed on disk, and say so."""
    found = await asyncio.to_thread(look)  # files may lie on a slow share
    for name in dict.fromkeys(found.refused):
        log.warning("a changed certificate or key does not fit and is not taken", where=name)
    taken = found.take()
    for name in taken:
        log.info("certificate renewed: new connections use it", where=name)
    return bool(taken)
