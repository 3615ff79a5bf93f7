"""Answers to synchronous requests that the ШЭП brings: upstream gives them by a command, on whichever worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import Field

from adapter.errors import Code, FieldFault, KnownError
from adapter.exchange import Example
from adapter.incoming import Look, Say
from adapter.services.command import read_command
from adapter.services.shep_arrivals import PATIENCE, REQUEST
from adapter.services.shep_common import VARIABLE, VERBATIM, Data, Id, Strict, data_of, described, plain, registry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.exchange import Answer, Command, Reply, Service
    from adapter.incoming import Found
    from adapter.settings.shep_registry import ShepRegistry

ANSWER: Final = "shep.sync.answer"
MODES: Final = (VARIABLE,)


class Verdict(Strict):
    """The status of an answer."""

    code: str = Field("Success", min_length=1, max_length=250, description="Код статуса")
    message: str = Field("Успешно", min_length=1, max_length=250, description="Пояснение")


class AnswerError(Strict):
    """Why there is no answer."""

    error_code: Id = Field(description="Код ошибки")
    error_message: str = Field(min_length=1, max_length=4000, description="Сообщение об ошибке")
    error_data: str | None = Field(None, max_length=4000, description="Данные ошибки")


class AnswerCommand(Strict):
    """The body of a command: which request, and an answer or an error."""

    message_id: Id = Field(description="message_id запроса из события")
    data: Data | None = Field(None, description="Бизнес-данные ответа")
    status: Verdict | None = Field(None, description="Статус ответа; по умолчанию Success")
    error: AnswerError | None = Field(None, description="Ошибка вместо ответа")


class SyncAnswer:
    """Has the last word to a synchronous request that is held open. Pure: no I/O, no clock."""

    action = ANSWER
    title = "Ответ на синхронный запрос через ШЭП"
    gateway = "shep"
    deadline = PATIENCE
    schema: str | None = None
    examples: Sequence[Example] = (
        Example(
            "Ответ (пример наш)",
            {
                "message_id": "2b0f5a4e-3f0f-4a6d-9a35-0242ac120002",
                "data": {"form": "child", "content": '<r:answer xmlns:r="urn:example">да</r:answer>'},
            },
            {"result": {"message_id": "2b0f5a4e-3f0f-4a6d-9a35-0242ac120002"}},
        ),
    )

    def __init__(self, registry: ShepRegistry) -> None:
        """``registry`` says in which form a service's data stand."""
        self._registry = registry

    def start(self, command: Command) -> Look:
        """Look the request up. Raises InvalidCommandError."""
        model = read_command(command.body, AnswerCommand, rules=_one_of_two, verbatim=VERBATIM)
        return Look((REQUEST,), model.message_id)

    def found(self, command: Command, found: Found) -> Say:
        """Return the word. Raises KnownError for a request that is not there."""
        model = read_command(command.body, AnswerCommand, rules=_one_of_two, verbatim=VERBATIM)
        if found.request is None:
            raise KnownError(Code.REQUEST_NOT_FOUND)
        service = self._registry.service(str(found.request.incoming.facts.get("service_id", "")))
        said: dict[str, Any] = {"status": plain(model.status or Verdict())}
        if model.error is not None:
            said = {"error": plain(model.error)}
        elif model.data is not None:
            said["data"] = data_of(model.data, service)
        outcome = {"result": {"message_id": model.message_id}}
        return Say(found.request.id, orjson.dumps(said), outcome, subject=model.message_id)

    def resume(self, command: Command, answer: Answer) -> Reply:  # noqa: ARG002  — it makes no call
        """Have nothing to resume from."""
        raise KnownError(Code.INTERNAL)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, AnswerCommand)


def _one_of_two(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    if tree.get("error") is not None and (tree.get("data") is not None or tree.get("status") is not None):
        yield FieldFault("error", "указывается либо error, либо data и status")


def make_all(environment: Mapping[str, str]) -> Sequence[Service]:
    """Return the answer's service where there is a registry: else ШЭП is off."""
    registry = registry_of(environment)
    return (SyncAnswer(registry),) if registry.services else ()
