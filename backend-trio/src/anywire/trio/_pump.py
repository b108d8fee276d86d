"""The pump: one non-blocking socket, read by the task that waits, written by whoever flushes.

**Reading.** The first task that waits is the *reader*: it parks in trio's
``wait_readable`` and takes in what comes. Others that wait meanwhile park behind it
(trio allows one task per descriptor and direction) and are woken with it, also when it
is cancelled, so that one of them reads on. Nobody reads while nobody waits; whoever
wants to hear of the peer's end all the same calls :meth:`Pump.watch`, which gives the
connection a task of its own in its server's nursery, until it ends. Between two
exchanges, if the answer was a checkpoint, the next request is likely to be there by
now: it is looked for before anybody parks.

**Writing.** What the kernel does not take at once is sent by a task of its own, which
then ends: only so can a request keep an ear on the answer while its upload is stuck. It
costs nothing that shows, for the kernel wants more only when a third of its buffer is
free.

**Waking.** ``notify_closing`` wakes reader and writer without closing anything; they
look again. A cancel scope around each wait would cost as much as the wait, and one
around a handler would be the handler's too. All deadlines are the :class:`Clock`'s.

**The end.** Closing is synchronous. Observers hear of it a moment later, from the clock,
because whoever closes may be in the middle of something.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import trio
from anywire.core import FOREVER
from anywire.core.facade import CLOSE_TIMEOUT, SocketPump
from trio.lowlevel import ParkingLot, checkpoint, notify_closing, spawn_system_task, wait_readable, wait_writable

if TYPE_CHECKING:
    from anywire.core import Feed
    from anywire.core.facade import Deadline

    from ._clock import Clock

__all__ = ["Pump"]

SOON = -FOREVER


class Pump(SocketPump):
    """See ``anywire.core.facade.awaiting.AwaitingPump`` for the contract."""

    __slots__ = ("_armed", "_clock", "_due", "_lot", "_nursery", "_reading", "_rested", "_watched", "_writing")

    fairness = 0  # every call is a checkpoint
    socket: ClassVar[Any] = socket

    def __init__(self, sock: socket.socket, feed: Feed, clock: Clock, nursery: trio.Nursery | None = None) -> None:
        super().__init__(sock, feed)
        self._clock = clock
        self._nursery = nursery  # servers only
        self._armed: Deadline | None = None
        self._due = FOREVER
        self._lot: ParkingLot | None = None
        self._reading = False
        self._rested = False  # others ran since it read last
        self._writing = False
        self._watched = False

    # ---------------------------------------------------------------- waiting

    async def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; 0 looks what came and lets others run, less only lets."""
        if due <= 0.0 or self.closed:
            if due == 0.0 and not self._reading and self._hungry():
                self._take()
            await checkpoint()
            self._rested = True
            return
        if self._reading or not self._hungry():
            self._arm_for(due)
            if self._lot is None:
                self._lot = ParkingLot()
            await self._lot.park()
            return
        rested, self._rested = self._rested, False
        self._reading = True
        try:
            if rested and self._is_between_exchanges() and self._take():
                return
            self._arm_for(due)
            await wait_readable(self.sock)
            if not self.closed:
                self._take()
        except trio.ClosedResourceError:
            pass  # woken: look again
        finally:
            self._reading = False
            if self._lot:
                self._lot.unpark_all()

    def _is_between_exchanges(self) -> bool:
        """A server's. Whatever else waits here waits in a call of the user's, which has to be a checkpoint."""
        feed: Any = getattr(self.feed, "feed", self.feed)  # what is behind TLS
        return self._nursery is not None and getattr(feed, "message", feed) is None

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self._reading or self._lot:
            self._wake()
        else:
            self._arm(self.feed.next_deadline(trio.current_time()))

    def _wake(self) -> None:
        if self._lot:
            self._lot.unpark_all()
        if self._reading or self._writing:
            with suppress(RuntimeError):  # this run is over
                notify_closing(self.sock)

    def watch(self) -> None:
        """Notice the peer's end although nobody waits, from now on. Only servers promise that."""
        if self._nursery is not None and not (self._watched or self.closed):
            self._watched = True
            self._nursery.start_soon(self._watch)

    async def _watch(self) -> None:
        while not (self.closed or self.ended):
            await self.wait(FOREVER)

    # ---------------------------------------------------------------- time

    def _arm_for(self, due: float) -> None:
        """Somebody is about to park until `due`."""
        deadline = self.feed.next_deadline(trio.current_time())
        self._arm(due if due < deadline else deadline)

    def _arm(self, deadline: float) -> None:
        if deadline < self._due and not self._closing and not self.closed:
            self._set(deadline)

    def _set(self, deadline: float) -> None:
        self._due = deadline
        self._armed = self._clock.arm(deadline, self.strike, self._armed)

    def strike(self) -> None:
        """Called by the clock, at or after the deadline it was given."""
        self._due = FOREVER
        if self._broken is not None:
            self._fall()
        if self.closed:
            self.feed.notice()
        elif self._closing:
            self.abort()
        else:
            self.feed.handle_deadline(trio.current_time())
            self.kick()  # who waits arms again

    # ---------------------------------------------------------------- reading and writing

    def _hungry(self) -> bool:
        return not (self.ended or self.closed or self._closing or self._broken) and self.feed.want_read

    def _take(self) -> bool:
        """Read once. False if there was nothing."""
        if not self._receive():
            return False
        if self.ended:
            self._clock.guard(self.feed.notice)
        return True

    def _backlogged(self) -> None:
        if not self._writing:
            self._writing = True
            spawn_system_task(self._send_rest)

    async def _send_rest(self) -> None:
        while self._queue:
            with suppress(trio.ClosedResourceError):  # woken: look again
                await wait_writable(self.sock)
                if self._transmit():
                    self._clock.guard(self.feed.flushed)
        self._writing = False
        self._wake()

    def _broke(self) -> None:
        self._set(SOON)

    # ---------------------------------------------------------------- ending

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        super().close()
        if not self.closed and self._broken is None:
            self._set(trio.current_time() + CLOSE_TIMEOUT)
            self._wake()

    def _gone(self) -> None:
        self._wake()
        self.sock.close()
        self._set(SOON)
