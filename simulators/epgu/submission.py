"""Numbers reserved and archives sent: /order, /push, /push/chunked, and what then becomes of the order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from simulators.epgu.archive import Application, ArchiveError, judge
from simulators.epgu.chunks import place_of
from simulators.epgu.codes import PROCESS
from simulators.epgu.faults import absent, refuse
from simulators.epgu.orders import Process, spread
from simulators.epgu.pages import number_of
from simulators.epgu.store import Archive
from simulators.epgu.upload import read_upload
from simulators.epgu.visit import Answered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulators.epgu.catalogue import Service, WantedStatus
    from simulators.epgu.orders import Order
    from simulators.epgu.scenario import Effects
    from simulators.epgu.simulator import Simulator
    from simulators.epgu.store import Piece
    from simulators.epgu.tokens import Holder
    from simulators.epgu.visit import Visit

_META = ("serviceCode", "targetCode", "region")
_PUSH_PARTS = ("meta", "file")
_CHUNK_PARTS = ("meta", "file", "orderId", "chunk", "chunks")
_SUCCESS = "DONE"
_VERIFICATION = "FILES_VERIFICATION"


class SubmissionDesk:
    """Takes applications."""

    def __init__(self, simulator: Simulator) -> None:
        """``simulator`` has everything they go to."""
        self._sim = simulator

    async def order(self, visit: Visit, body: Any) -> Answered:
        """Reserve a number; ``body`` is the JSON that came. Raises RefusedError."""
        holder = self._sim.admit(visit)
        meta = _meta(body)
        await visit.meet(service_code=meta["serviceCode"])
        order = self._make(meta, holder, self._service(meta, holder))
        visit.line["order_id"] = order.id
        return Answered(json={"orderId": order.id})

    async def push(self, visit: Visit) -> Answered:
        """Make an order of an archive that comes at once. Raises RefusedError."""
        sim = self._sim
        holder = sim.admit(visit)
        visit.reading()
        most, _, _ = sim.settings.sizes
        upload = await read_upload(visit.request, sim.store, known=_PUSH_PARTS, most=most, keep=self._keeps)
        piece = _file_of(visit, upload.file)
        with self._dropping(piece):
            meta = _meta(upload.meta)
            await visit.meet(service_code=meta["serviceCode"])
            service = self._service(meta, holder)
            _may_push(holder)
            if upload.too_large or not piece.size:
                raise refuse("bad_request", f"Размер архива должен быть от 1 до {most} байт")
            order = self._make(meta, holder, service)
            visit.line["order_id"] = order.id
            await self._submit(order, Archive((piece,)), visit.effects)
        return Answered(json={"orderId": order.id})

    async def chunk(self, visit: Visit) -> Answered:
        """Take a chunk, or a whole archive, for a reserved number. Raises RefusedError."""
        sim = self._sim
        holder = sim.admit(visit)
        visit.reading()
        _, _, most = sim.settings.sizes
        upload = await read_upload(visit.request, sim.store, known=_CHUNK_PARTS, most=most, keep=self._keeps)
        piece = _file_of(visit, upload.file)
        with self._dropping(piece):
            place = place_of(upload.fields.get("chunk"), upload.fields.get("chunks"), sim.settings.chunk_base)
            visit.line["chunk"], visit.line["chunks"] = place.chunk, place.chunks
            number = number_of(upload.fields.get("orderId", ""), "orderId")
            known = sim.orders.find(number)
            service_code = known.service.service_code if known else None
            await visit.meet(order_id=number, service_code=service_code, chunk=place.chunk)
            if known is None:
                raise absent()
            order = sim.own(known, holder)
            self._check_meta(upload.meta, order)
            _may_push(holder)
            if upload.too_large:
                raise refuse("bad_request", f"Размер чанка более {most} байт")
            if order.archive is not None:
                raise refuse("bad_request", "Заявление уже отправлено")
            series = sim.uploads.find(number)
            series = sim.uploads.take(number, place, piece, sim.settings, (visit.began, sim.now())) or series
            if not place.last:
                self._keep_one(number, place.chunk, piece)
                return Answered(206, json={"orderId": number})
        whole = series.whole() if series else (piece,)
        await self._submit(order, Archive(whole), visit.effects)
        return Answered(json={"orderId": number})

    @property
    def _keeps(self) -> bool:
        return self._sim.settings.keep == "archive"

    @contextlib.contextmanager
    def _dropping(self, piece: Piece) -> Iterator[None]:
        """Forget ``piece`` when the call it came with is not done."""
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self._sim.store.drop(piece)

    def _keep_one(self, number: int, chunk: int, piece: Piece) -> None:
        """Forget a chunk that came twice."""
        series = self._sim.uploads.find(number)
        if series is not None and series.pieces[chunk] is not piece:
            self._sim.store.drop(piece)

    def _check_meta(self, body: Any, order: Order) -> None:
        if body is None and not self._sim.settings.meta_in_chunks:
            return
        meta = _meta(body)
        if (meta["serviceCode"], meta["targetCode"]) != (order.service.service_code, order.service.target_code):
            raise refuse("bad_request", "meta не соответствует заявлению")

    def _service(self, meta: Mapping[str, str], holder: Holder) -> Service:
        """Return the service of ``meta`` if this user may get it through this system. Raises RefusedError."""
        system, user, code = holder.system, holder.user, meta["serviceCode"]
        service = self._sim.catalogue.find(code)
        if service is None:
            raise refuse("service_not_found")
        if not system.may_use(code):
            raise refuse("access_denied_service")
        if service.target_code != meta["targetCode"]:
            raise refuse("bad_request", "Параметр targetCode не соответствует услуге")
        if user.kind not in service.users:
            raise refuse("access_denied_user")
        if code in system.owner_only and user.org_oid != system.owner:
            raise refuse("access_denied_user_legal")
        if not service.power_exists:
            raise refuse("config_delegation")
        if user.org_oid and service.power and not user.head and service.power not in user.powers:
            raise refuse("bad_delegation")
        return service

    def _make(self, meta: Mapping[str, str], holder: Holder, service: Service) -> Order:
        """Reserve a number inside the window of the user and the service. Raises RefusedError."""
        sim, settings, now = self._sim, self._sim.settings, self._sim.now()
        limit = settings.orders_limit if service.orders_limit is None else service.orders_limit
        inside = sim.windows.take(
            holder.user.account, service.service_code, limit=limit, window=settings.orders_window, now=now
        )
        if not inside and not settings.limits_late:
            raise refuse("limitation_exception")
        number, settings.next_order_id = settings.next_order_id, None
        try:
            order = sim.orders.make(service, (holder.system, holder.user), meta["region"], now, number)
        except ValueError as error:
            raise refuse("internal_error", str(error)) from None
        order.over_limit = not inside
        return order

    async def _submit(self, order: Order, archive: Archive, effects: Effects) -> None:
        """Take the archive of ``order`` and plan what becomes of it: it is judged now, and told in time."""
        sim = self._sim
        order.archive, order.submitted_at = archive, sim.clock()
        sim.ledger.submitted(order.id)
        verdict = await self._judge(order, archive)
        steps = [*self._process(order, verdict, effects)]
        last = steps[-1]
        if last.code in PROCESS and PROCESS[last.code].final and last.code != _SUCCESS:
            if effects.process_message is not None:
                steps[-1] = Process(last.code, effects.process_message)
            planned: list[Process | WantedStatus] = [*steps]
        else:
            statuses = effects.order_statuses
            if statuses is None:
                statuses = order.service.statuses or sim.usual_statuses
            planned = [*steps, Process(sim.settings.done_code), *statuses]
        settings = sim.settings
        sim.orders.plan(order, spread(planned, sim.clock(), settings.process_step, settings.status_step))

    async def _judge(self, order: Order, archive: Archive) -> ArchiveError | None:
        if not archive.kept:
            return None
        sim = self._sim
        application = Application(order.id, order.service, order.user, sim.settings.version, sim.clock())
        try:
            await asyncio.to_thread(judge, archive, application, sim.desk)
        except ArchiveError as error:
            return error
        return None

    def _process(self, order: Order, verdict: ArchiveError | None, effects: Effects) -> list[Process]:
        """Return the process codes that follow NEW."""
        wished = [Process(code, PROCESS[code].text) for code in effects.process]
        ended = next((n for n, step in enumerate(wished, start=1) if PROCESS[step.code].final), 0)
        if ended:
            return wished[:ended]
        version = self._sim.settings.profile
        if order.over_limit:
            verdict = ArchiveError("LIMITATION_EXCEPTION", PROCESS["LIMITATION_EXCEPTION"].text)
        elif order.user.barred and PROCESS["CREATE_ORDER_FORBIDDEN"].within(version):
            verdict = ArchiveError("CREATE_ORDER_FORBIDDEN", PROCESS["CREATE_ORDER_FORBIDDEN"].text)
        codes = ["VALIDATION"] if PROCESS["VALIDATION"].within(version) else []
        if order.service.signed and (verdict is None or verdict.code.startswith(_VERIFICATION)):
            codes.append(_VERIFICATION)
            if verdict is None:
                codes.append(f"{_VERIFICATION}_SUCCESS")
        steps = [*wished, *(Process(code, PROCESS[code].text) for code in codes)]
        if verdict is not None:
            return [*steps, Process(verdict.code, verdict.text)]
        return [*steps, Process(_SUCCESS, PROCESS[_SUCCESS].text)]


def _meta(body: Any) -> dict[str, str]:
    """Return the three parameters of table 6, in the lower camel case that clients and samples use."""
    if not isinstance(body, dict):
        raise refuse("bad_request", "Required request part 'meta' is not present")
    meta = {name: body.get(name) for name in _META}
    wrong = next((name for name, value in meta.items() if not isinstance(value, str) or not value), None)
    if wrong is not None:
        raise refuse("bad_request", f"Параметр {wrong} обязателен и должен быть строкой")
    told = {name: str(value) for name, value in meta.items()}
    if not (told["region"].isascii() and told["region"].isdecimal() and 2 <= len(told["region"]) <= 11):
        raise refuse("bad_request", "Параметр region должен быть кодом ОКАТО")
    return told


def _may_push(holder: Holder) -> None:
    user = holder.user
    if user.org_oid and not user.head and not user.attorney:
        raise refuse("push_denied")


def _file_of(visit: Visit, piece: Piece | None) -> Piece:
    """Write the uploaded file down in the ledger's line."""
    if piece is None:
        raise refuse("bad_request", "Required request part 'file' is not present")
    visit.line["size"], visit.line["sha256"] = piece.size, piece.sha256
    return piece
