"""What a request of СМЭВ3 is to the pipeline."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from adapter.errors import Code, KnownError
from adapter.exchange import Call, Refusal
from adapter.gateways.smev3.arrivals import to_incoming
from adapter.gateways.smev3.requests import ProvidedRequest
from adapter.gateways.smev3.responses import word_of

ROUTES = {("urn:zoo", "Zoo"): "zoo"}
END = datetime(2026, 1, 2, tzinfo=UTC)


def request(**parts: object) -> ProvidedRequest:
    values = {"content": b'<z:Zoo xmlns:z="urn:zoo"/>', "reply_to": "there", "sender": "EXMP"} | parts
    return ProvidedRequest("smev3", "key", b"raw", **values)  # type: ignore[arg-type]  # parts by name


def test_a_request_goes_to_the_provider_of_its_root_with_what_only_the_gateway_knows() -> None:
    incoming = to_incoming(request(end_of_life=END, transaction_code="tx", test=True), ROUTES, "others")
    assert (incoming.action, incoming.key, incoming.reply_to, incoming.test) == ("zoo", "key", "there", True)
    assert incoming.deadline == END
    assert incoming.facts == {
        "namespace": "urn:zoo",
        "root": "Zoo",
        "sender": "EXMP",
        "transaction_code": "tx",
        "end_of_life": END.isoformat(),
    }
    orjson.dumps(incoming.facts)


@pytest.mark.parametrize(
    ("parts", "unreadable"),
    [
        ({"content": b"", "unreadable": "Request without ReplyTo"}, "Request without ReplyTo"),
        ({"content": b"<broken"}, "business content"),
        ({"content": b"", "cancels": "other"}, ""),
        ({"content": b'<o:Other xmlns:o="urn:other"/>'}, ""),
    ],
    ids=["unreadable", "content", "cancel", "no route"],
)
def test_what_has_no_route_goes_to_the_provider_of_the_rest(parts: dict[str, object], unreadable: str) -> None:
    incoming = to_incoming(request(**parts), ROUTES, "others")
    assert incoming.action == "others"
    assert incoming.unreadable.startswith(unreadable)
    assert bool(incoming.unreadable) is bool(unreadable)
    assert incoming.raw == b"raw"


def test_attachments_that_are_not_what_was_signed_are_told_with_the_request() -> None:
    fault = KnownError(Code.INTERNAL)
    assert to_incoming(request(attachments_fault=fault), ROUTES, "others").facts["attachments_fault"] == fault.to_wire()


def test_a_rejection_code_that_no_schema_knows_is_refused() -> None:
    with pytest.raises(KnownError):
        word_of(Call("smev3", "SendResponse", b"", instead=Refusal([("SOME", "x")])))
