"""The parser's own contract: what it holds, hands over, counts and says; the grammar is in the documents."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import anywire.core._grammar as grammar_module
import anywire.core._lenient_grammar as lenient_module
import anywire.core._parser as parser_module
from anywire.core import _chunked, _framing
from anywire.core._errors import ParseError, StateError
from anywire.core._framing import CHUNKED, KEEP_ALIVE, NO_BODY, REQUEST, RESPONSE, UNTIL_CLOSE
from anywire.core._leniency import LENIENCIES
from anywire.core._limits import Limits
from anywire.core._parser import Parser

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def parser_with(data: bytes, role: str = REQUEST, limits: Limits | None = None) -> Parser:
    parser = Parser(role, limits or Limits())
    parser.receive_data(data)
    return parser


def error_of(call: Callable[[], object]) -> ParseError:
    with pytest.raises(ParseError) as caught:
        call()
    return caught.value


# -- heads -------------------------------------------------------------------------------------------------------------


def test_head_tuples() -> None:
    request = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    assert parser_with(request).next_head() == (
        "POST", "/p", 1, b"Host: a\r\nContent-Length: 3\r\n", 3, KEEP_ALIVE | _framing.CHUNKED_OK,
    )  # fmt: skip
    response = b"HTTP/1.1 304 Not Modified\r\nA: b\r\n\r\n"
    assert parser_with(response, RESPONSE).next_head("GET") == (
        304, "Not Modified", 1, b"A: b\r\n", 0, KEEP_ALIVE | _framing.CHUNKED_OK | NO_BODY,
    )  # fmt: skip


def test_unfolded_fields_are_canonical() -> None:
    # SEC-15, RFC 9112 section 5.2
    head = parser_with(b"HTTP/1.1 200 OK\r\nA: b\r\n\t  c\r\nD: e\r\n\r\n", RESPONSE).next_response("GET")
    assert head is not None
    assert head[3] == b"A: b c\r\nD: e\r\n"


def test_nothing_is_parsed_unasked_and_errors_come_last() -> None:
    # Style: input never raises out of receive_data; what parsed before an error is handed out before it.
    parser = parser_with(GET + b"\x16\x03")
    parser.receive_data(b"\xff")
    parser.receive_eof()
    assert parser.next_request() is not None
    assert error_of(parser.next_request).code == "HPE_INVALID_METHOD"


def test_dead_is_dead() -> None:
    # WIR-107
    parser = parser_with(b"FOO")
    first = error_of(parser.next_request)
    parser.receive_data(GET)
    parser.receive_eof()
    assert parser.buffered == 0
    assert error_of(parser.next_request) is first
    assert error_of(parser.next_head) is first
    assert error_of(parser.next_body) is first
    assert not parser.started
    assert not parser.at_eof


def test_next_head_within_a_body_is_misuse() -> None:
    for left in (b"", b"a", b"abc"):
        parser = parser_with(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n" + left)
        parser.next_request()
        if left:
            assert parser.next_body() == left
        with pytest.raises(StateError):
            parser.next_request()


def test_next_body_without_a_body_is_misuse() -> None:
    parser = parser_with(GET)
    with pytest.raises(StateError):
        parser.next_body()
    parser.next_request()
    with pytest.raises(StateError):
        parser.next_body()


# -- errors ------------------------------------------------------------------------------------------------------------


def test_first_message_in_one_packet_reports_the_packet() -> None:
    # WIR-106, SRV-39
    packet = b"GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\nD: e\r\n\r\n"
    error = error_of(parser_with(packet).next_request)
    assert error.raw_packet == packet
    assert error.bytes_parsed == packet.index(b" B: c")
    assert str(error) == "Parse Error: Invalid header token"
    assert error.reason == "Invalid header token"
    assert error.phase == "head"


def test_errors_hold_nothing_of_another_message() -> None:
    # SEC-45
    parser = parser_with(GET + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n" + b"GET /secret HTTP/1.1\r\n")
    parser.next_request()
    error = error_of(parser.next_request)
    assert error.raw_packet == b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"
    assert error.bytes_parsed == 20

    parser = parser_with(CHUNKED_POST + b"1;\0\r\na\r\n")
    parser.next_request()
    error = error_of(parser.next_body)
    assert (error.raw_packet, error.bytes_parsed, error.phase) == (b"1;\0\r\n", 2, "body")

    parser = parser_with(CHUNKED_POST + b"0\r\nHost: x\r\n\r\n" + GET)
    parser.next_request()
    error = error_of(parser.next_body)
    assert (error.raw_packet, error.bytes_parsed, error.phase) == (b"Host: x\r\n\r\n", 0, "trailers")


def test_end_of_input_error() -> None:
    # WIR-106: message just "Parse Error", no packet.
    parser = parser_with(b"GET / HT")
    assert parser.next_request() is None
    parser.receive_eof()
    error = error_of(parser.next_request)
    assert str(error) == "Parse Error"
    assert (error.code, error.reason, error.bytes_parsed, error.raw_packet) == (
        "HPE_INVALID_EOF_STATE", "Invalid EOF state", 0, None,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_raw_packet_of_pieces_holds_the_unit_up_to_the_error(size: int) -> None:
    stream = GET + b"GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n"
    parser = Parser(REQUEST, Limits())
    error = None
    for at in range(0, len(stream), size):
        parser.receive_data(stream[at : at + size])
        try:
            while parser.next_request():
                pass
        except ParseError as caught:
            error = caught
            break
    assert error is not None
    assert error.raw_packet is not None
    assert error.bytes_parsed == 28
    assert error.raw_packet[:29] == stream[len(GET) :][:29]


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_whole_object_of_body_is_handed_over_uncopied() -> None:
    parser = parser_with(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    assert parser.next_request() is not None
    for piece in (b"abc", b"defghi"):
        parser.receive_data(piece)
        assert parser.next_body() is piece
    assert parser.next_body() == b""

    response = parser_with(b"HTTP/1.1 200 OK\r\n\r\n", RESPONSE)
    assert response.next_response("GET") is not None
    response.receive_data(piece)
    assert response.next_body() is piece

    parser = parser_with(CHUNKED_POST + b"ff\r\n")
    assert parser.next_request() is not None
    assert parser.next_body() is None
    parser.receive_data(piece)
    assert parser.next_body() is piece


def test_one_piece_per_received_piece() -> None:
    # MSG-24
    parser = parser_with(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\na")
    assert parser.next_request() is not None
    assert parser.next_body() == b"a"
    assert parser.next_body() is None
    parser.receive_data(b"bc")
    assert parser.next_body() == b"bc"
    parser.receive_data(b"defGET")
    assert parser.next_body() == b"def"
    assert parser.next_body() == b""
    assert parser.buffered == 3


def test_chunks_are_never_merged() -> None:
    # MSG-24
    parser = parser_with(CHUNKED_POST + b"1\r\na\r\n2\r\nbc\r\n3;x\r\ndef\r\n4\r\ngh")
    assert parser.next_request() is not None
    assert [parser.next_body() for _ in range(5)] == [b"a", b"bc", b"def", b"gh", None]
    parser.receive_data(b"ij\r\n1\r\nk\r\n0\r\n\r\n")
    assert [parser.next_body() for _ in range(3)] == [b"ij", b"k", b""]


def test_trailers_belong_to_their_message() -> None:
    parser = parser_with(CHUNKED_POST + b"0\r\nA: b\r\n\r\n" + CHUNKED_POST + b"0\r\n\r\n")
    parser.next_request()
    assert parser.next_body() == b""
    assert parser.raw_trailers == b"A: b\r\n"
    parser.next_request()
    assert parser.next_body() == b""
    assert parser.raw_trailers == b""

    parser.receive_data(CHUNKED_POST + b"0\r\nA: b\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na")
    parser.next_request()
    assert parser.next_body() == b""
    parser.next_request()
    assert [parser.next_body(), parser.next_body()] == [b"a", b""]
    assert parser.raw_trailers == b""


def test_a_huge_announced_length_allocates_nothing() -> None:
    # SEC-33
    parser = parser_with(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\nx")
    head = parser.next_request()
    assert head is not None
    assert head[4] == 10_000_000_000
    assert [parser.next_body(), parser.next_body()] == [b"x", None]
    parser = parser_with(CHUNKED_POST + b"7fffffffffffffff\r\nx")
    parser.next_request()
    assert [parser.next_body(), parser.next_body()] == [b"x", None]


def test_lengths() -> None:
    chunked = parser_with(CHUNKED_POST).next_request()
    assert chunked is not None
    assert chunked[4] == CHUNKED
    until_close = parser_with(b"HTTP/1.1 200 OK\r\n\r\n", RESPONSE).next_response("GET")
    assert until_close is not None
    assert until_close[4] == UNTIL_CLOSE


# -- what there is -----------------------------------------------------------------------------------------------------


def state(parser: Parser) -> tuple[bool, bool]:
    return parser.started, parser.at_eof


def test_started_and_at_eof() -> None:
    # SRV-62, SRV-29
    for ask in (False, True):
        parser = Parser(REQUEST, Limits())
        for piece in (b"", b"\r", b"\n", b"\r\n\r\n"):
            parser.receive_data(piece)
            if ask:
                assert parser.next_request() is None
            assert state(parser) == (False, False)
        parser.receive_data(b"G")
        assert state(parser) == (True, False)
        if ask:
            assert parser.next_request() is None
            assert state(parser) == (True, False)
        parser.receive_data(GET[1:])
        assert parser.next_request() is not None
        assert state(parser) == (False, False)
        parser.receive_data(b"\r\n")
        parser.receive_eof()
        assert state(parser) == (False, True)
        assert parser.next_request() is None
        assert state(parser) == (False, True)


def test_at_eof_is_false_while_there_is_something() -> None:
    parser = parser_with(GET)
    parser.receive_eof()
    assert state(parser) == (True, False)
    parser.next_request()
    assert state(parser) == (False, True)
    parser = parser_with(CHUNKED_POST + b"0\r\n\r\n")
    parser.receive_eof()
    parser.next_request()
    assert state(parser) == (False, False)
    assert parser.next_body() == b""
    assert state(parser) == (False, True)


def test_buffered() -> None:
    parser = parser_with(GET + GET[:5])
    assert parser.buffered == len(GET) + 5
    parser.next_request()
    parser.receive_data(b"")
    assert parser.buffered == 5
    parser.receive_data(GET[5:])
    assert parser.buffered == len(GET)
    parser.next_request()
    assert parser.buffered == 0


def test_an_idle_parser_holds_no_input() -> None:
    empty_post = CHUNKED_POST + b"0\r\n\r\n"
    for stream, role in ((GET, REQUEST), (empty_post, REQUEST), (b"HTTP/1.1 204 No\r\n\r\n", RESPONSE)):
        parser = parser_with(stream, role)
        head = parser.next_head()
        assert head is not None
        if head[4]:
            assert parser.next_body() == b""
        assert parser._buf == b""


def test_take_rest() -> None:
    # SRV-69, CLI-42
    parser = parser_with(GET + b"rest")
    parser.next_request()
    assert parser.take_rest() == b"rest"
    assert parser.take_rest() == b""
    parser.receive_data(b"more")
    assert parser.take_rest() == b"more"
    with pytest.raises(StateError):
        parser.next_request()
    parser = parser_with(GET[:20])
    assert parser.next_request() is None
    parser.receive_data(GET[20:])
    assert parser.next_request() is not None
    parser.receive_data(b"re")
    parser.receive_data(b"st")
    rest = parser.take_rest()
    assert rest == b"rest"
    assert type(rest) is bytes


def test_the_caller_may_change_what_it_gave() -> None:
    given = bytearray(GET)
    parser = Parser(REQUEST, Limits())
    parser.receive_data(given)
    given[:3] = b"FOO"
    head = parser.next_request()
    assert head is not None
    assert head[0] == "GET"


def test_default_limits() -> None:
    limits = Limits()
    assert limits.max_header_size == 16384  # MOD-7
    assert limits.max_headers_count == 2000  # decision 2, row 6
    assert limits.max_chunk_extension_size == 16384  # WIR-L1
    assert limits.max_informational == 100  # SEC-24


# -- work --------------------------------------------------------------------------------------------------------------


class Work:
    """Counts the bytes that the parser's patterns could have looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        self.calls = 0
        for module, names in (
            (grammar_module, ("_REQUEST_LINE", "_STATUS_LINE", "_FIELD_LINE", "_name_run", "_value_run", "_line_run")),
            (parser_module, ("REQUEST_HEAD", "RESPONSE_HEAD", "_plain_chunk_line")),
            (lenient_module, ("_lf_run", "_blank_run", "_value_run", "_control_run")),
            (_chunked, ("_extension_run",)),
        ):
            for name in names:
                lines = name.endswith("_LINE")
                monkeypatch.setattr(module, name, self.counted(getattr(module, name), lines=lines))

    def counted(
        self, match: Callable[[bytes, int, int], re.Match[bytes] | None], *, lines: bool
    ) -> Callable[..., re.Match[bytes] | None]:
        def count(buf: bytes, start: int, stop: int = 1 << 60) -> re.Match[bytes] | None:
            found = match(buf, start, stop)
            # A failed match may have looked at everything up to the end it was given; that of a line, to its end.
            end = min(stop, len(buf))
            if lines and (at := buf.find(b"\n", start, end)) >= 0:
                end = at
            self.bytes += 1 + (found.end() if found else end) - start
            self.calls += 1
            return found

        return count


WIDE = Limits(max_header_size=1 << 20, max_headers_count=0, max_trailer_size=1 << 20)


def feed(stream: bytes, size: int, parser: Parser | None = None) -> Parser:
    parser = parser or Parser(REQUEST, WIDE)
    in_body = False
    for at in range(0, len(stream), size):
        parser.receive_data(stream[at : at + size])
        while True:
            if in_body:
                piece = parser.next_body()
                if piece is None:
                    break
                in_body = piece != b""
            else:
                head = parser.next_head()
                if head is None:
                    break
                in_body = head[4] != 0
    return parser


STREAMS = {
    "long target": b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "long value": b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 20000 + b"\r\n\r\n",
    "long name": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a" * 20000 + b": b\r\n\r\n",
    "white space": b"GET / HTTP/1.1\r\nHost: a\r\nA:" + b" \t" * 10000 + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:b\r\n" * 4000 + b"\r\n",
    "empty lines": b"\r\n" * 10000 + GET,
    "many heads": GET * 700,
    "tiny chunks": CHUNKED_POST + b"1\r\na\r\n" * 4000 + b"0\r\n\r\n",
    "long extension": CHUNKED_POST + b"1;" + b"a" * 16000 + b"\r\na\r\n0\r\n\r\n",
    "many trailers": CHUNKED_POST + b"0\r\n" + b"a:b\r\n" * 4000 + b"\r\n",
    "one chunk": CHUNKED_POST + b"4e20\r\n" + b"a" * 20000 + b"\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("size", [1, 2, 1000, 1 << 20])
@pytest.mark.parametrize("name", STREAMS)
def test_work_is_linear(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # ASK-56, SEC-30, SEC-31: no byte is looked at more than a few times, whatever the pieces.
    work = Work(monkeypatch)
    stream = STREAMS[name]
    parser = feed(stream, size)
    assert not parser.buffered
    assert not parser.started
    # Only the shortcut looks again at what the grammar then reads, and once per head.
    assert work.bytes <= 5 * len(stream)
    assert work.calls <= 4 * len(stream)


OK = b"HTTP/1.1 200 OK\n"
EMPTY = b"Content-Length: 0\n\n"
BROKEN = {
    "empty lines": b"\n" * 20000 + OK + EMPTY,
    "blanks in a status line": b"HTTP/1.1" + b" \t" * 10000 + b"200 OK\n" + EMPTY,
    "controls in a reason": b"HTTP/1.1 200 " + b"\x01a" * 10000 + b"\n" + EMPTY,
    "controls in a value": OK + b"A: " + b"\x01a" * 10000 + b"\n" + EMPTY,
    "blanks behind a name": OK + b"A" + b" \t" * 10000 + b": b\n" + EMPTY,
    "blanks behind no name": OK + b"A" + b" \t" * 10000 + b"b\n" + EMPTY,
    "a line that is dropped": OK + b"<" + b"a\x01" * 10000 + b"\n" + EMPTY,
    "many lines that are dropped": OK + b"a\n<\n:\r\n" * 2000 + EMPTY,
    "many lines with a blank": OK + b"a : b\n" * 4000 + EMPTY,
    "many folds": OK + b"a: b\n" + b" \x01\n" * 4000 + EMPTY,
    "many heads": (OK + EMPTY) * 500,
}


@pytest.mark.parametrize("size", [1, 2, 1000, 1 << 20])
@pytest.mark.parametrize("name", BROKEN)
def test_work_of_leniencies_is_linear(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # ASK-36, ASK-56
    work = Work(monkeypatch)
    stream = BROKEN[name]
    parser = feed(stream, size, Parser(RESPONSE, WIDE, tolerate=frozenset(LENIENCIES)))
    assert not parser.buffered
    assert not parser.started
    assert work.bytes <= 5 * len(stream)
    assert work.calls <= 4 * len(stream)


def test_nothing_is_copied_again() -> None:
    """Leftovers move into one bytearray, once; it then only grows (amortised constant time)."""
    stream = GET[:10]
    parser = parser_with(stream)
    assert parser._buf is stream
    parser.next_request()
    parser.receive_data(GET[10:12])
    grown: object = parser._buf
    assert isinstance(grown, bytearray)
    for at in range(12, len(GET) - 1):
        parser.receive_data(GET[at : at + 1])
        assert parser.next_request() is None
        assert parser._buf is grown
