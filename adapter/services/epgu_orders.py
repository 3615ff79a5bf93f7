"""Applications to ЕПГУ: a number, the archive, what became of it, and taking it back.

Source: seeds/003_77f5074edb620939.txt, chapter 2. Examples are ours.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from adapter.exchange import Example, Reply
from adapter.gateways.epgu.errors import known
from adapter.services.epgu_archive import ArchivedCommand, check_files
from adapter.services.epgu_common import ActedCommand, EpguAction, OrderId, ServiceCommand, call
from adapter.services.epgu_following import FollowedAction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Answer, Call, Service

_HOUR = timedelta(hours=1)
_META = {"service_code": "10000000113", "target_code": "-10000000113", "region": "45000000000"}
_REQ = base64.b64encode(b"<request><orderId>${orderId}</orderId></request>").decode()
_FILE = {"name": "req.xml", "content_base64": _REQ}
_NOT_FOUND = {"error": known("not_found", details={"http_status": 204, "order_id": 2060000001}).to_wire()}


class CreateCommand(ServiceCommand):
    """epgu.order.create."""


class Create(EpguAction[CreateCommand]):
    """Reserves a number; one that is not used harms nobody."""

    action = "epgu.order.create"
    title = "ЕПГУ: создание заявления (резервирование номера)"
    deadline = _HOUR
    command = CreateCommand
    examples: Sequence[Example] = (Example("Номер заявления", _META, {"result": {"order_id": 2060000001}}),)

    def first(self, model: CreateCommand) -> Call:
        """Return the call of /order."""
        return call("order", model, meta=model.meta)


class PushCommand(ArchivedCommand):
    """epgu.order.push."""


class Push(FollowedAction[PushCommand]):
    """Sends an archive at once; never repeated by itself."""

    action = "epgu.order.push"
    wish = "follow"
    title = "ЕПГУ: формирование заявления единым методом"
    deadline = _HOUR
    command = PushCommand
    examples: Sequence[Example] = (
        Example(
            "Один файл, с подписью рядом",
            {**_META, "files": [{"name": "req.xml", "content_base64": "PHJlcXVlc3QvPg==", "sign": True}]},
            {"result": {"order_id": 2060000002}},
        ),
    )

    def checked(self, model: PushCommand) -> PushCommand:
        """Judge the files."""
        check_files(model)
        return model

    def first(self, model: PushCommand) -> Call:
        """Return the call of /push."""
        return call("push", model, model.attachments, meta=model.meta, archive=model.wanted())


class PushChunkedCommand(ArchivedCommand):
    """epgu.order.push-chunked."""

    order_id: OrderId = Field(description="Номер заявления, полученный при создании")


class PushChunked(FollowedAction[PushChunkedCommand]):
    """Sends an archive in chunks for a number that is known."""

    action = "epgu.order.push-chunked"
    wish = "follow"
    title = "ЕПГУ: отправка заявления (загрузка архива по частям)"
    deadline = _HOUR
    command = PushChunkedCommand
    examples: Sequence[Example] = (
        Example(
            "Готовый архив",
            {**_META, "order_id": 2060000001, "archive": {"path": "/var/lib/orders/2060000001.zip"}},
            {
                "result": {
                    "order_id": 2060000001,
                    "archive": {"size": 12000000, "sha256": "9f" * 32, "chunks": 3},
                }
            },
        ),
    )

    def checked(self, model: PushChunkedCommand) -> PushChunkedCommand:
        """Judge the files."""
        check_files(model)
        return model

    def first(self, model: PushChunkedCommand) -> Call:
        """Return the call of all chunks."""
        return call(
            "push-chunked",
            model,
            model.attachments,
            meta=model.meta,
            archive=model.wanted(),
            order_id=model.order_id,
        )


class SubmitCommand(ArchivedCommand):
    """epgu.order.submit."""

    substitute: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None, description="Имена текстовых файлов, в которых ${orderId} заменяется номером заявления"
    )


class Submit(FollowedAction[SubmitCommand]):
    """A number, then the archive with it: the answer to the first call is journaled before the second is made."""

    action = "epgu.order.submit"
    wish = "follow"
    title = "ЕПГУ: подача заявления с номером в его файлах"
    deadline = _HOUR
    command = SubmitCommand
    examples: Sequence[Example] = (
        Example(
            "Номер подставляется в req.xml, после чего файл подписывается",
            {**_META, "files": [{**_FILE, "sign": True}], "substitute": ["req.xml"]},
            {"result": {"order_id": 2060000003, "archive": {"size": 2210, "sha256": "5c" * 32, "chunks": 1}}},
        ),
    )

    def checked(self, model: SubmitCommand) -> SubmitCommand:
        """Judge the files and where the number goes."""
        check_files(model, model.substitute)
        return model

    def first(self, model: SubmitCommand) -> Call:
        """Return the call that reserves the number, the files being taken in and judged before."""
        wanted = model.wanted(tuple(model.substitute or ()))
        return call("order", model, model.attachments, meta=model.meta, archive=wanted)

    def next(self, model: SubmitCommand, operation: str, told: dict[str, Any], answer: Answer) -> Call | Reply:
        """Return the upload once there is a number, then the reply."""
        if operation == "order":
            return call("push-chunked", model, meta=model.meta, **told)
        return super().next(model, operation, told, answer)


class OrderCommand(ActedCommand):
    """epgu.order.get."""

    order_id: OrderId = Field(description="Номер заявления")


class Get(FollowedAction[OrderCommand]):
    """Reads details: the process code, and everything of table 28 that is there."""

    action = "epgu.order.get"
    wish = "token"
    title = "ЕПГУ: детали заявления"
    command = OrderCommand
    examples: Sequence[Example] = (
        Example(
            "Номер зарезервирован, архив ещё не отправлен",
            {"order_id": 2060000001},
            {
                "result": {
                    "order_id": 2060000001,
                    "code": "NEW",
                    "message": None,
                    "message_id": None,
                    "final": False,
                    "success": False,
                    "order": None,
                    "raw": None,
                    "cancel_allowed": False,
                    "status_history_id": None,
                    "service_code": None,
                }
            },
        ),
        Example("Такого заявления нет", {"order_id": 2060000001}, _NOT_FOUND),
    )

    def concerns(self, model: OrderCommand) -> bool:
        """Tell whether a token was brought, by which the order may be followed further."""
        return model.token is not None

    def first(self, model: OrderCommand) -> Call:
        """Return the call of details."""
        return call("details", model, order_id=model.order_id)


class CancelCommand(OrderCommand):
    """epgu.order.cancel."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Причина; передаётся параметром reason, если указана"
    )
    force: bool = Field(default=False, description="Не читать детали: запросить отмену, даже если она не разрешена")


class Cancel(FollowedAction[CancelCommand]):
    """Asks for a cancellation when details allow it; what becomes of it is told by the statuses."""

    action = "epgu.order.cancel"
    wish = "cancelled"
    title = "ЕПГУ: отмена заявления"
    deadline = _HOUR
    command = CancelCommand
    examples: Sequence[Example] = (
        Example(
            "Отмена запрошена; о результате сообщают статусы",
            {"order_id": 2060000001},
            {"result": {"order_id": 2060000001, "cancel_requested": True}},
        ),
        Example(
            "Отмена в текущем статусе невозможна",
            {"order_id": 2060000001},
            {"error": known("cancel_not_allowed", details={"order_id": 2060000001}).to_wire()},
        ),
    )

    def first(self, model: CancelCommand) -> Call:
        """Return the call of details, or with ``force`` that of the cancellation."""
        return self._cancel(model) if model.force else call("details", model, order_id=model.order_id)

    def next(self, model: CancelCommand, operation: str, told: dict[str, Any], answer: Answer) -> Call | Reply:  # noqa: ARG002  — what was answered is enough
        """Return the cancellation where details allow it."""
        if operation != "details":
            return Reply({"result": {"order_id": model.order_id, "cancel_requested": True}})
        if told.get("cancel_allowed") is True:
            return self._cancel(model)
        error = known("cancel_not_allowed", details={"order_id": model.order_id})
        return Reply({"error": error.to_wire()}, code=error.code)

    @staticmethod
    def _cancel(model: CancelCommand) -> Call:
        return call("cancel", model, order_id=model.order_id, reason=model.reason)


def make_all(environment: Mapping[str, str]) -> Sequence[Service]:  # noqa: ARG001  — nothing of these is configured
    """Return the services."""
    return (Create(), Push(), PushChunked(), Submit(), Get(), Cancel())
