"""Server with the methods that block, and the loop that serves one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..._pump import FOREVER
from .. import _server
from .._server import OVER, SPECIAL
from ._messages import IncomingMessage, ServerResponse
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import TracebackType

    from ..._server_connection import ServerConnection

__all__ = ["Server"]


class Server(_server.Server):
    """An HTTP server; see the base class for events, limits and timeouts.

    A context manager: leaving it closes the server with :attr:`grace`.
    """

    __slots__ = ()

    async_events: ClassVar[frozenset[str]] = frozenset()  # hooks are plain functions

    message_class = IncomingMessage
    response_class = ServerResponse
    socket_class = Socket

    # ---------------------------------------------------------------- listening

    def listen(
        self,
        port: Any = None,
        host: str | None = None,
        *,
        path: str | None = None,
        backlog: int | None = None,
        fd: int | None = None,
        sock: Any = None,
        ipv6_only: bool = False,
        readable_all: bool = False,
        writable_all: bool = False,
        callback: Callable[[], object] | None = None,
    ) -> Self:
        """Bind and accept connections (SRV-75 to SRV-86).

        Args:
            port: 0 to 65535, or the path of a Unix socket; 0 or None takes a free port.
            host: name or address; None binds all addresses, dual-stack.
            path: Unix socket path, in place of port and host.
            backlog: length of the accept queue, default 511.
            fd: descriptor of a socket that is bound already, in place of all these.
            sock: the same as a socket object.
            readable_all: let every user of the machine read the Unix socket.
            writable_all: let every user of the machine write to it.
            ipv6_only: with ``::``, leave IPv4 alone.
            callback: a one-time ``listening`` listener.

        Raises:
            StateError: ``ERR_SERVER_ALREADY_LISTEN``; ``ERR_SERVER_NOT_RUNNING`` if it was closed meanwhile (SRV-91).
            ArgumentTypeError, ArgumentValueError: ``ERR_SOCKET_BAD_PORT`` and the like.
            ConnectError: binding failed: ``EADDRINUSE``, ``EACCES``, …; also emitted as ``error`` if anybody listens.
        """
        options = self._where(port, host, path, backlog, fd, sock, ipv6_only, readable_all, writable_all, callback)
        try:
            listener = self._runtime().listen(self, options)
        except OSError as error:
            raise self._cannot_listen(error, options) from error
        finally:
            wanted, self._binding = self._binding, False
        self._listens(listener, callback, wanted)
        return self

    def serve_forever(self) -> None:
        """Wait until the server is closed.

        Cancelled it only ends: leaving ``with server`` is what closes the server then, with :attr:`grace`. Where
        a thread waits, KeyboardInterrupt closes it here, with the same grace.
        """
        self._check_running()
        waiter = self._runtime().waiter()
        self.once("close", waiter.wake)
        try:
            while self._running:
                waiter.wait(FOREVER)
        except KeyboardInterrupt:
            if self._running:
                self.close(self.grace)
        finally:
            self.off("close", waiter.wake)

    def close(self, grace: float | None = None, callback: Callable[..., object] | None = None) -> Self:
        """Stop accepting, let exchanges finish, and return when every connection is gone (SRV-87 to SRV-90).

        Who waits in the backlog is still let in, ``closing`` is emitted by this server and by each response that is
        not ended, and from now on each response is the last of its connection. Idle connections stay for a moment,
        so that a request that is on its way is answered and not reset (ASK-45, ASK-47).

        Args:
            grace: seconds after which what is left is aborted; None waits as long as it takes
                (idle connections then end with ``keep_alive_timeout``, as in Node).
            callback: a one-time ``close`` listener; gets an error if the server was not running.
        """
        listener: Any = self._listener
        start = self._runtime().now()
        if self._begin_close(callback):
            if grace is not None:
                self._hurry(grace)
                self._drain(start + grace)
            self._gone(FOREVER)
            if listener is not None:
                listener.finish()
        return self

    def _drain(self, due: float) -> None:
        try:
            self._gone(due)
        finally:
            self._end_all()

    def _gone(self, due: float) -> None:
        """Wait until no connection is left, or until `due`."""
        while self.connections and self._runtime().now() < due:
            with self._closing() as waiter:
                if self.connections:  # the last one may have gone before there was a waiter
                    waiter.wait(due)
        self._check_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._running:
            self.close(self.grace)

    # ---------------------------------------------------------------- one connection

    def serve(self, connection: ServerConnection) -> None:
        """Serve one connection to its end. Run by the backend, once per accepted transport."""
        pump: Any = connection.pump
        connection.served = True
        going = self.step(connection)
        while going:
            try:
                pump.wait(FOREVER)
            except BaseException as error:
                self._broke(connection, error)
                self._over(connection)
                raise
            going = self.step(connection)

    def step(self, connection: ServerConnection) -> bool:
        """Shake hands if need be, then run exchanges, until the connection has to wait for something.

        Returns:
            True: call again when something happened. False: it is over and forgotten.
        """
        pump: Any = connection.pump
        going = False
        try:
            if connection.secure is not None and connection.secure.shaking:
                going = True
            else:
                greeted = connection.greeted or self._greet(connection)
                if greeted and self._step(connection, pump) is not OVER:
                    going = True
                elif not connection.switched:
                    self._farewell(pump)
        except BaseException as error:
            self._broke(connection, error)
            if not isinstance(error, Exception):
                raise
        finally:
            if not going:
                self._over(connection)
        return going

    def _greet(self, connection: ServerConnection) -> bool:
        """The first step. Who failed to shake hands is told apart and dropped without a word (MOD-77)."""
        connection.greeted = True
        if connection.secure is not None and (error := self.handshake_error(connection)) is not None:
            if self._listeners is not None:
                self.emit("client_error", error, self.socket_for(connection))
            return False
        if self.listener_count("connection"):
            self._tell("connection", self.socket_for(connection))
        return True

    def _exchange(
        self, connection: ServerConnection, request: IncomingMessage, response: ServerResponse, context: Context
    ) -> None:
        """Hand one request to whoever listens for it."""
        event: str = "request"
        args: tuple[Any, ...] = (request, response)
        try:
            if request._flags & SPECIAL or request._first == "CONNECT":
                event, args = self._special(connection, request, response)
            context.run(self._tell, event, *args)
        except Exception as error:
            self._handler_failed(connection, request, response, error)

    def dispatch(self, event: str, *args: Any) -> bool:
        """Call the listeners of a hook one after the other, as the server does; returns whether there are any.

        With it a ``check_continue`` listener hands a request on (SRV-22):
        ``server.dispatch("request", req, res)``.

        Args:
            event: ``request``, ``upgrade``, …: a hook, or any other event.
            *args: for the listeners.
        """
        return self.emit(event, *args)

    def _client_error(self, connection: ServerConnection, error: Any) -> None:
        """Tell `client_error` listeners, if there are any, and leave the transport to them."""
        socket = self._client_failed(connection, error)
        if socket is not None:
            self.emit("client_error", error, socket)

    def _farewell(self, pump: Any) -> None:
        """Let the last bytes go out, for as long as a slow reader may take."""
        now = self._runtime().now
        pump.flush()
        due = now() + self.linger_timeout
        while pump.unsent and not pump.closed and now() < due:
            pump.wait(due)
        if pump.unsent:
            pump.abort()
