"""What the actions of ЕПГУ share: who calls, by which profile, and how an answer becomes a reply. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import GenerateJsonSchema

from adapter.errors import AnswerUnreadableError
from adapter.exchange import Call, Example, Reply
from adapter.gateways.epgu.profiles import PROFILES
from adapter.services.command import read_command
from adapter.services.fields import broken

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Answer, Attachment, Command
    from adapter.incoming import Local

GATEWAY = "epgu"
ModelT = TypeVar("ModelT", bound="EpguCommand")


def ruled(pattern: re.Pattern[str], slug: str, rule: str) -> AfterValidator:
    """Return the validator of a text that ``pattern`` must match whole; ``rule`` is the Russian sentence."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise broken(slug, rule)
        return value

    return AfterValidator(check)


def _profile(value: str) -> str:
    if value not in PROFILES:
        raise broken("unknown_profile", f"допустимые значения: {', '.join(PROFILES)}")
    return value


def digits(low: int, high: int, *, sign: bool = False) -> Any:
    """Return the type of a text of ``low`` to ``high`` ASCII digits, with a minus before them where ``sign``."""
    pattern = f"^{'-?' if sign else ''}[0-9]{{{low},{high}}}$"
    return Annotated[str, Field(pattern=pattern)]


OrderId = Annotated[int, Field(gt=0, lt=10**18)]


class CommandModel(BaseModel):
    """A part of a command: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EpguCommand(CommandModel):
    """What every command may say."""

    profile: Annotated[str, AfterValidator(_profile)] | None = Field(
        None, description="Версия спецификации API ЕПГУ; без неё та, что настроена"
    )


class ActedCommand(EpguCommand):
    """A command that is carried out as somebody."""

    key: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="Имя API-Key из настройки ESIA_API_KEYS; без него первый из них"
    )
    person: digits(1, 20) | None = Field(  # type: ignore[valid-type]
        None, description="Идентификатор физического лица в ЕСИА (oid), которое дало согласие"
    )
    token: Annotated[str, Field(min_length=1, max_length=16_384, pattern="^[!-~]+$")] | None = Field(
        None, repr=False, description="Маркер доступа, полученный отправителем команды; продлить его нельзя"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> ActedCommand:
        if sum(value is not None for value in (self.key, self.person, self.token)) > 1:
            raise broken("at_most_one_holder", "можно указать только одно из полей key, person, token")
        return self

    @property
    def who(self) -> dict[str, str]:
        """Whose token the calls go with."""
        given = {"key": self.key, "person": self.person, "token": self.token}
        return {name: value for name, value in given.items() if value is not None}


class ServiceCommand(ActedCommand):
    """A command about an application to a service."""

    service_code: digits(1, 20) = Field(description="Код интерактивной формы на ЕПГУ")  # type: ignore[valid-type]
    target_code: digits(1, 20, sign=True) = Field(description="Код цели обращения услуги в ФРГУ")  # type: ignore[valid-type]
    region: digits(2, 11) = Field(description="Код ОКАТО местоположения пользователя")  # type: ignore[valid-type]

    @property
    def meta(self) -> dict[str, str]:
        """Table 6."""
        return {"region": self.region, "service_code": self.service_code, "target_code": self.target_code}


class EpguAction(ABC, Generic[ModelT]):
    """One action: a model of its command, its first call, and what its answers lead to."""

    action: str
    title: str
    gateway: str = GATEWAY
    deadline: timedelta = timedelta(minutes=15)
    schema: str | None = None
    examples: Sequence[Example] = ()
    command: ClassVar[type[BaseModel]]

    def start(self, command: Command) -> Call:
        """Return the first call. Raises InvalidCommandError."""
        return self.first(self.read(command))

    def read(self, command: Command) -> ModelT:
        """Return the command's model. Raises InvalidCommandError."""
        model: Any = read_command(command.body, self.command)
        return self.checked(model)

    def checked(self, model: ModelT) -> ModelT:
        """Return the model, or raise InvalidCommandError for what no field can judge alone."""
        return model

    @abstractmethod
    def first(self, model: ModelT) -> Call:
        """Return the first call of a command."""

    def resume(self, command: Command, answer: Answer) -> Call | Reply | Local:
        """Return what follows an answer. Raises AnswerUnreadableError."""
        told = orjson.loads(answer.content) if answer.content else None
        if not isinstance(told, dict) or not isinstance(told.get("operation"), str):
            raise AnswerUnreadableError("Ответ ЕПГУ не читается")
        return self.next(self.read(command), told.pop("operation"), told, answer)

    def next(self, model: ModelT, operation: str, told: dict[str, Any], answer: Answer) -> Call | Reply:  # noqa: ARG002  — for subclasses to use
        """Return what follows the answer to ``operation``; by default its content is the result."""
        return Reply({"result": told})

    def known(self, command: Command, answer: Answer | None) -> Mapping[str, Any]:
        """Return the order's number wherever there is one: of the command, or reserved for it."""
        for told in (command.body, answer.content if answer else b""):
            if number := _order_id_in(told):
                return {"order_id": number}
        return {}

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command with its fields' Russian descriptions."""
        schema = self.command.model_json_schema(schema_generator=_FieldSchema)
        for definition in schema.get("$defs", {}).values():
            definition.pop("description", None)
        return {
            **schema,
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.action,
            "description": self.title,
        }


def call(operation: str, model: EpguCommand, attachments: Sequence[Attachment] = (), /, **content: Any) -> Call:
    """Return the call of an operation: what the command says of holder and profile, and ``content``.

    A call about an order joins its exchange to the others of that number.
    """
    told: dict[str, Any] = {name: value for name, value in content.items() if value is not None}
    if isinstance(model, ActedCommand):
        told["who"] = model.who
    if model.profile is not None:
        told["profile"] = model.profile
    subject = str(told["order_id"]) if "order_id" in told else ""
    return Call(GATEWAY, operation, orjson.dumps(told), attachments=attachments, subject=subject)


def _order_id_in(text: bytes) -> int | None:
    """Return the field ``order_id`` of JSON, where it is a number."""
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    number = told.get("order_id") if isinstance(told, dict) else None
    return number if type(number) is int else None


class _FieldSchema(GenerateJsonSchema):
    """Without titles made up from field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  — the library's signature
        return False
