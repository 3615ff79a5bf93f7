"""A small public key infrastructure, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def pki(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of an authority, a certificate of it, and the certificate's key."""
    folder: Path = tmp_path_factory.mktemp("pki")
    leaf = authority.issue_cert("adapter@example.org")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf.private_key_pem.write_to_path(folder / "client.key")
    (folder / "client.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    return {"ca": str(folder / "ca.pem"), "certificate": str(folder / "client.pem"), "key": str(folder / "client.key")}
