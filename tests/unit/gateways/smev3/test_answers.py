from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.exchange import AnswerKind
from adapter.gateways.smev3.answers import to_answer
from adapter.gateways.smev3.reading import open_envelope, read_delivery
from adapter.xml.parser import parse
from tests.unit.gateways.smev3.scripted import MESSAGE_ID, NAMES, ORIGINAL_ID, business_answer, delivery

if TYPE_CHECKING:
    from adapter.exchange import Answer

REJECTED = (
    "<t:RequestRejected><t:RejectionReasonCode>{code}</t:RejectionReasonCode>"
    "<t:RejectionReasonDescription>{description}</t:RejectionReasonDescription></t:RequestRejected>"
)
FAULT = (
    '<t:SmevFault xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="f:InvalidContent">'
    "<b:Code>core:BSV:3</b:Code><b:Description>SMEV-403:Бизнес-данные не соответствуют схеме</b:Description>"
    '<f:ValidationError errorPosition="-1">cvc-complex-type.2.4.b</f:ValidationError></t:SmevFault>'
)


def processing(category: str, *, details: str = "", fault: str = "") -> bytes:
    said = f"<t:StatusDetails>{details}</t:StatusDetails>" if details else ""
    return delivery(
        f"<t:AsyncProcessingStatus><t:OriginalMessageId>{ORIGINAL_ID}</t:OriginalMessageId>"
        f"<t:StatusCategory>{category}</t:StatusCategory>{said}{fault}</t:AsyncProcessingStatus>",
        original="",
    )


def answer_of(raw: bytes, *, mine: bool = True) -> Answer:
    read = read_delivery(open_envelope(raw), NAMES)
    assert read is not None
    return to_answer(read, raw, NAMES, verdicts=({"math": True},), mine=mine)


def test_primary_content_is_the_business_answer() -> None:
    raw = business_answer()
    answer = answer_of(raw)
    assert (answer.source, answer.kind) == ("smev3", AnswerKind.ANSWER)
    assert (answer.key, answer.reference) == (MESSAGE_ID, ORIGINAL_ID)
    assert answer.raw == raw
    assert answer.verdicts == ({"math": True},)
    assert (answer.fault, answer.event, answer.mine) == (None, None, True)
    root = parse(answer.content)
    assert root.tag == "{urn:zoo}Answer"
    assert root.get("kind") == "бобёр"
    assert root.findtext("{urn:zoo}name") == "Пётр"


def test_the_business_root_keeps_the_namespaces_that_it_used() -> None:
    content = answer_of(business_answer('<z:Answer xmlns:z="urn:zoo" role="t:Response"/>')).content
    assert parse(content).nsmap["t"] == NAMES.types


def test_whitespace_around_the_business_root_is_no_part_of_it() -> None:
    content = answer_of(business_answer('\n  <Answer xmlns="urn:zoo"> <a/>\n</Answer>\n ')).content
    assert content.startswith(b"<Answer")
    assert content.endswith(b"> <a/>\n</Answer>")


def test_comments_that_no_signature_sees_are_not_handed_on() -> None:
    content = answer_of(business_answer('<!-- a --><z:A xmlns:z="urn:zoo">10<!-- -->00<?p i?></z:A>')).content
    assert parse(content).text == "1000"
    assert b"<!--" not in content
    assert b"<?p" not in content


@pytest.mark.parametrize("code", ["ACCESS_DENIED", "NO_DATA", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"])
def test_a_rejection_by_the_provider_is_verbatim(code: str) -> None:
    answer = answer_of(delivery(REJECTED.format(code=code, description="Нет данных о гражданине")))
    assert answer.kind is AnswerKind.REJECTION
    assert answer.reference == ORIGINAL_ID
    assert answer.fault is not None
    assert answer.fault.to_wire() == {"error_code": code, "description": "Нет данных о гражданине"}


def test_several_rejections_are_listed() -> None:
    answer = answer_of(
        delivery(
            REJECTED.format(code="NO_DATA", description="раз") + REJECTED.format(code="FAILURE", description="два")
        )
    )
    assert answer.fault is not None
    assert (answer.fault.code, answer.fault.description) == ("NO_DATA", "раз")
    assert answer.fault.details["rejections"] == [
        {"code": "NO_DATA", "description": "раз"},
        {"code": "FAILURE", "description": "два"},
    ]


def test_a_request_status_is_news_that_ends_nothing() -> None:
    answer = answer_of(
        delivery(
            "<t:RequestStatus><t:StatusCode>20</t:StatusCode><t:StatusParameter><t:Key>срок</t:Key>"
            "<t:Value>завтра</t:Value></t:StatusParameter><t:StatusDescription>В работе</t:StatusDescription>"
            "</t:RequestStatus>"
        )
    )
    assert answer.kind is AnswerKind.STATUS
    assert answer.fault is None
    assert answer.event is not None
    assert answer.event.name == "smev3.request-status"
    assert answer.event.body == {
        "message_id": MESSAGE_ID,
        "original_message_id": ORIGINAL_ID,
        "code": "20",
        "description": "В работе",
        "parameters": [{"key": "срок", "value": "завтра"}],
    }


def test_a_rejection_by_smev_carries_its_fault() -> None:
    answer = answer_of(processing("requestIsRejectedBySmev", details="Не по схеме", fault=FAULT))
    assert answer.kind is AnswerKind.REJECTION
    assert answer.reference == ORIGINAL_ID
    assert answer.fault is not None
    wire = answer.fault.to_wire()
    raw = parse(wire["details"].pop("smev_fault").encode())
    assert raw.tag == NAMES.type("SmevFault")
    assert raw.findtext(NAMES.base("Code")) == "core:BSV:3"
    assert wire["error_code"] == "SMEV-403"
    assert wire["description"] == "SMEV-403:Бизнес-данные не соответствуют схеме"
    assert wire["details"] == {
        "category": "requestIsRejectedBySmev",
        "status_details": "Не по схеме",
        "fault": "InvalidContent",
        "fault_code": "core:BSV:3",
        "validation_errors": [{"position": "-1", "message": "cvc-complex-type.2.4.b"}],
    }


@pytest.mark.parametrize("category", ["requestIsRejectedBySmev", "responseIsRejectedBySmev"])
def test_a_rejecting_category_without_a_fault_names_itself(category: str) -> None:
    answer = answer_of(processing(category, details="Отклонено"))
    assert answer.kind is AnswerKind.REJECTION
    assert answer.fault is not None
    assert (answer.fault.code, answer.fault.description) == (category, "Отклонено")
    assert answer.fault.details == {"category": category, "status_details": "Отклонено"}


def test_a_rejecting_category_may_have_its_code_in_the_status() -> None:
    answer = answer_of(processing("requestIsRejectedBySmev", details="SMEV-100: подпись неверна"))
    assert answer.fault is not None
    assert answer.fault.code == "SMEV-100"


def test_a_raw_fault_that_is_too_large_stays_in_the_journal_alone() -> None:
    long = FAULT.replace("</b:Description>", "х" * 40_000 + "</b:Description>")
    answer = answer_of(processing("requestIsRejectedBySmev", fault=long))
    assert answer.fault is not None
    assert answer.fault.code == "SMEV-403"
    assert "smev_fault" not in answer.fault.details


def test_any_status_with_a_fault_rejects() -> None:
    answer = answer_of(processing("underProcessing", fault=FAULT))
    assert answer.kind is AnswerKind.REJECTION
    assert answer.fault is not None
    assert answer.fault.code == "SMEV-403"


@pytest.mark.parametrize(
    "category",
    ["requestIsQueued", "requestIsAcceptedBySmev", "underProcessing", "responseIsAcceptedBySmev", "messageIsDelivered"],
)
def test_other_categories_are_news(category: str) -> None:
    answer = answer_of(processing(category, details="идёт"))
    assert answer.kind is AnswerKind.STATUS
    assert answer.reference == ORIGINAL_ID
    assert answer.event is not None
    assert answer.event.body == {
        "message_id": MESSAGE_ID,
        "original_message_id": ORIGINAL_ID,
        "category": category,
        "description": "идёт",
        "parameters": [],
    }


@pytest.mark.parametrize(
    "raw",
    [
        delivery(""),
        business_answer(""),
        business_answer("<a/><b/>"),
        delivery("<t:RequestStatus><t:StatusCode><t:x/></t:StatusCode></t:RequestStatus>"),
    ],
    ids=["no choice", "no root", "two roots", "structure in a code"],
)
def test_a_signed_message_that_follows_no_choice_is_an_answer_without_content(raw: bytes) -> None:
    answer = answer_of(raw)
    assert (answer.kind, answer.content, answer.reference) == (AnswerKind.ANSWER, b"", ORIGINAL_ID)
    assert answer.raw == raw


def test_a_shared_queue_says_that_the_answer_may_be_a_neighbours() -> None:
    assert answer_of(business_answer(), mine=False).mine is False
