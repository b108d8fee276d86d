"""Validators and conditional requests (RFC 9110 sections 8.8 and 13).

:func:`precondition` is section 13.2.2, step by step. The clock is an argument.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = ["Validators", "if_range", "parse_date", "precondition"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = rf"(?:{'|'.join(_DAYS)})"
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = (
    re.compile(rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT", re.ASCII),
    re.compile(rf"{_WEEKDAY}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT", re.ASCII),
    re.compile(rf"{_DAY} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII),
)
"""IMF-fixdate, and the obsolete formats of RFC 850 and of asctime, which a recipient has to understand."""

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_TAGS = re.compile(rf"[ \t,]*(?:{_TAG.pattern}[ \t]*(?:,[ \t,]*|$))*")


class Validators(NamedTuple):
    """What tells one state of a file from another.

    Attributes:
        etag: a strong entity-tag, quotes included; None for a file that does not exist.
        modified: last modification, whole seconds since the epoch; None if that means nothing.
    """

    etag: str | None
    modified: int | None


def parse_date(text: str, now: float) -> int | None:
    """An HTTP-date in any of its three formats (RFC 9110 section 5.6.7).

    Args:
        text: the field value.
        now: seconds since the epoch, for the century of two-digit years.

    Returns:
        Seconds since the epoch, or None if it is no HTTP-date.
    """
    for pattern in _DATES:
        found = pattern.fullmatch(text.strip(" \t"))
        if found is None:
            continue
        year, day, hour, minute, second = (int(found[n]) for n in ("year", "day", "hour", "minute", "second"))
        month = _MONTHS.index(found["month"]) + 1
        if len(found["year"]) == 2:
            t = datetime.fromtimestamp(now, UTC)
            year += t.year // 100 * 100
            # What "appears to be more than 50 years in the future" is of the century before.
            if (year - 50, month, day, hour, minute, second) > (t.year, t.month, t.day, t.hour, t.minute, t.second):
                year -= 100
        try:
            # A leap second is valid, and datetime does not know it.
            datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        except ValueError:
            return None
        return timegm((year, month, day, hour, minute, second)) if second <= 60 else None
    return None


def _tags(field: str) -> list[tuple[bool, str]]:
    """The entity-tags of a list, as (weak, tag); ``[]`` if the list is malformed."""
    if _TAGS.fullmatch(field) is None:
        return []
    return [(bool(weak), tag) for weak, tag in _TAG.findall(field)]


def _matches(field: str, etag: str | None, *, strong: bool) -> bool:
    """Does an ``If-Match`` or ``If-None-Match`` value name the current representation?"""
    if field.strip(" \t") == "*":
        return etag is not None
    return any(tag == etag and not (strong and weak) for weak, tag in _tags(field))


def precondition(method: str, headers: Mapping[str, Any], current: Validators, now: float) -> int:
    """Evaluate the preconditions of a request (RFC 9110 section 13.2.2).

    Args:
        method: the request method.
        headers: joined request fields, names in lower case.
        current: of the selected representation as it is now.
        now: seconds since the epoch.

    Returns:
        0 to perform the method, else 304 or 412.
    """
    read = method in ("GET", "HEAD")
    # 1. and 2.: is it still what the client knows?
    if (field := headers.get("if-match")) is not None:
        if not _matches(field, current.etag, strong=True):
            return 412
    elif (field := headers.get("if-unmodified-since")) is not None and current.modified is not None:
        date = parse_date(field, now)
        if date is not None and current.modified > date:
            return 412
    # 3. and 4.: is it something new to the client? If-Modified-Since counts only without If-None-Match.
    if (field := headers.get("if-none-match")) is not None:
        if _matches(field, current.etag, strong=False):
            return 304 if read else 412
    elif read and (field := headers.get("if-modified-since")) is not None and current.modified is not None:
        date = parse_date(field, now)
        if date is not None and current.modified <= date:
            return 304
    return 0


def if_range(headers: Mapping[str, Any], current: Validators, now: float) -> bool:
    """Step 5 of section 13.2.2: may ``Range`` be followed (RFC 9110 section 13.1.5)?

    A date counts only as a strong validator: equal, and the file has been left alone for a whole second, so that it
    cannot have changed twice within the second that the date names.
    """
    field = headers.get("if-range")
    if field is None:
        return True
    if found := _TAG.fullmatch(field.strip(" \t")):
        return not found[1] and found[2] == current.etag
    date = parse_date(field, now)
    return date is not None and date == current.modified and now >= date + 1
