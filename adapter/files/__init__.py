"""The files that commands carry by value, url or path, and those that answers bring: allow-list, streaming, hashes."""

from adapter.files.ftp import FtpFiles, FtpLogin
from adapter.files.policy import AllowedHost, FilesPolicy
from adapter.files.store import FileStore
from adapter.files.taking import FilesIn, OpenedFile

__all__ = ["AllowedHost", "FileStore", "FilesIn", "FilesPolicy", "FtpFiles", "FtpLogin", "OpenedFile"]
