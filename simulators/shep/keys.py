"""Keys of the ШЭП's parties for the demo and the tests: ``python -m simulators.shep.keys DIR``.

Writes DIR/kz: an authority, the pairs below it, its revocation list, and tokens of those that the signing service
holds. A second run keeps what is there. Every subject says ТЕСТ; none of this is worth anything elsewhere.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.certificates import CertificateError
from adapter.signing.gost import GostUnavailableError, KeyUnreadableError
from adapter.signing.kz import GOST_2015, RSA, KzEngine
from simulators.gost_material import Pair
from simulators.kz_material import Wanted, make_list, make_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = "kz"
#: БИН of the organisations: the adapter's, the gateway's, the other party's, and one that nobody has registered.
OWN_BIN, GATEWAY_BIN, OTHER_BIN, STRANGE_BIN = "123456789021", "980740003490", "214452507123", "999999999999"
#: Keys that the signing service holds for the adapter: the system's, the same by GOST, the official's, one that opens.
SERVED = ("shep", "shep-gost", "shep-official", "shep-cipher")

_PAST = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))


def _subject(name: str, number: str) -> dict[str, str]:
    return {
        "country_name": "KZ",
        "organization_name": f"ТЕСТ {name}",
        "organizational_unit_name": f"BIN{number}",
        "common_name": f"ТЕСТ {name}",
    }


_AUTHORITY = {"country_name": "KZ", "common_name": "ТЕСТ УДОСТОВЕРЯЮЩИЙ ЦЕНТР (RSA)"}
_PAIRS = {
    "shep": Wanted(_subject("Информационная система", OWN_BIN)),
    "shep-gost": Wanted(_subject("Информационная система", OWN_BIN), GOST_2015),
    "shep-official": Wanted(_subject("Должностное лицо", OWN_BIN)),
    "shep-cipher": Wanted(_subject("Информационная система, шифрование", OWN_BIN)),
    "gateway": Wanted(_subject("ШЭП", GATEWAY_BIN)),
    "gateway-gost": Wanted(_subject("ШЭП", GATEWAY_BIN), GOST_2015),
    "other": Wanted(_subject("Другая система", OTHER_BIN), GOST_2015),
    "strange-bin": Wanted(_subject("Третья система", STRANGE_BIN), GOST_2015),
    "revoked": Wanted(_subject("Отозванный", OWN_BIN), GOST_2015),
    "expired": Wanted(_subject("Просроченный", OWN_BIN), GOST_2015, not_before=_PAST[0], not_after=_PAST[1]),
    "stamps": Wanted(_subject("Служба меток времени", GATEWAY_BIN), stamps=True),
    "foreign": Wanted(_subject("Посторонний", OWN_BIN), GOST_2015),
}


def make_shep_keys(directory: Path, engine: KzEngine | None = None) -> Path:
    """Make or complete the key files in ``directory``/kz and return that folder.

    Writes ``ca``, ``shep``, ``shep-gost``, ``shep-official``, ``shep-cipher``, ``gateway``, ``gateway-gost``,
    ``other``, ``strange-bin``, ``revoked``, ``expired``, ``stamps`` (of the time stamps) and ``foreign`` (another
    authority's) as NAME.key.pem (mode 0600) and NAME.crt.pem, ca.crl, and tokens.json {key name: bearer token} (mode
    0600). Raises GostUnavailableError, OSError.
    """
    engine = engine or KzEngine.open()
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _complete(engine, folder)
    return folder


def read_pair(folder: Path, name: str) -> Pair:
    """Return a pair of a folder made here. Raises OSError."""
    return Pair((folder / f"{name}.key.pem").read_bytes(), (folder / f"{name}.crt.pem").read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; prints the folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulators.shep.keys", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the folder kz goes")
    options = parser.parse_args(arguments)
    try:
        folder = make_shep_keys(options.directory)
    except (GostUnavailableError, OSError) as error:
        sys.stderr.write(f"keys cannot be made: {error}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


def _complete(engine: KzEngine, folder: Path) -> None:
    """Make what is missing; below a new authority everything is new."""
    if (folder / "tokens.json").exists() and all(_is_whole(engine, folder, name) for name in ("ca", *_PAIRS)):
        return
    authority = make_pair(engine, Wanted(_AUTHORITY, RSA, authority=True))
    _store(folder, "ca", authority)
    stranger = make_pair(engine, Wanted({**_AUTHORITY, "organization_name": "ТЕСТ"}, GOST_2015, authority=True))
    for name, wanted in _PAIRS.items():
        _store(folder, name, make_pair(engine, wanted, stranger if name == "foreign" else authority))
    (folder / "ca.crl").write_bytes(make_list(engine, authority, [read_pair(folder, "revoked").certificate_der]))
    tokens = {name: secrets.token_urlsafe(32) for name in SERVED}
    _write_private(folder / "tokens.json", json.dumps(tokens, indent=2).encode())


def _is_whole(engine: KzEngine, folder: Path, name: str) -> bool:
    try:
        pair = read_pair(folder, name)
        engine.load_key(pair.key, pair.certificate_der)
    except (OSError, ValueError, KeyUnreadableError, CertificateError):
        return False
    return True


def _store(folder: Path, name: str, pair: Pair) -> None:
    _write_private(folder / f"{name}.key.pem", pair.key)
    (folder / f"{name}.crt.pem").write_bytes(pair.certificate)


def _write_private(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


if __name__ == "__main__":
    sys.exit(main())
