"""The personal account of ЕПГУ: a citizen's orders, what the agency says of them, and the correspondence.

It follows what passes through СМЭВ3: an order that was acknowledged is in status 2; the agency's answer in its own вид
сведений and its events set further statuses, and the latest one is the account's line. A citizen may write and cancel
only when the latest status says so. What an agency answers to a citizen's message («ОК») is not shown. Codes of
eventServiceResponse but 0 are this simulator's own: 1, there is no such order.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from lxml import etree

from adapter.xml.parser import parse
from simulators.smev3.incoming import Incoming
from simulators.smev3.queues import Party
from simulators.smev3.registry import Document, InformationType

if TYPE_CHECKING:
    from simulators.smev3.incoming import Postbox
    from simulators.smev3.office import Office

EVENTS: Final = "http://epgu.gosuslugi.ru/lk/order/event/3.1.1"
LONGEST_TEXT: Final = 2048
_PARTY: Final = Party("EPGU", "ЕПГУ (имитатор)")
#: Numbers begin anywhere: those of an earlier run may still stand in somebody's journal.
_FIRST_ORDER: Final = 1_000_000_000
_NO_ORDER: Final = {"code": 1, "message": "Заявление не найдено (имитатор)"}


class NotAllowedError(Exception):
    """The account does not let the citizen do this now."""


@dataclass(frozen=True, slots=True)
class Status:
    """One line of an order's history; ``rank`` puts the account's own statuses before the agency's."""

    code: str
    at: datetime
    rank: int = 2
    comment: str = ""
    cancel_allowed: bool = False
    send_message_allowed: bool = False


@dataclass(slots=True)
class Order:
    """An order, with what its citizen wrote and what the agency said by events."""

    order_id: int
    message_id: str
    namespace: str
    root: str
    sent_at: datetime
    written: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[datetime, Document]] = field(default_factory=list)


class Account:
    """Every order of every citizen; answers events of agencies (:class:`simulators.smev3.registry.Provider`)."""

    def __init__(self) -> None:
        """Nothing was ordered yet; :meth:`connect` comes before the first order."""
        self._orders: dict[int, Order] = {}
        self._numbers = count(_FIRST_ORDER + secrets.randbelow(_FIRST_ORDER))

    def connect(self, office: Office, postbox: Postbox) -> None:
        """Watch what passes through ``office``, send by ``postbox``."""
        self._office = office
        self._postbox = postbox

    def information_type(self) -> InformationType:
        """Return the registry entry of events."""
        return InformationType(EVENTS, "eventServiceRequest", "eventServiceResponse", _PARTY, self)

    def reset(self) -> None:
        """Forget every order."""
        self._orders.clear()

    def read(self, root: etree._Element) -> Document:
        """Return an event: its name, its fields, and the texts beside it."""
        event = root.find(f"{{{EVENTS}}}event")
        assert event is not None  # noqa: S101  — the schema demands it
        return {
            "order_id": int(root.findtext(f"{{{EVENTS}}}orderId", "0")),
            "date": root.findtext(f"{{{EVENTS}}}eventDate"),
            "comment": root.findtext(f"{{{EVENTS}}}eventComment"),
            "author": root.findtext(f"{{{EVENTS}}}eventAuthor"),
            "event": etree.QName(event[0]).localname,
            "fields": {etree.QName(leaf).localname: leaf.text or "" for leaf in event[0].iter() if not len(leaf)},
        }

    def handle(self, message: Document, now: datetime, *, test: bool) -> Document:
        """Take an event, and return code and message; a ``test`` message changes nothing."""
        order = self._orders.get(message["order_id"])
        if order is None:
            return dict(_NO_ORDER)
        if not test:
            order.events.append((now, message))
        return {"code": 0, "message": "OK"}

    def write(self, answer: Document) -> bytes:
        """Return eventServiceResponse."""
        return (
            f'<ns:eventServiceResponse xmlns:ns="{EVENTS}"><ns:code>{answer["code"]}</ns:code>'
            f"<ns:message>{escape(answer['message'])}</ns:message></ns:eventServiceResponse>"
        ).encode()

    def order(self, namespace: str, root: str, content: str, now: datetime) -> Order:
        """Send an order; ``content`` are XML elements beside its number, in ``namespace`` by the prefix ``t``."""
        order_id = next(self._numbers)
        inner = f"<t:order><t:orderId>{order_id}</t:orderId>{content}</t:order>"
        message_id = self._send(namespace, root, inner, now)
        made = self._orders[order_id] = Order(order_id, message_id, namespace, root, now)
        return made

    def say(self, order_id: int, text: str, now: datetime) -> str:
        """Write to the agency; returns the MessageID. Raises KeyError, NotAllowedError."""
        order = self._orders[order_id]
        if not self.statuses(order)[-1].send_message_allowed:
            raise NotAllowedError("the latest status does not allow messages")
        inner = f"<t:textRequest><t:orderId>{order_id}</t:orderId><t:text>{escape(text)}</t:text></t:textRequest>"
        message_id = self._send(order.namespace, order.root, inner, now)
        order.written.append({"from": "citizen", "text": text, "at": now, "message_id": message_id})
        return message_id

    def cancel(self, order_id: int, reason: str, now: datetime) -> str:
        """Ask the agency to cancel an order; returns the MessageID. Raises KeyError, NotAllowedError."""
        order = self._orders[order_id]
        if not self.statuses(order)[-1].cancel_allowed:
            raise NotAllowedError("the latest status does not allow to cancel")
        inner = (
            f"<t:cancelRequest><t:orderId>{order_id}</t:orderId><t:reason>{escape(reason)}</t:reason></t:cancelRequest>"
        )
        message_id = self._send(order.namespace, order.root, inner, now)
        order.cancelled.append({"reason": reason, "at": now, "message_id": message_id, "answer": None})
        return message_id

    def statuses(self, order: Order) -> list[Status]:
        """Return the history of an order, the latest status last."""
        found = [Status("21", order.sent_at, 0)]
        acked = [ack.at for ack in self._office.queues.acks if ack.accepted and ack.message_id == order.message_id]
        found += [Status("2", at, 1) for at in acked[:1]]
        for at, block in self._answered(order.message_id, "changeOrderInfo"):
            found.append(_status(at, _leaves(block), _leaves(block).get("comment", "")))
        for at, event in order.events:
            if event["event"] == "orderStatusEvent":
                found.append(_status(at, event["fields"], event["comment"] or ""))
        return sorted(found, key=lambda status: (status.rank, status.at))

    def view(self, order_id: int) -> dict[str, Any]:
        """Return an order as its citizen sees it. Raises KeyError."""
        order = self._orders[order_id]
        statuses = self.statuses(order)
        latest = statuses[-1]
        said = [
            {"from": "agency", "text": event["comment"] or "", "author": event["author"], "at": at}
            for at, event in order.events
            if event["event"] == "textMessageEvent"
        ]
        return {
            "order_id": order.order_id,
            "message_id": order.message_id,
            "status": latest.code,
            "comment": latest.comment,
            "can_write": latest.send_message_allowed,
            "can_cancel": latest.cancel_allowed,
            "statuses": [
                {"code": status.code, "comment": status.comment, "at": status.at.isoformat()} for status in statuses
            ],
            "messages": _told(sorted([*order.written, *said], key=lambda one: one["at"])),
            "cancellations": _told([self._with_answer(wish) for wish in order.cancelled]),
            "events": [
                {"event": event["event"], "comment": event["comment"], "fields": event["fields"], "at": at.isoformat()}
                for at, event in order.events
                if event["event"] not in {"textMessageEvent", "orderStatusEvent"}
            ],
        }

    def all(self) -> list[int]:
        """Return the number of every order."""
        return list(self._orders)

    def _with_answer(self, wish: dict[str, Any]) -> dict[str, Any]:
        blocks = self._answered(wish["message_id"], "cancelResponse")
        return wish | {"answer": _leaves(blocks[-1][1]) if blocks else None}

    def _answered(self, message_id: str, block: str) -> list[tuple[datetime, etree._Element]]:
        """Return what an agency answered to a message by a block of this name, and when."""
        found = []
        for told in self._office.answers:
            if told["original_message_id"] == message_id and "content" in told:
                element = parse(told["content"].encode()).find(f"{{*}}{block}")
                if element is not None:
                    found.append((datetime.fromisoformat(told["at"]), element))
        return found

    def _send(self, namespace: str, root: str, inner: str, now: datetime) -> str:
        content = f'<t:{root} xmlns:t="{namespace}">{inner}</t:{root}>'
        return self._postbox.put(Incoming(content=content), now).original


def _status(at: datetime, fields: dict[str, str], comment: str) -> Status:
    return Status(
        fields.get("orgCode") or fields.get("techCode", ""),
        at,
        comment=comment,
        cancel_allowed=fields.get("cancelAllowed") in {"true", "1"},
        send_message_allowed=fields.get("sendMessageAllowed") in {"true", "1"},
    )


def _leaves(element: etree._Element) -> dict[str, str]:
    return {etree.QName(leaf).localname: leaf.text or "" for leaf in element.iter(etree.Element) if not len(leaf)}


def _told(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry | {"at": entry["at"].isoformat()} for entry in entries]
