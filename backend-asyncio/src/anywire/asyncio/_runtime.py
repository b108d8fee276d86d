"""One running event loop, as the awaiting facade wants it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from anywire.core import FOREVER, NOBODY
from anywire.core.facade import Listening, LoopDoor, connect_outcome, listening_sockets
from anywire.core.facade.awaiting import Server, SocketConnector

from ._pump import Callbacks, Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from anywire.core import Feed, ServerConnection
    from anywire.core.facade.awaiting import Hold

__all__ = ["Runtime", "current_runtime"]

_runtimes: dict[asyncio.AbstractEventLoop, Runtime] = {}


def current_runtime() -> Runtime:
    """The runtime of the running loop.

    Raises:
        RuntimeError: no loop is running in this thread.
    """
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        for each in list(_runtimes):
            if each.is_closed():
                _runtimes.pop(each, None)
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


class Runtime(SocketConnector):
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket, ssl, tempfile)
        self.loop = loop
        self.now = loop.time
        self.waiter = Waiter
        self._callbacks = Callbacks(loop)
        self._tasks: set[asyncio.Task[Any]] = set()

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

    def pump(self, sock: socket.socket, feed: Feed) -> Pump:
        """A pump for a connected socket."""
        return Pump(sock, feed, self._callbacks)

    def let_go(self, pump: Pump) -> None:
        """The parent's, and we are a forked child: close its socket here, and leave what watches it for the parent."""
        pump.sock.close()

    # ---------------------------------------------------------------- listening

    def inject(self, server: Server, handle: socket.socket | Pump) -> None:
        pump = handle if isinstance(handle, Pump) else self.pump(handle, NOBODY)
        connection = server.admit(pump)
        if connection is not None:
            connection.cancel = self.spawn(server.serve(connection), partial(self._over, server, connection))

    def _over(self, server: Server, connection: ServerConnection, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not connection.served:  # the task was cancelled before it began
            server._over(connection)

    async def listen(self, server: Server, options: Any) -> Listening:
        sockets = listening_sockets(socket, os, options)
        doors = [LoopDoor(self, self._callbacks, server, sock) for sock in sockets]
        return Listening(os, options, sockets, doors)
