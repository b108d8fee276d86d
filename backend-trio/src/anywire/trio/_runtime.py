"""One trio run, as the awaiting facade wants it, and how a server's tasks are kept.

``async with server`` is a nursery. Each ``listen()`` is one task in it, with a nursery of
its own for what it accepts; a server that is used without ``async with`` has that task
among trio's system tasks instead. A connection is one task, in a scope that
``close(grace)`` cancels when the grace is over; nothing else of ours surrounds a handler.
"""

from __future__ import annotations

import contextvars
import os
import socket
import ssl
import tempfile
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from anywire.core import FOREVER, NOBODY
from anywire.core.facade import Door, Listening, connect_outcome, listening_sockets
from anywire.core.facade.awaiting import SocketConnector
from trio.lowlevel import RunVar, notify_closing, spawn_system_task, wait_readable, wait_writable

from ._clock import Clock
from ._pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType

    from anywire.core import Feed, ServerConnection
    from anywire.core.facade.awaiting import Hold, Server

__all__ = ["Runtime", "current_runtime"]

_runtime: RunVar[Runtime] = RunVar("anywire.trio")


def current_runtime() -> Runtime:
    """The runtime of this run.

    Raises:
        RuntimeError: outside of trio.
    """
    try:
        return _runtime.get()
    except LookupError:
        runtime = Runtime()
        _runtime.set(runtime)
        spawn_system_task(runtime.clock.run)
        return runtime


class Waiter:
    """How a queued request sleeps; may be woken before it does."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, due: float) -> None:
        with trio.move_on_at(due):
            await self._event.wait()


class Scope:
    """What ``async with server`` is here: a nursery."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._manager = trio.open_nursery()
        self.nursery: trio.Nursery

    async def __aenter__(self) -> None:
        self.nursery = await self._manager.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        server = self._server
        try:
            if server.listening or server.connections:
                await server.close(server.grace)
        except BaseException as problem:
            kind, error, traceback = type(problem), problem, problem.__traceback__
        server.scope = None
        self.nursery.cancel_scope.cancel()
        try:
            return await self._manager.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # The block is no nursery to its user: what was raised in it comes out as it was.
            only: BaseException = group
            while only is not error and isinstance(only, BaseExceptionGroup) and len(only.exceptions) == 1:
                only = only.exceptions[0]
        raise only


class Entrance(Door):
    """One listening socket."""

    def __init__(self, listener: Listener, sock: socket.socket) -> None:
        super().__init__(listener.runtime, listener.server, sock, listener.admit)
        self._resumed = trio.Event()

    def watch(self, wanted: bool) -> None:
        if wanted or self.closed:
            notify_closing(self.sock)
            self._resumed.set()
        else:
            self._resumed = trio.Event()

    async def run(self) -> None:
        """Accept until closed."""
        with suppress(trio.ClosedResourceError):
            while not self.closed:
                await wait_readable(self.sock)
                self.knock()
                if self.paused:
                    with trio.move_on_at(self.due):
                        await self._resumed.wait()
                    self.retry(self.due)


class Listener(Listening):
    """The tasks of one ``listen()``."""

    def __init__(self, runtime: Runtime, server: Server, options: Any) -> None:
        sockets = listening_sockets(socket, os, options)
        self.runtime = runtime
        self.server = server
        self._nursery: trio.Nursery | None = None
        self.running = trio.Event()
        self._entrances = [Entrance(self, sock) for sock in sockets]
        super().__init__(os, options, sockets, self._entrances)

    async def run(self) -> None:
        """Accept until stopped, then wait for what was accepted."""
        try:
            async with trio.open_nursery() as self._nursery, trio.open_nursery() as accepting:
                self.running.set()
                for entrance in self._entrances:
                    accepting.start_soon(entrance.run)
        finally:
            self._nursery = None
            self.stop()

    def admit(self, sock: socket.socket) -> None:
        """Serve what was accepted, unless we are being cancelled."""
        if self._nursery is None:
            sock.close()
        else:
            begin(self.server, Pump(sock, NOBODY, self.runtime.clock, self._nursery), self._nursery.start_soon)


def begin(server: Server, pump: Pump, start: Callable[..., object]) -> None:
    """Serve a connection in a task that `start` makes."""
    connection = server.admit(pump)
    if connection is not None:
        scope = trio.CancelScope()
        connection.cancel = scope.cancel
        start(serve, server, connection, scope)


async def serve(server: Server, connection: ServerConnection, scope: trio.CancelScope) -> None:
    """Serve a connection, unless the scope is cancelled."""
    with scope:
        await server.serve(connection)


class Runtime(SocketConnector):
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    async def getaddrinfo(self, host: str, port: int, family: int, kind: int) -> Any:
        return await trio.socket.getaddrinfo(host, port, family=family, type=kind)

    now = staticmethod(trio.current_time)
    waiter = staticmethod(Waiter)
    server_scope = staticmethod(Scope)

    def __init__(self) -> None:
        super().__init__(socket, ssl, tempfile)
        self.clock = Clock()
        self.report = self.clock.report

    def pump(self, sock: socket.socket, feed: Feed) -> Pump:
        return Pump(sock, feed, self.clock)

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        async def run() -> None:
            with scope:
                await work

        scope = trio.CancelScope()
        spawn_system_task(run)
        return scope.cancel

    async def within(self, seconds: float, work: Coroutine[Any, Any, None], hold: Hold) -> bool:
        try:
            with trio.move_on_at(trio.current_time() + seconds) as scope:
                hold.cancel = scope.cancel
                await work
        finally:
            hold.cancel = None
        return not scope.cancelled_caught

    async def race(
        self, handles: Sequence[socket.socket], seconds: float | None
    ) -> list[tuple[socket.socket, OSError | None]]:
        decided: list[socket.socket] = []

        async def one(sock: socket.socket) -> None:
            await wait_writable(sock)
            decided.append(sock)
            scope.cancel()

        with trio.move_on_at(trio.current_time() + seconds if seconds else FOREVER) as scope:
            if len(handles) == 1:  # nearly always
                await one(handles[0])
            else:
                async with trio.open_nursery() as nursery:
                    for sock in handles:
                        nursery.start_soon(one, sock)
        return [(sock, connect_outcome(socket, sock)) for sock in decided]

    def _start(self, server: Server) -> Callable[..., object]:
        if server.scope is not None:
            start: Callable[..., object] = server.scope.nursery.start_soon
            return start
        return partial(spawn_system_task, context=contextvars.copy_context())

    def inject(self, server: Server, handle: socket.socket | Pump) -> None:
        nursery = None if server.scope is None else server.scope.nursery
        pump = handle if isinstance(handle, Pump) else Pump(handle, NOBODY, self.clock, nursery)
        begin(server, pump, self._start(server))

    async def listen(self, server: Server, options: Any) -> Listener:
        listener = Listener(self, server, options)
        self._start(server)(listener.run)
        try:
            await listener.running.wait()
        except BaseException:
            listener.stop()
            raise
        return listener
