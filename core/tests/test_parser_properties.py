"""Whatever arrives, and however it is cut: the same events (WIR-75, SEC-29), or one typed error (ASK-48)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anywire.conformance.parsing import Setup, events, splits
from anywire.core._errors import ParseError
from anywire.core._framing import REQUEST, RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Parser

from .harness import read_messages

LINES = {
    REQUEST: [
        b"GET / HTTP/1.1",
        b"POST /p?q HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"GET http://a/ HTTP/1.1",
        b"GET / HTTP/1.0",
        b"PUT / HTTP/1.2",
        b"GET /#",
        b"PRI * HTTP/2.0",
        b"GET  /",
        b"get /",
        b"\r\nGET / HTTP/1.1",
        b"GET /",
        b"GET http:/x HTTP/1.1",
        b"GET http://x?y HTTP/1.1",
        b"GET x HTTP/1.1",
    ],
    RESPONSE: [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 304 No",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.7 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000",
        b"HTTP/2.0 200",
        b"ICY 200 OK",
        b"\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1  200 OK",
    ],
}
FIELDS = [
    b"Host: a",
    b"host:b",
    b"Host: a b",
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Content-Length: x",
    b"Content-Length:",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: ,chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: upgrade",
    b"Upgrade: x",
    b"Expect: 100-continue",
    b"Expect: y",
    b"TE: chunked",
    b"X: y",
    b"X : y",
    b"X",
    b": y",
    b" fold",
    b"\tfold",
    b"X: \x01",
    b"X: a\rb",
    b"X: a\nb",
    b"Trailer: X",
    b"X: " + b"v" * 30,
    b"X:   \t  ",
]
BODIES = [
    b"",
    b"abc",
    b"abcdef",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x\r\nabc\r\n0;y\r\nT: u\r\n\r\n",
    b"0\r\n\r\n",
    b"1\r\nab\r\n",
    b"g\r\n",
    b"0\r\nHost: a\r\n\r\n",
    b"3 \r\nabc\r\n2\r\nab\r\n0\r\nA: b\r\n c\r\n\r\n",
    b"00000000000000003\r\n",
    b"1;" + b"e" * 20 + b"\r\n",
    b"1;\n\r\n",
    b"2\r\nab\n0\r\n\r\n",
]


@st.composite
def streams(draw: st.DrawFn, role: str) -> bytes:
    """One to three messages, near to valid, with a few bytes spoilt."""
    out = bytearray()
    for _ in range(draw(st.integers(1, 3))):
        lines = [draw(st.sampled_from(LINES[role][:6] if draw(st.booleans()) else LINES[role]))]
        if draw(st.integers(0, 9)):
            lines.append(b"Host: a")
        lines += draw(st.lists(st.sampled_from(FIELDS), max_size=4))
        out += b"\r\n".join(lines) + b"\r\n\r\n" + draw(st.sampled_from(BODIES))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(out) - 1))
        piece = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b"a", b"#"]))
        out[at : at + draw(st.integers(0, 2))] = piece
    return bytes(out)


LIMITS = st.builds(
    Limits,
    max_header_size=st.sampled_from([16384, 60, 90]),
    max_headers_count=st.sampled_from([2000, 3, 0]),
    max_trailer_size=st.sampled_from([16384, 9, 10]),
    max_chunk_extension_size=st.sampled_from([16384, 4, 20]),
)


@settings(max_examples=400)
@given(st.data())
def test_every_split_gives_the_same_events(data: st.DataObject) -> None:
    role = data.draw(st.sampled_from([REQUEST, RESPONSE]))
    stream = data.draw(streams(role))
    setup = Setup(
        role,
        data.draw(LIMITS),
        lenient=data.draw(st.booleans()),
        method=data.draw(st.sampled_from([None, "GET", "HEAD", "CONNECT"])),
    )
    end = data.draw(st.booleans())
    whole = events(setup, [stream], end=end)
    assert events(setup, [stream[i : i + 1] for i in range(len(stream))], end=end) == whole
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=12))
    assert events(setup, splits(stream, sizes), end=end) == whole


def failure(role: str, pieces: list[bytes], lenient: bool) -> ParseError | None:
    """The error that ends these messages."""
    return read_messages(Parser(role, Limits(), lenient=lenient), pieces)[1]


def told(error: ParseError | None) -> tuple[object, ...]:
    """What it says, checked for what no error may say."""
    if error is None:
        return ()
    assert len(error.excerpt.encode("ascii").decode("unicode_escape")) <= 64
    assert error.excerpt.isprintable()
    assert [error.excerpt in note for note in error.__notes__] == [True]
    return error.code, error.reason, error.bytes_parsed, error.phase, error.field


@settings(max_examples=300)
@given(st.data(), st.booleans())
def test_errors_tell_the_same_of_every_split_ASK_35(data: st.DataObject, lenient: bool) -> None:
    role = data.draw(st.sampled_from([REQUEST, RESPONSE]))
    stream = data.draw(streams(role))
    whole = told(failure(role, [stream], lenient))
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=12))
    for pieces in ([stream[i : i + 1] for i in range(len(stream))], splits(stream, sizes)):
        assert told(failure(role, pieces, lenient)) == whole


@pytest.mark.parametrize(
    "stream",
    [
        b"GET h\nhttp://a/ HTTP/1.1\r\n\r\n",  # found once the parser stood behind the LF
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET h\nhttp://a/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nCookie: a=b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/7.1\r\n\r\n",
    ],
)
def test_a_start_line_is_no_field_ASK_35(stream: bytes) -> None:
    whole = failure(REQUEST, [stream], lenient=False)
    assert told(whole) == told(failure(REQUEST, [stream[i : i + 1] for i in range(len(stream))], lenient=False))
    assert whole is not None
    assert whole.field is None
    assert whole.excerpt
    assert "a=b" not in whole.excerpt


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from([REQUEST, RESPONSE]), st.booleans())
def test_nonsense_gives_one_typed_error_or_none(data: bytes, role: str, lenient: bool) -> None:
    setup = Setup(role, Limits(), lenient=lenient)
    whole = events(setup, [data], end=True)
    assert sum(line.startswith("error") for line in whole) <= 1
    assert events(setup, [data[i : i + 1] for i in range(len(data))], end=True) == whole


@settings(max_examples=150)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8), st.integers(1, 7))
def test_bodies_come_out_as_they_went_in(chunks: list[bytes], step: int) -> None:
    body = b"".join(chunks)
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    sized = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    expected = [f"body {body!r}"] if body else []
    for stream in (sized, chunked):
        for size in (len(stream), step):
            log = events(Setup(REQUEST, Limits()), [stream[i : i + size] for i in range(0, len(stream), size)])
            assert [line for line in log if line.startswith("body")] == expected
            assert not any(line.startswith(("error", "more")) for line in log)
