"""The SMEV transform on what the adapter signs, beside PyPI's smev-transform and beside the physical limit.

The document is the ``action`` element of the first example of zhkh-debt-requests, repeated under one root. The limit is
lxml's parse and exclusive C14N of the same bytes. smev-transform is not a dependency; without it (``pip install
smev-transform``) ``ratio`` is null and the limit alone is measured.
"""

from __future__ import annotations

import importlib.util
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from _stand import PAIRS, median, report, tell, versions
from lxml import etree

from adapter.allocator import keep_freed_memory
from adapter.exchange import Call, Command
from adapter.services.registry import make_services
from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.xml.transform import smev_transform

if TYPE_CHECKING:
    from collections.abc import Callable

ACTION = "zhkh-debt-requests"
SIZES = {"transform-3k": 3_000, "transform-100k": 100_000, "transform-5m": 5_000_000}
BARS = {
    "transform-3k": "of_limit <= 3.2",
    "transform-100k": "ratio >= 2.0, of_limit <= 2.6, goal 1.8",
    "transform-5m": "ratio >= 2.0, of_limit <= 2.6, goal 1.8; time per byte within 25 % of 100 kB's",
}
#: Seconds that one measurement of one side takes at least: small documents are repeated.
LEAST = 0.05


def document(size: int) -> bytes:
    """Return a request of about ``size`` bytes."""
    now = datetime.now(UTC)
    body = json.dumps(EXAMPLES[0].request).encode()
    step = make_services({})[ACTION].start(Command(UUID(int=0), ACTION, body, now, now))
    assert isinstance(step, Call)  # noqa: S101 — the example asks for a call
    root = etree.fromstring(step.content)
    action = next(child for child in root if etree.QName(child).localname == "action")
    one = etree.tostring(action)
    for number in range(1, max(1, round((size - len(step.content)) / len(one)) + 1)):
        root.insert(root.index(action) + number, etree.fromstring(one))
    return etree.tostring(root)


def limit(data: bytes) -> bytes:
    """Do what nobody can do without."""
    return etree.tostring(etree.fromstring(data), method="c14n", exclusive=True, with_comments=False)


def other() -> Callable[[bytes], object] | None:
    """Return PyPI's transform when it is there."""
    if importlib.util.find_spec("smev_transform") is None:
        return None
    package = importlib.import_module("smev_transform")
    return lambda data: package.Transform().process(data.decode())


def seconds(work: Callable[[bytes], object], data: bytes) -> float:
    """Return the CPU seconds of one call: neighbours on a shared machine cost less of it than of the clock."""
    times, began = 0, time.process_time()
    while times == 0 or time.process_time() - began < LEAST:
        work(data)
        times += 1
    return (time.process_time() - began) / times


def main() -> None:
    """Measure every size in interleaved rounds, in a process that keeps its memory as the worker does."""
    keep_freed_memory()
    foreign = other()
    for name, size in SIZES.items():
        data = document(size)
        ours, bare, theirs = [], [], []
        for _ in range(PAIRS):
            ours.append(seconds(smev_transform, data))
            bare.append(seconds(limit, data))
            if foreign is not None:
                theirs.append(seconds(foreign, data))
        tell(f"{name}: {median(ours) * 1e3:.3g} ms for {len(data)} bytes")
        report(
            name,
            median(ours) * 1e6,
            "CPU us/document",
            baseline=median(theirs) * 1e6 if theirs else None,
            ratio=median([slow / mine for slow, mine in zip(theirs, ours, strict=True)]) if theirs else None,
            n=len(data),
            pairs=PAIRS,
            of_limit=round(median([mine / floor for mine, floor in zip(ours, bare, strict=True)]), 2),
            limit_us=round(median(bare) * 1e6, 1),
            ns_per_byte=round(median(ours) / len(data) * 1e9, 2),
            settings={"library": versions("lxml"), "baseline": "smev-transform" if theirs else "not installed"},
            bar=BARS[name],
        )


if __name__ == "__main__":
    main()
