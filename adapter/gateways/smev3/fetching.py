"""Messages whose attachments are being fetched, beside the polling of their queue.

That may take longer than the gateway waits for an Ack: it then delivers another copy, which has nothing to add.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from adapter.errors import AdapterError
from adapter.gateways.smev3.places import place_of
from adapter.gateways.smev3.reading import UnreadableError
from adapter.gateways.smev3.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from adapter.gateways.smev3.incoming import Attached, Collected, Incoming
    from adapter.gateways.smev3.mtom import Parts

#: Messages at once in one queue of one process; each holds what came beside its envelope.
_AT_ONCE: Final = 16

_log = structlog.get_logger(__name__)


class Fetching:
    """Fetches the attachments of one queue's messages, each message once at a time."""

    def __init__(self, incoming: Incoming) -> None:
        """``incoming`` does the work."""
        self._incoming = incoming
        self._running: set[str] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def begin(
        self,
        group: asyncio.TaskGroup,
        attached: Sequence[Attached],
        parts: Parts,
        message_id: str,
        finish: Callable[[Collected], Awaitable[None]],
    ) -> None:
        """Fetch what is ``attached`` in a task of ``group``, then ``finish`` the message; wait when too much runs."""
        if message_id in self._running:
            _log.info("smev3.copy-joined", message_id=message_id)
            return
        self._running.add(message_id)
        await self._places.acquire()
        group.create_task(self._fetch(attached, parts, message_id, finish), name=f"smev3-files-{message_id}")

    async def _fetch(
        self,
        attached: Sequence[Attached],
        parts: Parts,
        message_id: str,
        finish: Callable[[Collected], Awaitable[None]],
    ) -> None:
        """Fetch and finish; a message that could not be is left with the gateway, which delivers it again."""
        try:
            await finish(await self._incoming.collect(attached, parts, message_id))
        except AdapterError as error:
            _log.warning("smev3.attachments-not-fetched", message_id=message_id, code=error.code)
        except TransportError as failure:
            _log.warning("smev3.attachments-not-fetched", message_id=message_id, code=failure.error.code)
        except UnreadableError as error:
            _log.error("smev3.message-unreadable", message_id=message_id, rule=str(error))
        except Exception as error:  # noqa: BLE001  — a fault of ours must not stop the messages behind it
            _log.error("smev3.turn-failed", message_id=message_id, error=type(error).__name__, where=place_of(error))
        finally:
            self._running.discard(message_id)
            self._places.release()
