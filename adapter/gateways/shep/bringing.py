"""What a message of the ШЭП is to the journal, whichever way it came: delivered by the gateway or fetched from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The actions of the providers that take messages and news of ours.
MESSAGE: Final = "shep.message"
STATUS: Final = "shep.status"
_TYPES: Final = frozenset({"REQUEST", "RESPONSE", "NOTIFICATION", "UPDATE"})


def rule_broken(info: Mapping[str, Any]) -> str:
    """Return why nobody can tell what a message is, or to which chain it belongs; '' where everybody can."""
    if not info.get("message_id"):
        return "The message has no id"
    if info.get("message_type") not in _TYPES:
        return "There is no such messageType"
    if info["message_type"] != "REQUEST" and not info.get("correlation_id"):
        return "A message that is no REQUEST needs a correlationId"
    return ""


def identity(service_id: str, message_id: str) -> str:
    """Return what repeats of a message share; its number is one of its service's contour."""
    return f"{MESSAGE}:{service_id}:{message_id}"


def facts_of(info: Mapping[str, Any], signature: str, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the gateway said of a message; nobody is told a password."""
    facts = {name: value for name, value in info.items() if name != "sender"}
    facts["sender_id"] = (info.get("sender") or {}).get("sender_id", "")
    facts["signature"] = signature
    if warnings:
        facts["warnings"] = list(warnings)
    return facts


def message(  # noqa: PLR0913  — what a message is made of
    info: Mapping[str, Any],
    data: Any,
    raw: bytes,
    *,
    signature: str,
    verdicts: Sequence[Mapping[str, Any]],
    warnings: Sequence[str] = (),
    unreadable: str = "",
) -> Incoming:
    """Return a message, ``info`` and ``data`` as JSON; its chain, or else its number, keeps it in order."""
    number = str(info.get("message_id") or "")
    return Incoming(
        source="shep",
        key=identity(str(info.get("service_id") or ""), number),
        action=MESSAGE,
        raw=raw,
        content=b"" if data is None else orjson.dumps(data),
        subject=str(info.get("correlation_id") or number),
        facts=facts_of(info, signature, warnings),
        verdicts=verdicts,
        unreadable=unreadable,
    )
