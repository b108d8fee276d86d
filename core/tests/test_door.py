"""Door: who is let in, at once, at the end, and when there is no room (ASK-44, ASK-47)."""

from __future__ import annotations

import errno
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from anywire.core.facade import Door, Listening, SocketRuntime
from anywire.core.facade._door import ACCEPTS, BRIEF, LAST_ACCEPTS, PAUSE, QUIET
from anywire.core.facade._sockets import NOT_NOW


class Sock:
    """A listening socket, its runtime, and its server."""

    full = False

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self.room = True
        self.time = 0.0
        self.events: list[str] = []
        self.timers: list[float] = []

    def now(self) -> float:
        return self.time

    def report(self, message: str, error: BaseException) -> None:
        self.events.append(message)

    def accept(self, sock: object) -> Any:
        assert sock is self
        assert "close" not in self.events, "accept() on a closed socket"
        if not self.room:
            raise OSError(errno.EMFILE, "Too many open files")
        return self.waiting.popleft() if self.waiting else None

    def close(self) -> None:
        self.events.append("close")


class Client:
    closed = False

    def close(self) -> None:
        self.closed = True


class Under(Door):
    """The door that is tested: notes what it asks of its backend."""

    sock: Sock

    def watch(self, wanted: bool) -> None:
        self.sock.events.append("watch" if wanted else "look away")

    def later(self, due: float) -> None:
        self.sock.timers.append(due)


def make(*waiting: object) -> tuple[Sock, Under, list[Any]]:
    sock = Sock()
    entered: list[Any] = []
    sock.waiting.extend(waiting)
    server: Any = sock
    return sock, Under(sock, server, sock, entered.append), entered


def test_all_who_wait_are_let_in_but_not_too_many_at_once() -> None:
    sock, door, entered = make(*range(ACCEPTS + 1))
    door.knock()
    assert entered == list(range(ACCEPTS))
    door.knock()
    assert entered == list(range(ACCEPTS + 1))
    assert sock.events == []


def test_at_the_end_who_waits_is_let_in_when_nobody_can_come_any_more() -> None:
    sock, door, entered = make(1, 2, 3)
    at_entry: list[list[str]] = []

    def enter(client: object) -> None:
        entered.append(client)
        at_entry.append(list(sock.events))

    door._enter = enter
    door.close()
    assert entered == [1, 2, 3]
    assert at_entry == [["look away", "close"]] * 3
    door.close()
    door.knock()
    assert sock.events == ["look away", "close"]


def test_who_goes_on_knocking_does_not_keep_it_open() -> None:
    sock, door, entered = make(*range(2 * LAST_ACCEPTS))
    door.close()
    assert len(entered) == LAST_ACCEPTS
    assert sock.events[-1] == "close"


def test_at_the_end_there_may_be_no_room() -> None:
    sock, door, entered = make(1)
    sock.room = False
    door.close()
    assert entered == []
    assert sock.events == ["look away", "close"]


def test_closed_by_who_was_let_in() -> None:
    sock, door, entered = make(1, 2)

    def enter(client: object) -> None:
        entered.append(client)
        door.close()

    door._enter = enter
    door.knock()
    assert entered == [1, 2]
    assert sock.events == ["look away", "close"]


def test_without_room_it_looks_away_for_a_while_and_says_so_once() -> None:
    sock, door, entered = make(1)
    sock.room = False
    door.knock()
    assert sock.events == ["look away", "Cannot accept connections"]
    assert sock.timers == [PAUSE]
    for _ in range(3):
        door.knock()  # a call that was on its way
    assert len(sock.events) == 2
    sock.time = PAUSE
    door.retry(PAUSE)
    assert sock.events[2:] == ["watch"]
    door.knock()
    assert sock.events[3:] == ["look away"], "it was said"
    assert sock.timers == [PAUSE, 2 * PAUSE]
    sock.room = True
    door.retry(2 * PAUSE)
    door.knock()
    assert entered == [1]


def test_it_says_so_again_after_a_minute() -> None:
    sock, door, _ = make()
    sock.room = False
    while sock.time <= 2 * QUIET:
        door.knock()
        sock.time = door.due
        door.retry(door.due)
    assert sock.events.count("Cannot accept connections") == 3


def test_the_end_of_a_connection_makes_room_at_once() -> None:
    sock, door, entered = make(1, 2)
    sock.room = False
    door.knock()
    sock.room = True
    door.resume()
    assert sock.events[2:] == ["watch"]
    door.knock()
    assert entered == [1, 2]
    door.resume()
    assert sock.events[3:] == [], "nothing was wanting"


def test_a_descriptor_may_be_given_back_a_moment_later() -> None:
    sock, door, _ = make(1)
    sock.room = False
    door.knock()
    door.resume()
    door.resume()  # two at a time
    door.knock()
    assert sock.timers == [PAUSE, BRIEF]
    door.retry(BRIEF)
    door.knock()
    assert sock.timers == [PAUSE, BRIEF, PAUSE], "then it has to be somebody else's"


def test_timers_do_not_add_up() -> None:
    """However often it pauses: only the last one set counts."""
    sock, door, _ = make()
    sock.room = False
    door.knock()
    for each in range(100):
        sock.time = each / 1000
        door.resume()
        door.knock()
    looks = sock.events.count("watch")
    for due in sock.timers[:-1]:
        if due != sock.timers[-1]:
            door.retry(due)
    assert sock.events.count("watch") == looks
    door.retry(sock.timers[-1])
    assert sock.events.count("watch") == looks + 1


def test_a_full_server_lets_them_wait_until_there_is_room_ASK_44() -> None:
    sock, door, entered = make(1, 2)
    sock.full = True
    door.knock()
    assert sock.events == ["look away"], "which is nothing to report"
    assert sock.timers == [], "nor to look at again before something has changed"
    door.retry(PAUSE)  # of another time
    door.resume()
    assert sock.events[1:] == ["watch"]
    door.knock()
    assert sock.events[2:] == ["look away"], "it was not enough"
    assert list(sock.waiting) == [1, 2]

    def enter(client: object) -> None:
        entered.append(client)
        sock.full = True

    door._enter = enter
    for each in (1, 2):
        sock.full = False
        door.resume()
        door.knock()
        assert entered[-1] == each
        assert door.paused
    assert entered == [1, 2]


def test_room_that_is_made_just_when_it_pauses_is_seen_ASK_44() -> None:
    """By another thread, which found nothing paused."""
    sock, door, entered = make(1)

    class Server:
        answers = iter([True, False, False, False])

        @property
        def full(self) -> bool:
            return next(self.answers)

    door._server = Server()  # type: ignore[assignment]
    door.knock()
    assert not door.paused
    assert sock.events == ["look away", "watch"]
    door.knock()
    assert entered == [1]


def test_a_full_server_that_closes_lets_them_in_to_be_dropped_ASK_44() -> None:
    sock, door, entered = make(1, 2)
    sock.full = True
    door.knock()
    door.close()
    assert entered == [1, 2]
    door.resume()
    assert sock.events == ["look away", "look away", "close"]


def test_who_cannot_be_served_is_let_go_and_the_next_one_is_let_in() -> None:
    bad, good = Client(), Client()
    sock, door, entered = make(bad, good)

    def enter(client: Client) -> None:
        if client is bad:
            raise ValueError("of somebody's")
        entered.append(client)

    door._enter = enter
    door.knock()
    assert bad.closed
    assert entered == [good]
    assert sock.events == ["Cannot serve a connection"]


def test_several_doors_and_a_path() -> None:
    class Os:
        def __init__(self) -> None:
            self.removed: list[str] = []

        def unlink(self, path: str) -> None:
            self.removed.append(path)
            raise FileNotFoundError(path)

    doors = [make()[1] for _ in range(2)]
    os = Os()
    bound = SimpleNamespace(getsockname=lambda: "/tmp/somewhere")
    options: Any = SimpleNamespace(path="/tmp/somewhere")
    listening = Listening(os, options, [bound], doors)
    for door in doors:
        door.sock.room = False
        door.knock()
    listening.resume()
    assert not any(door.paused for door in doors)
    listening.stop()
    assert all(door.closed for door in doors)
    assert os.removed == ["/tmp/somewhere"]


@pytest.mark.parametrize("code", sorted(NOT_NOW))
def test_what_the_network_did_to_one_connection_is_no_want_of_room(code: int) -> None:
    class Listener:
        def _accept(self) -> Any:
            raise OSError(code, "accept")

    assert SocketRuntime(None, None, None).accept(Listener()) is None


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL, errno.EBADF])
def test_want_of_room_is_told(code: int) -> None:
    class Listener:
        def _accept(self) -> Any:
            raise OSError(code, "accept")

    with pytest.raises(OSError, match="accept"):
        SocketRuntime(None, None, None).accept(Listener())
