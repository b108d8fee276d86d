"""Socket with the methods that wait: the raw stream after an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ... import _user_socket
from ..._errors import ConnectionLost
from ..._outgoing import as_bytes
from ..._pump import FOREVER
from ._duplex import DuplexPump

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Socket"]


class Socket(_user_socket.Socket):
    """A connection's transport: where it goes, and how to end it.

    After ``upgrade`` and ``connect`` it is a byte stream and yours: :meth:`receive`,
    :meth:`send`, :meth:`send_eof`, :meth:`close`; also an async context manager and
    iterator. Before that these raise ``StateError``.

    Events: ``timeout()``; ``close()`` once the transport is gone; of a client's, ``free()`` when an exchange
    leaves it to its agent, and ``agent_remove()``, which may also be emitted to take it away from the agent.
    """

    __slots__ = ()

    duplex_class = DuplexPump

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Up to `max_bytes`; ``b""`` once the peer sent its FIN.

        Raises:
            ConnectionLost: the connection was reset or destroyed.
        """
        raw = self._stream()
        if not self._pump.fairness and not raw.want_input:
            await self._pump.wait(-1.0)
        while (data := raw.take(max_bytes)) is None:
            await self._pump.wait(FOREVER)
        return data

    async def send(self, data: Any) -> None:
        """Send all of `data` (bytes-like, or str as UTF-8); returns once the queue is below its high-water mark.

        Raises:
            ConnectionLost: the connection is gone.
        """
        raw = self._stream()
        if self._pump.closed:
            raise raw.error or ConnectionLost("socket is closed", code="EPIPE")
        raw.send(as_bytes(data, "data"))
        self._pump.flush()
        if not self._pump.fairness:
            await self._pump.wait(-1.0)
        while self._pump.blocked:
            await self._pump.wait(FOREVER)
        if raw.error is not None:
            raise raw.error

    write = send

    async def send_eof(self) -> None:
        """FIN after what was sent, and over TLS ``close_notify`` before it; receiving goes on."""
        self._stream().end()
        if not self._pump.fairness:
            await self._pump.wait(-1.0)

    async def end(self, data: Any = b"") -> None:
        """:meth:`send`, then :meth:`send_eof`."""
        if data:
            await self.send(data)
        await self.send_eof()

    async def close(self) -> None:
        """Let what was sent go out, then close. Idempotent; does not wait for the peer."""
        self._pump.close()
        if not self._pump.fairness:
            await self._pump.wait(-1.0)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self.receive()
        if not data:
            raise StopAsyncIteration
        return data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pump.close()
