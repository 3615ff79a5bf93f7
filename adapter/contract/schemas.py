"""JSON Schemas of commands, replies and events, taken from the models that read and write them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from adapter.contract.catalog import services
from adapter.contract.events import BY_NAME
from adapter.contract.words import WORDS
from adapter.services.attachments import FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.exchange import Service

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEFINITIONS: Final = "$defs"
_REFERENCE: Final = "#/$defs/"

#: The body of ``{"error": …}``, whatever the action.
ERROR: Final[Schema] = {
    "type": "object",
    "title": "Error",
    "required": ["error_code", "description"],
    "properties": {
        "error_code": {"type": "string", "description": "ADAPTER-… либо код шлюза или поставщика, дословно"},
        "description": {"type": "string", "description": "Описание ошибки"},
        "stacktrace": {"type": "string", "description": "StackTrace, если его прислали"},
        "fields": {
            "type": "array",
            "maxItems": 101,
            "description": "Нарушенные правила; значения не повторяются",
            "items": {
                "type": "object",
                "required": ["path", "rule"],
                "properties": {
                    "path": {"type": "string", "description": "Место: actions[0].request_id, properties.…, body"},
                    "rule": {"type": "string", "description": "Правило"},
                },
            },
        },
        "details": {"type": "object", "description": "Что ещё известно"},
        "recommendation": {"type": "string", "description": "Что делать"},
    },
}
#: A file that came with an answer.
STORED_FILE: Final[Schema] = {
    "type": "object",
    "title": "StoredFile",
    "required": ["name", "mime_type", "size", "sha256"],
    "oneOf": [{"required": ["content_base64"]}, {"required": ["path"]}],
    "properties": {
        "name": {"type": "string", "description": "Имя, как его указал отправитель"},
        "mime_type": {"type": "string", "description": "Тип содержимого, как его указал отправитель"},
        "size": {"type": "integer", "minimum": 0, "description": "Размер, байт"},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256"},
        "content_base64": {
            "type": "string",
            "contentEncoding": "base64",
            "description": "Содержимое, если файл не больше 256 000 байт",
        },
        "path": {"type": "string", "description": "Путь от FILES_ROOT, если файл больше"},
    },
}
#: What replies to ``x-dry-run``.
DRY_RUN: Final[Schema] = {
    "type": "object",
    "title": "DryRun",
    "required": ["dry_run"],
    "properties": {
        "dry_run": {"const": True, "description": "Ничего не отправлено"},
        "message_id": {"type": "string", "description": "Идентификатор, который получил бы запрос"},
        "xml": {"type": "string", "description": "Запрос, как он был бы отправлен"},
        "json": {"type": "object", "description": "Запрос шлюзу, который принимает JSON"},
        "files": {
            "type": "array",
            "description": "Файлы, которые были бы отправлены с запросом",
            "items": {
                "type": "object",
                "required": ["name", "size", "sha256"],
                "properties": {
                    "name": {"type": "string", "description": "Имя файла"},
                    "size": {"type": "integer", "minimum": 0, "description": "Размер, байт"},
                    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256"},
                },
            },
        },
    },
}
#: The common member of an event.
ABOUT: Final[Schema] = {
    "type": "object",
    "title": "About",
    "required": ["id", "action"],
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "Номер обмена: заголовок x-adapter-command-id"},
        "action": {"type": "string", "description": "Действие"},
        "message_id": {"type": "string", "description": "message_id команды или сообщения шлюза"},
        "correlation_id": {"type": "string", "description": "correlation_id команды"},
    },
}
COMMON: Final[Mapping[str, Schema]] = {
    "Error": ERROR,
    "StoredFile": STORED_FILE,
    "DryRun": DRY_RUN,
    "About": ABOUT,
}


def command_schema(service: Service) -> Schema:
    """Return the JSON Schema of an action's command, without what the generator makes up."""
    schema = _cleaned(service.command_schema())
    for definition in schema.get(_DEFINITIONS, {}).values():
        # A class's docstring is English and for us; its field's description stands where the class is referred to.
        definition.pop("description", None)
    return {"$schema": DIALECT, **{name: value for name, value in schema.items() if name != "$schema"}}


def reply_schema(service: Service) -> Schema:
    """Return the JSON Schema of an action's reply: exactly one of ``result`` and ``error``."""
    result, definitions = _result(service)
    properties: Schema = {
        "result": {"anyOf": [result, {"$ref": f"{_REFERENCE}DryRun"}], "description": "Результат"},
        "error": {"$ref": f"{_REFERENCE}Error", "description": "Ошибка"},
        FIELD: {"type": "array", "items": {"$ref": f"{_REFERENCE}StoredFile"}, "description": "Файлы ответа"},
    }
    return {
        "$schema": DIALECT,
        "title": f"{service.action}: ответ",
        "description": f"Ответ: {service.title}",
        "type": "object",
        "properties": properties,
        "oneOf": [{"required": ["result"]}, {"required": ["error"]}],
        _DEFINITIONS: {**definitions, **_common("Error", "StoredFile", "DryRun")},
    }


def event_schema(name: str) -> Schema:
    """Return the JSON Schema of an event's body."""
    page = BY_NAME[name]
    about = {"$ref": f"{_REFERENCE}About"}
    told = {member.name: {**member.schema, "description": member.description} for member in page.members}
    schema: Schema = {
        "$schema": DIALECT,
        "title": name,
        "description": page.title,
        "type": "object",
        "required": [member.name for member in page.members if member.required],
        "properties": {
            **told,
            "command": {**about, "description": "О какой команде речь"},
            "exchange": {**about, "description": "О каком обмене, начатом шлюзом, речь"},
        },
        "oneOf": [{"required": ["command"]}, {"required": ["exchange"]}],
    }
    used = ["About", *(name for name in ("Error", "StoredFile") if f"{_REFERENCE}{name}" in str(told))]
    return {**schema, _DEFINITIONS: _common(*used)}


def referred(schema: Any, place: str) -> Any:
    """Return ``schema`` with its references to definitions turned to ``place`` (a prefix of JSON pointers)."""
    if isinstance(schema, dict):
        return {
            name: place + value.removeprefix(_REFERENCE)
            if name == "$ref" and isinstance(value, str)
            else referred(value, place)
            for name, value in schema.items()
        }
    return [referred(item, place) for item in schema] if isinstance(schema, list) else schema


def _common(*names: str) -> Schema:
    return {name: COMMON[name] for name in names}


def _result(service: Service) -> tuple[Schema, Schema]:
    """Return the schema of a result and its definitions: the answer's model says it, else the examples show it."""
    answer = getattr(service, "answer", None)
    if answer is None:
        shown = [example.reply["result"] for example in service.examples if "result" in example.reply]
        return inferred(shown, _words(service)), {}
    schema = _cleaned(answer.model_json_schema(mode="serialization"))
    definitions: Schema = schema.pop(_DEFINITIONS, {})
    for definition in definitions.values():
        definition.pop("description", None)
    members = schema.get("properties", {})
    if "result" in members:
        return members["result"], definitions
    whole = {name: member for name, member in members.items() if name != "error"}
    return {"type": "object", "properties": whole}, definitions


def _words(service: Service) -> Mapping[str, str]:
    """Return descriptions by name: of fields of commands to the same gateway, of this one, of members of results."""
    alike = [other for other in services().values() if other.gateway == service.gateway]
    found = {name: word for one in (*alike, service) for name, word in _described(one.action)}
    return {**found, **WORDS.get(service.gateway, {})}


@cache
def _described(action: str) -> Sequence[tuple[str, str]]:
    """Return the descriptions of a command's fields."""
    command = command_schema(services()[action])
    parts = [*command.get(_DEFINITIONS, {}).values(), command]
    named = [(name, member.get("description")) for part in parts for name, member in part.get("properties", {}).items()]
    return [(name, word) for name, word in named if word]


def inferred(values: Sequence[Any], words: Mapping[str, str]) -> Schema:
    """Return the widest honest schema of what the examples show: members and types, nothing demanded.

    ``words`` are descriptions by name.
    """
    kinds = {kind for value in values for kind in _kinds(value)}
    schema: Schema = {"type": sorted(kinds)} if kinds and "null" not in kinds else {}
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list | tuple)]
    if objects:
        names = dict.fromkeys(name for value in objects for name in value)
        schema["properties"] = {
            name: inferred([value[name] for value in objects if name in value], words)
            | ({"description": words[name]} if words.get(name) else {})
            for name in names
        }
    if any(lists):
        schema["items"] = inferred([item for value in lists for item in value], words)
    if len(kinds) == 1 and "type" in schema:
        (schema["type"],) = kinds
    return schema


def _kinds(value: Any) -> Iterator[str]:
    if value is None:
        yield "null"
    elif isinstance(value, bool):
        yield "boolean"
    elif isinstance(value, int):
        yield "integer"
    elif isinstance(value, float):
        yield "number"
    elif isinstance(value, str):
        yield "string"
    else:
        yield "object" if isinstance(value, dict) else "array"


def _cleaned(schema: Mapping[str, Any]) -> Schema:
    """Return a deep copy without the titles that are made up from the names of fields."""
    copy: Schema = {}
    for name, value in schema.items():
        if name in ("properties", _DEFINITIONS):
            copy[name] = {member: _cleaned(part) for member, part in value.items()}
            for part in copy[name].values() if name == "properties" else ():
                part.pop("title", None)
        elif isinstance(value, dict) and name not in ("const", "default", "examples"):
            copy[name] = _cleaned(value)
        elif isinstance(value, list):
            copy[name] = [_cleaned(part) if isinstance(part, dict) else part for part in value]
        else:
            copy[name] = value
    return copy
