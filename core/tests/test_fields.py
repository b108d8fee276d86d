"""Received fields (MSG-5, MSG-6, MSG-15 to MSG-21, MSG-L1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._fields import FIRST_WINS, distinct_fields, join_fields, parse_fields

# MSG-15, as the statement lists them.
MSG_15 = """age authorization content-length content-type etag expires from host if-modified-since if-unmodified-since
last-modified location max-forwards proxy-authorization referer retry-after server user-agent""".split()

# MSG-18, the names that were checked.
MSG_18 = """accept accept-charset accept-encoding accept-language access-control-allow-origin allow cache-
control connection content-encoding content-language content-location content-md5 content-range cookie2 date
dnt expect if-match if-none-match if-range keep-alive link origin pragma proxy-authenticate range sec-
websocket-key set-cookie2 strict-transport-security te trailer transfer-encoding upgrade vary via warning www-
authenticate x-forwarded-for x-anything""".split()


def test_parse() -> None:
    section = b"Host:a\r\nA: \t b \tc\t \r\nEmpty:\r\na:b:c\r\nL: \xa0\xe9\x85\x1c\r\n"
    assert parse_fields(section) == [
        "Host", "a", "A", "b \tc", "Empty", "", "a", "b:c", "L", "\xa0\xe9\x85\x1c",
    ]  # fmt: skip
    assert parse_fields(b"") == []


@pytest.mark.parametrize("name", MSG_15)
def test_first_wins(name: str) -> None:
    assert name in FIRST_WINS
    assert join_fields([name, "1", name.upper(), "2", name, "3"]) == {name: "1"}
    assert join_fields([name, "", name, "2"]) == {name: ""}  # MSG-19


def test_first_wins_is_the_statement() -> None:
    assert frozenset(MSG_15) == FIRST_WINS


@pytest.mark.parametrize("name", MSG_18)
def test_joined_with_comma(name: str) -> None:
    assert join_fields([name, "1", name.title(), "2", name, "3"]) == {name: "1, 2, 3"}


def test_set_cookie_is_a_list() -> None:
    # MSG-16
    assert join_fields(["Set-Cookie", "a=1"]) == {"set-cookie": ["a=1"]}
    assert join_fields(["Set-Cookie", "a=1", "set-cookie", "b=2"]) == {"set-cookie": ["a=1", "b=2"]}


def test_cookie() -> None:
    # MSG-17, MSG-19
    assert join_fields(["Cookie", "a=1", "cookie", "b=2", "COOKIE", "c"]) == {"cookie": "a=1; b=2; c"}
    assert join_fields(["Cookie", "", "cookie", "b"]) == {"cookie": "; b"}


def test_empty_values_take_part() -> None:
    # MSG-19
    assert join_fields(["X", "", "x", "b"]) == {"x": ", b"}


def test_order_is_first_arrival() -> None:
    # MSG-21
    joined = join_fields(["b", "1", "2", "x", "a", "1", "B", "2"])
    assert list(joined.items()) == [("b", "1, 2"), ("2", "x"), ("a", "1")]


@pytest.mark.parametrize("name", ["__proto__", "__class__", "constructor", "", "x" * 8192])
def test_any_name_is_data(name: str) -> None:
    # SEC-39
    assert join_fields([name, "1", name, "2"]) == {name: "1, 2"}
    assert distinct_fields([name, "1", name, "2"]) == {name: ["1", "2"]}


def test_distinct() -> None:
    # MSG-L1
    raw = ["Host", "a", "X", "1", "host", "b", "x", "2", "Set-Cookie", "c"]
    assert distinct_fields(raw) == {"host": ["a", "b"], "x": ["1", "2"], "set-cookie": ["c"]}


def test_odd_list_is_our_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        join_fields(["a"])


def test_many_repeats() -> None:
    # SEC-30: one join, so this is quick even where adding to a string is not.
    count = 100_000
    joined = join_fields(["x", "v"] * count)
    assert joined == {"x": ", ".join(["v"] * count)}
    assert len(join_fields(["set-cookie", "v"] * count)["set-cookie"]) == count


NAMES = st.sampled_from(["Host", "X", "x", "Cookie", "cookie", "Set-Cookie", "A", "ETag", "etag"])
VALUES = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=8).map(lambda v: v.strip(" \t"))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_the_three_views_agree(pairs: list[tuple[str, str]]) -> None:
    flat = [text for pair in pairs for text in pair]
    section = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
    assert parse_fields(section) == flat
    distinct = distinct_fields(flat)
    joined = join_fields(flat)
    assert list(distinct) == list(joined)
    for name, values in distinct.items():
        expected: str | list[str] = ", ".join(values)
        if name == "set-cookie":
            expected = values
        elif name == "cookie":
            expected = "; ".join(values)
        elif name in MSG_15:
            expected = values[0]
        assert joined[name] == expected
