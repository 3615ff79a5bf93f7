"""Files of FILES_ROOT that nothing names any more: found by age, removed when no exchange that is kept needs them.

A file that comes again is written again, so its age is that of its last coming. What a key brought is remembered for a
week (:mod:`adapter.files.store`) and not written again meanwhile: :data:`MARGIN` is longer than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from adapter.files import disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: How much older than what names it a file may be.
MARGIN: Final = timedelta(days=8)
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LEAVING: Final = ".leaving"


@dataclass(frozen=True, slots=True)
class OldFile:
    """One file: ``size`` in bytes."""

    path: Path
    size: int


def old_files(root: Path, before: float) -> Mapping[str, OldFile]:
    """Return the finished files by SHA-256 that were last written before a moment (UNIX seconds). Raises OSError."""
    return {path.name: OldFile(path, path.stat().st_size) for path in _finished(root) if path.stat().st_mtime < before}


def remove(file: OldFile, before: float) -> bool:
    """Remove a file unless it was written again meanwhile. Raises OSError.

    It is renamed first: what another process puts there from then on is another file.
    """
    leaving = file.path.with_name(file.path.name + _LEAVING)
    file.path.replace(leaving)
    if leaving.stat().st_mtime >= before:
        leaving.replace(file.path)
        return False
    leaving.unlink()
    return True


def restore(root: Path) -> None:
    """Give their names back to files that a removal left half done. Raises OSError."""
    for folder in _folders(root):
        for path in disk.listed(folder):
            if path.name.endswith(_LEAVING):
                path.replace(path.with_name(path.name.removesuffix(_LEAVING)))


def _finished(root: Path) -> Iterator[Path]:
    for folder in _folders(root):
        yield from (path for path in disk.listed(folder) if _DIGEST.fullmatch(path.name))


def _folders(root: Path) -> Iterator[Path]:
    return (path for path in disk.listed(root) if _FOLDER.fullmatch(path.name))
