"""zhkh-debt-responses: debt requests of ГИС ЖКХ with what the suppliers answered, ВС 1.0.0.

Source: urn:dom.gosuslugi.ru/debt-responses/1.0.0. What a text of an answer may be is the schema's to judge.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter.exchange import Example
from adapter.services.fields import Date, Int32, Name255, Snils, Text255, Uuid, texts
from adapter.services.information_type import InformationType
from adapter.services.zhkh_common import COMMON, BaseRequest, ErrorInfo
from adapter.services.zhkh_debt_requests import EXAMPLES, DocumentCode
from adapter.xml.mapping import Namespace, Xml, XmlModel, many, record

NS = Namespace("urn:dom.gosuslugi.ru/debt-responses/1.0.0", "tns")
Ids = Annotated[list[Uuid], Field(min_length=1, max_length=100)]
Numbers = Annotated[list[Annotated[str, Field(min_length=7, max_length=100)]], Field(min_length=1, max_length=100)]
Status = Literal["DRAFT", "PROCESSING", "SENT", "PROCESSED", "REVOKED"]
Statuses = Annotated[list[Status], Field(min_length=1, max_length=4), Xml(name="request-status")]
CONDITIONS = (
    "request_creation_period period_of_sending_request? period_of_response_date? applicant_info? house_ids? "
    "request_statuses? request_results? export_request_id?"
)


class Period(XmlModel):
    """Both days belong to it."""

    xml_ns: ClassVar[Namespace] = NS
    start_date: Date = Field(description="Начало периода")
    end_date: Date = Field(description="Конец периода")


class PeriodOpen(XmlModel):
    """A period whose ends may be open."""

    xml_ns: ClassVar[Namespace] = NS
    start_date: Date | None = Field(None, description="Начало периода")
    end_date: Date | None = Field(None, description="Конец периода")


class Document(XmlModel):
    """An identity document that is looked for, whatever its code."""

    xml_ns: ClassVar[Namespace] = NS
    type: DocumentCode = Field(description="Код документа по справочнику ГИС ЖКХ НСИ № 95")
    series: Text255 = Field(description="Серия")
    number: Text255 = Field(description="Номер")


class ApplicantSought(XmlModel):
    """What is known of the applicant; no checksum, because ГИС ЖКХ may hold what it does not fit."""

    xml_ns: ClassVar[Namespace] = NS
    firstname: Name255 | None = Field(None, description="Имя")
    lastname: Name255 | None = Field(None, description="Фамилия")
    middlename: Name255 | None = Field(None, description="Отчество")
    snils: Snils | None = Field(None, description="СНИЛС")
    document: Document | None = Field(None, description="Документ, удостоверяющий личность")


class ExportDebtRequestsRequest(BaseRequest):
    """The command: ids, or numbers, or conditions that hold all at once."""

    xml_ns: ClassVar[Namespace] = NS
    xml_choices = (("request_ids", "request_numbers", CONDITIONS),)
    request_ids: Ids | None = Field(None, description="Идентификаторы запросов в ГИС ЖКХ")
    request_numbers: Numbers | None = Field(None, description="Номера запросов, присвоенные ГИС ЖКХ")
    request_creation_period: Period | None = Field(None, description="Период создания запроса")
    period_of_sending_request: Period | None = Field(None, description="Период направления запроса поставщикам ЖКУ")
    period_of_response_date: PeriodOpen | None = Field(None, description="Период крайнего срока ответа")
    applicant_info: ApplicantSought | None = Field(None, description="Информация о заявителе")
    house_ids: Ids | None = Field(None, description="Идентификаторы домов в Реестре адресных объектов ГИС ЖКХ")
    request_statuses: Statuses | None = Field(None, description="Статусы запроса")
    request_results: list[Int32] | None = Field(None, description="Результаты запроса по справочнику НСИ № 345")
    export_request_id: Uuid | None = Field(None, description="next_request_id предыдущего блока")


DOCUMENT = record("Document", NS, type=int, series=str, number=str)
PERSON = record("Person", NS, **texts("firstname lastname middlename? snils?"), document=DOCUMENT | None)
EXECUTOR = record("Executor", NS, **texts("id fio"))
ORGANIZATION = record("Organization", NS, **texts("organization_root_id name tel?"))
INFO = record("FileInformation", COMMON, **texts("guid name description? hash?"))
FILE = record("Attachment", NS, metadata=INFO, **texts("smev_attachment_ref_guid?"))
DEBT = record("Debt", NS, person=PERSON, documents=many(record("CourtDocument", NS, type=int, attachment=FILE)))
FOUND = {"debt_info": many(DEBT), "additional_files": many(FILE), "executor_info": EXECUTOR | None}
RESPONSE = record("Response", NS, **texts("type"), has_debt=bool | None, **FOUND, **texts("description?"))
DEBT_REQUEST = record(
    "DebtRequest", NS, **texts("request_id request_number status creation_date sent_date? response_date?"), result=int,
    applicant_info=PERSON, organization=ORGANIZATION, executor_info=EXECUTOR,
    housing_fund_object=record("House", NS, **texts("house_id address_details? fias_house_id address")),
    subrequests=many(record("Subrequest", NS, organization=ORGANIZATION, response=RESPONSE | None)),
    period=record("Span", NS, **texts("start_date end_date")) | None,
)  # fmt: skip
NOT_FOUND = record("NotFound", NS, request_ids=many(str), request_numbers=many(str))
PAGE = record("Page", NS, **texts("next_request_id?"), last_page=Annotated[bool | None, Xml(empty="true")])
ANSWERED = {"not_found": NOT_FOUND | None, "paged_output": PAGE | None, "error": ErrorInfo | None}
ASKED = {name: EXAMPLES[0].request[name] for name in BaseRequest.model_fields} | {
    "request_ids": ["00000000-0000-0000-0000-000000000000"]
}
ANSWER = {"error": {"error_code": "INT002012", "description": "Нет объектов для экспорта"}}


class ZhkhDebtResponses(InformationType):
    """The service of action zhkh-debt-responses."""

    action = "zhkh-debt-responses"
    title = "Получение из ГИС ЖКХ запросов о наличии задолженности и ответов на них"
    schema = "zhkh-debt-responses/1.0.0/debt-responses.xsd"
    examples = (Example("Запроса нет в ГИС ЖКХ", ASKED, ANSWER),)
    request = ExportDebtRequestsRequest
    answer = record("ExportDebtRequestsResponse", NS, request_data=many(DEBT_REQUEST), **ANSWERED)


make = ZhkhDebtResponses.configured
