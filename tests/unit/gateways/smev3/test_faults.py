from __future__ import annotations

import pytest
from lxml import etree

from adapter.gateways.smev3.faults import CODE_RULES, RULES, Outcome, SmevFault, error_of, rule_of
from adapter.paths import SCHEMAS

EXPECTED = {
    "AccessDenied": Outcome.REFUSED,
    "AttachmentContentMiscoordination": Outcome.REFUSED,
    "AttachmentSizeLimitExceeded": Outcome.REFUSED,
    "BusinessDataTypeIsNotSupported": Outcome.REFUSED,
    "DestinationOverflow": Outcome.LATER,
    "EndOfLifeReached": Outcome.REMINT,
    "IncorrectResponseContentType": Outcome.REFUSED,
    "InvalidContent": Outcome.REFUSED,
    "InvalidMessageIdFormat": Outcome.REMINT,
    "MessageIsAlreadySent": Outcome.DUPLICATE,
    "PersonalAccessDenied": Outcome.REFUSED,
    "QuoteLimitExceeded": Outcome.LATER,
    "RecipientIsNotFound": Outcome.REFUSED,
    "RequestIsNotFound": Outcome.REFUSED,
    "SMEVFailure": Outcome.LATER,
    "SenderIsNotRegistered": Outcome.REFUSED,
    "SignatureVerificationFault": Outcome.REFUSED,
    "StaleMessageId": Outcome.REMINT,
    "TargetMessageIsNotFound": Outcome.UNNEEDED,
    "TransactionCodeInvalid": Outcome.REFUSED,
    "UnknownMessageType": Outcome.REFUSED,
}


def test_every_fault_of_the_schema_has_a_row_and_no_row_is_invented() -> None:
    schema = etree.parse(SCHEMAS / "smev3" / "1.2" / "faults.xsd")
    names = {element.get("name") for element in schema.findall("{http://www.w3.org/2001/XMLSchema}element")}
    assert names == set(RULES) - {"PersonalAccessDenied"}


@pytest.mark.parametrize(("kind", "outcome"), EXPECTED.items())
def test_a_row_means_what_the_schema_advises(kind: str, outcome: Outcome) -> None:
    assert rule_of(SmevFault(kind=kind, faultcode="soap:Server")).outcome is outcome


def test_every_row_is_expected_here() -> None:
    assert set(EXPECTED) == set(RULES)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("SMEV-100", Outcome.REFUSED),
        ("SMEV-300", Outcome.REMINT),
        ("SMEV-301", Outcome.DUPLICATE),
        ("SMEV-403", Outcome.REFUSED),
        ("SMEV-501", Outcome.UNNEEDED),
        ("SMEV-600", Outcome.LATER),
    ],
)
def test_a_fault_without_a_known_class_is_judged_by_its_code(code: str, outcome: Outcome) -> None:
    assert code in CODE_RULES
    assert rule_of(SmevFault(kind="Novelty", description=f"{code}:что-то")).outcome is outcome
    assert rule_of(SmevFault(faultcode="soap:Server", faultstring=f"{code}: что-то")).outcome is outcome


def test_the_class_goes_before_the_code() -> None:
    assert rule_of(SmevFault(kind="InvalidContent", description="SMEV-600:…")).outcome is Outcome.REFUSED


def test_an_unknown_class_refuses_for_good() -> None:
    assert rule_of(SmevFault(kind="Novelty", faultcode="soap:Server")).outcome is Outcome.REFUSED


def test_an_unknown_code_refuses_for_good() -> None:
    fault = SmevFault(faultcode="soap:Server", faultstring="SMEV-777: новое")
    assert rule_of(fault).outcome is Outcome.REFUSED
    assert error_of(fault).code == "SMEV-777"


@pytest.mark.parametrize("faultcode", ["soap:Server", "Server", "S:Server.generalException"])
def test_a_bare_fault_of_the_server_is_tried_later(faultcode: str) -> None:
    fault = SmevFault(faultcode=faultcode, faultstring="сбой")
    assert rule_of(fault).outcome is Outcome.LATER
    assert error_of(fault).code == "ADAPTER-GATEWAY-UNAVAILABLE"
    assert error_of(fault).description == "сбой"


@pytest.mark.parametrize("faultcode", ["soap:Client", "soap:VersionMismatch", ""])
def test_a_bare_fault_of_the_client_refuses(faultcode: str) -> None:
    fault = SmevFault(faultcode=faultcode)
    assert rule_of(fault).outcome is Outcome.REFUSED
    assert error_of(fault).code == "ADAPTER-GATEWAY-PROTOCOL"


def test_the_wire_error_carries_the_gateways_words() -> None:
    error = error_of(
        SmevFault(
            kind="SignatureVerificationFault",
            code="tsmev3:AREA:CORE:4",
            description="SMEV-100:Срок действия сертификата истёк",
            faultcode="soap:Server",
            fields={"SignatureVerificationFault": "CertificateIsExpired"},
        )
    )
    assert error.to_wire() == {
        "error_code": "SMEV-100",
        "description": "SMEV-100:Срок действия сертификата истёк",
        "details": {
            "fault": "SignatureVerificationFault",
            "fault_code": "tsmev3:AREA:CORE:4",
            "fault_fields": {"SignatureVerificationFault": "CertificateIsExpired"},
        },
        "recommendation": RULES["SignatureVerificationFault"].advice,
    }


def test_a_fault_without_words_is_named_by_its_class() -> None:
    error = error_of(SmevFault(kind="UnknownMessageType", faultcode="soap:Server", faultstring="нет такого типа"))
    assert (error.code, error.description) == ("UnknownMessageType", "нет такого типа")
