"""What the ШЭП brings: messages and news of ours, told with the ids of the command they belong to; what is asked of us.

The content of each is its business data as JSON; what the gateway said beside them are its facts. Where the registry
wants it, the gateway is told that a message was taken once the broker has confirmed the event that tells of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.errors import Code, KnownError
from adapter.exchange import Event
from adapter.incoming import Done, Incoming, Match
from adapter.services.shep_common import called, registry_of
from adapter.shep_chains import MESSAGE as NUMBER
from adapter.shep_chains import SEND_ANSWERED, SENDS, chain, room

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from adapter.exchange import Answer, Call
    from adapter.incoming import Owner, Provider
    from adapter.settings.shep_registry import ShepRegistry

MESSAGE: Final = "shep.message"
STATUS: Final = "shep.status"
REQUEST: Final = "shep.sync"
NOTICE: Final = "shep.notice"
_LISTEN: Final = "SHEP_LISTEN"
#: Rule 15 of order № 104 gives a synchronous exchange one minute; the rest of it is the way back.
PATIENCE: Final = timedelta(seconds=50)
_ACCEPTED: Final = {"receive_status": "MESSAGE_ACCEPTED", "resend_message": "NOT_RESEND"}


class _Told:
    """A message that becomes one event."""

    action: str
    title: str
    gateway = "shep"
    deadline = timedelta(days=1)
    provides: Sequence[tuple[str, str]] = ()
    events: Sequence[str] = ()

    def subject(self, incoming: Incoming) -> str:
        """Return what the endpoint said."""
        return incoming.subject

    def proceed(self, incoming: Incoming, answer: Answer) -> Done:  # noqa: ARG002  — it makes no call
        """Have nothing to proceed from."""
        raise KnownError(Code.INTERNAL)

    def _event(self, incoming: Incoming, owner: Owner | None = None) -> Event:
        """Return the event: what the gateway said, and the business data."""
        body: dict[str, Any] = dict(incoming.facts)
        if incoming.content:
            body["data"] = orjson.loads(incoming.content)
        if owner is not None and owner.assumed:
            body["assumed"] = True
        return Event(self.events[0], body)


class Messages(_Told):
    """Messages that the gateway delivers: a request of others, or a later message of a chain of ours."""

    action = MESSAGE
    title = "Сообщения, доставленные ШЭП"
    events: Sequence[str] = ("shep.message.received",)

    def __init__(self, registry: ShepRegistry) -> None:
        """``registry`` says of which services the gateway is told that a message was taken."""
        self._registry = registry

    def begin(self, incoming: Incoming) -> Done | Match:
        """Tell of a request; ask whose any other message is."""
        facts = incoming.facts
        service_id, number = str(facts.get("service_id", "")), str(facts.get("correlation_id") or "")
        if facts.get("message_type") == "REQUEST" or not number:
            return self.matched(incoming, None)
        return Match(number, chain(service_id), SENDS, room(service_id))

    def matched(self, incoming: Incoming, owner: Owner | None) -> Done:
        """Tell of the message; a RESPONSE is what a command that waits for its business answer waits for."""
        is_answer = incoming.facts.get("message_type") == "RESPONSE"
        answers = is_answer and owner is not None and owner.operation == SEND_ANSWERED
        return Done([self._event(incoming, owner)], to=owner, answers=answers, then=self._notice(incoming))

    def _notice(self, incoming: Incoming) -> Incoming | None:
        """Return what tells the gateway that the message was taken, where it wants to hear that from us."""
        service_id, message_id = str(incoming.facts.get("service_id", "")), str(incoming.facts.get("message_id", ""))
        service = self._registry.service(service_id)
        if service is None or not service.notifies:
            return None
        facts = {"service_id": service_id, "message_id": message_id}
        key = f"{NOTICE}:{service_id}:{message_id}"
        return Incoming(source="shep", key=key, action=NOTICE, raw=b"", subject=message_id, facts=facts)


class Notices:
    """Delivery notifications that the adapter sends by itself: nobody brought them and nobody waits for them."""

    action = NOTICE
    title = "Уведомления ШЭП о доставке"
    gateway = "shep"
    deadline = timedelta(days=1)
    provides: Sequence[tuple[str, str]] = ()
    events: Sequence[str] = ()

    def __init__(self, registry: ShepRegistry) -> None:
        """``registry`` says in which contour a service is."""
        self._registry = registry

    def subject(self, incoming: Incoming) -> str:
        """Return the message's number."""
        return incoming.subject

    def begin(self, incoming: Incoming) -> Call:
        """Return the notification. Raises KnownError for a service that is registered no more."""
        service = self._registry.service(str(incoming.facts["service_id"]))
        if service is None:
            raise KnownError(Code.UNKNOWN_ACTION)
        notification = {
            "message_id": incoming.facts["message_id"],
            "service_id": service.key,
            "delivery_status": dict(_ACCEPTED),
        }
        return called(service.gateway, "async.sendDeliveryNotification", {"notification": notification})

    def proceed(self, incoming: Incoming, answer: Answer) -> Done:  # noqa: ARG002  — the gateway took it
        """Have it done."""
        return Done()


class Statuses(_Told):
    """News of messages that were sent: told with the ids of their commands."""

    action = STATUS
    title = "Уведомления ШЭП об изменении статусов"
    events: Sequence[str] = ("shep.status.changed",)

    def begin(self, incoming: Incoming) -> Match:
        """Ask whose message it is."""
        return Match(str(incoming.facts.get("message_id", "")), NUMBER, SENDS)

    def matched(self, incoming: Incoming, owner: Owner | None) -> Done:
        """Tell of the news."""
        return Done([self._event(incoming)], to=owner)


class Requests(_Told):
    """Synchronous requests: whoever asks waits."""

    action = REQUEST
    title = "Синхронные запросы через ШЭП"
    events: Sequence[str] = ("shep.sync.requested",)
    deadline = PATIENCE

    def begin(self, incoming: Incoming) -> Done:
        """Tell of the request."""
        return Done([self._event(incoming)])


def make_all(environment: Mapping[str, str]) -> Sequence[Any]:  # noqa: ARG001  — the registry of modules calls it
    """Return no service: what is here begins at the gateway."""
    return ()


def make_providers(environment: Mapping[str, str], actions: Collection[str]) -> Sequence[Provider]:
    """Return who takes what comes in: by the listener, by fetching, or by asking what became of a message."""
    registry = registry_of(environment)
    if not registry.services or not any(action.startswith("shep.") for action in actions):
        return ()
    listening = environment.get(_LISTEN, "").strip().lower() not in {"", "off"}
    found: list[Provider] = [Requests()] if listening else []
    if listening or any(service.is_async for service in registry.services):
        found += [Messages(registry), Statuses(), Notices(registry)]
    return found
