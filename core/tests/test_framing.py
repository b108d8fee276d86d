"""Body length and flags as a pure function (RFC 9112 section 6.3; WIR-59 to WIR-69, WIR-80 to WIR-86).

Most of it is shown by the documents in conformance/cases/parser; here are the
combinations that are easier to write as tables.
"""

from __future__ import annotations

import itertools

import pytest

from anywire.core._errors import ParseError
from anywire.core._framing import (
    CHUNKED,
    CHUNKED_OK,
    EXPECT_CONTINUE,
    EXPECT_OTHER,
    KEEP_ALIVE,
    NO_BODY,
    REQUEST,
    RESPONSE,
    UNTIL_CLOSE,
    UPGRADE,
    Noted,
    frame,
)


def noted(*fields: tuple[bytes, bytes]) -> list[Noted]:
    """Fields as the grammar notes them, one offset apart from each other."""
    made: list[Noted] = []
    at = 10
    for name, value in fields:
        made.append((name, value, at, at + len(name) + 1))
        at += len(name) + 1 + len(value) + 2
    return made


HOST = (b"host", b" a")
CL = (b"content-length", b" 3")
TE = (b"transfer-encoding", b" chunked")


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize("name", [b"connection", b"proxy-connection"])
def test_request_persistence(minor: int, close: bool, keep_alive: bool, name: bytes) -> None:
    # WIR-66, WIR-67, WIR-68
    tokens = [b"Close"] * close + [b"KEEP-alive"] * keep_alive
    expected = not close and (minor == 1 or keep_alive)
    for order in itertools.permutations(tokens):
        _, flags = frame(REQUEST, minor, noted(HOST, (name, b" foo , " + b",".join(order))), 99)
        assert bool(flags & KEEP_ALIVE) is expected
        _, flags = frame(REQUEST, minor, noted(HOST, *((name, b" " + token) for token in order)), 99)
        assert bool(flags & KEEP_ALIVE) is expected


@pytest.mark.parametrize("minor", [0, 1, 2, 9])
@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize(
    ("fields", "length"),
    [((), UNTIL_CLOSE), ((CL,), 3), ((TE,), CHUNKED), (((b"transfer-encoding", b"x"),), UNTIL_CLOSE)],
)
def test_response_persistence(
    minor: int, keep_alive: bool, fields: tuple[tuple[bytes, bytes], ...], length: int
) -> None:
    # WIR-80, WIR-81, WIR-82
    connection = [(b"connection", b" keep-alive")] * keep_alive
    got, flags = frame(RESPONSE, minor, noted(*connection, *fields), 99, status=200)
    assert got == length
    old = not keep_alive or length == CHUNKED  # RFC 9112 section 6.1
    assert bool(flags & KEEP_ALIVE) is (length != UNTIL_CLOSE and (minor > 0 or not old))
    assert not flags & NO_BODY


@pytest.mark.parametrize("fields", [(), (CL,), (TE,)])
@pytest.mark.parametrize(
    ("status", "method", "no_body"),
    [
        (100, "GET", True), (101, "GET", True), (199, None, True), (204, "GET", True), (304, "GET", True),
        (200, "HEAD", True), (404, "HEAD", True), (205, "GET", False), (200, "POST", False), (200, None, False),
    ],
)  # fmt: skip
def test_who_has_a_body(
    fields: tuple[tuple[bytes, bytes], ...], status: int, method: str | None, no_body: bool
) -> None:
    # WIR-83 to WIR-86, WIR-11
    length, flags = frame(RESPONSE, 1, noted(*fields), 99, status=status, request_method=method)
    assert bool(flags & NO_BODY) is no_body
    assert (length == 0) is no_body


def test_head_persistence() -> None:
    # WIR-83: only with a length. A 204 or 304 needs none (WIR-82).
    assert not frame(RESPONSE, 1, [], 99, status=200, request_method="HEAD")[1] & KEEP_ALIVE
    assert frame(RESPONSE, 1, noted(CL), 99, status=200, request_method="HEAD")[1] & KEEP_ALIVE
    assert frame(RESPONSE, 1, noted(TE), 99, status=200, request_method="HEAD")[1] & KEEP_ALIVE
    assert frame(RESPONSE, 1, [], 99, status=304, request_method="HEAD")[1] & KEEP_ALIVE
    assert frame(RESPONSE, 1, [], 99, status=204, request_method="GET")[1] & KEEP_ALIVE


@pytest.mark.parametrize("status", [200, 299, 407, 500])
def test_connect_ignores_framing(status: int) -> None:
    # CLI-46
    length, flags = frame(RESPONSE, 1, noted(CL, CL, TE), 99, status=status, request_method="CONNECT")
    assert length == 0
    assert not flags & NO_BODY


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_wrong_framing_is_an_error_even_without_a_body(status: int, method: str) -> None:
    # WIR-61, WIR-62, SEC-4
    for fields in ((CL, CL), (CL, TE), (TE, CL)):
        with pytest.raises(ParseError) as caught:
            frame(RESPONSE, 1, noted(*fields), 99, status=status, request_method=method)
        assert caught.value.code == "HPE_UNEXPECTED_CONTENT_LENGTH"
        assert caught.value.bytes_parsed == noted(*fields)[1][2]


def test_upgrade() -> None:
    # SRV-67, CLI-41
    both = noted(HOST, (b"upgrade", b" x"), (b"connection", b" keep-alive,\tUPGRADE "))
    assert frame(REQUEST, 1, both, 99)[1] & UPGRADE
    assert not frame(REQUEST, 0, both, 99)[1] & UPGRADE  # RFC 9110 section 7.8
    proxy = [both[0], both[1], (b"proxy-connection", *both[2][1:])]
    assert not frame(REQUEST, 1, proxy, 99)[1] & UPGRADE
    assert not frame(REQUEST, 1, both[:2], 99)[1] & UPGRADE
    assert not frame(REQUEST, 1, [both[0], both[2]], 99)[1] & UPGRADE
    assert frame(RESPONSE, 1, both[1:], 99, status=101)[1] & UPGRADE
    for status in (100, 200, 426):
        assert not frame(RESPONSE, 1, both[1:], 99, status=status)[1] & UPGRADE


@pytest.mark.parametrize(
    ("minor", "values", "expected"),
    [
        (1, [b"100-continue"], EXPECT_CONTINUE), (1, [b"foo", b" 100-Continue"], EXPECT_CONTINUE),
        (1, [b"foo"], EXPECT_OTHER), (1, [b""], EXPECT_OTHER), (0, [b"100-continue"], 0), (0, [b"foo"], 0), (1, [], 0),
    ],
)  # fmt: skip
def test_expect(minor: int, values: list[bytes], expected: int) -> None:
    # SRV-19, SRV-20, SRV-23
    _, flags = frame(REQUEST, minor, noted(HOST, *((b"expect", value) for value in values)), 99)
    assert flags & (EXPECT_CONTINUE | EXPECT_OTHER) == expected


def test_chunked_ok() -> None:
    # RFC 9112 section 6.1; not as in WIR-31
    assert frame(REQUEST, 1, noted(HOST), 99)[1] & CHUNKED_OK
    assert not frame(REQUEST, 0, [], 99)[1] & CHUNKED_OK


def test_lenient_is_wir_59_only() -> None:
    gzip = (b"transfer-encoding", b"gzip")
    length, flags = frame(REQUEST, 1, noted(HOST, CL, gzip), 99, lenient=True)
    assert length == UNTIL_CLOSE
    assert not flags & KEEP_ALIVE
    assert frame(REQUEST, 1, noted(HOST, gzip, CL), 99, lenient=True)[0] == UNTIL_CLOSE
    assert frame(RESPONSE, 1, noted(gzip, CL), 99, lenient=True, status=200)[0] == UNTIL_CLOSE
    for fields in ((CL, CL), (CL, TE), (TE, CL)):
        with pytest.raises(ParseError):
            frame(REQUEST, 1, noted(HOST, *fields), 99, lenient=True)
    with pytest.raises(ParseError):
        frame(REQUEST, 1, [], 99, lenient=True)  # Host is still wanted


def test_empty_transfer_encoding_of_a_response_counts_as_none() -> None:
    # WIR-63
    assert frame(RESPONSE, 1, noted((b"transfer-encoding", b" ")), 99, status=200)[0] == UNTIL_CLOSE


@pytest.mark.parametrize(
    "value",
    [
        b"", b"a", b"a:", b"a:80", b"[::1]", b"[::1]:80", b"[v1.a:b]", b"1.2.3.4", b"a_b", b"%41", b"a,b",
        b"a:00080", b"a:65535", b"[1::1.2.3.4]",
    ],
)  # fmt: skip
def test_valid_hosts(value: bytes) -> None:
    # RFC 9110 section 7.2, RFC 3986 section 3.2.2
    assert frame(REQUEST, 1, noted((b"host", b" " + value + b"\t")), 99)[0] == 0


@pytest.mark.parametrize(
    "value",
    [
        b"a b",
        b"a/b",
        b"a?b",
        b"a#b",
        b"u@a",
        b"a:b",
        b"a:80:81",
        b"[::1",
        b"::1",
        b"[]",
        b"a\\b",
        b"\xe9",
        b'"a"',
        b"a\0",
        b"a%",
        b"a%4",
        b"a%zz",
        b"a%00",
        b"a%0d%0a",
        b"a%20b",
        b"a%2fb",
        b"u%40a",
        b"a%3a80",
        b"a%5c",
        b"a:65536",
        b"a:000080",
        b"a:+80",
        b"[fe80::1%25eth0]",
        b"[fe80::1%eth0]",
        b"[::1]a",
        b"[:::]",
        b"[1.2.3.4]",
        b"[a]",
    ],
)
def test_invalid_hosts(value: bytes) -> None:
    # SEC-18
    with pytest.raises(ParseError) as caught:
        frame(REQUEST, 1, noted((b"host", value)), 99)
    assert (caught.value.code, caught.value.reason) == ("HPE_INVALID_HOST", "Invalid Host")
    assert caught.value.bytes_parsed == noted((b"host", value))[0][3]
