"""SocketPump: what a pump does with its non-blocking socket, except to wait for it.

Written once, for threads, gevent, trio and event loops. A subclass says how to wait, and is told by
:meth:`SocketPump._backlogged` that the kernel takes no more and by
:meth:`SocketPump._gone` that the socket is to be closed.

**A write error is not yet the exchange's error** (ASK-28). A server that refuses an
upload answers and closes; our next send then fails while its answer waits in the
kernel. So a failed send only marks the transport as broken. Whoever waits next calls
:meth:`SocketPump._fall`, which reads what is there before it reports the loss.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .._outgoing import HIGH_WATER_MARK
from .._secure import SecureFeed
from ._sockets import enable_keep_alive

if TYPE_CHECKING:
    from .._pump import Feed

__all__ = ["CLOSE_TIMEOUT", "RESCUE", "SocketPump"]

READ: Final = 65536
"""Most bytes of one read."""

SMALL: Final = 16384
"""Bytes of a read while nothing larger comes."""

RESCUE: Final = 262144
"""Bytes read from a socket whose sending side failed; more than that nobody says in an error page."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds a peer that does not read may delay the ``close()`` of a pump."""


class SocketPump:
    """See ``anywire.core.Pump`` for the contract."""

    __slots__ = (
        "_broken",
        "_closing",
        "_half_closed",
        "_poll",
        "_queue",
        "_room",
        "blocked",
        "closed",
        "ended",
        "feed",
        "sock",
        "unsent",
    )

    socket: ClassVar[Any]  # the socket module
    select: ClassVar[Any] = None  # the select module, where it has poll()

    feed: Feed

    def __init__(self, sock: Any, feed: Feed) -> None:
        self.sock = sock
        self.feed = feed
        self.unsent = 0
        self.blocked = False
        self.closed = False
        self.ended = False  # the peer's FIN was read: reading on would tell us so for ever
        self._broken: OSError | None = None
        self._closing = False
        self._half_closed = False
        self._poll: Any = None
        self._queue: deque[Any] | None = None
        self._room: memoryview | None = None  # while large pieces come

    # ---------------------------------------------------------------- what a subclass adds

    def _backlogged(self) -> None:
        """The kernel takes no more: come back with :meth:`_transmit` when it does."""

    def _broke(self) -> None:
        """A send failed: call :meth:`_fall` soon, but not from inside this call."""

    def _gone(self) -> None:
        """``closed`` was set: close the socket, stop timers, wake whoever waits."""
        raise NotImplementedError

    # ---------------------------------------------------------------- reading

    def _receive(self) -> bool:
        """Read once. False if there was nothing."""
        # What recv() makes is as large as what was asked for, and cut to size: of large ones an allocator soon keeps as
        # much again as all that waits for a reader. So they are read into one place, and only what came is copied.
        room = self._room
        try:
            data = self.sock.recv(SMALL) if room is None else bytes(room[: self.sock.recv_into(room)])
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose(error)
            return True
        if (len(data) < SMALL) is (room is not None):
            self._room = memoryview(bytearray(READ)) if room is None else None
        if data:
            self.feed.receive_data(data)
        elif self._broken is None:
            self.ended = True
            self.feed.receive_eof()
        else:
            # No FIN: the send that failed took the reset, and the kernel has nothing more to say about it.
            return False
        return True

    def usable(self) -> bool:
        """Feed what has arrived; False if the transport is ending."""
        for _ in range(RESCUE // READ):
            if self.closed or self.ended or self._broken is not None:
                return False
            if self._silent() or not self._receive():
                return True
        return False

    def _silent(self) -> bool:
        """Surely there is nothing to be read. A poll says so for a third of what a read costs that finds nothing."""
        if self.select is None:
            return False
        if self._poll is None:
            self._poll = self.select.poll()
            self._poll.register(self.sock.fileno(), self.select.POLLIN)
        return not self._poll.poll(0)

    def _overhear(self) -> bool:
        """Somebody else parses, and the peer hung up: if nothing is to be read before that, feed the end.

        Only TLS can tell; what it finds it holds until the FIN is read by whoever parses.
        """
        if self.closed or self.ended:
            return False
        feed: Any = self.feed
        try:
            for _ in range(RESCUE // READ):
                if isinstance(feed, SecureFeed):
                    if data := self.sock.recv(READ):
                        feed.decrypt(data)
                    if feed.pending:
                        return False
                    if data and not feed.ended and feed.error is None:
                        continue
                elif self.sock.recv(1, self.socket.MSG_PEEK):
                    return False
                self.ended = True
                feed.receive_eof()
                return True
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose(error)
            return True
        return False

    def _fall(self) -> None:
        """A send failed: read what the peer had said before, then report the loss."""
        left = RESCUE
        while left > 0 and not self.closed and not self.ended and self._receive():
            left -= READ
        error, self._broken = self._broken, None
        if error is not None:
            self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        if not self.closed:
            self.closed = True
            self._drop_queue()
            self._gone()
            self.feed.receive_lost(error)

    # ---------------------------------------------------------------- sending

    def flush(self) -> None:
        """One send for everything that is queued."""
        data: Any = self.feed.data_to_send()
        if not data:
            return
        if self.closed or self._half_closed or self._broken is not None:
            self.unsent += len(data)
            return
        if self._queue:
            self._queue.append(data)
            self.unsent += len(data)
        else:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.unsent = len(data)
                self._break(error)
                return
            if sent == len(data):
                return
            self._queue = deque((memoryview(data)[sent:],))
            self.unsent = len(data) - sent
            self._backlogged()
        self.blocked = self.unsent > HIGH_WATER_MARK

    def _transmit(self) -> bool:
        """Send what waits. True if the queue emptied after it had been blocked: ``feed.flushed()`` is due."""
        queue = self._queue
        while queue:
            data = queue[0]
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._break(error)
                return False
            self.unsent -= sent
            if sent < len(data):
                queue[0] = memoryview(data)[sent:]
                return False
            queue.popleft()
        was_blocked, self.blocked = self.blocked, False
        if self._half_closed:
            self._shut()
        if self._closing:
            self._finish()
        return was_blocked

    def _break(self, error: OSError) -> None:
        self._broken = error
        self._drop_queue()
        self._broke()

    def _drop_queue(self) -> None:
        self._queue = None  # `unsent` stays: who asks what became of a request wants to know (ASK-15)
        self.blocked = False

    # ---------------------------------------------------------------- the end

    def half_close(self) -> None:
        """FIN after what is queued."""
        if self.closed or self._half_closed:
            return
        self.feed.say_goodbye()
        self.flush()
        self._half_closed = True
        if not self._queue:
            self._shut()

    def _shut(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(self.socket.SHUT_WR)

    def close(self) -> None:
        """Let what is queued go out, then close. Does not wait."""
        if self.closed or self._closing:
            return
        self.feed.say_goodbye()
        self.flush()
        self._closing = True
        if not self._queue:
            self._finish()

    def _finish(self) -> None:
        self._lose(None)

    def abort(self) -> None:
        """Gone, now: no flushing, no goodbye."""
        self._lose(None)

    # ---------------------------------------------------------------- the rest

    def info(self, name: str) -> Any:
        """``"peername"``, ``"sockname"``, ``"socket"``, or None."""
        if name == "socket":
            return self.sock
        try:
            return self.sock.getpeername() if name == "peername" else self.sock.getsockname()
        except OSError:
            return None

    def set_tcp_keep_alive(self, delay: float | None) -> None:
        """Probe a silent peer after `delay` seconds."""
        if not self.closed:
            enable_keep_alive(self.socket, self.sock, delay)
