"""Keys and certificates of the demo and the tests: ``python -m simulators.keys DIR``.

Writes a test authority and, below it, the pairs that stand for everybody in an exchange. A second run keeps whatever
is whole and renews the rest. Every subject says ТЕСТ; none of this is worth anything outside a test contour.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.certificates import CertificateError, read_certificate
from adapter.signing.gost import GostEngine, GostUnavailableError, KeyUnreadableError
from simulators.gost_material import Pair, Wanted, make_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Keys that the signing service holds, each with a token of its own.
SERVED = ("ov", "sp", "ov512")
_RENEW_BEFORE = timedelta(days=30)
_ORGANISATION = "ТЕСТ Организация"


def _subject(name: str, organisation: str = _ORGANISATION) -> dict[str, str]:
    return {"country_name": "RU", "organization_name": organisation, "common_name": name}


_AUTHORITY = Wanted(_subject("ТЕСТ Удостоверяющий центр", "ТЕСТ УЦ"), authority=True)
_STRANGER_AUTHORITY = Wanted(_subject("ТЕСТ Посторонний удостоверяющий центр", "ТЕСТ Посторонний УЦ"), authority=True)
_PAIRS = {
    "ov": Wanted(_subject("ТЕСТ Информационная система")),
    "sp": Wanted(_subject("ТЕСТ Должностное лицо")),
    "ov512": Wanted(_subject("ТЕСТ Информационная система 512"), bits=512),
    "smev": Wanted(_subject("ТЕСТ Ядро СМЭВ", "ТЕСТ Оператор СМЭВ")),
    "giszhkh": Wanted(_subject("ТЕСТ ГИС ЖКХ", "ТЕСТ Оператор ГИС ЖКХ")),
    "stranger": Wanted(_subject("ТЕСТ Посторонний")),
    "expired": Wanted(
        _subject("ТЕСТ Просроченный"),
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_after=datetime(2021, 1, 1, tzinfo=UTC),
    ),
}


def make_keys(directory: Path, engine: GostEngine | None = None) -> None:
    """Make or complete the key files in ``directory``.

    Writes ``ca``, ``ov``, ``sp``, ``ov512``, ``smev``, ``giszhkh``, ``stranger`` (another authority's) and ``expired``
    as NAME.key.pem (mode 0600) and NAME.crt.pem, and tokens.json {key name: bearer token} (mode 0600).
    Raises GostUnavailableError, OSError.
    """
    engine = engine or GostEngine.open()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(directory):
        authority = _keep_or_make(engine, directory, "ca", _AUTHORITY, None)
        for name, wanted in _PAIRS.items():
            if name != "stranger":
                _keep_or_make(engine, directory, name, wanted, authority)
            elif _whole(engine, directory, name, wanted, None) is None:
                stranger_authority = make_pair(engine, _STRANGER_AUTHORITY)
                _store(directory, name, make_pair(engine, wanted, stranger_authority))
        _tokens(directory / "tokens.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; prints the folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulators.keys", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the files go")
    options = parser.parse_args(arguments)
    try:
        make_keys(options.directory)
    except (GostUnavailableError, OSError) as error:
        sys.stderr.write(f"keys cannot be made: {error}\n")
        return 1
    sys.stdout.write(f"{options.directory}\n")
    return 0


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one process at a time make keys: two would mix their authorities."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep_or_make(engine: GostEngine, directory: Path, name: str, wanted: Wanted, authority: Pair | None) -> Pair:
    pair = _whole(engine, directory, name, wanted, authority)
    if pair is None:
        pair = make_pair(engine, wanted, authority)
        _store(directory, name, pair)
    return pair


def _whole(engine: GostEngine, directory: Path, name: str, wanted: Wanted, authority: Pair | None) -> Pair | None:
    """Return the stored pair if it is readable, belongs together, is under ``authority`` and does not end soon."""
    try:
        pair = Pair((directory / f"{name}.key.pem").read_bytes(), (directory / f"{name}.crt.pem").read_bytes())
        der = pair.certificate_der
        key = engine.load_key(pair.key)
        facts = read_certificate(der)
        belongs = engine.matches(key, der) and engine.key_bits(key) == wanted.bits
    except (FileNotFoundError, CertificateError, KeyUnreadableError, ValueError):
        return None
    if authority is not None and not engine.chain(der, [authority.certificate_der]):
        return None
    lasts = wanted.not_after is not None or facts.not_after > datetime.now(UTC) + _RENEW_BEFORE
    return pair if belongs and lasts else None


def _store(directory: Path, name: str, pair: Pair) -> None:
    _write(directory / f"{name}.key.pem", pair.key, private=True)
    _write(directory / f"{name}.crt.pem", pair.certificate, private=False)


def _tokens(path: Path) -> None:
    """Complete tokens.json: a token that is there stays, so that running programs keep their access."""
    tokens: dict[str, str] = {}
    if path.exists():
        with contextlib.suppress(ValueError):  # an unreadable file is replaced
            tokens = json.loads(path.read_text("utf-8"))
    missing = [name for name in SERVED if name not in tokens]
    if missing:
        tokens |= {name: secrets.token_urlsafe(32) for name in missing}
        _write(path, json.dumps(tokens, indent=2).encode(), private=True)


def _write(path: Path, data: bytes, *, private: bool) -> None:
    """Replace ``path`` in one step; it never exists half-written or, if ``private``, readable by others."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o600 if private else 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
