"""What ЕПГУ brings through СМЭВ3 for an agency: orders, messages of citizens, wishes to cancel. Each becomes an event.

A message is answered «ОК» by the adapter itself, once its event is durable; orders and wishes to cancel are answered by
commands. Pure: no I/O, no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import RFC_4122, UUID

from lxml import etree

from adapter.errors import Code, FieldFault, InvalidCommandError, KnownError
from adapter.exchange import Call, Event, Refusal, Word
from adapter.incoming import Done
from adapter.services.attachments import rendered
from adapter.services.epgu_correspondence_types import read_types, type_of
from adapter.services.epgu_event import REQUEST, Writer
from adapter.xml.parser import XmlError, parse, serialize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from adapter.exchange import Answer
    from adapter.incoming import Found, Incoming, Request
    from adapter.services.epgu_correspondence_types import OrderType

ORDER_RECEIVED: Final = "epgu.order.received"
MESSAGE_RECEIVED: Final = "epgu.message.received"
MESSAGE_REFUSED: Final = "epgu.message.refused"
CANCEL_REQUESTED: Final = "epgu.cancel.requested"
TAKEN_BACK: Final = "epgu.request.cancelled"
#: Whoever serves one of these actions takes what ЕПГУ brings.
ANSWERS: Final = frozenset({"epgu.order.answer", "epgu.cancel.answer"})
#: Characters that a citizen may write; more is passed on and marked.
LONGEST_TEXT: Final = 2048
_LONGEST_NUMBER: Final = 2**63 - 1
#: The moment that UUIDs of version 1 count from, in ticks of 100 ns.
_EPOCH: Final = datetime(1582, 10, 15, tzinfo=UTC)
_ORDER, _MESSAGE, _CANCEL = "order", "message", "cancel"


class Branch:
    """One message of a citizen's order: what it is, and the order that it is about."""

    def __init__(self, order_type: OrderType, content: bytes) -> None:
        """``content`` is the business root. Raises KnownError for what has no number."""
        self.type = order_type
        root = parse(content)
        self.element, self.kind = _branch(root, order_type)
        self.order_id = _order_id(root, self.element, self.kind, order_type)

    def text(self, name: str) -> str:
        """Return the text of a direct child."""
        return self.element.findtext(f"{{{self.type.namespace}}}{name}", "")


class EpguOrders:
    """Takes the виды сведений of ``EPGU_ORDER_TYPES``."""

    action = REQUEST
    title = "Заявления ЕПГУ и переписка с заявителем"
    gateway = "smev3"
    deadline = timedelta(days=1)
    events: Sequence[str] = (ORDER_RECEIVED, MESSAGE_RECEIVED, MESSAGE_REFUSED, CANCEL_REQUESTED, TAKEN_BACK)

    def __init__(self, types: Sequence[OrderType]) -> None:
        """``types`` are those that are taken."""
        self._types = types
        self.provides: Sequence[tuple[str, str]] = [entry.name for entry in types]

    def subject(self, incoming: Incoming) -> str:
        """Return the order's number. Raises KnownError."""
        return "" if "cancels" in incoming.facts else str(self._branch(incoming).order_id)

    def begin(self, incoming: Incoming) -> Done | Call:
        """Tell of a message; a citizen's text is answered at once. Raises KnownError."""
        if "cancels" in incoming.facts:
            return Done([Event(TAKEN_BACK, {"message_id": incoming.key, "cancels": incoming.facts["cancels"]})])
        branch = self._branch(incoming)
        if branch.kind == _ORDER:
            return Done([Event(ORDER_RECEIVED, _order(branch, incoming))])
        if branch.kind == _CANCEL:
            return Done([Event(CANCEL_REQUESTED, {**_told(branch, incoming), "reason": branch.text("reason")})])
        return self._message(branch, incoming)

    def proceed(self, incoming: Incoming, answer: Answer) -> Done:  # noqa: ARG002 — СМЭВ3 took the answer, that is all
        """End with the answer taken."""
        return Done()

    def _message(self, branch: Branch, incoming: Incoming) -> Done | Call:
        text = branch.text("text")
        body = {**_told(branch, incoming), "text": text, "too_long": len(text) > LONGEST_TEXT}
        allowed = branch.type.correspondence
        event = Event(MESSAGE_RECEIVED if allowed else MESSAGE_REFUSED, body)
        if not incoming.reply_to:
            return Done([event])
        refusal = None if allowed else Refusal([("UNKNOWN_REQUEST_DESCRIPTION", "Переписка по услуге не ведётся")])
        return Call(
            self.gateway,
            "SendResponse",
            b"" if refusal else _said_ok(branch),
            events=[event],
            reply_to=incoming.reply_to,
            instead=refusal,
            word=Word(),
            subject=str(branch.order_id),
        )

    def _branch(self, incoming: Incoming) -> Branch:
        order_type = type_of(self._types, incoming.facts)
        if order_type is None:
            raise KnownError(Code.UNKNOWN_REQUEST)
        return Branch(order_type, incoming.content)


def _branch(root: etree._Element, order_type: OrderType) -> tuple[etree._Element, str]:
    """Return the branch and its kind. Raises KnownError when an order is not where it should be."""
    names = ((order_type.text_request, _MESSAGE), (order_type.cancel_request, _CANCEL), (order_type.order, _ORDER))
    for name, kind in names:
        element = root.find(f"{{{order_type.namespace}}}{name}") if name else None
        if element is not None:
            return element, kind
    if order_type.order:
        raise _unreadable("none of the branches order, message and cancellation is there")
    return root, _ORDER


def _order_id(root: etree._Element, branch: etree._Element, kind: str, order_type: OrderType) -> int:
    """Return the number of an order. Raises KnownError."""
    if kind == _ORDER and order_type.order_id:
        steps = order_type.order_id.split("/")
        element = root.find("/".join(f"{{{order_type.namespace}}}{step}" for step in steps))
    else:
        element = next(branch.iter("{*}orderId"), None)
    inner = None if element is None else element.find("{*}pguId")
    text = ((element if inner is None else inner).text or "").strip() if element is not None else ""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= _LONGEST_NUMBER):
        raise _unreadable("the order has no readable number")
    return int(text)


def _unreadable(rule: str) -> KnownError:
    return KnownError(Code.REQUEST_UNREADABLE, details={"rule": rule})


def _told(branch: Branch, incoming: Incoming) -> dict[str, Any]:
    """Return what every event says."""
    return {
        "order_id": branch.order_id,
        "message_id": incoming.key,
        "sent_at": _sent_at(incoming.key),
        "namespace": branch.type.namespace,
        "test": incoming.test,
    }


def _order(branch: Branch, incoming: Incoming) -> dict[str, Any]:
    body = {
        **_told(branch, incoming),
        "content_xml": incoming.content.decode(errors="replace"),
        "content": as_json(branch.element),
        "reply_expected": bool(incoming.reply_to),
        "attachments": rendered(incoming.attachments),
    }
    fault = incoming.facts.get("attachments_fault")
    return body if fault is None else {**body, "attachments_fault": fault}


def _sent_at(message_id: str) -> str | None:
    """Return the moment inside a MessageID, UTC; ``None`` for one that has none."""
    try:
        identifier = UUID(message_id)
        if identifier.variant != RFC_4122 or identifier.version != 1:
            return None
        moment = _EPOCH + timedelta(microseconds=identifier.time // 10)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(element: etree._Element) -> Any:
    """Return an element as JSON: texts, objects by local name, a list where a name repeats, attributes with ``@``."""
    tree: dict[str, Any] = {f"@{etree.QName(name).localname}": value for name, value in element.attrib.items()}
    children = list(element.iterchildren(etree.Element))
    if not children and not tree:
        return element.text or ""
    if not children:
        return {**tree, "#text": element.text or ""}
    for child in children:
        name, value = etree.QName(child).localname, as_json(child)
        if name not in tree:
            tree[name] = value
        elif isinstance(tree[name], _Repeated):
            tree[name].append(value)
        else:
            tree[name] = _Repeated([tree[name], value])
    return tree


class _Repeated(list[Any]):
    """Elements of one name: a list of its own kind, because a single element may be no list."""


def _said_ok(branch: Branch) -> bytes:
    """Return the root that says a citizen's message has come."""
    writer = Writer(branch.type.namespace, "tns")
    root = writer.root(branch.type.response_root)
    response = writer.inside(root, branch.type.text_response)
    writer.add(response, "orderId", branch.order_id)
    writer.add(response, "result", branch.type.text_result)
    return serialize(root)


def asked(found: Found, types: Sequence[OrderType], kind: str) -> tuple[Request, Branch]:
    """Return the request that a command may answer. Raises KnownError, or InvalidCommandError for another kind."""
    request = found.request
    if request is None:
        raise KnownError(Code.REQUEST_NOT_FOUND)
    order_type = type_of(types, request.incoming.facts)
    if order_type is None:
        raise KnownError(Code.UNKNOWN_REQUEST)
    try:
        branch = Branch(order_type, request.incoming.content)
    except XmlError:
        raise KnownError(Code.REQUEST_NOT_FOUND) from None
    if branch.kind != kind:
        wanted = {_ORDER: "заявление", _CANCEL: "запрос на отмену"}[kind]
        raise InvalidCommandError([FieldFault("message_id", f"сообщение с этим message_id — не {wanted}")])
    if not request.incoming.reply_to:
        raise KnownError(Code.NO_ANSWER_WANTED)
    if request.answered:
        raise KnownError(Code.ALREADY_ANSWERED)
    return request, branch


def make_order_provider(environment: Mapping[str, str], actions: Collection[str]) -> list[EpguOrders]:
    """Return the provider where виды сведений are named and answers are served. Raises ConfigurationError."""
    types = read_types(environment)
    return [EpguOrders(types)] if types and ANSWERS & set(actions) else []
