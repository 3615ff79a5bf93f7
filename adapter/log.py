"""Logs: one line per event on stdout, JSON for machines, coloured for a terminal; everything passes the redaction.

Rooms take ``structlog.get_logger(__name__)`` and log a constant sentence with values as keywords. What libraries log
through ``logging`` joins the same chain from WARNING on, its arguments reduced to types: at DEBUG they print bodies.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TextIO

import orjson
import structlog

from adapter.redaction import Redaction, register_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from structlog.typing import EventDict, WrappedLogger

__all__ = ["bind_exchange", "bind_message", "bound_names", "configure", "register_secret", "take_over_last_words"]

Format = Literal["auto", "json", "console"]


def configure(
    level: str = "INFO",
    fmt: str = "auto",
    *,
    stacktrace: bool = False,
    stream: TextIO | None = None,
    for_good: bool = False,
) -> None:
    """Set up logging for the process; a later call replaces an earlier one.

    ``level`` is the lowest level of our own lines. ``fmt`` is ``json``, ``console`` or ``auto`` (console on a
    terminal). ``stacktrace`` lists every frame of logged exceptions. ``stream`` is stdout unless given. ``for_good``
    promises that no later call follows: loggers are then made once and not for each line.
    """
    out = stream or sys.stdout
    console = fmt == "console" or (fmt == "auto" and out.isatty())
    renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), sort_keys=False) if console else _json
    structlog.configure(
        processors=[
            _add_names,
            _level_and_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            Redaction(stacktrace=stacktrace),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *names: _Lines(out, *names),
        cache_logger_on_first_use=for_good,
    )
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Bridge)]
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
    # The last resort of logging writes to stderr past the redaction.
    logging.lastResort = None
    logging.raiseExceptions = False


#: What every line of a task says. One variable: a variable for each name is set and reset dearly, thousands of times.
_names: ContextVar[dict[str, object]] = ContextVar("names", default={})  # noqa: B039 — never changed in place


@contextmanager
def bind_exchange(
    *,
    action: str | None = None,
    command_id: object = None,
    exchange_id: object = None,
    message_id: object = None,
) -> Iterator[None]:
    """Put the exchange's names on every line logged inside the block, also by tasks started there.

    ``command_id`` is the command's own id, ``exchange_id`` the journal's, ``message_id`` the gateway's MessageID.
    """
    names = {"action": action, "command_id": command_id, "exchange_id": exchange_id, "message_id": message_id}
    before = _names.set(_names.get() | {name: value for name, value in names.items() if value is not None})
    try:
        yield
    finally:
        _names.reset(before)


def bound_names() -> Mapping[str, object]:
    """Return what every line of the running task says: the names of its exchange."""
    return _names.get()


def bind_message(message_id: str) -> None:
    """Put the gateway's MessageID on the lines that follow in this task."""
    _names.set(_names.get() | {"message_id": message_id})


def take_over_last_words() -> None:
    """Log what Python would print to stderr by itself: uncaught exceptions and warnings. For the process's door."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            _last_word("uncaught exception", error)

    sys.excepthook = uncaught
    sys.unraisablehook = lambda args: _last_word("exception in a finalizer", args.exc_value)
    threading.excepthook = lambda args: _last_word("uncaught exception in a thread", args.exc_value)

    def warn(  # noqa: PLR0913, PLR0917  — the signature of warnings.showwarning
        message: Warning | str,  # noqa: ARG001  — same
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001  — same
        line: str | None = None,  # noqa: ARG001  — same
    ) -> None:
        # The message of a warning may quote values (pydantic's do).
        where = f"{filename.rpartition('/')[2]}:{lineno}"
        structlog.get_logger("warnings").warning("python warning", kind=category.__name__, where=where)

    warnings.showwarning = warn


def _last_word(event: str, error: BaseException | None) -> None:
    structlog.get_logger("adapter").critical(event, exc_info=error)


class _Lines:
    """Where rendered lines go. A broken stdout must not stop the work: such lines are counted and lost."""

    lost = 0
    _lock = threading.Lock()

    def __init__(self, stream: TextIO, *names: str) -> None:
        self._stream = stream
        self.name = names[0] if names else "adapter"

    def msg(self, line: str) -> None:
        try:
            with self._lock:
                self._stream.write(f"{line}\n")
                self._stream.flush()
        except (OSError, ValueError):
            _Lines.lost += 1

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Brings the lines of libraries into the chain: their template, with arguments reduced to types and numbers."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, _template(record), exc_info=record.exc_info)


def _template(record: logging.LogRecord) -> str:
    """Return the first line of the message; asyncio's further lines are the repr of a task and its result."""
    text = record.msg if isinstance(record.msg, str) else f"[{type(record.msg).__name__}]"
    if record.args:
        arguments: Any = record.args
        try:
            if isinstance(arguments, dict):
                text = text % {name: _reduced(value) for name, value in arguments.items()}
            else:
                text = text % tuple(_reduced(value) for value in arguments)
        except (TypeError, ValueError, KeyError):
            text = f"{text} [arguments do not fit]"
    return text.partition("\n")[0]


class _Placeholder:
    def __init__(self, value: object) -> None:
        self._text = f"[{type(value).__name__}]"

    def __repr__(self) -> str:
        return self._text


def _reduced(value: object) -> object:
    return value if isinstance(value, int | float) and abs(value) < 10**9 else _Placeholder(value)


def _add_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**_names.get(), **event}


def _level_and_name(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event["level"] = "error" if method == "exception" else method
    event["logger"] = getattr(logger, "name", "adapter")
    return event


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event).decode()
