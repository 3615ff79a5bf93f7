"""epgu.event.send: the other events of an order: information, payment, an invitation to the electronic queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from adapter.errors import FieldFault
from adapter.exchange import Example
from adapter.services.epgu_event import (
    Day,
    EpguEvents,
    EventCommand,
    Kind,
    Options,
    Strict,
    Text2048,
    Writer,
    exactly_one,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml import etree

ACTION = "epgu.event.send"
_Text50 = Annotated[str, Field(min_length=1, max_length=50)]


class Info(Strict):
    """News without a status."""

    code: str = Field(min_length=1, max_length=20, description="Код события")


class Payment(Strict):
    """One payment."""

    source: str = Field(min_length=1, max_length=16, description="Источник начисления")
    uin: str = Field(min_length=1, max_length=256, description="УИН")
    description: str = Field(min_length=1, max_length=210, description="Назначение")


class PaymentStatus(Strict):
    """What has become of payments."""

    status: str = Field(min_length=1, max_length=16, description="Статус оплаты")
    payments: list[Payment] = Field(min_length=1, max_length=100, description="Начисления")


class Organization(Strict):
    """Where the citizen may come."""

    organization_id: _Text50 = Field(description="Организация")
    area_ids: list[_Text50] = Field(default=[], max_length=10, description="Кабинеты, окна")


class Invitation(Strict):
    """An invitation to choose a time."""

    organizations: list[Organization] = Field(default=[], max_length=50, description="Организации на выбор")
    start_date: Day | None = Field(None, description="Первый день")
    end_date: Day | None = Field(None, description="Последний день")


class Equeue(Strict):
    """The electronic queue: opened for this order, or closed again."""

    invitation: Invitation | None = Field(None, description="Приглашение на запись")
    closed: Literal[True] | None = Field(None, description="true: запись закрыта")


class OtherCommand(EventCommand):
    """Exactly one of three events."""

    comment: Text2048 | None = Field(None, description="Комментарий, виден заявителю")
    info: Info | None = Field(None, description="Информационное событие")
    payment: PaymentStatus | None = Field(None, description="Событие оплаты")
    equeue: Equeue | None = Field(None, description="Электронная очередь")

    @property
    def text(self) -> str | None:
        """What the citizen reads beside the event."""
        return self.comment


def _rules(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    yield from exactly_one(tree, "info", "payment", "equeue")
    equeue = tree.get("equeue")
    if isinstance(equeue, dict):
        for _fault in exactly_one(equeue, "invitation", "closed"):
            yield FieldFault("equeue", "должно быть указано ровно одно из полей: invitation, closed")


def _write(writer: Writer, event: etree._Element, model: OtherCommand) -> None:
    if model.info is not None:
        writer.add(writer.inside(event, "infoEvent"), "code", model.info.code)
    elif model.payment is not None:
        _write_payment(writer, writer.inside(event, "paymentStatusEvent"), model.payment)
    elif model.equeue is not None:
        _write_equeue(writer, writer.inside(event, "equeueEvent"), model.equeue)


def _write_payment(writer: Writer, event: etree._Element, status: PaymentStatus) -> None:
    writer.add(event, "status", status.status)
    for payment in status.payments:
        element = writer.inside(event, "payment")
        writer.add(element, "source", payment.source)
        writer.add(element, "uin", payment.uin)
        writer.add(element, "description", payment.description)


def _write_equeue(writer: Writer, event: etree._Element, equeue: Equeue) -> None:
    if equeue.invitation is None:
        writer.add(event, "equeueClosed")
        return
    invitation = writer.inside(event, "equeueInvitation")
    for organization in equeue.invitation.organizations:
        element = writer.inside(invitation, "organizationData")
        writer.add(element, "organizationId", organization.organization_id)
        for area in organization.area_ids:
            writer.add(element, "areaId", area)
    writer.add(invitation, "startDate", equeue.invitation.start_date)
    writer.add(invitation, "endDate", equeue.invitation.end_date)


KIND = Kind(
    ACTION,
    "Прочие события заявления в личном кабинете ЕПГУ: информация, оплата, электронная очередь",
    OtherCommand,
    _write,
    (
        Example(
            "Приглашение на запись",
            {
                "order_id": 12345678,
                "comment": "Выберите время приёма",
                "equeue": {
                    "invitation": {
                        "organizations": [{"organization_id": "mfc-1", "area_ids": ["3"]}],
                        "start_date": "2026-12-01",
                        "end_date": "2026-12-05",
                    }
                },
            },
            {"result": {"order_id": 12345678, "code": 0}},
        ),
    ),
    rules=_rules,
)


def make(environment: Mapping[str, str]) -> EpguEvents[OtherCommand]:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    return EpguEvents(KIND, Options.read(environment))
