"""Bodies of the commands of постаматы."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from adapter.gateways.postamat.api import CASENUM_LIMIT, is_casenum, is_number
from adapter.lockers.rules import LOCKER_TYPE, normal_phone
from adapter.services.fields import broken


def _number(value: str) -> str:
    if not is_number(value):
        raise broken("digits", "ожидается от 1 до 18 цифр")
    return value


def _casenum(value: str) -> str:
    if not is_casenum(value):
        raise broken("casenum", f"ожидается номер дела: от 1 до {CASENUM_LIMIT} печатных символов без «|»")
    return value


def _phone(value: str) -> str:
    try:
        return normal_phone(value)
    except ValueError as error:
        raise broken("phone", str(error)) from None


def _word(value: str) -> str:
    if not value.isprintable() or value != value.strip() or not value:
        raise broken("printable", "ожидаются печатные символы без пробелов по краям")
    return value


def _type(value: str) -> str:
    if value != LOCKER_TYPE:
        raise broken("locker_type", f"известен один тип постамата: {LOCKER_TYPE}")
    return value


Number = Annotated[str, AfterValidator(_number)]
CaseNumber = Annotated[str, AfterValidator(_casenum)]
Phone = Annotated[str, Field(max_length=64), AfterValidator(_phone)]
Word = Annotated[str, Field(max_length=200), AfterValidator(_word)]
Address = Annotated[str, Field(max_length=500), AfterValidator(_word)]
Departments = Annotated[list[Word], Field(min_length=1, max_length=500)]
Days = Annotated[int, Field(ge=1, le=3650)]


class Strict(BaseModel):
    """A body: unknown fields are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class EmptyCommand(Strict):
    """A question without parameters."""


class Move(Strict):
    """One call of the portal; ``timestamp`` is UNIX time, by default when the command was received."""

    casenum: CaseNumber = Field(description="Номер дела")
    postamatid: Number = Field(description="Номер (ID) постамата")
    userid: Number = Field(description="Идентификатор пользователя, обслуживающего ячейку")
    cellid: Number = Field(description="Номер ячейки")
    timestamp: Number | None = Field(None, description="Штамп времени UNIX, секунды; по умолчанию время команды")


class DirectoryAdd(Strict):
    """A new locker."""

    number: Number = Field(description="Номер (ID) постамата")
    address: Address = Field(description="Адрес")
    departments: Departments = Field(description="Подразделения, которые используют постамат")
    storage_days: Days | None = Field(None, description="Срок хранения, дней; по умолчанию POSTAMAT_STORAGE_DAYS")
    type: Annotated[str, AfterValidator(_type)] = Field(LOCKER_TYPE, description="Тип постамата")


class DirectoryEdit(Strict):
    """What changes of a locker; the rest stays."""

    number: Number = Field(description="Номер (ID) постамата")
    address: Address | None = Field(None, description="Адрес")
    departments: Departments | None = Field(None, description="Подразделения, которые используют постамат")
    storage_days: Days | None = Field(None, description="Срок хранения, дней")


class LockerCommand(Strict):
    """A locker by its number."""

    number: Number = Field(description="Номер (ID) постамата")


class ServiceAllow(Strict):
    """Whether results of a service may be handed out through lockers."""

    service: Word = Field(description="Услуга")
    allowed: bool = Field(True, description="false запрещает")  # noqa: FBT003 — pydantic's default


class OfferCommand(Strict):
    """Where an applicant may choose to receive."""

    service: Word = Field(description="Услуга")
    department: Word = Field(description="Подразделение (офис, ТОСП)")


class RegisterCommand(OfferCommand):
    """A case to be handed out."""

    casenum: CaseNumber = Field(description="Номер дела")
    phone: Phone = Field(description="Телефон заявителя")
    postamatid: Number | None = Field(None, description="Постамат, выбранный заявителем")


class CaseCommand(Strict):
    """A case by its number."""

    casenum: CaseNumber = Field(description="Номер дела")


class QrCommand(CaseCommand):
    """The code of a case; for one without a chosen locker ``postamatid`` says which one it is taken to."""

    postamatid: Number | None = Field(None, description="Постамат, если заявитель его не выбирал")
