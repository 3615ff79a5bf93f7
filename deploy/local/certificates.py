"""Certificates of the private stack: one authority, the broker's server certificate, one per client (trustme)."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import trustme

#: Names under which the broker is reached from the same machine or, in docker compose, from its neighbours.
SERVER_NAMES = ("localhost", "127.0.0.1", "::1", "rabbitmq")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Paths of a PEM certificate and its private key."""

    certificate: Path
    key: Path


class Certificates:
    """A folder with ``ca``, ``server`` and client pairs as ``NAME.crt.pem`` and ``NAME.key.pem`` (keys mode 0600).

    Whatever is there is kept; what is missing is made. The common name of a client's certificate is its user name on
    the broker (``ssl_cert_login_from = common_name``).
    """

    def __init__(self, folder: Path) -> None:
        """Create the folder and the authority when they are missing."""
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca = self.folder / "ca.crt.pem"
        self._ca_key = self.folder / "ca.key.pem"
        if not (self.ca.exists() and self._ca_key.exists()):
            authority = trustme.CA(organization_name="Private test authority")
            _write(self._ca_key, authority.private_key_pem.bytes(), 0o600)
            _write(self.ca, authority.cert_pem.bytes(), 0o644)

    @property
    def server(self) -> KeyPair:
        """The broker's certificate, valid for every name of :data:`SERVER_NAMES`."""
        return self._pair("server", SERVER_NAMES, None)

    def client(self, name: str) -> KeyPair:
        """Return the certificate whose common name is ``name``."""
        return self._pair(name, (f"{name}.client.invalid",), name)

    def _pair(self, stem: str, identities: tuple[str, ...], common_name: str | None) -> KeyPair:
        pair = KeyPair(self.folder / f"{stem}.crt.pem", self.folder / f"{stem}.key.pem")
        if not (pair.certificate.exists() and pair.key.exists()):
            authority = trustme.CA.from_pem(self.ca.read_bytes(), self._ca_key.read_bytes())
            leaf = authority.issue_cert(*identities, common_name=common_name)
            _write(pair.key, leaf.private_key_pem.bytes(), 0o600)
            _write(pair.certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems), 0o644)
        return pair


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write ``path`` in one step, never readable more widely than ``mode``, not even for a moment."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)


def main() -> int:
    """Make the stack's certificates: ``python -m deploy.local.certificates FOLDER [CLIENT...]``."""
    folder, *clients = sys.argv[1:] or ["certificates"]
    certificates = Certificates(Path(folder))
    pairs = [certificates.server, *(certificates.client(name) for name in clients or ["adapter", "upstream"])]
    for pair in pairs:
        print(pair.certificate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
