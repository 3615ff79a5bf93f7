"""Archives that come in chunks: numbers, order, sizes and the five minutes.

What the gateway does with a chunk that breaks the rules is not described: here it is bad_request and nothing is lost
but the chunk. After its time a series is lost; whether the same number can be sent again is not described either, and
is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.epgu.faults import refuse

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.epgu.faults import RefusedError
    from simulators.epgu.settings import Settings
    from simulators.epgu.store import Piece

_MOST_CHUNKS = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chunk stands: number ``chunk`` (from 0) of ``chunks``."""

    chunk: int
    chunks: int

    @property
    def last(self) -> bool:
        """Tell whether no chunk comes after it."""
        return self.chunk == self.chunks - 1


@dataclass(slots=True)
class Series:
    """The chunks of one archive that have come; the first was sent at ``started``."""

    chunks: int
    started: datetime
    pieces: dict[int, Piece] = field(default_factory=dict)

    def whole(self) -> tuple[Piece, ...]:
        """Return all chunks in order."""
        return tuple(self.pieces[number] for number in range(self.chunks))


def place_of(chunk: str | None, chunks: str | None, base: int) -> Place:
    """Return what the parameters of these names say; both are absent for a lone chunk. Raises RefusedError."""
    if chunk is None and chunks is None:
        return Place(0, 1)
    number, total = _number(chunk, "chunk") - base, _number(chunks, "chunks")
    if not 1 <= total <= _MOST_CHUNKS or not 0 <= number < total:
        raise refuse("bad_request", f"Параметр chunk должен быть от {base} до chunks - {1 - base}")
    return Place(number, total)


class Uploads:
    """Series by order."""

    def __init__(self) -> None:
        """Start with none."""
        self._series: dict[int, Series] = {}

    def find(self, number: int) -> Series | None:
        """Return the series of an order that has begun and not ended."""
        return self._series.get(number)

    def take(
        self, number: int, place: Place, piece: Piece, settings: Settings, times: tuple[datetime, datetime]
    ) -> Series | None:
        """Take a chunk, and return the series when it was the last one.

        ``times`` are the moments at which the chunk began to come and had come. Raises RefusedError.
        """
        began, now = times
        _check_size(place, piece, settings)
        series = self._series.get(number)
        if series is None:
            if place.chunk:
                raise refuse("bad_request", "Первым должен быть отправлен первый чанк")
            series = self._series[number] = Series(place.chunks, began)
        if now - series.started > timedelta(seconds=settings.upload_time):
            raise late(settings)
        if series.chunks != place.chunks:
            raise refuse("bad_request", "Параметр chunks изменился")
        known = series.pieces.get(place.chunk)
        if known is not None and known.sha256 != piece.sha256:
            raise refuse("bad_request", f"Чанк {place.chunk} уже загружен с другим содержимым")
        if place.last and any(n not in series.pieces for n in range(series.chunks - 1)):
            raise refuse("bad_request", "Последним должен быть отправлен последний чанк")
        series.pieces.setdefault(place.chunk, piece)
        return self._series.pop(number) if place.last else None

    def clear(self) -> None:
        """Forget every series."""
        self._series.clear()


def late(settings: Settings) -> RefusedError:
    """Return what is said of a chunk that comes too late."""
    return refuse("bad_request", f"Чанки не отправлены в течение {settings.upload_time:g} секунд")


def _check_size(place: Place, piece: Piece, settings: Settings) -> None:
    _, least, most = settings.sizes
    if piece.size > most:
        raise refuse("bad_request", f"Размер чанка более {most} байт")
    if not piece.size or (piece.size < least and not place.last):
        raise refuse("bad_request", f"Размер непоследнего чанка менее {least} байт")


def _number(text: str | None, name: str) -> int:
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise refuse("bad_request", f"Параметр {name} должен быть числом")
    return int(text)
