"""Parsers and serializers alone, without sockets: ``codec.py anywire|h11|httptools|zttp``.

A cycle is: take in a request, tell method, target and that it is complete, and make the answer of 14 bytes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from asking import answer

SMALL = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
BROWSER = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Cookie: session=4f1a9c62d07e4b8fa3d5; theme=dark; consent=1\r\nUpgrade-Insecure-Requests: 1\r\n"
    b"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nCache-Control: max-age=0\r\n\r\n"
)
CHUNKS = 1000
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\na\r\n" * CHUNKS
    + b"0\r\n\r\n"
)
BODY = b"Hello, World!\n"
Cycle = Callable[[list[bytes]], int]
"""Takes pieces of input; returns how many bytes it answered with."""


def anywire() -> Cycle:
    from anywire.core import Server, ServerConnection, server_options

    class Memory:
        """As much of a pump as an exchange asks of one."""

        blocked = closed = False
        unsent = 0

        def flush(self) -> None:
            self.sent = connection.data_to_send()

        def kick(self) -> None: ...

    server = Server(server_options({}), lambda: 0.0)
    connection = ServerConnection(server)
    pump: Any = Memory()
    connection.pump = pump
    headers = {"Content-Type": "text/plain", "Content-Length": "14"}

    def cycle(pieces: list[bytes]) -> int:
        request: Any = None
        for piece in pieces:
            connection.receive_data(piece)
            request = connection.next_event()
        response = connection.response = server.server_response_class(request)
        while not request.complete:
            request.read_nowait()
        response.write_head(200, headers)
        response.end_nowait(BODY)  # flushes
        return len(pump.sent)

    return cycle


def h11() -> Cycle:
    library: Any = importlib.import_module("h11")
    connection = library.Connection(library.SERVER)
    headers = [("Content-Type", "text/plain"), ("Content-Length", "14"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")]

    def cycle(pieces: list[bytes]) -> int:
        event: Any = None
        for piece in pieces:
            connection.receive_data(piece)
            event = connection.next_event()
        while type(event) is not library.EndOfMessage:
            event = connection.next_event()
        sent = connection.send(library.Response(status_code=200, reason=b"OK", headers=headers))
        sent += connection.send(library.Data(data=BODY))
        sent += connection.send(library.EndOfMessage())
        connection.start_next_cycle()
        return len(sent)

    return cycle


def httptools() -> Cycle:
    """It parses only; the answer is a constant, as in uvicorn it is nearly one."""
    library: Any = importlib.import_module("httptools")

    class Seen:
        def on_message_begin(self) -> None:
            self.url, self.headers, self.complete = b"", list[tuple[bytes, bytes]](), False

        def on_url(self, url: bytes) -> None:
            self.url += url

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers.append((name.lower(), value))

        def on_body(self, body: bytes) -> None: ...

        def on_message_complete(self) -> None:
            self.complete = True

    seen = Seen()
    parser = library.HttpRequestParser(seen)

    def cycle(pieces: list[bytes]) -> int:
        for piece in pieces:
            parser.feed_data(piece)
        return int(seen.complete and parser.get_method() != b"")

    return cycle


def zttp() -> Cycle:
    library: Any = importlib.import_module("zttp")
    connection = library.Connection(library.SERVER)
    headers = [
        (b"Content-Type", b"text/plain"),
        (b"Content-Length", b"14"),
        (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    ]

    def cycle(pieces: list[bytes]) -> int:
        event: Any = None
        for piece in pieces:
            event = connection.receive_event(piece)
        while not getattr(event, "end_stream", False) and type(event) is not library.EndOfMessage:
            event = connection.next_event()
        connection.send_response(200, headers)
        connection.send_data(BODY)
        connection.end_message()
        sent = connection.data_to_send()
        connection.start_next_cycle()
        return len(sent)

    return cycle


def measure(work: str, seconds: float) -> tuple[float, float]:
    """Cycles in so many seconds; of tiny chunks each is counted."""
    data = CHUNKED if "chunks" in work else BROWSER if "browser" in work else SMALL
    pieces = [data[at : at + 1] for at in range(len(data))] if "1-byte" in work else [data]
    if cycle(pieces) <= 0:
        raise RuntimeError("it did not see the end of a request")
    batch = 1 if "chunks" in work else 20
    count, began = 0, perf_counter()
    while (took := perf_counter() - began) < seconds:
        for _ in range(batch):
            cycle(pieces)
        count += batch
    return count * (CHUNKS if "chunks" in work else 1), took


cycle = {"anywire": anywire, "h11": h11, "httptools": httptools, "zttp": zttp}[sys.argv[1]]()
answer(measure)
