"""Messages of the asynchronous channel, and what the gateway knows of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from adapter.gateways.shep.data import BusinessData, Form
from simulators.shep.refusals import RefusedError, session_id

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class Letter:
    """A message on its way. ``recipient`` is a sender_id; ``point`` where it is delivered, ``None`` for PULL."""

    message_id: str
    correlation_id: str
    service_id: str
    contour: str
    message_type: str
    sender_id: str
    recipient: str
    message_date: datetime
    data: BusinessData | None
    route_id: str | None = None
    properties: list[dict[str, str]] = field(default_factory=list)
    point: int | None = None
    session_id: str = field(default_factory=session_id)
    state: str = "ON_DELIVERY"
    status: tuple[str, str] = ("SIM-ACCEPTED", "Принято шлюзом")
    status_date: datetime | None = None
    attempts: int = 0
    fetched: int = 0
    notification: dict[str, Any] | None = None

    def values(self) -> dict[str, Any]:
        """Return the fields that its receiver reads; nobody is told another's password."""
        return {
            "message_info": {
                "message_id": self.message_id,
                "correlation_id": self.correlation_id,
                "service_id": self.service_id,
                "message_type": self.message_type,
                "route_id": self.route_id,
                "message_date": self.message_date,
                "sender": {"sender_id": self.sender_id},
                "properties": self.properties,
                "session_id": self.session_id,
            },
            "message_data": {"data": BusinessData(Form.TEXT, b"") if self.data is None else self.data},
        }

    def move(self, state: str, code: str, message: str, now: datetime) -> None:
        """Change the state."""
        self.state, self.status, self.status_date = state, (code, message), now

    def summary(self) -> dict[str, Any]:
        """Return what ``/_sim/messages`` shows."""
        return {
            "message_id": self.message_id,
            "correlation_id": self.correlation_id,
            "service_id": self.service_id,
            "message_type": self.message_type,
            "sender_id": self.sender_id,
            "recipient": self.recipient,
            "state": self.state,
            "status": self.status[0],
            "attempts": self.attempts,
            "fetched": self.fetched,
            "data": None if self.data is None else self.data.to_json(),
            "delivery_notification": self.notification,
        }


class Letters:
    """Every message, by its id; ids are numbers written as text, like the real gateway's."""

    def __init__(self, first: int = 216_386_080) -> None:
        """Start with none; ``first`` is the first number of messages and chains, which no gateway ever gives again."""
        self._messages = count(first)
        self._chains = count(first // 4)
        self._all: dict[str, Letter] = {}

    def next_message(self) -> str:
        """Return a new messageId."""
        return str(next(self._messages))

    def next_chain(self) -> str:
        """Return a new correlationId."""
        return str(next(self._chains))

    def forget(self) -> None:
        """Forget every message; ids go on, as the real gateway's do."""
        self._all.clear()

    def put(self, letter: Letter) -> None:
        """Keep a message."""
        self._all[letter.message_id] = letter

    def all(self) -> list[Letter]:
        """Return every message, the oldest first."""
        return list(self._all.values())

    def chain(self, correlation_id: str, service_id: str) -> Letter | None:
        """Return the message that began a chain."""
        wanted = (correlation_id, service_id)
        return next((found for found in self._all.values() if (found.correlation_id, found.service_id) == wanted), None)

    def sent_by(self, message_id: str, sender_id: str) -> Letter:
        """Return a message of its sender. Raises RefusedError for an unknown one and for somebody else's."""
        found = self._all.get(message_id)
        if found is None or found.sender_id != sender_id:
            raise RefusedError("SIM-MESSAGE", side="Client")
        return found

    def received_by(self, message_id: str, recipient: str) -> Letter:
        """Return a message of its receiver. Raises RefusedError for an unknown one and for somebody else's."""
        found = self._all.get(message_id)
        if found is None or found.recipient != recipient:
            raise RefusedError("SIM-MESSAGE", side="Client")
        return found

    def waiting(self, recipient: str, service_id: str) -> list[Letter]:
        """Return what a receiver may fetch of a service, the oldest first."""
        return [found for found in self._all.values() if (found.recipient, found.service_id) == (recipient, service_id)]
