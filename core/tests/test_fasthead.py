"""The shortcut accepts a strict subset of the grammar and means the same by it (style: one parser, one shortcut)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anywire.core._errors import ParseError
from anywire.core._fasthead import REQUEST_HEAD, RESPONSE_HEAD
from anywire.core._framing import REQUEST, RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Head, Parser

# What common programs send: these must take the shortcut, or it is of no use.
POPULAR_REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",  # wrk
    b"GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nContent-Length: 3\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html;q=0.9\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: a=b; c=d\r\n\r\n",  # browser
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: python-requests/2.32\r\nAccept-Encoding: gzip\r\nAccept: */*\r\n"
    b"Connection: keep-alive\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",  # Node, default agent
    b"POST / HTTP/1.1\r\nA: 1\r\nHost: a:80\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",  # Node
    b"POST / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n",  # undici
    b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nProxy-Authorization: x\r\nHosts: b\r\nConnections: c\r\n\r\n",
]
POPULAR_REQUESTS.append(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nA: b\r\nConnection: close\r\n\r\n")
POPULAR_RESPONSES = [
    b"HTTP/1.1 200 OK\r\nDate: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",  # Node
    b"HTTP/1.1 200 OK\r\nX: y\r\nDate: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nDate: x\r\nContent-Type: text/html\r\nContent-Length: 153\r\n"
    b"Connection: keep-alive\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 3\r\nConnection: close\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: y\r\n\r\n",
    b"HTTP/1.1 204 \r\ndate: x\r\n\r\n",
]


def by_grammar(role: str, head: bytes, method: str | None = None) -> Head | None:
    """What the grammar makes of a head; a parser that has begun one no longer takes the shortcut."""
    parser = Parser(role, Limits())
    parser.receive_data(head[:1])
    assert parser.next_head(method) is None
    parser.receive_data(head[1:])
    return parser.next_head(method)


def by_shortcut(role: str, head: bytes, method: str | None = None) -> Head | None:
    parser = Parser(role, Limits())
    parser.receive_data(head)
    return parser.next_head(method)


@pytest.mark.parametrize("head", POPULAR_REQUESTS)
def test_popular_requests_take_it(head: bytes) -> None:
    assert REQUEST_HEAD(head)
    got = by_shortcut(REQUEST, head)
    assert got is not None
    assert got == by_grammar(REQUEST, head)


@pytest.mark.parametrize("head", POPULAR_RESPONSES)
def test_popular_responses_take_it(head: bytes) -> None:
    assert RESPONSE_HEAD(head)
    got = by_shortcut(RESPONSE, head, "GET")
    assert got is not None
    assert got == by_grammar(RESPONSE, head, "GET")


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Host: a\r\nhost: a\r\n",
        b"Host: a\r\nHOST: a\r\n",
        b"HOST: a\r\n",
        b"Host: a\r\nContent-Length: 1\r\nCONTENT-LENGTH: 1\r\n",
        b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        b"Host: a\r\ntransfer-encoding: gzip\r\n",
        b"Host: a\r\nContent-Length: 1, 1\r\n",
        b"Host: a\r\nContent-Length:\r\n",
        b"Host: a\r\nContent-Length: 9999999999999999\r\n",
        b"Host: a\r\nConnection: upgrade\r\nUpgrade: x\r\n",
        b"Host: a\r\nConnection: close, keep-alive\r\n",
        b"Host: a\r\nProxy-Connection: close\r\n",
        b"Host: a\r\nExpect: 100-continue\r\n",
        b"Host: a/b\r\n",
        b"Host: a\r\n b\r\n",
        b"Host: a\nX: y\r\n",
        b"Host: a\r\nX: \0\r\n",
        b"Host: a\r\nX : y\r\n",
        b"Host: a\r\n: y\r\n",
    ],
)
def test_everything_in_doubt_goes_to_the_grammar(fields: bytes) -> None:
    assert not REQUEST_HEAD(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.0",
        b"GET / HTTP/1.2",
        b"GET * HTTP/1.1",
        b"GET /# HTTP/1.1",
        b"GET /\x80 HTTP/1.1",
        b"get / HTTP/1.1",
    ],
)
def test_every_other_start_line_goes_to_the_grammar(line: bytes) -> None:
    assert not REQUEST_HEAD(line + b"\r\nHost: a\r\n\r\n")


def test_limits_hold_on_the_shortcut() -> None:
    # WIR-97, SRV-41: a head above a limit must not slip through because it is plain.
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
    for limits, code in (
        (Limits(max_header_size=len(head) - 1), "HPE_HEADER_OVERFLOW"),
        (Limits(max_headers_count=1), "HPE_HEADER_OVERFLOW"),
    ):
        parser = Parser(REQUEST, limits)
        parser.receive_data(head)
        with pytest.raises(ParseError) as caught:
            parser.next_head()
        assert caught.value.code == code
    parser = Parser(REQUEST, Limits(max_header_size=len(head), max_headers_count=2))
    parser.receive_data(head)
    assert parser.next_head() is not None


NAMES = st.sampled_from(
    [
        b"Host", b"host", b"HOST", b"X", b"Cookie", b"Content-Length", b"content-length", b"Content-Type", b"Content",
        b"Connection", b"connection", b"Connectio", b"Transfer-Encoding", b"TE", b"te", b"Expect", b"ETag", b"Upgrade",
        b"Proxy-Connection", b"Pragma", b"Hos", b"Hosts", b"!", b"",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        b"", b" a", b" a:80", b" 1", b"5", b" 007", b" keep-alive", b" close", b" Close", b" upgrade", b" chunked",
        b" Chunked", b" gzip", b" 100-continue", b" trailers", b" \xff", b"\tb ", b" [::1]", b" x\r\n y", b" close, x",
    ]
)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES, VALUES).map(lambda f: f[0] + b":" + f[1] + b"\r\n"), max_size=7).map(b"".join)
REQUEST_LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST /a?b HTTP/1.1",
        b"M-SEARCH / HTTP/1.1",
        b"FOO / HTTP/1.1",
        b"GET / HTTP/1.0",
        b"CONNECT /x HTTP/1.1",
    ]
)
STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 204 ",
        b"HTTP/1.1 304",
        b"HTTP/1.1 101 Up",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 999 \xe9\x01",
    ]
)
HOST = st.sampled_from([b"Host: a\r\n", b""])


@st.composite
def heads(draw: st.DrawFn, lines: st.SearchStrategy[bytes], first: st.SearchStrategy[bytes]) -> bytes:
    """A head that is mostly right, with at most three bytes changed, dropped or added."""
    head = bytearray(draw(lines) + b"\r\n" + draw(first) + draw(FIELDS) + b"\r\n")
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        at = draw(st.integers(0, len(head) - 1))
        byte = draw(st.sampled_from(list(b"\r\n\t :;,/a1\x00\x7f\xffHcC")))
        head[at : at + draw(st.integers(0, 1))] = bytes((byte,)) * draw(st.integers(0, 1))
    return bytes(head)


@settings(max_examples=300)
@given(heads(REQUEST_LINES, HOST))
@example(POPULAR_REQUESTS[6])
def test_requests_agree(head: bytes) -> None:
    if REQUEST_HEAD(head):
        try:
            expected = by_grammar(REQUEST, head)
        except ParseError:
            # The shortcut leaves one thing to a table: whether the method is known (MOD-2).
            with pytest.raises(ParseError):
                by_shortcut(REQUEST, head)
        else:
            assert expected is not None
            assert by_shortcut(REQUEST, head) == expected


@settings(max_examples=300)
@given(heads(STATUS_LINES, st.just(b"")), st.sampled_from([None, "GET", "HEAD", "CONNECT"]))
@example(POPULAR_RESPONSES[3], "GET")
def test_responses_agree(head: bytes, method: str | None) -> None:
    if RESPONSE_HEAD(head):
        expected = None
        try:
            expected = by_grammar(RESPONSE, head, method)
        except ParseError as error:
            raise AssertionError("the shortcut takes what the grammar refuses") from error
        assert expected is not None
        assert by_shortcut(RESPONSE, head, method) == expected


@settings(max_examples=300)
@given(st.sampled_from(POPULAR_REQUESTS), st.data())
def test_mutations_of_popular_requests_agree(head: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(head) - 1))
    byte = data.draw(st.integers(0, 255))
    mutated = head[:at] + bytes((byte,)) + head[at + data.draw(st.integers(0, 1)) :]
    outcomes = []
    for way in (by_grammar, by_shortcut):
        try:
            outcomes.append(repr(way(REQUEST, mutated)))
        except ParseError as error:
            outcomes.append(f"{error.code} {error.bytes_parsed} {error.reason}")
        except AssertionError:
            return  # by_grammar: the first byte alone was an outcome
    assert outcomes[0] == outcomes[1]
