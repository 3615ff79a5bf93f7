"""Commands to the ШЭП: synchronous calls, asynchronous messages, and questions about them.

Source: order № 104 (Приложение 4) and the operator's XSD, whose names stand in commands in snake_case. Who sends and by
which password is the deployment's, never a command's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from adapter.errors import FieldFault, InvalidCommandError
from adapter.exchange import Example
from adapter.services.command import read_command
from adapter.services.shep_common import (
    VARIABLE,
    VERBATIM,
    Data,
    answered,
    called,
    check_route,
    data_of,
    described,
    plain,
    registered,
    registry_of,
    service_named,
)
from adapter.services.shep_models import AsyncCommand, FetchCommand, NotifyCommand, StatusCommand, SyncCommand
from adapter.shep_chains import SEND, SEND_ANSWERED, SENT, room, sent, ties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.exchange import Answer, Call, Command, Reply, Service
    from adapter.settings.shep_registry import Service as Registered
    from adapter.settings.shep_registry import ShepRegistry

#: The registry brings an action of its own per service.
MODES: Final = (VARIABLE,)
_DATA: Final = {"form": "child", "content": '<r:request xmlns:r="urn:example"><r:iin>000000000000</r:iin></r:request>'}


class _ShepService:
    """What the services of this module are to the pipeline."""

    gateway = "shep"
    deadline = timedelta(minutes=15)
    schema: str | None = None

    def __init__(self, registry: ShepRegistry) -> None:
        """``registry`` says how each service is called."""
        self._registry = registry

    def resume(self, command: Command, answer: Answer) -> Reply:  # noqa: ARG002  — the answer says it all
        """Return the gateway's answer."""
        return answered(answer)

    def called_service(self, command: Command) -> str:
        """Return the key of the service that a command calls, '' when it names none: planned work may name one."""
        return service_named(command.body)


class SyncSend(_ShepService):
    """Calls a service and replies its answer."""

    action = "shep.sync.send"
    title = "Синхронный вызов сервиса через ШЭП"
    examples: Sequence[Example] = (
        Example(
            "Вызов сервиса (пример наш)",
            {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": _DATA}},
            {
                "result": {
                    "response_info": {
                        "message_id": "2b0f5a4e-3f0f-4a6d-9a35-0242ac120002",
                        "response_date": "2026-11-20T10:11:12+05:00",
                        "status": {"code": "SCSS001", "message": "Успешно"},
                    },
                    "response_data": {"data": _DATA},
                }
            },
        ),
    )

    def start(self, command: Command) -> Call:
        """Return the call. Raises InvalidCommandError."""
        model = read_command(command.body, SyncCommand, verbatim=VERBATIM)
        service = registered(self._registry, model.request_info.service_id, "request_info.service_id", sync=True)
        check_route(service, model.request_info.route_id, "request_info.route_id")
        return sync_call(service, plain(model.request_info), model.request_data.data, model.sign_data, tsp=model.tsp)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, SyncCommand)


class AsyncSend(_ShepService):
    """Sends a message and replies the gateway's receipt, or the business answer where the registry wants that."""

    action = "shep.async.send"
    title = "Асинхронное сообщение через ШЭП"
    events: Sequence[str] = (SENT,)
    examples: Sequence[Example] = (
        Example(
            "Запрос; ответ — квитанция шлюза (пример наш)",
            {
                "message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"},
                "message_data": {"data": _DATA},
            },
            {
                "result": {
                    "message_id": "216386080",
                    "correlation_id": "3226347",
                    "response_date": "2026-11-20T10:11:12+05:00",
                    "session_id": "{5b1c3a52-6c1e-4d7f-8f57-0242ac120002}",
                }
            },
        ),
    )

    def start(self, command: Command) -> Call:
        """Return the call. Raises InvalidCommandError."""
        model = read_command(command.body, AsyncCommand, rules=_chain_rules, verbatim=VERBATIM)
        info = model.message_info
        service = registered(self._registry, info.service_id, "message_info.service_id", sync=False)
        if info.message_type == "REQUEST":
            check_route(service, info.route_id, "message_info.route_id")
        call = async_call(service, plain(info), model.message_data.data, model.sign_data, tsp=model.tsp)
        return begun(command, service, call)

    def resume(self, command: Command, answer: Answer) -> Reply:
        """Return the receipt, or the business answer."""
        info = read_command(command.body, AsyncCommand, rules=_chain_rules, verbatim=VERBATIM).message_info
        return received(answer, info.service_id, begins=info.message_type == "REQUEST")

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, AsyncCommand)


class Status(_ShepService):
    """Asks what became of a message."""

    action = "shep.async.status"
    title = "Состояние сообщения в ШЭП"
    examples: Sequence[Example] = (
        Example(
            "Доставлено (пример наш)",
            {"message_id": "216386080"},
            {
                "result": {
                    "message_state": "DELIVERED",
                    "status": {
                        "status_code": "SCSS001",
                        "status_message": "Доставлено",
                        "status_date": "2026-11-20T10:11:13+05:00",
                    },
                    "response_date": "2026-11-20T10:12:00+05:00",
                }
            },
        ),
    )

    def start(self, command: Command) -> Call:
        """Return the call. Raises InvalidCommandError."""
        model = read_command(command.body, StatusCommand)
        gateway = self.gateway
        if model.service_id is not None:
            gateway = registered(self._registry, model.service_id, "service_id", sync=False).gateway
        content = {name: value for name, value in plain(model).items() if name != "service_id"}
        return called(gateway, "async.getMessageStatus", content, subject=model.message_id)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, StatusCommand)


class GetMessages(_ShepService):
    """Fetches messages that wait at the gateway."""

    action = "shep.async.get-messages"
    title = "Сообщения, ожидающие в ШЭП"
    examples: Sequence[Example] = (
        Example(
            "Все сообщения сервиса; их нет (пример наш)",
            {"service_id": "AsyncPull", "amount": 10},
            {
                "result": {
                    "response_date": "2026-11-20T10:11:12+05:00",
                    "session_id": "{5b1c3a52-6c1e-4d7f-8f57-0242ac120002}",
                    "messages": [],
                }
            },
        ),
    )

    def start(self, command: Command) -> Call:
        """Return the call. Raises InvalidCommandError."""
        model = read_command(command.body, FetchCommand, rules=_one_of_two)
        service = registered(self._registry, model.service_id, "service_id", sync=False)
        return called(service.gateway, "async.getMessages", plain(model))

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, FetchCommand)


class NotifyDelivery(_ShepService):
    """Tells the gateway that a delivered message was taken, or not."""

    action = "shep.async.notify-delivery"
    title = "Уведомление ШЭП о доставке"
    examples: Sequence[Example] = (
        Example(
            "Сообщение принято (пример наш)",
            {
                "message_id": "216386080",
                "service_id": "AsyncNotified",
                "delivery_status": {"receive_status": "MESSAGE_ACCEPTED"},
            },
            {
                "result": {
                    "notification_id": "77",
                    "response_date": "2026-11-20T10:11:12+05:00",
                    "session_id": "{5b1c3a52-6c1e-4d7f-8f57-0242ac120002}",
                }
            },
        ),
    )

    def start(self, command: Command) -> Call:
        """Return the call. Raises InvalidCommandError."""
        model = read_command(command.body, NotifyCommand, rules=_refusal_rules)
        service = registered(self._registry, model.service_id, "service_id", sync=False)
        at = command.received_at.isoformat(timespec="milliseconds")
        told = {**plain(model.delivery_status), "status_date": at}
        if model.delivery_status.error is not None:
            told["error"] = {**told["error"], "error_date": at}
        notification = {
            "message_id": model.message_id,
            "service_id": model.service_id,
            "notification_date": at,
            "delivery_status": told,
        }
        operation = "async.sendDeliveryNotification"
        return called(service.gateway, operation, {"notification": notification}, subject=model.message_id)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, NotifyCommand)


class OwnQueue(_ShepService):
    """The queue of one service of the registry, ``shep.<key>``: its commands are the business data alone."""

    examples: Sequence[Example] = ()

    def __init__(self, registry: ShepRegistry, service: Registered) -> None:
        """``service`` is called at once if it can be, else by a message."""
        super().__init__(registry)
        self._service = service
        self.action = f"shep.{service.key}"
        self.title = service.name
        self.gateway = service.gateway

    def start(self, command: Command) -> Call:
        """Return the call. Raises InvalidCommandError."""
        data = read_command(command.body, Data, verbatim=VERBATIM)
        check_route(self._service, None, "body")
        info = {"service_id": self._service.key}
        if self._service.is_sync:
            return sync_call(self._service, info, data, None)
        return begun(command, self._service, async_call(self._service, {**info, "message_type": "REQUEST"}, data, None))

    def called_service(self, command: Command) -> str:  # noqa: ARG002  — its commands name no service
        """Return the key of its service."""
        return self._service.key

    def resume(self, command: Command, answer: Answer) -> Reply:
        """Return the gateway's answer, or what the service answers later."""
        if self._service.is_sync:
            return super().resume(command, answer)
        return received(answer, self._service.key, begins=True)

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return described(self.action, self.title, Data)


def sync_call(
    service: Registered, info: Mapping[str, Any], data: Data, sign_data: str | None, *, tsp: bool = False
) -> Call:
    """Return the call of a synchronous service."""
    operation = "sync.SendMessage.repeatable" if service.repeatable else "sync.SendMessage"
    content = {"request_info": info, "request_data": {"data": data_of(data, service)}}
    return called(service.gateway, operation, content | _signing(service, sign_data, tsp=tsp))


def async_call(
    service: Registered, info: Mapping[str, Any], data: Data, sign_data: str | None, *, tsp: bool = False
) -> Call:
    """Return the call that sends a message; those of one chain are found together."""
    content = {"message_info": info, "message_data": {"data": data_of(data, service)}}
    content |= _signing(service, sign_data, tsp=tsp)
    if info["message_type"] != "REQUEST":
        return called(service.gateway, SEND, content, subject=str(info["correlation_id"]))
    operation = SEND_ANSWERED if service.reply == "answer" else SEND
    return called(service.gateway, operation, content)


def begun(command: Command, service: Registered, call: Call) -> Call:
    """Return a call that may begin a chain, noted so that its command can be found without a receipt."""
    return call if call.subject else replace(call, subject=sent(command.id), note=room(service.key))


def received(answer: Answer, service_id: str, *, begins: bool) -> Reply:
    """Return a receipt, which ties the command to the chain's numbers, or the business answer, which ends it."""
    reply = answered(answer)
    told = reply.outcome["result"]
    return reply if "message_type" in told else replace(reply, ties=ties(told, service_id, begins=begins))


def _signing(service: Registered, wanted: str | None, *, tsp: bool) -> dict[str, Any]:
    """Return who signs the business data, nothing where nobody does. Raises InvalidCommandError: a stamp needs one."""
    by = wanted or service.sign_data
    if by == "none":
        if tsp:
            raise InvalidCommandError([FieldFault("tsp", "метка времени ставится на подпись: нужен sign_data")])
        return {}
    return {"sign_data": by} | ({"tsp": True} if tsp else {})


def _chain_rules(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    info = tree.get("message_info")
    if not isinstance(info, dict):
        return
    is_request = info.get("message_type") == "REQUEST"
    if is_request and info.get("correlation_id"):
        yield FieldFault("message_info.correlation_id", "у REQUEST его нет: цепочку нумерует шлюз")
    if not is_request and not info.get("correlation_id"):
        yield FieldFault("message_info.correlation_id", "обязательное поле, если message_type не REQUEST")


def _one_of_two(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    if tree.get("message_id") is not None and tree.get("correlation_id") is not None:
        yield FieldFault("body", "указывается message_id либо correlation_id")


def _refusal_rules(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    status = tree.get("delivery_status")
    if not isinstance(status, dict):
        return
    taken = status.get("receive_status") == "MESSAGE_ACCEPTED"
    if taken and (status.get("error") is not None or status.get("resend_message") == "RESEND"):
        yield FieldFault("delivery_status", "error и RESEND — только для MESSAGE_NOT_ACCTEPTED")
    if not taken and status.get("error") is None:
        yield FieldFault("delivery_status.error", "обязательное поле для MESSAGE_NOT_ACCTEPTED")


def make_all(environment: Mapping[str, str]) -> Sequence[Service]:
    """Return the services and the queues of the registered ones; none where there is no registry: ШЭП is off."""
    registry = registry_of(environment)
    if not registry.services:
        return ()
    made: list[Service] = [SyncSend(registry), AsyncSend(registry), Status(registry), GetMessages(registry)]
    made.append(NotifyDelivery(registry))
    return [*made, *(OwnQueue(registry, service) for service in registry.services)]
