"""The algorithm URIs of GOST signatures, in both families (facts of СМЭВ3, Pitfall 5)."""

from __future__ import annotations

import hmac
import re
from typing import Final, Protocol

CPXMLSEC: Final = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"
_FAMILIES: Final = (CPXMLSEC, "http://www.w3.org/2001/04/xmldsig-more#")
#: 0 bits: a name of the old algorithms, which software also writes for 2012 keys; then the key and the digest tell.
_DIGEST_BITS: Final = {"gostr34112012-256": 256, "gostr34112012-512": 512, "gostr3411": 0}
_SIGNATURE_BITS: Final = {
    "gostr34102012-gostr34112012-256": 256,
    "gostr34102012-gostr34112012-512": 512,
    "gostr34102001-gostr3411": 0,
}
#: What may be said of a foreign algorithm's name.
_SAYABLE: Final = re.compile(r"[A-Za-z0-9:/#._+-]{1,160}")


class Digests(Protocol):
    """The hash functions of GOST."""

    def digest(self, bits: int, data: bytes) -> bytes:
        """GOST R 34.11-2012 of 256 or 512 bits."""
        ...

    def digest_94(self, data: bytes) -> bytes:
        """GOST R 34.11-94 by the parameters of CryptoPro."""
        ...


def signature_bits(algorithm: str) -> int | None:
    """Return the key's bits that a signature method names, 0 for the old name; ``None`` when it is not of GOST."""
    return _bits(algorithm, _SIGNATURE_BITS)


def digest_bits(algorithm: str) -> int | None:
    """Return the bits of a digest method, 0 for the old name; ``None`` when it is not of GOST."""
    return _bits(algorithm, _DIGEST_BITS)


def is_digest(digest: bytes, octets: bytes, bits: int, gost: Digests) -> bool:
    """Tell whether ``digest`` is that of ``octets`` by an algorithm of ``bits``.

    The old name (0 bits) stands for GOST R 34.11-94 and, where software put new keys under it, for GOST R 34.11-2012.
    """
    if hmac.compare_digest(gost.digest(bits or len(digest) * 8, octets), digest):
        return True
    return bits == 0 and len(digest) == 32 and hmac.compare_digest(gost.digest_94(octets), digest)


def unsupported(what: str, algorithm: str) -> str:
    """Say that ``what`` is made by an ``algorithm`` that is not ours; only a name is repeated, never free text."""
    name = algorithm if _SAYABLE.fullmatch(algorithm) else "a name that is none"
    return f"{what} is unsupported: {name if algorithm else 'none is named'}"


def _bits(algorithm: str, names: dict[str, int]) -> int | None:
    return next(
        (names.get(algorithm.removeprefix(family)) for family in _FAMILIES if algorithm.startswith(family)), None
    )
