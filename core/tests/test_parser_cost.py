"""What hostile input costs: counted in calls and bytes of memory, never in time.

Calls are those of functions, in Python and in C, that ``sys.setprofile`` tells of. How much the patterns look at is
counted in test_parser.py.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import pkgutil
import re
import sys
import tracemalloc
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest

import anywire.core
from anywire.core._errors import ParseError
from anywire.core._fields import distinct_fields, join_fields, parse_fields
from anywire.core._framing import REQUEST, RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Parser
from anywire.core._server_connection import LINGER_BYTES

from .harness import Serving, read_all, read_messages

HEAD = {REQUEST: b"POST / HTTP/1.1\r\nHost: a\r\n", RESPONSE: b"HTTP/1.1 200 OK\r\n"}
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ROLES = [REQUEST, RESPONSE]
PIECE = 1 << 16


def calls(run: Callable[[], object]) -> int:
    """How many functions are called while `run` runs."""
    count = 0

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    gc.collect()  # what other tests left behind must not be finalized, and counted, in here
    gc.disable()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def peak(run: Callable[[], object]) -> int:
    """The most memory that `run` had at any time, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(role: str, stream: Iterable[bytes], limits: Limits | None = None) -> tuple[int, ParseError | None]:
    """What a parser makes of `stream`."""
    return read_messages(Parser(role, limits or Limits()), stream)


def test_the_counters_count() -> None:
    assert calls(lambda: [abs(n) for n in range(1000)]) >= 1000
    assert peak(lambda: bytes(10**6)) >= 10**6


# ------------------------------------------------------------------------------------------------ refused without work

ENDLESS = {
    "digits of a length": (b"Content-Length: " + b"1" * 10**6, "HPE_HEADER_OVERFLOW"),
    "digits of a length within the limit": (
        b"Content-Length: " + b"1" * 15000 + b"\r\n\r\n",
        "HPE_INVALID_CONTENT_LENGTH",
    ),
    "digits of a chunk size": (CHUNKED + b"1" * 10**6, "HPE_INVALID_CHUNK_SIZE"),
    "fields": (b"a:b\r\n" * 10**5, "HPE_HEADER_OVERFLOW"),
    "a name": (b"a" * 10**6, "HPE_HEADER_OVERFLOW"),
    "a value": (b"a:" + b"b" * 10**6, "HPE_HEADER_OVERFLOW"),
    "folds": (b"a: b\r\n" + b" \r\n" * 10**5, None),
    "trailers": (CHUNKED + b"0\r\n" + b"a:b\r\n" * 10**5, "HPE_HEADER_OVERFLOW"),
    "a trailer": (CHUNKED + b"0\r\na:" + b"b" * 10**6, "HPE_HEADER_OVERFLOW"),
    "extensions of a chunk": (CHUNKED + b"1;" + b"a" * 10**6, "HPE_CHUNK_EXTENSIONS_OVERFLOW"),
    "extensions of many chunks": (CHUNKED + b"1;aaaaaaaa\r\nb\r\n" * 10**5, "HPE_CHUNK_EXTENSIONS_OVERFLOW"),
    "blanks of a chunk": (CHUNKED + b"1" + b" " * 10**6, "HPE_CHUNK_EXTENSIONS_OVERFLOW"),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ENDLESS)
def test_what_does_not_end_is_refused_at_its_limit(name: str, role: str) -> None:
    # SEC-7, SEC-10, SEC-12: a megabyte costs what the limit costs, in calls and in memory.
    hostile, code = ENDLESS[name]
    data = HEAD[role] + hostile
    verdicts = set()
    for size in (1, PIECE, len(data)):
        fed = 0

        def stream(size: int = size) -> Iterator[bytes]:
            nonlocal fed
            for piece in pieces(data, size):
                fed += len(piece)
                yield piece

        _, error = read(role, stream())
        assert error is not None
        assert code is None or error.code == code
        verdicts.add((error.code, error.reason, error.bytes_parsed))
        assert fed <= max(size, 4 * 16384)
        if size > 1:
            assert calls(lambda: read(role, stream())) < 60_000, "in proportion to 16 KiB, not to what was sent"
            assert peak(lambda: read(role, stream())) < len(data) + 10 * PIECE
    assert len(verdicts) == 1


def test_a_gigabyte_of_extensions_is_cut() -> None:
    # SEC-10: what a server throws away of it while it says goodbye is bounded as well.

    def swallow(request: Any, response: Any) -> Generator[None, None, None]:
        yield from read_all(request)

    server = Serving(swallow)
    server.feed(HEAD[REQUEST] + CHUNKED + b"1;")
    piece = b"a" * PIECE
    sent = 0
    while not server.pump.over and sent < 1 << 30:
        server.feed(piece)
        server.settle()
        sent += PIECE
    assert sent <= LINGER_BYTES + 4 * PIECE


def test_a_gigabyte_that_nobody_reads_is_not_taken_in() -> None:
    # SEC-10, SEC-33
    server = Serving(lambda request, response: None)
    server.feed(HEAD[REQUEST] + b"Content-Length: 1073741824\r\n\r\n")
    while server.connection.want_read:
        server.feed(b"a" * 1024)
        assert server.connection._parser.buffered <= 2 * PIECE


# --------------------------------------------------------------------------------------------------------------- linear


@pytest.mark.parametrize("size", [1, PIECE])
@pytest.mark.parametrize("role", ROLES)
def test_tiny_chunks_cost_linear_work(role: str, size: int) -> None:
    # SEC-31, ASK-56
    def work(count: int) -> int:
        data = HEAD[role] + CHUNKED + b"1\r\na\r\n" * count + b"0\r\n\r\n"
        assert read(role, pieces(data, size)) == (count, None)
        return calls(lambda: read(role, pieces(data, size)))

    count = 2000 if size == 1 else 50_000
    assert work(2 * count) / work(count) <= 2.05


@pytest.mark.parametrize("role", ROLES)
def test_a_million_tiny_chunks_take_no_memory(role: str) -> None:
    # SEC-31
    block = b"1\r\na\r\n" * 10_000

    def stream(blocks: int) -> Iterator[bytes]:
        yield HEAD[role] + CHUNKED
        for _ in range(blocks):
            yield block
        yield b"0\r\n\r\n"

    assert read(role, stream(100)) == (10**6, None)
    assert peak(lambda: read(role, stream(3))) < 2 * len(block)  # slow to measure, and nothing grows


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("framing", [b"Content-Length: 10000000000\r\n\r\n", CHUNKED + b"7fffffffffffffff\r\n"])
def test_a_declared_length_allocates_nothing(role: str, framing: bytes) -> None:
    # SEC-33
    assert peak(lambda: read(role, iter([HEAD[role] + framing, b"x"]))) < 1 << 16


@pytest.mark.parametrize("name", [b"X", b"Set-Cookie", b"Cookie", b"Content-Type", b"__class__"])
def test_a_name_repeated_costs_linear_work(name: bytes) -> None:
    # SEC-30
    def run(count: int) -> None:
        raw = parse_fields((name + b": v\r\n") * count)
        joined = join_fields(raw)
        join_fields(raw, join_duplicates=True)
        distinct = distinct_fields(raw)
        assert len(joined) == len(distinct) == 1

    run(10**5)
    assert calls(lambda: run(10_000)) / calls(lambda: run(5_000)) <= 2.05
    assert peak(lambda: run(10_000)) / peak(lambda: run(5_000)) <= 2.2


@pytest.mark.parametrize("size", [1, 7, PIECE])
@pytest.mark.parametrize("role", ROLES)
def test_a_name_repeated_is_parsed_in_linear_work(role: str, size: int) -> None:
    # SEC-30
    limits = Limits(max_header_size=1 << 24, max_headers_count=0)

    def work(count: int) -> int:
        data = HEAD[role] + b"X: v\r\n" * count + b"Content-Length: 0\r\n\r\n"
        return calls(lambda: read(role, pieces(data, size), limits))

    count = 1000 if size < PIECE else 20_000
    assert work(2 * count) / work(count) <= 2.1


# ------------------------------------------------------------------------------------------------------------- patterns


def patterns() -> dict[str, Callable[[Any], object]]:
    """Every pattern of the core, as it is used: a bound method is just that, of a bare one what its module calls."""
    found: dict[str, Callable[[Any], object]] = {}
    for module in pkgutil.iter_modules(anywire.core.__path__, "anywire.core."):
        loaded = importlib.import_module(module.name)
        for name, value in vars(loaded).items():
            if isinstance(value, re.Pattern):
                for use in set(re.findall(rf"\b{name}\.(match|fullmatch|search|sub)\b", inspect.getsource(loaded))):
                    found[f"{module.name}.{name}.{use}"] = run_of(getattr(value, use))
            elif isinstance(getattr(value, "__self__", None), re.Pattern):
                found[f"{module.name}.{name}"] = run_of(value)
    return found


def run_of(method: Any) -> Callable[[Any], object]:
    if method.__name__ == "sub":
        return lambda text: method(text[:0], text)
    return method  # type: ignore[no-any-return]


PATTERNS = patterns()
UNITS = [
    "a", "c", "1", "0", " ", "\t", "\r", "\n", "\r\n", "\r\n ", "\r\na:b", ":", "a:", "a:\r\n", ",", ";", "a=", ";a=b",
    '"', "\\", '\\"', "%", "%41", ".", "1.", "a.", "-", "/", "//", "@", "[", "]", "a-b", "close", "chunked,", "host:",
    "content-length:1\r\n", "\x80", "xn--",
]  # fmt: skip
LINE = "GET / HTTP/1.1\r\n"
PREFIXES = [
    "", "a", "a:", "GET /", LINE, LINE + "Host: a\r\n", "HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nX:", "http://", '1;a="',
]  # fmt: skip


def test_there_are_patterns() -> None:
    assert len(PATTERNS) > 35


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_backtracks(name: str) -> None:
    # SEC-35: over this much, one that squares would take minutes, and one that doubles would never end.
    run = PATTERNS[name]
    for unit in UNITS:
        for prefix in PREFIXES:
            text = prefix + unit * (65536 // len(unit)) + "\0"
            try:
                run(text)
            except TypeError:
                run(text.encode("latin-1"))
