"""Requests that two parsers in a row may take for different ones, as they are sent to a front.

Three sources: the probes and the parser's cases, which say what a server makes of them, and what only a pair can get
wrong, written here.
"""

from __future__ import annotations

from collections.abc import Iterator

from anywire.conformance.cases import load_cases
from anywire.conformance.probing import load_probes

__all__ = ["AFTER", "ambiguous"]

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
"""Sent behind each: who is out of step takes it for something else, who is not closes."""

# What a front may drop, rename, join or pass on, and the one behind it may read.
CODINGS = (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: chunked\0",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding",
    b"Transfer_Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    b"TE: trailers\r\nTransfer-Encoding: chunked",
    b"Content-Encoding: chunked",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \r\nTransfer-Encoding: chunked",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked",
)
LENGTHS = (
    b"Content-Length: %d",
    b"Content-Length: %d, %d",
    b"Content-Length: %d\r\nContent-Length: 0",
    b"Content-Length: 0\r\nContent-Length: %d",
    b"Content-Length: +%d",
    b"Content-Length: 0%d",
    b"Content-Length: %d ",
    b"Content-Length: %d\0",
    b"Content-Length: %d\x0b",
    b"Content-Length : %d",
    b"Content-Length:\r\n %d",
    b"Content_Length: %d",
    b"X: y\nContent-Length: %d",
    b"Connection: Content-Length\r\nContent-Length: %d",
    b"Connection: close, X\r\nContent-Length: %d",
    b"Expect: 100-continue\r\nContent-Length: %d",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: %d",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: -1",
)
TARGETS = (
    b"GET http://other.example/a HTTP/1.1\r\nHost: h",
    b"GET http://h/a HTTP/1.1\r\nHost: other.example",
    b"GET http://u:p@h/ HTTP/1.1\r\nHost: h",
    b"GET //other.example/a HTTP/1.1\r\nHost: h",
    b"GET / HTTP/1.1\r\nHost: h\r\nHost: other.example",
    b"GET / HTTP/1.1\r\nHost: h, other.example",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: o",
    b"GET / HTTP/1.1\r\nhOsT: h",
    b"GET /a?b#c HTTP/1.1\r\nHost: h",
    b"GET /a b HTTP/1.1\r\nHost: h",
    b"GET /a\tHTTP/1.1\r\nHost: h",
    b"GET  /a HTTP/1.1\r\nHost: h",
    b"GET /a HTTP/1.1 \r\nHost: h",
    b"GET /a%%0d%%0aX:%%20y HTTP/1.1\r\nHost: h",
    b"GET /\xff HTTP/1.1\r\nHost: h",
    b"GET /a/../b HTTP/1.1\r\nHost: h",
    b"GET /a HTTP/1.0\r\nHost: h",
    b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\nHost: h",
    b"GET /a HTTP/1.2\r\nHost: h",
    b"GET /a HTTP/01.1\r\nHost: h",
    b"OPTIONS * HTTP/1.1\r\nHost: h",
    b"get /a HTTP/1.1\r\nHost: h",
    b"PRI * HTTP/2.0\r\nHost: h",
)
CHUNKS = (
    b"%x\r\n%b\r\n0\r\n\r\n",
    b"%x;a=b\r\n%b\r\n0\r\n\r\n",
    b'%x;a="\r\n"\r\n%b\r\n0\r\n\r\n',
    b"%x;a\nb\r\n%b\r\n0\r\n\r\n",
    b"%x;a\rb\r\n%b\r\n0\r\n\r\n",
    b"%x \r\n%b\r\n0\r\n\r\n",
    b"0x%x\r\n%b\r\n0\r\n\r\n",
    b"+%x\r\n%b\r\n0\r\n\r\n",
    b"000000000000000000%x\r\n%b\r\n0\r\n\r\n",
    b"1000000000000000%x\r\n%b\r\n0\r\n\r\n",
    b"%x\n%b\r\n0\r\n\r\n",
    b"%x\r\n%b\n0\r\n\r\n",
    b"%x\r\n%b0\r\n\r\n",
    b"%x\r\n%b\r\n0\n\n",
    b"%x\r\n%b\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"%x\r\n%b\r\n0\r\nHost: other.example\r\nX: y\r\n\r\n",
    b"%x\r\n%b\r\n0\r\nX : y\r\n\r\n",
    b"%x\r\n%b\r\n0\r\nX: y\n\r\n",
    b"%x\r\n%b\r\n\r\n0\r\n\r\n",
)


def ambiguous() -> Iterator[tuple[str, bytes]]:
    """What it is, and what is sent, :data:`AFTER` not included."""
    for each in load_probes():
        yield each.name, b"".join(each.packets).replace(b"HOST", b"h")
    for case in load_cases():
        if case.role == "request":
            yield case.name, case.document.input()[0]
    both = b"0\r\n\r\n" + SMUGGLED
    for field in CODINGS:
        for length in (b"", b"Content-Length: %d\r\n" % len(both), b"Content-Length: 5\r\n"):
            yield f"{field!r} {length!r}", b"POST / HTTP/1.1\r\nHost: h\r\n%b%b\r\n\r\n%b" % (length, field, both)
            yield (
                f"{field!r} before {length!r}",
                b"POST / HTTP/1.1\r\nHost: h\r\n%b\r\n%b\r\n%b" % (field, length, both),
            )
    for line in LENGTHS:
        field = line.replace(b"%d", b"%d" % len(SMUGGLED))
        for method in (b"GET", b"POST", b"DELETE"):
            yield f"{method!r} {field!r}", b"%b / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n%b" % (method, field, SMUGGLED)
    for start in TARGETS:
        yield repr(start), start.replace(b"%%", b"%") + b"\r\n\r\n" + SMUGGLED
    for form in CHUNKS:
        body = form % (len(SMUGGLED), SMUGGLED)
        yield repr(form), b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body
