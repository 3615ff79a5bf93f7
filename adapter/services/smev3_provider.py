"""Requests of other systems through СМЭВ3: each becomes an event, upstream answers by a command.

For every вид сведений that has no service of its own. What comes in and what goes out is the business XML itself.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from lxml import etree
from pydantic import BaseModel, ConfigDict, Field

from adapter.errors import Code, FieldFault, InvalidCommandError, KnownError
from adapter.exchange import Call, Event, Example, Progress, Refusal, Reply, Word
from adapter.incoming import Done, Look
from adapter.paths import SCHEMAS
from adapter.services.attachments import FIELD, SCHEMA, Taken, rendered
from adapter.services.command import read_command
from adapter.services.information_type import read_switches
from adapter.xml.parser import XmlError, parse, serialize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from adapter.exchange import Answer, Attachment, Command
    from adapter.incoming import Found, Incoming, Request

REQUEST: Final = "smev3.request"
ANSWER: Final = "smev3.request.answer"
RECEIVED: Final = "smev3.request.received"
UNKNOWN: Final = "smev3.request.unknown"
CANCELLED: Final = "smev3.request.cancelled"
#: A word that СМЭВ3 took and then rejected.
ANSWER_FAILED: Final = f"{ANSWER}.failed"
_OFFICIAL: Final = "USE_PERSONAL_SIGNATURE"
_PROVIDES: Final = "SMEV_PROVIDES"
_CHOICE: Final = ("content_xml", "rejections", "status")
_XSD: Final = "{http://www.w3.org/2001/XMLSchema}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Rejection(_Strict):
    """One reason of a rejection."""

    code: Literal["ACCESS_DENIED", "NO_DATA", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"] = Field(
        description="Код причины отклонения"
    )
    description: str = Field(min_length=1, max_length=4000, description="Пояснение; потребитель читает его дословно")


class Parameter(_Strict):
    """One parameter of a status."""

    key: str = Field(min_length=1, max_length=50, description="Имя")
    value: str = Field(max_length=4000, description="Значение")


class Status(_Strict):
    """How far the request has come."""

    code: str = Field(min_length=1, max_length=50, description="Код статуса; в версиях 1.1 и 1.3 — 32-битное число")
    description: str = Field(min_length=1, max_length=4000, description="Пояснение")
    parameters: list[Parameter] = Field(default=[], max_length=100, description="Параметры статуса")


class AnswerCommand(_Strict):
    """The body of a command: the request, and exactly one of three words to it."""

    message_id: str = Field(min_length=1, max_length=255, description="message_id запроса из события")
    content_xml: str | None = Field(None, min_length=1, description="Ответ: корневой элемент вида сведений")
    rejections: list[Rejection] | None = Field(None, min_length=1, max_length=100, description="Отказ: причины")
    status: Status | None = Field(None, description="Статус: сколько угодно до ответа или отказа")


EXAMPLES: Final[Sequence[Example]] = (
    Example(
        "Отказ: данных нет",
        {
            "message_id": "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002",
            "rejections": [{"code": "NO_DATA", "description": "Сведения не найдены"}],
        },
        {
            "result": {
                "message_id": "8d2f305b-c6a1-11f0-9d0b-0242ac120002",
                "request_message_id": "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002",
                "final": True,
            }
        },
    ),
)


class Smev3Requests:
    """Takes what no other provider takes: requests of SMEV_PROVIDES become events, others wait for a person."""

    action = REQUEST
    title = "Запросы других систем через СМЭВ3"
    gateway = "smev3"
    deadline = timedelta(days=1)
    events: Sequence[str] = (RECEIVED, UNKNOWN, CANCELLED)

    def __init__(self, provides: Sequence[tuple[str, str]] | None) -> None:
        """``provides`` are namespaces and roots; none of them is every one, ``None`` is no one."""
        self.provides: Sequence[tuple[str, str]] = provides or ()
        self._known = None if provides == () else frozenset(provides or ())

    def subject(self, incoming: Incoming) -> str:  # noqa: ARG002 — what the business id is only the business knows
        """Return that it has none."""
        return ""

    def begin(self, incoming: Incoming) -> Done:
        """Tell of the request; one that is not provided here is told of and kept for a person."""
        facts = incoming.facts
        if "cancels" in facts:
            told = {"message_id": incoming.key, "cancels": facts["cancels"], "sender": facts.get("sender", "")}
            return Done([Event(CANCELLED, told)])
        name = (facts.get("namespace", ""), facts.get("root", ""))
        body = _told(incoming)
        if self._known is not None and name not in self._known:
            return Done([Event(UNKNOWN, body)], KnownError(Code.UNKNOWN_REQUEST))
        return Done([Event(RECEIVED, body)])

    def proceed(self, incoming: Incoming, answer: Answer) -> Done:  # noqa: ARG002 — it makes no call
        """Have nothing to proceed from."""
        raise KnownError(Code.INTERNAL)


def _told(incoming: Incoming) -> dict[str, Any]:
    """Return the body of an event about a request."""
    facts = {name: value for name, value in incoming.facts.items() if name not in ("broadcast", "cancels")}
    return {
        "message_id": incoming.key,
        **facts,
        "content_xml": incoming.content.decode(errors="replace"),
        "test": incoming.test,
        "reply_expected": bool(incoming.reply_to),
        "attachments": rendered(incoming.attachments),
    }


class Smev3Answer:
    """Says a word to a request: content, a rejection or a status. Pure: no I/O, no clock."""

    action = ANSWER
    title = "Ответ на запрос другой системы через СМЭВ3"
    gateway = "smev3"
    deadline = timedelta(days=1)
    schema: str | None = None
    examples: Sequence[Example] = EXAMPLES
    events: Sequence[str] = (ANSWER_FAILED,)

    def __init__(self, *, personal_signature: bool = False) -> None:
        """``personal_signature`` wants the official's signature (ЭП-СП) over content."""
        self._personal_signature = personal_signature

    @property
    def schemas(self) -> Sequence[str]:
        """Our XSDs that content may be checked by."""
        return tuple(sorted(set(known_schemas().values())))

    def start(self, command: Command) -> Look:
        """Look the request up. Raises InvalidCommandError."""
        model, _ = _read(command)
        _content(model)
        return Look((REQUEST,), model.message_id)

    def found(self, command: Command, found: Found) -> Call:
        """Return the SendResponse. Raises KnownError for a request that is not there or wants no such word."""
        model, attachments = _read(command)
        request = _answerable(found)
        key = request.incoming.key
        element = _content(model)
        instead: Refusal | Progress | None = None
        content, schema = b"", None
        if element is not None:
            if self._personal_signature and not element.get("Id"):
                element.set("Id", f"id-{command.id}")
            content = serialize(element)
            schema = known_schemas().get((etree.QName(element).namespace or "", etree.QName(element).localname))
        elif model.rejections is not None:
            instead = Refusal([(reason.code, reason.description) for reason in model.rejections])
        elif model.status is not None:
            parameters = {parameter.key: parameter.value for parameter in model.status.parameters}
            instead = Progress(model.status.code, model.status.description, parameters)
        return Call(
            self.gateway,
            "SendResponse",
            content,
            official=self._personal_signature and element is not None,
            lane=f"{REQUEST}:{key}",
            attachments=attachments,
            reply_to=request.incoming.reply_to,
            instead=instead,
            word=Word(request.id, last=model.status is None),
            subject=request.incoming.subject or key,
            schema=schema,
        )

    def resume(self, command: Command, answer: Answer) -> Reply:
        """Return what СМЭВ3 took: the MessageID of the word, and whether it was the last one."""
        model, _ = _read(command)
        said = {"message_id": answer.reference, "request_message_id": model.message_id, "final": model.status is None}
        return Reply({"result": said})

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        schema = AnswerCommand.model_json_schema()
        return {
            **schema,
            "properties": {**schema["properties"], FIELD: SCHEMA},
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.action,
            "description": self.title,
            "oneOf": [{"required": [name]} for name in _CHOICE],
        }


def _read(command: Command) -> tuple[AnswerCommand, Sequence[Attachment]]:
    """Return the command and its files. Raises InvalidCommandError."""
    taken = Taken()
    model = read_command(command.body, AnswerCommand, rules=_rules, apart=taken.out_of)
    if taken.attachments and model.content_xml is None:
        raise InvalidCommandError([FieldFault(FIELD, "файлы передаются только с content_xml")])
    return model, taken.attachments


def _rules(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    if sum(tree.get(name) is not None for name in _CHOICE) != 1:
        yield FieldFault("body", f"должно быть указано ровно одно из полей: {', '.join(_CHOICE)}")


def _content(model: AnswerCommand) -> etree._Element | None:
    """Return the business root, ``None`` for another word. Raises InvalidCommandError."""
    if model.content_xml is None:
        return None
    try:
        return parse(model.content_xml.encode())
    except (XmlError, UnicodeEncodeError) as error:
        rule = str(error) if isinstance(error, XmlError) else "not encodable"
        raise InvalidCommandError([FieldFault("content_xml", f"не читается как XML: {rule}")]) from None


def _answerable(found: Found) -> Request:
    """Return the request that may be answered. Raises KnownError."""
    if found.request is None:
        raise KnownError(Code.REQUEST_NOT_FOUND)
    if not found.request.incoming.reply_to:
        raise KnownError(Code.NO_ANSWER_WANTED)
    if found.request.answered:
        raise KnownError(Code.ALREADY_ANSWERED)
    return found.request


@cache
def known_schemas() -> Mapping[tuple[str, str], str]:
    """Return our XSDs below schemas/ by the roots (namespace, local name) that they declare, СМЭВ3's own left out."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(SCHEMAS.glob("*/*/*.xsd")):
        place = path.relative_to(SCHEMAS).as_posix()
        if place.startswith("smev3/"):
            continue
        root = parse(path.read_bytes())
        namespace = root.get("targetNamespace", "")
        for element in root.iterchildren(f"{_XSD}element"):
            found.setdefault((namespace, element.get("name", "")), place)
    return found


def make(environment: Mapping[str, str]) -> Smev3Answer:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    return Smev3Answer(personal_signature=read_switches(environment, {_OFFICIAL: False})[_OFFICIAL])


def make_providers(environment: Mapping[str, str], actions: Collection[str]) -> list[Smev3Requests]:
    """Return the provider where requests are wanted and their answers are served."""
    wanted = environment.get(_PROVIDES, "").strip()
    if not wanted or ANSWER not in actions:
        return []
    if wanted == "*":
        return [Smev3Requests(())]
    names = (item.strip().rpartition("#") for item in wanted.split(",") if item.strip())
    return [Smev3Requests([(namespace, root) for namespace, _, root in names])]
