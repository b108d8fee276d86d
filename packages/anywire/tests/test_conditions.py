"""Conditional requests: RFC 9110 sections 5.6.7, 8.8.3.2 and 13."""

from __future__ import annotations

import pytest

from anywire.cli.static._conditions import Validators, if_range, parse_date, precondition
from anywire.core import http_date

# The moment of the examples in RFC 9110 section 5.6.7.
THEN = 784111777
NOW = 1_790_000_000.0  # in 2026
HERE = Validators('"abc"', THEN)
EARLIER, SAME, LATER = (http_date(THEN + n) for n in (-1, 0, 1))


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_formats_of_dates(text: str) -> None:
    assert parse_date(text, NOW) == THEN
    assert http_date(THEN) == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("text", "year"),
    [("Monday, 01-Jan-75 00:00:00 GMT", 2075), ("Monday, 01-Jan-77 00:00:00 GMT", 1977)],
)
def test_two_digit_years(text: str, year: int) -> None:
    # More than 50 years in the future means the past (RFC 9110 section 5.6.7).
    seconds = parse_date(text, NOW)
    assert seconds is not None and http_date(seconds)[12:16] == str(year)


def test_two_digit_years_to_the_second() -> None:
    now = parse_date("Sun, 06 Nov 2016 08:49:37 GMT", NOW)
    assert now is not None
    assert parse_date("Sunday, 06-Nov-66 08:49:37 GMT", now) == parse_date("Sun, 06 Nov 2066 08:49:37 GMT", now)
    assert parse_date("Sunday, 06-Nov-66 08:49:38 GMT", now) == parse_date("Sun, 06 Nov 1966 08:49:38 GMT", now)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "yesterday",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text, NOW) is None


def test_a_leap_second_is_a_date() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == parse_date("Sun, 01 Jan 2017 00:00:00 GMT", NOW)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 0),
        # If-Match (13.1.1): strong comparison, "*" if there is a current representation
        ("GET", {"if-match": '"abc"'}, 0),
        ("GET", {"if-match": '"x", "abc"'}, 0),
        ("GET", {"if-match": "*"}, 0),
        ("GET", {"if-match": '"x"'}, 412),
        ("GET", {"if-match": 'W/"abc"'}, 412),
        ("GET", {"if-match": "abc"}, 412),
        # If-None-Match (13.1.2): weak comparison; 304 for GET and HEAD, 412 for others
        ("GET", {"if-none-match": '"abc"'}, 304),
        ("HEAD", {"if-none-match": 'W/"abc"'}, 304),
        ("GET", {"if-none-match": ', "x,y" ,, W/"abc",'}, 304),
        ("GET", {"if-none-match": "*"}, 304),
        ("PUT", {"if-none-match": "*"}, 412),
        ("PUT", {"if-none-match": '"abc"'}, 412),
        ("GET", {"if-none-match": '"x"'}, 0),
        ("GET", {"if-none-match": '"ABC"'}, 0),
        ("GET", {"if-none-match": '"x "abc"'}, 0),
        # If-Modified-Since (13.1.3): for GET and HEAD, ignored if it is no date
        ("GET", {"if-modified-since": SAME}, 304),
        ("GET", {"if-modified-since": LATER}, 304),
        ("GET", {"if-modified-since": EARLIER}, 0),
        ("PUT", {"if-modified-since": SAME}, 0),
        ("GET", {"if-modified-since": "now"}, 0),
        # If-Unmodified-Since (13.1.4)
        ("GET", {"if-unmodified-since": SAME}, 0),
        ("GET", {"if-unmodified-since": EARLIER}, 412),
        ("PUT", {"if-unmodified-since": EARLIER}, 412),
        ("GET", {"if-unmodified-since": "now"}, 0),
        # precedence (13.2.2)
        ("GET", {"if-match": '"abc"', "if-unmodified-since": EARLIER}, 0),
        ("GET", {"if-match": '"x"', "if-none-match": '"abc"'}, 412),
        ("GET", {"if-match": '"abc"', "if-none-match": '"abc"'}, 304),
        ("GET", {"if-none-match": '"x"', "if-modified-since": LATER}, 0),
        ("GET", {"if-unmodified-since": LATER, "if-modified-since": LATER}, 304),
    ],
)
def test_preconditions(method: str, headers: dict[str, str], status: int) -> None:
    assert precondition(method, headers, HERE, NOW) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": "*"}, 412),
        ({"if-match": '"abc"'}, 412),
        ({"if-none-match": "*"}, 0),
        ({"if-none-match": '"abc"'}, 0),
        ({"if-unmodified-since": EARLIER}, 0),
    ],
)
def test_preconditions_where_nothing_is_yet(headers: dict[str, str], status: int) -> None:
    assert precondition("PUT", headers, Validators(None, None), NOW) == status


@pytest.mark.parametrize(
    ("headers", "now", "follows"),
    [
        ({}, NOW, True),
        ({"if-range": '"abc"'}, NOW, True),
        ({"if-range": 'W/"abc"'}, NOW, False),  # "A client MUST NOT generate ... a weak one"; strong comparison
        ({"if-range": '"x"'}, NOW, False),
        ({"if-range": SAME}, NOW, True),
        ({"if-range": LATER}, NOW, False),  # exact match, not "not before"
        ({"if-range": EARLIER}, NOW, False),
        ({"if-range": SAME}, THEN + 1.0, True),
        ({"if-range": SAME}, THEN + 0.9, False),  # 8.8.2.2: not strong yet
        ({"if-range": "nonsense"}, NOW, False),
    ],
)
def test_if_range(headers: dict[str, str], now: float, follows: bool) -> None:
    assert if_range(headers, HERE, now) is follows
