"""epgu.order.answer: the agency's own answer to an order, with the status and leave to write in its вид сведений."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from adapter.exchange import Call, Example, Reply, Word
from adapter.incoming import Look
from adapter.services.command import read_command
from adapter.services.epgu_correspondence import asked, make_order_provider
from adapter.services.epgu_correspondence_types import read_types
from adapter.services.epgu_event import (
    MAY_WRITE,
    REQUEST,
    StatusFields,
    Text2048,
    Writer,
    described,
    lane_of,
    one_code,
)
from adapter.services.information_type import read_switches
from adapter.services.smev3_provider import known_schemas
from adapter.xml.parser import serialize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from adapter.exchange import Answer, Command
    from adapter.incoming import Found, Request
    from adapter.services.epgu_correspondence import Branch, EpguOrders
    from adapter.services.epgu_correspondence_types import OrderType

ACTION: Final = "epgu.order.answer"
OFFICIAL: Final = "USE_PERSONAL_SIGNATURE"


class OrderAnswerCommand(StatusFields):
    """The first answer to an order; later statuses are events."""

    message_id: str = Field(min_length=1, max_length=255, description="message_id из события epgu.order.received")
    comment: Text2048 | None = Field(None, description="Комментарий, виден заявителю")


class EpguOrderAnswer:
    """Says the last word to an order. Pure: no I/O, no clock."""

    action = ACTION
    title = "Ответ ведомства на заявление ЕПГУ в ведомственном виде сведений"
    gateway = "smev3"
    deadline = timedelta(days=1)
    schema: str | None = None
    events: Sequence[str] = (f"{ACTION}.failed",)
    examples: Sequence[Example] = (
        Example(
            "Заявление принято, заявитель может написать в ведомство",
            {
                "message_id": "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002",
                "tech_code": 6,
                "comment": "Принято в работу",
                "cancel_allowed": True,
                "send_message_allowed": True,
            },
            {
                "result": {
                    "message_id": "8d2f305b-c6a1-11f0-9d0b-0242ac120002",
                    "request_message_id": "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002",
                }
            },
        ),
    )

    def __init__(self, types: Sequence[OrderType], *, personal_signature: bool = False) -> None:
        """``personal_signature`` wants the official's signature (ЭП-СП)."""
        self._types = types
        self._personal_signature = personal_signature

    def start(self, command: Command) -> Look:
        """Look the order up. Raises InvalidCommandError."""
        return Look((REQUEST,), self._read(command).message_id)

    def found(self, command: Command, found: Found) -> Call:
        """Return the SendResponse. Raises KnownError, InvalidCommandError."""
        model = self._read(command)
        request, branch = asked(found, self._types, "order")
        writer, names = Writer(branch.type.namespace, "tns"), branch.type
        root = writer.root(names.response_root)
        block = writer.inside(root, names.order_answer)
        writer.add(writer.inside(block, "orderId"), "pguId", branch.order_id)
        writer.status(block, model)
        writer.add(block, "comment", model.comment)
        writer.leave(block, model)
        if self._personal_signature:
            root.set("Id", f"id-{command.id}")
        note = MAY_WRITE if model.send_message_allowed else ""
        return last_word(serialize(root), request, branch, official=self._personal_signature, note=note)

    def resume(self, command: Command, answer: Answer) -> Reply:
        """Return that СМЭВ3 took it."""
        return taken(answer, self._read(command).message_id)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(OrderAnswerCommand, self.action, self.title)

    def _read(self, command: Command) -> OrderAnswerCommand:
        return read_command(command.body, OrderAnswerCommand, rules=one_code)


def last_word(content: bytes, request: Request, branch: Branch, *, official: bool, note: str = "") -> Call:
    """Return the SendResponse of an agency's answer in its own вид сведений."""
    order = str(branch.order_id)
    return Call(
        "smev3",
        "SendResponse",
        content,
        official=official,
        lane=lane_of(order),
        reply_to=request.incoming.reply_to,
        word=Word(request.id),
        subject=order,
        note=note,
        schema=known_schemas().get((branch.type.namespace, branch.type.response_root)),
    )


def taken(answer: Answer, request: str) -> Reply:
    """Return the reply to a word that СМЭВ3 took."""
    return Reply({"result": {"message_id": answer.reference, "request_message_id": request}})


def make(environment: Mapping[str, str]) -> EpguOrderAnswer:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    personal = read_switches(environment, {OFFICIAL: False})[OFFICIAL]
    return EpguOrderAnswer(read_types(environment), personal_signature=personal)


def make_providers(environment: Mapping[str, str], actions: Collection[str]) -> list[EpguOrders]:
    """Return the provider of orders where it is wanted. Raises ConfigurationError."""
    return make_order_provider(environment, actions)
