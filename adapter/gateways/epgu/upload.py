"""An archive sent in chunks: the first one first, the last one last, those between side by side, all in five minutes.

Source: seeds/003_77f5074edb620939.txt, table 10. A chunk that is not the last may be sent again while the time lasts:
the same bytes under the same number. What became of a last chunk without a clear answer is not guessed here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapter.errors import AdapterError, Code, KnownError
from adapter.exchange import Refused, Sent, TryLater, Unanswered
from adapter.gateways.epgu.door import ErrorClass, StoppedError
from adapter.gateways.epgu.form import FileForm
from adapter.gateways.epgu.reading import order_id_of
from adapter.gateways.epgu.wire import Request, UndeliveredError, records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO

    from adapter.gateways.epgu.door import Door
    from adapter.gateways.epgu.profiles import Profile
    from adapter.gateways.epgu.tokens import Who
    from adapter.gateways.epgu.wire import Reply

#: Seconds before a chunk is sent again: the first pause and the longest.
_PAUSES: Final = (0.2, 5.0)
#: Seconds to wait when ЕПГУ says that there were too many requests.
_TOO_MANY: Final = 5.0


@dataclass(frozen=True, slots=True)
class Series:
    """The chunks of one archive: what they are of, whose, and by which rules."""

    order_id: int
    meta: Mapping[str, str]
    size: int
    profile: Profile
    who: Who
    file: FileIO

    @property
    def chunks(self) -> int:
        """How many there are."""
        return self.profile.chunks(self.size)

    def request(self, number: int) -> Request:
        """Return the call that sends chunk ``number``, counted from 0. One chunk alone carries no numbers."""
        profile, chunks = self.profile, self.chunks
        start = number * profile.chunk_size
        fields = {"orderId": str(self.order_id)}
        name = f"{self.order_id}-archive.zip"
        if chunks > 1:
            fields |= {"chunk": str(number + profile.chunk_base), "chunks": str(chunks)}
            name = f"{self.order_id}-archive.z{number + 1:03d}"
        size = min(profile.chunk_size, self.size - start)
        meta = self.meta if profile.meta_in_chunks else None
        form = FileForm(self.file, start=start, size=size, name=name, fields=fields, meta=meta)
        told: dict[str, Any] = {"fields": fields, "file": {"name": name, "size": size}}
        if meta is not None:
            told["meta"] = meta
        return Request("POST", profile.path("/gusmev/push/chunked"), form, form.content_type, told)


@dataclass(slots=True)
class Progress:
    """How far an upload has come; ``records`` are those of the first call and of the last ones.

    ``lost`` is what is journaled of the last call without an answer.
    """

    sent: int = 0
    lost: bytes = b""
    records: list[Mapping[str, Any]] = field(default_factory=list)

    def note(self, record: Mapping[str, Any]) -> None:
        """Keep a record; of many, the first and the last."""
        self.records = [*self.records[:1], *self.records[1:][-2:], record]


class Upload:
    """Sends one series. Made for one attempt."""

    def __init__(self, series: Series, door: Door, *, time: float, parallel: int) -> None:
        """``time`` is seconds from the first chunk to the last, ``parallel`` how many go side by side."""
        self._series = series
        self._door = door
        self._time = time
        self._parallel = parallel
        self._last_left = False
        self.progress = Progress()

    async def run(self) -> None:
        """Send every chunk; return when the last one was taken. Raises StoppedError with what became of it."""
        last = self._series.chunks - 1
        try:
            async with asyncio.timeout(self._time):
                if last:
                    await self._chunk(0)
                    await self._between(last)
                await self._chunk(last)
        except TimeoutError:
            raise StoppedError(self._late()) from None

    async def _between(self, last: int) -> None:
        """Send the chunks between the first and the last; the first failure ends them all. Raises StoppedError."""
        numbers = iter(range(1, last))

        async def work() -> None:
            for number in numbers:
                await self._chunk(number)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._parallel, last - 1)):
                    group.create_task(work())
        except ExceptionGroup as failures:
            stopped = failures.split(StoppedError)[0]
            if stopped is None:
                raise
            first = stopped.exceptions[0]
            assert isinstance(first, StoppedError)  # noqa: S101  — split says so
            raise StoppedError(first.sent) from None

    async def _chunk(self, number: int) -> None:
        """Send one chunk until it is taken, refused, or nobody knows. Raises StoppedError."""
        pause, longest = _PAUSES
        while True:
            wait = await self._attempt(number)
            if wait is None:
                self.progress.sent += 1
                return
            await asyncio.sleep(max(wait, pause))
            pause = min(pause * 2, longest)

    async def _attempt(self, number: int) -> float | None:
        """Send a chunk once; return ``None`` when it was taken, else the least seconds before the next attempt."""
        last = number == self._series.chunks - 1
        try:
            reply = await self._door.call(
                lambda: self._series.request(number), self._series.who, leaves=self._leaves if last else None
            )
        except UndeliveredError as failure:
            if last and failure.maybe_taken:
                raise StoppedError(Unanswered(self._named(failure.error), raw=self._raw(failure.raw))) from None
            self._last_left = False
            self.progress.lost = failure.raw
            return 0.0
        self.progress.note(reply.record)
        if reply.status in {200, 206}:
            self._check(reply, last=last)
            return None
        refusal = self._door.failure(reply, order_id=self._series.order_id)
        match refusal.kind:
            case ErrorClass.RETRY if last:
                raise StoppedError(Unanswered(refusal.error, raw=self._raw()))
            case ErrorClass.RETRY:
                return 0.0
            case ErrorClass.LIMITS if number == 0:
                raise StoppedError(TryLater(refusal.error, raw=self._raw(), after=self._door.pause(reply)))
            case ErrorClass.LIMITS:
                return _TOO_MANY
        raise StoppedError(Refused(refusal.error, self._raw()))

    def _leaves(self) -> None:
        self._last_left = True

    def _check(self, reply: Reply, *, last: bool) -> None:
        """Tell 200, all is taken, from 206, one chunk is. Raises StoppedError for what contradicts the series."""
        rule = ""
        if reply.status != (200 if last else 206):
            rule = "the status is not that of this chunk"
        elif order_id_of(reply.json) not in {None, self._series.order_id}:
            rule = "the answer names another order"
        if rule:
            error = KnownError(Code.GATEWAY_PROTOCOL, details={"rule": rule, "http_status": reply.status})
            raise StoppedError(Unanswered(self._named(error), raw=self._raw()))

    def _late(self) -> Sent:
        """Return what an upload is whose time has passed: lost, unless the last chunk was on its way."""
        if self._last_left:
            return Unanswered(self._named(KnownError(Code.GATEWAY_UNAVAILABLE)), raw=self._raw())
        progress = {"chunks": self._series.chunks, "chunks_sent": self.progress.sent}
        return Refused(self._named(KnownError(Code.UPLOAD_LOST, details=progress)), self._raw(self.progress.lost))

    def _named(self, error: AdapterError) -> AdapterError:
        error.details.setdefault("order_id", self._series.order_id)
        return error

    def _raw(self, more: bytes = b"") -> bytes:
        told = records(*self.progress.records)
        return b"\n".join(part for part in (told, more) if part)
