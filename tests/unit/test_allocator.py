from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.allocator import keep_freed_memory

ROOT = Path(__file__).parents[2]
#: Page faults of the third document of 2 MB: the first two have made the heap as large as it gets.
PROGRAM = """
import resource, sys
from adapter.allocator import keep_freed_memory
from adapter.xml.transform import smev_transform
if sys.argv[1] == "keep":
    assert keep_freed_memory()
document = b'<a xmlns="urn:a">' + b"<b>text</b>" * 150_000 + b"</a>"
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    smev_transform(document)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], cwd=ROOT, capture_output=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_a_large_document_finds_the_memory_of_the_one_before() -> None:
    assert faults("keep") * 10 < faults("do not")


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_without_such_a_c_library_nothing_changes(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def missing(_: object) -> object:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert keep_freed_memory() is False
