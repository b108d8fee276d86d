"""Socket: the transport as listeners see it; the part of it that never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from ._checks import check_error, check_timeout
from ._client_connection import ClientConnection
from ._connection import Connection
from ._emitter import Emitter
from ._errors import AnywireError, ConnectionLost, StateError
from ._outgoing import as_bytes
from ._raw import RawStream
from ._secure import hand_over
from ._socket_options import probe, set_no_delay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Socket"]


class Socket(Emitter):
    """A connection's transport: where it goes, and how to end it.

    The facades make it a byte stream after an upgrade, with the methods that wait.

    Events: ``timeout()``; ``close()`` once the transport is gone; of a client's, ``free()`` when an exchange
    leaves it to its agent, and ``agent_remove()``, which may also be emitted to take it away from the agent.
    """

    duplex_class: ClassVar[Any]  # the facade's pump for streams that are no sockets

    __slots__ = ("_pump", "_raw", "connection", "server")

    def __init__(self, connection: Connection, server: Any = None) -> None:
        super().__init__()
        self.connection = connection
        self.server = server
        self._pump: Any = connection.pump  # in the facade's colour
        self._raw: RawStream | None = None

    def __repr__(self) -> str:
        return f"<Socket {self._pump.info('sockname')} - {self._pump.info('peername')}>"

    # ---------------------------------------------------------------- where

    def _part(self, which: str, index: int) -> Any:
        name = self._pump.info(which)
        return name[index] if isinstance(name, tuple) else None

    @property
    def remote_address(self) -> str | None:
        """The peer's IP address, None for Unix sockets and once closed."""
        value = self._part("peername", 0)
        return value if value is None else str(value)

    @property
    def remote_port(self) -> int | None:
        """The peer's port."""
        value = self._part("peername", 1)
        return None if value is None else int(value)

    @property
    def local_address(self) -> str | None:
        """Our IP address."""
        value = self._part("sockname", 0)
        return value if value is None else str(value)

    @property
    def local_port(self) -> int | None:
        """Our port."""
        value = self._part("sockname", 1)
        return None if value is None else int(value)

    @property
    def encrypted(self) -> bool:
        """TLS is spoken over it."""
        return self.connection.secure is not None

    @property
    def ssl_object(self) -> Any:
        """The ``ssl`` object of an encrypted transport, else None."""
        secure = self.connection.secure
        return None if secure is None else secure.ssl_object

    @property
    def authorized(self) -> bool:
        """The peer's certificate was verified (MOD-71)."""
        tls = self.ssl_object
        return tls is not None and tls.context.verify_mode.name != "CERT_NONE" and bool(tls.getpeercert())

    @property
    def destroyed(self) -> bool:
        """The transport is gone, or going."""
        return bool(self._pump.closed or (self._raw is None and self.connection.lost))

    @property
    def timeout(self) -> float:
        """The idle timeout in force, in seconds; 0 is none."""
        feed: Any = self._raw or self.connection
        return float(feed.idle_timeout)

    def emit(self, event: str, *args: Any) -> bool:
        """Call listeners. ``agent_remove`` takes the connection away from its agent first (AGT-69, AGT-70)."""
        if event == "agent_remove" and isinstance(self.connection, ClientConnection):
            self.connection.leave_agent()
        return super().emit(event, *args)

    # ---------------------------------------------------------------- ending it

    def destroy(self, error: AnywireError | None = None) -> Self:
        """Gone, now. An exchange it carries fails with `error` or ``ECONNRESET``."""
        check_error(error)
        if self._raw is not None:
            self._raw.eof = True
            self._raw.error = error or ConnectionLost("socket destroyed")
            self._pump.abort()
            self._pump.kick()
        else:
            self.connection.destroy(error)
            self._pump.kick()
        return self

    def set_timeout(self, seconds: float, callback: Callable[..., object] | None = None) -> Self:
        """Idle timeout in seconds, 0 for none. Strikes destroy a raw stream; else see ``timeout`` of the messages."""
        seconds = check_timeout(seconds, "seconds")
        if callback is not None:
            self.on("timeout", callback)
        feed: Any = self._raw or self.connection
        feed.idle_timeout = seconds
        self._pump.kick()
        return self

    def set_no_delay(self, no_delay: bool = True) -> Self:
        """Switch Nagle's algorithm off (the default) or on."""
        set_no_delay(self._pump, no_delay)
        return self

    def set_keep_alive(self, enable: bool = False, initial_delay: float = 0.0) -> Self:
        """Switch TCP keep-alive probes.

        Args:
            enable: probe at all.
            initial_delay: seconds of silence before the first probe; 0 is 60.
        """
        probe(self.connection, enable, initial_delay)
        return self

    # ---------------------------------------------------------------- a raw stream

    def unshift(self, data: Any) -> None:
        """Put bytes back, to be received next: the `head` of an upgrade, say, before others read the stream.

        Raises:
            StateError: the connection speaks HTTP.
            ArgumentTypeError: `data` is neither bytes-like nor str.
        """
        self._stream().unshift(as_bytes(data, "data"))

    def _detach(self) -> Self:
        """Stop speaking HTTP; called by whoever hands this out after an upgrade."""
        if self._raw is None:
            pump = self._pump
            self._raw = raw = RawStream(pump, max_buffered=self.connection.limits.max_buffered)
            raw.eof = self.connection.eof
            pump.flush()
            hand_over(pump, raw)
            self.connection.detached = True
        return self

    def _stream(self) -> RawStream:
        if self._raw is None:
            raise StateError("This connection speaks HTTP; only upgraded ones can be used as a stream", code="EINVAL")
        return self._raw

    def _give(self) -> Any:
        """Give the pump away, for another connection that reads on where this stream was left."""
        self._stream()
        return self._pump

    def _carry(self, connection: Connection) -> Any:
        """Give the pump away, for `connection` to be fed by it; we are its socket from here on."""
        raw = self._stream()
        self._pump.usable()  # feeds what has arrived
        came = raw.take()
        if raw.spoken or came:
            # SEC-26: a proxy that sends before we do would be speaking for the origin.
            self._pump.abort()
            raise ConnectionLost("bytes arrived on a tunnel before anything was sent", code="EPROTO")
        if came is not None:
            self._pump.abort()
            raise ConnectionLost("socket hang up")
        self.connection = connection
        self._raw = None
        connection.socket = self
        return self._pump
