from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from asn1crypto import pem

from adapter.signing.gost import GostEngine
from adapter.xml.signature import sign_element
from simulators.keys import make_keys

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Signer:
    """Keys of the test authority by name."""

    gost: GostEngine
    folder: Path

    def certificate(self, name: str) -> bytes:
        return pem.unarmor((self.folder / f"{name}.crt.pem").read_bytes())[2]

    def sign(self, xml: str, name: str = "ov", *, prefix: str = "ds") -> str:
        key = self.gost.load_key((self.folder / f"{name}.key.pem").read_bytes())
        bits = self.gost.key_bits(key)
        return sign_element(xml.encode(), self.gost, key, self.certificate(name), bits, prefix=prefix).decode()

    def sign_octets(self, octets: bytes, name: str = "ov") -> bytes:
        return self.gost.sign(self.gost.load_key((self.folder / f"{name}.key.pem").read_bytes()), octets)


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    gost = GostEngine.open()
    folder = tmp_path_factory.mktemp("xml-keys")
    make_keys(folder, gost)
    return Signer(gost, folder)
