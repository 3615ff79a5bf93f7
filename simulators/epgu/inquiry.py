"""What is asked of orders: details, statuses, cancellation, files; and dictionaries."""

from __future__ import annotations

import asyncio
import random
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from simulators.epgu.catalogue import WantedStatus
from simulators.epgu.details import escaped
from simulators.epgu.faults import absent, refuse, refuse_bare
from simulators.epgu.pages import moment_of, number_of, order_numbers, page_of, status_page
from simulators.epgu.visit import Answered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.epgu.catalogue import WantedFile
    from simulators.epgu.orders import Order
    from simulators.epgu.profiles import Download
    from simulators.epgu.simulator import Simulator
    from simulators.epgu.store import Archive
    from simulators.epgu.visit import Visit

_BLOCK = random.Random(4).randbytes(1 << 16)  # noqa: S311  — content of a test file
_MESSAGES = UUID("3d2f7c1a-9f53-4a57-9b5d-6f0a4a8b1c22")
_CANCELLING, _CANCELLED, _KEPT = 9, 10, 11
_USERS_FILE, _RESULT = 2, 3


class InquiryDesk:
    """Answers about orders."""

    def __init__(self, simulator: Simulator) -> None:
        """``simulator`` has what is asked about."""
        self._sim = simulator

    async def details(self, visit: Visit) -> Answered:
        """Return process code and escaped JSON of an order. Raises RefusedError."""
        order = await self._order(visit)
        settings = self._sim.settings
        told: dict[str, Any] = {"code": order.code, "message": order.message}
        if settings.version.message_id:
            told["messageId"] = str(uuid5(_MESSAGES, str(order.id)))
        return Answered(json=told | {"order": escaped(order, settings.version) if order.history else None})

    async def cancel(self, visit: Visit) -> Answered:
        """Begin to cancel an order; 200 has no body. Raises RefusedError."""
        sim, settings = self._sim, self._sim.settings
        order = await self._order(visit, gone=settings.version.cancel_absent)
        if settings.cancel_needs_reason and "reason" not in visit.request.query:
            text = "Required request parameter 'reason' for method parameter type String is not present"
            raise refuse("bad_request", text)
        if order.current is None or not order.current.status.cancel_allowed:
            raise refuse_bare(405) if settings.cancel_refusal == 405 else refuse("cancel_not_allowed")
        now, rest = sim.clock(), order.plan
        end = now + timedelta(seconds=settings.status_step)
        cancelled = settings.cancel_outcome == "cancelled"
        sim.orders.show(order, WantedStatus(status_id=_CANCELLING), now)
        last = (end, WantedStatus(status_id=_CANCELLED if cancelled else _KEPT))
        sim.orders.plan(order, [last, *((max(moment, end), step) for moment, step in rest if not cancelled)])
        return Answered()

    async def statuses(self, visit: Visit) -> Answered:
        """Return the statuses of a list of orders. Raises RefusedError."""
        sim, query = self._sim, visit.request.query
        holder = sim.admit(visit)
        await visit.meet()
        number, size = page_of(query, sim.settings.page_limit)
        numbers = order_numbers(query)
        found = [sim.orders.find(wanted) for wanted in numbers]
        own = [order if order and order.system.client_id == holder.system.client_id else None for order in found]
        return Answered(json=status_page(list(zip(numbers, own, strict=True)), number, size, sim.zone))

    async def updated_after(self, visit: Visit) -> Answered:
        """Return what changed of a system's orders. Raises RefusedError."""
        sim, query = self._sim, visit.request.query
        holder = sim.admit(visit)
        await visit.meet()
        number, size = page_of(query, sim.settings.page_limit)
        changed = sim.orders.changed_after(holder.system.client_id, moment_of(query, sim.zone))
        return Answered(json=status_page([(order.id, order) for order in changed], number, size, sim.zone))

    async def dictionary(self, visit: Visit, body: Any) -> Answered:
        """Answer about a dictionary; nobody has to say who asks. Raises RefusedError for a scenario alone."""
        await visit.meet()
        return Answered(json=self._sim.dictionaries.answer(visit.request.match_info["code"], body))

    async def file(self, visit: Visit, path: Download) -> Answered:
        """Return a file of an order: of the user (type 2) or a result (type 3). Raises RefusedError."""
        sim, query, version = self._sim, visit.request.query, self._sim.settings.version
        holder = sim.admit(visit)
        number = number_of(visit.request.match_info["object_id"], "objectId")
        kind = number_of(visit.request.match_info["object_type"], "objectType")
        mnemonic = query.get("mnemonic")
        if not mnemonic:
            raise refuse("bad_request", "Required request parameter 'mnemonic' is not present")
        # A result goes by the number of a status; the oldest path was also used with the number in the link.
        known = sim.orders.with_entry(number) if kind == _RESULT else sim.orders.find(number)
        if known is None and path == "files-id-type":
            known = sim.orders.find(number)
        await visit.meet(order_id=known.id if known else None)
        if known is None:
            raise absent()
        order = sim.own(known, holder)
        if path == "files-download" and query.get("eserviceCode") != order.service.service_code:
            raise refuse("bad_request", "Параметр eserviceCode не соответствует заявлению")
        if kind == _RESULT and version.personal_data and not holder.system.personal_data:
            raise refuse("access_denied_personal_data")
        return self._result(order, number, mnemonic) if kind == _RESULT else self._own_file(order, kind, mnemonic)

    def _result(self, order: Order, number: int, mnemonic: str) -> Answered:
        latest = number in {order.history[-1].id, order.id}
        for entry, file in order.results():
            if file.name == mnemonic and (latest or entry.id == number):
                return Answered(
                    stream=_blocks(file), length=file.length, content_type=file.mime_type, file_name=file.name
                )
        raise absent()

    def _own_file(self, order: Order, kind: int, mnemonic: str) -> Answered:
        archive = order.archive
        member = next((m for m in archive.members if m.name == mnemonic), None) if archive else None
        if kind != _USERS_FILE or archive is None or member is None:
            raise absent()
        return Answered(
            stream=_unpacked(archive, mnemonic),
            length=member.size,
            content_type="application/octet-stream",
            file_name=mnemonic,
        )

    async def _order(self, visit: Visit, *, gone: int = 204) -> Order:
        """Return the order that the path names, if it is the caller's. Raises RefusedError."""
        holder = self._sim.admit(visit)
        number = number_of(visit.request.match_info["order_id"], "orderId")
        order = self._sim.orders.find(number)
        await visit.meet(order_id=number, service_code=order.service.service_code if order else None)
        if order is None:
            raise absent() if gone == 204 else refuse("not_found", status=gone)
        return self._sim.own(order, holder)


async def _blocks(file: WantedFile) -> AsyncIterator[bytes]:
    if file.content_base64 is not None:
        yield file.content_base64
        return
    for start in range(0, file.size, len(_BLOCK)):
        yield _BLOCK[: file.size - start]


async def _unpacked(archive: Archive, name: str) -> AsyncIterator[bytes]:
    with archive.open() as opened, zipfile.ZipFile(opened) as unzipped, unzipped.open(name) as member:
        while block := await asyncio.to_thread(member.read, 1 << 18):
            yield block
