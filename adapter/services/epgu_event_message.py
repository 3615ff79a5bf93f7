"""epgu.message.send: the agency writes to a citizen; the account shows it beside the order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from adapter.exchange import Example
from adapter.services.epgu_event import EpguEvents, EventCommand, Kind, Options, Text2048, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml import etree

ACTION = "epgu.message.send"


class MessageCommand(EventCommand):
    """A message to the citizen."""

    message: Text2048 = Field(alias="text", description="Текст, который прочитает заявитель")

    @property
    def text(self) -> str:
        """What the citizen reads."""
        return self.message


def _write(writer: Writer, event: etree._Element, _model: MessageCommand) -> None:
    writer.add(event, "textMessageEvent")


KIND = Kind(
    ACTION,
    "Сообщение ведомства заявителю в личный кабинет ЕПГУ",
    MessageCommand,
    _write,
    (
        Example(
            "Ответ на сообщение заявителя",
            {
                "order_id": 12345678,
                "text": "Запись перенесена на 3 декабря, 10:30",
                "author": "Петрова А.В.",
                "date": "2026-11-22T15:00:00+03:00",
            },
            {"result": {"order_id": 12345678, "code": 0}},
        ),
    ),
    unasked=True,
)


def make(environment: Mapping[str, str]) -> EpguEvents[MessageCommand]:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    return EpguEvents(KIND, Options.read(environment))
