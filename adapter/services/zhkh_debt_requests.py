"""zhkh-debt-requests: requests to ГИС ЖКХ about debts for housing services, ВС 1.0.0.

Source: seeds/001_c03d227b231ca7fb.txt (every table and example), facts/zhkh-and-postamat.md (rules that the schema does
not hold). An optional field that is ``null`` counts as absent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import orjson
from lxml import etree
from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from adapter.errors import FieldFault
from adapter.exchange import Command, Example, Service
from adapter.services.codes import NSI95_IDENTITY_DOCUMENTS, snils_checksum_holds
from adapter.services.fields import Name255, Snils, Text255, Uuid, broken
from adapter.services.information_type import InformationType, read_switches
from adapter.services.zhkh_common import BaseRequest, ImportResult
from adapter.xml.mapping import Namespace, XmlModel

DEBT_REQUESTS = Namespace("urn:dom.gosuslugi.ru/debt-requests/1.0.0", "tns")

#: Environment variables of this service: name -> what it switches.
VARIABLES: Mapping[str, str] = {
    "ZHKH_CHECK_NSI95": "Refuse a document type that is not in the ГИС ЖКХ dictionary no. 95 (true or false).",
    "ZHKH_CHECK_SNILS": "Refuse an applicant's СНИЛС whose checksum is wrong (true or false).",
}


@dataclass(frozen=True, slots=True)
class ZhkhOptions:
    """Checks of a command beyond the schema; never applied to answers."""

    check_nsi95: bool = True
    """The identity document's code is in НСИ 95."""
    check_snils: bool = True
    """The СНИЛС has a right checksum (numbers above 001-001-998)."""


_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_CODE_TEXT = re.compile("[0-9]{1,10}")


def _code_number(value: object) -> int:
    """Take a code as a number or as a string of digits: the seed's examples 1 and 3 write both."""
    if type(value) is str and _CODE_TEXT.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        raise broken("code_expected", "ожидается код: целое число или строка из цифр")
    if not _INT_MIN <= value <= _INT_MAX:
        raise broken("code_out_of_range", f"код должен быть в пределах от {_INT_MIN} до {_INT_MAX}")
    return value


def _known_code(code: int, info: ValidationInfo) -> int:
    wanted = isinstance(info.context, ZhkhOptions) and info.context.check_nsi95
    if wanted and code not in NSI95_IDENTITY_DOCUMENTS:
        raise broken(
            "code_not_in_nsi95",
            "кода нет в справочнике ГИС ЖКХ «Документ, удостоверяющий личность» (НСИ № 95), допустимы коды от 1 до 22",
        )
    return code


def _right_checksum(snils: str, info: ValidationInfo) -> str:
    wanted = isinstance(info.context, ZhkhOptions) and info.context.check_snils
    if wanted and not snils_checksum_holds(snils):
        raise broken("snils_checksum", "контрольное число СНИЛС не сходится")
    return snils


DocumentCode = Annotated[
    int,
    BeforeValidator(_code_number),
    AfterValidator(_known_code),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": _INT_MIN, "maximum": _INT_MAX},
                {"type": "string", "pattern": "^[0-9]{1,10}$"},
            ]
        }
    ),
]


class Document(XmlModel):
    """The applicant's identity document."""

    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS

    type: DocumentCode = Field(
        description="Код документа, удостоверяющего личность. Допускаются любые значения из справочника ГИС ЖКХ "
        "«Документ, удостоверяющий личность» (НСИ № 95)"
    )
    series: Text255 = Field(description="Серия")
    number: Text255 = Field(description="Номер")


class ApplicantInfo(XmlModel):
    """The applicant."""

    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS

    firstname: Name255 = Field(description="Имя")
    lastname: Name255 = Field(description="Фамилия")
    middlename: Name255 | None = Field(None, description="Отчество")
    snils: Annotated[Snils, AfterValidator(_right_checksum)] = Field(description="СНИЛС")
    document: Document = Field(description="Документ, удостоверяющий личность заявителя")


def _both_spellings(schema: dict[str, Any]) -> None:
    """Let the schema take the seed's other spelling too, but not both at once."""
    schema["properties"]["address-details"] = {
        **schema["properties"]["address_details"],
        "description": "То же, что address_details",
    }
    schema["not"] = {"required": ["address_details", "address-details"]}


class HousingFundObject(XmlModel):
    """The housing object asked about. Its type is not known here, so address_details is never judged by it."""

    model_config = ConfigDict(json_schema_extra=_both_spellings)
    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS

    house_id: Uuid = Field(description="Идентификатор дома в Реестре адресных объектов ГИС ЖКХ")
    address_details: Text255 | None = Field(
        None,
        validation_alias=AliasChoices("address_details", "address-details"),
        description="Дополнительная информация об ОЖФ (номер квартиры / помещения, комнаты, блока жилого дома). "
        "Обязателен для ОЖФ, имеющих тип многоквартирный дом или жилой дом блокированной застройки. Не указывается для "
        "ОЖФ, имеющих тип жилой дом. Принимается и написание address-details, но не оба сразу",
    )


class RequestData(XmlModel):
    """The content of a request."""

    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS

    applicant_info: ApplicantInfo = Field(description="Информация о заявителе")
    housing_fund_object: HousingFundObject = Field(
        description="Сведения об объекте жилищного фонда (ОЖФ), по которому осуществляется запрос"
    )
    executor_id: Uuid = Field(description="Идентификатор сотрудника, сформировавшего запрос")


class Action(XmlModel):
    """One operation over one request."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"action_type": {"const": "REVOKE"}}},
            "then": {
                "required": ["request_id"],
                "properties": {"request_id": {"type": "string"}, "request_data": {"type": "null"}},
            },
            "else": {
                "anyOf": [
                    {"required": ["request_id"], "properties": {"request_id": {"type": "string"}}},
                    {"required": ["request_data"], "properties": {"request_data": {"type": "object"}}},
                ]
            },
        }
    )
    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS

    transport_id: Uuid = Field(
        description="Транспортный идентификатор. Уникален среди операций команды без учёта регистра"
    )
    request_id: Uuid | None = Field(
        None,
        description="Идентификатор запроса о наличии задолженности за ЖКУ. Обязателен для операции REVOKE. Для "
        "операции SEND указывается в том случае, если поставщикам ЖКУ направляется уже существующий в ГИС ЖКХ запрос. "
        "Уникален среди операций команды без учёта регистра",
    )
    action_type: Literal["SEND", "REVOKE"] = Field(
        description="Тип операции над запросом о наличии задолженности за ЖКУ: SEND - направить запрос поставщикам "
        "ЖКУ; REVOKE - отозвать запрос, ранее направленный поставщикам ЖКУ. Для операции SEND должен быть "
        "указан хотя бы один из элементов request_id или request_data"
    )
    request_data: RequestData | None = Field(
        None,
        description="Данные запроса о наличии задолженности за ЖКУ. Указывается только для операции SEND. Если "
        "операция связана с уже существующим в ГИС ЖКХ запросом (указан request_id), то содержимое используется для "
        "изменения запроса перед его направлением поставщикам ЖКУ, иначе для создания в ГИС ЖКХ нового запроса, "
        "который направляется поставщикам ЖКУ",
    )


class ImportDebtRequestsRequest(BaseRequest):
    """The command and the request's root."""

    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS

    actions: Annotated[list[Action], Field(min_length=1, max_length=50)] = Field(
        description="Операции над запросами о наличии задолженности за ЖКУ"
    )


class ImportDebtRequestsResponse(ImportResult):
    """The answer's root; everything below it is in the common namespace."""

    xml_ns: ClassVar[Namespace] = DEBT_REQUESTS


def _command(action: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "information_system_id": "35a823b4-55da-4622-a561-6bae5c0a00ba",
        "organization_id": "6eef689e-48bb-4eb0-9c11-18b6db9909b7",
        "actions": [{"transport_id": "be03eb8e-6f80-11eb-9439-0242ac130002", **action}],
    }


def _data(document_type: int | str) -> Mapping[str, Any]:
    return {
        "applicant_info": {
            "firstname": "Иванов",
            "lastname": "Иван",
            "middlename": "Иванович",
            "snils": "11111111145",
            "document": {"type": document_type, "series": "1234", "number": "123456"},
        },
        "housing_fund_object": {
            "house_id": "e786b770-28e6-4557-8dde-86e8e347587e",
            "address_details": "кв. 27",
        },
        "executor_id": "df82b6d8-66d8-11eb-ae93-0242ac130002",
    }


def _result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"result": [{"transport_id": "be03eb8e-6f80-11eb-9439-0242ac130002", **result}]}


_UPDATED = "2021-02-04T13:45:47.000+03:00"
_NEW, _KNOWN = "3d62cf5c-66d6-11eb-ae93-0242ac130002", "8e495b0a-66f1-11eb-ae93-0242ac130002"
_UNKNOWN = "00000000-0000-0000-0000-000000000000"

#: The seed's four examples as they stand there, the swapped names and the two ways to write a document's type included.
EXAMPLES = (
    Example(
        "Новый запрос",
        _command({"action_type": "SEND", "request_data": _data("1")}),
        _result({"success": {"id": _NEW, "update_date": _UPDATED}}),
    ),
    Example(
        "Отправка запроса, которого нет в статусе «Проект»",
        _command({"request_id": _UNKNOWN, "action_type": "SEND"}),
        _result(
            {
                "errors": [
                    {
                        "error_code": "INT054003",
                        "description": "Запрос о наличии задолженности за ЖКУ с уникальным идентификатором "
                        f'{_UNKNOWN} не найден или имеет статус, отличный от статуса "Проект"',
                    }
                ]
            }
        ),
    ),
    Example(
        "Изменение и отправка существующего запроса",
        _command({"request_id": _KNOWN, "action_type": "SEND", "request_data": _data(1)}),
        _result({"success": {"id": _KNOWN, "update_date": _UPDATED}}),
    ),
    Example(
        "Отзыв запроса, ошибка всего сообщения",
        _command({"request_id": _KNOWN, "action_type": "REVOKE"}),
        {
            "error": {
                "error_code": "EXP001000",
                "description": "Произошла ошибка при передаче данных. Попробуйте осуществить передачу данных повторно. "
                "В случае, если повторная передача данных не проходит - направьте обращение в службу поддержки "
                "пользователей ГИС ЖКХ",
            }
        },
    ),
)


class ZhkhDebtRequests(InformationType):
    """The service of action zhkh-debt-requests."""

    action = "zhkh-debt-requests"
    title = "Направление в ГИС ЖКХ запросов о наличии задолженности по оплате жилищно-коммунальных услуг"
    #: What the page of the service says beside what is known of it anyway.
    attributes: ClassVar[Mapping[str, str]] = {"Версия МР": "3.4"}
    partner = "ГИС ЖКХ"
    schema: str | None = "zhkh-debt-requests/1.0.0/debt-requests.xsd"
    examples: Sequence[Example] = EXAMPLES
    request = ImportDebtRequestsRequest
    request_root = etree.QName(DEBT_REQUESTS.uri, "ImportDebtRequestsRequest")
    answer = ImportDebtRequestsResponse
    answer_root = etree.QName(DEBT_REQUESTS.uri, "ImportDebtRequestsResponse")

    def __init__(self, *, options: ZhkhOptions | None = None, personal_signature: bool = False) -> None:
        """``options`` default to every check on; ``personal_signature`` as in InformationType."""
        super().__init__(personal_signature=personal_signature)
        self._options = options or ZhkhOptions()

    def context(self) -> ZhkhOptions:
        """Return the checks that the request's validators apply."""
        return self._options

    def rules(self, tree: Mapping[str, Any]) -> Iterator[FieldFault]:
        """Yield what no field can judge alone (facts/zhkh-and-postamat.md, Rules the XSD does NOT have)."""
        for index, action in _actions(tree):
            yield from _action_rules(f"actions[{index}]", action)
        for name in ("transport_id", "request_id"):
            yield from _repeated(name, tree)

    def notes(self, command: Command, outcome: Mapping[str, Any]) -> Iterator[str]:
        """Yield how the answer's transport ids differ from the command's; letter case does not count."""
        tree = orjson.loads(command.body)  # an accepted command: strictness has had its say
        asked = {_normal(action.get("transport_id")) for _, action in _actions(tree)}
        answered = {_normal(result["transport_id"]) for result in outcome["result"]}
        if answered - asked:
            yield "unknown-transport-id"
        if asked - answered:
            yield "missing-transport-id"


def make(environment: Mapping[str, str]) -> Service:
    """Return the service as ``environment`` configures it. Raises ConfigurationError."""
    switches = read_switches(
        environment, {"ZHKH_CHECK_NSI95": True, "ZHKH_CHECK_SNILS": True, "USE_PERSONAL_SIGNATURE": False}
    )
    return ZhkhDebtRequests(
        options=ZhkhOptions(check_nsi95=switches["ZHKH_CHECK_NSI95"], check_snils=switches["ZHKH_CHECK_SNILS"]),
        personal_signature=switches["USE_PERSONAL_SIGNATURE"],
    )


def _actions(tree: Mapping[str, Any]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    actions = tree.get("actions")
    members = actions if isinstance(actions, list) else []
    return [(index, action) for index, action in enumerate(members) if isinstance(action, dict)]


def _normal(identifier: object) -> object:
    return identifier.lower() if isinstance(identifier, str) else identifier


def _action_rules(path: str, action: Mapping[str, Any]) -> Iterator[FieldFault]:
    kind = action.get("action_type")
    has_id, has_data = action.get("request_id") is not None, action.get("request_data") is not None
    if kind == "SEND" and not has_id and not has_data:
        yield FieldFault(f"{path}.request_data", "для SEND обязательно хотя бы одно из полей request_id и request_data")
    if kind == "REVOKE" and not has_id:
        yield FieldFault(f"{path}.request_id", "поле обязательно для REVOKE")
    if kind == "REVOKE" and has_data:
        yield FieldFault(f"{path}.request_data", "поле указывается только для SEND")
    data = action.get("request_data")
    house = data.get("housing_fund_object") if isinstance(data, dict) else None
    if isinstance(house, dict) and {"address_details", "address-details"} <= house.keys():
        yield FieldFault(
            f"{path}.request_data.housing_fund_object.address-details",
            "указано вместе с address_details, допустимо только одно из написаний",
        )


def _repeated(name: str, tree: Mapping[str, Any]) -> Iterator[FieldFault]:
    """Yield every action whose ``name`` stands in an earlier one; XSD keys would let copies in another case pass."""
    first: dict[object, int] = {}
    for index, action in _actions(tree):
        identifier = action.get(name)
        if not isinstance(identifier, str):
            continue
        earlier = first.setdefault(_normal(identifier), index)
        if earlier != index:
            yield FieldFault(f"actions[{index}].{name}", f"повторяет actions[{earlier}].{name}, нужен уникальный")
