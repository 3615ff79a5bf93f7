"""The tolerant reader: frames pass whole, foreign bytes are wrapped before the strict decoder sees them."""

from __future__ import annotations

import asyncio
import struct

import pamqp.frame
import pytest
from aiormq.connection import FrameReceiver
from aiormq.exceptions import AMQPConnectionError
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from adapter.broker.codec import read_properties, write_properties
from adapter.broker.transport import RAW, RawProperties, TolerantReader

CP1251 = "очередь".encode("cp1251")


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def receiver(data: bytes) -> FrameReceiver:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return FrameReceiver(TolerantReader(stream))


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
