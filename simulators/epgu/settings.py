"""What may change while the simulator runs: ``POST /_sim/settings``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.epgu.profiles import PROFILES, Profile

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, le=1e9)]


class Settings(BaseModel):
    """Everything that can be set; times are seconds, sizes bytes. What is absent is as the profile has it.

    ``limit_*`` are HTTP requests of one system in a calendar minute, hour, day, month and year (Moscow time).
    ``orders_limit`` is how many orders one user may make of one service in ``orders_window``; a service may have
    its own number. ``limits_late`` lets the order in and fails it by LIMITATION_EXCEPTION. ``process_step`` and
    ``status_step`` are the time between two process codes and between two statuses. ``upload_time`` is how long
    after the first chunk the last may come. ``keep`` is what stays of archives: all, or size and digest alone (then
    nothing in them is judged). ``prefix`` stands before every path, as behind an agent of СМЭВ4. ``hosts`` are the
    values of Host that come through the protected channel; any other is refused, none means any. ``done_code`` is
    what details say once the portal has the order.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    profile: Literal["1.12", "1.12.1", "1.13"] = "1.12"
    limit_minute: _Count = 2_000
    limit_hour: _Count = 120_000
    limit_day: _Count = 2_880_000
    limit_month: _Count = 86_400_000
    limit_year: _Count = 1_036_800_000
    orders_limit: _Count = 20
    orders_window: _Seconds = 600
    limits_late: bool = False
    process_step: _Seconds = 0.2
    status_step: _Seconds = 1
    upload_time: _Seconds = 300
    keep: Literal["archive", "digest"] = "archive"
    push_max: _Count | None = None
    chunk_min: _Count | None = None
    chunk_max: _Count | None = None
    chunk_base: Literal[0, 1] = 0
    meta_in_chunks: bool = True
    slash: Literal["required", "forbidden", "any"] | None = None
    zone: Literal["UTC", "Moscow"] | None = None
    prefix: Literal["", "gu-smev-api"] = ""
    hosts: tuple[str, ...] = ()
    cancel_refusal: Literal[405, 409] = 409
    cancel_needs_reason: bool = False
    cancel_outcome: Literal["cancelled", "kept"] = "cancelled"
    done_code: Literal["OK", "DONE"] = "OK"
    token_life: _Seconds = 3_600
    person_token_life: _Seconds = 86_400
    page_limit: int = Field(1_000, ge=1)
    next_order_id: int | None = Field(None, ge=1)

    @property
    def version(self) -> Profile:
        """The profile in force, without what is set over it."""
        return PROFILES[self.profile]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Bytes: the most for /push, the least of a chunk that is not the last, the most of any chunk."""
        version = self.version
        return (
            version.push_max if self.push_max is None else self.push_max,
            version.chunk_min if self.chunk_min is None else self.chunk_min,
            version.chunk_max if self.chunk_max is None else self.chunk_max,
        )
