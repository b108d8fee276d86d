"""WatchedPump: a socket that an event loop watches and calls back about.

Input is always read, whether or not anybody waits, unless the feed has enough; so the
end of a peer is noticed at once. There is one timer per pump, armed only for an earlier
deadline. A subclass says how to wait: :class:`anywire.core.facade.awaiting.LoopPump`
parks coroutines, gevent's switches greenlets.

``feed.notice()`` calls listeners, and a listener may raise. That is the loop's to report;
whoever waits is woken all the same. What we end ourselves is told a turn later: whoever
closes may be in the middle of something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .._pump import FOREVER
from ._socket_pump import CLOSE_TIMEOUT, SocketPump

if TYPE_CHECKING:
    from .._pump import Feed

__all__ = ["READABLE", "WRITABLE", "WatchedPump"]

READABLE: Final = 1
"""What to watch a socket for, and what is the matter with it: the numbers of ``selectors`` and of libev."""

WRITABLE: Final = 2


class WatchedPump(SocketPump):
    """See ``anywire.core.Pump`` for the contract.

    Args:
        sock: connected and non-blocking.
        feed: who gets what arrives.
        loop: has ``now``, ``soon``, ``at``, ``forget`` and ``watch`` of
            :class:`anywire.core.facade.awaiting.Loop`.
        socket: the module.
    """

    __slots__ = ("_due", "_loop", "_timer", "_waiting", "_watching", "socket")

    def __init__(self, sock: Any, feed: Feed, loop: Any, socket: Any) -> None:
        super().__init__(sock, feed)
        self.socket = socket  # type: ignore[misc]  # handed in, not known by the class
        self._loop = loop
        self._waiting: list[Any] = []  # whoever is parked here
        self._timer: Any = None
        self._due = FOREVER
        self._watching = 0
        self._watch()

    # ---------------------------------------------------------------- what the loop calls

    def _ready(self, events: int) -> None:
        """The socket can be read, written, or both. May be called once more after the end."""
        if events & WRITABLE:
            self._write()
        if events & READABLE:
            self._read()

    def _read(self) -> None:
        if not self._hungry() or not self._receive() or self.closed:
            return
        if self.ended:
            self._watch()
        try:
            if self.ended or not self._waiting:
                self.feed.notice()
        finally:
            self._wake()

    def _hungry(self) -> bool:
        """To be asked when there is input. If it is not wanted, it is watched for no longer.

        Not before: who reads as fast as it comes has taken what was read by the time that there is more.
        """
        if self._watching & READABLE and self.feed.want_read:
            return True
        self._watch()
        return False

    def _write(self) -> None:
        if self.closed:
            return
        flushed = self._transmit()
        self._watch()
        try:
            if flushed:
                self.feed.flushed()
        finally:
            if not self._queue and self._broken is None:  # else _tell() wakes, when the answer is read (ASK-28)
                self._wake()

    def _strike(self) -> None:
        self._timer, self._due = None, FOREVER
        if self._closing:
            self.abort()
            return
        try:
            self.feed.handle_deadline(self._loop.now())
        except BaseException:  # a listener's: it ends its own connection, and nothing else (SEC-40)
            self.abort()
            raise
        self.kick()  # who waits arms again

    def _tell(self) -> None:
        if self._broken is not None:
            self._fall()
        try:
            self.feed.notice()
        finally:
            self._wake()

    # ---------------------------------------------------------------- waiting

    def _prepare(self, due: float) -> None:
        """Somebody is about to park until `due`: read on if that is wanted, and see that they are woken."""
        if self._watching != READABLE:  # nearly always there is nothing else to watch for, and nothing to resume
            self._watch()
        deadline = self.feed.next_deadline(self._loop.now())
        if due < deadline:
            deadline = due
        if deadline < self._due:
            self._arm(deadline)

    def _wake(self) -> Any:
        """Let all who are parked here look again. Called by the loop only."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.wake()

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self._waiting:
            self._loop.soon(self._wake)
        else:
            self._arm(self.feed.next_deadline(self._loop.now()))

    def watch(self) -> None:
        """Input is always watched for; but a FIN that came with the request was noticed before anybody listened."""
        if self.ended:
            self._loop.soon(self._tell)

    def _watch(self) -> None:
        """Have the socket watched for whatever can be done with it now."""
        events = 0
        if not self.closed:
            if not (self.ended or self._closing) and self._broken is None and self.feed.want_read:
                events = READABLE
            if self._queue:
                events |= WRITABLE
        if events != self._watching:
            self._watching = events
            self._loop.watch(self.sock, events, self._ready)

    def _arm(self, deadline: float) -> None:
        if deadline < self._due and not (self.closed or self._closing):
            self._set(deadline)

    def _set(self, deadline: float) -> None:
        if self._timer is not None:
            self._loop.forget(self._timer)
        self._due = deadline
        self._timer = self._loop.at(deadline, self._strike) if deadline < FOREVER else None

    # ---------------------------------------------------------------- for SocketPump

    def _backlogged(self) -> None:
        self._watch()

    def _broke(self) -> None:
        self._loop.soon(self._tell)

    def _gone(self) -> None:
        self._watch()
        self._set(FOREVER)
        self.sock.close()
        self._loop.soon(self._tell)

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        if not (self.closed or self._closing):
            super().close()
            if not self.closed:
                self._watch()
                self._set(self._loop.now() + CLOSE_TIMEOUT)
