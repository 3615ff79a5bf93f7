"""The envelope of a command: switches, deadlines, and where the reply goes."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.broker.codec import read_properties, write_properties
from adapter.broker.topology import Names
from adapter.exchange import Event, State
from adapter.journal.records import Exchange
from adapter.pipeline.envelope import Addressing, Envelope, read_envelope, searchable

NAMES = Names("t.")
ADDRESSING = Addressing(NAMES, ["echo"])


def envelope(**more: object) -> Envelope:
    raw = write_properties(message_id=b"m", message_type=b"echo", **more)
    return read_envelope(raw, names=NAMES, actions=["echo"])


def exchange(**more: object) -> Exchange:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    values = {
        "id": UUID(int=5),
        "action": "echo",
        "source": "t.echo",
        "state": State.RECEIVED,
        "received_at": now,
        "deadline": now,
        "body": b"{}",
        "body_sha256": b"",
        "body_size": 2,
        "properties": write_properties(message_id=b"m", message_type=b"echo", reply_to=b"answers"),
    }
    return Exchange(**(values | more))


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T13:00:00+03:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00.5Z", datetime(2026, 11, 21, 10, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_a_deadline_is_an_rfc_3339_moment(stamp: str, moment: datetime) -> None:
    assert envelope(headers={"x-deadline": stamp}).deadline == moment


@pytest.mark.parametrize("stamp", ["2026-11-21T10:00:00", "завтра", "", "2026-13-01T00:00:00Z", 7, "1" * 100])
def test_anything_else_is_named(stamp: object) -> None:
    faults = envelope(headers={"x-deadline": stamp}).faults
    assert [fault.path for fault in faults] == ["properties.headers.x-deadline"]


@pytest.mark.parametrize(("value", "on"), [(True, True), ("true", True), (False, False), ("false", False)])
def test_switches_are_booleans_or_their_words(value: object, on: bool) -> None:  # noqa: FBT001 — a parameter
    assert envelope(headers={"x-dry-run": value}).dry_run is on


def test_a_reply_goes_to_reply_to_else_to_the_actions_queue() -> None:
    assert ADDRESSING.reply(exchange(), b"{}").routing_key == "answers"
    bare = write_properties(message_id=b"m", message_type=b"echo")
    assert ADDRESSING.reply(exchange(properties=bare), b"{}").routing_key == "t.echo.reply"


@pytest.mark.parametrize("queue", ["t.echo", "t.adapter.returned"])
def test_a_reply_never_goes_to_a_queue_of_our_own(queue: str) -> None:
    raw = write_properties(message_id=b"m", message_type=b"echo", reply_to=queue.encode())
    assert ADDRESSING.reply(exchange(properties=raw), b"{}").routing_key == "t.echo.reply"
    assert ADDRESSING.envelope(raw).faults[0].path == "properties.reply_to"


def test_a_reply_keeps_its_id_however_often_it_is_built() -> None:
    first, second = ADDRESSING.reply(exchange(), b"{}"), ADDRESSING.reply(exchange(), b"{}")
    assert first.message_id == second.message_id
    assert first.properties == second.properties


def test_repeats_of_a_command_share_the_id_of_its_reply() -> None:
    repeat = exchange(id=UUID(int=6), repeat_of=UUID(int=5))
    assert ADDRESSING.reply(repeat, b"{}").message_id == ADDRESSING.reply(exchange(), b"{}").message_id


def test_a_late_reply_is_marked_and_has_an_id_of_its_own() -> None:
    late = ADDRESSING.reply(exchange(replies=1), b"{}")
    assert late.message_id != ADDRESSING.reply(exchange(), b"{}").message_id
    assert read_properties(late.properties).headers[b"x-adapter-late"] is True


def test_every_later_reply_has_an_id_of_its_own() -> None:
    ids = {ADDRESSING.reply(exchange(replies=replies), b"{}").message_id for replies in range(4)}
    assert len(ids) == 4


def test_events_of_one_exchange_are_numbered() -> None:
    one = exchange()
    rows = [ADDRESSING.event(one, Event("news", {"n": n})) for n in range(3)]
    assert [read_properties(row.properties).headers[b"x-adapter-seq"] for row in rows] == [1, 2, 3]
    assert {row.target for row in rows} == {"t.adapter.events"}


@given(st.binary(max_size=60))
def test_a_searchable_property_is_text_that_postgres_takes(value: bytes) -> None:
    text = searchable(value)
    assert text is None or "\x00" not in text.encode().decode()


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_replies_and_events_carry_the_trace_of_their_command_on_byte_for_byte() -> None:
    trace = {"traceparent": TRACEPARENT, "tracestate": "vendor=1,other=2"}
    raw = write_properties(message_id=b"m", message_type=b"echo", headers=trace)
    first, again = (ADDRESSING.reply(exchange(properties=raw), b"{}").properties for _ in range(2))
    told = ADDRESSING.event(exchange(properties=raw), Event("adapter.sent", {})).properties
    assert first == again
    for section in (first, told):
        headers = read_properties(section).headers
        assert {name: headers[name.encode()].decode() for name in trace} == trace


def test_without_a_trace_of_the_command_replies_carry_none() -> None:
    assert set(read_properties(ADDRESSING.reply(exchange(), b"{}").properties).headers) == {
        b"x-adapter-command-id",
        b"x-adapter-seq",
    }


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
        "ff" + TRACEPARENT[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        7,
        True,
    ],
    ids=range(9),
)
def test_what_is_no_trace_is_neither_a_fault_nor_carried_on(value: object) -> None:
    read = envelope(headers={"traceparent": value, "tracestate": "vendor=1"})
    assert (read.trace, read.faults) == ({}, ())


@given(st.text(max_size=600))
def test_a_wild_state_of_a_trace_never_breaks_a_reply(state: str) -> None:
    raw = write_properties(
        message_id=b"m", message_type=b"echo", headers={"traceparent": TRACEPARENT, "tracestate": state}
    )
    headers = read_properties(ADDRESSING.reply(exchange(properties=raw), b"{}").properties).headers
    assert headers[b"traceparent"] == TRACEPARENT.encode()
    assert headers.get(b"tracestate", state.encode()) == state.encode()
