"""Where in the code an error was raised."""

from __future__ import annotations


def place_of(error: BaseException) -> str:
    """Return module and line where ``error`` was raised: its text may hold values, its place cannot."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
