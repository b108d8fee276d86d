"""Whether time grows with size and no faster: answers with time(2N) and time(N), of each the least of some runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from time import perf_counter

from asking import answer

from anywire.core import REQUEST, Agent, Lease, Limits, Parser, parse_fields

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
WIDE = Limits(max_header_size=1 << 26, max_headers_count=0, max_trailer_size=1 << 26)
RUNS = 5


def parse(data: bytes, size: int) -> None:
    """One message with its body, so many bytes at a time."""
    parser = Parser(REQUEST, WIDE)
    head = None
    for at in range(0, len(data), size):
        parser.receive_data(data[at : at + size])
        if head is None:
            head = parser.next_request()
            if head is None:
                continue
            parse_fields(head[3])
            if not head[4]:
                return  # no body
        while (piece := parser.next_body()) is not None:
            if piece == b"":
                return
    raise RuntimeError("the message was not complete")


def segments(n: int) -> None:
    parse(HEAD + b"Content-Length: %d\r\nX: %b\r\n\r\n" % (n, b"x" * n) + b"a" * n, 1)


def chunks(n: int) -> None:
    parse(HEAD + CHUNKED + b"1\r\na\r\n" * n + b"0\r\n\r\n", 65536)


def fields(n: int) -> None:
    parse(HEAD + b"X: v\r\n" * n + b"Content-Length: 0\r\n\r\n", 1 << 26)


def trailers(n: int) -> None:
    parse(HEAD + CHUNKED + b"0\r\n" + b"X: v\r\n" * n + b"\r\n", 1 << 26)


def queue(n: int) -> None:
    """n requests wait for ten connections, half of them give up, and the others are served."""
    pool: Agent[object, None] = Agent(keep_alive=True, max_sockets=10)
    used: list[Lease[object, None]] = [pool.request("a", None, 0.0) for _ in range(10)]
    for lease in used:
        pool.opened(lease, object(), 0.0)
    waiting = [pool.request("a", None, 0.0) for _ in range(n)]
    for lease in waiting[::2]:
        pool.dropped(lease)
    for lease in [*used, *waiting[1::2]]:
        pool.freed(lease, 0.0, persistent=True)
    pool.take_answers()


def took(run: Callable[[int], None], n: int) -> float:
    """Without the collector, as `timeit` has it: it goes through all that lives, whoever made it."""
    gc.collect()
    gc.disable()
    began = perf_counter()
    run(n)
    took = perf_counter() - began
    gc.enable()
    return took


def measure(work: str, seconds: float) -> tuple[float, float]:
    """`seconds` for all runs together, more or less: N is chosen by it."""
    run, n = KINDS[sys.argv[1]], 1000
    while (once := took(run, n)) < seconds / (4 * RUNS) and n < 1 << 20:
        n *= 2
    if once > 60:
        raise RuntimeError(f"N = {n} took {once:.0f} s")
    pairs = [(took(run, 2 * n), took(run, n)) for _ in range(RUNS)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


KINDS = {"1-byte segments": segments, "chunks": chunks, "fields": fields, "trailers": trailers, "queue": queue}
answer(measure)
