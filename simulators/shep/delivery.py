"""Delivery by PUSH: one worker per delivery point, with the point's throttling, repeats and switch-off.

A point that made too many errors within its interval is switched off: what waits there is DELIVERY_STOPPED until an
administrator switches it on again. Nobody but its receiver can tell why a delivery failed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adapter.gateways.shep.operations import PUSH, PUSH_STATUS
from simulators.shep.courier import UndeliveredError
from simulators.shep.refusals import session_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from simulators.shep.courier import Courier
    from simulators.shep.letters import Letter
    from simulators.shep.world import Point, World


class _Line:
    """What waits at one delivery point."""

    def __init__(self) -> None:
        self.letters: deque[Letter] = deque()
        self.changed = asyncio.Event()
        self.off = False
        self.errors: deque[float] = deque()
        self.calls: deque[float] = deque()
        self.switched_off = 0

    def wake(self) -> None:
        self.changed.set()


class Deliveries:
    """The workers; each lives until :meth:`close`."""

    def __init__(self, courier: Courier, world: Callable[[], World], clock: Callable[[], datetime]) -> None:
        """``world`` tells what is registered now."""
        self._courier = courier
        self._world = world
        self._clock = clock
        self._lines: dict[int, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.notified: list[dict[str, Any]] = []

    def put(self, letter: Letter) -> None:
        """Take a message for delivery at its point."""
        assert letter.point is not None  # noqa: S101  — PULL messages never come here
        line = self._line(letter.point)
        line.letters.append(letter)
        if line.off:
            letter.move("DELIVERY_STOPPED", "SIM-STOPPED", "Доставка выключена", self._clock())
        line.wake()

    def switch(self, point: int, *, on: bool) -> bool:
        """Switch a point as an administrator does; returns whether it was off."""
        line = self._line(point)
        was_off, line.off = line.off, not on
        line.errors.clear()
        for letter in line.letters:
            state = "ON_DELIVERY" if on else "DELIVERY_STOPPED"
            letter.move(state, "SIM-SWITCHED", "Доставка переключена администратором", self._clock())
        line.wake()
        return was_off

    def points(self) -> list[dict[str, Any]]:
        """Return what ``/_sim/points`` shows."""
        return [
            {
                **point.model_dump(),
                "off": self._line(point.id).off,
                "switched_off": self._line(point.id).switched_off,
                "waiting": len(self._line(point.id).letters),
                "calls": len(self._line(point.id).calls),
            }
            for point in self._world().points
        ]

    def forget(self) -> None:
        """Drop everything that waits; the workers stay."""
        for line in self._lines.values():
            line.letters.clear()
            line.errors.clear()
            line.calls.clear()
            line.off = False
            line.switched_off = 0
        self.notified.clear()

    def tell(self, letter: Letter) -> None:
        """Tell a message's sender its new state, where its service wants that; soon, and once."""
        world = self._world()
        service = world.service(letter.service_id, letter.contour)
        sender = world.party(letter.sender_id)
        point = None if sender is None else self._point(sender.point)
        if service is not None and service.status_notifications and point is not None and point.url:
            self._spawn(self._tell(letter, point))

    async def close(self) -> None:
        """End the workers."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _line(self, number: int) -> _Line:
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = _Line()
            self._spawn(self._work(number, line))
        return line

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _point(self, number: int | None) -> Point | None:
        return next((point for point in self._world().points if point.id == number), None)

    async def _work(self, number: int, line: _Line) -> None:
        """Deliver what comes, one by one and in order."""
        while True:
            point = self._point(number)
            if not line.letters or line.off or point is None or point.url is None:
                await line.changed.wait()
                line.changed.clear()
                continue
            await self._throttle(point, line)
            if line.off or not line.letters:
                continue
            await self._attempt(point, line, line.letters[0])

    async def _throttle(self, point: Point, line: _Line) -> None:
        """Wait until the point may be called: at most ``requests`` within ``throttling_timeout``."""
        loop = asyncio.get_running_loop()
        while point.throttling and len(line.calls) >= point.requests:
            wait = line.calls[-point.requests] + point.throttling_timeout - loop.time()
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        line.calls.append(loop.time())

    async def _attempt(self, point: Point, line: _Line, letter: Letter) -> None:
        letter.attempts += 1
        try:
            await self._courier.call(point, PUSH, letter.values())
        except UndeliveredError as error:
            await self._failed(point, line, letter, str(error))
            return
        _drop(line, letter)
        letter.move("DELIVERED", "SIM-DELIVERED", "Доставлено", self._clock())
        self.tell(letter)

    async def _failed(self, point: Point, line: _Line, letter: Letter, why: str) -> None:
        now = asyncio.get_running_loop().time()
        line.errors.append(now)
        while line.errors and now - line.errors[0] > point.max_interval:
            line.errors.popleft()
        letter.status = ("SIM-REPEAT", why)
        if letter.attempts > point.repeats:
            _drop(line, letter)
            letter.move("NOT_DELIVERED", "SIM-NOT-DELIVERED", why, self._clock())
            self.tell(letter)
        if len(line.errors) >= point.max_errors:
            line.off = True
            line.switched_off += 1
            for waiting in line.letters:
                waiting.move("DELIVERY_STOPPED", "SIM-STOPPED", why, self._clock())
                self.tell(waiting)
            return
        await asyncio.sleep(point.repeat_delay)

    async def _tell(self, letter: Letter, point: Point) -> None:
        now = self._clock()
        code, message = letter.status
        told = {
            "notification": {
                "notification_id": str(uuid4()),
                "message_id": letter.message_id,
                "notification_date": now,
                "message_state": letter.state,
                "status": {"status_code": code, "status_message": message, "status_date": letter.status_date or now},
            },
            "request_date": now,
            "session_id": session_id(),
        }
        entry = {"message_id": letter.message_id, "state": letter.state, "taken": False}
        self.notified.append(entry)
        try:
            await self._courier.call(point, PUSH_STATUS, told)
        except UndeliveredError as error:
            entry["why"] = str(error)
        else:
            entry["taken"] = True


def _drop(line: _Line, letter: Letter) -> None:
    if letter in line.letters:
        line.letters.remove(letter)
