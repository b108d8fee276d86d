"""Heads, chunks and trailers against the bytes of spec/wire.md and spec/server-response.md, SEC-21 to SEC-23."""

from __future__ import annotations

import http
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core import _field_lines
from anywire.core._errors import AnywireError, ArgumentTypeError, ArgumentValueError, LocalError, StateError
from anywire.core._header_store import (
    REMOVED_CONNECTION,
    REMOVED_DATE,
    REMOVED_LENGTH,
    REMOVED_TRANSFER_ENCODING,
    HeaderStore,
)
from anywire.core._serializer import (
    CHUNK_END,
    CHUNKED,
    CONTINUE,
    LAST_CHUNK,
    NO_BODY,
    PROCESSING,
    RAW_UNTIL_CLOSE,
    canned_response,
    check_status,
    chunk,
    chunk_header,
    reason_phrase,
    render_information,
    render_last_chunk,
    render_plain,
    render_request,
    render_response,
    render_simple_request,
    render_trailers,
    status_line,
)
from anywire.core._status import STATUS_CODES

D = b"Date: Sun, 22 Nov 2026 08:04:28 GMT\r\n"
HOST: dict[str, Any] = {"Host": "127.0.0.1:80"}


def response(*args: Any, **kwargs: Any) -> tuple[bytes, int, bool]:
    """A 200 with a date, as a server would render it."""
    kwargs.setdefault("date", D)
    return render_response(*(args or (200,)), **kwargs)


def refused(code: str, call: Any, *args: Any, **kwargs: Any) -> AnywireError:
    with pytest.raises(LocalError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return caught.value


# -------------------------------------------------------------- responses: framing


def test_end_without_data() -> None:
    assert response(known_length=0) == (  # WIR-12, WIR-5, WIR-38
        b"HTTP/1.1 200 OK\r\n" + D + b"Connection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        0,
        False,
    )


def test_end_with_data() -> None:
    assert response(known_length=5) == (  # WIR-13
        b"HTTP/1.1 200 OK\r\n" + D + b"Connection: keep-alive\r\nContent-Length: 5\r\n\r\n",
        5,
        False,
    )


def test_write_then_end() -> None:
    head, framing, last = response()  # WIR-14, WIR-6
    assert (framing, last) == (CHUNKED, False)
    assert head + chunk(b"a") + chunk(b"b") + LAST_CHUNK == (
        b"HTTP/1.1 200 OK\r\n" + D + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
    )


@pytest.mark.parametrize("length", [5, "5"])
def test_the_users_content_length(length: Any) -> None:
    assert response(200, None, {"Content-Length": length, "x-A": "b"}) == (  # WIR-15, WIR-2, RES-30
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-A: b\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        5,
        False,
    )


def test_head_request() -> None:
    assert response(no_body=True, known_length=5) == (  # WIR-16
        b"HTTP/1.1 200 OK\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        NO_BODY,
        False,
    )
    # WIR-1, RFC 9110 section 9.3.2: what GET would have said may be said.
    assert response(200, None, {"Content-Length": 9}, no_body=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        NO_BODY,
        False,
    )
    assert response(200, None, {"Transfer-Encoding": "chunked"}, no_body=True) == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        NO_BODY,
        False,
    )


@pytest.mark.parametrize(("status", "line"), [(204, b"204 No Content"), (304, b"304 Not Modified")])
def test_bodiless_statuses(status: int, line: bytes) -> None:
    expected = b"HTTP/1.1 " + line + b"\r\n" + D + b"Connection: keep-alive\r\n\r\n"
    assert response(status, known_length=1) == (expected, NO_BODY, False)  # WIR-17
    assert response(status) == (expected, NO_BODY, False)


def test_304_keeps_its_framing_fields() -> None:
    assert response(304, None, {"Transfer-Encoding": "chunked"}) == (  # WIR-18
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n" + D + b"Connection: close\r\n\r\n",
        NO_BODY,
        True,
    )
    assert response(304, None, {"Content-Length": "3"}) == (  # WIR-1, RFC 9110 section 8.6
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        NO_BODY,
        False,
    )


@pytest.mark.parametrize(
    "field", [("Content-Length", 3), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "gzip")]
)
def test_204_has_no_framing_field(field: tuple[str, Any]) -> None:
    # RFC 9110 section 8.6, RFC 9112 section 6.1; deviation from WIR-1 and WIR-18.
    assert response(204, None, [field, ("A", "b")]) == (
        b"HTTP/1.1 204 No Content\r\nA: b\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        NO_BODY,
        False,
    )


@pytest.mark.parametrize("status", [100, 102, 150, 199])
def test_an_interim_status_as_final_response_is_last(status: int) -> None:
    # SEC-23 and WIR-1: no body, no framing; the peer still waits for a final response, so nothing may follow.
    head, framing, last = response(status, None, {"Content-Length": 3}, known_length=3)
    assert (framing, last) == (NO_BODY, True)
    assert head.endswith(D + b"Connection: close\r\n\r\n")
    assert b"Content-Length" not in head


def test_switching_protocols_keeps_its_connection_field() -> None:
    assert response(101, None, [("Upgrade", "x"), ("Connection", "Upgrade")], date=b"") == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        NO_BODY,
        True,
    )


def test_205_is_ordinary() -> None:
    assert response(205, known_length=1)[1] == 1  # WIR-11


def test_the_users_transfer_encoding() -> None:
    assert response(200, None, {"transfer-encoding": "Chunked"}, known_length=5) == (  # WIR-3
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        CHUNKED,
        False,
    )
    assert response(200, None, {"Transfer-Encoding": ["gzip", "chunked"]})[1:] == (CHUNKED, False)
    assert response(200, None, {"Transfer-Encoding": "gzip , \tchunked"})[1:] == (CHUNKED, False)


@pytest.mark.parametrize("coding", ["identity", "gzip", "chunkedfoo", "gzip;q=1"])
def test_other_codings_run_until_close_and_say_so(coding: str) -> None:
    # WIR-3 HAZARD: Node announces keep-alive. RFC 9112 section 6.1: close.
    assert response(200, None, {"Transfer-Encoding": coding}, known_length=5) == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding.encode() + b"\r\n" + D + b"Connection: close\r\n\r\n",
        RAW_UNTIL_CLOSE,
        True,
    )


@pytest.mark.parametrize(
    "coding",
    ["chunked, gzip", "chunked, chunked", ["chunked", "chunked"], "chunked;a=b", "", ",", "chunked,", 'x;a=", chunked"',
     "gzip\x85, chunked", "a b"],
)  # fmt: skip
@pytest.mark.parametrize("render", [response, lambda *a: render_request("POST", "/", a[2])])
def test_a_transfer_encoding_that_two_readers_could_take_differently(coding: Any, render: Any) -> None:
    refused("ERR_HTTP_INVALID_HEADER_VALUE", render, 200, None, {"Transfer-Encoding": coding})  # SEC-22


BOTH_FRAMINGS: list[list[tuple[str, Any]]] = [
    [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
    [("transfer-encoding", "gzip, chunked"), ("x", "y"), ("content-length", 5)],
    [("Content-Length", "5"), ("content-length", "5")],
    [("Content-Length", 5), ("CONTENT-LENGTH", 6)],
    [("Content-Length", ["5", "5"])],
    [("Transfer-Encoding", "gzip"), ("Transfer-encoding", "chunked")],
]


@pytest.mark.parametrize("fields", BOTH_FRAMINGS)
@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("chunked_ok", [True, False])
def test_contradictory_framing_in_a_response(fields: Any, status: int, chunked_ok: bool) -> None:
    refused("ERR_HTTP_INVALID_HEADER_VALUE", response, status, None, fields, chunked_ok=chunked_ok)  # SEC-22


@pytest.mark.parametrize("fields", BOTH_FRAMINGS)
def test_contradictory_framing_in_a_request(fields: Any) -> None:
    refused("ERR_HTTP_INVALID_HEADER_VALUE", render_request, "POST", "/", fields)  # SEC-22


@pytest.mark.parametrize(
    "length",
    ["", "+5", "-5", " 5", "5 ", "5, 5", "0x5", "5.0", 5.0, -5, True, "1" * 19, 10**18, "²", "1_0", ["5", "6"]],
)
def test_a_length_that_is_not_plain_digits(length: Any) -> None:
    for _ in range(2):  # the second time through the cache, if it were kept
        refused("ERR_HTTP_INVALID_HEADER_VALUE", response, 200, None, {"Content-Length": length})  # SEC-22


def test_an_empty_list_sends_nothing() -> None:
    head, framing, _ = response(200, None, {"Content-Length": [], "Transfer-Encoding": [], "A": []}, known_length=2)
    assert head == b"HTTP/1.1 200 OK\r\n" + D + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\n"  # RES-13
    assert framing == 2


def test_removed_content_length() -> None:
    head, framing, last = response(known_length=5, removed=REMOVED_LENGTH)  # RES-36, WIR-7
    assert (framing, last) == (CHUNKED, False)
    assert head.endswith(b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_removed_transfer_encoding() -> None:
    assert response(removed=REMOVED_TRANSFER_ENCODING) == (  # RES-37, safe: close
        b"HTTP/1.1 200 OK\r\n" + D + b"Connection: close\r\n\r\n",
        RAW_UNTIL_CLOSE,
        True,
    )
    assert response(known_length=5, removed=REMOVED_TRANSFER_ENCODING)[1:] == (5, False)
    assert response(known_length=5, removed=REMOVED_TRANSFER_ENCODING | REMOVED_LENGTH)[1:] == (RAW_UNTIL_CLOSE, True)


def test_a_trailer_field_forces_chunked() -> None:
    head, framing, _ = response(200, None, {"Trailer": "X"}, known_length=5)  # WIR-7, RES-62
    assert framing == CHUNKED
    assert head == (
        b"HTTP/1.1 200 OK\r\nTrailer: X\r\n" + D + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert response(known_length=5, trailers=True)[1] == CHUNKED
    assert render_request("POST", "/", HOST, 5, True, trailers=True)[1] == CHUNKED


@pytest.mark.parametrize(
    "kwargs",
    [
        {"fields": {"Trailer": "X", "Content-Length": 5}},
        {"fields": {"Trailer": "X"}, "chunked_ok": False},
        {"fields": {"Trailer": "X"}, "no_body": True},
        {"fields": {"Trailer": "X"}, "removed": REMOVED_TRANSFER_ENCODING},
        {"fields": {"Trailer": "X"}, "status": 204},
    ],
)
def test_a_trailer_field_on_a_message_that_is_not_chunked(kwargs: dict[str, Any]) -> None:
    error = refused("ERR_HTTP_TRAILER_INVALID", render_response, **{"status": 200, **kwargs})  # RES-61
    assert isinstance(error, StateError)
    assert str(error) == "Trailers are invalid with this transfer encoding"


def test_http_1_0() -> None:
    assert response(known_length=5, chunked_ok=False, keep_alive=False) == (  # WIR-20, WIR-4, WIR-10
        b"HTTP/1.1 200 OK\r\n" + D + b"Connection: close\r\n\r\n",
        RAW_UNTIL_CLOSE,
        True,
    )
    # WIR-30: with Connection: keep-alive it persists only if the user gave a length.
    assert response(known_length=5, chunked_ok=False)[1:] == (RAW_UNTIL_CLOSE, True)
    assert response(200, None, {"Content-Length": 5}, chunked_ok=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + D + b"Connection: keep-alive\r\n\r\n",
        5,
        False,
    )
    for kwargs in ({"status": 204}, {"status": 200, "no_body": True}):
        head, framing, last = render_response(**kwargs, chunked_ok=False)  # type: ignore[arg-type]
        assert (framing, last) == (NO_BODY, True)
        assert head.endswith(b"\r\nConnection: close\r\n\r\n")
    # WIR-31 is chunked_ok=True.


def test_http_1_0_is_not_sent_chunks() -> None:
    # WIR-3 says "on any HTTP version"; RFC 9112 section 6.1 forbids it.
    assert response(200, None, {"Transfer-Encoding": "chunked", "A": "b"}, chunked_ok=False) == (
        b"HTTP/1.1 200 OK\r\nA: b\r\n" + D + b"Connection: close\r\n\r\n",
        RAW_UNTIL_CLOSE,
        True,
    )
    # A real coding cannot be left out silently; then at least nothing follows.
    assert response(200, None, {"Transfer-Encoding": "gzip, chunked"}, chunked_ok=False)[1:] == (CHUNKED, True)


@pytest.mark.parametrize("fields", [{}, {"A": "b"}, {"A": "b", "Content-Length": "5"}])
@pytest.mark.parametrize("known_length", [None, 0, 5, 70000])
def test_the_short_cut_says_what_the_rules_say(fields: dict[str, str], known_length: int | None) -> None:
    by_rules = response(200, None, fields, known_length=known_length, date=b"", removed=REMOVED_DATE)
    assert response(200, None, fields, known_length=known_length, date=b"") == by_rules


# -------------------------------------------------------------- responses: Connection, Date


def test_not_persistent() -> None:
    head, framing, last = response(known_length=5, keep_alive=False)  # WIR-29
    assert head == b"HTTP/1.1 200 OK\r\n" + D + b"Connection: close\r\nContent-Length: 5\r\n\r\n"
    assert (framing, last) == (5, True)


@pytest.mark.parametrize("value", ["close", "Close", "foo, CLOSE", "x-close", ["foo", "close"]])
def test_the_users_close(value: Any) -> None:
    head, _, last = response(200, None, {"Connection": value}, known_length=0)  # WIR-32
    assert last
    assert head.count(b"Connection: ") == (2 if isinstance(value, list) else 1)
    assert b"keep-alive" not in head


@pytest.mark.parametrize("value", ["keep-alive", "foo", "closed", "disclose"])
def test_the_users_connection_without_close(value: str) -> None:
    text = value.encode()
    assert response(200, None, {"connection": value}, known_length=0) == (  # WIR-33, RES-30
        b"HTTP/1.1 200 OK\r\nconnection: " + text + b"\r\n" + D + b"Content-Length: 0\r\n\r\n",
        0,
        False,
    )
    # Safe: it does not overrule a peer that asked to close.
    assert response(200, None, {"connection": value}, known_length=0, keep_alive=False) == (
        b"HTTP/1.1 200 OK\r\nconnection: " + text + b"\r\n" + D + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        0,
        True,
    )


def test_until_close_is_last_whatever_the_user_said() -> None:
    head, framing, last = response(200, None, {"Connection": "keep-alive"}, known_length=5, chunked_ok=False)  # WIR-35
    assert (framing, last) == (RAW_UNTIL_CLOSE, True)
    assert head.endswith(b"Connection: close\r\n\r\n")
    # 204 to HTTP/1.0 has an end of its own, so here the user's word counts (WIR-33).
    assert response(204, None, {"Connection": "keep-alive"}, chunked_ok=False)[1:] == (NO_BODY, False)


def test_removed_connection() -> None:
    assert response(known_length=0, removed=REMOVED_CONNECTION) == (  # WIR-34, RES-35
        b"HTTP/1.1 200 OK\r\n" + D + b"Content-Length: 0\r\n\r\n",
        0,
        True,
    )
    # A field set again counts as set.
    assert not response(200, None, {"Connection": "foo"}, known_length=0, removed=REMOVED_CONNECTION)[2]


def test_unanswered_expectation_closes() -> None:
    head, _, last = response(known_length=0, continue_pending=True)  # WIR-36
    assert head == b"HTTP/1.1 200 OK\r\n" + D + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    assert last
    assert response(200, None, {"Connection": "keep-alive"}, known_length=0, continue_pending=True)[2]


def test_date() -> None:
    assert b"Date" not in response(date=b"")[0]  # RES-33
    assert b"Date" not in response(removed=REMOVED_DATE)[0]  # RES-34
    head = response(200, None, {"date": "x"}, known_length=0)[0]
    assert head == b"HTTP/1.1 200 OK\r\ndate: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    assert b"Date: x\r\n" in response(200, None, {"Date": "x"}, removed=REMOVED_DATE)[0]


# -------------------------------------------------------------- status line


@pytest.mark.parametrize(
    ("status", "code"),
    [(200, 200), ("200", 200), (404.9, 404), ("404.9", 404), (" 200 ", 200), (100, 100), (999, 999), (999.9, 999),
     (http.HTTPStatus.NOT_FOUND, 404)],
)  # fmt: skip
def test_status_is_converted(status: Any, code: int) -> None:
    assert check_status(status) == code  # RES-20
    for _ in range(2):
        line, _, made, _ = status_line(status)
        assert (line[:12], made, type(made)) == (b"HTTP/1.1 %d" % code, code, int)
    assert render_response(status)[0].startswith(b"HTTP/1.1 %d " % code)


@pytest.mark.parametrize(
    "status",
    [99, 1000, 0, -1, 99.9, 1000.0, "", "abc", "99", "2_00", "２００", None, True, [200], {}, float("nan"),
     float("inf"), "1e9", 2**40, pytest.param(10**5000, id="huge"), "200\r\n X"],
)  # fmt: skip
def test_status_out_of_range(status: Any) -> None:
    error = refused("ERR_HTTP_INVALID_STATUS_CODE", check_status, status)  # RES-20
    assert isinstance(error, ValueError)
    refused("ERR_HTTP_INVALID_STATUS_CODE", render_response, status)


def test_the_message_of_a_bad_status() -> None:
    with pytest.raises(ArgumentValueError, match=r"^Invalid status code: 99$"):
        render_response(99)  # RES-20


@pytest.mark.parametrize(
    ("status", "explicit", "line"),
    [
        (200, None, b"HTTP/1.1 200 OK\r\n"),
        (200, "", b"HTTP/1.1 200 \r\n"),
        (299, None, b"HTTP/1.1 299 unknown\r\n"),  # MOD-5
        (200, "Fine\t\xff", b"HTTP/1.1 200 Fine\t\xff\r\n"),  # RES-22
        (418, None, b"HTTP/1.1 418 I'm a Teapot\r\n"),
        (200, "r" * 100, b"HTTP/1.1 200 " + b"r" * 100 + b"\r\n"),
    ],
)
def test_reason(status: int, explicit: str | None, line: bytes) -> None:
    for _ in range(2):
        assert status_line(status, explicit)[0] == line  # RES-21
        assert render_response(status, explicit)[0].startswith(line)
    assert reason_phrase(status, explicit).encode("latin-1") == line[13:-2]


@pytest.mark.parametrize("reason", ["a\r\nb: c", "\n", "\x00", "Ā", "\x7f"])
def test_bad_reason(reason: str) -> None:
    error = refused("ERR_INVALID_CHAR", render_response, 200, reason)  # RES-22, SEC-21
    assert str(error) == "Invalid character in statusMessage"


@pytest.mark.parametrize("reason", [b"OK", 5, ["OK"], {}])
def test_reason_of_another_type(reason: Any) -> None:
    with pytest.raises(ArgumentTypeError):
        render_response(200, reason)


def test_status_caches_are_bounded() -> None:
    for code in range(100, 1000):
        assert status_line(code)[2] == code
        assert status_line(code, f"r{code}")[3] == f"r{code}"
    assert render_response(200)[0].startswith(b"HTTP/1.1 200 OK\r\n")


# -------------------------------------------------------------- fields


def line_of(name: Any, value: Any) -> bytes:
    head = render_response(200, None, [(name, value)], known_length=0)[0]
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"Connection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    return head[17 : -len(b"Connection: keep-alive\r\nContent-Length: 0\r\n\r\n")]


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("foo", 3, b"foo: 3\r\n"),  # RES-12
        ("a", True, b"a: true\r\n"),
        ("a", 1, b"a: 1\r\n"),
        ("a", 1.5, b"a: 1.5\r\n"),
        ("a", "", b"a: \r\n"),  # RES-11
        ("x", "é\xff\t ", b"x: \xe9\xff\t \r\n"),  # RES-15: always Latin-1
        ("a", ["1", 2, "3"], b"a: 1\r\na: 2\r\na: 3\r\n"),  # RES-13
        ("Set-Cookie", ["a=1", "b=2"], b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"),  # RES-14
        ("Cookie", ["a=1", "b=2"], b"Cookie: a=1; b=2\r\n"),  # RES-14, WIR-28
        ("cookie", ("a=1",), b"cookie: a=1\r\n"),
    ],
)
def test_field_lines(name: str, value: Any, lines: bytes) -> None:
    assert line_of(name, value) == lines
    assert line_of(name, value) == lines  # once more, from the cache if it is kept


def test_equal_values_of_other_types_do_not_share_a_line() -> None:
    for value, text in [("1", b"1"), (1, b"1"), (True, b"true"), (1.0, b"1.0"), ("1.0", b"1.0"), (True, b"true")]:
        assert line_of("X-Equal", value) == b"X-Equal: " + text + b"\r\n"


def test_order_and_spelling() -> None:
    store = HeaderStore()
    store.set("Foo", 1)
    store.set("Bar", 2)
    store.set("foo", 3)
    assert render_response(200, None, store, date=D)[0] == (  # RES-1, RES-30, RES-31
        b"HTTP/1.1 200 OK\r\nfoo: 3\r\nBar: 2\r\n" + D + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


def test_all_forms_of_fields_give_the_same_bytes() -> None:
    expected = render_response(200, None, {"A": "1", "B": "2"})
    store = HeaderStore()
    store.update({"A": "1", "B": "2"})
    for fields in ([("A", "1"), ("B", "2")], [["A", "1"], ["B", "2"]], ["A", "1", "B", "2"], store):
        assert render_response(200, None, fields) == expected
    assert render_response(200, None, [("A", "1"), ("a", "2")])[0].count(b"\r\nA: 1\r\na: 2\r\n") == 1  # RES-26


class OddItems:
    def items(self) -> list[tuple[str, ...]]:
        return [("A", "b", "c")]


@pytest.mark.parametrize("fields", [[("A",)], [("A", "b", "c")], "A: b", 5, OddItems()])
def test_fields_that_are_none(fields: Any) -> None:
    with pytest.raises(ArgumentTypeError):
        render_response(200, None, fields)


BAD_FIELDS: list[tuple[str, Any]] = [
    ("ERR_INVALID_HTTP_TOKEN", ("a b", "v")),
    ("ERR_INVALID_HTTP_TOKEN", ("a\r\nb", "v")),
    ("ERR_INVALID_HTTP_TOKEN", ("a:", "v")),
    ("ERR_INVALID_HTTP_TOKEN", ("", "v")),
    ("ERR_INVALID_HTTP_TOKEN", (5, "v")),
    ("ERR_INVALID_CHAR", ("a", "v\r\nX: y")),
    ("ERR_INVALID_CHAR", ("a", ["v", "\n"])),
    ("ERR_INVALID_CHAR", ("Cookie", ["a=1", "b\r=2"])),
    ("ERR_INVALID_CHAR", ("a", "\u010a")),  # truncated to 8 bits this would be LF (Node CVE-2018-12116)
    ("ERR_INVALID_CHAR", ("Host", "a\x00b")),
    ("ERR_INVALID_CHAR", ("Connection", "close\n")),
    ("ERR_HTTP_INVALID_HEADER_VALUE", ("a", None)),
    ("ERR_HTTP_INVALID_HEADER_VALUE", ("a", b"v")),
]


@pytest.mark.parametrize(("code", "pair"), BAD_FIELDS)
def test_nothing_is_rendered_from_bad_fields(code: str, pair: Any) -> None:
    for _ in range(2):  # SEC-21; an error must not be remembered as good
        refused(code, render_response, 200, None, [("ok", "ok"), pair])
        refused(code, render_request, "GET", "/", [pair])
        refused(code, render_information, 103, [pair])


def test_a_list_that_changed_after_it_was_stored_is_checked_again() -> None:
    values = ["a"]
    store = HeaderStore()
    store.set("X", values)
    values.append("b\r\nEvil: 1")
    refused("ERR_INVALID_CHAR", render_response, 200, None, store)  # SEC-21, RES-4


def test_the_caches_are_bounded_and_hold_no_secrets() -> None:
    for number in range(3000):
        assert line_of("X-Id", f"id{number}") == b"X-Id: id%d\r\n" % number
        assert line_of(f"X-{number}", "v") == b"X-%d: v\r\n" % number
        assert render_response(200, None, {"Content-Length": str(number)})[1] == number
        assert render_response(200, known_length=number)[1] == number
    long = "v" * 5000
    assert line_of("X-Long", long) == b"X-Long: " + long.encode() + b"\r\n"
    assert line_of("N" * 300, "v") == b"N" * 300 + b": v\r\n"
    for name in ("Authorization", "proxy-authorization", "Cookie", "SET-COOKIE"):
        assert line_of(name, "s3cret") == name.encode() + b": s3cret\r\n"
    kept = repr((_field_lines._plain, _field_lines._special, _field_lines._names))
    assert "s3cret" not in kept
    assert "vvvvv" not in kept
    assert "NNNNN" not in kept
    assert max(len(_field_lines._plain), len(_field_lines._special), len(_field_lines._names)) <= 1024


# -------------------------------------------------------------- requests


def test_get() -> None:
    host = {"Host": "127.0.0.1:80"}
    assert render_request("GET", "/", host, 0) == (  # WIR-21
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: close\r\n\r\n",
        0,
        True,
    )
    assert render_request("GET", "/", host, 0, keep_alive=True) == (  # WIR-22
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: keep-alive\r\n\r\n",
        0,
        False,
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "PROPFIND", "X-UNKNOWN"])
def test_methods_with_a_body(method: str) -> None:
    start = method.encode() + b" / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: close\r\n"
    assert render_request(method, "/", HOST, 0, True) == (start + b"Content-Length: 0\r\n\r\n", 0, True)  # WIR-23
    assert render_request(method, "/", HOST, 2, True) == (start + b"Content-Length: 2\r\n\r\n", 2, True)  # WIR-24
    head, framing, _ = render_request(method, "/", HOST, None, True)
    assert framing == CHUNKED
    assert head + chunk(b"hi") + LAST_CHUNK == start + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"])
def test_methods_without_a_body(method: str) -> None:
    start = method.encode() + b" / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: close\r\n"
    assert render_request(method, "/", HOST, 0) == (start + b"\r\n", 0, True)  # WIR-23, WIR-4
    # WIR-4 HAZARD made safe: a body is always framed.
    assert render_request(method, "/", HOST, 2) == (start + b"Content-Length: 2\r\n\r\n", 2, True)
    assert render_request(method, "/", HOST, None) == (start + b"Transfer-Encoding: chunked\r\n\r\n", CHUNKED, True)
    assert render_request(method, "/", HOST | {"Transfer-Encoding": "chunked"}, 0)[1] == CHUNKED  # WIR-3
    assert render_request(method, "/", HOST | {"Content-Length": 3}, 0)[1] == 3  # WIR-2


def test_request_order() -> None:
    store = HeaderStore()
    for name, value in [("A", "1"), ("Host", "h"), ("Authorization", "Basic eDp5"), ("Z", "2")]:
        store.set(name, value)
    assert render_request("POST", "/p?q", store, 0, True)[0] == (  # WIR-25, RES-30, RES-32
        b"POST /p?q HTTP/1.1\r\nA: 1\r\nHost: h\r\nAuthorization: Basic eDp5\r\nZ: 2\r\n"
        b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    )


def test_expect_head() -> None:
    assert render_request("POST", "/", {"Expect": "100-continue", "Host": "h"}, None, True) == (  # WIR-26
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nHost: h\r\n"
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKED,
        True,
    )


def test_request_persistence() -> None:
    def last_line(method: str, target: str, *args: Any, **kwargs: Any) -> tuple[bytes, bool]:
        head, _, last = render_request(method, target, *args, **{**kwargs, "keep_alive": True})
        return next(line for line in head.split(b"\r\n") if line.startswith(b"Connection")), last

    keep = (b"Connection: keep-alive", False)
    close = (b"Connection: close", True)
    assert last_line("GET", "/", HOST, 0, has_agent=True) == keep  # WIR-29
    assert last_line("GET", "/", HOST, 0, has_agent=False) == close
    assert last_line("POST", "/", HOST, 0, True, has_agent=False) == keep
    assert last_line("GET", "/", {"Content-Length": 0}, 0, has_agent=False) == keep
    assert last_line("GET", "/", {"Connection": "close"}, 0) == close  # WIR-32
    assert last_line("GET", "/", {"Connection": "Upgrade", "Upgrade": "x"}, 0) == (
        b"Connection: Upgrade",
        False,
    )  # WIR-33
    head, _, last = render_request("GET", "/", HOST, 0, keep_alive=True, removed=REMOVED_CONNECTION)  # WIR-34
    assert b"Connection" not in head
    assert last


def test_request_removals() -> None:
    assert render_request("POST", "/", HOST, 5, True, removed=REMOVED_LENGTH)[1] == CHUNKED  # RES-36
    assert render_request("POST", "/", HOST, 5, True, removed=REMOVED_TRANSFER_ENCODING)[1] == 5
    # RES-37: a request cannot run until close. Without known body it has none; with one it is an error.
    head, framing, _ = render_request("POST", "/", HOST, None, True, removed=REMOVED_TRANSFER_ENCODING)
    assert head.endswith(b"Connection: close\r\n\r\n")
    assert framing == 0
    both = REMOVED_LENGTH | REMOVED_TRANSFER_ENCODING
    refused("ERR_HTTP_INVALID_HEADER_VALUE", render_request, "POST", "/", HOST, 5, True, removed=both)
    assert render_request("POST", "/", HOST, 0, True, removed=both)[1] == 0


def test_request_trailer_field() -> None:
    assert render_request("POST", "/", HOST | {"Trailer": "X"}, 5, True)[1] == CHUNKED  # RES-62
    refused("ERR_HTTP_TRAILER_INVALID", render_request, "GET", "/", {"Trailer": "X"}, 0)  # RES-61
    refused("ERR_HTTP_TRAILER_INVALID", render_request, "POST", "/", {"Trailer": "X", "Content-Length": 5})


@pytest.mark.parametrize("coding", ["gzip", "identity", "chunkedfoo"])
def test_a_request_must_end_in_chunked(coding: str) -> None:
    # WIR-3 HAZARD; RFC 9112 section 6.1: a server could not tell where the request ends.
    refused("ERR_HTTP_INVALID_HEADER_VALUE", render_request, "POST", "/", {"Transfer-Encoding": coding}, None, True)


def test_request_date() -> None:
    assert render_request("GET", "/", {"A": "b"}, 0, date=D)[0] == (  # CLI-13
        b"GET / HTTP/1.1\r\nA: b\r\n" + D + b"Connection: close\r\n\r\n"
    )
    assert D not in render_request("GET", "/", {"Date": "b"}, 0, date=D)[0]


def test_connect() -> None:
    assert render_request("CONNECT", "example.com:443", {"Host": "proxy"}, 0, keep_alive=True) == (  # CLI-49
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: proxy\r\nConnection: keep-alive\r\n\r\n",
        0,
        False,
    )
    assert render_request("CONNECT", "a:1", HOST, None)[1] == 0
    for fields, length in [({"Transfer-Encoding": "chunked"}, 0), ({"Content-Length": 1}, 0), ({}, 5)]:
        refused("ERR_HTTP_INVALID_HEADER_VALUE", render_request, "CONNECT", "a:1", fields, length)


@pytest.mark.parametrize("method", ["", "G T", "GET ", "GET\r\n", "GÉT", "GET\x00", "(", "GET / HTTP/1.1\r\nA:"])
def test_bad_method(method: str) -> None:
    refused("ERR_INVALID_HTTP_TOKEN", render_request, method, "/")  # SEC-21, MOD-54


@pytest.mark.parametrize("target", ["", "/a b", "/\r\n", "/\n", "/\x00", "/\t", "/\u0120", "a:1 HTTP/1.1\r\nX: y"])
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_bad_target(method: str, target: str) -> None:
    refused("ERR_UNESCAPED_CHARACTERS", render_request, method, target)  # SEC-21, MOD-56


def test_target_is_verbatim_latin_1() -> None:
    assert render_request("GET", "?q=\xe9\x7f#", HOST)[0].startswith(b"GET ?q=\xe9\x7f# HTTP/1.1\r\n")  # MOD-55, MOD-56


def test_two_hosts() -> None:
    # RFC 9112 section 3.2: such a request must be refused by the server; we do not send it.
    refused("ERR_HTTP_INVALID_HEADER_VALUE", render_request, "GET", "/", [("Host", "a"), ("host", "b")])
    refused("ERR_HTTP_INVALID_HEADER_VALUE", render_request, "GET", "/", {"Host": ["a", "b"]})


# -------------------------------------------------------------- interim, canned


def test_interim_responses() -> None:
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"  # RES-68
    assert PROCESSING == b"HTTP/1.1 102 Processing\r\n\r\n"  # RES-69
    assert render_information(100) == CONTINUE
    assert render_information(102, {}) == PROCESSING
    assert render_information(103, {"Link": ["</a>; rel=preload", "</b>"]}) == (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>\r\n\r\n"
    )
    # WIR-86: framing fields of an interim response mislead; RFC 9110 section 8.6 forbids them.
    assert (
        render_information(103, {"Content-Length": 5, "Transfer-Encoding": []}) == b"HTTP/1.1 103 Early Hints\r\n\r\n"
    )


@pytest.mark.parametrize("status", [99, 200, 404, "x"])
def test_other_statuses_are_not_interim(status: Any) -> None:
    refused("ERR_HTTP_INVALID_STATUS_CODE", render_information, status)


def test_canned_responses() -> None:
    assert canned_response(400) == b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"  # SRV-33
    assert canned_response(431) == (  # SRV-34
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
    )
    for status in (408, 413, 414, 417, 500, 501, 503, 505):
        assert canned_response(status) == (
            f"HTTP/1.1 {status} {STATUS_CODES[status]}\r\nConnection: close\r\n\r\n".encode()
        )


# -------------------------------------------------------------- chunks, trailers


def test_chunk_format() -> None:
    assert chunk(b"x" * 300) == b"12c\r\n" + b"x" * 300 + b"\r\n"  # WIR-8
    assert chunk_header(300) == b"12c\r\n"
    assert chunk_header(0xABCDEF) == b"abcdef\r\n"
    assert chunk(b"") == b""  # WIR-9
    assert chunk(bytearray(b"ab")) == b"2\r\nab\r\n"
    assert chunk(memoryview(b"abcdefgh").cast("I")) == b"8\r\nabcdefgh\r\n"
    assert chunk_header(5) + b"hello" + CHUNK_END == chunk(b"hello")
    assert LAST_CHUNK == b"0\r\n\r\n"


def test_trailers() -> None:
    assert chunk(b"a") + render_last_chunk({"Foo": "bar", "Baz": "q"}) == (  # WIR-19
        b"1\r\na\r\n0\r\nFoo: bar\r\nBaz: q\r\n\r\n"
    )
    assert render_last_chunk() == render_last_chunk({}) == render_last_chunk([]) == LAST_CHUNK
    assert render_trailers([("A", ["1", 2]), ("B", "é")]) == b"A: 1,2\r\nB: \xe9\r\n"  # RES-60


@pytest.mark.parametrize(
    ("name", "value", "code", "message"),
    [
        ("a b", "v", "ERR_INVALID_HTTP_TOKEN", 'Trailer name must be a valid HTTP token ["a b"]'),
        ("a\r\n", "v", "ERR_INVALID_HTTP_TOKEN", None),
        ("a", "v\r\n", "ERR_INVALID_CHAR", 'Invalid character in trailer content ["a"]: U+000D at offset 1'),
        ("a", ["v", "\r\nX: y"], "ERR_INVALID_CHAR", None),
        ("a", None, "ERR_HTTP_INVALID_HEADER_VALUE", None),
        ("Content-Length", "5", "ERR_INVALID_ARG_VALUE", 'Field "Content-Length" is not allowed in trailers'),
        ("transfer-encoding", "chunked", "ERR_INVALID_ARG_VALUE", None),
        ("HOST", "x", "ERR_INVALID_ARG_VALUE", None),
        ("Trailer", "x", "ERR_INVALID_ARG_VALUE", None),
    ],
)
def test_bad_trailers(name: str, value: Any, code: str, message: str | None) -> None:
    error = refused(code, render_trailers, [(name, value)])  # RES-60, SEC-11, SEC-21
    assert message is None or str(error) == message
    refused(code, render_last_chunk, {name: value})


# -------------------------------------------------------------- whatever we are asked to send


def split_head(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The most trivial reader: lines end in CR LF, an empty one ends the head, a colon divides."""
    assert head.endswith(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    fields = []
    for line in lines:
        assert not set(line) & set(b"\r\n\x00")
    for line in lines[1:]:
        name, colon, value = line.partition(b": ")
        assert colon
        assert name.strip() == name != b""
        fields.append((name, value))
    return lines[0], fields


# Mostly legal text, with what could do harm mixed in.
anything = st.one_of(
    st.text(alphabet="abcXYZ019-:;, \t\r\n\x00\x7f\x80\xff\u0100\u010a\u010d\u2028", max_size=12),
    st.text(max_size=6),
)
field_names = st.one_of(
    anything,
    st.sampled_from(
        [
            "Content-Length",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "Date",
            "Trailer",
            "Host",
            "Cookie",
            "X",
        ]
    ),
)
scalars = st.one_of(
    anything, st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=4),
    st.sampled_from(["chunked", "gzip, chunked", "gzip", "close", "keep-alive", "5", "0"]),
)  # fmt: skip
field_lists = st.lists(st.tuples(field_names, st.one_of(scalars, st.lists(scalars, max_size=3))), max_size=4)
lengths = st.one_of(st.none(), st.integers(min_value=0, max_value=10**6))
flags = st.integers(min_value=0, max_value=15)


def check_fields(found: list[tuple[bytes, bytes]], given_fields: list[tuple[str, Any]]) -> None:
    """Every line is one that was asked for, in order, or an automatic one at the end."""
    wanted: list[tuple[bytes, bytes]] = []
    for name, value in given_fields:
        items = value if isinstance(value, list) else [value]
        texts = ["true" if i is True else "false" if i is False else str(i) for i in items]
        if name.lower() == "cookie" and len(texts) > 1:
            texts = ["; ".join(texts)]
        wanted += [(name.encode("latin-1"), text.encode("latin-1")) for text in texts]
    automatic = {b"Date", b"Connection", b"Content-Length", b"Transfer-Encoding"}
    position = 0
    for pair in wanted:
        if position < len(found) and found[position] == pair:
            position += 1
        else:  # only framing fields may be left out (204, 1xx, HTTP/1.0)
            assert pair[0].lower() in (b"content-length", b"transfer-encoding")
    assert all(name in automatic for name, _ in found[position:])
    assert len(found) - position <= 3


def check_framing(found: list[tuple[bytes, bytes]], framing: int) -> None:
    """What the head says to a reader of RFC 9112 section 6.3 is what the caller is told to send."""
    declared = [value for name, value in found if name.lower() == b"content-length"]
    codings = [value for name, value in found if name.lower() == b"transfer-encoding"]
    assert not (declared and codings)
    assert len(declared) <= 1
    if framing != NO_BODY:
        assert (framing == CHUNKED) == (bool(codings) and codings[-1].lower().endswith(b"chunked"))
        assert not declared or framing == int(declared[0])


@given(
    status=st.one_of(st.sampled_from([200, 204, 304, 101, 404]), st.integers(), anything),
    reason=st.one_of(st.none(), anything),
    fields=field_lists,
    known_length=lengths,
    no_body=st.booleans(),
    chunked_ok=st.booleans(),
    keep_alive=st.booleans(),
    removed=flags,
    date=st.sampled_from([b"", D]),
)
def test_no_response_can_be_split(fields: list[tuple[str, Any]], **kwargs: Any) -> None:
    try:
        head, framing, last = render_response(fields=fields, **kwargs)
    except LocalError:
        return
    line, found = split_head(head)
    assert line.startswith(b"HTTP/1.1 ")
    assert line[9:12].isdigit()
    assert line[12:13] == b" "
    check_fields(found, fields)
    code = int(line[9:12])
    if kwargs["no_body"] or code < 200 or code in (204, 304):
        assert framing == NO_BODY  # SEC-23
    check_framing(found, framing)
    if framing == RAW_UNTIL_CLOSE or not kwargs["keep_alive"]:
        assert last
    if framing >= 0 and not last:
        assert any(name.lower() == b"content-length" for name, _ in found)
    # Whoever is told to keep the connection is not closed on, and the other way round.
    words = b",".join(value for name, value in found if name.lower() == b"connection").lower()
    if not last:
        assert b"close" not in [word.strip() for word in words.split(b",")]


@given(
    status=st.one_of(st.sampled_from([200, 204, 304, 101, 404]), st.integers(), anything),
    reason=st.one_of(st.none(), anything),
    fields=st.one_of(
        st.lists(st.sampled_from([("A", "b"), ("Content-Length", "5"), ("content-length", "5"), ("Date", "x")])),
        field_lists,
    ),
    known_length=lengths,
    date=st.sampled_from([b"", D]),
)
def test_the_short_way_renders_what_the_long_way_does(**kwargs: Any) -> None:
    def outcome(render: Any) -> Any:
        try:
            return render(**kwargs)
        except LocalError as error:
            return type(error), error.code, str(error)

    long = outcome(render_response)
    short = outcome(render_plain)
    assert short is None or short == (long if isinstance(long[0], type) else long[:2])
    assert short is None or isinstance(long[0], type) or not long[2]


def test_an_ordinary_response_goes_the_short_way() -> None:
    fields = [("Content-Type", "text/plain"), ("Content-Length", "14")]
    render_response(200, None, fields)
    rendered = render_plain(200, None, fields, None, D)
    assert rendered is not None
    assert rendered[1] == 14


@given(
    method=st.one_of(st.sampled_from(["GET", "POST", "CONNECT", "HEAD"]), anything),
    target=st.one_of(st.just("/"), anything),
    fields=field_lists,
    known_length=lengths,
    chunked_by_default=st.booleans(),
    keep_alive=st.booleans(),
    has_agent=st.booleans(),
    removed=flags,
)
def test_no_request_can_be_split(method: str, target: str, fields: list[tuple[str, Any]], **kwargs: Any) -> None:
    try:
        head, framing, _ = render_request(method, target, fields, **kwargs)
    except LocalError:
        return
    line, found = split_head(head)
    assert line.split(b" ") == [method.encode("ascii"), target.encode("latin-1"), b"HTTP/1.1"]
    check_fields(found, fields)
    assert framing >= 0 or framing == CHUNKED
    check_framing(found, framing)
    declared = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in found)
    assert declared or framing == 0


@given(field_lists)
def test_no_trailer_section_can_be_split(fields: list[tuple[str, Any]]) -> None:
    try:
        rendered = render_last_chunk(fields)
    except LocalError:
        return
    assert rendered.startswith(b"0\r\n")
    line, found = split_head(b"0" + rendered[1:] if fields else rendered)
    assert line == b"0"
    assert [name.decode("latin-1") for name, _ in found] == [name for name, _ in fields]


@given(st.integers(), field_lists)
def test_no_interim_response_can_be_split(status: int, fields: list[tuple[str, Any]]) -> None:
    try:
        line, found = split_head(render_information(status, fields))
    except LocalError:
        return
    assert line.startswith(b"HTTP/1.1 1")
    check_fields(found, fields)
    assert not {name.lower() for name, _ in found} & {b"content-length", b"transfer-encoding"}


@given(st.binary(max_size=600))
def test_chunks_can_be_read_back(data: bytes) -> None:
    rendered = chunk(data) + LAST_CHUNK
    size, _, rest = rendered.partition(b"\r\n")
    assert int(size, 16) == len(data)
    assert rest.startswith(data)


@given(
    st.sampled_from(["GET", "HEAD", "DELETE", "CONNECT", "X", "", "G T", "GET\n"]),
    st.text(max_size=8) | st.just("/"),
    st.text(max_size=8) | st.just("h:1"),
    st.booleans(),
)
def test_a_simple_request_is_what_the_rules_say(method: str, target: str, host: str, keep_alive: bool) -> None:
    try:
        expected: Any = render_request(method, target, {"Host": host}, 0, keep_alive=keep_alive)
    except LocalError as error:
        refused(error.code, render_simple_request, method, target, host, keep_alive)
    else:
        assert (render_simple_request(method, target, host, keep_alive), 0, not keep_alive) == expected
