"""DuplexPump: a pump over a byte stream that is no socket, so that a connection can run over anything (ASK-62).

What ``create_connection`` returns need only carry bytes both ways, in the colour of the facade:

* ``receive(max_bytes)``: some bytes, ``b""`` at the end (or ``receive_some``, ``recv``);
* ``send(data)``: all of it (or ``send_all``, ``sendall``; if it returns a number, so many bytes of it);
* ``close()``: both ways, at once, from any thread; it must end a ``receive`` that is under way (or ``aclose``);
* ``send_eof()``, where it can (or ``shutdown_write``); else a half-close closes.

So trio's and anyio's streams will do as they are.

Theory of operation. Those methods wait and a pump's do not. Each direction therefore has a
*carrier*, a task or thread of its own. One piece of input at most lies in the inbox until it
is wanted, which bounds what is read ahead. On threads whoever waits on the pump feeds the
connection, so no carrier ever touches it; tasks of a loop feed it themselves. The loops of
the carriers are the facade's; what they do next is asked here.
"""

from __future__ import annotations

import errno
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .._checks import received
from .._errors import ArgumentTypeError
from .._outgoing import HIGH_WATER_MARK
from .._pump import FOREVER, NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._pump import Feed

__all__ = ["READ", "DuplexPump", "is_duplex"]

READ: Final = 65536
"""Bytes of one read."""

LAST_WORDS: Final = 1.0
"""Seconds that input may take to arrive when sending has failed."""

_RECEIVE: Final = ("receive", "receive_some", "recv")
_SEND: Final = ("send_all", "sendall", "send")
_CLOSE: Final = ("aclose", "close")
_SEND_EOF: Final = ("send_eof", "shutdown_write")


def _method(stream: Any, names: tuple[str, ...]) -> Callable[..., Any] | None:
    return next((method for name in names if callable(method := getattr(stream, name, None))), None)


def is_duplex(candidate: Any) -> bool:
    """Can bytes be carried over it both ways?"""
    return not isinstance(candidate, type) and all(_method(candidate, each) for each in (_RECEIVE, _SEND, _CLOSE))


class DuplexPump:
    """What never waits. See ``anywire.core.Pump`` for the contract.

    Args:
        runtime: the backend's.
        stream: see the module.
    """

    __slots__ = (
        "_broken", "_cancels", "_half_closed", "_inbox", "_loss", "_outbox", "_queued", "_reading", "_receive",
        "_runtime", "_said_eof", "_send", "_send_eof", "_sending", "_sent", "_shut_down", "_stream", "_waiters",
        "_writing", "blocked", "closed", "closing", "ended", "feed",
    )  # fmt: skip

    fairness = 0  # every call may be a checkpoint: that is right on every runtime

    def __init__(self, runtime: Any, stream: Any) -> None:
        self._runtime = runtime
        self._stream = stream
        self._receive: Any = _method(stream, _RECEIVE)
        self._send: Any = _method(stream, _SEND)
        self._shut_down: Any = _method(stream, _CLOSE)
        self._send_eof: Callable[[], Any] | None = _method(stream, _SEND_EOF)
        self._inbox: deque[bytes | OSError] = deque()
        self._outbox: deque[bytes] = deque()
        self._sending = b""  # what the carrier has in hand
        self._queued = 0  # bytes ever, counted by who sends; _sent by the carrier: no counter has two writers
        self._sent = 0
        self._waiters: list[Any] = []
        self._reading: Any = None  # what a carrier sleeps on
        self._writing: Any = None
        self._loss: tuple[OSError | None] | None = None  # the feed has not been told of
        self._half_closed = False
        self._said_eof = False
        self._broken = False  # sending failed: what the peer says may still arrive
        self.feed: Feed = NOBODY
        self.blocked = False
        self.closed = False
        self.closing = False
        self.ended = False
        self._cancels: list[Callable[[], object]] = []
        self._cancels = [self._spawn(self._carry_in), self._spawn(self._carry_out)]

    # ---------------------------------------------------------------- in the facade's colour

    def _spawn(self, work: Any) -> Any:
        """Run one of these beside everything else. Returns what cancels it."""

    def _carry_in(self) -> Any:
        """Receive until there is no more."""

    def _carry_out(self) -> Any:
        """Send until there is no more."""

    def _sleep(self, due: float) -> Any:
        """The carrier of output sleeps until it is woken."""

    def _close_stream(self) -> Any:
        """Call the stream's ``close()``."""

    def _lose_patience(self) -> Any:
        """:meth:`abort`, after a while."""

    # ---------------------------------------------------------------- what carriers do

    def _came(self, data: Any) -> bool:
        """The stream gave `data`. False if that was the last of it."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            name = type(self._stream).__name__
            raise ArgumentTypeError(f"{name}.receive() must return bytes. Received {received(data)}")
        self._inbox.append(bytes(data))
        self._arrived()
        return bool(data)

    def _full(self) -> Any:
        """What to wait on while the inbox is full; None if there is room, or nobody will ever look."""
        self._reading = self._runtime.waiter()
        return self._reading if self._inbox and not self.closed else None

    def _output(self) -> Callable[[], Any] | None:
        """The next call of the carrier of output; None: it is over."""
        self._writing = self._runtime.waiter()
        if self.closed:
            return None
        if not self._sending and self._outbox:
            self._sending = self._outbox.popleft()
        if self._sending:
            return partial(self._send, self._sending)
        if self._half_closed and not self._said_eof:
            self._said_eof = True
            return self._send_eof
        if self.closing:
            self._gone(None)
            self._arrived()
            return None
        return partial(self._sleep, FOREVER)

    def _went(self, result: object) -> None:
        """The call of :meth:`_output` returned."""
        if self._sending:
            count = result if type(result) is int else len(self._sending)
            self._sending = self._sending[count:]
            self._sent += count
            self._arrived()

    def _broke(self) -> Callable[[], Any]:
        """Sending failed, which is not yet the end: the peer may have answered before it went (ASK-28).

        Returns what to call before it is.
        """
        self._broken = True
        self._outbox.clear()
        self._sending = b""
        self._sent = self._queued
        self._arrived()
        self._writing = self._runtime.waiter()
        return partial(self._sleep, self._runtime.now() + (0.0 if self.ended else LAST_WORDS))

    def _failed(self, problem: Exception) -> None:
        """The stream raised `problem`."""
        error = problem if isinstance(problem, OSError) else None
        if error is None:
            error = ConnectionResetError(errno.ECONNRESET, f"{type(self._stream).__name__} failed: {problem!r}")
            error.__cause__ = problem
        self._inbox.append(error)
        self._arrived()

    def _arrived(self) -> None:
        """There is something to be looked at: wake who waits."""
        for waiter in list(self._waiters):
            waiter.wake()

    def _go_on_writing(self) -> None:
        if (writing := self._writing) is not None:
            writing.wake()

    # ---------------------------------------------------------------- what whoever waits does

    @contextmanager
    def _parked(self) -> Iterator[Any]:
        """Inside, wait on what this gives; then look what happened."""
        waiter = self._runtime.waiter()
        self._waiters.append(waiter)
        try:
            yield waiter
        finally:
            self._waiters.remove(waiter)
        self._take_in()
        self.feed.handle_deadline(self._runtime.now())

    def _until(self, due: float) -> float:
        """How long to wait: not at all for what is past, or is there."""
        now: float = self._runtime.now()
        if due <= 0.0 or self.closed or (self._inbox and self._wanted()):
            return now
        return min(due, self.feed.next_deadline(now))

    def _wanted(self) -> bool:
        """Whatever is in the inbox; the end, and what went wrong, are wanted always."""
        piece = self._inbox[0]
        return self.feed.want_read or not piece or isinstance(piece, OSError)

    def _take_in(self) -> None:
        """Feed what is in the inbox and wanted, and tell of what happened."""
        feed = self.feed
        while self._inbox and not self.closed and self._wanted():
            piece = self._inbox.popleft()
            if isinstance(piece, OSError):
                self._gone(piece)
            elif piece:
                feed.receive_data(piece)
                if not self._waiters:
                    feed.notice()
            else:
                self.ended = True
                feed.receive_eof()
                feed.notice()
        if not self._inbox and (reading := self._reading) is not None:
            reading.wake()
        if self.blocked and not self.unsent:
            self.blocked = False
            feed.flushed()
        if self._loss is not None:
            (error,), self._loss = self._loss, None
            feed.receive_lost(error)
            feed.notice()

    def _gone(self, error: OSError | None) -> None:
        if self.closed:
            return
        self.closed = True
        self.blocked = False
        self._loss = (error,)
        self._outbox.clear()
        for carrier in (self._reading, self._writing):
            if carrier is not None:
                carrier.wake()
        with suppress(RuntimeError):  # the loop is over
            for cancel in self._cancels:
                cancel()
            self._spawn(self._close_stream)

    # ---------------------------------------------------------------- a pump's

    @property
    def unsent(self) -> int:
        """Bytes that the stream has not taken."""
        return 0 if self.closed else self._queued - self._sent

    def flush(self) -> None:
        """Give everything that is queued to the carrier."""
        data = self.feed.data_to_send()
        if data and not (self.closed or self.closing or self._half_closed or self._broken):
            self._outbox.append(data)
            self._queued += len(data)
            self.blocked = self.unsent > HIGH_WATER_MARK
            self._go_on_writing()

    def usable(self) -> bool:
        """Feed what has arrived; False if the stream is ending."""
        self._take_in()
        return not (self.closed or self.closing or self.ended or self._broken or self._inbox)

    def half_close(self) -> None:
        """The end of our bytes after what is queued; of a stream that has no such thing, the end of it."""
        if self._send_eof is None:
            self.close()
        elif not (self.closed or self.closing or self._half_closed):
            self.feed.say_goodbye()
            self.flush()
            self._half_closed = True
            self._go_on_writing()

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        if self.closed or self.closing:
            return
        if not self._half_closed:
            self.feed.say_goodbye()
            self.flush()
        self.closing = True
        self._go_on_writing()
        if self.unsent:
            with suppress(RuntimeError):  # the loop is over
                self._spawn(self._lose_patience)

    def abort(self) -> None:
        """Gone, now."""
        if not self.closed:
            self._gone(None)
            self._loss = None
            self.feed.receive_lost(None)
            self._arrived()

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        self._arrived()

    def watch(self) -> None:
        """Nothing is watched for while nobody waits."""

    def info(self, name: str) -> Any:
        """None: there are no addresses."""

    def set_tcp_keep_alive(self, delay: float | None) -> None:
        """Tell the stream, if it wants to know: ``set_keep_alive(enable, delay)``."""
        if callable(tell := getattr(self._stream, "set_keep_alive", None)):
            with suppress(OSError):
                tell(delay is not None, delay or 0.0)
