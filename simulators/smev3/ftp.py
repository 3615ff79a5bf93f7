"""The file storage of СМЭВ3: a real FTP server, where senders put large attachments and receivers fetch them.

Facts (smev3.md, Attachments): a sender logs in as anonymous, makes a folder named by a UUID and puts one file into it;
a receiver logs in as the user that FSAttachmentsList gives, whose folder holds the file; the Ack clears it.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS, FilesystemError
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class FaultOf(Protocol):
    """Tells what is to go wrong, "" for nothing."""

    def __call__(self, operation: str, moment: str) -> str:
        """Answer for Upload or Download; moments are ``login`` and ``transfer``."""
        ...


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ANONYMOUS = "anonymous"
#: pyftpdlib's letters: enter, list, make folders, store, append; and enter, list, retrieve.
_SENDER, _RECEIVER = "elmwa", "elr"
#: A transfer that a scenario cuts or shortens ends after this many bytes, at the latest.
_CUT_AFTER = 1 << 20
_TICK = 0.1

# Left alone, pyftpdlib configures the process's logging by itself and tells of every command.
_log = logging.getLogger("pyftpdlib")
_log.addHandler(logging.NullHandler())
_log.setLevel(logging.CRITICAL)


class NoFolderError(OSError):
    """The machine has no place for files, as a container with a read-only file system."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a receiver gets one file: what FSAttachment says, and where it lies here."""

    uuid: str
    user: str
    password: str
    path: Path

    @property
    def file_name(self) -> str:
        """Path of the file as its receiver sees it."""
        return f"/{self.path.name}"


class FtpArea:
    """The server with its folders; everything is deleted when it stops."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, passive: range = range(0), fault_of: FaultOf | None = None
    ) -> None:
        """``passive`` are the ports for transfers, empty for any; ``fault_of`` is asked in the server's thread."""
        self._address = (host, port)
        self._passive = passive or None
        self._fault_of = fault_of or _nothing
        self._folder: Path | None = None
        self._authorizer: _Doorkeeper | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.port = 0

    def start(self) -> None:
        """Listen. Raises NoFolderError, or another OSError when the address cannot be taken."""
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="smev3-ftp-"))
        except OSError as error:
            raise NoFolderError(f"no folder for files can be made: {error.strerror or error}") from error
        for name in ("uploads", "store"):
            (self._folder / name).mkdir()
        self._authorizer = _Doorkeeper(self._fault_of)
        self._authorizer.add_anonymous(str(self._folder / "uploads"), perm=_SENDER)
        handler = type(
            "Handler",
            (_Handler,),
            {
                "authorizer": self._authorizer,
                "abstracted_fs": _Folders,
                "fault_of": self._fault,
                "passive_ports": self._passive,
            },
        )
        try:
            server = FTPServer(self._address, handler, ioloop=IOLoop())
        except OSError:
            shutil.rmtree(self._folder)
            raise
        self.port = server.address[1]
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(server,), name="smev3-ftp", daemon=True)
        self._thread.start()

    def _fault(self, operation: str) -> str:
        return self._fault_of(operation, "transfer")

    def _run(self, server: FTPServer) -> None:
        while not self._stop.is_set():
            server.ioloop.loop(_TICK, blocking=False)
        server.close_all()

    def stop(self) -> None:
        """Close every connection and delete every file."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def clear(self) -> None:
        """Forget every file and every user."""
        if self._folder is None or self._authorizer is None:
            return
        self._authorizer.forget()
        for name in ("uploads", "store"):
            for path in (self._folder / name).iterdir():
                shutil.rmtree(path, ignore_errors=True)

    def uploaded(self, uuid: str) -> Path | None:
        """Return the one file in the folder ``uuid``, ``None`` when there is not exactly one."""
        if self._folder is None or not _UUID.fullmatch(uuid):
            return None
        folder = self._folder / "uploads" / uuid
        files = list(folder.iterdir()) if folder.is_dir() else []
        return files[0] if len(files) == 1 else None

    def new_file(self, name: str) -> Path:
        """Return a path in a folder of its own in the store, for a file to be written. Raises OSError."""
        if self._folder is None:
            raise OSError("the file storage does not run")
        folder = self._folder / "store" / secrets.token_hex(16)
        folder.mkdir()
        return folder / (Path(name).name or "file")

    def keep(self, path: Path) -> Path:
        """Move an uploaded file into the store: its sender cannot change it any more. Raises OSError."""
        kept = self.new_file(path.name)
        path.replace(kept)
        path.parent.rmdir()
        return kept

    def publish(self, uuid: str, path: Path) -> Access:
        """Make a user who may fetch the stored file ``path``."""
        access = Access(uuid, secrets.token_urlsafe(9), secrets.token_urlsafe(9), path)
        if self._authorizer is not None:
            self._authorizer.add_user(access.user, access.password, str(path.parent), perm=_RECEIVER)
        return access

    def withdraw(self, accesses: Iterable[Access]) -> None:
        """Delete files and their users."""
        for access in accesses:
            if self._authorizer is not None and self._authorizer.has_user(access.user):
                self._authorizer.remove_user(access.user)
            discard(access.path)


def _nothing(operation: str, moment: str) -> str:  # noqa: ARG001  — the port's arguments
    return ""


def discard(path: Path) -> None:
    """Delete a stored file with its folder."""
    shutil.rmtree(path.parent, ignore_errors=True)


class _Doorkeeper(DummyAuthorizer):  # type: ignore[misc]  # pyftpdlib is untyped
    """Knows the users; a scenario may refuse one."""

    def __init__(self, fault_of: FaultOf) -> None:
        super().__init__()
        self._fault_of = fault_of

    def validate_authentication(self, username: str, password: str, handler: object) -> None:
        """Raise AuthenticationFailed for whom it does not know."""
        super().validate_authentication(username, password, handler)
        if self._fault_of("Upload" if username == _ANONYMOUS else "Download", "login"):
            raise AuthenticationFailed("Login incorrect.")

    def _check_permissions(self, username: str, perm: str) -> None:
        """Let anonymous store files, without pyftpdlib's warning."""

    def forget(self) -> None:
        """Forget everybody but anonymous."""
        for user in [user for user in self.user_table if user != _ANONYMOUS]:
            self.remove_user(user)


class _Folders(AbstractedFS):  # type: ignore[misc]  # pyftpdlib is untyped
    """The sender's rules: folders are named by a UUID and hold one file."""

    def mkdir(self, path: str) -> None:
        """Make a folder. Raises FilesystemError for a name that is no UUID."""
        made = Path(path)
        if not _UUID.fullmatch(made.name) or made.parent != Path(self.root):
            raise FilesystemError("Folder name has to be a UUID")
        super().mkdir(path)

    def open(self, filename: str, mode: str) -> Any:
        """Open a file. Raises FilesystemError for one outside a folder, or beside another."""
        path = Path(filename)
        if "r" not in mode:
            beside = [other for other in path.parent.iterdir() if other != path]
            if path.parent == Path(self.root) or beside:
                raise FilesystemError("One file in a folder of its own")
        return super().open(filename, mode)


class _Handler(FTPHandler):  # type: ignore[misc]  # pyftpdlib is untyped
    """One client; transfers may go wrong by scenario."""

    fault_of: Callable[[str], str]
    banner = "SMEV3 simulator file storage"
    auth_failed_timeout = 0

    def ftp_RETR(self, file: str) -> Any:  # noqa: N802  — pyftpdlib names handlers by the command
        """Send a file."""
        fault = self.fault_of("Download")
        if fault == "missing":
            return self.respond("550 No such file.")
        with _Spoiling(self, fault):
            return super().ftp_RETR(file)

    def ftp_STOR(self, file: str, mode: str = "w") -> Any:  # noqa: N802  — same
        """Take a file."""
        fault = self.fault_of("Upload")
        if fault == "missing":
            return self.respond("550 Permission denied.")
        with _Spoiling(self, fault):
            return super().ftp_STOR(file, mode)


class _Spoiling:
    """While it lasts, files that a client opens are spoilt by ``fault``; the file itself outlives it."""

    def __init__(self, handler: _Handler, fault: str) -> None:
        self._handler = handler
        self._fault = fault

    def __enter__(self) -> None:
        if self._fault:
            folders = self._handler.fs
            opened = folders.open
            folders.open = lambda name, mode: _SpoiltFile(opened(name, mode), self._fault, self._handler)

    def __exit__(self, *_: object) -> None:
        if self._fault:
            del self._handler.fs.open


class _SpoiltFile:
    """A file that ends early, changes a byte, or takes the connection down in its middle.

    It has no ``fileno``, so that pyftpdlib reads it and does not hand it to the kernel.
    """

    def __init__(self, file: Any, fault: str, handler: _Handler) -> None:
        self._file = file
        self._fault = fault
        self._handler = handler
        self.name = file.name
        self._left = min(_CUT_AFTER, max(1, Path(file.name).stat().st_size // 2) if file.readable() else _CUT_AFTER)
        self._spoilt = False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return bool(self._file.closed)

    def read(self, size: int) -> bytes:
        """Read what a client is to see."""
        if self._fault == "corrupt":
            return self._changed(self._file.read(size))
        data: bytes = self._file.read(min(size, self._left))
        self._left -= len(data)
        if not data and self._fault == "cut":
            self._handler.close()
        return data

    def write(self, data: bytes) -> int:
        """Write what a client is to leave behind."""
        if self._fault == "corrupt":
            return int(self._file.write(self._changed(data)))
        self._file.write(data[: len(data) // 2] if not self._spoilt else b"")
        self._spoilt = True
        if self._fault == "cut":
            self._handler.close()
        return len(data)

    def _changed(self, data: bytes) -> bytes:
        if self._spoilt or not data:
            return data
        self._spoilt = True
        return bytes([data[0] ^ 1]) + data[1:]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def seek(self, position: int) -> None:
        """Go to ``position``."""
        self._file.seek(position)
