"""The pump: one persistent io watcher per connection, whose callback reads into the core and switches.

The callback runs in the hub. It reads, and switches straight to whoever waits, so a
response costs no further turn of the loop. Waiting is a bare ``hub.switch()``: it is
the only place where a greenlet leaves, and whatever is thrown into it there
(``gevent.Timeout``, ``kill``) finds nothing to clean up but its place in the list.

Greenlets are switched to from the hub alone. Who wants to wake one from elsewhere asks
the hub to look again, for by then it may wait for something else.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from anywire.core import FOREVER
from anywire.core.facade import SocketPump

from ._native import native

if TYPE_CHECKING:
    from anywire.core import Feed

__all__ = ["Pump"]

CLOSE_TIMEOUT = 5.0
"""Seconds a peer that does not read may delay :meth:`Pump.close`."""

READABLE, WRITABLE = 1, 2  # libev's numbers


class Pump(SocketPump):
    """See ``anywire.core.facade.blocking.BlockingPump`` for the contract."""

    __slots__ = ("_armed", "_hub", "_paused", "_reader", "_sleepers", "_timer", "_writer")

    socket = native

    def __init__(self, sock: Any, feed: Feed) -> None:
        super().__init__(sock, feed)
        self._hub: Any = gevent.get_hub()
        self._sleepers: list[Any] = []
        self._timer: Any = None
        self._armed = FOREVER
        self._paused = False
        self._writer: Any = None
        self._reader: Any = self._hub.loop.io(sock.fileno(), READABLE)
        self._reader.start(self._readable)

    # ---------------------------------------------------------------- called by the hub

    def _readable(self) -> None:
        if self.closed:
            return
        feed = self.feed
        if not self._receive():
            return
        if self.ended or self.closed:
            self._pause()
            feed.notice()
        elif not self._sleepers:
            feed.notice()
        if not feed.want_read:
            self._pause()
        self._wake()

    def _writable(self) -> None:
        if self.closed:
            return
        flushed = self._transmit()
        if self._writer is not None and not self._queue:
            self._writer.stop()
        if flushed:
            self.feed.flushed()
        if not self._queue:
            self._wake()

    def _strike(self) -> None:
        self._armed = FOREVER
        if self.closed:
            return
        now = monotonic()
        if self._closing:
            self.abort()
            return
        self.feed.handle_deadline(now)
        if self._sleepers:
            self._wake()  # who waits arms again
        else:
            self._arm(self.feed.next_deadline(now))

    def _tell(self) -> None:
        if self._broken is not None:
            self._fall()
        self.feed.notice()
        self._wake()

    def _wake(self) -> None:
        sleepers = self._sleepers
        for _ in range(len(sleepers)):
            if not sleepers:  # who was woken killed the next one
                break
            sleepers.pop(0).switch()

    # ---------------------------------------------------------------- waiting

    def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; with `due` in the past take in what is there."""
        if due <= 0.0 or self.closed:
            gevent.sleep(0)
            if not self.closed and not self._paused:
                self._receive()
            return
        feed = self.feed
        if self._paused and feed.want_read and not self.ended:
            self._paused = False
            self._reader.start(self._readable)
        deadline = feed.next_deadline(monotonic())
        self._arm(min(due, deadline))
        me = gevent.getcurrent()
        self._sleepers.append(me)
        try:
            self._hub.switch()
        except BaseException:
            if me in self._sleepers:
                self._sleepers.remove(me)
            raise

    def _arm(self, deadline: float) -> None:
        if deadline < self._armed and not self.closed:
            if self._timer is not None:
                self._timer.close()
            self._armed = deadline
            self._timer = self._hub.loop.timer(max(0.0, deadline - monotonic()))
            self._timer.start(self._strike, update=True)

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self._sleepers:
            self._hub.loop.run_callback(self._wake)
        elif not self.closed:
            self._arm(self.feed.next_deadline(monotonic()))

    def watch(self) -> None:
        """Input is always watched for."""

    # ---------------------------------------------------------------- for SocketPump

    def _pause(self) -> None:
        self._paused = True
        if not self.closed:
            self._reader.stop()

    def _backlogged(self) -> None:
        if self._writer is None:
            self._writer = self._hub.loop.io(self.sock.fileno(), WRITABLE)
        self._writer.start(self._writable)

    def _broke(self) -> None:
        self._hub.loop.run_callback(self._tell)

    def _gone(self) -> None:
        for watcher in (self._reader, self._writer, self._timer):
            if watcher is not None:
                watcher.close()
        self.sock.close()
        self._hub.loop.run_callback(self._tell)

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        super().close()
        if not self.closed:
            self._armed = FOREVER
            self._arm(monotonic() + CLOSE_TIMEOUT)
