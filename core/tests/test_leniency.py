"""Leniencies by name: each adds what it says, for responses, and nothing else (ASK-36)."""

from __future__ import annotations

import re
from itertools import chain, combinations
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anywire.conformance.parsing import Setup, events, splits
from anywire.core import (
    LENIENCIES,
    REQUEST,
    RESPONSE,
    ArgumentTypeError,
    ArgumentValueError,
    ClientAgent,
    ClientConnection,
    IncomingMessage,
    Limits,
    ParseError,
    Parser,
    request_options,
    server_options,
)
from anywire.core._keywords import _Lenient
from anywire.core._parser import HEAD

from .test_parser_properties import BODIES, FIELDS, LIMITS, LINES

OPTIONS = (Path(__file__).resolve().parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
ALL = frozenset(LENIENCIES)
SETS = [frozenset(names) for names in chain.from_iterable(combinations(sorted(ALL), n) for n in range(len(ALL) + 1))]

LENGTH = b"Content-Length: 0\r\n\r\n"
LAST = "response 200 HTTP/1.1 length=0 chunked-ok: OK"
LAST_1_0 = "response 200 HTTP/1.0 length=0: OK"
NO_FIELD = ["field Content-Length: 0"]
# What is taken, by the one name that it needs, and how it is read. `Source` of each is the section in LENIENCIES.
TAKEN: list[tuple[str, bytes, list[str]]] = [
    ("bare_lf", b"HTTP/1.1 200 OK\n" + LENGTH, [LAST, *NO_FIELD]),
    ("bare_lf", b"HTTP/1.1 200\n" + LENGTH, [LAST[:-3], *NO_FIELD]),
    ("bare_lf", b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", [LAST, *NO_FIELD]),
    ("bare_lf", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", [LAST, *NO_FIELD]),
    ("bare_lf", b"HTTP/1.1 200 OK\nA:b\n\tc\nContent-Length: 0\n\n", [LAST, "field A: b c", *NO_FIELD]),
    ("bare_lf", b"\n\r\n\nHTTP/1.1 200 OK\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("control_chars", b"HTTP/1.1 200 O\x7fK\r\n" + LENGTH,
     ["response 200 HTTP/1.1 length=0 keep-alive chunked-ok: O\\x7fK", *NO_FIELD]),
    ("control_chars", b"HTTP/1.1 200 OK\r\nA: \x01b\x0b\x1f\r\n" + LENGTH,
     ["response 200 HTTP/1.1 length=0 keep-alive chunked-ok: OK", "field A: \\x01b\\x0b\\x1f", *NO_FIELD]),
    ("control_chars", b"HTTP/1.1 200 OK\r\nA: b\r\n \x02\r\n" + LENGTH,
     ["response 200 HTTP/1.1 length=0 keep-alive chunked-ok: OK", "field A: b \\x02", *NO_FIELD]),
    ("space_before_colon", b"HTTP/1.1 200 OK\r\nA \t: b\r\n" + LENGTH, [LAST, "field A: b", *NO_FIELD]),
    ("space_before_colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", [LAST, *NO_FIELD]),
    ("space_before_colon", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection : keep-alive\r\n\r\n",
     [LAST, *NO_FIELD, "field Connection: keep-alive"]),
    ("bad_lines", b"HTTP/1.1 200 OK\r\nA\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("bad_lines", b"HTTP/1.1 200 OK\r\n" + LENGTH[:-2] + b": b\r\n\r\n", [LAST, *NO_FIELD]),
    ("bad_lines", b"HTTP/1.1 200 OK\r\nA b: c\r\nD: e\r\n" + LENGTH, [LAST, "field D: e", *NO_FIELD]),
    ("bad_lines", b"HTTP/1.1 200 OK\r\nA b\r\nHTTP/1.1 200 OK\r\n\xe9: c\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("status_line", b"HTTP/1.1  200 OK\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("status_line", b"HTTP/1.1\t200\tOK\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("status_line", b"HTTP/1.1 \t \t200 OK\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("status_line", b"hTtp/1.1 200 OK\r\n" + LENGTH, [LAST, *NO_FIELD]),
    ("status_line", b"HTTP/1 200 OK\r\n" + LENGTH, [LAST_1_0, *NO_FIELD]),
    ("status_line", b"HTTP/2 200 OK\r\n" + LENGTH, [LAST_1_0, *NO_FIELD]),
    ("status_line", b"HTTP/2.1 200 OK\r\n" + LENGTH, [LAST_1_0, *NO_FIELD]),
    ("status_line", b"HTTP/0.9 200 OK\r\n" + LENGTH, [LAST_1_0, *NO_FIELD]),
    ("status_line", b"ICY 200 OK\r\n" + LENGTH, [LAST_1_0, *NO_FIELD]),
    ("status_line", b"\r\nICY\t200 OK\r\n" + LENGTH, [LAST_1_0, *NO_FIELD]),
    ("repeated_length", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + LENGTH, [LAST, *NO_FIELD, *NO_FIELD]),
    ("repeated_length", b"HTTP/1.1 200 OK\r\nContent-Length: 0 ,00\r\n\r\n", [LAST, "field Content-Length: 0 ,00"]),
    ("length_with_chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
     ["response 200 HTTP/1.1 length=chunked chunked-ok: OK", "field Transfer-Encoding: chunked",
      "field Content-Length: 9", "end"]),
    ("length_with_chunked", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
     ["response 200 HTTP/1.1 length=chunked chunked-ok: OK", "field Content-Length: 0",
      "field Transfer-Encoding: x, chunked", "end"]),
]  # fmt: skip
# What is refused with all of them together.
REFUSED = [
    b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\r\nA: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA\r\n folded\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b\0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b\rc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding\x01: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding /: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\x0b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked, chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\x01\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection : a\r\n b\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 1\n 0\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1,\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: ,\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding:\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 200OK\r\n\r\n",
    b"HTTP/10.1 200 OK\r\n\r\n",
    b"HTTP/1.10 200 OK\r\n\r\n",
    b"HTTP/1.\n200 OK\r\n\r\n",
    b"HTTP 200 OK\r\n\r\n",
    b"icy 200 OK\r\n\r\n",
    b" HTTP/1.1 200 OK\r\n\r\n",
    b"<html>\r\n\r\n",
]


def read(stream: bytes, names: frozenset[str], size: int = 0, method: str | None = None) -> list[str]:
    setup = Setup(RESPONSE, Limits(), method=method, tolerate=names)
    return events(setup, splits(stream, [size] * len(stream)) if size else [stream])


@pytest.mark.parametrize(("name", "stream", "log"), TAKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_each_by_its_own_name_and_by_no_other(name: str, stream: bytes, log: list[str]) -> None:
    for names in SETS:
        for size in (0, 1):
            read_so = read(stream, names, size)
            if name in names:
                assert read_so == log
            else:
                assert read_so[-1].startswith("error HPE_"), names


@pytest.mark.parametrize("stream", REFUSED)
def test_what_none_of_them_covers(stream: bytes) -> None:
    for size in (0, 1):
        assert read(stream, ALL, size)[-1].startswith("error HPE_")
    assert not any(line.startswith("response") for line in read(stream, ALL))


def test_nothing_follows_in_the_pool_behind_a_doubt() -> None:
    """Also when it was in an interim response, and the final one is taken by the shortcut."""
    final = b"HTTP/1.1 200 OK\r\n" + LENGTH
    kept = "response 200 HTTP/1.1 length=0 keep-alive chunked-ok: OK"
    assert read(b"HTTP/1.1 103 A\r\n\r\n" + final, ALL)[1:] == [kept, *NO_FIELD]
    assert read(b"HTTP/1.1 103 A\n\n" + final, ALL)[1:] == [LAST, *NO_FIELD]
    assert read(b"HTTP/1.1 103 A\x01\r\n\r\n" + final, ALL)[1:] == [kept, *NO_FIELD]


def test_a_head_that_is_answered_without_a_body() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert read(chunked, ALL, method="HEAD")[0] == "response 200 HTTP/1.1 length=0 chunked-ok no-body: OK"


# Streams of every kind of offence, near to valid.
BROKEN_LINES = [
    *LINES[RESPONSE],
    b"http/1.1 200 OK",
    b"HTTP/1 200 OK",
    b"HTTP/1.1\t200\tOK",
    b"HTTP/1.1 200 \x01",
    b"IC",
]
BROKEN_FIELDS = [
    *FIELDS, b"Content-Length : 3", b"Content-Length: 3, 3", b"Content-Length 3", b"Transfer-Encoding\t: chunked",
    b"Connection : close", b"Connection: \x01", b"a b", b"a b: c", b"<i>", b"<i>: \x01", b"a \t", b":",
]  # fmt: skip
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """One to three responses."""
    out = bytearray()
    for _ in range(draw(st.integers(1, 3))):
        lines = [draw(st.sampled_from(BROKEN_LINES)), *draw(st.lists(st.sampled_from(BROKEN_FIELDS), max_size=4)), b""]
        end = draw(st.sampled_from(ENDS[:4])) if draw(st.booleans()) else None
        for line in lines:
            out += line + (draw(st.sampled_from(ENDS)) if end is None else end)
        out += draw(st.sampled_from(BODIES))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(out) - 1))
        piece = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b"a", b"\x01"])
        )
        out[at : at + draw(st.integers(0, 2))] = piece
    return bytes(out)


METHODS = st.sampled_from([None, "GET", "HEAD", "CONNECT"])


@settings(max_examples=600)
@given(st.data())
def test_every_split_gives_the_same_events(data: st.DataObject) -> None:
    """SEC-29, WIR-75."""
    stream = data.draw(broken())
    names = data.draw(st.sampled_from(SETS))
    setup = Setup(RESPONSE, data.draw(LIMITS), data.draw(st.booleans()), data.draw(METHODS), tolerate=names)
    end = data.draw(st.booleans())
    whole = events(setup, [stream], end=end)
    assert events(setup, [stream[i : i + 1] for i in range(len(stream))], end=end) == whole
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=12))
    assert events(setup, splits(stream, sizes), end=end) == whole


@settings(max_examples=600)
@given(st.data())
def test_they_only_add(data: st.DataObject) -> None:
    """What is read with fewer is read the same with more, up to where those with fewer stopped."""
    stream = data.draw(broken())
    lenient, method, limits = data.draw(st.booleans()), data.draw(METHODS), data.draw(LIMITS)
    more = data.draw(st.sampled_from(SETS))
    fewer = frozenset(name for name in more if data.draw(st.booleans()))
    strict = events(Setup(RESPONSE, limits, lenient, method, tolerate=fewer), [stream])
    loose = events(Setup(RESPONSE, limits, lenient, method, tolerate=more), [stream])
    if strict and strict[-1].startswith("error"):
        strict.pop()
    while strict and strict[-1].startswith(("body", "field", "trailer")):  # the error may have cut them short
        strict.pop()
    assert loose[: len(strict)] == strict


SOUND = [
    b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive", b"X: y",
    b"Set-Cookie: a=b", b"A:", b"B:  c d\t", b"X:y\r\n z",
]  # fmt: skip


@settings(max_examples=400)
@given(st.data())
def test_what_was_spoilt_is_read_as_it_was_meant(data: st.DataObject) -> None:
    """A sound response, and the same with what one leniency is about put into its head; but for what may follow."""
    fields = data.draw(st.lists(st.sampled_from(SOUND), max_size=5))
    line = data.draw(
        st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404", b"HTTP/1.1 304 Not Modified", b"HTTP/1.0 200 "])
    )
    body = data.draw(st.sampled_from([b"", b"abc", b"3\r\nabc\r\n0\r\nT: u\r\n\r\n"]))
    name = data.draw(st.sampled_from(["bare_lf", "space_before_colon", "bad_lines", "status_line"]))
    sound = b"\r\n".join([line, *fields, b"", b""])
    wrong = sound
    if name == "bare_lf":
        wrong = b"".join(piece + data.draw(st.sampled_from([b"\r\n", b"\n"])) for piece in sound.split(b"\r\n")[:-1])
    elif name == "status_line":
        blanks = st.sampled_from([b" ", b"  ", b"\t", b" \t "])
        version, _, rest = line.partition(b" ")
        wrong = version + data.draw(blanks) + rest + sound[len(line) :]
    else:
        made = [line]
        for field in fields:
            if name == "bad_lines":
                made += data.draw(st.lists(st.sampled_from([b"a", b"b c: d", b":", b"<br />", b"\xff: x"]), max_size=2))
            blank = data.draw(st.sampled_from([b"", b" ", b"\t "])) if name == "space_before_colon" else b""
            made.append(field.replace(b":", blank + b":", 1))
        wrong = b"\r\n".join([*made, b"", b""])
    meant = [each.replace(" keep-alive", "") for each in read(sound + body, frozenset())]
    assert [each.replace(" keep-alive", "") for each in at_sound_offsets(read(wrong + body, frozenset({name})))] == (
        at_sound_offsets(meant)
    )


def at_sound_offsets(log: list[str]) -> list[str]:
    """Without offsets, which count what came."""
    return [re.sub(r" at \d+,", ",", line) for line in log]


@settings(max_examples=200)
@given(broken())
def test_errors_hold_nothing_of_what_follows_the_head(stream: bytes) -> None:
    """SEC-45, with LF alone for a line end, too."""
    parser = Parser(RESPONSE, Limits(), tolerate=ALL)
    parser.receive_data(stream)
    packet = b""
    at = 0
    try:
        parser.next_response("GET")
    except ParseError as error:
        packet, at = error.raw_packet or b"", error.bytes_parsed
    assert packet in stream
    assert not re.search(rb"[^\r\n]\r?\n\r?\n.", packet[at:], re.DOTALL)


def test_an_error_of_framing_shows_its_head_and_no_more() -> None:
    parser = Parser(RESPONSE, Limits(), tolerate=frozenset({"bare_lf"}))
    parser.receive_data(b"HTTP/1.1 200 OK\nContent-Length: x\n\nHTTP/1.1 200 OK\r\nSet-Cookie: a\r\n\r\n")
    with pytest.raises(ParseError) as caught:
        parser.next_response("GET")
    assert caught.value.raw_packet == b"HTTP/1.1 200 OK\nContent-Length: x\n\n"
    assert caught.value.field == "Content-Length"


@pytest.mark.parametrize(
    "endless", [b"\n", b"a\n", b"a\r\n", b":\r\n", b"<\n", b"a \r\n", b"a : b\n", b"x: \x01\r\n", b"x: a\n \x01\n"]
)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_limits_hold(endless: bytes, size: int) -> None:
    """ASK-38: what is dropped counts."""
    head = b"" if endless == b"\n" else b"HTTP/1.1 200 OK\r\n"
    log = read(head + endless * 16385, ALL, size)
    assert log[-1].startswith("error HPE_HEADER_OVERFLOW at ")


@pytest.mark.parametrize("line", [b"<", b":", b"a", b"a b", b"a b: c", b"a : b"])
def test_what_is_dropped_counts_as_a_field(line: bytes) -> None:
    setup = Setup(RESPONSE, Limits(max_headers_count=3), tolerate=ALL)
    stream = b"HTTP/1.1 200 OK\r\n" + 2 * (line + b"\r\n") + LENGTH
    assert events(setup, [stream])[0] == LAST
    assert events(setup, [stream[:17] + line + b"\r\n" + stream[17:]])[-1].endswith("Too many header fields")


def test_a_server_has_none() -> None:
    with pytest.raises(ArgumentTypeError, match="a server is strict"):
        server_options({"lenient": ["bare_lf"]})
    with pytest.raises(ArgumentValueError, match="a server is strict"):
        Parser(REQUEST, Limits(), tolerate=frozenset({"bare_lf"}))


def test_the_option() -> None:
    assert request_options(None, {"lenient": ["bare_lf"]}).lenient == frozenset({"bare_lf"})
    assert request_options(None, {"lenient": ()}).lenient == frozenset()
    assert request_options(None, {}).lenient is None
    assert request_options(None, {}).plain
    agent = ClientAgent(lenient={"bare_lf"})
    assert agent.lenient == agent.options["lenient"] == {"bare_lf"}
    assert isinstance(agent.lenient, frozenset)
    assert ClientAgent().lenient == frozenset()
    assert "lenient" not in ClientAgent(lenient=None).options
    with pytest.raises(AttributeError):
        agent.lenient = {"bad_lines"}  # type: ignore[misc, assignment]


@pytest.mark.parametrize(
    ("given_", "meant"),
    [("bare-lf", "bare_lf"), ("bareLF", "bare_lf"), ("controlChars", "control_chars"), ("statusline", "status_line")],
)
def test_an_unknown_name_and_the_closest_one(given_: str, meant: str) -> None:
    for take in (lambda value: request_options(None, value), lambda value: ClientAgent(**value)):
        with pytest.raises(ArgumentValueError, match=f'did you mean "{meant}"'):
            take({"lenient": {given_}})


def test_a_strict_connection_has_the_strict_grammar() -> None:
    """Nothing is looked at twice when nothing is lenient."""

    def made(names: frozenset[str]) -> Any:
        connection = ClientConnection(
            Limits(), tolerate=names, message_class=IncomingMessage, make_socket=lambda connection: None
        )
        parser = connection._parser
        parser.receive_data(b"H")
        assert parser.next_response("GET") is None and parser._mode != HEAD
        return type(parser._grammar).__name__

    assert made(frozenset()) == "HeadGrammar"
    assert made(frozenset({"bare_lf"})) == "LenientGrammar"


def test_the_table_is_told_the_same_everywhere() -> None:
    assert set(get_args(_Lenient)) == ALL
    section = OPTIONS.split("\n## Leniencies\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split(" | ")] for line in section.splitlines() if line.startswith("| `")]
    assert [[f"| `{name}`", each.accepts, each.departs, f"{each.risks} |"] for name, each in LENIENCIES.items()] == rows
    assert len({each.bit for each in LENIENCIES.values()}) == len(LENIENCIES)
