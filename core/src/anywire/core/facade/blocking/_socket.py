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
    :meth:`send`, :meth:`send_eof`, :meth:`close`; also a context manager and
    iterator. Before that these raise ``StateError``.

    Events: ``timeout()``; ``close()`` once the transport is gone; of a client's, ``free()`` when an exchange
    leaves it to its agent, and ``agent_remove()``, which may also be emitted to take it away from the agent.
    """

    __slots__ = ()

    duplex_class = DuplexPump

    def receive(self, max_bytes: int = 65536) -> bytes:
        """Up to `max_bytes`; ``b""`` once the peer sent its FIN.

        Raises:
            ConnectionLost: the connection was reset or destroyed.
        """
        raw = self._stream()
        while (data := raw.take(max_bytes)) is None:
            self._pump.wait(FOREVER)
        return data

    def send(self, data: Any) -> None:
        """Send all of `data` (bytes-like, or str as UTF-8); returns once the queue is below its high-water mark.

        Raises:
            ConnectionLost: the connection is gone.
        """
        raw = self._stream()
        if self._pump.closed:
            raise raw.error or ConnectionLost("socket is closed", code="EPIPE")
        raw.send(as_bytes(data, "data"))
        self._pump.flush()
        while self._pump.blocked:
            self._pump.wait(FOREVER)
        if raw.error is not None:
            raise raw.error

    write = send

    def send_eof(self) -> None:
        """FIN after what was sent, and over TLS ``close_notify`` before it; receiving goes on."""
        self._stream().end()

    def end(self, data: Any = b"") -> None:
        """:meth:`send`, then :meth:`send_eof`."""
        if data:
            self.send(data)
        self.send_eof()

    def close(self) -> None:
        """Let what was sent go out, then close. Idempotent; does not wait for the peer."""
        self._pump.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self.receive()
        if not data:
            raise StopIteration
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pump.close()
