"""A connection kept up by its owner: opened, served, and opened again with growing pauses after it broke."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from adapter.broker.connection import BROKER_ERRORS, BrokerAddress, Connection, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

_PAUSES: Final = (0.1, 0.3, 1.0, 2.0, 5.0)
#: A link that held this long, in seconds, starts its pauses anew.
_STEADY: Final = 10.0


class Link:
    """Runs ``serve`` on a fresh connection again and again until it returns by itself."""

    def __init__(
        self,
        address: Callable[[], BrokerAddress],
        name: str,
        *,
        expected: tuple[type[Exception], ...] = (),
        gate: asyncio.Event | None = None,
    ) -> None:
        """``address`` is asked before each connection, so that renewed certificates are read.

        ``expected`` are errors of ``serve`` that call for a new connection beside the broker's own; ``gate`` must be
        set before one is opened (the journal has to be there before anything is consumed).
        """
        self._address = address
        self._name = name
        self._expected: tuple[type[Exception], ...] = (*BROKER_ERRORS, *expected)
        self._gate = gate

    async def run(self, serve: Callable[[Connection], Awaitable[None]]) -> None:
        """Serve until ``serve`` returns. Raises only what is neither the broker's nor expected."""
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            opened = clock()
            if self._gate is not None:
                await self._gate.wait()
            try:
                # In a task of its own: on Python 3.11 a task group that fails leaves its task cancelled for ever after,
                # and then ours could not be told from a cancellation that aiormq makes of a dying connection.
                await asyncio.create_task(self._serve_once(serve, failures))
            except (Exception, asyncio.CancelledError) as error:
                if not self._is_expected(error):
                    raise
                if clock() - opened > _STEADY:
                    failures = 0
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                failures += 1
                log.warning("link to the broker broke", link=self._name, error=_name(error), retry_in=pause)
                await asyncio.sleep(pause)
            else:
                return

    async def _serve_once(self, serve: Callable[[Connection], Awaitable[None]], failures: int) -> None:
        # A node that takes connections and does nothing with them must not be the first one for ever.
        async with connect(self._address(), self._name, start=failures) as connection:
            log.info("connected to the broker", link=self._name)
            await serve(connection)

    def _is_expected(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return all(self._is_expected(part) for part in error.exceptions)
        if isinstance(error, asyncio.CancelledError):
            # aiormq reports a dying connection as CancelledError; ours has to pass.
            task = asyncio.current_task()
            return task is None or not task.cancelling()
        return isinstance(error, self._expected)


def _name(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
