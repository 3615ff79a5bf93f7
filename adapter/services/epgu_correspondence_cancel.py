"""epgu.cancel.answer: what the agency says to a citizen's wish to cancel an order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from adapter.exchange import Call, Example, Reply
from adapter.incoming import Look
from adapter.services.command import read_command
from adapter.services.epgu_correspondence import asked
from adapter.services.epgu_correspondence_answer import OFFICIAL, last_word, taken
from adapter.services.epgu_correspondence_types import read_types
from adapter.services.epgu_event import REQUEST, Strict, Text2048, Writer, described
from adapter.services.information_type import read_switches
from adapter.xml.parser import serialize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Answer, Command
    from adapter.incoming import Found
    from adapter.services.epgu_correspondence_types import OrderType

ACTION: Final = "epgu.cancel.answer"


class CancelAnswerCommand(Strict):
    """The answer to a wish to cancel."""

    message_id: str = Field(min_length=1, max_length=255, description="message_id из события epgu.cancel.requested")
    result: str = Field(min_length=1, max_length=255, description="Результат, как его понимает вид сведений")
    comment: Text2048 | None = Field(None, description="Комментарий, виден заявителю")


class EpguCancelAnswer:
    """Says the last word to a wish to cancel. Pure: no I/O, no clock."""

    action = ACTION
    title = "Ответ ведомства на запрос заявителя об отмене заявления ЕПГУ"
    gateway = "smev3"
    deadline = timedelta(days=1)
    schema: str | None = None
    events: Sequence[str] = (f"{ACTION}.failed",)
    examples: Sequence[Example] = (
        Example(
            "Заявление отменено",
            {"message_id": "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002", "result": "OK", "comment": "Заявление отменено"},
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
        """Look the wish up. Raises InvalidCommandError."""
        return Look((REQUEST,), self._read(command).message_id)

    def found(self, command: Command, found: Found) -> Call:
        """Return the SendResponse. Raises KnownError, InvalidCommandError."""
        model = self._read(command)
        request, branch = asked(found, self._types, "cancel")
        writer = Writer(branch.type.namespace, "tns")
        root = writer.root(branch.type.response_root)
        block = writer.inside(root, branch.type.cancel_response)
        writer.add(block, "orderId", branch.order_id)
        writer.add(block, "result", model.result)
        writer.add(block, "comment", model.comment)
        if self._personal_signature:
            root.set("Id", f"id-{command.id}")
        return last_word(serialize(root), request, branch, official=self._personal_signature)

    def resume(self, command: Command, answer: Answer) -> Reply:
        """Return that СМЭВ3 took it."""
        return taken(answer, self._read(command).message_id)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(CancelAnswerCommand, self.action, self.title)

    def _read(self, command: Command) -> CancelAnswerCommand:
        return read_command(command.body, CancelAnswerCommand)


def make(environment: Mapping[str, str]) -> EpguCancelAnswer:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    personal = read_switches(environment, {OFFICIAL: False})[OFFICIAL]
    return EpguCancelAnswer(read_types(environment), personal_signature=personal)
