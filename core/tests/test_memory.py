"""Streams in memory: they hold back, end and break off as sockets do (ASK-64, ASK-65). And the guard."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from anywire.core import SETTINGS, ArgumentTypeError
from anywire.core.memory import AwaitingStream, BlockingStream, block_network, memory_pair


class Event:
    """One that is waited for by hand: :func:`step` runs a coroutine up to the wait, and again once it is set."""

    def __init__(self) -> None:
        self.happened: Any = False  # mypy would take what was seen once for settled

    def set(self) -> None:
        self.happened = True

    async def wait(self) -> None:
        await _Pause(self)


class _Pause:
    def __init__(self, event: Event) -> None:
        self._event = event

    def __await__(self) -> Any:
        yield self._event


def step(work: Coroutine[Any, Any, Any]) -> Event | None:
    """Run up to the next wait; None if it came to its end."""
    try:
        event: Event = work.send(None)
        return event
    except StopIteration:
        return None


def result(work: Coroutine[Any, Any, Any]) -> Any:
    """Of what does not wait."""
    with pytest.raises(StopIteration) as stop:
        work.send(None)
    return stop.value.value


def pair(**options: Any) -> tuple[AwaitingStream, AwaitingStream]:
    return memory_pair(Event, **options)


def test_bytes_arrive_in_order_and_in_pieces() -> None:
    ours, theirs = pair()
    result(ours.send(b"abc"))
    result(ours.send(b"def"))
    assert result(theirs.receive(2)) == b"ab"
    assert result(theirs.receive()) == b"c"
    assert result(theirs.receive()) == b"def"


def test_who_receives_waits_for_the_next_byte() -> None:
    ours, theirs = pair()
    receiving = theirs.receive()
    event = step(receiving)
    assert event is not None and not event.happened
    result(ours.send(b"x"))
    assert event.happened
    assert result(receiving) == b"x"


def test_who_sends_waits_for_room() -> None:
    ours, theirs = pair(room=4)
    sending = ours.send(b"0123456789")
    event = step(sending)
    assert event is not None and not event.happened
    assert result(theirs.receive()) == b"0123"
    assert event.happened
    assert (event := step(sending)) is not None
    assert result(theirs.receive(1)) == b"4"
    assert event.happened
    assert step(sending) is not None
    assert result(theirs.receive()) + result(theirs.receive()) == b"5678"
    assert step(sending) is None
    assert result(theirs.receive()) == b"9"


def test_an_end_leaves_the_other_direction_open() -> None:
    ours, theirs = pair()
    result(ours.send(b"last"))
    ours.send_eof()
    assert [result(theirs.receive()) for _ in range(3)] == [b"last", b"", b""]
    result(theirs.send(b"answer"))
    assert result(ours.receive()) == b"answer"
    with pytest.raises(BrokenPipeError):
        result_of_failure(ours.send(b"more"))


def result_of_failure(work: Coroutine[Any, Any, Any]) -> None:
    work.send(None)


def test_close_ends_what_waits_on_both_sides() -> None:
    ours, theirs = pair(room=1)
    receiving, sending = ours.receive(), theirs.send(b"x")
    assert step(sending) is None
    assert result(receiving) == b"x"
    here, there = ours.receive(), theirs.receive()
    events = step(here), step(there)
    ours.close()
    assert all(event is not None and event.happened for event in events)
    assert result(here) == result(there) == b""
    with pytest.raises(BrokenPipeError):
        result_of_failure(theirs.send(b"y"))


def test_who_closes_with_something_unread_resets() -> None:
    ours, theirs = pair()
    result(theirs.send(b"unread"))
    result(ours.send(b"lost"))
    ours.close()
    with pytest.raises(ConnectionResetError):
        result_of_failure(theirs.receive())


def test_a_wait_that_is_given_up_leaves_nothing_behind() -> None:
    ours, _ = pair()
    receiving = ours.receive()
    assert step(receiving) is not None
    receiving.close()
    assert ours._inward.waiters == []


def test_threads_carry_a_megabyte() -> None:
    ours, theirs = memory_pair(threading.Event, room=1000)
    assert isinstance(ours, BlockingStream)
    data = bytes(range(256)) * 4096

    def send() -> None:
        ours.send(data)
        ours.send_eof()

    sender = threading.Thread(target=send)
    sender.start()
    got = b"".join(iter(lambda: theirs.receive(777), b""))
    sender.join()
    assert got == data


def test_no_class_of_events() -> None:
    with pytest.raises(ArgumentTypeError):
        memory_pair(int)


def test_the_guard_is_undone_in_order() -> None:
    with block_network():
        assert SETTINGS.reachable == frozenset()
        with block_network(allow=["a", "/b"]):
            assert SETTINGS.reachable == {"a", "/b"}
        assert SETTINGS.reachable == frozenset()
    assert SETTINGS.reachable is None
