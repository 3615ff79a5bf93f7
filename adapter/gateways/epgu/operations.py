"""The operations of the REST API, each from its manifest: what is sent, and what its good answer says.

Source: seeds/003_77f5074edb620939.txt, chapters 2 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import orjson

from adapter.errors import AdapterError, Code, FileError, KnownError
from adapter.exchange import Refused, StoredFile, Unanswered
from adapter.gateways.epgu.door import StoppedError
from adapter.gateways.epgu.errors import known, of_dictionary
from adapter.gateways.epgu.form import FileForm
from adapter.gateways.epgu.reading import order_id_of, read_details, read_page, snake
from adapter.gateways.epgu.tokens import Who
from adapter.gateways.epgu.upload import Series, Upload
from adapter.gateways.epgu.wire import Request, records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from adapter.files import FileStore
    from adapter.gateways.epgu.door import Door
    from adapter.gateways.epgu.options import EpguOptions
    from adapter.gateways.epgu.profiles import Profile
    from adapter.gateways.epgu.reading import Details
    from adapter.gateways.epgu.wire import Reply

_JSON: Final = "application/json; charset=utf-8"
#: Orders of one getUpdatedAfter: more are asked for by a later moment.
_MOST_ROWS: Final = 200_000
#: Readings of all pages, since pages shift while orders change.
_MOST_ROUNDS: Final = 5
#: Statuses that an order has once its cancellation was asked for: asked, done, refused.
_CANCELLING: Final = frozenset({9, 10, 11})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a good answer says: ``content`` is JSON of ours, ``raw`` the record of the calls, ``files`` what came."""

    content: Mapping[str, Any]
    raw: bytes
    files: Sequence[StoredFile] = ()


class Operations:
    """Makes operations. Every method raises StoppedError with what the pipeline is told, or UndeliveredError."""

    def __init__(self, options: EpguOptions, *, door: Door, store: FileStore | None) -> None:
        """``store`` has archives and takes files; without it neither can be moved."""
        self._options = options
        self._door = door
        self._store = store
        self._made: Mapping[str, Callable[[Mapping[str, Any], int], Awaitable[Outcome]]] = {
            "order": self._order,
            "push": self._push,
            "push-chunked": self._push_chunked,
            "cancel": self._cancel,
            "details": self._details,
            "statuses": self._statuses,
            "updated-after": self._updated_after,
            "dictionary": self._dictionary,
            "file": self._file,
        }

    async def make(self, operation: str, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Make one operation. Raises FileError beside the others when the store is away."""
        return await self._made[operation](manifest, earlier_attempts)

    async def details_of(self, manifest: Mapping[str, Any], earlier_attempts: int = 0) -> tuple[Details, Reply]:
        """Return details of the order that a manifest names."""
        number = manifest["order_id"]
        target = self._profile(manifest).order(number)
        reply = await self._door.call(lambda: Request("POST", target), _who(manifest))
        self._must(reply, 200, safe=True, order_id=number, earlier_attempts=earlier_attempts)
        details = read_details(reply.json)
        if details is None or (details.code is None and details.order is None):
            raise _unreadable(reply, "details are not read")
        return details, reply

    def arrived(self, operation: str, details: Details) -> bool | AdapterError | None:
        """Tell by details whether an upload or a cancellation got there; an error when it cannot any more."""
        if operation == "push-chunked":
            return None if details.code is None and not details.order else not details.reserved_only
        if details.current.get("statusId") in _CANCELLING:
            return True
        return False if details.current.get("cancelAllowed") is True else known("cancel_not_allowed")

    async def _order(self, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Reserve a number."""
        await self._door.order(_who(manifest), manifest["meta"]["service_code"])
        body = orjson.dumps(_meta(manifest))
        target = self._profile(manifest).order()
        reply = await self._door.call(lambda: Request("POST", target, body, _JSON), _who(manifest))
        self._must(reply, 200, safe=True, earlier_attempts=earlier_attempts)
        content: dict[str, Any] = {"order_id": _number(reply)}
        content |= {name: manifest[name] for name in ("members", "ready") if name in manifest}
        return Outcome(content, records(reply.record))

    async def _push(self, manifest: Mapping[str, Any], _earlier: int) -> Outcome:
        """Send an archive at once; never repeated."""
        await self._door.order(_who(manifest), manifest["meta"]["service_code"])
        archive, meta = manifest["archive"], _meta(manifest)
        file = await self._stored().handle(archive["path"])
        target = self._profile(manifest).path("/gusmev/push")

        def request() -> Request:
            form = FileForm(file, start=0, size=archive["size"], name="archive.zip", fields={}, meta=meta)
            return Request("POST", target, form, form.content_type, {"meta": meta, "file": archive})

        try:
            reply = await self._door.call(request, _who(manifest), once=True)
        finally:
            file.close()
        self._must(reply, 200, safe=False)
        return Outcome({"order_id": _number(reply)}, records(reply.record))

    async def _push_chunked(self, manifest: Mapping[str, Any], _earlier: int) -> Outcome:
        """Send an archive by chunks for a reserved number."""
        archive, number, profile = manifest["archive"], manifest["order_id"], self._profile(manifest)
        file = await self._stored().handle(archive["path"])
        try:
            series = Series(number, _meta(manifest), archive["size"], profile, _who(manifest), file)
            upload = Upload(series, self._door, time=self._options.upload_time, parallel=self._options.parallel)
            await upload.run()
        finally:
            file.close()
        told = {"size": archive["size"], "sha256": archive["sha256"], "chunks": series.chunks}
        return Outcome({"order_id": number, "archive": told}, records(*upload.progress.records))

    async def _cancel(self, manifest: Mapping[str, Any], _earlier: int) -> Outcome:
        """Ask for a cancellation; 200 means that it was asked for."""
        number, reason = manifest["order_id"], manifest.get("reason")
        target = self._profile(manifest).order(number, "/cancel")
        if reason:
            target += f"?{urlencode({'reason': reason}, quote_via=quote, safe='')}"
        reply = await self._door.call(lambda: Request("POST", target), _who(manifest), once=True)
        if reply.status != 200:
            failure = self._door.failure(reply, order_id=number, cancelling=True)
            raise StoppedError(self._door.judged(reply, failure, safe=False))
        return Outcome({"order_id": number}, records(reply.record))

    async def _details(self, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Read details."""
        details, reply = await self.details_of(manifest, earlier_attempts)
        current = details.current
        told = {
            "order_id": manifest["order_id"],
            **details.told(),
            "cancel_allowed": current.get("cancelAllowed") is True,
            "status_history_id": (details.order or {}).get("currentStatusHistoryId") or current.get("id"),
            "service_code": (details.order or {}).get("eserviceId"),
        }
        return Outcome(told, records(reply.record))

    async def _statuses(self, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Read the statuses of a list of orders: at most 50, so that one page holds them."""
        numbers, profile = manifest["order_ids"], self._profile(manifest)
        query = f"pageNum=0&pageSize={max(len(numbers), 1)}&orderIds={','.join(map(str, numbers))}"
        reply = await self._read(f"{profile.pages('getOrdersStatus')}?{query}", manifest, earlier_attempts)
        page = read_page(reply.json, profile.zone)
        if page is None:
            raise _unreadable(reply, "the page is not read")
        return Outcome({"orders": list(page.rows)}, records(reply.record))

    async def _updated_after(self, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Read every page of what changed. Pages shift while orders change: they are read until none is missing."""
        profile, size = self._profile(manifest), manifest["page_size"]
        moment = profile.moment(datetime.fromisoformat(manifest["after"]))
        base = f"{profile.pages('getUpdatedAfter')}?pageSize={size}&updatedAfter={quote(moment, safe='')}"
        found: dict[int, Mapping[str, Any]] = {}
        told: list[Mapping[str, Any]] = []
        for _ in range(_MOST_ROUNDS):
            number, total = 0, 1
            while number * size < min(total, _MOST_ROWS):
                reply = await self._read(f"{base}&pageNum={number}", manifest, earlier_attempts)
                page = read_page(reply.json, profile.zone)
                if page is None:
                    raise _unreadable(reply, "the page is not read")
                told.append(reply.record)
                found |= {row["order_id"]: row for row in page.rows}
                number, total = number + 1, page.total
                if not page.rows:
                    break
            if len(found) >= total:
                break
        return Outcome({"orders": list(found.values()), "total": total}, records(*told))

    async def _dictionary(self, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Read a dictionary: no token; an error comes inside HTTP 200."""
        body = {"treeFiltering": manifest["tree_filtering"]}
        names = {"parent_ref_item_value": "parentRefItemValue", "page_num": "pageNum", "page_size": "pageSize"}
        body |= {names[name]: manifest[name] for name in names if manifest.get(name) is not None}
        target = self._profile(manifest).path(f"/nsi/v1/dictionary/{quote(manifest['code'], safe='')}")
        reply = await self._door.call(lambda: Request("POST", target, orjson.dumps(body), _JSON), None)
        self._must(reply, 200, safe=True, earlier_attempts=earlier_attempts)
        said = reply.json
        error = said.get("error") if isinstance(said, dict) else None
        if not isinstance(error, dict):
            raise _unreadable(reply, "the dictionary is not read")
        field_errors = snake(said.get("fieldErrors") or [])
        if error.get("code") not in {0, "0"}:
            raise StoppedError(Refused(of_dictionary(error, field_errors), records(reply.record)))
        told = {"total": said.get("total"), "items": [_item(item) for item in said.get("items") or []]}
        return Outcome({**told, "field_errors": field_errors}, records(reply.record))

    async def _file(self, manifest: Mapping[str, Any], earlier_attempts: int) -> Outcome:
        """Fetch a file into the store, streamed."""
        name, store = manifest["mnemonic"], self._stored()
        target = self._profile(manifest).file(
            manifest["object_id"], manifest["object_type"], name, manifest.get("service_code") or ""
        )
        answer = await self._door.open(lambda: Request("GET", target), _who(manifest))
        try:
            if answer.response.status != 200:
                self._must(await answer.read(), 200, safe=True, earlier_attempts=earlier_attempts)
            kind = answer.response.content_type or "application/octet-stream"
            try:
                pieces = answer.pieces()
                stored = await store.put(pieces, name=name, mime_type=kind, limit=self._options.file_limit)
            except FileError as error:
                if error.retryable:
                    raise
                raise StoppedError(Refused(error, records(answer.record(None)))) from None
            record = answer.record(None, size=stored.size, sha256=stored.sha256)
        finally:
            await answer.__aexit__(None, None, None)
        return Outcome({"name": name}, records(record), (stored,))

    async def _read(self, target: str, manifest: Mapping[str, Any], earlier_attempts: int) -> Reply:
        reply = await self._door.call(lambda: Request("GET", target, content_type="application/json"), _who(manifest))
        self._must(reply, 200, safe=True, earlier_attempts=earlier_attempts)
        return reply

    def _must(
        self, reply: Reply, status: int, *, safe: bool, order_id: int | None = None, earlier_attempts: int = 0
    ) -> None:
        """Raise StoppedError unless the answer has the good status."""
        if reply.status != status:
            failure = self._door.failure(reply, order_id=order_id)
            raise StoppedError(self._door.judged(reply, failure, safe=safe, earlier_attempts=earlier_attempts))

    def _profile(self, manifest: Mapping[str, Any]) -> Profile:
        return self._options.profiles[manifest["profile"]]

    def _stored(self) -> FileStore:
        if self._store is None:
            raise FileError(Code.ATTACHMENT_REFUSED, "Файлы не настроены: нужен FILES_ROOT", retryable=False)
        return self._store


def _who(manifest: Mapping[str, Any]) -> Who:
    return Who(**manifest["who"])


def _meta(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return table 6, in the lower camel case of the samples: its own capitals are those of no client."""
    meta = manifest["meta"]
    return {"region": meta["region"], "serviceCode": meta["service_code"], "targetCode": meta["target_code"]}


def _number(reply: Reply) -> int:
    """Return the order's number. Raises StoppedError: an application may have been made all the same."""
    number = order_id_of(reply.json)
    if number is None:
        raise _unreadable(reply, "the answer has no order number")
    return number


def _unreadable(reply: Reply, rule: str) -> StoppedError:
    error = KnownError(Code.GATEWAY_PROTOCOL, details={"rule": rule, "http_status": reply.status})
    return StoppedError(Unanswered(error, raw=records(reply.record)))


def _item(item: Any) -> Any:
    """Return an entry of a dictionary in snake_case; names inside its attributes' values are the dictionary's own."""
    if not isinstance(item, dict):
        return item
    told = {name: value for name, value in item.items() if name not in {"attributeValues", "children"}}
    read: dict[str, Any] = dict(snake(told))
    if "children" in item:
        read["children"] = [_item(child) for child in item["children"] or []]
    if "attributeValues" in item:
        read["attribute_values"] = item["attributeValues"]
    return read
