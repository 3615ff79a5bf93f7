"""What a log line may say: the last processor before the renderer, and the only way out.

Logs speak English and about the exchange, never about its content. So a text passes only under a key that this file
lists (a new technical word is added here, in review), and is still searched for secrets and personal data. Ids that
came from outside are shown only when they are UUIDs. Exceptions are reduced to class, codes and places in the code:
the messages of asyncpg, pydantic and lxml print values.
"""

from __future__ import annotations

import re
import ssl
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from secrets import token_bytes
from traceback import walk_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

from adapter.errors import AdapterError, ConfigurationError

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

#: Keys of ids: a UUID is shown, anything else (an upstream's message_id may be a name) as a keyed hash.
IDS = frozenset(
    {"command_id", "exchange_id", "gateway_id", "lane", "message_id", "order_id", "outbox_id", "reference", "worker"}
)
#: Keys whose texts are words of the program: names it chose itself, codes, rules.
WORDS = frozenset(
    {
        "action", "actions", "attempt", "cause", "certificate", "channel", "code", "component", "contour",
        "endpoint", "error", "event", "exchange", "fault", "faults", "format", "gateway", "host", "index", "kind",
        "link", "logger", "metric", "migration", "mode", "node_id", "operation", "outcome", "phase", "queue", "reason",
        "rule", "schema", "service", "sign_key", "signal", "source", "sqlstate", "state", "status", "step", "task",
        "transport", "variable", "verdict", "version", "warning", "where",
    }
)  # fmt: skip
#: Set by our own processors after everything a caller may have given; pass as they are.
_OWN = ("timestamp", "level")

_MAX_TEXT = 400
_MAX_SCANNED = 4_000
_MAX_ITEMS = 20
_MAX_DEPTH = 4
_MIN_SECRET = 4
_HASH_KEY = token_bytes(32)
_ROOT = str(Path(__file__).parents[1]) + "/"

_UUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_WHOLE_ID = re.compile(_UUID)
_KEPT = (
    rf"(?<![0-9A-Za-z])(?:{_UUID}|[0-9a-f]{{32,128}}|\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?![0-9A-Za-z])"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)", re.DOTALL), "[pem]"),
    (re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}"), "[credentials]"),
    (re.compile(r"(?<=://)\S{1,500}@"), "[credentials]@"),
    (
        re.compile(
            r"(?i)(pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|authorization)(\"?'?\s*[=:]\s*)"
            r"(\"[^\"]*\"|'[^']*'|\S+)"
        ),
        r"\1\2[hidden]",
    ),
    (re.compile(r"eyJ[\w-]{4,}\.[\w.-]*"), "[token]"),
    (re.compile(r"[^\s@<>\"']{1,64}@[^\s@<>\"',;]{1,255}"), "[email]"),
    # Personal numbers: СНИЛС, ИНН, passports, phones. UUIDs, digests and moments look similar and stay.
    (re.compile(rf"({_KEPT})|\d{{10,}}|(?<![0-9A-Za-z])\+?\d(?:[ ()-]{{0,2}}\d){{8,}}(?![0-9A-Za-z])"), r"\1"),
    (re.compile(rf"({_KEPT})|[A-Za-z0-9+/_-]{{48,}}={{0,2}}"), r"\1"),
    (re.compile(r"[\u0400-\u052f]+(?:[^\w\u0400-\u052f]{0,3}[\u0400-\u052f]+)*"), "[text]"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: Short plain words need no search.
_HARMLESS = re.compile(r"[A-Za-z_ ,;()'-]{0,40}(?:[.:/][A-Za-z_ ,;()'-]{0,40}){0,4}")
_CREDENTIAL_WORDS = re.compile(r"(?i)pass|pwd|secret|token|key|authorization|bearer|basic")

_secrets: set[str] = set()
_secret_pattern: re.Pattern[str] | None = None


def register_secret(value: str) -> None:
    """Replace ``value`` wherever it appears in a log line, also percent-encoded or in base64.

    Values under four characters are not registered: they would chop ordinary words.
    """
    global _secret_pattern  # noqa: PLW0603  — one compiled pattern for the process, replaced as a whole
    if len(value) < _MIN_SECRET:
        return
    _secrets.update({value, quote(value, safe=""), b64encode(value.encode("utf-8", "replace")).decode().rstrip("=")})
    longest_first = sorted(_secrets, key=len, reverse=True)
    _secret_pattern = re.compile("|".join(re.escape(secret) for secret in longest_first))
    clean.cache_clear()


def forget_secrets() -> None:
    """Forget every registered secret (between tests)."""
    global _secret_pattern  # noqa: PLW0603  — see register_secret
    _secrets.clear()
    _secret_pattern = None
    clean.cache_clear()


@lru_cache(maxsize=2048)
def clean(text: str) -> str:
    """Return ``text`` on one line, bounded, without secrets and anything that looks like personal data.

    Cached: nearly every text of a log is one of a few constants, and the search costs more than the rest of the line.
    """
    text = text[:_MAX_SCANNED]
    if _secret_pattern is not None:
        text = _secret_pattern.sub("[secret]", text)
    if _HARMLESS.fullmatch(text) and not _CREDENTIAL_WORDS.search(text):
        return text
    text = _CONTROL.sub(" ", text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(lambda match, put=replacement: match.expand(put) or "[hidden]", text)  # type: ignore[misc]
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def reduce_error(error: BaseException, *, frames: bool = False, depth: int = 0) -> dict[str, Any]:
    """Return what may be said of an exception: class, wire code, SQLSTATE, errno, place; no arguments, no values.

    With ``frames`` every frame is listed as ``file:line function``, else the innermost of our own code alone.
    """
    kind = type(error)
    said: dict[str, Any] = {"class": kind.__qualname__ if kind.__module__ == "builtins" else _class_name(kind)}
    if isinstance(error, AdapterError):
        said["code"] = clean(error.code)
    if isinstance(error, ConfigurationError):
        said["faults"] = {clean(name): clean(sentence) for name, sentence in error.faults.items()}
    sqlstate, status = getattr(error, "sqlstate", None), getattr(error, "status", None)
    if isinstance(sqlstate, str) and re.fullmatch(r"[0-9A-Z]{5}", sqlstate):
        said["sqlstate"] = sqlstate
    if isinstance(status, int):
        said["status"] = int(status)
    if isinstance(error, OSError) and error.errno is not None:
        said["errno"] = error.errno
    if isinstance(error, ssl.SSLError) and re.fullmatch(r"[A-Z0-9_]{1,60}", error.reason or ""):
        said["reason"] = error.reason
    places = [
        _place(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in walk_tb(error.__traceback__)
    ]
    if places and frames:
        said["frames"] = places
    elif places:
        said["at"] = next((place for place in reversed(places) if place.startswith("adapter/")), places[-1])
    if depth < _MAX_DEPTH:
        said |= _related(error, frames=frames, depth=depth + 1)
    return said


def _related(error: BaseException, *, frames: bool, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(error, BaseExceptionGroup):
        members = error.exceptions[:_MAX_ITEMS]
        found["members"] = [reduce_error(member, frames=frames, depth=depth) for member in members]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        found["cause"] = reduce_error(cause, frames=frames, depth=depth)
    return found


def _class_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _place(file: str, line: int, function: str) -> str:
    """Write a place in the code without the machine's folders."""
    if "/site-packages/" in file:
        file = file.rpartition("/site-packages/")[2]
    elif file.startswith(_ROOT):
        file = file.removeprefix(_ROOT)
    else:
        file = file.rpartition("/")[2]
    return f"{file}:{line} {function}"


class Redaction:
    """structlog processor: lets through what this module allows and nothing else."""

    def __init__(self, *, stacktrace: bool = False) -> None:
        """With ``stacktrace`` logged exceptions list every frame."""
        self._frames = stacktrace

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return a new event of cleaned values, the common keys first."""
        exc_info = event.pop("exc_info", None)
        event.pop("stack_info", None)
        line: dict[str, Any] = {key: event.pop(key) for key in _OWN if key in event}
        line |= {key: self._value(key, event.pop(key)) for key in ("logger", "event") if key in event}
        for key, value in event.items():
            line[_key(key)] = self._value(key, value)
        error = _error_of(exc_info)
        if error is not None:
            line["failure"] = reduce_error(error, frames=self._frames)
        return line

    def _value(self, key: str, value: Any, depth: int = 0) -> Any:
        if type(value) is str:
            return _text(key, value)
        for kinds, show in _SCALARS:
            if isinstance(value, kinds):
                return show(key, value)
        if isinstance(value, BaseException):
            return reduce_error(value, frames=self._frames)
        if depth < _MAX_DEPTH and isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [self._value(key, item, depth + 1) for item in islice(value, _MAX_ITEMS)]
        return f"[{type(value).__name__}]"

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        """Keys of a mapping may be data: only listed ones pass, the others are counted."""
        listed = {key: item for key, item in value.items() if isinstance(key, str) and (key in WORDS or key in IDS)}
        shown = {key: self._value(key, item, depth) for key, item in listed.items()}
        return shown if len(listed) == len(value) else shown | {"hidden": len(value) - len(listed)}


@lru_cache(256)
def _key(key: str) -> str:
    return key if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", key) else "[key]"


def _text(key: str, value: str) -> str:
    if key in IDS:
        if _WHOLE_ID.fullmatch(value):
            return value
        return f"hash:{blake2b(value.encode('utf-8', 'surrogatepass'), key=_HASH_KEY, digest_size=8).hexdigest()}"
    if key in WORDS:
        return clean(value)
    return f"[{len(value)} characters]"


def _number(key: str, value: float) -> float | str:
    # A personal number may come as an int; a size or a count under a known key may be large.
    return value if abs(value) < (2**53 if key in WORDS else 10**9) else "[number]"


#: How simple values are shown, by type; the first that fits counts (an Enum may be a str, a bool is an int).
_SCALARS: tuple[tuple[type | tuple[type, ...], Callable[[str, Any], Any]], ...] = (
    ((bool, type(None)), lambda _, value: value),
    (Enum, lambda _, value: value.value if isinstance(value.value, str) else value.name),
    ((int, float), _number),
    (str, _text),
    (UUID, lambda _, value: str(value)),
    (date, lambda _, value: value.isoformat()),
    (timedelta, lambda _, value: value.total_seconds()),
    ((bytes, bytearray, memoryview), lambda _, value: f"[{len(value)} bytes]"),
)


def _error_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3 and isinstance(exc_info[1], BaseException):
        return exc_info[1]
    if exc_info and not isinstance(exc_info, tuple):
        return sys.exc_info()[1]
    return None
