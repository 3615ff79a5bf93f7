"""How this process asks the C library for memory.

glibc gives memory back to the system as soon as 128 kB are free at the end of the heap, and takes every large buffer
from the system and returns it. A document of some megabytes then costs a page fault for every 4 kB of its tree and its
buffers, each time anew: a quarter of the whole time that its transform takes (docs/performance.md, "What was found").
"""

from __future__ import annotations

import ctypes
from typing import Final

#: Numbers of malloc.h (mallopt(3)).
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
#: What stays in the process when it was needed once: the tree of a document of 5 MB and its buffers.
KEPT_BYTES: Final = 64 * 2**20
#: Buffers up to this come from the heap; glibc takes no more.
_LARGEST_BYTES: Final = 32 * 2**20


def keep_freed_memory() -> bool:
    """Let the process keep up to 64 MB of freed memory for its next document; tell whether the C library can.

    To be called once, at the start. Where the library has no such settings (musl, macOS) nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES)) and bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES))
