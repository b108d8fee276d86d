"""Scripted peers: the other end of a connection as a coroutine that speaks bytes.

A client is tested against a peer that listens, a server against one that dials; neither is
ever one of ours, so what they send and expect is exactly what the script says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anywire.core import FOREVER, RawStream

from ._kernel import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._network import Listener
    from ._pump import Pump

__all__ = ["Wire", "dial", "peer"]


class Wire:
    """One end of a connection, as bytes.

    A peer that does not read lets hardly anything through. Reading raises
    ``ConnectionError`` after a reset, and ``EOFError`` when the other's FIN comes before
    what was asked for.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._raw = RawStream(pump, max_buffered=1)
        self._buffer = b""
        self.number = pump.number
        self.name = pump.info("sockname")
        pump.feed = self._raw

    async def receive(self) -> bytes:
        """What has arrived; ``b""`` after FIN."""
        data, self._buffer = self._buffer, b""
        while not data:
            taken = self._raw.take()
            if taken is not None:
                return taken
            await self._pump.wait(FOREVER)
        return data

    async def _more(self, wanted: object) -> None:
        had, self._buffer = self._buffer, b""
        piece = await self.receive()
        if not piece:
            raise EOFError(f"FIN after {had!r} instead of {wanted!r}")
        self._buffer = had + piece

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
        """Read what must be exactly `data`.

        Raises:
            AssertionError: at the first byte that differs.
        """
        while not self._buffer.startswith(data):
            if not data.startswith(self._buffer):
                raise AssertionError(f"expected {data!r}\n     got {self._buffer!r}")
            await self._more(data)
        self._buffer = self._buffer[len(data) :]

    async def message(self, *, body: bool = True) -> tuple[bytes, bytes]:
        """``(head, body)`` of a message framed by Content-Length or chunks; `body` False: it has none."""
        head = await self.until()
        fields = head.lower()
        if not body:
            return head, b""
        if b"\r\ntransfer-encoding: chunked\r\n" in fields:
            pieces = []
            while size := int((await self.until(b"\r\n")).split(b";")[0], 16):
                pieces.append(await self.read(size))
                await self.expect(b"\r\n")
            while await self.until(b"\r\n") != b"\r\n":
                pass
            return head, b"".join(pieces)
        length = fields.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        return head, await self.read(int(length or 0))

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
        except ConnectionError:
            pass
        return data

    async def send(self, data: bytes) -> None:
        """Send all of it; returns once it is on its way. Raises ConnectionError."""
        self._raw.send(data)
        self._pump.flush()
        while self._pump.unsent and not self._pump.closed:
            await self._pump.wait(FOREVER)
        if self._raw.error is not None:
            raise self._raw.error

    def fin(self) -> None:
        """FIN; reading goes on."""
        self._pump.half_close()

    def rst(self) -> None:
        """Reset."""
        self._pump.abort("rst")

    def close(self) -> None:
        """As a socket: FIN, or a reset if something was not read."""
        self._pump.abort()


async def dial(port: int, host: str = "127.0.0.1", *, path: str | None = None) -> Wire:
    """Connect. Raises OSError."""
    return Wire(await reach(port, host, path=path))


async def reach(port: int, host: str = "127.0.0.1", *, path: str | None = None) -> Pump:
    """A connected pump, to be fed. Raises OSError."""
    network = current().network
    pump: Pump = network.connect(path or (host, port))
    try:
        while pump.connecting:
            await pump.changed()
        if pump.error is not None:
            raise pump.error
    except BaseException:
        pump.abort()
        raise
    return pump


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
        while (pump := listener.accept()) is not None:
            kernel.spawn(serve(Wire(pump)), f"peer #{pump.number}")

    listener.on_connection = accept
    return listener
