"""Commands to the ШЭП as JSON: the requests of the operator's XSD in snake_case, without what the adapter fills in."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from adapter.services.shep_common import PROPERTIES, Holder, Id, Property, SignData, Strict

_TSP: Final = "Метка времени на подписи бизнес-данных; нужна подпись: sign_data"
_SIGN: Final = "Подпись бизнес-данных: none, system — системой, official — должностным лицом; по умолчанию из реестра"


class RequestInfo(Strict):
    """What a synchronous request says of itself."""

    service_id: Id = Field(description="Ключ сервиса")
    correlation_id: Id | None = Field(None, description="Идентификатор цепочки")
    route_id: Id | None = Field(None, description="Маршрут")
    properties: list[Property] = PROPERTIES


class SyncCommand(Strict):
    """The body of shep.sync.send."""

    request_info: RequestInfo = Field(description="Сведения о запросе")
    request_data: Holder = Field(description="Данные запроса")
    sign_data: SignData | None = Field(None, description=_SIGN)
    tsp: bool = Field(False, description=_TSP)  # noqa: FBT003  — a field's default


class MessageInfo(Strict):
    """What an asynchronous message says of itself."""

    service_id: Id = Field(description="Ключ сервиса")
    message_type: Literal["REQUEST", "RESPONSE", "NOTIFICATION", "UPDATE"] = Field(description="Вид сообщения")
    correlation_id: Id | None = Field(None, description="Идентификатор цепочки; обязателен, если это не REQUEST")
    route_id: Id | None = Field(None, description="Маршрут")
    properties: list[Property] = PROPERTIES


class AsyncCommand(Strict):
    """The body of shep.async.send."""

    message_info: MessageInfo = Field(description="Сведения о сообщении")
    message_data: Holder = Field(description="Данные сообщения")
    sign_data: SignData | None = Field(None, description=_SIGN)
    tsp: bool = Field(False, description=_TSP)  # noqa: FBT003  — a field's default


class StatusCommand(Strict):
    """The body of shep.async.status."""

    message_id: Id = Field(description="Идентификатор сообщения, присвоенный шлюзом")
    service_id: Id | None = Field(None, description="Ключ сервиса; нужен для сервисов ВШЭП")
    properties: list[Property] = PROPERTIES


class FetchCommand(Strict):
    """The body of shep.async.get-messages."""

    service_id: Id = Field(description="Ключ сервиса")
    message_id: Id | None = Field(None, description="Одно сообщение")
    correlation_id: Id | None = Field(None, description="Сообщения одной цепочки")
    amount: int | None = Field(None, ge=0, le=100_000, description="Наибольшее число сообщений")
    properties: list[Property] = PROPERTIES


class DeliveryError(Strict):
    """Why a message was not taken."""

    error_code: Id = Field(description="Код ошибки")
    error_message: str = Field(min_length=1, max_length=4000, description="Сообщение об ошибке")
    error_data: str | None = Field(None, max_length=4000, description="Данные ошибки")


class DeliveryStatus(Strict):
    """Whether a message was taken; the spelling MESSAGE_NOT_ACCTEPTED is that of the XSD."""

    receive_status: Literal["MESSAGE_ACCEPTED", "MESSAGE_NOT_ACCTEPTED"] = Field(description="Принято ли сообщение")
    resend_message: Literal["RESEND", "NOT_RESEND"] = Field("NOT_RESEND", description="Доставить ли снова")
    error: DeliveryError | None = Field(None, description="Причина, если не принято")


class NotifyCommand(Strict):
    """The body of shep.async.notify-delivery."""

    message_id: Id = Field(description="Идентификатор сообщения, присвоенный шлюзом")
    service_id: Id = Field(description="Ключ сервиса")
    delivery_status: DeliveryStatus = Field(description="Состояние доставки")
