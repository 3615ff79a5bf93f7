"""What the simulator refuses of a message that is otherwise right, and wild packages that must not bring it down."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.smev3.faults import RefusedError
from simulators.smev3.mtom import pack, unpack
from tests.contract.smev3_caller import REQUEST_DATA, action, debt_requests
from tests.contract.smev3_files import package
from tests.contract.smev3_worlds import OWN, ZOO, Both

if TYPE_CHECKING:
    from tests.contract.smev3_world import World

pytest_plugins = ("tests.contract.smev3_fixtures",)


def new_request() -> str:
    return debt_requests(action(data=REQUEST_DATA))


@pytest.fixture
def version() -> str:
    return "1.2"


@pytest.mark.parametrize("soap_action", ["urn:SendRequest", '"urn:SendRequest"'])
async def test_the_soap_action_may_be_quoted(world: World, soap_action: str) -> None:
    message = world.caller.send_request(new_request(), world.fresh())
    assert (await world.post(message, SOAPAction=soap_action)).status == 200


@pytest.mark.parametrize("soap_action", ["", '""', "urn:Ack", "SendRequest", "urn:sendrequest"])
async def test_a_soap_action_that_does_not_name_the_operation_is_refused(world: World, soap_action: str) -> None:
    message = world.caller.send_request(new_request(), world.fresh())
    assert (await world.post(message, SOAPAction=soap_action)).fault() == "soap:Client"
    assert await world.admin("requests") == []


@pytest.mark.parametrize("content_type", ["text/xml", "text/xml;charset=UTF-8", 'TEXT/XML; charset="utf-8"'])
async def test_a_content_type_may_be_written_in_its_ways(world: World, content_type: str) -> None:
    message = world.caller.send_request(new_request(), world.fresh())
    assert (await world.post(message, **{"Content-Type": content_type})).status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/soap+xml; charset=utf-8",
        "application/json",
        "application/octet-stream",
        "text/xml; charset=windows-1251",
        "multipart/form-data; boundary=mark",
        "multipart/related; boundary=mark; type=text/plain",
    ],
)
async def test_a_content_type_of_no_soap_1_1_is_refused(world: World, content_type: str) -> None:
    message = world.caller.send_request(new_request(), world.fresh())
    reply = await world.post(message, **{"Content-Type": content_type})
    assert (reply.status, reply.fault()) == (415, "soap:Client")
    assert await world.admin("requests") == []


async def test_a_body_that_is_no_package_although_it_says_so_is_refused(world: World) -> None:
    message = world.caller.send_request(new_request(), world.fresh())
    for body in (message, b"", b"--mark--"):
        reply = await world.post(body, **{"Content-Type": package(b"", {})[1], "SOAPAction": "urn:SendRequest"})
        assert reply.fault() == "soap:Client"


async def test_a_package_that_is_no_package_by_its_content_type_is_refused(world: World) -> None:
    body, _ = package(world.caller.send_request(new_request(), world.fresh()), {})
    assert (await world.post(body)).fault() == "soap:Client"


@pytest.mark.parametrize(("size", "fault"), [(5 * 2**20 - 1000, None), (5 * 2**20 + 1, "InvalidContent")])
async def test_business_data_of_more_than_5_mb_are_refused(both: Both, size: int, fault: str | None) -> None:
    world = both.consumer
    big = ZOO.replace("слон", "x" * size)
    assert (await world.post(world.caller.send_request(big, world.fresh()))).fault() == fault
    assert ((await both.provider.take()).text(OWN) is None) == (fault is not None)


@pytest.mark.parametrize("operation", ["GetResponse", "GetRequest", "GetStatus"])
async def test_a_question_signed_more_than_a_day_ago_or_ahead_is_refused(world: World, operation: str) -> None:
    for hours, fault in ((-25, "InvalidContent"), (25, "InvalidContent"), (-23, None)):
        at = (world.clock.now + timedelta(hours=hours)).isoformat()
        caller = world.caller
        signed = caller.timestamp(at=at) if operation == "GetStatus" else caller.selector(at=at)
        assert (await world.post(caller.envelope(operation, signed))).fault() == fault


async def test_a_moment_without_a_zone_is_moscow_time(world: World) -> None:
    moscow = world.clock.now + timedelta(hours=3)
    signed = world.caller.selector(at=moscow.replace(tzinfo=None).isoformat())
    assert (await world.post(world.caller.envelope("GetResponse", signed))).status == 200


@given(
    body=st.binary(max_size=400),
    parts=st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.@-]{0,20}", fullmatch=True), st.binary(max_size=400)),
)
def test_what_was_packed_is_what_is_unpacked(body: bytes, parts: dict[str, bytes]) -> None:
    packed, content_type = pack(body + b"<", parts)
    assert unpack(packed, content_type).envelope == body + b"<"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_package_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    include = (
        b'<a xmlns:x="http://www.w3.org/2004/08/xop/include"><Id>A</Id><Content><x:Include href="cid:A"/></Content></a>'
    )
    whole, content_type = pack(include, {"A": b"content"})
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=10))
    said = data.draw(st.sampled_from([content_type, content_type[:40], ""]))
    with contextlib.suppress(RefusedError):
        assert isinstance(unpack(bytes(damaged), said).envelope, bytes)
