"""Commands, requests and answers of zhkh-debt-responses for tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.unit.services.zhkh_commands import names, short, uuids

_DR, _COMMON = "urn:dom.gosuslugi.ru/debt-responses/1.0.0", "urn:dom.gosuslugi.ru/common/1.2.0"
_ID = "8e495b0a-66f1-11eb-ae93-0242ac130002"
_HEAD = (
    f"<common:information-system-id>{_ID}</common:information-system-id>"
    f"<common:organization-id>{_ID}</common:organization-id>"
)
_PERSON = (
    "<tns:firstname>Иван</tns:firstname><tns:lastname>Иванов</tns:lastname>"
    "<tns:middlename>И</tns:middlename><tns:snils>11111111145</tns:snils>"
)
_DOCUMENT = (
    "<tns:document><tns:type>1</tns:type><tns:series></tns:series><tns:number>123456</tns:number></tns:document>"
)
_SPAN = "<tns:start-date>2026-01-01</tns:start-date><tns:end-date>2026-02-01</tns:end-date>"
_CONDITIONS = (
    f"<tns:request-creation-period>{_SPAN}</tns:request-creation-period>"
    f"<tns:period-of-sending-request>{_SPAN}</tns:period-of-sending-request>"
    "<tns:period-of-response-date><tns:end-date>2026-03-01</tns:end-date></tns:period-of-response-date>"
    f"<tns:applicant-info>{_PERSON}{_DOCUMENT}</tns:applicant-info><tns:house-id>{_ID}</tns:house-id>"
    "<tns:request-status>SENT</tns:request-status><tns:request-status>DRAFT</tns:request-status>"
    f"<tns:request-result>3</tns:request-result><tns:export-request-id>{_ID}</tns:export-request-id>"
)
_ORGANIZATION = (
    f"<tns:organization><tns:organization-root-id>{_ID}</tns:organization-root-id><tns:name>УК</tns:name><tns:tel>1</tns:tel>"
    "</tns:organization>"
)
_EXECUTOR = f"<tns:executor-info><tns:id>{_ID}</tns:id><tns:fio>Петров П. П.</tns:fio></tns:executor-info>"
_FILE = (
    f"<tns:metadata><common:guid>{_ID}</common:guid><common:name>a.pdf</common:name><common:description>акт</common:description><common:hash>ab</common:hash>"
    f"</tns:metadata><tns:smev-attachment-ref-guid>{_ID}</tns:smev-attachment-ref-guid>"
)
_RESPONSE = (
    "<tns:response><tns:type>PROVIDED</tns:type><tns:has-debt>true</tns:has-debt>"
    f"<tns:debt-info><tns:person>{_PERSON}{_DOCUMENT}</tns:person>"
    f"<tns:document><tns:type>1</tns:type><tns:attachment>{_FILE}</tns:attachment></tns:document></tns:debt-info>"
    f"<tns:additional-file>{_FILE}</tns:additional-file><tns:description>долг</tns:description>{_EXECUTOR}</tns:response>"
)
_REQUEST_DATA = (
    f"<tns:request-data><tns:request-id>{_ID}</tns:request-id><tns:request-number>1234567</tns:request-number>"
    f"<tns:applicant-info>{_PERSON}{_DOCUMENT}</tns:applicant-info>"
    f"<tns:housing-fund-object><tns:house-id>{_ID}</tns:house-id><tns:address-details>кв. 27</tns:address-details>"
    f"<tns:fias-house-id>{_ID}</tns:fias-house-id><tns:address>Калуга</tns:address></tns:housing-fund-object>"
    f"<tns:period>{_SPAN}</tns:period>{_ORGANIZATION}{_EXECUTOR}<tns:status>PROCESSED</tns:status><tns:result>3</tns:result>"
    "<tns:creation-date>2026-01-02</tns:creation-date><tns:sent-date>2026-01-03+03:00</tns:sent-date>"
    f"<tns:response-date>2026-01-10</tns:response-date><tns:subrequest>{_ORGANIZATION}{_RESPONSE}</tns:subrequest>"
    "</tns:request-data>"
)


def _root(name: str, content: str) -> bytes:
    return f'<tns:{name} xmlns:tns="{_DR}" xmlns:common="{_COMMON}">{content}</tns:{name}>'.encode()


def documents() -> dict[str, bytes]:
    """Return valid messages by name; every element of the schema is in one of them."""
    answers = {
        "found": f"{_REQUEST_DATA}<tns:not-found><tns:request-id>{_ID}</tns:request-id></tns:not-found>",
        "page": f"{_REQUEST_DATA}<tns:paged-output><tns:next-request-id>{_ID}</tns:next-request-id></tns:paged-output>",
        "last page": f"{_REQUEST_DATA}<tns:paged-output><tns:last-page/></tns:paged-output>",
        "error": "<tns:error><common:error-code>INT002012</common:error-code>"
        "<common:description>Нет</common:description></tns:error>",
    }
    requests = {
        "by id": f"<tns:request-id>{_ID}</tns:request-id>",
        "by number": "<tns:request-number>1234567</tns:request-number>",
        "by conditions": _CONDITIONS,
    }
    return {name: _root("ExportDebtRequestsResponse", content) for name, content in answers.items()} | {
        name: _root("ExportDebtRequestsRequest", _HEAD + content) for name, content in requests.items()
    }


dates = st.dates().map(str)
_periods = st.fixed_dictionaries({"start_date": dates, "end_date": dates})
_people = st.fixed_dictionaries(
    {},
    optional={
        "firstname": names,
        "middlename": names | st.none(),
        "snils": st.from_regex("[0-9]{11}", fullmatch=True),
        "document": st.fixed_dictionaries({"type": st.integers(-5, 99), "series": short, "number": short}),
    },
)
_numbers = st.from_regex("[0-9]{7,20}", fullmatch=True)
_conditions = st.fixed_dictionaries(
    {"request_creation_period": _periods},
    optional={
        "period_of_sending_request": _periods,
        "period_of_response_date": st.fixed_dictionaries({}, optional={"start_date": dates, "end_date": dates}),
        "applicant_info": _people,
        "house_ids": st.lists(uuids, min_size=1, max_size=3),
        "request_statuses": st.lists(st.sampled_from(["DRAFT", "PROCESSING", "SENT"]), min_size=1, max_size=4),
        "request_results": st.lists(st.integers(1, 6), max_size=9),
        "export_request_id": uuids | st.none(),
    },
)


def commands() -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of every kind of accepted command."""
    return st.builds(
        lambda system, organization, asked: {"information_system_id": system, "organization_id": organization, **asked},
        uuids,
        uuids,
        st.fixed_dictionaries({"request_ids": st.lists(uuids, min_size=1, max_size=5)})
        | st.fixed_dictionaries({"request_numbers": st.lists(_numbers, min_size=1, max_size=5)})
        | _conditions,
    )
