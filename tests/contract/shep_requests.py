"""Requests to the simulated ШЭП as its tests make them, by operation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapter.gateways.shep.data import BusinessData, Form
from tests.contract.shep_stand import ADAPTER, NOW

if TYPE_CHECKING:
    from adapter.gateways.shep.messages import Message


DATA = BusinessData(Form.CHILD, b"<a  x='1'/>")


def sync(service: str = "SyncEcho", **info: Any) -> dict[str, Any]:
    given = {"message_id": "m1", "service_id": service, "message_date": NOW, "sender": ADAPTER, **info}
    return {"request_info": given, "request_data": {"data": DATA}}


def sent(service: str = "AsyncEcho", **info: Any) -> dict[str, Any]:
    given = {"service_id": service, "message_type": "REQUEST", "message_date": NOW, "sender": ADAPTER, **info}
    return {"message_info": given, "message_data": {"data": DATA}}


def status(message_id: str, sender: dict[str, str] = ADAPTER) -> dict[str, Any]:
    return {"message_id": message_id, "request_date": NOW, "sender": sender}


def fetch(service: str, sender: dict[str, str] = ADAPTER, **more: Any) -> dict[str, Any]:
    return {"service_id": service, "sender": sender, **more}


def code_of(message: Message) -> str:
    assert message.fault is not None, message.values
    return message.fault.info.code if message.fault.info else f"bare {message.fault.faultcode}"


def notification(message_id: str, service: str, taken: str = "MESSAGE_ACCEPTED", **more: Any) -> dict[str, Any]:
    delivery = {"receive_status": taken, "status_date": NOW, "resend_message": "NOT_RESEND", **more}
    told = {"message_id": message_id, "service_id": service, "notification_date": NOW, "delivery_status": delivery}
    return {"notification": told, "request_date": NOW, "sender": ADAPTER}


def clock() -> datetime:
    return datetime.now(UTC)
