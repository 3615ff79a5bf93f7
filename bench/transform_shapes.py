"""The SMEV transform beside what nobody can do without: lxml's parse and exclusive C14N of the same document.

Prints one JSON line per shape and size: the transform's median seconds, the baseline's, their ratio and the share of
the ratio's limit that it takes. Both are measured in turn, so that a busy machine weighs on both alike.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))

from adapter.allocator import keep_freed_memory
from adapter.xml.transform import smev_transform

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZES = (3_000, 100_000, 5_000_000)
_LIMITS = {3_000: 3.2, 100_000: 2.6, 5_000_000: 2.6}
_WRAPPER = (
    '<t:SenderProvidedRequestData xmlns:t="urn://types" xmlns:b="urn://types/basic" Id="X">'
    "<t:MessageID>1</t:MessageID><b:MessagePrimaryContent>{}</b:MessagePrimaryContent></t:SenderProvidedRequestData>"
)


def _prefixed(number: int, noise: random.Random) -> str:
    """One namespace under a prefix, indented."""
    return (
        f"<v:request>\n  <v:id>{noise.getrandbits(64):016x}</v:id>\n  <v:period>2026-0{number % 9 + 1}</v:period>\n"
        f"  <v:address>ул. Ленина, д. {number % 90}</v:address>\n"
        "  <v:debtor><v:name>Иван</v:name><v:name>Иванов</v:name><v:none/></v:debtor>\n</v:request>\n"
    )


def _default(number: int, noise: random.Random) -> str:
    """One default namespace."""
    return _prefixed(number, noise).replace("v:", "")


def _attributes(number: int, noise: random.Random) -> str:
    """Elements with attributes of no namespace."""
    identifier = f"{noise.getrandbits(32):08x}"
    return f'<v:request id="{identifier}" state="open"><v:at date="2026-01-01T10:00:00">{number}</v:at></v:request>'


def _types(number: int, noise: random.Random) -> str:
    """A second namespace that each record declares anew in the canonical form."""
    record = _prefixed(number, noise)
    return record.replace("v:debtor", "c:debtor").replace("v:name", "c:name").replace("v:none", "c:none")


def _nil(number: int, noise: random.Random) -> str:
    """Qualified attributes here and there."""
    return _prefixed(number, noise).replace("<v:none/>", '<v:none i:nil="true"/>')


def _rebound(number: int, noise: random.Random) -> str:
    """A default namespace that changes inside each record."""
    return _default(number, noise).replace("<debtor>", '<debtor xmlns="urn:c">')


_SHAPES: dict[str, tuple[Callable[[int, random.Random], str], str]] = {
    "prefixed": (_prefixed, '<v:root xmlns:v="urn:v">{}</v:root>'),
    "default": (_default, '<root xmlns="urn:v">{}</root>'),
    "attributes": (_attributes, '<v:root xmlns:v="urn:v">{}</v:root>'),
    "types": (_types, '<v:root xmlns:v="urn:v" xmlns:c="urn:c">{}</v:root>'),
    "rebound": (_rebound, '<root xmlns="urn:v">{}</root>'),
    "nil": (_nil, '<v:root xmlns:v="urn:v" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{}</v:root>'),
}


def document(shape: str, size: int) -> bytes:
    """Return a signed part of a message of about ``size`` bytes."""
    record, root = _SHAPES[shape]
    noise = random.Random(size)  # noqa: S311  — the same document in every run
    records: list[str] = []
    length = 0
    while length < size:
        records.append(record(len(records), noise))
        length += len(records[-1].encode())
    return _WRAPPER.format(root.format("".join(records))).encode()


def _baseline(data: bytes) -> bytes:
    return etree.tostring(etree.fromstring(data), method="c14n", exclusive=True, with_comments=False)


def _seconds(work: Callable[[bytes], bytes], data: bytes) -> float:
    began = time.perf_counter()
    work(data)
    return time.perf_counter() - began


def main() -> None:
    """Measure every shape and size, in a process that keeps its memory as the worker does."""
    keep_freed_memory()
    for shape in _SHAPES:
        for size in _SIZES:
            data = document(shape, size)
            rounds = max(7, min(400, 4_000_000 // size))
            pairs = [(_seconds(smev_transform, data), _seconds(_baseline, data)) for _ in range(rounds)]
            value = statistics.median(ours for ours, _ in pairs)
            baseline = statistics.median(theirs for _, theirs in pairs)
            ratio = value / baseline
            line = {
                "name": f"transform-shape-{shape}-{size}",
                "value": round(value, 7),
                "unit": "s",
                "baseline": round(baseline, 7),
                "ratio": round(ratio, 2),
                "of_bar": round(ratio / _LIMITS[size], 2),
                "n": rounds,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
