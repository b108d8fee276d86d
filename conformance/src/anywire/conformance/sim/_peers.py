"""Scripted peers: the other end of a connection as a coroutine that speaks bytes.

A client is tested against a peer that listens, a server against one that dials; neither is
ever one of ours, so what they send and expect is exactly what the script says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._kernel import Parking, current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._kernel import Kernel
    from ._network import Endpoint, Listener

__all__ = ["Wire", "dial", "peer"]


class Wire:
    """One end of a connection, as bytes.

    Reading raises ``ConnectionResetError`` after a reset and ``EOFError`` when the peer's
    FIN comes before what was asked for.
    """

    def __init__(self, kernel: Kernel, endpoint: Endpoint) -> None:
        self._kernel = kernel
        self._buffer = b""
        self._parking: Parking | None = None
        self.endpoint = endpoint
        endpoint.on_readable = endpoint.on_writable = self._wake

    @property
    def number(self) -> int:
        """Which connection of the network this is."""
        return self.endpoint.number

    def _wake(self) -> None:
        if self._parking is not None:
            self._parking.wake()

    async def _wait(self, what: str) -> None:
        self._parking = Parking(self._kernel, f"{what} at {self.endpoint!r}")
        await self._parking

    async def connected(self) -> None:
        """Wait until the connect is decided. Raises OSError."""
        while self.endpoint.connecting:
            await self._wait("the connect")
        if self.endpoint.error is not None:
            raise self.endpoint.error

    async def receive(self) -> bytes:
        """The next piece as it arrived; ``b""`` after FIN."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        while True:
            try:
                return self.endpoint.recv(1 << 20)
            except BlockingIOError:
                await self._wait("bytes")

    async def _more(self, wanted: object) -> None:
        data = self._buffer
        self._buffer = b""
        piece = await self.receive()
        if not piece:
            raise EOFError(f"FIN after {data!r} instead of {wanted!r}")
        self._buffer = data + piece

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self._buffer) < size:
            await self._more(f"{size} bytes")
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def until(self, mark: bytes = b"\r\n\r\n") -> bytes:
        """Everything up to and with `mark`."""
        while (index := self._buffer.find(mark)) < 0:
            await self._more(mark)
        return await self.read(index + len(mark))

    async def expect(self, data: bytes) -> None:
        """Read what must be exactly `data`. Raises AssertionError."""
        got = b""
        while len(got) < len(data) and data.startswith(got):
            if not self._buffer:
                try:
                    await self._more(data)
                except EOFError:
                    break
            left = len(data) - len(got)
            got, self._buffer = got + self._buffer[:left], self._buffer[left:]
        if got != data:
            raise AssertionError(f"expected {data!r}\n     got {got + self._buffer!r}")

    async def rest(self) -> bytes:
        """Everything up to FIN."""
        data = b""
        while piece := await self.receive():
            data += piece
        return data

    async def gone(self) -> bytes:
        """Everything up to FIN or reset."""
        data = b""
        try:
            while piece := await self.receive():
                data += piece
        except ConnectionResetError:
            pass
        return data

    async def send(self, data: bytes) -> None:
        """Send all of it; returns once it was accepted. Raises OSError."""
        while data:
            try:
                data = data[self.endpoint.send(data) :]
            except BlockingIOError:
                await self._wait("room")

    def fin(self) -> None:
        """FIN; reading goes on."""
        self.endpoint.shutdown()

    def rst(self) -> None:
        """Reset."""
        self.endpoint.reset()

    def close(self) -> None:
        """As a socket: FIN, or a reset if something was not read."""
        self.endpoint.close()


async def dial(port: int, host: str = "127.0.0.1", *, path: str | None = None) -> Wire:
    """Connect. Raises OSError."""
    kernel = current()
    wire = Wire(kernel, kernel.network.connect(path or (host, port)))
    try:
        await wire.connected()
    except BaseException:
        wire.close()
        raise
    return wire


def peer(
    port: int, script: Callable[[Wire], Awaitable[Any]], *, host: str | None = None, backlog: int = 511
) -> Listener:
    """Listen, and run `script` for each connection in a task of its own; then close it.

    Losing the connection may end a script; anything else that it raises is reported.
    """
    kernel = current()
    listener: Listener = kernel.network.listen((host, port), backlog)

    async def serve(wire: Wire) -> None:
        try:
            await script(wire)
        except (ConnectionError, EOFError):
            pass
        finally:
            wire.close()

    def accept() -> None:
        while (endpoint := listener.accept()) is not None:
            kernel.spawn(serve(Wire(kernel, endpoint)), f"peer #{endpoint.number}")

    listener.on_readable = accept
    return listener
