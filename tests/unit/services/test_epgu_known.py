"""What an action of ЕПГУ knows of its order by the time an error ends it."""

from __future__ import annotations

from uuid import UUID

import orjson
import pytest

from adapter.exchange import Answer, AnswerKind, Call
from adapter.incoming import Knowing
from adapter.services.registry import make_services
from tests.contract.epgu_stand import META, command

SERVICES = {action: service for action, service in make_services({}).items() if service.gateway == "epgu"}
FILES = [{"name": "req.xml", "content_base64": "PGEvPg=="}]


def answer(content: bytes) -> Answer:
    return Answer("epgu", "k", str(UUID(int=1)), AnswerKind.ANSWER, b"", content)


@pytest.mark.parametrize("action", sorted(SERVICES))
def test_every_action_of_the_gateway_can_say_what_it_knows(action: str) -> None:
    assert isinstance(SERVICES[action], Knowing)


def test_a_reserved_number_is_known_from_the_answer_and_a_given_one_from_the_command() -> None:
    submit, chunked = SERVICES["epgu.order.submit"], SERVICES["epgu.order.push-chunked"]
    assert isinstance(submit, Knowing)
    assert isinstance(chunked, Knowing)
    given = command("epgu.order.submit", {**META, "files": FILES})
    assert submit.known(given, None) == {}
    assert submit.known(given, answer(orjson.dumps({"operation": "order", "order_id": 7}))) == {"order_id": 7}
    assert chunked.known(command("epgu.order.push-chunked", {**META, "order_id": 8}), None) == {"order_id": 8}


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"order_id": true}', b'{"order_id": "7"}', b"null"])
def test_a_number_that_is_none_is_not_told(body: bytes) -> None:
    submit = SERVICES["epgu.order.submit"]
    assert isinstance(submit, Knowing)
    assert submit.known(command("epgu.order.submit", body), answer(body)) == {}


def test_a_call_about_an_order_joins_the_others_of_its_number() -> None:
    step = SERVICES["epgu.order.get"].start(command("epgu.order.get", {"order_id": 77}))
    assert isinstance(step, Call)
    assert step.subject == "77"
    assert SERVICES["epgu.order.create"].start(command("epgu.order.create", dict(META))).subject == ""  # type: ignore[union-attr]
