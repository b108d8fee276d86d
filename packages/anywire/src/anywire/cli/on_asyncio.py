"""The command line on asyncio."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from anywire.asyncio import http

from . import _peer, awaiting
from .awaiting import Work

__all__ = ["Runtime"]

T = TypeVar("T")


class Peer(_peer.Peer):
    """See :class:`awaiting.Peer`."""

    @classmethod
    async def connected(cls, host: str, port: int) -> Self:
        """A connection to an address."""
        peer = cls(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        peer.sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(peer.sock, (host, port))
        except BaseException:
            peer.close()
            raise
        return peer

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        """What there is."""
        return await asyncio.get_running_loop().sock_recv(self.sock, 65536)


class Runtime:
    """See :class:`awaiting.Runtime`."""

    http: Any = http
    colour = awaiting
    connect = staticmethod(Peer.connected)

    def run(self, work: Work, *, uvloop: bool) -> None:
        """Run it on a new event loop, of uvloop if asked for."""
        factory: Callable[[], asyncio.AbstractEventLoop] | None = None
        if uvloop:
            from uvloop import new_event_loop

            factory = new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work())

    async def together(self, works: Iterable[Work], most: int) -> None:
        """As tasks."""
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work())

    async def in_thread(self, work: Callable[[], T]) -> T:
        """In one of the loop's."""
        return await asyncio.to_thread(work)

    async def until_stopped(self, ready: Callable[[], None], close: Work, again: Callable[[], object]) -> None:
        """By the loop's signal handlers."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def stop() -> None:
            if stopped.is_set():
                again()
            stopped.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, stop)
            except NotImplementedError:  # Windows; there only the plain kind exists, and it has to wake the loop
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
        ready()
        await stopped.wait()
        await close()
