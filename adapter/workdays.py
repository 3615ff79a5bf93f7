"""Working days: Monday to Friday without the holidays that somebody has named, in one zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)
#: Order № 104, rule 16: technological breaks fall into the night, weekends and holidays.
_NIGHT_BEGINS: Final = time(22)
_NIGHT_ENDS: Final = time(6)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are worked. ``zone`` is where their midnights are."""

    zone: tzinfo = UTC
    holidays: frozenset[date] = field(default_factory=frozenset)

    def is_worked(self, day: date) -> bool:
        """Tell whether a day is neither a Saturday, a Sunday nor a holiday."""
        return day.weekday() < _SATURDAY and day not in self.holidays

    def day_after(self, moment: datetime) -> datetime:
        """Return when one working day has passed since ``moment``: 24 hours of which only working days count.

        Of Friday 15:00 that is Monday 15:00, of Saturday noon it is the midnight after Monday.
        """
        at = moment.astimezone(self.zone)
        left = _DAY
        while True:
            midnight = datetime.combine(at.date() + _DAY, time(), self.zone)
            if self.is_worked(at.date()):
                if midnight - at >= left:
                    return at + left
                left -= midnight - at
            at = midnight

    def is_break_time(self, begins: datetime, ends: datetime) -> bool:
        """Tell whether all of a time lies between 22:00 and 06:00, or on days that are not worked."""
        at, last = begins.astimezone(self.zone), ends.astimezone(self.zone)
        while at < last:
            midnight = datetime.combine(at.date() + _DAY, time(), self.zone)
            if self.is_worked(at.date()):
                morning = datetime.combine(at.date(), _NIGHT_ENDS, self.zone)
                evening = datetime.combine(at.date(), _NIGHT_BEGINS, self.zone)
                if max(at, morning) < min(last, evening):
                    return False
            at = midnight
        return True
