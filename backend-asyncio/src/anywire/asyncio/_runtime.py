"""One running event loop, as the awaiting facade wants it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import tempfile
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from anywire.core import UNIX, Address, ArgumentTypeError, addresses_from_lookup, client_context, server_context
from anywire.core.facade.awaiting import Server

from ._pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from anywire.core import Feed

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
    """A future that may be woken before anybody sleeps on it."""

    __slots__ = ("_future", "_loop", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, due: float) -> None:
        if self._woken:
            await asyncio.sleep(0)
            return
        self._future = self._loop.create_future()
        timer = None if due == float("inf") else self._loop.call_at(due, self.wake)
        try:
            await self._future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()


class Listener:
    """What ``create_server`` returned."""

    def __init__(self, server: asyncio.AbstractServer, sockets: Sequence[Any], path: str | None) -> None:
        self._server = server
        self._path = path
        self._name = sockets[0].getsockname()

    def address(self) -> tuple[str, int] | str | None:
        return self._path if self._path is not None else self._name[:2]

    def stop(self) -> None:
        self._server.close()
        if self._path is not None:
            try:
                os.unlink(self._path)
            except OSError:
                pass


class Runtime:
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak: the loop is the key under which this object lives.
        self._loop_ref = weakref.ref(loop)
        self.now = loop.time
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop_ref()
        assert loop is not None, "a running loop exists"
        return loop

    def report(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})

    def waiter(self) -> Waiter:
        return Waiter(self._loop)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, work: Coroutine[Any, Any, None]) -> bool:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await work
        except TimeoutError:
            if limit.expired():
                return False
            raise
        return True

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------- connecting

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        if lookup is not None:
            found = lookup(host, {"family": family})
            if hasattr(found, "__await__"):
                found = await found
            hosts = addresses_from_lookup(found)
        else:
            hosts = [host]
        wanted = {4: socket.AF_INET, 6: socket.AF_INET6}.get(family or 0, socket.AF_UNSPEC)
        found = []
        for name in hosts:
            try:  # an IP literal needs no thread
                infos = socket.getaddrinfo(
                    name, port, family=wanted, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
                )
            except socket.gaierror:
                infos = await self._loop.getaddrinfo(name, port, family=wanted, type=socket.SOCK_STREAM)
            found += [Address(info[0], info[1], info[2], info[4]) for info in infos]
        return found

    def attempt(self, address: Address, local_address: str | None) -> socket.socket:
        family = socket.AF_UNIX if address.family == UNIX else address.family
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if local_address is not None:
                sock.bind((local_address, 0))
            code = sock.connect_ex(address.sockaddr)
            if code not in (0, errno.EINPROGRESS):
                raise _failed(code, address.sockaddr)
        except BaseException:
            sock.close()
            raise
        return sock

    async def race(
        self, handles: Sequence[socket.socket], seconds: float | None
    ) -> list[tuple[socket.socket, OSError | None]]:
        loop = self._loop
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
        if first is None:
            return []
        code = first.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return [(first, _failed(code, None) if code else None)]

    def discard(self, handle: socket.socket) -> None:
        handle.close()

    def adopt(self, candidate: Any) -> socket.socket:
        if not isinstance(candidate, socket.socket):
            raise ArgumentTypeError(
                "create_connection must return a connected socket.socket or an upgraded Socket."
                f" Received {type(candidate).__name__}"
            )
        candidate.setblocking(False)
        return candidate

    async def open(
        self, handle: socket.socket | Pump, feed: Feed, tls: Mapping[str, Any] | None, server_name: str
    ) -> Pump:
        loop = self._loop
        context = None if tls is None else client_context(ssl, tls, _as_file)
        name = None if tls is None else server_name or (tls["host"] if "servername" not in tls else "")
        if isinstance(handle, Pump):
            handle.feed = feed
            if context is not None:
                transport = await loop.start_tls(handle._transport, handle, context, server_hostname=name)
                handle.connection_made(transport)  # type: ignore[arg-type]
            return handle
        pump = Pump(loop)
        pump.feed = feed
        try:
            await loop.create_connection(lambda: pump, sock=handle, ssl=context, server_hostname=name)
        except BaseException:
            handle.close()
            raise
        return pump

    # ---------------------------------------------------------------- listening

    async def listen(self, server: Server, options: Any) -> Listener:
        loop = self._loop
        context = server_context(ssl, server.options.tls, _as_file) if server.secure else None

        def accepted(pump: Pump) -> None:
            connection = server.admit(pump)
            if connection is not None:
                pump.feed = connection
                self.spawn(server.serve(connection))

        def make() -> Pump:
            pump = Pump(loop, accepted)
            pump.feed = _NOBODY
            return pump

        kind: dict[str, Any] = {"ssl": context, "backlog": options.backlog}
        if options.path is not None:
            sock = _unix_listener(options)
            return Listener(await loop.create_unix_server(make, sock=sock, **kind), [sock], options.path)
        if options.fd is not None:
            kind["sock"] = socket.socket(fileno=options.fd)
        elif options.sock is not None:
            kind["sock"] = options.sock
        elif options.host is None:
            kind["sock"] = _bind_all(options)
        else:
            kind.update(host=options.host, port=options.port)
        made = await loop.create_server(make, **kind)
        return Listener(made, made.sockets, None)


class _Nobody:
    """Feeds on what arrives for a connection that was refused."""

    want_read = True

    def receive_data(self, data: bytes) -> None: ...
    def receive_eof(self) -> None: ...
    def receive_lost(self, error: OSError | None) -> None: ...
    def notice(self) -> None: ...
    def flushed(self) -> None: ...
    def handle_deadline(self, now: float) -> None: ...

    def data_to_send(self) -> bytes:
        return b""

    def next_deadline(self, now: float) -> float:
        return float("inf")


_NOBODY = _Nobody()


def _failed(code: int, sockaddr: Any) -> OSError:
    error = OSError(code, os.strerror(code))
    if isinstance(sockaddr, tuple):
        error.address = sockaddr[0]  # type: ignore[attr-defined]
    return error


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """PEM text as a file that only we can read, for as long as ssl needs it."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name


def _bind_all(options: Any) -> socket.socket:
    """``::`` for both families, or IPv4 where there is no IPv6 (SRV-76)."""
    if socket.has_dualstack_ipv6() and not options.ipv6_only:
        return socket.create_server(
            ("::", options.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=options.backlog
        )
    if options.ipv6_only:
        return socket.create_server(("::", options.port), family=socket.AF_INET6, backlog=options.backlog)
    return socket.create_server(("0.0.0.0", options.port), backlog=options.backlog)


def _unix_listener(options: Any) -> socket.socket:
    """A bound Unix socket. An existing file is an error, not something to delete (SRV-86)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(options.path)
        if options.readable_all or options.writable_all:
            os.chmod(
                options.path, 0o700 | (0o044 if options.readable_all else 0) | (0o022 if options.writable_all else 0)
            )
    except BaseException:
        sock.close()
        raise
    return sock
