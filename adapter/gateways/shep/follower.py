"""Messages that were sent are followed until they are delivered: told by the gateway, or asked for by us.

Where the gateway tells of a message's state (status_notifications), it is only watched: when three minutes are gone and
it is not delivered (rule 15 of order № 104), that is said and it is asked for too. One worker at a time looks at one
message; what was asked and found unchanged is counted, not stored.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from adapter.errors import AdapterError
from adapter.exchange import Accepted, Call, Refused
from adapter.gateways.shep.bringing import STATUS
from adapter.gateways.shep.operations import GET_STATUS
from adapter.gateways.shep.sharing import AwayError, Shared
from adapter.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from adapter.exchange import Answer, Gateway, Sent
    from adapter.gateways.shep.options import Observe
    from adapter.incoming import Arrivals

log = structlog.get_logger(__name__)

#: States after which nothing changes any more.
ENDS: Final = frozenset({"DELIVERED", "NOT_DELIVERED"})
_TAKEN: Final = "ON_DELIVERY"
_FAULT: Final = "FAULT"
#: Rule 15: seconds from the receipt to DELIVERED.
IN_TIME: Final = 180.0
#: What is told to the metrics as a call: the seconds from the receipt to DELIVERED.
DELIVERED: Final = "async.delivered"
#: Seconds between two looks at what is due, of a look's lease, until the first look and at most between two.
_LOOK: Final = 0.5
_LEASE: Final = 180.0
_FIRST: Final = 1.0
_LAST: Final = 60.0
#: Seconds after which a message is given up, and between two removals of what is over.
_LIFE: Final = 7 * 86_400.0
_SWEEP: Final = 3600.0
_AT_ONCE: Final = 20
#: Seconds before the three minutes are over in which a message is asked for whose news have not come.
_BEFORE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Followed:
    """A service whose messages are followed; ``told`` says that the gateway tells of their states."""

    service_id: str
    gateway: str
    told: bool


class ShepFollower:
    """Implements :class:`adapter.incoming.ArrivalSource`."""

    name = "shep-follow"

    def __init__(
        self,
        followed: Sequence[Followed],
        gateways: Mapping[str, Gateway],
        shared: Shared,
        *,
        count: Callable[[str], None],
        observe: Observe,
    ) -> None:
        """``gateways`` are the contours by name; ``count`` and ``observe`` hear what happened."""
        self._followed = {one.service_id: one for one in followed}
        self._gateways = gateways
        self._shared = shared
        self._count = count
        self._observe = observe

    async def run(self, arrivals: Arrivals) -> None:
        """Follow until cancelled."""
        swept = -_SWEEP
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    for row in await self._due():
                        group.create_task(self._turn(arrivals, row))
                    if monotonic() - swept >= _SWEEP:
                        swept = monotonic()
                        await self._shared.fetch("follow_sweep")
                except AwayError:
                    log.debug("shep.follow-waits")
                await asyncio.sleep(_LOOK)

    async def told(self, message_id: str, state: str) -> None:
        """Note what the gateway told by itself; how long a delivery took is measured."""
        try:
            rows = await self._shared.fetch("follow_told", message_id, state, state in ENDS)
        except AwayError:
            log.info("shep.news-not-noted")  # it is asked for when its time is over
            return
        if rows and rows[0]["news"] and state == "DELIVERED":
            self._delivered(rows[0]["age"])

    async def _due(self) -> Sequence[Mapping[str, Any]]:
        services = list(self._followed.values())
        first = [IN_TIME - _BEFORE if one.told else _FIRST for one in services]
        await self._shared.fetch("follow_adopt", [one.service_id for one in services], first, _FIRST)
        return await self._shared.fetch("follow_due", self._shared.worker, _LEASE, _AT_ONCE)

    async def _turn(self, arrivals: Arrivals, row: Mapping[str, Any]) -> None:
        """Look at one message; a defect leaves it to the next look, when its lease has ended."""
        try:
            await self._look(arrivals, row)
        except Exception as error:  # noqa: BLE001 — a fault of ours must not stop those behind it
            log.error("shep.look-failed", error=type(error).__name__)  # noqa: TRY400 — its text may hold values

    async def _look(self, arrivals: Arrivals, row: Mapping[str, Any]) -> None:
        """Tell of a change, then note it."""
        message_id, known, late = row["message_id"], row["state"], row["late"]
        state, told = await self._state(row)
        if row["age"] > IN_TIME and not late and state != "DELIVERED":
            late = True
            log.warning("shep.delivery-late", seconds=round(row["age"]))
            self._count("shep-delivery-late")
        if told is not None and state not in (known, "" if known else _TAKEN):
            await self._tell(arrivals, told)
        if state == "DELIVERED" and known != state:
            self._delivered(row["age"], said=late)
        state = state or known
        looks = 0 if state != known else row["looks"] + 1
        pause: float | None = min(_LAST, _FIRST * 2 ** min(looks, 8))
        if state in ENDS or state == _FAULT:
            pause = None
        elif row["age"] > _LIFE:
            log.warning("shep.follow-given-up")
            self._count("shep-follow-given-up")
            pause = None
        try:
            await self._shared.fetch("follow_seen", message_id, self._shared.worker, state, looks, pause, late)
        except AwayError:
            log.info("shep.look-not-noted")  # its lease ends; what was told is not told again

    async def _state(self, row: Mapping[str, Any]) -> tuple[str, Incoming | None]:
        """Ask for a message's state; '' when there is no answer. The news are told only where they are new."""
        one = self._followed.get(row["service_id"])
        gateway = self._gateways.get(one.gateway) if one else None
        if gateway is None:
            return "", None
        content = orjson.dumps({"message_id": row["message_id"]})
        try:
            prepared = await gateway.prepare(Call(gateway.name, GET_STATUS, content))
        except AdapterError as error:
            log.info("shep.follow-not-asked", code=error.code)
            return "", None
        sent = await gateway.send(prepared, earlier_attempts=0)
        self._count("shep-looks")
        return _news(row, sent)

    async def _tell(self, arrivals: Arrivals, incoming: Incoming) -> None:
        while True:
            try:
                await arrivals.receive(incoming)
            except self._shared.away:
                await asyncio.sleep(_LOOK)
            else:
                return

    def _delivered(self, seconds: float, *, said: bool = False) -> None:
        self._observe(DELIVERED, "ok", seconds, 0, 0)
        if seconds > IN_TIME and not said:
            log.warning("shep.delivery-late", seconds=round(seconds))
            self._count("shep-delivery-late")


def _news(row: Mapping[str, Any], sent: Sent) -> tuple[str, Incoming | None]:
    """Return the state that an answer tells, and the news it is; a refusal is the end of it."""
    answer: Answer | None = sent.answer if isinstance(sent, Accepted) else None
    if answer is not None:
        values = orjson.loads(answer.content)
        state = str(values.get("message_state") or "")
        facts = {"message_id": row["message_id"], "message_state": state, "status": values.get("status") or {}}
        facts["signature"] = str(answer.verdicts[0].get("signature", "none")) if answer.verdicts else "none"
        return state, _told(row, state, answer.raw, facts, answer.verdicts)
    if isinstance(sent, Refused):
        wire = sent.error.to_wire()
        error = {"error_code": wire["error_code"], "error_message": wire["description"], **wire.get("details", {})}
        return _FAULT, _told(
            row, _FAULT, sent.raw, {"message_id": row["message_id"], "error": error, "signature": "none"}, ()
        )
    return "", None


def _told(
    row: Mapping[str, Any], state: str, raw: bytes, facts: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]
) -> Incoming:
    """Return news of a message; a look that is taken twice tells them once."""
    return Incoming(
        source="shep",
        key=f"{STATUS}:followed:{row['service_id']}:{row['message_id']}:{row['changes'] + 1}:{state}",
        action=STATUS,
        raw=raw,
        subject=row["message_id"],
        facts={"sender_id": "", **facts},
        verdicts=verdicts,
    )
