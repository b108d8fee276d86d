"""What broke when peers and programs were hostile on purpose. Each test is an attack that once succeeded."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from anywire.core import HIGH_WATER_MARK
from anywire.core._options import request_options
from anywire.core._serializer import render_last_chunk, render_request

from .harness import Serving, get

BIG = b"x" * 100_000


def big(request: Any, response: Any) -> None:
    response.end_nowait(BIG)


# ------------------------------------------------------------------------------------- a reader slower than our timers


@pytest.mark.parametrize("persists", [True, False], ids=["keep-alive", "close"])
@pytest.mark.parametrize("left", [60_000, 100], ids=["blocked", "below the high-water mark"])
def test_no_timer_cuts_an_ended_response_that_is_still_on_its_way_SRV_49(persists: bool, left: int) -> None:
    # Node starts the clock at "finish", which is when the socket has taken everything (SRV-49, RES-80).
    server = Serving(big, keep_alive_timeout=5)
    server.server.linger_timeout = 3
    server.pump.room = 100_000 - left
    sent = server.feed(get("/") if persists else get("/", "Connection: close"))
    for _ in range(10):
        sent += server.advance(20)
        assert not server.pump.over
        server.pump.take(left // 20)
    server.pump.take()
    sent += server.pump.taken()
    assert sent.endswith(BIG)
    assert not server.pump.over
    if left > HIGH_WATER_MARK:  # below it no transport says when it has taken the last byte
        server.advance(2.9)
        assert not server.pump.over
    server.advance(5.2)
    assert server.pump.over


def test_a_reader_that_takes_nothing_of_an_ended_response_is_given_up_SEC_28() -> None:
    server = Serving(big, keep_alive_timeout=5)
    server.pump.room = 10
    server.feed(get("/"))
    server.advance(59)
    assert not server.pump.over
    server.advance(11)
    assert server.pump.over


@pytest.mark.parametrize("behind", [b"G", get("/"), b"\0"], ids=["half a head", "a request", "nonsense"])
def test_nor_is_it_waited_for_when_more_has_arrived_behind_its_request_SEC_28(behind: bytes) -> None:
    # What waits unparsed is served when the answer before it is out, and keeps the connection until then; not for ever.
    server = Serving(big, keep_alive_timeout=5)
    server.pump.room = 10
    server.feed(get("/"), behind)
    server.advance(59)
    assert not server.pump.over
    server.advance(11)
    assert server.pump.over


def test_the_idle_timeout_still_ends_a_reader_that_takes_nothing_SRV_47() -> None:
    server = Serving(big, timeout=2, keep_alive_timeout=0)
    server.pump.room = 10
    server.feed(get("/", "Connection: close"))
    server.advance(2.1)
    assert server.pump.over


# ----------------------------------------------------------------- text that is checked as one thing, sent as another


class Sly(str):
    """Its characters are harmless; what it says of itself is not."""

    __slots__ = ()

    def __str__(self) -> str:
        return "evil\r\nInjected: 1"

    def __format__(self, spec: str) -> str:
        return "evil\r\nInjected: 1"

    def upper(self) -> str:
        return self

    def lower(self) -> str:
        return self


class Word(str, Enum):  # noqa: UP042 - this is what programs have; its str() is not its value
    NAME = "X-Sum"
    METHOD = "POST"
    PATH = "/path"


def test_a_trailer_name_is_sent_as_it_was_checked_SEC_21() -> None:
    assert render_last_chunk({Sly("X-Sum"): "1"}) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert render_last_chunk([(Word.NAME, "1")]) == b"0\r\nX-Sum: 1\r\n\r\n"


def test_a_trailer_name_cannot_hide_from_the_list_of_refused_ones_SEC_11() -> None:
    class Hidden(str):
        __slots__ = ()

        def lower(self) -> str:
            return "x"

    with pytest.raises(ValueError, match="not allowed in trailers"):
        render_last_chunk({Hidden("Content-Length"): "1"})


@pytest.mark.parametrize(("method", "path"), [(Sly("POST"), Sly("/path")), (Word.METHOD, Word.PATH)])
def test_a_request_line_is_sent_as_it_was_checked_SEC_21(method: str, path: str) -> None:
    assert render_request(method, path)[0].startswith(b"POST /path HTTP/1.1\r\n")
    made = request_options(None, {"method": method, "path": path})
    assert (made.method, made.path) == ("POST", "/path")
    assert type(made.method) is type(made.path) is str
