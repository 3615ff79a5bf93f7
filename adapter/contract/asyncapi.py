"""The contract as an AsyncAPI 3.0 document: the adapter receives commands, sends replies and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapter.broker.topology import EVENTS, RETURNED
from adapter.contract.catalog import OWN_QUEUE, events, services
from adapter.contract.events import BY_NAME, example_of
from adapter.contract.schemas import COMMON, command_schema, event_schema, referred, reply_schema
from adapter.errors import Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Service

Document = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/"
_MESSAGES: Final = "#/components/messages/"
_TRAITS: Final = "#/components/messageTraits/"
_CHANNELS: Final = "#/channels/"
_JSON: Final = "application/json"
_ADDRESSES: Final[Mapping[str, str]] = {OWN_QUEUE: "shep.{service}"}
_OWN_SERVICE: Final = {"service": {"description": "Ключ сервиса из реестра SHEP_SERVICES_FILE"}}

_FLAG: Final[Document] = {"oneOf": [{"type": "boolean"}, {"type": "string", "enum": ["true", "false"]}]}
#: W3C Trace Context.
_TRACE: Final[Document] = {
    "traceparent": {
        "type": "string",
        "description": "Трасса, к которой относится команда (W3C Trace Context); неверное значение не учитывается",
    },
    "tracestate": {"type": "string", "description": "Дополнение к traceparent, без него не учитывается"},
}
_COMMAND_HEADERS: Final[Document] = {
    "type": "object",
    "title": "CommandHeaders",
    "properties": {
        "x-deadline": {
            "type": "string",
            "format": "date-time",
            "description": "После этого времени новых попыток нет, ответ — ADAPTER-EXPIRED. Без него — срок действия",
        },
        "x-dry-run": {**_FLAG, "description": "Проверить, собрать и подписать запрос, вернуть его и не отправлять"},
        "x-progress": {**_FLAG, "description": "Сообщать событиями adapter.accepted, adapter.sent, adapter.answered"},
        **_TRACE,
    },
}
_COMMAND_PROPERTIES: Final[Document] = {
    "type": "object",
    "properties": {
        "message_id": {"type": "string", "description": "Идентичность команды. Указывайте всегда; повтор безопасен"},
        "reply_to": {"type": "string", "description": "Очередь ответа; без неё <действие>.reply"},
        "correlation_id": {"type": "string", "description": "Возвращается в ответе байт в байт"},
        "user_id": {"type": "string", "description": "Часть идентичности; брокер сверяет её с именем входа"},
        "delivery_mode": {"const": 2, "description": "Сохраняемое сообщение"},
    },
}
_SENT_HEADERS: Final[Document] = {
    "type": "object",
    "title": "SentHeaders",
    "required": ["x-adapter-command-id", "x-adapter-seq"],
    "properties": {
        "x-adapter-command-id": {"type": "string", "format": "uuid", "description": "Номер обмена у адаптера"},
        "x-adapter-seq": {
            "type": "integer",
            "minimum": 1,
            "description": "Номер сообщения среди всех ответов и событий обмена",
        },
        "x-adapter-late": {
            "type": "boolean",
            "description": "true у ответа, который пришёл после ADAPTER-EXPIRED или ADAPTER-UNCERTAIN",
        },
        "traceparent": {"type": "string", "description": "Как в команде, если она его указала"},
        "tracestate": {"type": "string", "description": "Как в команде, если она его указала"},
    },
}
_SENT_PROPERTIES: Final[Document] = {
    "type": "object",
    "properties": {
        "message_id": {"type": "string", "description": "Постоянный: у повтора тот же, и байты те же"},
        "correlation_id": {"type": "string", "description": "correlation_id команды, без него её message_id"},
        "type": {"type": "string", "description": "Действие, у события его имя"},
        "content_type": {"const": _JSON},
        "delivery_mode": {"const": 2},
    },
}


def document(version: str) -> Document:
    """Return the document; ``version`` is the adapter's."""
    channels: Document = {}
    operations: Document = {}
    messages: Document = {}
    schemas: Document = {name: referred(schema, _SCHEMAS) for name, schema in COMMON.items()}
    schemas["CommandHeaders"], schemas["SentHeaders"] = _COMMAND_HEADERS, _SENT_HEADERS
    for action, service in services().items():
        channels |= _channels(action, service)
        operations |= _operations(action, service)
        messages |= _messages(action, service)
        _add(schemas, f"{action}.command", command_schema(service), action)
        _add(schemas, f"{action}.reply", reply_schema(service), action)
    for name in events():
        channels[f"event.{name}"] = _event_channel(name)
        operations[f"event.{name}"] = _sends(f"event.{name}", f"Событие {name}: {BY_NAME[name].title}")
        messages[f"event.{name}"] = _event_message(name)
        _add(schemas, f"{name}.event", event_schema(name), name)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:adapter:commands",
        "info": _info(version),
        "defaultContentType": _JSON,
        "servers": _servers(),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "messageTraits": {
                "command": _trait("CommandHeaders", _COMMAND_PROPERTIES),
                "sent": _trait("SentHeaders", _SENT_PROPERTIES),
            },
            "schemas": schemas,
            "securitySchemes": _security(),
        },
    }


def _info(version: str) -> Document:
    return {
        "title": "Адаптер: команды в RabbitMQ — официальные обмены с государственными шлюзами",
        "version": version,
        "description": (
            "Команда публикуется в очередь действия (обменник по умолчанию, routing key — имя очереди, persistent, "
            "confirms, mandatory). На каждую команду приходит один окончательный ответ; после ADAPTER-EXPIRED и "
            "ADAPTER-UNCERTAIN возможен ещё один, с заголовком x-adapter-late. Свойства AMQP описаны в "
            "x-amqp-properties. С MQ_PREFIX имена очередей и обменников начинаются с префикса."
        ),
        "license": {"name": "Apache-2.0"},
        "tags": [{"name": gateway} for gateway in sorted({service.gateway for service in services().values()})],
    }


def _servers() -> Document:
    common = {
        "protocolVersion": "0.9.1",
        "variables": {
            "host": {"description": "MQ_HOST; у кластера любой узел"},
            "port": {"default": "5671", "description": "MQ_PORT"},
        },
    }
    schemes = "#/components/securitySchemes/"
    return {
        "rabbitmq": {
            "host": "{host}:{port}",
            "protocol": "amqps",
            "description": "RabbitMQ по TLS: вход по сертификату клиента (SASL EXTERNAL) либо по имени и паролю",
            "security": [{"$ref": f"{schemes}certificate"}, {"$ref": f"{schemes}password"}],
            **common,
        }
    }


def _security() -> Document:
    return {
        "certificate": {"type": "X509", "description": "CLIENT_CERT и CLIENT_KEY: SASL EXTERNAL"},
        "password": {"type": "userPassword", "description": "MQ_USER и MQ_PASSWORD: SASL PLAIN внутри TLS"},
    }


def _queue(name: str) -> Document:
    return {
        "amqp": {
            "is": "queue",
            "queue": {"name": name, "durable": True, "exclusive": False, "autoDelete": False},
            "bindingVersion": "0.3.0",
        }
    }


def _channels(action: str, service: Service) -> Document:
    address = _ADDRESSES.get(action, action)
    parameters = {"parameters": _OWN_SERVICE} if address != action else {}
    return {
        action: {
            "address": address,
            "title": service.title,
            "description": f"Команды {address}. Очередь кворумная; что из неё выпало, уходит в {RETURNED}",
            "messages": {"command": {"$ref": f"{_MESSAGES}{action}.command"}},
            **parameters,
            "bindings": _queue(address),
        },
        f"{action}.reply": {
            "address": f"{address}.reply",
            "title": f"Ответы: {service.title}",
            "description": "Ответы на команды без reply_to; с reply_to — очередь, которую оно называет",
            "messages": {"reply": {"$ref": f"{_MESSAGES}{action}.reply"}},
            **parameters,
            "bindings": _queue(f"{address}.reply"),
        },
    }


def _operations(action: str, service: Service) -> Document:
    return {
        action: {
            "action": "receive",
            "channel": {"$ref": f"{_CHANNELS}{action}"},
            "title": service.title,
            "description": f"Срок по умолчанию: {int(service.deadline.total_seconds())} секунд с получения",
            "tags": [{"name": service.gateway}],
            "messages": [{"$ref": f"{_CHANNELS}{action}/messages/command"}],
            "reply": {
                "channel": {"$ref": f"{_CHANNELS}{action}.reply"},
                "messages": [{"$ref": f"{_CHANNELS}{action}.reply/messages/reply"}],
            },
        }
    }


def _messages(action: str, service: Service) -> Document:
    def shown(part: str) -> list[Document]:
        payloads = [(example.title, getattr(example, part)) for example in service.examples]
        return [
            {"name": f"{part}{n}", "summary": title, "payload": body} for n, (title, body) in enumerate(payloads, 1)
        ]

    return {
        f"{action}.command": {
            "name": f"{action}.command",
            "title": service.title,
            "traits": [{"$ref": f"{_TRAITS}command"}],
            "payload": {"$ref": f"{_SCHEMAS}{action}.command"},
            "examples": shown("request"),
        },
        f"{action}.reply": {
            "name": f"{action}.reply",
            "title": f"Ответ: {service.title}",
            "traits": [{"$ref": f"{_TRAITS}sent"}],
            "payload": {"$ref": f"{_SCHEMAS}{action}.reply"},
            "examples": [*shown("reply"), _refused()],
        },
    }


def _refused() -> Document:
    """Return the example of an error that every action may answer with."""
    error = {
        "error_code": Code.INVALID_COMMAND.wire,
        "description": Code.INVALID_COMMAND.sentence,
        "fields": [{"path": "properties.headers.x-deadline", "rule": "ожидается момент времени по RFC 3339"}],
    }
    return {"name": "refused", "summary": "Команда не соответствует формату", "payload": {"error": error}}


def _trait(headers: str, properties: Document) -> Document:
    """Return what all messages of one direction share."""
    return {
        "contentType": _JSON,
        "headers": {"$ref": f"{_SCHEMAS}{headers}"},
        "correlationId": {
            "location": "$message.header#/correlation_id",
            "description": "Свойство AMQP correlation_id",
        },
        "x-amqp-properties": properties,
    }


def _event_channel(name: str) -> Document:
    exchange = {"name": EVENTS, "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": name,
        "title": BY_NAME[name].title,
        "description": f"Ключ маршрутизации {name} обменника {EVENTS}; к нему привязана долговечная очередь {name}",
        "messages": {"event": {"$ref": f"{_MESSAGES}event.{name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
    }


def _event_message(name: str) -> Document:
    page = BY_NAME[name]
    example = example_of(page)
    return {
        "name": f"event.{name}",
        "title": page.title,
        "traits": [{"$ref": f"{_TRAITS}sent"}],
        "payload": {"$ref": f"{_SCHEMAS}{name}.event"},
        **({} if example is None else {"examples": [{"name": "event", "payload": example}]}),
    }


def _sends(channel: str, title: str) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"{_CHANNELS}{channel}"},
        "title": title,
        "messages": [{"$ref": f"{_CHANNELS}{channel}/messages/event"}],
    }


def _add(schemas: Document, name: str, schema: Mapping[str, Any], place: str) -> None:
    """Put a schema under ``name`` and its definitions beside it; what is common stands once."""
    own = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
    prefix = f"{_SCHEMAS}{place}."
    common = {f"{prefix}{shared}": f"{_SCHEMAS}{shared}" for shared in COMMON}
    schemas[name] = _joined(referred(own, prefix), common)
    for key, value in schema.get("$defs", {}).items():
        if key not in COMMON:
            schemas[f"{place}.{key}"] = _joined(referred(value, prefix), common)


def _joined(schema: Any, common: Mapping[str, str]) -> Any:
    if isinstance(schema, dict):
        return {
            key: common.get(value, value) if key == "$ref" and isinstance(value, str) else _joined(value, common)
            for key, value in schema.items()
        }
    return [_joined(item, common) for item in schema] if isinstance(schema, list) else schema
