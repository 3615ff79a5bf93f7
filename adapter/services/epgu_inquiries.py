"""What may be asked of ЕПГУ: statuses of orders, what changed, dictionaries, files.

Source: seeds/003_77f5074edb620939.txt, 2.3, chapters 3 and 4. Examples are ours.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from adapter.exchange import Example, Reply
from adapter.gateways.epgu.errors import known
from adapter.gateways.epgu.profiles import DEFAULT, PROFILES
from adapter.gateways.epgu.reading import read_link
from adapter.services.attachments import rendered
from adapter.services.epgu_common import ActedCommand, EpguAction, EpguCommand, OrderId, call, ruled
from adapter.services.epgu_following import FollowedAction
from adapter.services.fields import broken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Answer, Call, Service

#: Orders of one getOrdersStatus.
MOST_ORDERS = 50
_RESULT, _USERS_FILE = 3, 2
_STATUS = {"status_id": 2, "status_name": "Отправлено в ведомство", "updated": "2026-03-02T09:15:00.250+00:00"}
_ROWS = [
    {"order_id": 2060000001, "found": True, "status": _STATUS},
    {"order_id": 2060000009, "found": False, "status": None},
]


class StatusesCommand(ActedCommand):
    """epgu.order.statuses."""

    order_ids: Annotated[list[OrderId], Field(min_length=1, max_length=MOST_ORDERS)] = Field(
        description="Номера заявлений"
    )


class Statuses(EpguAction[StatusesCommand]):
    """Reads the current statuses of a list of orders."""

    action = "epgu.order.statuses"
    title = "ЕПГУ: статусы заявлений по списку"
    command = StatusesCommand
    examples: Sequence[Example] = (
        Example(
            "Одно заявление есть, другого нет", {"order_ids": [2060000001, 2060000009]}, {"result": {"orders": _ROWS}}
        ),
    )

    def first(self, model: StatusesCommand) -> Call:
        """Return the call of getOrdersStatus."""
        return call("statuses", model, order_ids=list(dict.fromkeys(model.order_ids)))


def _moment(value: str) -> str:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise broken("no_moment", "ожидаются дата и время вида 2026-03-02T09:00:00+03:00") from None
    if not 2000 <= at.year <= 9000:
        raise broken("no_moment", "ожидаются дата и время вида 2026-03-02T09:00:00+03:00")
    return value


class UpdatedAfterCommand(ActedCommand):
    """epgu.order.updated-after."""

    updated_after: Annotated[str, Field(min_length=16, max_length=40), AfterValidator(_moment)] = Field(
        description="Дата и время (RFC 3339), после которых менялись статусы; без смещения считаются UTC"
    )
    page_size: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=100, description="Записей на странице; читаются все страницы"
    )


class UpdatedAfter(EpguAction[UpdatedAfterCommand]):
    """Reads every order of the system whose status changed since a moment."""

    action = "epgu.order.updated-after"
    title = "ЕПГУ: статусы заявлений, изменившиеся с момента"
    command = UpdatedAfterCommand
    examples: Sequence[Example] = (
        Example(
            "С девяти утра по Москве",
            {"updated_after": "2026-03-02T09:00:00+03:00"},
            {"result": {"orders": _ROWS[:1], "total": 1}},
        ),
    )

    def first(self, model: UpdatedAfterCommand) -> Call:
        """Return the call of getUpdatedAfter."""
        at = datetime.fromisoformat(model.updated_after)
        after = (at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)).isoformat()
        return call("updated-after", model, after=after, page_size=model.page_size)


_CODE = re.compile(r"[A-Za-z0-9_.-]{1,200}")


class DictionaryCommand(EpguCommand):
    """epgu.dictionary.get."""

    code: Annotated[
        str, ruled(_CODE, "no_code", "ожидается код справочника: латинские буквы, цифры, точка, дефис, подчёркивание")
    ] = Field(description="Код справочника")
    tree_filtering: Literal["ONELEVEL", "SUBTREE"] = Field(
        default="ONELEVEL", description="Плоский (ONELEVEL) или иерархический (SUBTREE)"
    )
    parent_ref_item_value: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="Код родительского элемента"
    )
    page_num: Annotated[int, Field(ge=0, le=10**9)] | None = Field(None, description="Номер страницы")
    page_size: Annotated[int, Field(ge=1, le=10**6)] | None = Field(
        None, description="Записей на странице; без page_num и page_size возвращаются все"
    )


class GetDictionary(EpguAction[DictionaryCommand]):
    """Reads a dictionary; nobody has to say who asks."""

    action = "epgu.dictionary.get"
    title = "ЕПГУ: справочные данные"
    command = DictionaryCommand
    examples: Sequence[Example] = (
        Example(
            "Первая запись",
            {"code": "REGIONS", "page_num": 1, "page_size": 1},
            {
                "result": {
                    "total": 89,
                    "items": [
                        {
                            "value": "01",
                            "parent_value": None,
                            "title": "Республика Адыгея",
                            "is_leaf": True,
                            "attributes": [],
                            "source": None,
                            "children": [],
                            "attribute_values": {},
                        }
                    ],
                    "field_errors": [],
                }
            },
        ),
    )

    def first(self, model: DictionaryCommand) -> Call:
        """Return the call of the dictionary."""
        return call(
            "dictionary",
            model,
            code=model.code,
            tree_filtering=model.tree_filtering,
            parent_ref_item_value=model.parent_ref_item_value,
            page_num=model.page_num,
            page_size=model.page_size,
        )


class FileCommand(ActedCommand):
    """epgu.file.download."""

    link: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        None, description="Ссылка на файл из деталей заявления: terrabyte://00/номер/мнемоника/тип"
    )
    order_id: OrderId | None = Field(None, description="Номер заявления; со ссылкой не нужен")
    mnemonic: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="Мнемоника файла; со ссылкой не нужна"
    )
    object_type: Annotated[int, Field(ge=0, le=999)] | None = Field(
        None, description="Тип вложения: 3 результат, 2 файл пользователя; без ссылки и поля 3"
    )
    object_id: OrderId | None = Field(
        None, description="currentStatusHistoryId заявления; без него берётся из деталей заявления"
    )
    service_code: Annotated[str, Field(pattern="^[0-9]{1,20}$")] | None = Field(
        None, description="Код услуги; нужен профилю 1.13, без него берётся из деталей заявления"
    )

    @model_validator(mode="after")
    def _names_a_file(self) -> FileCommand:
        if self.link is not None and read_link(self.link) is None:
            raise broken("no_link", "link: ожидается ссылка вида terrabyte://00/номер/мнемоника/тип")
        if self.link is None and (self.mnemonic is None or (self.order_id is None and self.object_id is None)):
            raise broken("names_no_file", "нужно указать link либо mnemonic вместе с order_id или object_id")
        return self

    @property
    def place(self) -> tuple[int | None, str, int]:
        """Number of the order, mnemonic and type of the file."""
        link = read_link(self.link) if self.link else None
        mnemonic = self.mnemonic or (link.mnemonic if link else "")
        usual = link.object_type if link else _RESULT
        kind = usual if self.object_type is None else self.object_type
        return self.order_id or (link.order_id if link else None), mnemonic, kind


class Download(FollowedAction[FileCommand]):
    """Fetches a file of an order; a result goes by the number of its status, which details tell."""

    action = "epgu.file.download"
    wish = "token"
    title = "ЕПГУ: скачивание файла заявления"
    command = FileCommand
    examples: Sequence[Example] = (
        Example(
            "Результат по ссылке из деталей заявления",
            {"link": "terrabyte://00/2060000001/result.pdf/3"},
            {
                "result": {
                    "order_id": 2060000001,
                    "file": {
                        "name": "result.pdf",
                        "mime_type": "application/pdf",
                        "size": 5,
                        "sha256": "3e" * 32,
                        "content_base64": "JVBERi0=",
                    },
                }
            },
        ),
    )

    def __init__(self, *, service_wanted: bool = False) -> None:
        """``service_wanted`` says that the usual profile names the service in the query."""
        self._service_wanted = service_wanted

    def concerns(self, model: FileCommand) -> bool:
        """Tell whether a token was brought, by which the order may be followed further."""
        return model.token is not None and model.place[0] is not None

    def first(self, model: FileCommand) -> Call:
        """Return the call of the file where all of its address is known, else that of details."""
        number, _, kind = model.place
        object_id = model.object_id or (number if kind == _USERS_FILE else None)
        wants_service = PROFILES[model.profile].download_service if model.profile else self._service_wanted
        if object_id is not None and (model.service_code or not wants_service or number is None):
            return self._file(model, object_id, model.service_code)
        return call("details", model, order_id=number)

    def next(self, model: FileCommand, operation: str, told: dict[str, Any], answer: Answer) -> Call | Reply:
        """Return the file's call after details, then the reply."""
        number, _, kind = model.place
        if operation == "details":
            object_id = model.object_id or (number if kind == _USERS_FILE else told.get("status_history_id"))
            if not isinstance(object_id, int):
                error = known("not_found", details={"order_id": number, "rule": "the order has no status yet"})
                return Reply({"error": error.to_wire()}, code=error.code)
            return self._file(model, object_id, model.service_code or told.get("service_code"))
        order = {} if number is None else {"order_id": number}
        return Reply({"result": {**order, "file": rendered(answer.attachments)[0]}})

    @staticmethod
    def _file(model: FileCommand, object_id: int, service_code: object) -> Call:
        _, mnemonic, kind = model.place
        return call("file", model, object_id=object_id, object_type=kind, mnemonic=mnemonic, service_code=service_code)


def make_all(environment: Mapping[str, str]) -> Sequence[Service]:
    """Return the services, as ``EPGU_PROFILE`` configures them; an unknown one is refused elsewhere."""
    profile = PROFILES.get(environment.get("EPGU_PROFILE", "").strip() or DEFAULT)
    wanted = profile is not None and profile.download_service
    return (Statuses(), UpdatedAfter(), GetDictionary(), Download(service_wanted=wanted))
