"""The pace of polling: quick while there is traffic, slower and slower on an empty queue."""

from __future__ import annotations

import random


class Pace:
    """Exponential back-off with jitter, between two bounds.

    Delays are seconds; each is drawn from the upper half of its step, so that processes started together drift apart.
    """

    def __init__(self, fastest: float, slowest: float) -> None:
        """``fastest`` is the first delay after traffic, ``slowest`` the one that the back-off grows to."""
        self._fastest = fastest
        self._slowest = slowest
        self._step = fastest

    def reset(self) -> None:
        """Go back to the fastest pace: there is traffic."""
        self._step = self._fastest

    def slow(self) -> None:
        """Go to the slowest pace at once: something has to be looked at by a person."""
        self._step = self._slowest

    def delay(self) -> float:
        """Return the next delay and double the one after it."""
        step = self._step
        self._step = min(step * 2, self._slowest)
        return step * random.uniform(0.5, 1)  # noqa: S311 — jitter is no secret
