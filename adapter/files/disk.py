"""Single steps on the disk: locks that die with their process, and files opened without following links.

Every function blocks for moments: call it in a thread. OSError is the caller's to name.
"""

from __future__ import annotations

import fcntl
import os
import stat
from io import FileIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
# Not following links; not waiting for a pipe's other end.
_SAFELY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotRegularError(OSError):
    """The name is not that of a regular file."""


def make_folder(path: Path) -> None:
    """Make a folder and what lacks above it."""
    path.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_locked(path: Path) -> FileIO:
    """Return a new empty file, open for writing and locked. Raises FileExistsError."""
    make_folder(path.parent)
    while True:
        file = _opened(path, os.O_EXCL)
        fcntl.flock(file, fcntl.LOCK_EX)  # waits at most for a sweeper, who removes it
        if _has_name(file):
            return file
        file.close()


def try_lock(path: Path) -> FileIO | None:
    """Return ``path`` made, open and locked; ``None`` when another holds it. Closing the file lets go of it."""
    make_folder(path.parent)
    while True:
        file = _opened(path, 0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if _has_name(file):
            return file
        file.close()  # its holder removed it meanwhile: lock the next one of that name


def _opened(path: Path, flags: int) -> FileIO:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, _FILE_MODE)
    return FileIO(handle, "wb")


def _has_name(file: FileIO) -> bool:
    return os.fstat(file.fileno()).st_nlink > 0


def unlock(path: Path, file: FileIO) -> None:
    """Remove the locked file and let go of it, in this order: whoever waits sees that it has no name."""
    path.unlink(missing_ok=True)
    file.close()


def listed(folder: Path) -> Iterator[Path]:
    """Yield what is in ``folder``; nothing where there is none."""
    if folder.is_dir():
        yield from list(folder.iterdir())


def open_beneath(folder: Path, relative: str) -> FileIO:
    """Open a regular file for reading, by steps that follow no link.

    ``relative`` has no ``..``. Raises NotRegularError, or another OSError: ELOOP or ENOTDIR for a link on the way.
    """
    handle = os.open(folder, _SAFELY | os.O_DIRECTORY)
    try:
        *folders, name = PurePosixPath(relative).parts
        for step in folders:
            inner = os.open(step, _SAFELY | os.O_DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = inner
        opened = os.open(name, _SAFELY, dir_fd=handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise NotRegularError
    return FileIO(opened, "rb")
