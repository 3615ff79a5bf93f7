"""What a transport signature protects: nobody changes a byte of a signed message and is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.gateways.shep.messages import MessageError, envelope, read
from adapter.xml.parser import XmlError
from adapter.xml.wssecurity import verify_envelope
from tests.contract.shep_samples import VALID
from tests.contract.shep_signing import Hand

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

#: What an attacker would put in: ends and beginnings of the parts that matter.
PIECES = [
    b"",
    b"<S:Body>",
    b"</S:Body>",
    b"</S:Header>",
    b' wsu:Id="id-1"',
    b' Id="id-1"',
    b"<a/>",
    b"&#65;",
    b"x",
    b">",
]


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 5000), cut=st.integers(0, 40), put=st.sampled_from(PIECES) | st.binary(max_size=4))
@pytest.mark.parametrize("name", ["sync-answer", "pushed"])
def test_a_changed_message_is_not_believed_or_says_the_same(  # noqa: PLR0917  — fixtures and drawn values
    kz: KzEngine, shep_keys: Path, name: str, place: int, cut: int, put: bytes
) -> None:
    message = Hand(kz, shep_keys, "shep").signed(VALID[name])
    at = place % len(message)
    changed = message[:at] + put + message[at + cut :]
    try:
        if not verify_envelope(changed, kz).math:
            return
        found = read(changed)
    except (XmlError, MessageError):
        return
    assert found.values == read(message).values


@pytest.mark.parametrize("copies", [1, 2])
def test_a_signed_body_moved_anywhere_signs_nothing_else(kz: KzEngine, shep_keys: Path, copies: int) -> None:
    message = Hand(kz, shep_keys, "shep").signed(VALID["pushed"])
    start, end = message.index(b"<S:Body"), message.index(b"</S:Envelope>")
    honest = message[start:end]
    evil = honest.replace(b"<messageId>1<", b"<messageId>2<")
    places = [message.index(b"<S:Header>") + len(b"<S:Header>"), message.index(b"</wsse:Security>")]
    for place in [*places, message.index(b"</S:Header>"), message.index(b"<ds:KeyInfo>") + len(b"<ds:KeyInfo>")]:
        for other in (evil, evil.replace(b"id-1", b"id-2"), evil.replace(b' wsu:Id="id-1"', b"")):
            head = message[:place] + honest * copies + message[place:start]
            assert not verify_envelope(head + other + message[end:], kz).math


def test_an_envelope_around_another_is_read_by_its_own_body(kz: KzEngine, shep_keys: Path) -> None:
    message = Hand(kz, shep_keys, "shep").signed(VALID["pushed"])
    outer = envelope(b'<S:Body xmlns:S="http://schemas.xmlsoap.org/soap/envelope/">%b</S:Body>' % message)
    assert not verify_envelope(outer, kz).math
    with pytest.raises(MessageError, match="no operation"):
        read(outer)
