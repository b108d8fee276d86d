"""One running event loop, as the awaiting facade wants it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from anywire.core import FOREVER
from anywire.core.facade import Door, Listening, connect_outcome, listening_sockets
from anywire.core.facade.awaiting import Resolver, Server

from ._pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from anywire.core import Feed, ServerConnection
    from anywire.core.facade.awaiting import Hold

__all__ = ["Runtime", "current_runtime"]

_runtimes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime] = weakref.WeakKeyDictionary()


def current_runtime() -> Runtime:
    """The runtime of the running loop.

    Raises:
        RuntimeError: no loop is running in this thread.
    """
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        runtime = _runtimes[loop] = Runtime(loop)
    return runtime


class Waiter:
    """How a queued request sleeps; may be woken before it does."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.wake = self._event.set

    async def wait(self, due: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if due == FOREVER else due):
                await self._event.wait()


class Runtime(Resolver):
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket, ssl, tempfile)
        # Weak: the loop is the key under which this object lives.
        self._loop_ref = weakref.ref(loop)
        self.now = loop.time
        self.waiter = Waiter
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop_ref()
        assert loop is not None, "a running loop exists"
        return loop

    def report(self, message: str, error: BaseException) -> None:
        self.loop.call_exception_handler({"message": message, "exception": error})

    def spawn(
        self, work: Coroutine[Any, Any, Any], over: Callable[[Any], object] | None = None
    ) -> Callable[[], object]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(over or self._tasks.discard)
        return task.cancel

    async def within(self, seconds: float, work: Coroutine[Any, Any, None], hold: Hold) -> bool:
        limit = asyncio.timeout(None if seconds == FOREVER else seconds)
        try:
            async with limit:
                hold.cancel = lambda: limit.reschedule(0.0)
                await work
        except TimeoutError:
            if limit.expired():
                return False
            raise
        finally:
            hold.cancel = None
        return True

    # ---------------------------------------------------------------- connecting

    async def getaddrinfo(self, host: str, port: int, family: int, kind: int) -> Any:
        return await self.loop.getaddrinfo(host, port, family=family, type=kind)

    async def race(
        self, handles: Sequence[socket.socket], seconds: float | None
    ) -> list[tuple[socket.socket, OSError | None]]:
        loop = self.loop
        future: asyncio.Future[socket.socket | None] = loop.create_future()

        def decided(sock: socket.socket | None) -> None:
            if not future.done():
                future.set_result(sock)

        for sock in handles:
            loop.add_writer(sock.fileno(), decided, sock)
        timer = None if seconds is None else loop.call_later(seconds, decided, None)
        try:
            first = await future
        finally:
            for sock in handles:
                loop.remove_writer(sock.fileno())
            if timer is not None:
                timer.cancel()
        return [] if first is None else [(first, connect_outcome(socket, first))]

    async def open(self, handle: socket.socket, feed: Feed) -> Pump:
        pump = Pump(self.loop, handle)
        pump.feed = feed
        try:
            await self.loop.create_connection(lambda: pump, sock=handle)
        except BaseException:
            handle.close()
            raise
        return pump

    # ---------------------------------------------------------------- listening

    def inject(self, server: Server, handle: socket.socket | Pump) -> None:
        if isinstance(handle, Pump):
            connection = server.admit(handle)
            if connection is not None:
                connection.cancel = self.spawn(server.serve(connection))
            return
        # Admitted before there is a transport, so that a server which closes meanwhile waits for it (ASK-47).
        pump = Pump(self.loop, handle)
        connection = server.admit(pump)
        if connection is None:
            handle.close()
        else:
            over = partial(self._over, server, connection, pump)
            connection.cancel = self.spawn(self._serve(server, connection, pump, handle), over)

    async def _serve(self, server: Server, connection: ServerConnection, pump: Pump, sock: socket.socket) -> None:
        await self.loop.connect_accepted_socket(lambda: pump, sock)
        # In a task of its own: here each of its wake-ups would have to come through us.
        connection.cancel = self.spawn(server.serve(connection))

    def _over(self, server: Server, connection: ServerConnection, pump: Pump, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if pump.never_made():  # the task was cancelled before, or the loop had no room
            server._over(connection)

    async def listen(self, server: Server, options: Any) -> Listening:
        sockets = listening_sockets(socket, os, options)
        doors = [Entrance(self, server, sock, partial(self.inject, server)) for sock in sockets]
        for door in doors:
            door.watch(True)
        return Listening(os, options, sockets, doors)


class Entrance(Door):
    """One listening socket. asyncio's own servers lose who waits at their end, and spin without descriptors."""

    def watch(self, wanted: bool) -> None:
        if wanted:
            self._runtime.loop.add_reader(self.sock.fileno(), self.knock)
        else:
            self._runtime.loop.remove_reader(self.sock.fileno())

    def later(self, due: float) -> None:
        self._runtime.loop.call_at(due, self.retry, due)
