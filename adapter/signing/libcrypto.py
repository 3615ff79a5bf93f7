"""OpenSSL's libcrypto by ctypes, with the GOST engine loaded explicitly into this process.

Explicitly, because a configuration file (OPENSSL_CONF) would load the engine into every library of the process.
ctypes releases the interpreter lock during each call, so threads sign and verify in parallel.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
import threading
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_ulong, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The variable that names another engine file, for example one unpacked without root.
ENGINE_VARIABLE = "GOST_ENGINE"
#: The Debian package that brings the engine.
ENGINE_PACKAGE = "libengine-gost-openssl"

_LIBRARY = "libcrypto.so.3"
_INIT_ENGINE_DYNAMIC = 0x400
# ENGINE_METHOD_DIGESTS | _PKEY_METHS | _PKEY_ASN1_METHS: enough to read keys and sign; ciphers and RNG stay OpenSSL's.
_DEFAULT_METHODS = 0x0080 | 0x0200 | 0x0400

_PROTOTYPES: dict[str, tuple[type | None, list[type]]] = {
    "OPENSSL_init_crypto": (c_int, [c_uint64, c_void_p]),
    "ERR_clear_error": (None, []),
    "ERR_peek_last_error": (c_ulong, []),
    "ERR_reason_error_string": (c_char_p, [c_ulong]),
    "OBJ_txt2nid": (c_int, [c_char_p]),
    "ENGINE_by_id": (c_void_p, [c_char_p]),
    "ENGINE_get_first": (c_void_p, []),
    "ENGINE_get_next": (c_void_p, [c_void_p]),
    "ENGINE_get_id": (c_char_p, [c_void_p]),
    "ENGINE_ctrl_cmd_string": (c_int, [c_void_p, c_char_p, c_char_p, c_int]),
    "ENGINE_init": (c_int, [c_void_p]),
    "ENGINE_free": (c_int, [c_void_p]),
    "ENGINE_set_default": (c_int, [c_void_p, c_uint]),
    "ENGINE_get_digest": (c_void_p, [c_void_p, c_int]),
    "EVP_Digest": (c_int, [c_char_p, c_size_t, c_char_p, POINTER(c_uint), c_void_p, c_void_p]),
    "EVP_MD_CTX_new": (c_void_p, []),
    "EVP_MD_CTX_free": (None, [c_void_p]),
    "EVP_DigestInit_ex": (c_int, [c_void_p, c_void_p, c_void_p]),
    "EVP_DigestUpdate": (c_int, [c_void_p, c_char_p, c_size_t]),
    "EVP_DigestFinal_ex": (c_int, [c_void_p, c_char_p, c_void_p]),
    "EVP_DigestSignInit": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "EVP_DigestSign": (c_int, [c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t]),
    "EVP_DigestVerifyInit": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "EVP_DigestVerify": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "EVP_PKEY_get_base_id": (c_int, [c_void_p]),
    "EVP_PKEY_eq": (c_int, [c_void_p, c_void_p]),
    "EVP_PKEY_free": (None, [c_void_p]),
    "d2i_PUBKEY": (c_void_p, [c_void_p, POINTER(c_char_p), ctypes.c_long]),
    "d2i_AutoPrivateKey": (c_void_p, [c_void_p, POINTER(c_char_p), ctypes.c_long]),
}


class GostUnavailableError(RuntimeError):
    """OpenSSL 3 or its GOST engine is not on this machine; the sentence names the Debian package to install."""


class Libcrypto:
    """The loaded library and engine: ``functions`` are libcrypto's, typed by the table above; ``engine`` its handle."""

    def __init__(self, path: Path | None = None) -> None:
        """Load the engine from ``path``, else from $GOST_ENGINE, else from the system's folders.

        Raises GostUnavailableError. Use :func:`load`: an engine may be loaded only once per process.
        """
        try:
            self.functions = ctypes.CDLL(_LIBRARY)
            for name, (result, arguments) in _PROTOTYPES.items():
                function = getattr(self.functions, name)
                function.restype = result
                function.argtypes = arguments
        except (OSError, AttributeError) as error:
            raise GostUnavailableError(f"OpenSSL 3 ({_LIBRARY}) is missing: install the package libssl3") from error
        self.functions.OPENSSL_init_crypto(_INIT_ENGINE_DYNAMIC, None)
        # The engine refuses a second load in one process: whoever loaded it first (a configuration file) shares it.
        self.engine = self._listed() or self._load(_engine_file(path))
        if not self.functions.ENGINE_init(self.engine):
            raise GostUnavailableError(f"the GOST engine does not start: {self.last_error()}")
        self.functions.ENGINE_set_default(self.engine, _DEFAULT_METHODS)

    def last_error(self) -> str:
        """Return OpenSSL's sentence for this thread's last error and forget the thread's errors."""
        code = self.functions.ERR_peek_last_error()
        reason: bytes | None = self.functions.ERR_reason_error_string(code) if code else None
        self.functions.ERR_clear_error()
        return (reason or b"no reason given").decode("ascii", "replace")

    def digest(self, oid: str) -> int:
        """Return the engine's EVP_MD of the digest named by a dotted ``oid``."""
        handle: int | None = self.functions.ENGINE_get_digest(self.engine, self.nid(oid))
        if not handle:
            raise GostUnavailableError(f"the GOST engine has no digest {oid}")
        return handle

    def nid(self, oid: str) -> int:
        """Return OpenSSL's number of a dotted ``oid``, 0 when it knows none."""
        number: int = self.functions.OBJ_txt2nid(oid.encode())
        return number

    def _listed(self) -> int | None:
        """Return the engine when something else of this process has loaded it already."""
        found: int | None = self.functions.ENGINE_get_first()
        while found:
            if self.functions.ENGINE_get_id(found) == b"gost":
                return found
            found = self.functions.ENGINE_get_next(found)  # frees the one before
        return None

    def _load(self, path: Path) -> int:
        engine: int | None = self.functions.ENGINE_by_id(b"dynamic")
        if not engine:
            raise GostUnavailableError(f"OpenSSL cannot load engines: {self.last_error()}")
        orders = ((b"SO_PATH", os.fsencode(path)), (b"ID", b"gost"), (b"LIST_ADD", b"1"), (b"LOAD", None))
        for command, value in orders:
            if not self.functions.ENGINE_ctrl_cmd_string(engine, command, value, 0):
                reason = self.last_error()
                self.functions.ENGINE_free(engine)
                raise GostUnavailableError(
                    f"the GOST engine at {path} cannot be loaded ({reason}): reinstall the package {ENGINE_PACKAGE}"
                )
        return engine


def _candidates() -> Iterator[Path]:
    # Set-up without root unpacks the engine beside the interpreter's own files.
    yield Path(sys.prefix, "lib", "engines-3", "gost.so")
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        yield Path(f"/usr/lib/{multiarch}/engines-3/gost.so")
    yield from sorted(Path("/usr/lib").glob("*/engines-3/gost.so"))
    for folder in ("/usr/lib64", "/usr/lib", "/usr/local/lib64", "/usr/local/lib"):
        yield Path(folder, "engines-3", "gost.so")


def _engine_file(path: Path | None) -> Path:
    """Return the engine's file; an explicit choice that does not exist is an error, never a silent fallback."""
    chosen = path or (Path(os.environ[ENGINE_VARIABLE]) if os.environ.get(ENGINE_VARIABLE) else None)
    if chosen is not None:
        if not chosen.is_file():
            raise GostUnavailableError(f"{ENGINE_VARIABLE} names {chosen}, which is not a file")
        return chosen.resolve()
    for candidate in _candidates():
        if candidate.is_file():
            return candidate
    raise GostUnavailableError(
        f"OpenSSL's GOST engine is not installed: install the package {ENGINE_PACKAGE}"
        f" or name its gost.so in {ENGINE_VARIABLE}"
    )


_loaded: Libcrypto | None = None
_loading = threading.Lock()


def load(path: Path | None = None) -> Libcrypto:
    """Return the process's one library and engine; ``path`` matters to the first call only."""
    global _loaded  # noqa: PLW0603  — an engine is process-wide state of OpenSSL itself
    with _loading:
        if _loaded is None:
            _loaded = Libcrypto(path)
        return _loaded
