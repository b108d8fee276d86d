"""ASK-48: a server on every runtime, and noise: requests that are nearly right, each on a connection of its own.

What comes back are the responses that a strict reader of the same bytes would give, no more and no less, each of them
whole; and afterwards the server serves as before. ``NOISE=25000`` in the environment makes it a hundred thousand.
"""

from __future__ import annotations

import os
import random
import socket
from collections import Counter
from pathlib import Path

import pytest

from anywire.core._errors import ParseError
from anywire.core._framing import EXPECT_OTHER, KEEP_ALIVE, REQUEST, RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Parser

from .peers.real import RUNTIMES, recorder

COUNT = int(os.environ.get("NOISE", "400"))
LINES = [
    b"GET / HTTP/1.1", b"POST /p?q HTTP/1.1", b"HEAD /h HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET http://h/ HTTP/1.1",
    b"GET / HTTP/1.0", b"PUT / HTTP/1.2", b"GET /#", b"PRI * HTTP/2.0", b"get / HTTP/1.1", b"\x16\x03\x01\x02\x00",
]  # fmt: skip
FIELDS = [
    b"Host: g", b"Content-Length: 3", b"Content-Length: 35", b"Content-Length: x",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: upgrade",
    b"Upgrade: x", b"Expect: 100-continue", b"Expect: y", b"X: y", b"X : y", b" fold", b"X: \x01", b"Trailer: X",
]  # fmt: skip
BODIES = [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"3;x\r\nabc\r\n0\r\nT: u\r\n\r\n", b"1\r\nab\r\n", b"g\r\n"]
PIECES = [b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b"a", b"#", b";", b'"', b"\r\n\r\n"]
AFTER = b"GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def noise(rng: random.Random) -> bytes:
    """A request with a few bytes spoilt, and one behind it."""
    lines = [rng.choice(LINES[:6] if rng.random() < 0.8 else LINES), b"Host: h"]
    lines += rng.choices(FIELDS, k=rng.choice([0, 1, 1, 2, 3]))
    data = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + rng.choice(BODIES))
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(3)] = rng.choice(PIECES)
    return bytes(data) + AFTER


def expected(data: bytes) -> tuple[list[tuple[str, int]], bool]:
    """Method and status of each response that must come, as a strict reader has it; and whether more is awaited."""
    parser = Parser(REQUEST, Limits())
    parser.receive_data(data)
    responses: list[tuple[str, int]] = []
    while True:
        try:
            head = parser.next_request()
        except ParseError as error:
            return [*responses, ("GET", error.status_hint)], False
        if head is None:
            return [*responses, ("GET", 400)], True  # the end of input inside a head
        method, _, _, _, length, flags = head
        status = 417 if flags & EXPECT_OTHER else 200
        try:
            piece = parser.next_body() if length else b""
            while piece:
                piece = parser.next_body()
        except ParseError as error:
            return [*responses, (method, error.status_hint if status == 200 else status)], False
        if piece is None:
            return [*responses, (method, 400 if status == 200 else status)], True
        responses.append((method, status))
        if not flags & KEEP_ALIVE:
            return responses, False


def answer(port: int, data: bytes, cut: int, more: bool) -> bytes:
    """Everything that comes back when `data` was sent in two pieces, and then the end if `more` is awaited."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data[:cut])
        sock.sendall(data[cut:])
        if more:
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            received += piece
    return received


def read(received: bytes, methods: list[str]) -> list[int]:
    """The statuses of the final responses that `received` is made of, each of them whole."""
    parser = Parser(RESPONSE, Limits())
    parser.receive_data(received)
    parser.receive_eof()
    statuses: list[int] = []
    while (head := parser.next_response(methods[len(statuses)] if len(statuses) < len(methods) else "GET")) is not None:
        if head[4]:
            while parser.next_body():
                pass
        if head[0] >= 200:
            statuses.append(head[0])
    assert parser.at_eof
    return statuses


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_noise_gets_the_answers_that_a_strict_reader_owes_it(runtime: str, tmp_path: Path) -> None:
    rng = random.Random(f"{runtime} 1")
    seen: Counter[int] = Counter()
    with recorder(runtime, tmp_path) as server:
        for _ in range(COUNT):
            data = noise(rng)
            responses, more = expected(data)
            got = read(answer(server.port, data, rng.randrange(len(data)), more), [method for method, _ in responses])
            assert got == [status for _, status in responses], data
            seen.update(got)
        assert read(answer(server.port, AFTER, 1, False), ["GET"]) == [200]
    assert min(seen[200], seen[400]) > COUNT / 10
    assert seen[417] and seen[505]
