"""A call's content: the fields of the operation's request as JSON, in snake_case of the XSD's names, nested as there.

``data`` is {"form": child|text|typed, "content": text, "type"?: {namespace, name}}; ``sign_data`` beside the request's
fields says who signs them, ``tsp`` that the signature has a time stamp. What the gateway client fills in
itself (sender, dates, the id of a synchronous request) is not in it and is refused in it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.errors import Code, KnownError
from adapter.gateways.shep.data import BusinessData
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    ASYNC_SEND_ANSWERED,
    NOTIFY_DELIVERY,
    PUSH,
    PUSH_STATUS,
    SYNC_SEND,
    SYNC_SEND_REPEATABLE,
)
from adapter.shep_chains import SENDS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where each request holds what its call says about the message, and where it holds its own date.
_INFO: Final = {
    SYNC_SEND: "request_info",
    SYNC_SEND_REPEATABLE: "request_info",
    ASYNC_SEND: "message_info",
    ASYNC_SEND_ANSWERED: "message_info",
}
#: Operations on a participant's side carry no login of ours.
_UNNAMED: Final = frozenset({PUSH, PUSH_STATUS})
_OWN: Final = frozenset({"sender", "message_date", "request_date", "session_id"})


def request_values(  # noqa: PLR0913  — what a request is made of
    operation: str, content: bytes, *, message_id: str, now: datetime, sender_id: str, password: str
) -> dict[str, Any]:
    """Return the fields of ``operation``'s request from a call's JSON, with what the client fills in.

    ``message_id`` becomes that of a synchronous request. Raises KnownError(INTERNAL) for a content that no service
    may make, its rule without values.
    """
    values = _parsed(content)
    sender = {"sender_id": sender_id, "password": password}
    if operation in _UNNAMED:
        return values
    holder = values
    if operation in _INFO:
        holder = values.setdefault(_INFO[operation], {})
    if not isinstance(holder, dict) or _OWN & holder.keys():
        raise _wrong("sender, dates and sessions are not a call's to give")
    holder["sender"] = sender
    holder["message_date" if operation in _INFO else "request_date"] = now
    if operation in {SYNC_SEND, SYNC_SEND_REPEATABLE}:
        if "message_id" in holder:
            raise _wrong("the id of a synchronous request is minted, not given")
        holder["message_id"] = message_id
    if operation in SENDS:
        _check_chain(holder)
    if operation == NOTIFY_DELIVERY:
        _date(holder, now)
    return values


def taken_apart(content: bytes) -> tuple[str, bool, bytes]:
    """Return who signs the business data of a call (system, official, '' for nobody), and whether with a time stamp.

    Last comes the call without that.
    """
    values = _loaded(content)
    wanted, stamped = values.pop("sign_data", ""), values.pop("tsp", False)
    if wanted not in {"", "system", "official"}:
        raise _wrong("sign_data is system or official")
    if stamped not in {True, False} or (stamped and not wanted):
        raise _wrong("tsp is true or false, and stamps a signature")
    return wanted, stamped, orjson.dumps(values)


def service_of(values: Mapping[str, Any]) -> str | None:
    """Return the serviceId of a request's fields, ``None`` where the operation has none."""
    for name in ("request_info", "message_info", "notification"):
        inner = values.get(name)
        if isinstance(inner, dict) and inner.get("service_id"):
            return str(inner["service_id"])
    found = values.get("service_id")
    return None if found is None else str(found)


def to_json(values: Mapping[str, Any]) -> bytes:
    """Return an answer's fields as JSON: moments in ISO 8601, business data as :meth:`BusinessData.to_json`."""
    return orjson.dumps(_plain(values))


def _date(values: Mapping[str, Any], now: datetime) -> None:
    """Date a delivery notification that does not say since when it holds."""
    notification = values.get("notification")
    if isinstance(notification, dict):
        notification.setdefault("notification_date", now)
        notification.get("delivery_status", {}).setdefault("status_date", now)


def _check_chain(info: Mapping[str, Any]) -> None:
    """Hold to the XSD's words: the gateway numbers messages, and chains begun by a REQUEST."""
    if info.get("message_id"):
        raise _wrong("a message to the gateway has no messageId")
    is_request = info.get("message_type") == "REQUEST"
    if is_request and info.get("correlation_id"):
        raise _wrong("a REQUEST to the gateway has no correlationId")
    if not is_request and not info.get("correlation_id"):
        raise _wrong("a message that is no REQUEST needs the correlationId of its chain")


def _parsed(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = _with_data(_loaded(content))
    return found


def _loaded(content: bytes) -> dict[str, Any]:
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise _wrong("the call's content is no JSON") from None
    if not isinstance(values, dict):
        raise _wrong("the call's content is no object")
    return values


def _with_data(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _data(item) if name == "data" else _with_data(item) for name, item in value.items()}
    return [_with_data(item) for item in value] if isinstance(value, list) else value


def _data(value: Any) -> BusinessData | None:
    if value is None:
        return None
    try:
        return BusinessData.from_json(value)
    except (KeyError, TypeError, ValueError):
        raise _wrong("data is not as a call gives it") from None


def _plain(value: Any) -> Any:
    if isinstance(value, BusinessData):
        return value.to_json()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _wrong(rule: str) -> KnownError:
    return KnownError(Code.INTERNAL, details={"rule": rule})
