"""Documents of metrics: words, numbers and keyed hashes. Nothing of a command's content can enter here."""

from __future__ import annotations

import math
import re
from hashlib import blake2b, sha256
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

_WORD = re.compile(r"[A-Za-z0-9_.:-]{0,80}")
#: A word may hold numbers (EXP001000, v1.2), but not one as long as a person's.
_PERSONAL = re.compile(r"\d{9,}")


def word(text: str) -> str:
    """Return ``text`` when it looks like a name or code of a program, else ``other``."""
    return text if _WORD.fullmatch(text) and not _PERSONAL.search(text) else "other"


def milliseconds(seconds: float) -> float:
    """Return milliseconds with one decimal; nonsense (clocks of two machines may disagree) is 0."""
    return round(seconds * 1000, 1) if 0 <= seconds < math.inf else 0.0


class Pseudonyms:
    """Turns ids into keyed hashes, so that documents of one exchange can be joined and none can be traced back."""

    def __init__(self, key: str | None) -> None:
        """Use ``key``, the same in every process, or a random one whose hashes match within this run only."""
        self._key = sha256(key.encode()).digest() if key else token_bytes(32)

    def of(self, identifier: UUID | str) -> str:
        """Return 32 hexadecimal digits."""
        return blake2b(str(identifier).encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).hexdigest()


def stamped(moment: datetime, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a document: ``@timestamp`` and those of ``fields`` that say something, texts as :func:`word`."""
    said = {
        name: word(value) if isinstance(value, str) and name != "exchange" else value
        for name, value in fields.items()
        if value is not None
    }
    return {"@timestamp": moment.isoformat(timespec="milliseconds"), **said}
