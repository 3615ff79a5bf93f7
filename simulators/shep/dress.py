"""The last step of everything the simulated gateway says: its envelope, and what a scenario makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.gateways.shep.messages import MESSAGE_LIMIT, body, envelope

if TYPE_CHECKING:
    from simulators.shep.desk import SignatureDesk
    from simulators.shep.scenario import Effects

_BODIES = {
    "html": b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>proxy</body></html>",
    "dtd": b'<!DOCTYPE S [<!ENTITY e "x">]><S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"/>',
    "garbage": b"\x00\xff<<<not a message\x1b\xc3(",
    "empty": b"",
}


def dressed(desk: SignatureDesk, content: bytes, effects: Effects, *, sign: bool) -> bytes:
    """Return the envelope around ``content``, signed or not, or what ``effects`` want instead."""
    if effects.body in _BODIES:
        return _BODIES[effects.body]
    if effects.change is not None:
        old, new = effects.change
        content = content.replace(old.encode(), new.encode())
    if effects.wrapped:
        return desk.wrapped(content)
    if effects.unsigned or not sign:
        message = envelope(body(content))
    else:
        message = desk.signed(content, named=effects.issuer_serial, by=effects.signed_by)
    if effects.spoilt:
        message = message.replace(b"</S:Body>", b"<!-- --> </S:Body>")
    if effects.body == "truncated":
        return message[: len(message) // 2]
    return message + b" " * MESSAGE_LIMIT if effects.body == "huge" else message
