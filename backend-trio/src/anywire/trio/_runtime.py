"""One trio run, as the awaiting facade wants it, and how a server's tasks are kept.

``async with server`` is a nursery. Each ``listen()`` is one task in it, with a nursery of
its own for what it accepts; a server that is used without ``async with`` has that task
among trio's system tasks instead. A connection is one task, in a scope that
``close(grace)`` cancels when the grace is over; nothing else of ours surrounds a handler.
"""

from __future__ import annotations

import contextvars
import errno
import os
import socket
import ssl
import tempfile
from typing import TYPE_CHECKING, Any

import trio
from anywire.core import FOREVER, NOBODY, Address, StateError, addresses_from_lookup, client_context, server_context
from anywire.core.facade import (
    Listening,
    SocketRuntime,
    connect_outcome,
    listening_sockets,
    numeric_addresses,
    to_addresses,
    wanted_family,
)
from trio.lowlevel import RunVar, checkpoint, notify_closing, spawn_system_task, wait_readable, wait_writable

from ._clock import Clock
from ._pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from anywire.core import Feed
    from anywire.core.facade.awaiting import Server

__all__ = ["Runtime", "current_runtime"]

HANDSHAKE_TIMEOUT = 60.0
"""Seconds a client may take for the TLS handshake."""

_OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accepting fails with until somebody has closed something."""

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
        self.wake = self._event.set

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
            if len(group.exceptions) != 1:
                raise
            only = group.exceptions[0]
        raise only


class Listener(Listening):
    """The tasks of one ``listen()``."""

    def __init__(self, runtime: Runtime, server: Server, options: Any) -> None:
        self._context = server_context(ssl, tempfile, server.options.tls) if server.secure else None
        self._sockets = listening_sockets(socket, os, options)
        self._runtime = runtime
        self._server = server
        self._accepting = trio.CancelScope()
        self._nursery: trio.Nursery
        name = self._sockets[0].getsockname()
        super().__init__(os if options.path else None, [self._stop], name if isinstance(name, str) else name[:2])

    def _stop(self) -> None:
        for sock in self._sockets:
            notify_closing(sock)
            sock.close()
        self._accepting.cancel()

    async def run(self) -> None:
        """Accept until stopped, then wait for what was accepted."""
        try:
            async with trio.open_nursery() as self._nursery:
                with self._accepting:
                    async with trio.open_nursery() as greeting:
                        for sock in self._sockets:
                            greeting.start_soon(self._accept, sock, greeting)
        finally:
            if not self._accepting.cancel_called:
                self.stop()

    async def _accept(self, listening: socket.socket, greeting: trio.Nursery) -> None:
        while listening.fileno() >= 0:
            try:
                await wait_readable(listening)
                while True:
                    sock = listening.accept()[0]
                    sock.setblocking(False)
                    if sock.family != socket.AF_UNIX:
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if self._context is None:
                        self._admit(sock)
                    else:
                        greeting.start_soon(self._greet, sock, self._context)
            except (BlockingIOError, trio.ClosedResourceError):
                pass
            except OSError as error:
                if error.errno in _OUT_OF:
                    self._runtime.report("Cannot accept", error)
                    await trio.sleep(0.1)

    async def _greet(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        with trio.move_on_after(HANDSHAKE_TIMEOUT):
            try:
                sock = await secure(sock, context, server_side=True)
            except OSError:
                return  # no client of ours
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        pump = Pump(sock, NOBODY, self._runtime.clock, self._nursery)
        connection = self._server.admit(pump)
        if connection is not None:
            pump.feed = connection
            scope = trio.CancelScope()
            connection.cancel = scope.cancel
            self._nursery.start_soon(self._serve, connection, scope)

    async def _serve(self, connection: Any, scope: trio.CancelScope) -> None:
        with scope:
            await self._server.serve(connection)


async def secure(sock: socket.socket, context: ssl.SSLContext, **options: Any) -> ssl.SSLSocket:
    """Shake hands. Owns `sock` from now on. A connection that is cut off must not look complete (SEC-26 aside)."""
    try:
        made = context.wrap_socket(sock, do_handshake_on_connect=False, suppress_ragged_eofs=False, **options)
        sock = made
        while True:
            try:
                made.do_handshake()
            except ssl.SSLWantReadError:
                await wait_readable(made)
            except ssl.SSLWantWriteError:
                await wait_writable(made)
            else:
                return made
    except BaseException:
        sock.close()
        raise


class Runtime(SocketRuntime):
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    waiter = Waiter
    now = staticmethod(trio.current_time)

    def __init__(self) -> None:
        super().__init__(socket)
        self.clock = Clock()
        self.report = self.clock.report

    def server_scope(self, server: Server) -> Scope:
        return Scope(server)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Callable[[], object]:
        scope = trio.CancelScope()

        async def run() -> None:
            try:
                with scope:
                    await coroutine
            except Exception as error:
                self.report("Error in a task", error)

        spawn_system_task(run)
        return scope.cancel

    async def within(self, seconds: float, work: Coroutine[Any, Any, None]) -> bool:
        with trio.move_on_after(seconds) as scope:
            await work
        return not scope.cancelled_caught

    # ---------------------------------------------------------------- connecting

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        hosts = [host]
        if lookup is not None:
            answer = lookup(host, {"family": family})
            hosts = addresses_from_lookup(await answer if hasattr(answer, "__await__") else answer)
        found: list[Address] = []
        for name in hosts:
            known = numeric_addresses(socket, name, port, family)
            if known is None:
                asked = await trio.socket.getaddrinfo(name, port, wanted_family(socket, family), socket.SOCK_STREAM)
                known = to_addresses(asked)
            found += known
        return found

    async def race(
        self, handles: Sequence[socket.socket], seconds: float | None
    ) -> list[tuple[socket.socket, OSError | None]]:
        decided: list[socket.socket] = []

        async def one(sock: socket.socket) -> None:
            await wait_writable(sock)
            decided.append(sock)
            scope.cancel()

        with trio.move_on_after(FOREVER if seconds is None else seconds) as scope:
            async with trio.open_nursery() as nursery:
                for sock in handles[1:]:
                    nursery.start_soon(one, sock)
                await one(handles[0])
        return [(sock, connect_outcome(socket, sock)) for sock in decided]

    async def open(
        self, handle: socket.socket | Pump, feed: Feed, tls: Mapping[str, Any] | None, server_name: str
    ) -> Pump:
        if isinstance(handle, Pump):
            if tls is None:
                handle.feed = feed
                return handle
            if handle.tls:
                raise StateError("TLS inside TLS is not supported by this backend", code="ENOTSUP")
            handle = handle.take()
            handle.setblocking(False)
        if tls is not None:
            try:
                context = client_context(ssl, tempfile, tls)
            except BaseException:
                handle.close()
                raise
            name = server_name or (tls["host"] if "servername" not in tls else "") or None
            handle = await secure(handle, context, server_hostname=name)
        return Pump(handle, feed, self.clock)

    # ---------------------------------------------------------------- listening

    async def listen(self, server: Server, options: Any) -> Listener:
        await checkpoint()
        listener = Listener(self, server, options)
        if server.scope is not None:
            server.scope.nursery.start_soon(listener.run)
        else:
            spawn_system_task(listener.run, context=contextvars.copy_context())
        return listener
