"""RES-33, RFC 9110 section 5.6.7: the IMF-fixdate, and the line that is kept for a second."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._date import DateLine, http_date
from anywire.core._errors import ArgumentValueError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ((2026, 11, 22, 8, 4, 28), "Sun, 22 Nov 2026 08:04:28 GMT"),  # spec/README.md, Vocabulary
        ((1994, 11, 6, 8, 49, 37), "Sun, 06 Nov 1994 08:49:37 GMT"),  # RFC 9110 section 5.6.7
        ((1970, 1, 1, 0, 0, 0), "Thu, 01 Jan 1970 00:00:00 GMT"),
        ((2000, 2, 29, 23, 59, 59), "Tue, 29 Feb 2000 23:59:59 GMT"),
        ((2100, 3, 1, 0, 0, 0), "Mon, 01 Mar 2100 00:00:00 GMT"),  # 2100 has no leap day
    ],
)
def test_known_dates(moment: tuple[int, ...], text: str) -> None:
    assert http_date(calendar.timegm(moment)) == text


@given(st.integers(min_value=-62_135_596_800, max_value=253_402_300_799))
def test_agrees_with_the_standard_library(second: int) -> None:
    assert http_date(second) == format_datetime(EPOCH + timedelta(seconds=second), usegmt=True)


@pytest.mark.parametrize("second", [-62_135_596_801, 253_402_300_800])
def test_years_without_four_digits_are_refused(second: int) -> None:
    with pytest.raises(ArgumentValueError) as caught:
        http_date(second)
    assert caught.value.code == "ERR_OUT_OF_RANGE"


def test_the_line_is_kept_for_its_second_and_follows_the_clock() -> None:
    now = 1_795_334_668.0
    dates = DateLine(lambda: now)
    first = dates.line()
    assert first == b"Date: Sun, 22 Nov 2026 08:04:28 GMT\r\n"
    now += 0.999
    assert dates.line() is first  # "cached for the current second"
    now += 0.001
    assert dates.line() == b"Date: Sun, 22 Nov 2026 08:04:29 GMT\r\n"
    now -= 3600  # the clock was set back
    assert dates.line() == b"Date: Sun, 22 Nov 2026 07:04:29 GMT\r\n"


def test_a_clock_that_starts_at_zero() -> None:
    assert DateLine(lambda: 0.0).line() == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    assert DateLine(lambda: 0.5).line() == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
