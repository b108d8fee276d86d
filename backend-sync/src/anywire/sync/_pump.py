"""The pump: a non-blocking socket that several threads may hold, and one lock per pump around what they do with it.

The lock is never held while a thread sleeps, and observers are told after it is
released. **Only the owner closes a descriptor**: while anybody sleeps on it, whoever
gives the transport up shuts it down and wakes the sleepers, and the last one to leave
closes it. Else the number could be somebody else's socket by the time a poll returns.

A server's pumps have a post in its crew: while no thread holds one, the crew's poller
watches it.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from anywire.core import FOREVER
from anywire.core.facade import CLOSE_TIMEOUT, SocketPump

from ._sleep import GENERATION, Sleeper, borrow, give_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from anywire.core import Feed

__all__ = ["Pump"]

OVER = select.POLLHUP | select.POLLERR | select.POLLNVAL
READABLE = select.POLLIN | OVER
WRITABLE = select.POLLOUT


def _guarded(inner: Callable[[Any], Any]) -> Callable[[Pump], Any]:
    @wraps(inner)
    def method(self: Pump) -> Any:
        if not self._is_foreign():
            with self.lock:
                return inner(self)

    return method


class Pump(SocketPump):
    """See ``anywire.core.facade.blocking.BlockingPump`` for the contract."""

    __slots__ = ("_generation", "_sleepers", "fd", "lock", "post")

    socket: ClassVar[Any] = socket
    select: ClassVar[Any] = select

    def __init__(self, sock: Any, feed: Feed) -> None:
        super().__init__(sock, feed)
        self.fd: int = sock.fileno()
        self.lock = threading.RLock()
        self.post: Any = None
        self._sleepers: list[Sleeper] = []
        self._generation = GENERATION[0]

    # ---------------------------------------------------------------- waiting

    def wait(self, due: float) -> None:
        """Sleep until something happened, or until `due`; with `due` in the past take in what is there."""
        feed = self.feed
        if due <= 0.0 or self._is_foreign():
            return self.take_in(select.POLLIN if feed.want_read and not self.ended else 0)
        sleeper = borrow()
        events = mask = 0
        with self.lock:
            awake = self.closed or self._broken is not None
            if not awake:
                mask = self.interest()
                due = min(due, feed.next_deadline(monotonic()))
                self._sleepers.append(sleeper)
        try:
            if not awake and (ready := sleeper.sleep(due, ((self.fd, mask),))):
                events = ready[0][1]
        finally:
            if not awake:
                with self.lock:
                    self._sleepers.remove(sleeper)
                    if self.closed and not self._sleepers:
                        self.sock.close()
            give_back(sleeper)
        self.take_in(events)
        if due != FOREVER and (now := monotonic()) >= due:
            feed.handle_deadline(now)

    def interest(self) -> int:
        """What to poll for."""
        mask = select.POLLIN if not self.ended and self.feed.want_read else 0
        return mask | WRITABLE if self._queue else mask

    def take_in(self, events: int) -> None:
        """Read and send what `events` says can be, and tell observers of an end."""
        flushed = False
        with self.lock:
            if self._broken is not None:
                self._fall()
            if events & READABLE and not self.closed:
                if not self.ended:
                    self._receive()
                elif events & OVER:
                    self._lose(None)  # both directions are shut, and polling says so for ever
            if events & WRITABLE and not self.closed:
                flushed = self._transmit()
            told = self.ended or self.closed
        if told:
            self.feed.notice()
        if flushed:
            self.feed.flushed()

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self._is_foreign():
            return
        with self.lock:
            for sleeper in self._sleepers:
                sleeper.wake()
        if self.post is not None:
            self.post.kick()

    def watch(self) -> None:
        """Notice the peer's end while nobody waits, and that it takes more: the crew's poller does, of a server's."""
        if self.post is not None:
            self.post.watch(WRITABLE if self._queue else 0)

    def look(self, events: int) -> None:
        """The peer takes more, or hung up, while a handler is busy elsewhere."""
        if events & WRITABLE:
            self.take_in(WRITABLE)
        if events & ~WRITABLE:
            with self.lock:
                ended = self._overhear()
            if ended:
                self.feed.notice()
        elif not self.closed:
            self.watch()

    # ---------------------------------------------------------------- sending and ending

    usable = _guarded(SocketPump.usable)
    half_close = _guarded(SocketPump.half_close)
    abort = _guarded(SocketPump.abort)

    def flush(self) -> None:
        """One send for everything that is queued; what the kernel does not take goes out while the handler is busy."""
        if self._generation != GENERATION[0] and self._is_foreign():
            return
        with self.lock:
            super().flush()
        if self._queue:
            self.watch()

    def close(self) -> None:
        """Let what is queued go out, for seconds at most, then close."""
        if self._is_foreign():
            return
        with self.lock:
            super().close()
        due = monotonic() + CLOSE_TIMEOUT
        while not self.closed and monotonic() < due:
            self.wait(due)
        self.abort()

    def _gone(self) -> None:
        post = self.post
        if post is not None:
            post.end()
        if self._sleepers:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
            for sleeper in self._sleepers:
                sleeper.wake()
        else:
            self.sock.close()
        if post is not None:
            post.kick()

    def _is_foreign(self) -> bool:
        """The parent's, and we are a forked child: let go of it without a word to the peer."""
        if self._generation == GENERATION[0]:
            return False
        self._generation = GENERATION[0]
        self.lock = threading.RLock()  # who held it does not exist here
        self._sleepers.clear()
        self.post = None
        self.abort()
        return True
