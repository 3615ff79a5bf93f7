"""The gate: what every message is checked for before an operation sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapter.gateways.shep.calls import service_of
from adapter.gateways.shep.messages import SEALED, MessageError, read
from simulators.shep.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from adapter.gateways.shep.messages import Message
    from adapter.gateways.shep.operations import Operation
    from simulators.shep.desk import SignatureDesk
    from simulators.shep.letters import Letters
    from simulators.shep.world import Party, Service, World

#: Operations by channel and where each has the login.
_HOLDERS: Mapping[str, Mapping[str, str]] = {
    "sync": {"SendMessage": "request_info"},
    "async": {
        "sendMessage": "message_info",
        "sendDeliveryNotification": "",
        "getMessageStatus": "",
        "getMessages": "",
    },
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that passed the gate; ``service`` is ``None`` for GetMessageStatus of an unknown message."""

    operation: Operation
    values: Mapping[str, Any]
    party: Party
    service: Service


def opened(raw: bytes, channel: str, desk: SignatureDesk) -> tuple[Message, bool]:
    """Return a request of ``channel``, and whether it was encrypted.

    Raises RefusedError, without an ErrorInfo, for what is none.
    """
    try:
        message = read(raw)
    except MessageError as error:
        raise RefusedError("", f"Unmarshalling Error: {error.rule}", side="Client") from None
    sealed = message.part == SEALED
    if sealed:
        message = desk.unsealed(message)
    if message.operation is None or message.part != "request" or message.operation.name not in _HOLDERS[channel]:
        raise RefusedError("", "Операции нет на этом канале", side="Client")
    if message.warnings:
        raise RefusedError("", f"Unmarshalling Error: {message.warnings[0]}", side="Client")
    return message, sealed


class Gate:
    """Checks messages of one contour: login, service, user, route, ids, signature."""

    def __init__(self, contour: str, world: Callable[[], World], letters: Letters, desk: SignatureDesk) -> None:
        """``world`` tells what is registered now."""
        self._contour = contour
        self._world = world
        self._letters = letters
        self._desk = desk

    def admit(self, message: Message, channel: str, now: datetime, *, sealed: bool = False) -> Arrival:
        """Return the message as an arrival. Raises RefusedError."""
        operation = message.operation
        assert operation is not None  # noqa: S101  — opened() gave it; this tells the type checker
        holder = _HOLDERS[channel][operation.name]
        party = self._party(message.values.get(holder, {}) if holder else message.values)
        service = self._service(message.values, party, channel)
        if sealed != service.encrypted and service_of(message.values) is not None:
            raise RefusedError("SIM-CIPHER", side="Client")
        if service.security == 2:
            self._desk.check(message.raw, party.bin, now)
        if operation.name in {"SendMessage", "sendMessage"}:
            self._check_route(message.values[holder], service)
        if operation.name == "sendMessage":
            self._check_chain(message.values[holder], party)
        return Arrival(operation, message.values, party, service)

    def _party(self, holder: Mapping[str, Any]) -> Party:
        sender = holder.get("sender") or {}
        party = self._world().party(sender.get("sender_id", ""))
        if party is None:
            raise RefusedError("SIM-SENDER", side="Client")
        if sender.get("password") != party.password:
            raise RefusedError("SIM-PASSWORD", side="Client")
        return party

    def _service(self, values: Mapping[str, Any], party: Party, channel: str) -> Service:
        service_id = service_of(values)
        if service_id is None:
            service_id = self._letters.sent_by(values["message_id"], party.sender_id).service_id
        service = self._world().service(service_id, self._contour)
        if service is None:
            raise RefusedError("SIM-SERVICE", side="Client")
        if service.mode != channel:
            raise RefusedError("SIM-MODE", side="Client")
        if party.sender_id not in {service.owner, *service.users}:
            raise RefusedError("SIM-USER", side="Client")
        return service

    def _check_route(self, info: Mapping[str, Any], service: Service) -> None:
        """A routed service needs a route of its own; another one takes none."""
        route = info.get("route_id")
        if (route or service.routes) and route not in service.routes and info.get("message_type") in {None, "REQUEST"}:
            raise RefusedError("SIM-ROUTE", side="Client")

    def _check_chain(self, info: Mapping[str, Any], party: Party) -> None:
        if info["message_type"] == "REQUEST":
            if info.get("message_id") or info.get("correlation_id"):
                raise RefusedError("SIM-MESSAGE-ID", side="Client")
            return
        if info.get("message_id"):
            raise RefusedError("SIM-MESSAGE-ID", side="Client")
        begun = self._letters.chain(info.get("correlation_id") or "", info["service_id"])
        if begun is None:
            raise RefusedError("SIM-CORRELATION", side="Client")
        if party.sender_id not in {begun.sender_id, begun.recipient}:
            raise RefusedError("SIM-MESSAGE", side="Client")
