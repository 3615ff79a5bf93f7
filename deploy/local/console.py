"""What people see while the stack is set up: one line per step, alive while it runs, never a traceback.

Standard library only: the very first step of ``make setup`` runs before anything is installed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between signs of life, on a terminal and in a log file.
TERMINAL_TICK = 0.25
LOG_TICK = 5.0
TITLE_WIDTH = 34


class StepError(Exception):
    """A step failed for a reason a person can act on; its text is all that is printed."""


def coloured() -> bool:
    """Return whether colours are wanted: a terminal, and NO_COLOR is not set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """Return ``text`` in ``colour`` (green, red, yellow, bold, dim) where colours are wanted."""
    codes = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
    return f"\x1b[{codes[colour]}m{text}\x1b[0m" if coloured() else text


def say(text: str = "") -> None:
    """Print one line at once."""
    _write(f"{text}\n")


def _write(text: str) -> None:
    """Write to standard output; a reader that has gone (``make up | head``) does not stop the work."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Step:
    """A running step: ``note`` is what it is doing now, ``result`` what is said when it ends well."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        """Start the clock; ``quiet`` prints nothing at all."""
        self.title = title
        self.note = ""
        self.result = ""
        self._quiet = quiet
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name=f"progress of {title}", daemon=True)

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._began

    def begin(self) -> None:
        """Start the signs of life."""
        if not self._quiet:
            self._ticker.start()

    def end(self, verdict: str, colour: str) -> None:
        """Stop the signs of life and print the closing line."""
        self._ended.set()
        if self._quiet:
            return
        self._ticker.join()
        self._print(f"{paint(verdict, colour)}  {self.seconds:5.1f} s  {self.result}".rstrip(), last=True)

    def _tick(self) -> None:
        interval = TERMINAL_TICK if sys.stdout.isatty() else LOG_TICK
        while not self._ended.wait(interval):
            self._print(f"{paint('....', 'yellow')}  {self.seconds:5.1f} s  {self.note}".rstrip(), last=False)

    def _print(self, text: str, *, last: bool) -> None:
        line = f"  {self.title:<{TITLE_WIDTH}} {text}"
        if sys.stdout.isatty():
            _write(f"\r\x1b[2K{line}{chr(10) if last else ''}")
        else:
            say(line)


@contextmanager
def step(title: str, *, quiet: bool = False) -> Iterator[Step]:
    """Show ``title`` as a line that lives while the block runs and ends in ok or failed; errors pass through."""
    running = Step(title, quiet=quiet)
    running.begin()
    try:
        yield running
    except BaseException:
        running.result = ""
        running.end("fail", "red")
        raise
    running.end("ok  ", "green")
