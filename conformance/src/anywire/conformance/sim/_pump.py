"""The pump: one end of a connection, which feeds what arrives and sends what is queued.

What arrives is fed one piece at a time, each in a step of its own, whether or not anybody
waits; before that step :meth:`Pump.usable` feeds it. As
with a kernel's sockets, closing with unread input, and input after closing, is answered
with a reset. After a reset what had arrived is fed first: the answer that a server gave
before it closed is often in it (ASK-28).
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from anywire.core import FOREVER, HIGH_WATER_MARK, NOBODY, Feed
from anywire.core.facade import CLOSE_TIMEOUT
from anywire.core.facade.awaiting import FAIRNESS

from ._kernel import Kernel, Parking

if TYPE_CHECKING:
    from anywire.core.facade import Deadline

    from ._network import Pipe

__all__ = ["Pump"]


class Options:
    """What a kernel's socket would remember of ``setsockopt``."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], int] = {}

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Remember."""
        self._values[level, option] = value

    def getsockopt(self, level: int, option: int) -> int:
        """What was set, 0 if nothing was."""
        return self._values.get((level, option), 0)


class Pump:
    """See ``anywire.core.facade.awaiting.AwaitingPump`` for the contract.

    Attributes:
        number: of the connection.
        connecting: not connected yet.
        error: why it could not connect, or a reset.
        waiters: woken when anything happens.
    """

    fairness = FAIRNESS
    feed: Feed

    def __init__(self, kernel: Kernel, number: int, name: Any, peer: Any) -> None:
        self._kernel = kernel
        self._info: dict[str, Any] = {"sockname": name, "peername": peer, "socket": Options()}
        self._in: Pipe | None = None
        self._out: Pipe | None = None
        self._inbox: deque[bytes] = deque()  # b"" is the FIN
        self._outbox = bytearray()
        self._looking = self._ended = self._half_closed = self._closing = False
        self.waiters: list[Parking] = []
        self._timer: Deadline | None = None
        self._due = FOREVER
        self.feed = NOBODY
        self.number = number
        self.connecting = self.blocked = self.closed = False
        self.error: OSError | None = None

    def __repr__(self) -> str:
        return f"#{self.number} {self._info['sockname']} - {self._info['peername']}"

    # ---------------------------------------------------------------- connecting

    def connect(self, limit: float) -> None:
        """Wait to be :meth:`decided`, for `limit` seconds."""
        self.connecting = True
        self._set(self._kernel.now + limit)

    def join(self, out: Pipe, other: Pump, into: Pipe) -> None:
        """Make a connection of two pumps."""
        self._out = other._in = out
        self._in = other._out = into

    def decided(self, error: OSError | None) -> None:
        """The connect succeeded or failed."""
        if self.connecting and not self.closed:
            self.connecting = False
            self.error = self.error or error  # it may have been reset already
            self._set(FOREVER)
            self._wake()

    # ---------------------------------------------------------------- waiting

    async def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; if that is past, look what came and let others run."""
        if due <= 0.0 or self.closed:
            self._read()
            await Parking(self._kernel, self, always=True)
            return
        self._look()
        self._arm(min(due, self.feed.next_deadline(self._kernel.now)))
        await self.changed()

    async def changed(self) -> None:
        """Park until something happened."""
        parking = Parking(self._kernel, self)
        self.waiters.append(parking)
        try:
            await parking
        finally:
            if parking in self.waiters:
                self.waiters.remove(parking)

    def _wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for parking in waiters:
            parking.wake()

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self.waiters:
            self._wake()
        elif not self.closed:
            self._arm(self.feed.next_deadline(self._kernel.now))

    def watch(self) -> None:
        """We always read; but a FIN that came with the request was noticed before anybody listened."""
        if self._ended:
            self._kernel.soon(self._notice)

    def _notice(self) -> None:
        self._kernel.guard(self.feed.notice)

    def _arm(self, deadline: float) -> None:
        if deadline < self._due and not self._closing:
            self._set(deadline)

    def _set(self, deadline: float) -> None:
        self._kernel.forget(self._timer)
        self._due = deadline
        self._timer = self._kernel.at(deadline, self._strike) if deadline < FOREVER else None

    def _strike(self) -> None:
        self._set(FOREVER)
        if self.connecting:
            self.decided(OSError(errno.ETIMEDOUT, "nobody answers"))
        elif self._closing:
            self.abort()
        else:
            self._kernel.guard(lambda: self.feed.handle_deadline(self._kernel.now))
            self.kick()  # who waits arms again

    # ---------------------------------------------------------------- receiving

    def arrive(self, what: str, data: bytes) -> None:
        """Something came through the pipe."""
        assert self._in is not None and self._out is not None, "connected"
        if self.closed:
            self._in.took(len(data))
            if data:
                self._out.end("rst")
        elif what == "rst":
            self.error = ConnectionResetError(errno.ECONNRESET, "reset by peer")
        else:
            self._inbox.append(data)
        self._look()

    def _look(self) -> None:
        if not self._looking and (self._inbox or self.error is not None):
            self._looking = True
            self._kernel.soon(self._looked)

    def _looked(self) -> None:
        self._looking = False
        if self._read():
            self._look()

    def _read(self) -> bool:
        if self.closed or self.feed is NOBODY:
            return False
        if self.error is not None:
            if self._kernel.network.reset_discards:
                self._inbox.clear()
            while self._inbox:
                self._take()
            self._gone(self.error)
        elif self._inbox and self.feed.want_read and not self._closing:
            self._take()
        else:
            return False
        if not self.waiters:
            self._notice()
        self._wake()
        return True

    def _take(self) -> None:
        assert self._in is not None, "something arrived"
        data = self._inbox.popleft()
        self._in.took(len(data))
        if data:
            self.feed.receive_data(data)
        else:
            self._ended = True
            self.feed.receive_eof()
            self._notice()

    def usable(self) -> bool:
        """Feed what arrived; False if it is ending."""
        while self._inbox and not self.closed:
            self._take()
        return not (self.closed or self._ended or self.error)

    # ---------------------------------------------------------------- sending

    def flush(self) -> None:
        """One send for everything that is queued."""
        data = self.feed.data_to_send()
        if data and not self._half_closed:
            self._outbox += data
            self.transmit()
            if self.unsent > HIGH_WATER_MARK and not self.closed:
                self.blocked = True  # until everything is out (RES-49)

    @property
    def unsent(self) -> int:
        """Bytes that the pipe has not taken, or never took."""
        return len(self._outbox)

    def transmit(self) -> None:
        """Send what there is room for. Also called when the receiver has made some."""
        out, outbox = self._out, self._outbox
        if self.closed or self.error is not None or out is None:
            return
        if outbox and out.room > 0:
            size = out.room
            out.put(bytes(outbox[:size]))
            del outbox[:size]
            if not outbox:
                self._wake()
        if not outbox:
            if self.blocked:
                self.blocked = False
                self._kernel.guard(self.feed.flushed)
            if self._half_closed:
                out.end("fin")
            if self._closing:
                self.abort()

    # ---------------------------------------------------------------- ending

    def half_close(self) -> None:
        """FIN after what is queued."""
        if not self.closed and not self._half_closed:
            self.feed.say_goodbye()
            self.flush()
            self._half_closed = True
            self.transmit()

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        if not self.closed and not self._closing:
            self.feed.say_goodbye()
            self.flush()
            self._closing = True
            self._set(self._kernel.now + CLOSE_TIMEOUT)
            self._wake()
            self.transmit()

    def abort(self, how: str = "fin") -> None:
        """Gone, now: no flushing, no goodbye."""
        if not self.closed:
            self._gone(None, how)

    def _gone(self, error: OSError | None, how: str = "fin") -> None:
        self.closed = True
        self.blocked = False
        self._set(FOREVER)
        if self._out is not None:
            self._out.end("rst" if any(self._inbox) else how)
        self.feed.receive_lost(error)
        self._wake()
        self._kernel.soon(self._notice)  # not now: whoever closes may be in the middle of something

    # ---------------------------------------------------------------- the rest

    def info(self, name: str) -> Any:
        """``"sockname"``, ``"peername"``, ``"socket"`` (its options), ``"keep_alive"``, or None; None once closed."""
        return None if self.closed else self._info.get(name)

    def set_tcp_keep_alive(self, delay: float | None) -> None:
        """Noted; there are no probes here."""
        self._info["keep_alive"] = delay
        self._info["socket"].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(delay is not None))
