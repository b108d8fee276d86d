"""Programs without a network: a client and a server joined in memory, and a guard against all other connections.

Three lines join them (ASK-64), on every runtime alike; :func:`memory_pair` is told how that one waits::

    async def connect(options):                         # without async and await on threads and gevent
        ours, theirs = memory_pair(asyncio.Event)       # trio.Event, threading.Event, gevent.event.Event
        server.emit("connection", theirs)
        return ours

    agent = http.Agent(create_connection=connect)

It is at the level of bytes: heads, framing, pooling, back-pressure and what breaks off are what they are on a socket.
"""

from __future__ import annotations

import errno
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ._checks import wrong_type
from ._settings import SETTINGS

__all__ = ["AwaitingStream", "BlockingStream", "MemoryStream", "block_network", "memory_pair"]

ROOM: Final = 65536
"""Bytes that one end may be ahead of the other."""


class _Pipe:
    """One direction. Threads may hold its ends: each counter and flag has one writer, and each step is one call."""

    __slots__ = ("_chunks", "_limit", "_put", "_taken", "ended", "forsaken", "reset", "waiters")

    def __init__(self, limit: int) -> None:
        self._chunks: deque[bytes] = deque()
        self._limit = limit
        self._put = self._taken = 0
        self.ended = False  # by who sends
        self.reset = False  # the same, and not as agreed
        self.forsaken = False  # by who receives
        self.waiters: list[Any] = []  # events

    def changed(self) -> None:
        """Whoever waits shall look again."""
        for event in list(self.waiters):
            event.set()

    def take(self, most: int) -> bytes | None:
        """What is there, b"" at the end, None if there is nothing yet."""
        over = self.ended or self.forsaken  # asked first: then all that was sent before the end is there
        if self.reset:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if self.forsaken or not self._chunks:
            return b"" if over else None
        piece = self._chunks.popleft()
        if len(piece) > most:
            self._chunks.appendleft(piece[most:])
            piece = piece[:most]
        self._taken += len(piece)
        self.changed()
        return piece

    def put(self, data: memoryview) -> int:
        """How much of `data` there was room for."""
        if self.forsaken or self.ended:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        count = min(len(data), max(0, self._limit - (self._put - self._taken)))
        if count:
            self._put += count
            self._chunks.append(bytes(data[:count]))
            self.changed()
        return count

    def end(self, *, reset: bool = False) -> None:
        """Nothing more is sent."""
        self.reset = self.reset or reset
        self.ended = True
        self.changed()

    def forsake(self) -> bool:
        """Nobody receives any more. True if something was left unread."""
        self.forsaken = True
        self.changed()
        return bool(self._chunks)


class MemoryStream:
    """One end of a pair: a stream of bytes, in the colour of its subclass."""

    __slots__ = ("_event", "_inward", "_outward")

    def __init__(self, event: Callable[[], Any], inward: _Pipe, outward: _Pipe) -> None:
        self._event = event
        self._inward = inward
        self._outward = outward

    def send_eof(self) -> None:
        """Say that nothing more will be sent. What comes can still be received."""
        self._outward.end()

    def close(self) -> None:
        """Give both directions up; calls that wait return. As on a socket, who left something unread resets."""
        self._outward.end(reset=self._inward.forsake())

    @contextmanager
    def _waiting(self, pipe: _Pipe) -> Iterator[Any]:
        """An event that is set when something changes from here on; inside, look once more before waiting for it."""
        event = self._event()
        pipe.waiters.append(event)
        try:
            yield event
        finally:
            pipe.waiters.remove(event)


class AwaitingStream(MemoryStream):
    """For asyncio and trio."""

    __slots__ = ()

    async def receive(self, max_bytes: int = ROOM) -> bytes:
        """Wait for the next bytes; b"" is the end.

        Raises:
            ConnectionResetError: the other end was closed with something unread.
        """
        while True:
            with self._waiting(self._inward) as event:
                data = self._inward.take(max_bytes)
                if data is not None:
                    return data
                await event.wait()

    async def send(self, data: bytes) -> None:
        """Return when all of `data` is on its way, which takes as long as the other end does not receive.

        Raises:
            BrokenPipeError: one of the two ends was closed.
        """
        left = memoryview(data)
        while left:
            with self._waiting(self._outward) as event:
                count = self._outward.put(left)
                left = left[count:]
                if not count:
                    await event.wait()


class BlockingStream(MemoryStream):
    """For threads and gevent."""

    __slots__ = ()

    def receive(self, max_bytes: int = ROOM) -> bytes:
        """Wait for the next bytes; b"" is the end.

        Raises:
            ConnectionResetError: the other end was closed with something unread.
        """
        while True:
            with self._waiting(self._inward) as event:
                data = self._inward.take(max_bytes)
                if data is not None:
                    return data
                event.wait()

    def send(self, data: bytes) -> None:
        """Return when all of `data` is on its way, which takes as long as the other end does not receive.

        Raises:
            BrokenPipeError: one of the two ends was closed.
        """
        left = memoryview(data)
        while left:
            with self._waiting(self._outward) as event:
                count = self._outward.put(left)
                left = left[count:]
                if not count:
                    event.wait()


def memory_pair(event: Callable[[], Any], *, room: int = ROOM) -> tuple[Any, Any]:
    """Two ends of a connection that is nowhere but in memory.

    Args:
        event: the class of events of your runtime: ``asyncio.Event``, ``trio.Event``, ``threading.Event``,
            ``gevent.event.Event``.
        room: bytes that one end may be ahead of the other.

    Returns:
        Two :class:`AwaitingStream` or two :class:`BlockingStream`: what a `create_connection` may return, and what
        ``server.emit("connection", stream)`` serves.

    Raises:
        ArgumentTypeError: that is no class of events.
    """
    wait = getattr(event, "wait", None)
    if not callable(wait):
        raise wrong_type("event", "class of events", event)
    kind = AwaitingStream if inspect.iscoroutinefunction(wait) else BlockingStream
    one, other = _Pipe(room), _Pipe(room)
    return kind(event, one, other), kind(event, other, one)


@contextmanager
def block_network(*, allow: Iterable[str] = ()) -> Iterator[None]:
    """Inside, no client of this process connects by itself: a guard for tests, so not by thread or task.

    Who tries gets :exc:`ConnectError` with the code ``ERR_NETWORK_BLOCKED``, before a name is looked up. Connections
    of a `create_connection` of your own are yours, and servers may listen.

    Args:
        allow: hosts, as requests name them, and paths of Unix sockets that may be connected to all the same.
    """
    before = SETTINGS.reachable
    SETTINGS.reachable = frozenset(allow)
    try:
        yield
    finally:
        SETTINGS.reachable = before
