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
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from anywire.core import FOREVER, NOBODY
from anywire.core.facade import ACCEPT_PAUSE, ACCEPTS, Listening, connect_outcome, listening_sockets
from anywire.core.facade.awaiting import SocketConnector
from trio.lowlevel import RunVar, checkpoint, spawn_system_task, wait_readable, wait_writable

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


class Listener(Listening):
    """The tasks of one ``listen()``."""

    def __init__(self, runtime: Runtime, server: Server, options: Any) -> None:
        self._sockets = listening_sockets(socket, os, options)
        self._runtime = runtime
        self._server = server
        self._accepting = trio.CancelScope()
        self._nursery: trio.Nursery
        super().__init__(os, options, self._sockets, [self._close])

    def _close(self) -> None:
        self._accepting.cancel()
        for sock in self._sockets:
            sock.close()

    async def run(self) -> None:
        """Accept until stopped, then wait for what was accepted."""
        try:
            async with trio.open_nursery() as self._nursery:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for sock in self._sockets:
                            accepting.start_soon(self._accept, sock)
        finally:
            if not self._accepting.cancel_called:
                self.stop()

    async def _accept(self, listening: socket.socket) -> None:
        while not self._accepting.cancel_called:
            await wait_readable(listening)
            try:
                for _ in range(ACCEPTS):
                    if (sock := self._runtime.accept(listening)) is None:
                        break
                    self._admit(sock)
            except OSError as error:
                self._runtime.report("Cannot accept", error)
                await trio.sleep(ACCEPT_PAUSE)

    def _admit(self, sock: socket.socket) -> None:
        begin(self._server, Pump(sock, NOBODY, self._runtime.clock, self._nursery), self._nursery.start_soon)


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
        await checkpoint()
        listener = Listener(self, server, options)
        self._start(server)(listener.run)
        return listener
