"""A вид сведений of СМЭВ3 as a service: a command's model out as XML, the answer's XML back as a model.

A new one is a module with its two models and a subclass that names them; see zhkh_debt_requests.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lxml import etree
from pydantic.json_schema import GenerateJsonSchema

from adapter.errors import AnswerUnreadableError, ConfigurationError
from adapter.exchange import Call, Reply
from adapter.services.attachments import FIELD, SCHEMA, Taken, rendered
from adapter.services.choices import choice_faults
from adapter.services.command import read_command
from adapter.xml.mapping import load
from adapter.xml.parser import XmlError, parse
from adapter.xml.writing import write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from adapter.errors import FieldFault
    from adapter.exchange import Answer, Command, Example
    from adapter.xml.mapping import XmlModel


_OFFICIAL = "USE_PERSONAL_SIGNATURE"


class InformationType:
    """One request, one answer. Pure: no I/O, no clock.

    The answer's model dumps to ``{"result": …}`` or ``{"error": {…}}`` by itself; what has neither name is wrapped as
    the result. Files that came with an answer are told beside it, as ``attachments``. Roots are named like their
    models, unless said otherwise.
    """

    action: str
    title: str
    gateway: str = "smev3"
    deadline: timedelta = timedelta(days=1)
    schema: str | None = None
    examples: Sequence[Example] = ()
    #: Whether a command may bring files: the field ``attachments`` beside those of its model.
    attachments: ClassVar[bool] = False

    request: ClassVar[type[XmlModel]]
    request_root: ClassVar[etree.QName]
    answer: ClassVar[type[XmlModel]]
    answer_root: ClassVar[etree.QName]

    def __init_subclass__(cls) -> None:
        """Name the roots that the subclass leaves to its models."""
        super().__init_subclass__()
        for model, root in (("request", "request_root"), ("answer", "answer_root")):
            kind = getattr(cls, model, None)
            if kind is not None and not hasattr(cls, root):
                setattr(cls, root, etree.QName(kind.xml_ns.uri, kind.__name__))

    def __init__(self, *, personal_signature: bool = False) -> None:
        """``personal_signature`` wants the official's signature (ЭП-СП): the root then carries an Id to sign by."""
        self._personal_signature = personal_signature

    @classmethod
    def configured(cls, environment: Mapping[str, str]) -> Self:
        """Return the service as ``environment`` configures it, the usual ``make``. Raises ConfigurationError."""
        return cls(personal_signature=read_switches(environment, {_OFFICIAL: False})[_OFFICIAL])

    def start(self, command: Command) -> Call:
        """Return the SendRequest of a command. Raises InvalidCommandError."""
        taken = Taken()
        apart: dict[str, Any] = {"apart": taken.out_of} if self.attachments else {}
        model = read_command(command.body, self.request, rules=self._rules, context=self.context(), **apart)
        # From the command's id, not random: a command always gives the same bytes. An xs:ID starts with a letter.
        identifier = f"id-{command.id}" if self._personal_signature else None
        content = write(model, self.request_root, identifier=identifier)
        return Call(
            self.gateway,
            "SendRequest",
            content,
            official=self._personal_signature,
            attachments=taken.attachments,
        )

    def resume(self, command: Command, answer: Answer) -> Reply:
        """Return the reply from the provider's answer, whole and verbatim. Raises AnswerUnreadableError."""
        try:
            outcome = self._read(answer.content).model_dump(exclude_none=True)
        except XmlError as error:
            raise AnswerUnreadableError(f"Ответ поставщика не читается: {error}") from error
        if "error" not in outcome and "result" not in outcome:
            outcome = {"result": outcome}
        if answer.attachments:
            outcome[FIELD] = rendered(answer.attachments)
        if "error" in outcome:
            return Reply(outcome, code=outcome["error"]["error_code"])
        return Reply(outcome, notes=tuple(self.notes(command, outcome)))

    def _read(self, content: bytes) -> XmlModel:
        element = parse(content)
        if etree.QName(element).text != self.answer_root.text:
            raise XmlError(f"root element is not {self.answer_root.localname} of its namespace")
        return load(element, self.answer)

    def _rules(self, tree: Mapping[str, Any]) -> Iterator[FieldFault]:
        yield from choice_faults(tree, self.request)
        yield from self.rules(tree)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command with its fields' Russian descriptions."""
        schema = self.request.model_json_schema(schema_generator=_FieldSchema)
        for definition in schema.get("$defs", {}).values():
            # A class's docstring is English and for us; its field's description stands where the class is referred to.
            definition.pop("description", None)
        if self.attachments:
            schema = {**schema, "properties": {**schema.get("properties", {}), FIELD: SCHEMA}}
        return {
            **schema,
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.action,
            "description": self.title,
        }

    def context(self) -> object:
        """Return what the request's validators may ask for; an answer never has it."""
        return None

    def rules(self, tree: Mapping[str, Any]) -> Iterable[FieldFault]:  # noqa: ARG002  — for subclasses to use
        """Yield the faults that no field of the command can judge alone; ``tree`` may have wrong types anywhere."""
        return ()

    def notes(self, command: Command, outcome: Mapping[str, Any]) -> Iterable[str]:  # noqa: ARG002  — same
        """Yield what is odd about an answer, to be counted; it is passed on all the same."""
        return ()


class _FieldSchema(GenerateJsonSchema):
    """Without titles made up from field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  — the library's signature
        return False


def read_switches(environment: Mapping[str, str], defaults: Mapping[str, bool]) -> dict[str, bool]:
    """Return the true/false variables named by ``defaults``; an empty one counts as absent.

    Raises ConfigurationError with all wrong ones at once.
    """
    values = {name: environment.get(name, "").strip().lower() for name in defaults}
    wrong = {name: "must be true or false" for name, value in values.items() if value not in ("", "true", "false")}
    if wrong:
        raise ConfigurationError(wrong)
    return {name: value == "true" if value else defaults[name] for name, value in values.items()}
