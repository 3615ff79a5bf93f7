"""What the виды сведений of ГИС ЖКХ share: namespace urn:dom.gosuslugi.ru/common/1.2.0."""

from typing import ClassVar

from pydantic import Field

from adapter.services.fields import Uuid, exactly_one
from adapter.xml.mapping import Namespace, XmlModel

COMMON = Namespace("urn:dom.gosuslugi.ru/common/1.2.0", "common")


class BaseRequest(XmlModel):
    """What every request begins with; its elements stay in the common namespace."""

    xml_ns: ClassVar[Namespace] = COMMON
    xml_id: ClassVar[bool] = True

    information_system_id: Uuid = Field(description="Идентификатор информационной системы")
    organization_id: Uuid = Field(description="Идентификатор зарегистрированной организации")


class ErrorInfo(XmlModel):
    """An error of a control or of the business process."""

    xml_ns: ClassVar[Namespace] = COMMON

    error_code: str = Field(description="Код ошибки")
    description: str = Field(description="Описание ошибки")
    stacktrace: str | None = Field(None, description="StackTrace в случае возникновения исключения")


class Success(XmlModel):
    """A successful result; both fields may be absent."""

    xml_ns: ClassVar[Namespace] = COMMON

    id: Uuid | None = Field(None, description="Идентификатор объекта в ГИС ЖКХ")
    update_date: str | None = Field(None, description="Дата модификации")


class Result(XmlModel):
    """The result of one transported entity."""

    xml_ns: ClassVar[Namespace] = COMMON

    transport_id: Uuid = Field(description="Транспортный идентификатор")
    success: Success | None = Field(None, description="Успешный результат")
    errors: list[ErrorInfo] | None = Field(None, description="Список ошибок")

    _choice = exactly_one("success", "errors")


class ImportResult(XmlModel):
    """The answer to an import: results by entity, or one error of the whole message."""

    xml_ns: ClassVar[Namespace] = COMMON

    result: list[Result] | None = Field(None, description="Список результатов импорта по каждой сущности")
    error: ErrorInfo | None = Field(None, description="Ошибка импорта")

    _choice = exactly_one("result", "error")
