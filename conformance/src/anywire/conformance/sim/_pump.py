"""The pump: a :class:`~anywire.core.facade.blocking.SocketPump` over an endpoint of the network.

What arrives is fed one piece at a time, each in a step of its own, whether or not anybody
waits. Between its arrival and that step :meth:`Pump.readable` says that it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from anywire.core import FOREVER
from anywire.core.facade.blocking import SocketPump

from ._kernel import Parking, yielded

if TYPE_CHECKING:
    from anywire.core import Feed
    from anywire.core.facade import Deadline

    from ._kernel import Kernel
    from ._network import Endpoint

__all__ = ["Pump"]

CLOSE_TIMEOUT = 5.0
"""Seconds a peer that does not read may delay :meth:`Pump.close`."""


class Constants:
    """What :class:`SocketPump` wants of a socket module."""

    SHUT_WR = 1


class Pump(SocketPump):
    """See ``anywire.core.facade.awaiting.AwaitingPump`` for the contract."""

    __slots__ = ("_armed", "_due", "_kernel", "_looking", "_waiters")

    socket: ClassVar[type[Constants]] = Constants
    would_block = (BlockingIOError,)
    sock: Endpoint

    def __init__(self, kernel: Kernel, endpoint: Endpoint, feed: Feed) -> None:
        super().__init__(endpoint, feed)
        self._kernel = kernel
        self._waiters: list[Parking] = []
        self._armed: Deadline | None = None
        self._due = FOREVER
        self._looking = False
        endpoint.on_readable = self._look
        endpoint.on_writable = self._writable
        self._look()

    def __repr__(self) -> str:
        return f"the pump of {self.sock!r}"

    # ---------------------------------------------------------------- waiting

    async def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; if that is past, look what came and let others run."""
        if due <= 0.0 or self.closed:
            self._read()
            parking = Parking(self._kernel, self)
            parking.wake()
            await yielded(parking)
            return
        self._look()
        self._arm(min(due, self.feed.next_deadline(self._kernel.now)))
        parking = Parking(self._kernel, self)
        self._waiters.append(parking)
        try:
            await parking
        finally:
            if parking in self._waiters:
                self._waiters.remove(parking)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for parking in waiters:
            parking.wake()

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self._waiters:
            self._wake()
        elif not self.closed:
            self._arm(self.feed.next_deadline(self._kernel.now))

    def watch(self) -> None:
        """We always read; but a FIN that came with the request was noticed before anybody listened."""
        if self.ended:
            self._kernel.soon(self._notice)

    def _notice(self) -> None:
        self._kernel.guard(self.feed.notice)

    # ---------------------------------------------------------------- time

    def _arm(self, deadline: float) -> None:
        if deadline < self._due and not self._closing:
            self._disarm()
            self._due = deadline
            self._armed = self._kernel.at(deadline, self._strike)

    def _disarm(self) -> None:
        self._kernel.forget(self._armed)
        self._armed = None
        self._due = FOREVER

    def _strike(self) -> None:
        self._disarm()
        if self._closing:
            self.abort()
            return
        self._kernel.guard(lambda: self.feed.handle_deadline(self._kernel.now))
        self.kick()  # who waits arms again

    # ---------------------------------------------------------------- reading and writing

    def _look(self) -> None:
        if self.readable() and self._hungry() and not self._looking:
            self._looking = True
            self._kernel.soon(self._looked)

    def _looked(self) -> None:
        self._looking = False
        if self._read():
            self._look()

    def _hungry(self) -> bool:
        return not (self.closed or self.ended or self._closing) and self.feed.want_read

    def _read(self) -> bool:
        if not (self._hungry() and self._receive()):
            return False
        if self.ended or self.closed or not self._waiters:
            self._notice()
        self._wake()
        return True

    def readable(self) -> bool:
        """Did anything arrive that was not fed yet?"""
        return self.closed or self.ended or self.sock.readable

    def _writable(self) -> None:
        if self._transmit():
            self._kernel.guard(self.feed.flushed)
        self._wake()

    def _broke(self) -> None:
        self._kernel.soon(self._fallen)

    def _fallen(self) -> None:
        self._fall()
        self._notice()

    # ---------------------------------------------------------------- ending

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        if self.closed or self._closing:
            return
        super().close()
        if not self.closed:
            self._disarm()
            self._armed = self._kernel.at(self._kernel.now + CLOSE_TIMEOUT, self._strike)
            self._wake()

    def _gone(self) -> None:
        self.sock.close()
        self._disarm()
        self._wake()
        self._kernel.soon(self._notice)  # not now: whoever closes may be in the middle of something

    def set_tcp_keep_alive(self, delay: float) -> None:
        """Noted; there are no probes here."""
        self.sock.keep_alive = delay
