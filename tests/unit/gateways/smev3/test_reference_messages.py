"""Messages that the real gateway sent, read as the gateway's client reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.exchange import AnswerKind
from adapter.gateways.smev3.answers import to_answer
from adapter.gateways.smev3.faults import Outcome, error_of, rule_of
from adapter.gateways.smev3.reading import (
    open_envelope,
    read_acceptance,
    read_delivery,
    read_soap_fault,
    root_part,
)
from adapter.xml.parser import parse
from tests.unit.gateways.smev3.scripted import NAMES

REFERENCE = Path(__file__).parents[4].parent / "shared" / "reference" / "smev3"

if not REFERENCE.is_dir():
    pytest.skip("the reference messages are not beside this checkout", allow_module_level=True)


def reference(name: str) -> bytes:
    return root_part((REFERENCE / name).read_bytes())


@pytest.mark.parametrize(
    "name", ["faults/GetResponseResponce_EmptyQueue.xml", "faults/GetResponseResponce_MultipartEmptyQueue.xml"]
)
def test_an_empty_queue_is_empty(name: str) -> None:
    assert read_delivery(open_envelope(reference(name)), NAMES) is None


def test_an_expired_certificate_is_refused_with_the_gateways_code() -> None:
    fault = read_soap_fault(open_envelope(reference("faults/SoapFaultResponse_SignatureVerificationFault.xml")))
    assert fault is not None
    assert rule_of(fault).outcome is Outcome.REFUSED
    error = error_of(fault)
    assert error.code == "SMEV-100"
    assert error.description.startswith("SMEV-100:Срок действия сертификата")
    assert error.details["fault_fields"] == {"SignatureVerificationFault": "CertificateIsExpired"}


def test_a_bare_fault_of_the_server_is_tried_later() -> None:
    fault = read_soap_fault(open_envelope(reference("faults/SoapFaultResponse.xml")))
    assert fault is not None
    assert rule_of(fault).outcome is Outcome.LATER


@pytest.mark.parametrize("name", ["faults/SendRequestResponce.xml", "signed/SendRequestResponse_001_gosha.xml"])
def test_an_acceptance_names_its_message(name: str) -> None:
    confirmed = read_acceptance(open_envelope(reference(name)), "SendRequest", NAMES)
    assert confirmed is not None
    assert len(confirmed) == 36


def test_an_asynchronous_rejection_carries_its_code() -> None:
    raw = reference("faults/GetResponseResponce_InvalidContent.xml")
    delivery = read_delivery(open_envelope(raw), NAMES)
    assert delivery is not None
    answer = to_answer(delivery, raw, NAMES, verdicts=(), mine=True)
    assert answer.kind is AnswerKind.REJECTION
    assert answer.reference == "ac9fbf27-8b8c-11eb-9086-e2bf794ac2e9"
    assert answer.fault is not None
    assert answer.fault.code == "SMEV-403"
    assert answer.fault.details["fault"] == "InvalidContent"
    assert len(answer.fault.details["validation_errors"]) == 1


@pytest.mark.parametrize(
    "name", ["faults/GetResponseResponse_ValidResponse.xml", "signed/GetResponseResponse_001_gosha.xml"]
)
def test_a_business_answer_is_read(name: str) -> None:
    raw = reference(name)
    delivery = read_delivery(open_envelope(raw), NAMES)
    assert delivery is not None
    assert delivery.part.id_is_unique
    assert delivery.part.id == "SIGNED_BY_SMEV"
    answer = to_answer(delivery, raw, NAMES, verdicts=(), mine=True)
    assert answer.kind is AnswerKind.ANSWER
    assert parse(answer.content).tag.endswith("Response")
