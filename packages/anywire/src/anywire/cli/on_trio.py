"""The command line on trio."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Self

import trio

from anywire.trio import http

from . import _peer, awaiting
from .awaiting import Work

__all__ = ["Runtime"]


class Peer(_peer.Peer):
    """See :class:`awaiting.Peer`."""

    @classmethod
    async def connected(cls, host: str, port: int) -> Self:
        """A connection to an address."""
        peer = cls(trio.socket.socket(trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET))
        try:
            await peer.sock.connect((host, port))
        except BaseException:
            peer.close()
            raise
        return peer

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        view = memoryview(data)
        while view:
            view = view[await self.sock.send(view) :]

    async def receive(self) -> bytes:
        """What there is."""
        data: bytes = await self.sock.recv(65536)
        return data


class Runtime:
    """See :class:`awaiting.Runtime`."""

    http: Any = http
    colour = awaiting
    connect = staticmethod(Peer.connected)
    in_thread = staticmethod(trio.to_thread.run_sync)

    def run(self, work: Work, *, uvloop: bool) -> None:
        """Run it."""
        trio.run(work)

    async def together(self, works: Iterable[Work], most: int) -> None:
        """In a nursery."""
        async with trio.open_nursery() as nursery:
            for work in works:
                nursery.start_soon(work)

    async def until_stopped(self, ready: Callable[[], None], close: Work, again: Callable[[], object]) -> None:
        """By a receiver of signals."""

        async def rest(signals: AsyncIterator[int]) -> None:
            async for _ in signals:
                again()

        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            ready()
            await anext(signals)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rest, signals)
                await close()
                nursery.cancel_scope.cancel()
