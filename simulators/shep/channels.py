"""What the gateway does with a message that passed its gate: the five operations that it has itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adapter.gateways.shep.operations import SYNC_SEND
from simulators.shep.courier import UndeliveredError, provider_refused
from simulators.shep.letters import Letter
from simulators.shep.refusals import RefusedError, session_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from simulators.shep.courier import Courier
    from simulators.shep.delivery import Deliveries
    from simulators.shep.gate import Arrival
    from simulators.shep.letters import Letters
    from simulators.shep.world import Party, Point, Service, World

#: Messages of one selection when its amount is absent or 0.
SELECTION = 10


class Channels:
    """Both channels of all contours over one set of messages."""

    def __init__(
        self,
        world: Callable[[], World],
        letters: Letters,
        deliveries: Deliveries,
        courier: Courier,
        clock: Callable[[], datetime],
    ) -> None:
        """``world`` tells what is registered now."""
        self._world = world
        self._letters = letters
        self._deliveries = deliveries
        self._courier = courier
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: Mapping[str, Callable[[Arrival], Awaitable[dict[str, Any]]]] = {
            "SendMessage": self._ask,
            "sendMessage": self._send,
            "sendDeliveryNotification": self._notify,
            "getMessageStatus": self._status,
            "getMessages": self._fetch,
        }

    async def perform(self, arrival: Arrival) -> dict[str, Any]:
        """Return the fields of the operation's answer. Raises RefusedError."""
        return await self._operations[arrival.operation.name](arrival)

    async def close(self) -> None:
        """End answers that are put off."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def send_as(self, party: Party, service: Service, info: Mapping[str, Any], data: Any) -> Letter:
        """Take a message as if ``party`` had sent it. Raises RefusedError."""
        is_request = info["message_type"] == "REQUEST"
        begun = None if is_request else self._letters.chain(info["correlation_id"], service.service_id)
        if not is_request and begun is None:
            raise RefusedError("SIM-CORRELATION", side="Client")
        if begun is None:
            recipient = service.owner if party.sender_id != service.owner else next(iter(service.users), service.owner)
        else:
            recipient = begun.sender_id if party.sender_id != begun.sender_id else begun.recipient
        letter = Letter(
            message_id=self._letters.next_message(),
            correlation_id=self._letters.next_chain() if begun is None else begun.correlation_id,
            service_id=service.service_id,
            contour=service.contour,
            message_type=info["message_type"],
            sender_id=party.sender_id,
            recipient=recipient,
            message_date=info.get("message_date") or self._clock(),
            data=data,
            route_id=info.get("route_id"),
            properties=list(info.get("properties") or []),
            status_date=self._clock(),
        )
        self._letters.put(letter)
        self._hand_over(letter, service)
        return letter

    async def ask_as(self, party: Party, service: Service, data: Any, route_id: str | None = None) -> dict[str, Any]:
        """Ask the provider of a synchronous service as if ``party`` had. Raises RefusedError."""
        point = self._point(service.routes.get(route_id or "", service.point))
        message_id = str(uuid4())
        if point is None or point.url is None:
            return _echo(message_id, data, self._clock())
        info = {
            "message_id": message_id,
            "service_id": service.service_id,
            "message_date": self._clock(),
            "route_id": route_id,
            "sender": {"sender_id": party.sender_id},
            "session_id": session_id(),
        }
        values = {"request_info": info, "request_data": {"data": data}}
        try:
            answer = await self._courier.call(point, SYNC_SEND, values)
        except UndeliveredError as error:
            raise provider_refused(error) from None
        found = dict(answer.values)
        found["response_info"] = {**found["response_info"], "session_id": info["session_id"]}
        return found

    async def _ask(self, arrival: Arrival) -> dict[str, Any]:
        info = arrival.values["request_info"]
        data = arrival.values.get("request_data", {}).get("data")
        return await self.ask_as(arrival.party, arrival.service, data, info.get("route_id"))

    async def _send(self, arrival: Arrival) -> dict[str, Any]:
        info = arrival.values["message_info"]
        letter = self.send_as(arrival.party, arrival.service, info, arrival.values["message_data"].get("data"))
        return {
            "message_id": letter.message_id,
            "correlation_id": letter.correlation_id,
            "response_date": self._clock(),
            "session_id": letter.session_id,
        }

    async def _notify(self, arrival: Arrival) -> dict[str, Any]:
        told = arrival.values["notification"]
        letter = self._letters.received_by(told["message_id"], arrival.party.sender_id)
        if letter.service_id != told["service_id"]:
            raise RefusedError("SIM-MESSAGE", side="Client")
        status = told["delivery_status"]
        letter.notification = {
            "receive_status": status["receive_status"],
            "resend_message": status["resend_message"],
            "error_code": (status.get("error") or {}).get("error_code"),
        }
        if status["receive_status"] == "MESSAGE_ACCEPTED":
            letter.move("DELIVERED", "SIM-CONFIRMED", "Принято получателем", self._clock())
        elif status["resend_message"] == "RESEND" and letter.point is not None:
            letter.move("ON_DELIVERY", "SIM-RESEND", "Отправляется повторно", self._clock())
            self._deliveries.put(letter)
        else:
            letter.move("NOT_DELIVERED", "SIM-NOT-TAKEN", "Не принято получателем", self._clock())
        self._deliveries.tell(letter)
        return {"notification_id": str(uuid4()), "response_date": self._clock(), "session_id": letter.session_id}

    async def _status(self, arrival: Arrival) -> dict[str, Any]:
        letter = self._letters.sent_by(arrival.values["message_id"], arrival.party.sender_id)
        code, message = letter.status
        now = self._clock()
        return {
            "message_state": letter.state,
            "status": {"status_code": code, "status_message": message, "status_date": letter.status_date or now},
            "response_date": now,
            "session_id": letter.session_id,
        }

    async def _fetch(self, arrival: Arrival) -> dict[str, Any]:
        wanted, service = arrival.values, arrival.service
        found = self._letters.waiting(arrival.party.sender_id, service.service_id)
        if wanted.get("message_id"):
            letter = self._letters.received_by(wanted["message_id"], arrival.party.sender_id)
            found = [letter] if letter.service_id == service.service_id else []
        elif wanted.get("correlation_id"):
            found = [letter for letter in found if letter.correlation_id == wanted["correlation_id"]]
        else:
            found = [letter for letter in found if letter.state != "DELIVERED" or service.pull_again]
            found = [letter for letter in found if letter.notification is None]
        found = found[: wanted.get("amount") or SELECTION]
        for letter in found:
            letter.fetched += 1
            if letter.state != "DELIVERED":
                letter.move("DELIVERED", "SIM-FETCHED", "Получено", self._clock())
                self._deliveries.tell(letter)
        messages = [letter.values() for letter in found]
        return {"response_date": self._clock(), "session_id": session_id(), "messages": messages}

    def _hand_over(self, letter: Letter, service: Service) -> None:
        """Deliver, keep for fetching, or let the simulated owner take it."""
        party = self._world().party(letter.recipient)
        number = None if party is None else party.point
        if letter.recipient == service.owner and letter.message_type == "REQUEST":
            number = service.routes.get(letter.route_id or "", service.point) if number is None else number
        point = self._point(number)
        if point is None or service.delivery == "PULL":
            return
        if point.url is None:
            letter.move("DELIVERED", "SIM-DELIVERED", "Доставлено", self._clock())
            self._deliveries.tell(letter)
            self._answer_later(letter, service)
            return
        letter.point = point.id
        self._deliveries.put(letter)

    def _answer_later(self, letter: Letter, service: Service) -> None:
        if service.answers and letter.message_type == "REQUEST":
            task = asyncio.get_running_loop().create_task(self._answer(letter, service))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, letter: Letter, service: Service) -> None:
        await asyncio.sleep(service.answer_delay)
        owner = self._world().party(service.owner)
        if owner is not None:
            info = {"message_type": "RESPONSE", "correlation_id": letter.correlation_id}
            self.send_as(owner, service, info, letter.data)

    def _point(self, number: int | None) -> Point | None:
        return next((point for point in self._world().points if point.id == number), None)


def _echo(message_id: str, data: Any, now: datetime) -> dict[str, Any]:
    """Return the answer of a simulated provider: what it was asked."""
    return {
        "response_info": {
            "message_id": message_id,
            "response_date": now,
            "status": {"code": "SCSS001", "message": "Message has been processed successfully"},
            "session_id": session_id(),
        },
        "response_data": {"data": data},
    }
