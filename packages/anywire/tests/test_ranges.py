"""Byte ranges: RFC 9110 section 14."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.cli.static._ranges import MAX_RANGES, ByteRange, multipart, select_ranges

SIZE = 10_000


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        # the examples of section 14.1.2, for a representation of 10000 bytes
        ("bytes=0-499", [(0, 499)]),
        ("bytes=500-999", [(500, 999)]),
        ("bytes=-500", [(9500, 9999)]),
        ("bytes=9500-", [(9500, 9999)]),
        ("bytes=0-0,-1", [(0, 0), (9999, 9999)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 999), (4500, 5499), (9000, 9999)]),
        ("bytes=500-700,601-999", [(500, 999)]),
        # "If the selected representation is shorter than the specified suffix-length, the entire ... is used."
        ("bytes=-10001", [(0, 9999)]),
        # "if the value is greater than or equal to the current length ... the remainder"
        ("bytes=9999-20000", [(9999, 9999)]),
        ("bytes=0-" + "9" * 5000, [(0, 9999)]),
        ("bytes=" + "0" * 5000 + "1-2", [(1, 2)]),
        # unit names are case-insensitive (14.1), empty list members are ignored (5.6.1.2)
        ("BYTES=1-2", [(1, 2)]),
        ("bytes=,, 1-2 ,\t,", [(1, 2)]),
        # what is satisfiable of several
        ("bytes=0-1,20000-", [(0, 1)]),
        # order of the request, unless they are joined
        ("bytes=5000-5001,0-1", [(5000, 5001), (0, 1)]),
        ("bytes=5000-5001,0-1,2-3", [(0, 3), (5000, 5001)]),
    ],
)
def test_ranges_that_are_followed(field: str, wanted: list[tuple[int, int]]) -> None:
    assert select_ranges(field, SIZE) == wanted


@pytest.mark.parametrize("field", ["bytes=10000-", "bytes=10000-10001,20000-", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_ranges_that_select_nothing(field: str) -> None:
    assert select_ranges(field, SIZE) == []


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=a-b",
        "bytes=1",
        "bytes=-",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=5-4",  # "an int-range is invalid if the last-pos value is present and less than first-pos"
        "bytes=0-1,5-4",
        "bytes=0 - 1",
        "bytes=+1-2",
        "bytes=٣-٤",
        "bytes 0-1",
        "pages=1-2",  # "MUST ignore a Range header field with a range unit it does not understand"
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 5 * (MAX_RANGES + 1), 5)),
    ],
)
def test_fields_that_are_ignored(field: str) -> None:
    assert select_ranges(field, SIZE) is None


def test_an_empty_file() -> None:
    assert select_ranges("bytes=0-", 0) == []  # first-pos is not less than the length
    assert select_ranges("bytes=-0", 0) == []
    assert select_ranges("bytes=-1", 0) is None  # satisfiable, but no Content-Range can say it


_specs = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda p: f"{min(p)}-{max(p)}"),
        st.integers(0, 300).map("{}-".format),
        st.integers(1, 300).map("-{}".format),
    ),
    min_size=1,
    max_size=MAX_RANGES,
)


@given(_specs, st.integers(1, 250))
def test_exactly_what_was_asked_for_is_covered_and_nothing_twice(specs: Sequence[str], size: int) -> None:
    wanted = set()
    for spec in specs:
        first, _, last = spec.partition("-")
        if first:
            wanted |= set(range(int(first), min(int(last or size), size - 1) + 1))
        else:
            wanted |= set(range(max(0, size - int(last)), size))
    chosen = select_ranges("bytes=" + ",".join(specs), size)
    assert chosen is not None
    sent = [n for r in chosen for n in range(r.first, r.last + 1)]
    assert wanted <= set(sent) <= set(range(size))
    assert len(sent) == len(set(sent)), "overlapping ranges are joined"


def test_multipart_as_the_email_package_reads_it() -> None:
    # 14.6: "multipart/byteranges" is a MIME multipart; each part has its Content-Range.
    data = bytes(range(256))
    ranges = [ByteRange(200, 255), ByteRange(0, 9)]
    pieces, length = multipart(ranges, len(data), "text/x-test", "bound")
    body = b"".join(p if isinstance(p, bytes) else data[p.first : p.last + 1] for p in pieces)
    assert len(body) == length
    head = b"Content-Type: multipart/byteranges; boundary=bound\r\n"
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    parts = list(message.iter_parts())
    assert [part["Content-Range"] for part in parts] == ["bytes 200-255/256", "bytes 0-9/256"]
    assert [part.get_content_type() for part in parts] == ["text/x-test"] * 2
    assert data[200:256] in body and data[0:10] in body
