"""The property codec: what we write we read, and no foreign byte can break the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.header import ContentHeader

from adapter.broker.codec import Properties, message_id_of, read_properties, told_apart, write_properties

SHORT = st.binary(min_size=1, max_size=255)


def section(properties: commands.Basic.Properties) -> bytes:
    return ContentHeader(properties=properties).marshal()[12:]


@given(st.binary(max_size=400))
def test_no_bytes_can_break_the_reader(raw: bytes) -> None:
    assert isinstance(read_properties(raw), Properties)


@given(
    SHORT, SHORT, st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50) | st.booleans(), max_size=5)
)
def test_what_we_write_reads_back_byte_for_byte(message_id: bytes, correlation: bytes, headers: dict[str, str]) -> None:
    raw = write_properties(
        message_id=message_id, message_type=b"echo", correlation_id=correlation, headers=headers, reply_to=b"q"
    )
    properties = read_properties(raw)
    assert properties.message_id == message_id == message_id_of(raw)
    assert properties.correlation_id == correlation
    assert properties.reply_to == b"q"
    assert properties.delivery_mode == 2
    wire = {key.encode(): value if isinstance(value, bool) else value.encode() for key, value in headers.items()}
    assert properties.headers == wire


def test_the_strict_decoder_of_the_library_reads_what_we_write() -> None:
    raw = write_properties(
        message_id=b"m", message_type=b"t", correlation_id=b"c", headers={"n": 7, "s": "ы", "b": True}
    )
    header = ContentHeader()
    header.unmarshal(b"\x00<\x00\x00" + bytes(8) + raw)
    assert header.properties.message_id == "m"
    assert header.properties.headers == {"n": 7, "s": "ы", "b": True}


def test_every_field_type_of_a_foreign_header_table_is_read() -> None:
    table = {"int": 5, "text": "я", "list": [1, "two", {"k": None}], "flag": False, "bytes": bytearray(b"\xff")}
    properties = read_properties(section(commands.Basic.Properties(headers=table, user_id="u", priority=3)))
    assert properties.headers == {
        b"int": 5,
        b"text": "я".encode(),
        b"list": [1, b"two", {b"k": None}],
        b"flag": False,
        b"bytes": b"\xff",
    }
    assert (properties.user_id, properties.priority) == (b"u", 3)
    assert properties.faults == []


@pytest.mark.parametrize("depth", [3, 200])
def test_a_deeply_nested_table_is_read_or_named_never_followed_for_ever(depth: int) -> None:
    inner = b""
    for _ in range(depth):
        inner = b"\x01kF" + len(inner).to_bytes(4, "big") + inner
    raw = (1 << 13).to_bytes(2, "big") + len(inner).to_bytes(4, "big") + inner
    assert bool(read_properties(raw).faults) is (depth > 10)


def test_an_unreadable_header_table_does_not_hide_whom_to_answer() -> None:
    table = b"\x01k?"
    raw = ((1 << 13) | (1 << 9)).to_bytes(2, "big") + len(table).to_bytes(4, "big") + table + b"\x07answers"
    properties = read_properties(raw)
    assert properties.reply_to == b"answers"
    assert [path for path, _ in properties.faults] == ["properties.headers"]


@given(st.binary(min_size=1, max_size=50))
def test_a_property_that_is_not_utf8_is_named_and_kept(value: bytes) -> None:
    raw = write_properties(message_id=value, message_type=b"t")
    properties = read_properties(raw)
    assert properties.message_id == value
    try:
        value.decode()
    except UnicodeDecodeError:
        assert properties.faults == [("properties.message_id", "значение не в кодировке UTF-8")]
    else:
        assert properties.faults == []


def test_a_short_string_over_255_bytes_is_refused_on_the_way_out() -> None:
    with pytest.raises(ValueError, match="255"):
        write_properties(message_id=b"x" * 256, message_type=b"t")


def test_a_message_id_is_found_behind_every_other_property() -> None:
    properties = commands.Basic.Properties(
        content_type="a", headers={"k": "v"}, delivery_mode=2, correlation_id="c", expiration="5", message_id="here"
    )
    assert message_id_of(section(properties)) == b"here"
    assert message_id_of(section(commands.Basic.Properties(app_id="x"))) is None


def test_a_redelivery_tells_what_its_first_delivery_told_whatever_the_broker_counts_and_sorts() -> None:
    def told(**headers: str | int) -> bytes:
        return told_apart(read_properties(write_properties(message_id=b"m", message_type=b"t", headers=headers)))

    first = told(b="1", a="2")
    assert told(**{"a": "2", "b": "1", "x-delivery-count": 3}) == first
    assert told(**{"x-delivery-count": 1}) == told()
    assert told(a="2", b="2") != first
