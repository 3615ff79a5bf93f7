"""Pages of statuses: getOrdersStatus and getUpdatedAfter."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulators.epgu.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from simulators.epgu.orders import Order

#: Orders of one getOrdersStatus.
MOST_ORDERS = 50

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", re.ASCII)


def order_numbers(query: Mapping[str, str]) -> list[int]:
    """Return ``orderIds`` of a query. Raises RefusedError."""
    texts = _wanted(query, "orderIds").split(",")
    if len(texts) > MOST_ORDERS:
        raise refuse("bad_request", f"orderIds: не более {MOST_ORDERS} заявлений")
    return [number_of(text.strip(), "orderIds") for text in texts]


def moment_of(query: Mapping[str, str], zone: tzinfo) -> datetime:
    """Return ``updatedAfter`` of a query, read in ``zone``. Raises RefusedError."""
    text = _wanted(query, "updatedAfter")
    try:
        return datetime.fromisoformat(text if _MOMENT.fullmatch(text) else "").replace(tzinfo=zone)
    except ValueError:
        raise refuse("bad_request", "updatedAfter: ожидается YYYY-MM-DD'T'HH:mm:ss.SSS") from None


def page_of(query: Mapping[str, str], most: int) -> tuple[int, int]:
    """Return (pageNum, pageSize) of a query; pages are counted from 0. Raises RefusedError."""
    number = number_of(_wanted(query, "pageNum"), "pageNum")
    size = number_of(_wanted(query, "pageSize"), "pageSize")
    if not 1 <= size <= most:
        raise refuse("bad_request", f"pageSize: от 1 до {most}")
    return number, size


def number_of(text: str, name: str) -> int:
    """Return a parameter that has to be a number. Raises RefusedError in the words of the real one."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        java = f"Failed to convert value of type 'java.lang.String' to required type 'long'; parameter '{name}'"
        raise refuse("bad_request", java)
    return int(text)


def status_page(wanted: Sequence[tuple[int, Order | None]], number: int, size: int, zone: tzinfo) -> dict[str, Any]:
    """Return page ``number`` of the statuses of ``wanted``: (number of the order, the order if it is known)."""
    rows = wanted[number * size : (number + 1) * size]
    return {
        "count": len(rows),
        "totalCount": len(wanted),
        "content": [_row(identifier, order, zone) for identifier, order in rows],
    }


def _row(identifier: int, order: Order | None, zone: tzinfo) -> dict[str, Any]:
    current = order.current if order else None
    if current is None:
        return {"orderId": identifier, "orderSearchStatus": "NOT_FOUND", "status": None}
    moment = current.at.astimezone(zone)
    status = {
        "statusId": current.status.status_id,
        "statusName": current.status.name,
        "updated": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}",
    }
    return {"orderId": identifier, "orderSearchStatus": "FOUND", "status": status}


def _wanted(query: Mapping[str, str], name: str) -> str:
    if name not in query:
        raise refuse("bad_request", f"Required request parameter '{name}' is not present")
    return query[name]
