"""A breaker: calls that would fail anyway are not made, and one at a time asks whether the other side is back."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from adapter.errors import Code
from adapter.exchange import TryLater, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.errors import AdapterError
    from adapter.exchange import Sent
    from adapter.pipeline.ports import Observer

log = structlog.get_logger(__name__)

#: Failures in a row that open a breaker: a gateway that loses every second call stays in use.
THRESHOLD: Final = 10
#: Seconds before the first probe and the longest time between two; the pause doubles from probe to probe.
FIRST_PAUSE: Final = 1.0
LAST_PAUSE: Final = 30.0


class Breaker:
    """Closed while the other side answers; open after ``THRESHOLD`` failures in a row, until one success.

    While it is open, :meth:`admit` lets one probe through after each pause and refuses everything else. What it refuses
    has certainly not been sent. It keeps no task and no timer: its state changes only when somebody asks or reports.
    """

    def __init__(self, name: str, observer: Observer, *, clock: Callable[[], float] = monotonic) -> None:
        """``name`` is the other side's, for logs; ``clock`` returns seconds."""
        self.name = name
        self.closed = True
        self.cause: AdapterError | None = None
        self._observer = observer
        self._clock = clock
        self._failures = 0
        self._pause = 0.0
        self._probe_at = 0.0
        self._probing = False

    @property
    def refuses(self) -> bool:
        """Whether a call would be refused now."""
        return not self.closed and (self._probing or self._clock() < self._probe_at)

    @property
    def wait(self) -> float:
        """Seconds until the next probe may go."""
        return max(0.0, self._probe_at - self._clock())

    def admit(self) -> bool:
        """Ask for one call. While the breaker is open, true makes the caller the probe: it has to report or release."""
        if self.closed:
            return True
        if self.refuses:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Report an answer of the other side, whatever it said."""
        self._failures = 0
        if not self.closed:
            self.closed, self._probing, self.cause = True, False, None
            log.info("the other side is back: calls go on", gateway=self.name)
            self._observer.count("breaker-closed")

    def failed(self, error: AdapterError, *, probe: bool) -> None:
        """Report a call without an answer. While open only the probe counts: others began before it opened."""
        if self.closed:
            self._failures += 1
            if self._failures >= THRESHOLD:
                self.closed = False
                log.warning("the other side is away: calls wait in the journal", gateway=self.name, code=error.code)
                self._observer.count("breaker-opened")
                self._put_off(FIRST_PAUSE, error)
        elif probe:
            self._put_off(min(self._pause * 2, LAST_PAUSE), error)

    def release(self) -> None:
        """Give the probe back that ended without a report; does nothing after one."""
        self._probing = False

    def _put_off(self, pause: float, error: AdapterError) -> None:
        self.cause, self._pause, self._probing = error, pause, False
        self._probe_at = self._clock() + pause


def report(breaker: Breaker, result: Sent | None, *, probe: bool) -> None:
    """Tell the breaker what a call says of the gateway: a considered answer is a sign of life, a refusal too."""
    match result:
        case None:
            pass
        case Unanswered():
            breaker.failed(result.error, probe=probe)
        case TryLater() if not result.raw or result.error.code == Code.GATEWAY_UNAVAILABLE.wire:
            breaker.failed(result.error, probe=probe)
        case _:
            breaker.succeeded()
