"""What the ШЭП brings: whose it is, what it is told as, and what follows from it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest

from adapter.errors import Code, KnownError
from adapter.incoming import Done, Incoming, Match, Owner
from adapter.services.shep_arrivals import Messages, Notices, Statuses
from adapter.settings.shep_registry import Service, ShepRegistry
from adapter.shep_chains import SEND, SEND_ANSWERED, SENDS, ties

OWNER = UUID(int=7)
RECEIPT = {"message_id": "11", "correlation_id": "22"}


def registry(**row: Any) -> ShepRegistry:
    service = {"key": "Echo", "system": "s", "name": "Эхо", "mode": "Асинхронный", "delivery": "PUSH"}
    return ShepRegistry(services=[Service(**(service | row))])


def message(message_type: str = "RESPONSE", **facts: Any) -> Incoming:
    told = {"message_id": "12", "correlation_id": "22", "service_id": "Echo", "message_type": message_type}
    return Incoming("shep", "k", "shep.message", b"<raw/>", b'{"content":"1"}', facts=told | facts)


def test_a_receipt_ties_a_command_to_its_numbers() -> None:
    found = dict(ties(RECEIPT, "Echo", begins=True))
    assert found == {"22": "chain:Echo", "11": "message follow:Echo"}
    assert dict(ties(RECEIPT, "Echo", begins=False)) == {"11": "message follow:Echo"}
    assert ties({}, "Echo", begins=False) == ()


def test_one_number_for_both_has_the_words_of_both() -> None:
    found = dict(ties({"message_id": "5", "correlation_id": "5"}, "Echo", begins=True))
    assert found["5"].split() == ["chain:Echo", "message", "follow:Echo"]


def test_a_request_is_nobodys_and_anything_else_is_looked_for() -> None:
    messages = Messages(registry())
    assert isinstance(messages.begin(message("REQUEST")), Done)
    assert isinstance(messages.begin(message(correlation_id="")), Done)
    assert messages.begin(message("UPDATE")) == Match("22", "chain:Echo", SENDS, "room:Echo")
    assert Statuses().begin(message()) == Match("12", "message", SENDS)


@pytest.mark.parametrize(
    ("operation", "message_type", "answers"),
    [(SEND, "RESPONSE", False), (SEND_ANSWERED, "RESPONSE", True), (SEND_ANSWERED, "UPDATE", False)],
)
def test_a_response_ends_only_a_command_that_waits_for_one(operation: str, message_type: str, *, answers: bool) -> None:
    done = Messages(registry()).matched(message(message_type), Owner(OWNER, "shep", "g", operation))
    (event,) = done.events
    assert (done.answers, event.body["data"], "assumed" in event.body) == (answers, {"content": "1"}, False)


def test_an_owner_that_no_receipt_names_is_said_to_be_assumed() -> None:
    (event,) = Messages(registry()).matched(message(), Owner(OWNER, "shep", "g", SEND, assumed=True)).events
    assert event.body["assumed"] is True


@pytest.mark.parametrize(
    ("row", "sent"),
    [
        ({}, False),
        ({"delivery_notifications": 1}, True),
        ({"delivery_notifications": 1, "notify": "manual"}, False),
    ],
)
def test_the_gateway_is_told_by_us_where_the_registry_wants_it(row: dict[str, Any], *, sent: bool) -> None:
    then = Messages(registry(**row)).matched(message(), None).then
    assert (then is not None) is sent


def test_a_notification_says_that_the_message_was_taken() -> None:
    known = registry(delivery_notifications=1, contour="ВШЭП")
    then = Messages(known).matched(message(), None).then
    assert then is not None
    call = Notices(known).begin(then)
    told = orjson.loads(call.content)["notification"]
    assert (call.gateway, told["message_id"], told["service_id"]) == ("vshep", "12", "Echo")
    assert told["delivery_status"] == {"receive_status": "MESSAGE_ACCEPTED", "resend_message": "NOT_RESEND"}
    with pytest.raises(KnownError) as refused:
        Notices(ShepRegistry()).begin(then)
    assert refused.value.code == Code.UNKNOWN_ACTION.wire
