"""epgu.order.set-status: the agency moves an order, and says what the citizen may do under the new status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from adapter.exchange import Example
from adapter.services.epgu_event import (
    MAY_WRITE,
    EpguEvents,
    EventCommand,
    Kind,
    Options,
    StatusFields,
    Text2048,
    Writer,
    one_code,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml import etree

ACTION = "epgu.order.set-status"


class StatusCommand(EventCommand, StatusFields):
    """A new status."""

    comment: Text2048 | None = Field(None, description="Комментарий к статусу, виден заявителю")

    @property
    def text(self) -> str | None:
        """What the citizen reads beside the status."""
        return self.comment


def _write(writer: Writer, event: etree._Element, model: StatusCommand) -> None:
    status = writer.inside(event, "orderStatusEvent")
    writer.status(status, model)
    writer.leave(status, model)


KIND = Kind(
    ACTION,
    "Статус заявления в личном кабинете ЕПГУ",
    StatusCommand,
    _write,
    (
        Example(
            "Заявление рассматривается, заявитель может написать в ведомство",
            {
                "order_id": 12345678,
                "tech_code": 6,
                "comment": "Проверяем документы",
                "cancel_allowed": True,
                "send_message_allowed": True,
            },
            {"result": {"order_id": 12345678, "code": 0}},
        ),
    ),
    rules=one_code,
    note=lambda model: MAY_WRITE if model.send_message_allowed else "",
)


def make(environment: Mapping[str, str]) -> EpguEvents[StatusCommand]:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    return EpguEvents(KIND, Options.read(environment))
