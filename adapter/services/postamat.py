"""Постаматы: calls of a portal elsewhere (mode client), or cases and directory of our own (mode portal).

Source: seeds/002_f03ffb5ed5d4afbc.txt. In mode client a command is one call of the portal. In mode portal it asks the
registers of adapter/lockers, in the transaction of its outcome. Examples are ours.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.errors import Code, KnownError
from adapter.exchange import Call, Example, Reply
from adapter.gateways.postamat.api import CASENUM, NUMBERS, Operation, call_faults
from adapter.incoming import Local
from adapter.services.command import read_command
from adapter.services.postamat_models import (
    CaseCommand,
    DirectoryAdd,
    DirectoryEdit,
    EmptyCommand,
    LockerCommand,
    Move,
    OfferCommand,
    QrCommand,
    RegisterCommand,
    ServiceAllow,
    Strict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.errors import FieldFault
    from adapter.exchange import Answer, Command, Service

GATEWAY: Final = "postamat"
#: Decides which of these actions there are; in client mode the portal elsewhere owns cases and directory.
MODES: Final = ("POSTAMAT_MODE",)
_CLIENT: Final = "client"
_SAVED: Final = {"result": {"status": "ok", "message": "Сохранено"}}


class _Action:
    """What all actions of постаматы share."""

    gateway: str = GATEWAY
    deadline = timedelta(hours=1)
    schema: str | None = None

    def __init__(self, name: str, title: str, model: type[Strict], example: Example) -> None:
        """Serve ``postamat.<name>``, whose body is a ``model``."""
        self.action = f"{GATEWAY}.{name}"
        self.title = title
        self.examples: Sequence[Example] = (example,)
        self._model = model

    def command_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the command."""
        return {
            **self._model.model_json_schema(),
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.action,
            "description": self.title,
        }


class PortalCall(_Action):
    """Tells the portal of one movement of a case. Pure: no I/O, no clock."""

    def __init__(self, operation: Operation, title: str) -> None:
        """Serve the command of ``operation``."""
        asked = {
            "casenum": "1.22-51",
            "postamatid": "1233",
            "userid": "1139",
            "cellid": "10",
            "timestamp": "1648023241",
        }
        super().__init__(operation, title, Move, Example(title, asked, _SAVED))
        self._operation = operation

    def start(self, command: Command) -> Call:
        """Return the call, made at most once; those of one case go in order. Raises InvalidCommandError."""
        model = read_command(command.body, Move, rules=_call_rules)
        content = model.model_dump(exclude_none=True)
        # The moment of receipt, not of the call: a command always gives the same bytes.
        content.setdefault("timestamp", str(int(command.received_at.timestamp())))
        lane = f"{GATEWAY}:{model.casenum}"
        return Call(GATEWAY, self._operation, orjson.dumps(content), lane=lane, subject=model.casenum)

    def resume(self, command: Command, answer: Answer) -> Reply:  # noqa: ARG002 — the answer says all
        """Return what the portal answered."""
        return Reply({"result": orjson.loads(answer.content.removeprefix(b"\xef\xbb\xbf"))})


class RegisterAction(_Action):
    """Asks the registers of the lockers. Pure: what it asks for is done by the pipeline."""

    #: Told by the lockers' listener and clock, which run where these actions are served.
    events: Sequence[str] = ("postamat.case-moved", "postamat.case-overdue")

    def start(self, command: Command) -> Local:
        """Return what the register is asked for. Raises InvalidCommandError."""
        content = read_command(command.body, self._model).model_dump(exclude_none=True)
        operation = self.action.removeprefix(f"{GATEWAY}.")
        return Local(GATEWAY, operation, content, subject=content.get(CASENUM, ""))

    def resume(self, command: Command, answer: Answer) -> Reply:  # noqa: ARG002 — it makes no call
        """Have nothing to resume from."""
        raise KnownError(Code.INTERNAL)


def _call_rules(tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    """Yield what the portal's database would choke on, in the words of the API."""
    given = {name: tree[name] for name in (CASENUM, *NUMBERS) if isinstance(tree.get(name), str)}
    return (fault for fault in call_faults(given) if fault.path in given)


_LOCKER: Final = {
    "number": "1233",
    "type": "МФЦ",
    "address": "Калуга, ул. Хрустальная, 34а",
    "departments": ["ТОСП-1"],
    "storage_days": 14,
    "active": True,
}
_OFFERED: Final = {name: _LOCKER[name] for name in ("number", "address", "storage_days")} | {
    "receipt_line": (
        "Результат услуги будет выдан через постамат № 1233 по адресу: Калуга, ул. Хрустальная, 34а. "
        "Срок хранения в постамате, дней: 14."
    )
}
_ASKED_CASE: Final = {
    "casenum": "1.22-51",
    "service": "passport",
    "department": "ТОСП-1",
    "phone": "89185555554",
    "postamatid": "1233",
}
_CASE: Final = {
    **_ASKED_CASE,
    "phone": "+7 (918) 555 55 54",
    "state": "на выдаче",
    "place": None,
    "cell": None,
    "put_at": None,
}
_INSIDE: Final = {"state": "В постамате", "place": "1233", "cell": "10", "put_at": "2026-03-01T09:00:00+00:00"}


def _portal() -> tuple[RegisterAction, ...]:
    def action(name: str, title: str, model: type[Strict], request: Any, result: Any) -> RegisterAction:
        return RegisterAction(name, title, model, Example(title, request, {"result": result}))

    number = {"number": "1233"}
    added = {name: _LOCKER[name] for name in ("number", "address", "departments")}
    moves = [
        {
            "operation": "put-case",
            "postamatid": "1233",
            "cellid": "10",
            "userid": "1139",
            "timestamp": 1772355600,
            "at": "2026-03-01T09:00:00+00:00",
            "state": "В постамате",
        }
    ]
    stay = {**_CASE, **_INSIDE, "address": _LOCKER["address"], "until": "2026-03-15T09:00:00+00:00", "overdue": True}
    qr = {
        "text": "1233|+7 (918) 555 55 54|1.22-51",
        "png": {"name": "postamat.png", "content_base64": "iVBORw0KGgo="},
        "svg": "<svg/>",
        "sheet": {"name": "postamat.pdf", "content_base64": "JVBERi0xLjQ="},
    }
    return (
        action("directory.add", "Постаматы: добавление в справочник", DirectoryAdd, added, _LOCKER),
        action(
            "directory.edit",
            "Постаматы: изменение в справочнике",
            DirectoryEdit,
            {**number, "storage_days": 7},
            {**_LOCKER, "storage_days": 7},
        ),
        action("directory.activate", "Постаматы: сделать активным", LockerCommand, number, _LOCKER),
        action(
            "directory.deactivate",
            "Постаматы: сделать неактивным",
            LockerCommand,
            number,
            {**_LOCKER, "active": False},
        ),
        action("directory.list", "Постаматы: справочник", EmptyCommand, {}, {"lockers": [_LOCKER]}),
        action(
            "service.allow",
            "Постаматы: разрешение услуги",
            ServiceAllow,
            {"service": "passport"},
            {"service": "passport", "allowed": True},
        ),
        action(
            "offer",
            "Постаматы: какие предложить заявителю",
            OfferCommand,
            {"service": "passport", "department": "ТОСП-1"},
            {"lockers": [_OFFERED]},
        ),
        action(
            "case.register",
            "Постаматы: приём дела к выдаче",
            RegisterCommand,
            _ASKED_CASE,
            {**_CASE, "receipt_line": _OFFERED["receipt_line"]},
        ),
        action(
            "case.get",
            "Постаматы: дело и его движение",
            CaseCommand,
            {"casenum": "1.22-51"},
            {**_CASE, **_INSIDE, "movements": moves},
        ),
        action(
            "cases.list",
            "Постаматы: дела на выдаче в постаматах",
            EmptyCommand,
            {},
            {"cases": [stay], "overdue": 1},
        ),
        action("qr", "Постаматы: QR-код и лист для специалиста", QrCommand, {"casenum": "1.22-51"}, qr),
    )


def _client() -> tuple[PortalCall, ...]:
    return (
        PortalCall(Operation.PUT_CASE, "Постаматы: помещение результата в постамат"),
        PortalCall(Operation.ISSUE, "Постаматы: выдача результата заявителю"),
        PortalCall(Operation.BACK, "Постаматы: изъятие результата из постамата"),
    )


def make_all(environment: Mapping[str, str]) -> Sequence[Service]:
    """Return the actions of the mode that ``environment`` chooses; a wrong mode is refused with the other settings."""
    chosen = environment.get(MODES[0], "").strip().lower()
    return _client() if chosen == _CLIENT else _portal()
