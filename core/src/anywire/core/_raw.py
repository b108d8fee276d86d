"""RawStream: the bytes after an upgrade or CONNECT.

It takes the connection's place under the same pump (``_pump.Feed``), so a backend
notices nothing. Read ahead is bounded like a connection's.
"""

from __future__ import annotations

from ._errors import AnywireError, os_error
from ._pump import FOREVER, Feed, Pump

__all__ = ["RawStream"]


class RawStream:
    """A byte stream over somebody's pump. See ``_pump.Feed`` for the methods a pump calls.

    Attributes:
        spoken: of a client's: the peer sent bytes behind its answer, before we said anything.
    """

    __slots__ = (
        "_active",
        "_bound",
        "_buffer",
        "_out",
        "_quiet_since",
        "_size",
        "ended",
        "eof",
        "error",
        "idle_timeout",
        "pump",
        "spoken",
    )

    def __init__(self, pump: Pump, head: bytes = b"", *, max_buffered: int = 65536) -> None:
        self.pump = pump
        self.error: AnywireError | None = None
        self.eof = False
        self.ended = False
        self.spoken = False
        self.idle_timeout = 0.0
        self._buffer: list[bytes] = [head] if head else []
        self._size = len(head)
        self._bound = max_buffered or 1  # a stream that may take in nothing could never be read
        self._out: list[bytes] = []
        self._active = True
        self._quiet_since = FOREVER

    def receive_data(self, data: bytes) -> None:
        """Take in what was read."""
        self._buffer.append(data)
        self._size += len(data)
        self._active = True

    def receive_eof(self) -> None:
        """The peer's FIN arrived."""
        self.eof = True

    def receive_lost(self, error: OSError | None) -> None:
        """The transport is gone."""
        self.eof = True
        if self.error is None and error is not None:
            self.error = os_error(error, syscall="read")

    def notice(self) -> None:
        """Nobody observes a raw stream; readers look at it when they wake. Ended both ways it is over, as in Node."""
        if self.eof and self.ended:
            self.pump.close()

    def flushed(self) -> None:
        """Writers look when they wake."""

    def say_goodbye(self) -> None:
        """A raw stream has no last words."""

    def data_to_send(self) -> bytes:
        """Everything queued, once."""
        data = b"".join(self._out)
        self._out.clear()
        if data:
            self._active = True
        return data

    def send(self, data: bytes) -> None:
        """Queue bytes."""
        self._out.append(data)

    def end(self) -> None:
        """Our FIN, after what is queued."""
        self.ended = True
        self.pump.half_close()
        self.notice()

    def take(self, limit: int = 65536) -> bytes | None:
        """Up to `limit` bytes; ``b""`` at the end of the stream; None when input is needed.

        Raises:
            ConnectionLost: the transport failed, and everything received before was taken.
        """
        if self._buffer:
            data = self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)
            self._buffer = [data[limit:]] if len(data) > limit else []
            data = data[:limit]
            self._size -= len(data)
            return data
        if self.error is not None:
            raise self.error
        if not self.eof:
            return None
        self.notice()  # over TLS the end may come before the FIN, and nobody waits for that any more
        return b""

    def unshift(self, data: bytes) -> None:
        """Put `data` back, to be taken next."""
        if data:
            self._buffer.insert(0, data)
            self._size += len(data)

    def pour(self, feed: Feed) -> None:
        """Give what was received, and not taken, to who takes this stream's place."""
        if data := b"".join(self._buffer):
            self._buffer.clear()
            self._size = 0
            feed.receive_data(data)
        if self.eof:
            feed.receive_eof()

    @property
    def want_input(self) -> bool:
        """:meth:`take` would say None."""
        return not (self._buffer or self.eof or self.error)

    @property
    def want_read(self) -> bool:
        """False while enough was read ahead."""
        return self._size < self._bound

    def next_deadline(self, now: float) -> float:
        """Idle timeout, if one is set."""
        if not self.idle_timeout:
            return FOREVER
        if self._active:
            self._active = False
            self._quiet_since = now
        return self._quiet_since + self.idle_timeout

    def handle_deadline(self, now: float) -> None:
        """Silence for too long ends the stream."""
        if now >= self.next_deadline(now):
            self._quiet_since = FOREVER
            self.pump.abort()
