"""TLS contexts that outlive the files behind them: a certificate changed on disk is taken without a restart.

A context here is filled again in place: connections that are open stay as they are, the next handshake shows the new
certificate and trusts the new authority too. An authority that was taken away is believed until the process ends. What
does not fit (a certificate whose key has not been changed yet) is left alone and looked at again later.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import ref

from adapter.settings.pem import Pem, client_context, server_context, show
from adapter.settings.values import WrongValueError

if TYPE_CHECKING:
    from pathlib import Path

    Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True, eq=False)
class _Living:
    """One context, what fills it, and what its files were when they were last taken, or refused."""

    context: ref[ssl.SSLContext]
    authority: Pem | None
    certificate: Pem | None
    key: Pem | None
    listens: bool
    taken: Stamp
    refused: Stamp | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        given = (self.authority, self.certificate, self.key)
        return tuple(pem.path for pem in given if pem is not None and pem.path is not None)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """What a changed context is to be filled with: tried already on a fresh one."""

    entry: _Living
    stamp: Stamp
    authority: Pem | None
    certificate: Pem | None
    key: Pem | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a look found: contexts that may be filled anew, and files whose change does not fit."""

    fitting: list[_Fitting] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def take(self) -> list[str]:
        """Fill the living contexts and return the files whose change was taken; reads no file.

        To be called where handshakes are made (the event loop's thread), so that none meets half a pair.
        """
        for fit in self.fitting:
            context = fit.entry.context()
            if context is not None:
                if fit.authority is not None:
                    context.load_verify_locations(cadata=fit.authority.text)
                if fit.certificate is not None and fit.key is not None:
                    show(context, fit.certificate, fit.key)
            fit.entry.taken, fit.entry.refused = fit.stamp, None
        return list(dict.fromkeys(str(path) for fit in self.fitting for path in fit.entry.files))


_living: Final[list[_Living]] = []


def living_client(authority: Pem | None, certificate: Pem | None, key: Pem | None) -> ssl.SSLContext:
    """Return the context of :func:`adapter.settings.pem.client_context` for what is kept open; it follows its files.

    Raises ssl.SSLError and WrongValueError as that does.
    """
    return _kept(client_context(authority, certificate, key), authority, certificate, key, listens=False)


def living_listener(certificate: Pem | None, key: Pem | None, authority: Pem | None = None) -> ssl.SSLContext | None:
    """Return the context of :func:`adapter.settings.pem.server_context`; it follows its files.

    ``None`` where nothing is shown. Raises ssl.SSLError when the key is not the certificate's, WrongValueError when a
    file went away.
    """
    context = server_context(certificate, key, authority)
    return None if context is None else _kept(context, authority, certificate, key, listens=True)


def look() -> Renewal:
    """Look at the files of every living context and try what has changed. Reads files; raises nothing."""
    for entry in [entry for entry in _living if entry.context() is None]:
        _living.remove(entry)  # one by one: others may be added meanwhile by another thread
    found = Renewal()
    for entry in _living:
        now = _stamp(entry.files)
        if now in (entry.taken, entry.refused):
            continue
        try:
            found.fitting.append(_tried(entry, now))
        except (ssl.SSLError, WrongValueError):
            entry.refused = now
            found.refused.extend(str(path) for path in entry.files)
    return found


def _kept(
    context: ssl.SSLContext, authority: Pem | None, certificate: Pem | None, key: Pem | None, *, listens: bool
) -> ssl.SSLContext:
    entry = _Living(ref(context), authority, certificate, key, listens, ())
    if entry.files:
        entry.taken = _stamp(entry.files)
        _living.append(entry)
    return context


def _tried(entry: _Living, stamp: Stamp) -> _Fitting:
    """Return what fits. Everything is tried on a fresh context first: half of a pair would spoil the living one."""
    authority, certificate, key = (_snapshot(pem) for pem in (entry.authority, entry.certificate, entry.key))
    if entry.listens:
        server_context(certificate, key, authority)
    else:
        client_context(authority, certificate, key)
    return _Fitting(entry, stamp, authority, certificate, key)


def _snapshot(pem: Pem | None) -> Pem | None:
    """Return what the file says now: what was tried has to be what is taken."""
    return None if pem is None else Pem(None, pem.current())


def _stamp(files: tuple[Path, ...]) -> Stamp:
    """Return what tells a changed file; one that went away for a moment has a stamp of its own."""
    found = []
    for path in files:
        try:
            status = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
