"""The one-shot ``setup`` service of docker-compose.yml: fills the volumes, each with only what its reader needs.

Runs as root in its container, because every folder must belong to another container's user, and ends.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.certificates import Certificates

STACK = Path("/run/stack")
#: User ids inside the images: RabbitMQ's and PostgreSQL's official ones, and the adapter's own (deploy/Dockerfile).
RABBITMQ = 999
POSTGRES = 999
ADAPTER = 10001


def main() -> int:
    """Make certificates, keys, tokens and the database's password; what is there is kept."""
    certificates = Certificates(STACK / "authority")
    adapter, upstream = certificates.client("adapter"), certificates.client("upstream")
    server = certificates.server
    keys = STACK / "keys"
    subprocess.run([sys.executable, "-m", "simulators.keys", str(keys)], check=True, timeout=120)
    subprocess.run([sys.executable, "-m", "simulators.shep.keys", str(keys)], check=True, timeout=120)
    for tokens in (keys / "tokens.json", keys / "kz/tokens.json"):
        for name, token in json.loads(tokens.read_text(encoding="utf-8")).items():
            _secret(STACK / f"adapter/{name}.token", token)
    password = STACK / "database/password"
    if not password.exists():
        _secret(password, secrets.token_hex(20))
    token = STACK / "upstream/console.token"
    if not token.exists():
        _secret(token, f"{secrets.token_urlsafe(24)}\n")
    _secret(STACK / "adapter/console.tokens", f"operator:view+reveal+replay={token.read_text(encoding='ascii')}")
    _copy([certificates.ca, server.certificate, server.key], STACK / "broker")
    _copy([certificates.ca, adapter.certificate, adapter.key, password], STACK / "adapter")
    shutil.copy(keys / "ca.crt.pem", STACK / "adapter/smev-trust.crt.pem")
    shutil.copy(keys / "kz/ca.crt.pem", STACK / "adapter/shep-trust.crt.pem")
    _copy([certificates.ca, upstream.certificate, upstream.key], STACK / "upstream")
    owners = {"broker": RABBITMQ, "database": POSTGRES, "adapter": ADAPTER, "keys": ADAPTER}
    for folder, user in (owners | {"upstream": int(os.environ.get("HOST_UID", "1000"))}).items():
        _give(STACK / folder, user)
    files = STACK / "files"  # what lies there already is the adapter's own
    files.mkdir(exist_ok=True)
    os.chown(files, ADAPTER, ADAPTER)
    files.chmod(0o700)
    return 0


def _secret(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="ascii")


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder / file.name)


def _give(folder: Path, user: int) -> None:
    """Let ``user`` alone read ``folder`` and everything in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)
        path.chmod(0o700 if path.is_dir() else 0o400)


if __name__ == "__main__":
    sys.exit(main())
