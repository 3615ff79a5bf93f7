"""The tolerant reader: frames pass whole, foreign bytes are wrapped before the strict decoder sees them."""

from __future__ import annotations

import asyncio
import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pamqp.frame
import pytest
from aiormq.connection import FrameReceiver
from aiormq.exceptions import AMQPConnectionError
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from adapter.broker import transport
from adapter.broker.codec import read_properties, write_properties
from adapter.broker.deliveries import Deliveries, TooLarge
from adapter.broker.transport import RAW, RawProperties, TolerantReader

if TYPE_CHECKING:
    from random import Random

CP1251 = "очередь".encode("cp1251")


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def receiver(data: bytes) -> FrameReceiver:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return FrameReceiver(TolerantReader(stream, Deliveries()))


def short(value: bytes) -> bytes:
    return bytes((len(value),)) + value


async def test_a_content_header_with_foreign_bytes_reaches_us_whole() -> None:
    section = write_properties(message_id=CP1251, message_type=b"t", correlation_id=CP1251)
    header = struct.pack(">HHQ", 60, 0, 5) + section
    frames = receiver(frame(2, header) + pamqp.frame.marshal(ContentBody(b"hello"), 1))
    _, channel, got = await frames.get_frame()
    assert isinstance(got, ContentHeader)
    assert (channel, got.body_size) == (1, 5)
    assert bytes(got.properties.headers[RAW]) == section
    assert read_properties(bytes(got.properties.headers[RAW])).message_id == CP1251
    _, _, body = await frames.get_frame()
    assert body.value == b"hello"


async def test_a_readable_message_id_stays_visible_to_the_library_which_pairs_returned_messages_by_it() -> None:
    section = write_properties(message_id=b"id-1", message_type=b"t")
    _, _, got = await receiver(frame(2, struct.pack(">HHQ", 60, 0, 0) + section)).get_frame()
    assert got.properties.message_id == "id-1"


@pytest.mark.parametrize("flags", [b"", b"\xff", b"\xff\xff", b"\x20\x00\xff\xff\xff\xff"])
async def test_a_property_section_that_ends_early_does_not_break_the_connection(flags: bytes) -> None:
    _, _, got = await receiver(frame(2, struct.pack(">HHQ", 60, 0, 0) + flags)).get_frame()
    assert bytes(got.properties.headers[RAW]) == flags


async def test_a_routing_key_that_is_not_utf8_is_escaped_in_a_delivery() -> None:
    deliver = (
        struct.pack(">HH", 60, 60) + short(b"tag") + struct.pack(">QB", 2**63 + 200, 1) + short(b"ex") + short(CP1251)
    )
    _, _, got = await receiver(frame(1, deliver)).get_frame()
    assert isinstance(got, commands.Basic.Deliver)
    assert got.consumer_tag == "tag"
    assert got.redelivered is True
    assert got.routing_key == CP1251.decode(errors="backslashreplace")


async def test_a_returned_message_with_a_foreign_routing_key_is_readable() -> None:
    returned = struct.pack(">HHH", 60, 50, 312) + short(b"NO_ROUTE") + short(b"") + short(CP1251)
    _, _, got = await receiver(frame(1, returned)).get_frame()
    assert isinstance(got, commands.Basic.Return)
    assert got.reply_code == 312


async def test_other_frames_pass_as_they_came() -> None:
    ok = pamqp.frame.marshal(commands.Basic.ConsumeOk(consumer_tag="c"), 1)
    _, _, got = await receiver(ok + struct.pack(">BHI", 8, 0, 0) + b"\xce").get_frame()
    assert got.consumer_tag == "c"


async def test_a_connection_cut_inside_a_frame_is_a_connection_error() -> None:
    with pytest.raises(AMQPConnectionError):
        await receiver(frame(1, b"x" * 20)[:10]).get_frame()


def test_raw_properties_go_out_exactly_as_the_outbox_kept_them() -> None:
    section = write_properties(message_id=b"m", message_type=b"t", correlation_id=CP1251)
    assert ContentHeader(body_size=1, properties=RawProperties(section, "m")).marshal()[12:] == section


def delivery(tag: int, section: bytes, body: bytes, *, channel: int = 1, piece: int = 7) -> list[bytes]:
    method = struct.pack(">HH", 60, 60) + short(b"tag") + struct.pack(">QB", tag, tag % 2) + short(b"") + short(CP1251)
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    frames = [(1, method), (2, struct.pack(">HHQ", 60, 0, len(body)) + section), *((3, one) for one in pieces)]
    return [struct.pack(">BHI", kind, channel, len(data)) + data + b"\xce" for kind, data in frames]


async def sunk(stream: asyncio.StreamReader) -> tuple[FrameReceiver, list[tuple[Any, ...]]]:
    deliveries, taken = Deliveries(), []
    deliveries.open(1, lambda *one: taken.append(one))
    return FrameReceiver(TolerantReader(stream, deliveries)), taken


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=5),
    st.integers(1, 50),
    st.randoms(use_true_random=False),
)
async def test_deliveries_arrive_whole_however_their_frames_are_cut_and_mixed_with_other_channels(
    messages: list[tuple[bytes, bytes]], cut: int, chance: Random
) -> None:
    ok = pamqp.frame.marshal(commands.Basic.QosOk(), 2)
    ours = [one for tag, message in enumerate(messages) for one in delivery(tag, *message)]
    mixed = list(ours)
    for _ in range(5):
        mixed.insert(chance.randint(0, len(mixed)), ok)
    data, stream = b"".join(mixed), asyncio.StreamReader()
    for start in range(0, len(data), cut):
        stream.feed_data(data[start : start + cut])
    stream.feed_eof()
    frames, taken = await sunk(stream)
    for _ in range(5):
        _, channel, got = await frames.get_frame()
        assert (channel, type(got)) == (2, commands.Basic.QosOk)
    with pytest.raises((AMQPConnectionError, StopAsyncIteration)):
        await frames.get_frame()
    assert taken == [(tag, bool(tag % 2), *message) for tag, message in enumerate(messages)]


async def test_a_channel_closed_inside_a_delivery_hands_over_nothing_of_it() -> None:
    stream = asyncio.StreamReader()
    close = pamqp.frame.marshal(commands.Channel.Close(404, "NOT_FOUND", 0, 0), 1)
    stream.feed_data(b"".join(delivery(1, b"\x00\x00", b"0123456789")[:3]) + close)
    frames, taken = await sunk(stream)
    _, _, got = await frames.get_frame()
    assert isinstance(got, commands.Channel.Close)
    assert taken == []


async def test_a_body_that_is_too_large_leaves_its_size_and_digest() -> None:
    stream, taken = asyncio.StreamReader(), []
    large = b"0123456789" * 3
    bodies = [b"one", large, large[:29], b""]
    deliveries = Deliveries()
    deliveries.open(1, lambda *one: taken.append(one), 29)
    frames = [frame for tag, body in enumerate(bodies) for frame in delivery(tag, b"\x00\x00", body)]
    stream.feed_data(b"".join(frames))
    stream.feed_eof()
    with pytest.raises((AMQPConnectionError, StopAsyncIteration)):
        await FrameReceiver(TolerantReader(stream, deliveries)).get_frame()
    assert [one[3] for one in taken] == [b"one", TooLarge(30, sha256(large).digest()), large[:29], b""]


async def test_deliveries_of_a_channel_that_nobody_has_opened_go_to_the_library() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(delivery(1, b"\x00\x00", b"x", channel=3)))
    frames, taken = await sunk(stream)
    _, channel, got = await frames.get_frame()
    assert (channel, type(got), taken) == (3, commands.Basic.Deliver, [])


async def test_a_long_run_of_deliveries_alone_still_tells_the_library_that_the_connection_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "_SIGN_OF_LIFE", 0.0)
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(delivery(1, b"\x00\x00", b"x")))
    frames, taken = await sunk(stream)
    _, channel, got = await frames.get_frame()
    assert (channel, type(got)) == (0, Heartbeat)
    assert taken == []
