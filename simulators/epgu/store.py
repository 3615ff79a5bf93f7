"""Archives as they come: pieces on disk, or their sizes and digests alone."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import Buffer

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """One uploaded file: its name, bytes, SHA-256 (hex), and where it is kept (``None``: it is not)."""

    name: str
    size: int
    sha256: str
    path: Path | None


@dataclass(slots=True)
class Member:
    """A file inside an archive."""

    name: str
    size: int
    sha256: str


@dataclass(slots=True)
class Archive:
    """A whole archive: its pieces in order. ``members`` are known once it was judged."""

    pieces: tuple[Piece, ...]
    members: list[Member] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all pieces."""
        return sum(piece.size for piece in self.pieces)

    @property
    def kept(self) -> bool:
        """Tell whether every byte is still there."""
        return all(piece.path is not None for piece in self.pieces)

    def open(self) -> io.BufferedReader:
        """Return the archive as one file. Raises OSError when it is not kept."""
        if not self.kept:
            raise FileNotFoundError("the archive is not kept")
        files = [(piece.path, piece.size) for piece in self.pieces if piece.path is not None]
        return io.BufferedReader(_Joined(files), _PIECE)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the whole; takes time, run it in a thread. Raises OSError."""
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class _Joined(io.RawIOBase):
    """Files one behind the other, read as one; nothing is copied."""

    def __init__(self, files: list[tuple[Path, int]]) -> None:
        """``files`` are paths and sizes."""
        self._files = files
        self._size = sum(size for _, size in files)
        self._at = 0
        self._open: tuple[int, BinaryIO] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "before the start")  # as of a real file: zipfile counts on it
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        offset = self._at
        for number, (_, size) in enumerate(self._files):
            if offset < size:
                file = self._file(number)
                file.seek(offset)
                data = file.read(min(len(view), size - offset))
                view[: len(data)] = data
                self._at += len(data)
                return len(data)
            offset -= size
        return 0

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()

    def _file(self, number: int) -> BinaryIO:
        if self._open is None or self._open[0] != number:
            if self._open is not None:
                self._open[1].close()
            self._open = (number, self._files[number][0].open("rb"))
        return self._open[1]


class Receiver:
    """Takes one uploaded file block by block; use it as a context, then ask for :attr:`piece`."""

    def __init__(self, name: str, path: Path | None) -> None:
        """``path`` is where to keep it, ``None`` keeps nothing."""
        self._name = name
        self._path = path
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        """Open the file."""
        if self._path is not None:
            self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()

    def write(self, block: bytes) -> None:
        """Take a block; blocks the caller for about a millisecond per megabyte."""
        self._hash.update(block)
        self.size += len(block)
        if self._file is not None:
            self._file.write(block)

    @property
    def piece(self) -> Piece:
        """What came."""
        return Piece(self._name, self.size, self._hash.hexdigest(), self._path)


class Store:
    """The folder that archives are kept in."""

    def __init__(self, folder: Path | None) -> None:
        """Without ``folder`` a temporary one is made; either is emptied by :meth:`clear`."""
        self._own = folder is None
        self._folder = Path(tempfile.mkdtemp(prefix="epgu-")) if folder is None else folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._numbers = count(1)

    def receiver(self, name: str, *, keep: bool) -> Receiver:
        """Return a place for one uploaded file."""
        return Receiver(name, self._folder / f"{next(self._numbers)}.part" if keep else None)

    def drop(self, *pieces: Piece) -> None:
        """Forget pieces."""
        for piece in pieces:
            if piece.path is not None:
                piece.path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete everything that was kept."""
        for path in self._folder.glob("*.part"):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything, and the folder if it was made here."""
        self.clear()
        if self._own:
            with suppress(OSError):  # somebody else put something there: theirs to keep
                shutil.rmtree(self._folder)
