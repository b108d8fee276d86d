"""The ``Date`` field: one line of text per second (RES-33, RFC 9110 section 5.6.7).

Rendering a date costs more than rendering a small head, and a busy server
renders thousands of heads per second with the same one. So the line is kept
until the second is over. The clock is handed in, as everywhere in the core.
"""

from __future__ import annotations

from collections.abc import Callable

from ._errors import ArgumentValueError

__all__ = ["DateLine", "http_date"]

_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1970-01-01 was a Thursday
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # years 1 and 9999: the format has four digits for the year


def http_date(epoch_seconds: int) -> str:
    """Return an IMF-fixdate, e.g. ``Sun, 22 Nov 2026 08:04:28 GMT``.

    Plain arithmetic on the proleptic Gregorian calendar: no locale, no time zone, no clock.

    Args:
        epoch_seconds: whole seconds since 1970-01-01T00:00:00Z, without leap seconds.

    Raises:
        ArgumentValueError: ``ERR_OUT_OF_RANGE``, the year is not in 1..9999.
    """
    if not _FIRST <= epoch_seconds <= _LAST:
        raise ArgumentValueError(f"No HTTP date for {epoch_seconds} seconds", code="ERR_OUT_OF_RANGE")
    days, second = divmod(epoch_seconds, 86_400)
    # Years are counted from March, so that the leap day is the last day of a year and months have a
    # fixed pattern of lengths; eras are 400 years, after which the calendar repeats.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    month = (march_month + 2) % 12
    year = era * 400 + year_of_era + (month < 2)
    return (
        f"{_DAYS[days % 7]}, {day:02} {_MONTHS[month]} {year:04} "
        f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} GMT"
    )


class DateLine:
    """The current ``Date: …`` line, rendered at most once per second.

    Args:
        wall_clock: returns seconds since the epoch. A clock that is set back is followed.
    """

    __slots__ = ("_clock", "_kept")

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._clock = wall_clock
        self._kept = 1.0, 0.0, b""  # since, until and the line, together: threads may share it. The first call renders

    def line(self) -> bytes:
        """Return ``Date: <IMF-fixdate>`` for the current second, line end included."""
        now = self._clock()
        since, until, line = self._kept
        if not since <= now < until:
            second = int(now // 1)
            line = b"Date: %b\r\n" % http_date(second).encode("ascii")
            self._kept = second, second + 1, line
        return line
