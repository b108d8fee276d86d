"""RawStream: what follows an upgrade or CONNECT (SRV-69, SRV-70, CLI-42), as a ``Feed``."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._errors import ConnectionLost
from anywire.core._pump import FOREVER
from anywire.core._raw import RawStream

from .harness import Clock, FakePump, pieces_of, strike


def stream(head: bytes = b"", *, max_buffered: int = 65536) -> tuple[Any, FakePump]:
    pump = FakePump(None, Clock())  # type: ignore[arg-type]
    raw = RawStream(pump, head, max_buffered=max_buffered)
    pump.feed = raw
    return raw, pump


def test_head_comes_first_SRV_69() -> None:
    raw, pump = stream(b"head")
    pump.receive(b"more")
    assert raw.take() == b"headmore"
    assert raw.take() is None
    pump.eof()
    assert [raw.take(), raw.take()] == [b"", b""]


def test_take_at_most() -> None:
    raw, _ = stream(b"abcdef")
    assert [raw.take(4), raw.take(4), raw.take(4)] == [b"abcd", b"ef", None]


def test_a_piece_is_not_copied() -> None:
    raw, pump = stream()
    piece = b"x" * 100
    pump.receive(piece)
    assert raw.take() is piece


@given(data=st.binary(min_size=1, max_size=300), cuts=st.sets(st.integers(1, 299)), sizes=st.lists(st.integers(1, 50)))
def test_nothing_is_lost_or_reordered(data: bytes, cuts: set[int], sizes: list[int]) -> None:
    raw, pump = stream(max_buffered=1000)
    for piece in pieces_of(data, cuts):
        pump.receive(piece)
    pump.eof()
    got = b""
    for size in sizes:
        piece_got = raw.take(size)
        assert piece_got is not None and len(piece_got) <= size
        got += piece_got
    while rest := raw.take():
        got += rest
    assert got == data and raw.want_read


def test_read_ahead_is_bounded() -> None:
    raw, pump = stream(b"1234", max_buffered=8)
    pump.receive(b"567")
    assert raw.want_read
    pump.receive(b"8")
    assert not raw.want_read
    pump.receive(b"waits")
    raw.take(1)
    assert raw.want_read
    pump.resume()
    assert raw.take() == b"2345678waits"


def test_what_came_before_a_reset_is_read_first() -> None:
    raw, pump = stream()
    pump.receive(b"last words")
    pump.reset()
    assert raw.take() == b"last words"
    for _ in range(2):
        with pytest.raises(ConnectionLost) as info:
            raw.take()
        assert info.value.code == errno.errorcode[errno.ECONNRESET]


def test_a_transport_that_was_closed_ends_the_stream() -> None:
    raw, pump = stream()
    pump.close()
    pump.settle()
    assert raw.take() == b""


def test_the_first_error_stays() -> None:
    raw, _ = stream()
    raw.receive_lost(OSError(errno.EPIPE, "x"))
    raw.receive_lost(OSError(errno.ECONNRESET, "y"))
    with pytest.raises(ConnectionLost, match="EPIPE"):
        raw.take()


def test_sending_is_one_send_per_flush() -> None:
    raw, pump = stream()
    raw.send(b"a")
    raw.send(b"b")
    pump.flush()
    pump.flush()
    assert (pump.taken(), pump.sends, raw.data_to_send()) == (b"ab", 1, b"")


def test_idle_timeout_counts_from_the_last_byte_either_way() -> None:
    raw, pump = stream()
    clock = pump.clock
    assert raw.next_deadline(clock.now) == FOREVER
    raw.idle_timeout = 3
    assert raw.next_deadline(clock.now) == clock.now + 3
    clock.now += 2
    pump.receive(b"x")
    assert raw.next_deadline(clock.now) == clock.now + 3
    clock.now += 2
    raw.send(b"y")
    pump.flush()
    assert raw.next_deadline(clock.now) == clock.now + 3
    raw.handle_deadline(clock.now + 2.9)
    assert not pump.aborted
    strike(raw, pump, clock, clock.now + 10, lambda: None)
    assert pump.aborted


def test_observers_are_nobody() -> None:
    raw, _ = stream()
    raw.notice()
    raw.flushed()
    assert raw.take() is None


def test_ended_both_ways_it_is_closed_by_who_reads_its_end() -> None:
    raw, pump = stream()
    raw.end()
    raw.receive_data(b"late")
    raw.receive_eof()  # close_notify: over TLS no FIN need have come, so nobody is given notice
    assert not pump.closing
    assert (raw.take(), pump.closing) == (b"late", False)
    assert (raw.take(), pump.closing) == (b"", True)


def test_an_end_that_was_read_leaves_our_side_open() -> None:
    raw, pump = stream()
    raw.receive_eof()
    assert (raw.take(), pump.closing) == (b"", False)
