"""What each event says: its sentence, its members and an example. A test holds the table to the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.services.attachments import FIELD

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_MAYBE: Final[Schema] = {"type": ["string", "null"]}
_NUMBER: Final[Schema] = {"type": "integer"}
_YES: Final[Schema] = {"type": "boolean"}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_ERROR: Final[Schema] = {"$ref": "#/$defs/Error"}
_FILES: Final[Schema] = {"type": "array", "items": {"$ref": "#/$defs/StoredFile"}}

_MESSAGE_ID: Final = "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002"
_PRODUCED: Final = "019a9f3e-2b7c-7c41-9d0e-5a2f6b1c8d34"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an event's body."""

    name: str
    schema: Mapping[str, Any]
    description: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class EventPage:
    """One event. ``about`` tells what began its exchange: a ``command``, or an ``exchange`` that a gateway began."""

    name: str
    title: str
    about: str
    members: tuple[Member, ...] = ()
    example: Mapping[str, Any] | None = None


def _m(name: str, schema: Mapping[str, Any], description: str) -> Member:
    return Member(name, schema, description)


def _o(name: str, schema: Mapping[str, Any], description: str) -> Member:
    return Member(name, schema, description, required=False)


_DATA: Final[Schema] = {
    "type": "object",
    "required": ["form", "content"],
    "properties": {
        "form": {"type": "string", "enum": ["child", "text", "typed"]},
        "content": _TEXT,
        "type": {"type": "object"},
    },
}
_EXTRACT: Final = '<e:ExtractRequest xmlns:e="urn://example.org/extract/1.0.0"/>'
_REQUEST: Final = (
    _m("message_id", _TEXT, "MessageID запроса; его называет ответ"),
    _o("sender", _TEXT, "Мнемоника потребителя"),
    _o("namespace", _TEXT, "Пространство имён корневого элемента"),
    _o("root", _TEXT, "Имя корневого элемента"),
    _m("content_xml", _TEXT, "Корневой элемент запроса, как он пришёл"),
    _m("test", _YES, "Тестовое сообщение: данные менять нельзя"),
    _m("reply_expected", _YES, "false: рассылка, ответ не предусмотрен"),
    _o("transaction_code", _TEXT, "Код транзакции, если указан"),
    _o("node_id", _TEXT, "NodeID, если указан"),
    _o("reference_message_id", _TEXT, "Связанное сообщение, если указано"),
    _o("end_of_life", _MOMENT, "Срок жизни запроса, если указан"),
    _o("business_process_xml", _TEXT, "BusinessProcessMetadata, если есть"),
    _m(FIELD, _FILES, "Файлы запроса"),
    _o("attachments_fault", _ERROR, "Ошибка, если вложения не совпали с подписанными сведениями о них"),
)
_REQUEST_EXAMPLE: Final = {
    "message_id": _MESSAGE_ID,
    "namespace": "urn://example.org/extract/1.0.0",
    "root": "ExtractRequest",
    "sender": "EXMP01",
    "content_xml": _EXTRACT,
    "test": False,
    "reply_expected": True,
    "attachments": [],
}
_ORDER: Final = (
    _m("order_id", _NUMBER, "Номер заявления"),
    _m("message_id", _TEXT, "MessageID сообщения СМЭВ3"),
    _m("sent_at", {"type": ["string", "null"], "format": "date-time"}, "Время отправки, если его можно узнать"),
    _m("namespace", _TEXT, "Пространство имён вида сведений"),
    _m("test", _YES, "Тестовое сообщение: данные менять нельзя"),
)
_ORDER_EXAMPLE: Final = {
    "order_id": 2060000001,
    "message_id": _MESSAGE_ID,
    "sent_at": "2026-11-20T07:11:12.000Z",
    "namespace": "urn://example.org/order/1.0.0",
    "test": False,
}
_FAILED: Final = (_m("error", _ERROR, "Причина, как в ответе на команду"),)
_FAILURE: Final = {
    "error": {
        "error_code": "ADAPTER-REQUEST-UNREADABLE",
        "description": "Запрос не читается",
        "details": {"rule": "the order has no readable number"},
    }
}
_TOLD: Final = (
    _m("message_id", _TEXT, "Идентификатор сообщения, присвоенный шлюзом"),
    _o("correlation_id", _TEXT, "Идентификатор цепочки"),
    _o("service_id", _TEXT, "Ключ сервиса"),
    _o("message_type", _TEXT, "Вид сообщения"),
    _o("message_date", _TEXT, "Время сообщения, как его указал шлюз"),
    _m("sender_id", _TEXT, "Отправитель"),
    _m("signature", {"type": "string", "enum": ["right", "none"]}, "right — подпись верна, none — не требовалась"),
    _o("warnings", {"type": "array", "items": _TEXT}, "Что в сообщении необычно"),
    _o("data", _DATA, "Бизнес-данные"),
)
_CHAINED: Final = (*_TOLD, _o("assumed", _YES, "true: квитанция команды потеряна, другой подходящей нет"))
_TOLD_EXAMPLE: Final = {
    "message_id": "216386081",
    "correlation_id": "3226347",
    "service_id": "AsyncEcho",
    "message_type": "RESPONSE",
    "message_date": "2026-11-20T10:11:12+05:00",
    "sender_id": "other",
    "signature": "right",
    "data": {"form": "child", "content": '<r:answer xmlns:r="urn:example">1</r:answer>'},
}
_PLACE: Final = (
    _m("casenum", _TEXT, "Номер дела"),
    _m("postamatid", _TEXT, "Номер (ID) постамата"),
    _m("cellid", _MAYBE, "Номер ячейки"),
)

PAGES: Final[tuple[EventPage, ...]] = (
    EventPage("adapter.accepted", "Команда с x-progress записана в журнал и выполняется", "command", (), {}),
    EventPage("adapter.sent", "Запрос команды с x-progress уходит", "command", (), {}),
    EventPage("adapter.answered", "Ответ на запрос команды с x-progress записан в журнал", "command", (), {}),
    EventPage(
        "smev3.request-status",
        "СМЭВ3 или поставщик сообщает о запросе, который продолжается",
        "command",
        (
            _m("message_id", _TEXT, "MessageID сообщения о статусе"),
            _m("original_message_id", _TEXT, "MessageID запроса"),
            _o("code", _TEXT, "Код статуса (RequestStatus)"),
            _o("category", _TEXT, "Категория статуса (AsyncProcessingStatus)"),
            _m("description", _TEXT, "Пояснение"),
            _m("parameters", {"type": "array", "items": {"type": "object"}}, "Параметры: key, value"),
        ),
        {
            "message_id": "c3e0a1f2-c6b1-11f0-8d2a-4f1b6c0d9e7a",
            "original_message_id": "b81d6e10-c6b1-11f0-9c3b-7d5e2a8f4c61",
            "code": "IN_PROGRESS_1",
            "description": "",
            "parameters": [],
        },
    ),
    EventPage(
        "smev3.request.received", "Другая система запрашивает вид сведений", "exchange", _REQUEST, _REQUEST_EXAMPLE
    ),
    EventPage(
        "smev3.request.unknown",
        "Пришёл запрос вида сведений, который здесь не предоставляется; он ждёт оператора",
        "exchange",
        _REQUEST,
        _REQUEST_EXAMPLE,
    ),
    EventPage(
        "smev3.request.cancelled",
        "Потребитель отозвал запрос (схема 1.1)",
        "exchange",
        (
            _m("message_id", _TEXT, "MessageID отзыва"),
            _m("cancels", _TEXT, "MessageID отозванного запроса"),
            _m("sender", _TEXT, "Мнемоника потребителя"),
        ),
        {"message_id": _PRODUCED, "cancels": _MESSAGE_ID, "sender": "EXMP01"},
    ),
    EventPage("smev3.request.failed", "Запрос не удалось прочитать", "exchange", _FAILED, _FAILURE),
    EventPage("smev3.request.answer.failed", "СМЭВ3 приняла ответ, а потом отклонила", "command", _FAILED, _FAILURE),
    EventPage(
        "epgu.order.received",
        "Заявитель подал заявление на ЕПГУ",
        "exchange",
        (
            *_ORDER,
            _m("content_xml", _TEXT, "Корневой элемент, как он пришёл"),
            _m("content", {}, "То же как JSON"),
            _m("reply_expected", _YES, "false: ответ не предусмотрен"),
            _m(FIELD, _FILES, "Файлы заявления"),
            _o("attachments_fault", _ERROR, "Ошибка, если вложения не совпали с подписанными сведениями о них"),
        ),
        {
            **_ORDER_EXAMPLE,
            "content_xml": "<FormData><orderId>2060000001</orderId></FormData>",
            "content": {"orderId": "2060000001"},
            "reply_expected": True,
            "attachments": [],
        },
    ),
    *(
        EventPage(
            name,
            title,
            "exchange",
            (*_ORDER, _m("text", _TEXT, "Текст сообщения"), _m("too_long", _YES, "Текст длиннее 2048 символов")),
            {**_ORDER_EXAMPLE, "text": "Когда будет готово?", "too_long": False},
        )
        for name, title in (
            ("epgu.message.received", "Заявитель написал сообщение"),
            ("epgu.message.refused", "Заявитель написал сообщение, переписка по услуге не ведётся"),
        )
    ),
    EventPage(
        "epgu.cancel.requested",
        "Заявитель просит отменить заявление",
        "exchange",
        (*_ORDER, _m("reason", _TEXT, "Причина, может быть пустой")),
        {**_ORDER_EXAMPLE, "reason": "Передумал"},
    ),
    EventPage(
        "epgu.request.cancelled",
        "Сообщение ЕПГУ отозвано в СМЭВ3",
        "exchange",
        (_m("message_id", _TEXT, "MessageID отзыва"), _m("cancels", _TEXT, "MessageID отозванного сообщения")),
        {"message_id": _PRODUCED, "cancels": _MESSAGE_ID},
    ),
    EventPage("epgu.order.request.failed", "Сообщение ЕПГУ не удалось прочитать", "exchange", _FAILED, _FAILURE),
    EventPage(
        "epgu.order.answer.failed", "СМЭВ3 приняла ответ на заявление, а потом отклонила", "command", _FAILED, _FAILURE
    ),
    EventPage(
        "epgu.cancel.answer.failed", "СМЭВ3 приняла ответ на отмену, а потом отклонила", "command", _FAILED, _FAILURE
    ),
    EventPage(
        "epgu.order.status-changed",
        "У заявления, отправленного командой, появился статус; каждый сообщается один раз, по порядку",
        "command",
        (
            _m("order_id", _NUMBER, "Номер заявления"),
            _m("status_id", _NUMBER, "Код статуса ЕПГУ"),
            _m("name", _MAYBE, "Наименование статуса"),
            _m("org_code", _MAYBE, "Код ведомственного статуса"),
            _m("comment", _MAYBE, "Комментарий к статусу"),
            _m("cancel_allowed", _YES, "Можно ли отменить заявление"),
            _m("send_message_allowed", _YES, "Можно ли отправить сообщение"),
            _m("final", _YES, "Статус конечный: за заявлением больше не следят"),
            _m("updated", _MAYBE, "Время статуса"),
        ),
        {
            "order_id": 2060000003,
            "status_id": 3,
            "name": "Услуга оказана",
            "org_code": "done",
            "comment": "Справка готова",
            "cancel_allowed": False,
            "send_message_allowed": False,
            "final": True,
            "updated": "2026-03-02T12:15:00.250+03:00",
        },
    ),
    EventPage(
        "epgu.order.process-failed",
        "Обработка заявления, отправленного командой, закончилась ошибкой",
        "command",
        (
            _m("order_id", _NUMBER, "Номер заявления"),
            _m("code", _TEXT, "Код Приложения 1 к Спецификации"),
            _m("type", _TEXT, "Тип кода"),
            _m("description", _TEXT, "Пояснение"),
            _o("recommendation", _TEXT, "Что делать"),
        ),
        {
            "order_id": 2060000003,
            "code": "REQ_NOT_FOUND",
            "type": "Финальный",
            "description": "Во вложениях нет транспортного xml-файла",
            "recommendation": "Добавить транспортный файл по спецификации услуги",
        },
    ),
    EventPage(
        "epgu.order.needs-token",
        "Детали заявления больше не прочитать, пока команда не принесёт маркер доступа; сообщается один раз",
        "command",
        (
            _m("order_id", _NUMBER, "Номер заявления"),
            _m("code", _TEXT, "Код причины"),
            _m("description", _TEXT, "Пояснение"),
            _o("recommendation", _TEXT, "Что делать"),
        ),
        {
            "order_id": 2060000003,
            "code": "ADAPTER-TOKEN-REFUSED",
            "description": "Маркер доступа из команды истёк",
            "recommendation": "Получить новый маркер доступа и повторить запрос",
        },
    ),
    EventPage("shep.message.received", "ШЭП доставил сообщение", "command", _CHAINED, _TOLD_EXAMPLE),
    EventPage(
        "shep.message.sent",
        "ШЭП принял запрос, команда ждёт ответа сервиса",
        "command",
        (
            _m("message_id", _TEXT, "Идентификатор сообщения, присвоенный шлюзом"),
            _m("correlation_id", _TEXT, "Идентификатор цепочки"),
            *(_o(name, _TEXT, "Из квитанции") for name in ("response_date", "session_id")),
        ),
        {"message_id": "216386080", "correlation_id": "3226347", "response_date": "2026-11-20T10:11:12+05:00"},
    ),
    EventPage(
        "shep.status.changed",
        "ШЭП сообщил, что стало с нашим сообщением",
        "command",
        (
            _o("notification_id", _TEXT, "Идентификатор уведомления"),
            _m("message_id", _TEXT, "Идентификатор сообщения"),
            _o("message_state", _TEXT, "Состояние сообщения"),
            _o("status", {"type": "object"}, "Статус: код, пояснение, время"),
            _o("error", {"type": "object"}, "Ошибка: код, пояснение, данные"),
            _m("sender_id", _TEXT, "Отправитель, может быть пустым"),
            _m("signature", {"type": "string", "enum": ["right", "none"]}, "right — подпись верна, none — не нужна"),
        ),
        {
            "notification_id": "911",
            "message_id": "216386080",
            "message_state": "DELIVERED",
            "sender_id": "",
            "signature": "right",
        },
    ),
    EventPage(
        "shep.sync.requested",
        "Другая система спрашивает через ШЭП и ждёт ответа",
        "exchange",
        _TOLD,
        {name: value for name, value in _TOLD_EXAMPLE.items() if name not in ("correlation_id", "message_type")},
    ),
    EventPage("shep.message.failed", "Сообщение ШЭП не удалось прочитать", "exchange", _FAILED, _FAILURE),
    EventPage("shep.status.failed", "Уведомление ШЭП не удалось прочитать", "exchange", _FAILED, _FAILURE),
    EventPage("shep.notice.failed", "Шлюзу не удалось сообщить о приёме сообщения", "exchange", _FAILED, _FAILURE),
    EventPage("shep.sync.failed", "Синхронный запрос остался без ответа", "exchange", _FAILED, _FAILURE),
    EventPage(
        "postamat.case-moved",
        "Постамат принял, выдал или вернул дело (режим portal)",
        "exchange",
        (
            *_PLACE,
            _m("operation", _TEXT, "put-case, issue или back"),
            _m("state", _TEXT, "Состояние дела"),
            _m("userid", _TEXT, "Идентификатор пользователя, обслуживающего ячейку"),
            _m("timestamp", _NUMBER, "Время постамата, UNIX, секунды"),
            _m("at", _MOMENT, "То же время"),
        ),
        {
            "casenum": "1.22-51",
            "operation": "put-case",
            "state": "В постамате",
            "postamatid": "1233",
            "cellid": "10",
            "userid": "1139",
            "timestamp": 1772355600,
            "at": "2026-03-01T09:00:00+00:00",
        },
    ),
    EventPage(
        "postamat.case-overdue",
        "Дело лежит в постамате дольше срока хранения; сообщается один раз",
        "exchange",
        (
            *_PLACE,
            _m("put_at", {"type": ["string", "null"], "format": "date-time"}, "Когда дело положили"),
            _m("until", _MOMENT, "До какого времени его хранят"),
        ),
        {
            "casenum": "1.22-51",
            "postamatid": "1233",
            "cellid": "10",
            "put_at": "2026-03-01T09:00:00+00:00",
            "until": "2026-03-15T09:00:00+00:00",
        },
    ),
)
BY_NAME: Final[Mapping[str, EventPage]] = {page.name: page for page in PAGES}


def example_of(page: EventPage) -> dict[str, Any] | None:
    """Return the whole body of an event, its common member included."""
    if page.example is None:
        return None
    about = {"id": _PRODUCED, "action": page.name.rpartition(".")[0] or page.name, "message_id": _MESSAGE_ID}
    return {**page.example, page.about: about}
