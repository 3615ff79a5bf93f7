from __future__ import annotations

import pytest
from lxml import etree

from adapter.errors import ConfigurationError
from adapter.services.information_type import InformationType, read_switches
from adapter.services.zhkh_common import ErrorInfo
from adapter.xml.mapping import Namespace, many, record
from tests.unit.services.zhkh_commands import answer, command

NS = Namespace("urn:test:debts/1.0.0", "tns")


class Debts(InformationType):
    """The least that a new вид сведений has to say."""

    action = "debts"
    title = "Долги"
    request = record("Ask", NS, request_ids=many(str))
    request_root = etree.QName(NS.uri, "Ask")
    answer = record("Told", NS, debts=many(str), error=ErrorInfo | None)
    answer_root = etree.QName(NS.uri, "Told")


def test_two_models_and_their_roots_make_a_service() -> None:
    call = Debts().start(command({"request_ids": ["1", "2"]}))
    assert call.content == (
        b'<tns:Ask xmlns:tns="urn:test:debts/1.0.0">'
        b"<tns:request-id>1</tns:request-id><tns:request-id>2</tns:request-id></tns:Ask>"
    )


def test_an_answer_without_a_result_of_its_own_is_wrapped_as_one() -> None:
    reply = Debts().resume(command({}), answer(b'<Told xmlns="urn:test:debts/1.0.0"><debt>5</debt></Told>'))
    assert (reply.outcome, reply.code, reply.notes) == ({"result": {"debts": ["5"]}}, None, ())


def test_a_request_that_takes_no_id_cannot_be_signed_by_an_official() -> None:
    with pytest.raises(ValueError, match="takes no Id"):
        Debts(personal_signature=True).start(command({}))


def test_switches_are_true_false_or_absent() -> None:
    defaults = {"A": True, "B": False, "C": True}
    assert read_switches({"A": " False ", "B": "true", "C": ""}, defaults) == {"A": False, "B": True, "C": True}


def test_wrong_switches_are_named_all_at_once_without_their_values() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_switches({"A": "secret", "B": "0", "C": "true"}, {"A": True, "B": True, "C": True})
    assert caught.value.faults == {"A": "must be true or false", "B": "must be true or false"}
