"""What the services of the ШЭП share: the parts of their commands, and what the registry says of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from adapter.errors import FieldFault, InvalidCommandError
from adapter.exchange import Call, Reply
from adapter.settings.shep_registry import ShepRegistry, read_registry
from adapter.settings.values import WrongValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Answer
    from adapter.settings.shep_registry import Service as Registered

VARIABLE: Final = "SHEP_SERVICES_FILE"
#: Where a command of the ШЭП holds XML or text that goes byte for byte.
VERBATIM: Final = frozenset({"request_data.data.content", "message_data.data.content", "data.content", "content"})
SignData = Literal["none", "system", "official"]


class Strict(BaseModel):
    """A part of a command: nothing unknown in it, no type guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class DataType(Strict):
    """The type of typed data."""

    namespace: str = Field(max_length=1000, description="Пространство имён типа")
    name: str = Field(min_length=1, max_length=200, description="Имя типа (xsi:type)")


class Data(Strict):
    """Business data."""

    form: Literal["child", "text", "typed"] | None = Field(
        None, description="Вид: child — элемент, text — символы, typed — содержимое типа; по умолчанию из реестра"
    )
    content: str = Field(description="Содержимое: XML или текст, передаётся байт в байт")
    type: DataType | None = Field(None, description="Тип содержимого для typed")


class Property(Strict):
    """One property of a message."""

    key: str = Field(max_length=30, description="Ключ")
    value: str = Field(max_length=500, description="Значение")


class Holder(Strict):
    """What holds the business data."""

    data: Data = Field(description="Бизнес-данные")


PROPERTIES: Final[Any] = Field(default=[], max_length=100, description="Дополнительные параметры")
Id = Annotated[str, Field(min_length=1, max_length=255)]


def registry_of(environment: Mapping[str, str]) -> ShepRegistry:
    """Return the registry that ``environment`` names; the settings have refused a faulty one before."""
    named = environment.get(VARIABLE, "").strip()
    if not named:
        return ShepRegistry()
    try:
        return read_registry(named)
    except WrongValueError:  # told by the settings, with everything else that is wrong
        return ShepRegistry()


def registered(registry: ShepRegistry, service_id: str, path: str, *, sync: bool | None) -> Registered:
    """Return the service of a command. Raises InvalidCommandError for one that is not registered for this channel."""
    found = registry.service(service_id)
    if found is None:
        raise InvalidCommandError([FieldFault(path, "сервис не указан в реестре сервисов")])
    if sync is not None and not (found.is_sync if sync else found.is_async):
        mode = "синхронно" if sync else "асинхронно"
        raise InvalidCommandError([FieldFault(path, f"по реестру сервис не вызывается {mode}")])
    return found


def check_route(service: Registered, route_id: str | None, path: str) -> None:
    """Hold a command to the service's routes. Raises InvalidCommandError."""
    known = {route.name for route in service.routes}
    if service.routing and route_id not in known:
        raise InvalidCommandError([FieldFault(path, "у сервиса есть маршруты, нужен один из них")])
    if not service.routing and route_id is not None:
        raise InvalidCommandError([FieldFault(path, "у сервиса нет маршрутов")])


def data_of(data: Data, service: Registered | None) -> dict[str, Any]:
    """Return business data as a call carries them; ``service`` says the form where the command does not."""
    form = data.form or (service.data_form if service is not None else "child")
    found: dict[str, Any] = {"form": form, "content": data.content}
    if data.type is not None:
        found["type"] = data.type.model_dump()
    return found


def plain(model: BaseModel) -> dict[str, Any]:
    """Return a part of a command as JSON, without what is not there."""
    return {name: value for name, value in model.model_dump(exclude_none=True).items() if value != []}


def described(action: str, title: str, model: type[BaseModel]) -> Mapping[str, Any]:
    """Return the JSON Schema of a command."""
    return {
        **model.model_json_schema(),
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": action,
        "description": title,
    }


def called(gateway: str, operation: str, content: Mapping[str, Any], *, subject: str = "", note: str = "") -> Call:
    """Return a call with its content as the gateway's client takes it."""
    return Call(gateway, operation, orjson.dumps(content), subject=subject, note=note)


def service_named(body: bytes) -> str:
    """Return the service that a command's body names, '' for a body that names none or is not readable."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    parts = [tree, *(tree.get(name) for name in ("request_info", "message_info"))] if isinstance(tree, dict) else []
    named = [part.get("service_id") for part in parts if isinstance(part, dict)]
    return next((name for name in named if isinstance(name, str)), "")


def answered(answer: Answer) -> Reply:
    """Return the reply that is the gateway's answer, in snake_case of the XSD's names."""
    return Reply({"result": orjson.loads(answer.content)})
