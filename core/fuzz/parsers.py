"""Fuzz targets: the parser, as a server and as a client uses it.

The first byte sets it up (with a client, the second one names leniencies), the rest is the stream.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anywire.conformance.parsing import Setup, events, splits
from anywire.core._errors import ParseError
from anywire.core._fields import parse_fields
from anywire.core._framing import CHUNKED, KEEP_ALIVE, REQUEST, RESPONSE
from anywire.core._leniency import LENIENCIES, NOTHING
from anywire.core._limits import Limits
from anywire.core._parser import Parser

__all__ = ["requests", "responses", "tolerated"]

LIMITS = [
    Limits(),
    Limits(max_header_size=96, max_headers_count=4, max_trailer_size=24, max_chunk_extension_size=12),
    Limits(max_header_size=40),
    Limits(max_headers_count=1, max_trailer_size=9, max_chunk_extension_size=0),
]
METHODS = [None, "GET", "HEAD", "CONNECT"]


MARKS = frozenset({"control_chars", "repeated_length", "length_with_chunked"})
"""The leniencies whose departures the application sees; what the others allow is mended on the way to it."""
CALLS = 20
"""The most calls that a byte may cost. About 10 are seen: a message of two lines, each byte in a piece of its own."""


def tolerated(byte: int) -> frozenset[str]:
    """The leniencies that a byte names."""
    return frozenset(name for name, each in LENIENCIES.items() if byte & each.bit)


def requests(data: bytes) -> None:
    """The parser of a server."""
    _target(REQUEST, data[:1], data[1:])


def responses(data: bytes) -> None:
    """The parser of a client."""
    _target(RESPONSE, data[:1], data[2:], tolerated(data[1]) if len(data) > 1 else NOTHING)


def _target(role: str, first: bytes, stream: bytes, tolerate: frozenset[str] = NOTHING) -> None:
    bits = first[0] if first else 0
    setup = Setup(
        role,
        LIMITS[bits >> 1 & 3],
        lenient=bool(bits & 1),
        method=METHODS[bits >> 3 & 3],
        take_rest=bits & 0xE0 == 0xE0,  # rarely: it hides all that follows
        tolerate=tolerate,
    )
    end = bool(bits & 0x20)

    # The same for every split; an error is the last thing, and stays (`events` sees to that).
    whole = events(setup, [stream], end=end)
    single = [stream[i : i + 1] for i in range(len(stream))]
    assert events(setup, single, end=end) == whole
    sizes = [byte % 37 + 1 for byte in stream]
    assert events(setup, splits(stream, sizes), end=end) == whole
    if tolerate:
        _only_adds(events(replace(setup, tolerate=NOTHING), [stream], end=end), whole)

    if setup.take_rest:
        return
    messages: list[Any] = []
    cost = calls(lambda: messages.extend(walk(setup, single)))
    assert cost <= CALLS * (len(stream) + 10), f"{cost} calls for {len(stream)} bytes"
    # What an application gets needs no leniency to be read again, but for what it is to see as it came.
    again = Setup(role, Limits(max_header_size=1 << 20), setup.lenient, setup.method, tolerate=tolerate & MARKS)
    for message in messages:
        seen = [_but_for_what_follows(each) for each in walk(again, [rendered(message)])]
        assert seen == [_but_for_what_follows(message)], (message, seen)


def _only_adds(strict: list[str], loose: list[str]) -> None:
    """What was read without leniencies is read the same with them; only where a head was refused may more come."""
    if strict and strict[-1].startswith("error") and ", head: " in strict[-1]:
        strict = strict[:-1]
        loose = loose[: len(strict)]
    assert loose == strict, (strict, loose)


def _but_for_what_follows(message: tuple[Any, ...]) -> tuple[Any, ...]:
    """Behind a leniency nothing follows on a connection, which the message itself does not show."""
    return (*message[:5], message[5] & ~KEEP_ALIVE, *message[6:])


def calls(run: Callable[[], object]) -> int:
    """How many Python functions are called while `run` runs."""
    count = 0

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal count
        if event == "call":  # not "c_call": what counts the coverage is of C
            count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def walk(setup: Setup, pieces: list[bytes]) -> list[Any]:
    """Parse, with an eye on what is kept back and on how much body there is. Returns the complete messages."""
    limits = setup.limits
    kept = max(limits.max_header_size, limits.max_trailer_size, limits.max_chunk_extension_size + 18, 2)
    parser = Parser(setup.role, limits, lenient=setup.lenient, tolerate=setup.tolerate)
    plain = not setup.lenient and not setup.tolerate
    messages: list[Any] = []
    head: Any = None
    body = b""
    fed = b""
    start = 0  # of the head, or of the body
    bytewise = all(len(piece) == 1 for piece in pieces)
    for piece in pieces:
        parser.receive_data(piece)
        fed += piece
        while True:
            try:
                if head is None:
                    head = parser.next_head(setup.method)
                    if head is None:
                        break
                    body = b""
                    if bytewise and plain:
                        assert _head(fed[start:]), fed[start:]
                    start = len(fed)
                    if head[4] == 0:
                        messages.append(_message(head, b"", b""))
                        head = None
                else:
                    more = parser.next_body()
                    if more is None:
                        break
                    body += more
                    length = head[4]
                    assert length < 0 or len(body) <= length, "more body than was framed"
                    if not more:
                        if bytewise and length == CHUNKED and not setup.lenient:
                            assert dechunked(fed[start:]) == body, fed[start:]
                        start = len(fed)
                        assert length < 0 or len(body) == length, "complete, and something is missing"
                        messages.append(_message(head, body, parser.raw_trailers))
                        head = None
            except ParseError as error:
                check_error(error, fed)
                return messages
        if len(piece) == 1:
            assert parser.buffered <= kept, f"{parser.buffered} bytes are kept, where no element has more than {kept}"
    return messages


_head = re.compile(rb"[\r\n]*[^\r\n]+\r\n(?:[^\r\n]+\r\n)*\r\n").fullmatch
_chunk_line = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n\0]*)?").fullmatch


def dechunked(wire: bytes) -> bytes | None:
    """What a reader makes of a chunked body who knows nothing but RFC 9112 section 7.1; None if it is none."""
    body = b""
    while True:
        line, _, wire = wire.partition(b"\r\n")
        match = _chunk_line(line)
        if match is None:
            return None
        size = int(match[1], 16)
        if not size:
            return body if re.fullmatch(rb"(?:[^\r\n]+\r\n)*\r\n", wire) else None
        if wire[size : size + 2] != b"\r\n":
            return None
        body += wire[:size]
        wire = wire[size + 2 :]


def check_error(error: ParseError, fed: bytes) -> None:
    """It shows what was sent, and the place in it."""
    packet = error.raw_packet or b""
    assert packet in fed, "shows what was not sent"
    assert 0 <= error.bytes_parsed <= len(packet), "points outside of what it shows"
    assert error.code.startswith("HPE_") and error.reason and error.status_hint >= 400


def _message(head: Any, body: bytes, trailers: bytes) -> tuple[Any, ...]:
    first, second, minor, fields, length, flags = head
    return first, second, minor, parse_fields(fields), length, flags, body, parse_fields(trailers)


def rendered(message: Any) -> bytes:
    """Bytes that say the same again."""
    first, second, minor, fields, length, _, body, trailers = message
    if isinstance(first, str):
        line = f"{first} {second} HTTP/1.{minor}\r\n"
    else:
        line = f"HTTP/1.{minor} {first:03} {second}\r\n"
    out = line.encode("latin-1") + lines(fields) + b"\r\n"
    if length == CHUNKED:
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return out + chunk + b"0\r\n" + lines(trailers) + b"\r\n"
    return out + bytes(body)


def lines(flat: list[str]) -> bytes:
    """A section of fields, each as plain as can be."""
    return "".join(f"{flat[i]}: {flat[i + 1]}\r\n" for i in range(0, len(flat), 2)).encode("latin-1")
