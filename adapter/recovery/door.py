"""What the commands for operators share at the door: arguments that explain themselves, one way to say no."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from adapter.log import configure
from adapter.recovery.errors import ArgumentError, RecoveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Value = TypeVar("Value")


def typed(reader: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a reader for argparse that tells a person the rule which a value breaks."""

    def read(text: str) -> Value:
        try:
            return reader(text)
        except ArgumentError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def carry_out(work: Coroutine[Any, Any, int]) -> int:
    """Run one command and return its exit code; what could not be done is said on stderr, exit code 1.

    Log lines go to stderr too: stdout belongs to the command's answer.
    """
    configure("ERROR", "console", stream=sys.stderr)
    try:
        return asyncio.run(work)
    except RecoveryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
