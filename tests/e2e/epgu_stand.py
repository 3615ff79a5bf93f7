"""An upstream system that sends applications to ЕПГУ, with the journal and the portal's side door at hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp
    import asyncpg


PREFIX = "applications."
META = {"service_code": "10000000113", "target_code": "-10000000113", "region": "36000000000"}
HEAD, ATTORNEY = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
#: The system and the head of its organisation, as the simulator's fixtures have them.
OWNER = {"client_id": "MNEMONIKA", "oid": "1000000101"}


@dataclass(frozen=True)
class Ground:
    """What stands still between tests: the variables of the adapter, and where the portal is."""

    environment: dict[str, str]
    portal: str
    files: Path


@dataclass
class Applicant:
    """An upstream system, the journal it cannot see, and the portal's side door."""

    channel: aio_pika.abc.AbstractChannel
    queue: aio_pika.abc.AbstractQueue
    side: aiohttp.ClientSession
    journal: asyncpg.Connection
    environment: dict[str, str]
    files: Path
    replies: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = field(default_factory=asyncio.Queue)

    async def ask(
        self, action: str, body: Any, headers: dict[str, Any] | None = None, message_id: str = ""
    ) -> dict[str, Any]:
        """Publish a command and return what its reply says."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        message_id = message_id or str(uuid4())
        message = aio_pika.Message(raw, message_id=message_id, reply_to=self.queue.name, headers=headers or {})
        await self.channel.default_exchange.publish(message, PREFIX + action, timeout=10)
        while True:
            reply = await asyncio.wait_for(self.replies.get(), 40)
            if reply.correlation_id == message_id:
                outcome: dict[str, Any] = json.loads(reply.body)
                return outcome

    async def result(self, action: str, body: Any, **more: Any) -> Any:
        outcome = await self.ask(action, body, **more)
        assert "result" in outcome, outcome
        return outcome["result"]

    async def refusal(self, action: str, body: Any, **more: Any) -> dict[str, Any]:
        outcome = await self.ask(action, body, **more)
        assert "error" in outcome, outcome
        error: dict[str, Any] = outcome["error"]
        return error

    async def calls(self, message_id: str) -> list[dict[str, Any]]:
        """Return what was journaled of the calls of one command, oldest first."""
        rows = await self.journal.fetch(
            "select p.data from proof p join incoming i on i.id = p.exchange_id where i.message_id = $1"
            " and p.kind in ('answer', 'refused', 'retry', 'unanswered') and p.data is not null order by p.at",
            message_id,
        )
        return [json.loads(line) for row in rows for line in row["data"].splitlines()]

    async def tell(self, path: str, body: Any) -> None:
        async with self.side.post(f"/_sim/{path}", json=body) as answer:
            assert answer.ok, await answer.text()

    async def ledger(self, operation: str, order_id: int | None = None) -> list[dict[str, Any]]:
        query = {"operation": operation} | ({"order_id": str(order_id)} if order_id else {})
        async with self.side.get("/_sim/ledger", params=query) as answer:
            lines: list[dict[str, Any]] = await answer.json()
            return lines
