"""What differs between versions of the specification, as the facts of ЕПГУ tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Literal

MOSCOW = timezone(timedelta(hours=3))
Slash = Literal["required", "forbidden", "any"]
Download = Literal["files-id-type", "storage-v2", "files-download"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One version of the document. Sizes are bytes.

    A megabyte of 1.12 may be 1,000,000 bytes or 1,048,576: the bounds here refuse what either reading forbids.
    ``slash`` is about the end of getOrdersStatus and getUpdatedAfter. ``zone`` is that of ``updatedAfter``.
    ``download`` are the paths that exist. ``cancel_absent`` is the status for cancelling an order that is not there.
    ``message_id`` puts messageId into details, ``early_fields`` the fields of ``order`` that vanished in 2023.
    ``sign_config`` reads sign_config.xml, ``personal_data`` knows access_denied_personal_data.
    """

    name: str
    push_max: int
    chunk_min: int
    chunk_max: int
    slash: Slash
    zone: tzinfo
    download: tuple[Download, ...]
    cancel_absent: int
    message_id: bool
    early_fields: bool
    sign_config: bool
    personal_data: bool


_OLD = Profile(
    name="1.12",
    push_max=5_000_000,
    chunk_min=1_048_576,
    chunk_max=5_000_000,
    slash="required",
    zone=UTC,
    # Table 3 has the first, section 4 the second.
    download=("files-id-type", "storage-v2"),
    cancel_absent=404,
    message_id=False,
    early_fields=True,
    sign_config=False,
    personal_data=False,
)
_LARGE = {"push_max": 50_000_000, "chunk_min": 5_000_000, "chunk_max": 50_000_000}

PROFILES = {
    "1.12": _OLD,
    "1.12.1": Profile(
        name="1.12.1",
        **_LARGE,
        slash="forbidden",
        zone=UTC,
        download=("storage-v2",),
        cancel_absent=404,
        message_id=True,
        early_fields=False,
        sign_config=False,
        personal_data=False,
    ),
    "1.13": Profile(
        name="1.13",
        **_LARGE,
        slash="any",
        zone=MOSCOW,
        download=("files-download",),
        cancel_absent=204,
        message_id=True,
        early_fields=False,
        sign_config=True,
        personal_data=True,
    ),
}
