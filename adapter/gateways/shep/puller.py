"""PULL: messages that wait at the gateway are fetched, each service by its own interval and by one worker at a time.

The gateway has no word for what was fetched: what it keeps after getMessages is not known. So what came is made durable
before anything else, however long the journal is away, and is recognised when it comes again.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from adapter.errors import AdapterError
from adapter.exchange import Accepted, Call
from adapter.gateways.shep.bringing import identity, message, rule_broken
from adapter.gateways.shep.operations import GET_MESSAGES
from adapter.gateways.shep.sharing import AwayError, Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from adapter.exchange import Answer, Gateway
    from adapter.incoming import Arrivals, Incoming

log = structlog.get_logger(__name__)

#: Seconds between two looks at whose turn it is, and that a call may take with all that it brings.
_LOOK: Final = 0.5
_LEASE: Final = 180.0
#: Seconds between two attempts to make durable what was fetched.
_AGAIN: Final = 0.5
#: Bytes of an answer that is kept whole with each of its messages; of a larger one each keeps its own fields.
_WHOLE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Pulled:
    """How one service is fetched: every ``interval`` seconds, at most ``amount`` messages (0: what the gateway gives).

    ``asleep`` says that the gateway delivers it: it is fetched only while its delivery point is switched off.
    """

    service_id: str
    gateway: str
    interval: float
    amount: int = 0
    asleep: bool = False


class ShepPuller:
    """Implements :class:`adapter.incoming.ArrivalSource`."""

    name = "shep-pull"

    def __init__(
        self, pulled: Sequence[Pulled], gateways: Mapping[str, Gateway], shared: Shared, count: Callable[[str], None]
    ) -> None:
        """``gateways`` are the contours by name; ``count`` hears what happened."""
        self._pulled = {one.service_id: one for one in pulled}
        self._gateways = gateways
        self._shared = shared
        self._count = count

    async def run(self, arrivals: Arrivals) -> None:
        """Fetch whatever is due until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    due = await self._due()
                except AwayError:
                    due = []
                for service_id in due:
                    group.create_task(self._turn(arrivals, self._pulled[service_id]))
                await asyncio.sleep(_LOOK)

    async def _due(self) -> list[str]:
        services = list(self._pulled.values())
        rows = await self._shared.fetch(
            "pull_due",
            self._shared.worker,
            [one.service_id for one in services],
            [one.interval for one in services],
            _LEASE,
            [one.asleep for one in services],
        )
        return [row["service_id"] for row in rows]

    async def _turn(self, arrivals: Arrivals, one: Pulled) -> None:
        """Fetch once; whatever came is durable at the end."""
        try:
            answer = await self._fetch(one)
            if answer is not None:
                await self._keep(arrivals, one, answer)
            await self._shared.fetch("pull_done", one.service_id, self._shared.worker)
        except AwayError:
            log.warning("shep.pull-lease-kept")
        except Exception as error:  # noqa: BLE001 — a fault of ours must not stop the other services
            log.error("shep.pull-failed", error=type(error).__name__)  # noqa: TRY400 — its text may hold values

    async def _fetch(self, one: Pulled) -> Answer | None:
        """Ask for messages; ``None`` when there is no answer: nothing is ready, or the gateway is away."""
        content: dict[str, Any] = {"service_id": one.service_id}
        if one.amount:
            content["amount"] = one.amount
        gateway = self._gateways[one.gateway]
        try:
            prepared = await gateway.prepare(Call(one.gateway, GET_MESSAGES, orjson.dumps(content)))
        except AdapterError as error:
            log.warning("shep.pull-not-asked", code=error.code)
            self._count("shep-pull-failed")
            return None
        sent = await gateway.send(prepared, earlier_attempts=0)
        if isinstance(sent, Accepted):
            self._count("shep-pulls")
            return sent.answer
        log.info("shep.pull-waits", code=sent.error.code, retry_in=one.interval)
        self._count("shep-pull-waits")
        return None

    async def _keep(self, arrivals: Arrivals, one: Pulled, answer: Answer) -> None:
        """Journal every message of an answer, each once."""
        for incoming in _messages(one, answer):
            while True:
                try:
                    await arrivals.receive(incoming)
                except self._shared.away:
                    await asyncio.sleep(_AGAIN)
                else:
                    self._count("shep-pulled")
                    break


def _messages(one: Pulled, answer: Answer) -> list[Incoming]:
    """Return what was fetched, in the gateway's order; what nobody can tell the meaning of is for a person."""
    told = orjson.loads(answer.content)
    found = []
    for item in told.get("messages") or []:
        info = {"service_id": one.service_id, **(item.get("message_info") or {})}
        broken = rule_broken(info)
        raw = answer.raw if len(answer.raw) <= _WHOLE else orjson.dumps(item)
        signature = str(answer.verdicts[0].get("signature", "none")) if answer.verdicts else "none"
        made = message(
            info,
            (item.get("message_data") or {}).get("data"),
            raw,
            signature=signature,
            verdicts=answer.verdicts,
            unreadable=broken,
        )
        if broken and not info.get("message_id"):
            digest = hashlib.sha256(orjson.dumps(item)).hexdigest()
            made = replace(made, key=identity(one.service_id, digest))
        found.append(made)
    return found
