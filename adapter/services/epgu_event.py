"""Events of an order for the citizen's personal account on ЕПГУ: one СМЭВ3 request each, answered by a code.

It is ``eventServiceRequest`` of ``schemas/epgu-event/3.1.1``. Which event an action sends is its :class:`Kind`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar

from lxml import etree
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from adapter.errors import AdapterError, AnswerUnreadableError, Code, FieldFault, KnownError
from adapter.exchange import Call, Reply
from adapter.incoming import Look
from adapter.services.command import read_command
from adapter.services.epgu_correspondence_types import (
    ENV_VARIABLE,
    EVENT_NAMESPACE,
    NAMESPACE_VARIABLE,
    UNASKED_VARIABLE,
    OrderType,
    read_choice,
    read_types,
    type_of,
)
from adapter.services.fields import Date, broken
from adapter.xml.parser import XmlError, parse, serialize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from adapter.exchange import Answer, Command, Example
    from adapter.incoming import Found

#: What brings orders, messages and cancellations; its subject is the order's number.
REQUEST: Final = "epgu.order.request"
#: Left at an order by a status that lets the citizen write.
MAY_WRITE: Final = "sendMessageAllowed"
SCHEMA: Final = "epgu-event/3.1.1/event.xsd"
#: In the result of a message to a citizen who was never allowed to write.
UNASKED: Final = "Ни один статус заявления не разрешал переписку (send_message_allowed)"
ENVS: Final = ("DEV", "UAT", "EXUAT", "SVCDEV", "TCOD", "PROD")
_MOMENT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"


def _real_moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise broken("no_such_moment", "такой даты или времени нет") from None
    if moment.utcoffset() is not None and abs(moment.utcoffset() or timedelta()) > timedelta(hours=14):
        raise broken("no_such_offset", "смещение часового пояса не больше 14 часов")
    return text


def _real_date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise broken("no_such_date", "такой даты нет") from None
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise broken("blank", "значение не может состоять из одних пробелов")
    return text


#: An order's number on ЕПГУ.
OrderId = Annotated[int, Field(ge=1, le=2**63 - 1, description="Номер заявления в личном кабинете ЕПГУ")]
#: A moment with its offset, kept as text.
Moment = Annotated[str, Field(pattern=_MOMENT), AfterValidator(_real_moment)]
#: A day that the calendar has, kept as text.
Day = Annotated[Date, AfterValidator(_real_date)]
#: A text that the citizen reads.
Text2048 = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_not_blank)]


class Strict(BaseModel):
    """A command's model: no unknown fields, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class EventCommand(Strict):
    """What every event may say beside itself."""

    order_id: OrderId
    date: Moment | None = Field(
        None, description="Дата и время события со смещением, например 2026-03-01T15:00:00+03:00"
    )
    author: str | None = Field(None, min_length=1, max_length=256, description="ФИО сотрудника")

    @property
    def text(self) -> str | None:
        """What stands in ``eventComment``."""
        return None


class StatusFields(Strict):
    """A status: the agency's code or that of ЕПГУ, and what the citizen may do under it."""

    org_code: str | None = Field(None, min_length=1, max_length=20, description="Код ведомства")
    tech_code: int | None = Field(None, ge=-(2**15), le=2**15 - 1, description="Код статуса ЕПГУ")
    cancel_allowed: bool | None = Field(None, description="Заявитель может отменить заявление")
    send_message_allowed: bool | None = Field(None, description="Заявитель может написать в ведомство")


def one_code(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    """Yield the fault of a command that has not exactly one status code."""
    yield from exactly_one(tree, "org_code", "tech_code")


def exactly_one(tree: Mapping[str, Any], *names: str) -> Iterator[FieldFault]:
    """Yield the fault of a command that has not exactly one of these fields."""
    if sum(tree.get(name) is not None for name in names) != 1:
        yield FieldFault("body", f"должно быть указано ровно одно из полей: {', '.join(names)}")


def no_rules(_tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    """Yield nothing."""
    yield from ()


ModelT = TypeVar("ModelT", bound=EventCommand)


@dataclass(frozen=True, slots=True)
class Kind(Generic[ModelT]):
    """One action: its command, and how the element inside ``event`` is written.

    ``note`` is what a taken command leaves at its order, ``unasked`` whether the citizen's leave to write is asked for.
    """

    action: str
    title: str
    model: type[ModelT]
    write: Callable[[Writer, etree._Element, ModelT], None]
    examples: Sequence[Example]
    rules: Callable[[Mapping[str, Any]], Iterator[FieldFault]] = no_rules
    note: Callable[[ModelT], str] = lambda _model: ""
    unasked: bool = False


class Writer:
    """Writes elements of one namespace; ``None`` is an absent element."""

    def __init__(self, namespace: str, prefix: str) -> None:
        """``prefix`` is what the root declares."""
        self.namespace = namespace
        self._prefix = prefix

    def root(self, name: str) -> etree._Element:
        """Return a root element."""
        return etree.Element(f"{{{self.namespace}}}{name}", nsmap={self._prefix: self.namespace})

    def add(self, parent: etree._Element, name: str, value: str | int | bool | None = "") -> etree._Element | None:  # noqa: FBT001  — a value of XML
        """Add an element with its text. Returns it, ``None`` where there is none."""
        if value is None:
            return None
        element = etree.SubElement(parent, f"{{{self.namespace}}}{name}")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        element.text = text or None
        return element

    def inside(self, parent: etree._Element, name: str) -> etree._Element:
        """Add an element that others are put into."""
        return etree.SubElement(parent, f"{{{self.namespace}}}{name}")

    def status(self, parent: etree._Element, status: StatusFields) -> None:
        """Add ``statusCode`` with the one code that is given."""
        code = self.inside(parent, "statusCode")
        self.add(code, "orgCode", status.org_code)
        self.add(code, "techCode", status.tech_code)

    def leave(self, parent: etree._Element, status: StatusFields) -> None:
        """Add what the citizen may do."""
        self.add(parent, "cancelAllowed", status.cancel_allowed)
        self.add(parent, "sendMessageAllowed", status.send_message_allowed)


@dataclass(frozen=True, slots=True)
class Options:
    """How this deployment sends events. They carry no official's signature: their root has no Id to sign by."""

    types: Sequence[OrderType] = ()
    namespace: str = EVENT_NAMESPACE
    env: str = "DEV"
    refuse_unasked: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Options:
        """Return the options of an environment. Raises ConfigurationError."""
        return cls(
            types=read_types(environment),
            namespace=environment.get(NAMESPACE_VARIABLE, "").strip() or EVENT_NAMESPACE,
            env=read_choice(environment, ENV_VARIABLE, ENVS),
            refuse_unasked=read_choice(environment, UNASKED_VARIABLE, ("warn", "refuse")) == "refuse",
        )


class EpguEvents(Generic[ModelT]):
    """The service of one kind of events. Pure: no I/O, no clock."""

    gateway = "smev3"
    deadline = timedelta(days=1)

    def __init__(self, kind: Kind[ModelT], options: Options) -> None:
        """``options`` say where events go."""
        self.action = kind.action
        self.title = kind.title
        self.examples = kind.examples
        self._kind = kind
        self._options = options
        #: A namespace that is not ours has no schema here: ЕПГУ alone judges its messages.
        self.schema: str | None = SCHEMA if options.namespace == EVENT_NAMESPACE else None

    def start(self, command: Command) -> Look:
        """Look the order up. Raises InvalidCommandError."""
        return Look((REQUEST,), str(self._model(command).order_id))

    def found(self, command: Command, found: Found) -> Call | Reply:
        """Return the request of an event; after its answer, the reply. Raises KnownError."""
        model, options = self._model(command), self._options
        unasked = f"unasked:{command.id}"
        if unasked in found.notes:
            # Its own call left this note, and nothing is looked up between that call and its answer.
            return Reply({"result": {**_taken(model), "warnings": [UNASKED]}})
        if f"asked:{command.id}" in found.notes:
            return Reply({"result": _taken(model)})
        note = self._kind.note(model)
        if self._kind.unasked:
            note = f"asked:{command.id}" if MAY_WRITE in found.notes else unasked
            if note == unasked and options.refuse_unasked:
                raise KnownError(Code.MESSAGE_NOT_ALLOWED)
        order_type = None if found.request is None else type_of(options.types, found.request.incoming.facts)
        env = options.env if order_type is None or order_type.env is None else order_type.env
        order = str(model.order_id)
        return Call(
            self.gateway,
            "SendRequest",
            self._content(model, env),
            lane=lane_of(order),
            subject=order,
            note=note,
        )

    def resume(self, command: Command, answer: Answer) -> Reply | Look:
        """Return what ЕПГУ said. Raises AdapterError with its code, AnswerUnreadableError."""
        code, message = _answered(answer.content, self._options.namespace)
        if code:
            raise AdapterError(str(code), message or "ЕПГУ не приняла событие")
        model = self._model(command)
        if self._kind.unasked:
            return Look((REQUEST,), str(model.order_id))
        return Reply({"result": _taken(model)})

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self._kind.model, self.action, self.title)

    def _model(self, command: Command) -> ModelT:
        return read_command(command.body, self._kind.model, rules=self._kind.rules)

    def _content(self, model: ModelT, env: str) -> bytes:
        writer = Writer(self._options.namespace, "ns")
        root = writer.root("eventServiceRequest")
        # Before 3.1.1 the namespace itself named the contour (…/event/PROD/3.1.0) and there was no attribute.
        if not set(ENVS) & set(self._options.namespace.split("/")):
            root.set("env", env)
        writer.add(root, "orderId", model.order_id)
        writer.add(root, "eventDate", model.date)
        writer.add(root, "eventComment", model.text)
        writer.add(root, "eventAuthor", model.author)
        self._kind.write(writer, writer.inside(root, "event"), model)
        return serialize(root)


def lane_of(order: str) -> str:
    """Return the lane that keeps everything said about one order in its turn."""
    return f"epgu.order:{order}"


def described(model: type[BaseModel], action: str, title: str) -> Mapping[str, Any]:
    """Return the JSON Schema of a command."""
    schema = model.model_json_schema()
    for definition in (schema, *schema.get("$defs", {}).values()):
        definition.pop("description", None)
    return {
        **schema,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": action,
        "description": title,
    }


def _taken(model: EventCommand) -> dict[str, Any]:
    return {"order_id": model.order_id, "code": 0}


def _answered(content: bytes, namespace: str) -> tuple[int, str]:
    """Return code and message of an eventServiceResponse. Raises AnswerUnreadableError."""
    try:
        root = parse(content)
        if root.tag != f"{{{namespace}}}eventServiceResponse":
            raise AnswerUnreadableError("Ответ ЕПГУ не является eventServiceResponse")
        return int(root.findtext(f"{{{namespace}}}code", "")), root.findtext(f"{{{namespace}}}message", "")
    except (XmlError, ValueError):
        raise AnswerUnreadableError("Ответ ЕПГУ не читается") from None
