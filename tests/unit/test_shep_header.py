"""What the log of messages reads out of journaled bytes: the envelope's fields, nothing else."""

from __future__ import annotations

from dataclasses import astuple

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.shep_journals.header import Header, read_header

MESSAGE = """<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header/><S:Body>
<t:sendMessage xmlns:t="http://bip.bee.kz/AsyncChannel/v10/Types"><request><messageInfo><messageId>{id}</messageId>
<serviceId>Echo</serviceId><messageType>REQUEST</messageType><sender><senderId>us</senderId><password>secret</password>
</sender></messageInfo><messageData><data><messageId>inner</messageId><password>inner</password></data></messageData>
</request></t:sendMessage></S:Body></S:Envelope>"""


def test_the_header_is_read_and_neither_password_nor_data() -> None:
    header = read_header(MESSAGE.format(id="7").encode())
    assert header == Header("sendMessage", "7", "Echo", "REQUEST", "us")
    assert read_header(MESSAGE.format(id="").encode()).message_id == ""
    assert not {"secret", "inner"} & set(astuple(header))


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=60) | st.sampled_from([b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"]))
def test_bytes_that_are_no_message_have_an_empty_header(raw: bytes) -> None:
    assert read_header(raw) == Header()
