"""What differs between versions of the ЕПГУ specification, as named profiles: sizes, paths, zones, form of chunks.

Source: seeds/003_77f5074edb620939.txt (1.12 of 31.07.2023) and the later editions 1.12.1 and 1.13. A megabyte of 1.12
may be 1,000,000 bytes or 1,048,576: upper bounds here are the smaller reading, lower bounds the larger one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

MOSCOW: Final = timezone(timedelta(hours=3))
ZONES: Final[Mapping[str, tzinfo]] = MappingProxyType({"UTC": UTC, "Moscow": MOSCOW})
DEFAULT: Final = "1.12"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One version of the specification. Sizes are bytes.

    ``push_max`` is the largest archive of /push, ``chunk_min`` the least chunk that is not the last, ``chunk_max`` the
    largest chunk, ``chunk_size`` the one that is made. ``chunk_base`` is the number of the first chunk,
    ``meta_in_chunks`` whether chunks carry meta. ``slash`` ends the paths of pages of statuses. ``zone`` is that of
    ``updatedAfter`` and of ``updated`` in pages. ``download`` is the path of a file, ``download_service`` whether its
    query names the service. ``nested`` allows archives inside an archive. ``prefix`` stands before every path: that of
    an agent of СМЭВ4, or nothing.
    """

    name: str
    push_max: int
    chunk_min: int
    chunk_max: int
    chunk_size: int
    slash: bool
    zone: tzinfo
    download: str
    download_service: bool = False
    chunk_base: int = 0
    meta_in_chunks: bool = True
    nested: bool = False
    prefix: str = ""

    def path(self, rest: str) -> str:
        """Return a path below ``/api``, with the agent's prefix before it."""
        return f"/{self.prefix}/api{rest}" if self.prefix else f"/api{rest}"

    def order(self, order_id: int | None = None, rest: str = "") -> str:
        """Return the path of orders, or of one order."""
        return self.path("/gusmev/order" if order_id is None else f"/gusmev/order/{order_id}{rest}")

    def pages(self, name: str) -> str:
        """Return the path of ``getOrdersStatus`` or ``getUpdatedAfter``."""
        return self.order() + f"/{name}" + ("/" if self.slash else "")

    def file(self, object_id: int, object_type: int, mnemonic: str, service_code: str) -> str:
        """Return path and query of a file, percent-encoded."""
        query = {"mnemonic": mnemonic}
        if self.download_service:
            query["eserviceCode"] = service_code
        path = self.path(self.download.format(object_id=object_id, object_type=object_type))
        return f"{path}?{urlencode(query, quote_via=quote, safe='')}"

    def moment(self, at: datetime) -> str:
        """Return ``updatedAfter``: ``YYYY-MM-DDTHH:mm:ss.SSS`` in the profile's zone, rounded down."""
        return at.astimezone(self.zone).replace(tzinfo=None).isoformat(timespec="milliseconds")

    def chunks(self, size: int) -> int:
        """Return into how many chunks an archive of ``size`` bytes is split."""
        return max(1, -(-size // self.chunk_size))

    def changed(
        self,
        *,
        zone: str | None = None,
        chunk_base: int | None = None,
        chunk_size: int | None = None,
        meta_in_chunks: bool | None = None,
        prefix: str = "",
    ) -> Profile:
        """Return the profile with what a deployment sets otherwise; ``None`` leaves it as it is.

        ``chunk_size`` is brought between the profile's bounds.
        """
        return replace(
            self,
            zone=self.zone if zone is None else ZONES[zone],
            chunk_base=self.chunk_base if chunk_base is None else chunk_base,
            meta_in_chunks=self.meta_in_chunks if meta_in_chunks is None else meta_in_chunks,
            chunk_size=min(max(chunk_size or self.chunk_size, self.chunk_min), self.chunk_max),
            prefix=prefix,
        )


_SEED: Final = Profile(
    name="1.12",
    push_max=5_000_000,
    chunk_min=1_048_576,
    chunk_max=5_000_000,
    chunk_size=5_000_000,
    slash=True,
    zone=UTC,
    # Its table 3 has another path; the chapter on files is the more exact one.
    download="/storage/v2/files/{object_id}/{object_type}/download",
)
_LARGE: Final = replace(
    _SEED, name="1.12.1", push_max=50_000_000, chunk_min=5_000_000, chunk_max=50_000_000, slash=False
)
#: Profiles by name.
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "1.12": _SEED,
        "1.12.1": _LARGE,
        "1.13": replace(
            _LARGE,
            name="1.13",
            slash=True,
            zone=MOSCOW,
            download="/gusmev/files/download/{object_id}/{object_type}",
            download_service=True,
        ),
    }
)
