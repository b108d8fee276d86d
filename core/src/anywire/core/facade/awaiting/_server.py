"""Server with the methods that wait, and the loop that serves one connection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ..._pump import FOREVER
from .. import _server
from .._context import begin
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

    An async context manager: leaving it closes the server with :attr:`grace`.
    """

    __slots__ = ()

    message_class = IncomingMessage
    response_class = ServerResponse
    socket_class = Socket

    # ---------------------------------------------------------------- listening

    async def listen(
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
            listener = await self._runtime().listen(self, options)
        except OSError as error:
            raise self._cannot_listen(error, options) from error
        finally:
            wanted, self._binding = self._binding, False
        self._listens(listener, callback, wanted)
        return self

    async def serve_forever(self) -> None:
        """Wait until the server is closed.

        Cancelled it only ends: leaving ``async with server`` is what closes the server then, with :attr:`grace`. Where
        a thread waits, KeyboardInterrupt closes it here, with the same grace.
        """
        self._check_running()
        waiter = self._runtime().waiter()
        self.once("close", waiter.wake)
        try:
            await waiter.wait(FOREVER)
        finally:
            self.off("close", waiter.wake)

    async def close(self, grace: float | None = None, callback: Callable[..., object] | None = None) -> Self:
        """Stop accepting, let exchanges finish, and return when every connection is gone (SRV-87 to SRV-90).

        Who waits in the backlog is still let in, ``closing`` is emitted by this server and by each response that is
        not ended, and from now on each response is the last of its connection. Idle connections stay for a moment,
        so that a request that is on its way is answered and not reset (ASK-45, ASK-47).

        Args:
            grace: seconds after which what is left is aborted; None waits as long as it takes
                (idle connections then end with ``keep_alive_timeout``, as in Node).
            callback: a one-time ``close`` listener; gets an error if the server was not running.
        """
        start = self._runtime().now()
        if self._begin_close(callback):
            if grace is not None:
                self._hurry(grace)
                await self._drain(start + grace)
            await self._gone(FOREVER)
        return self

    async def _drain(self, due: float) -> None:
        try:
            await self._gone(due)
        finally:
            self._end_all()

    async def _gone(self, due: float) -> None:
        """Wait until no connection is left, or until `due`."""
        while self.connections and self._runtime().now() < due:
            with self._closing() as waiter:
                await waiter.wait(due)
        self._check_closed()

    async def __aenter__(self) -> Self:
        self.scope = scope = self._runtime().server_scope(self)
        if scope is not None:
            await scope.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self.scope is not None:
            return await self.scope.__aexit__(kind, error, traceback)  # type: ignore[no-any-return]
        if self._running:
            await self.close(self.grace)
        return None

    # ---------------------------------------------------------------- one connection

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one connection to its end. Run by the backend, once per accepted transport."""
        pump: Any = connection.pump
        connection.served = True
        try:
            if connection.secure is None or await self._shake_hands(connection, pump):
                if self.listener_count("connection"):
                    self._tell("connection", self.socket_for(connection))
                await self._exchanges(partial(self._step, connection, pump), pump)
                if not connection.switched:
                    await self._farewell(pump)
        except BaseException as error:
            self._broke(connection, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._over(connection)

    async def _shake_hands(self, connection: ServerConnection, pump: Any) -> bool:
        """TLS before anything else; who fails is told apart and dropped without a word (MOD-77)."""
        secure: Any = connection.secure
        while secure.shaking:
            await pump.wait(FOREVER)
        error = self.handshake_error(connection)
        if error is not None and self._listeners is not None:
            await self.dispatch("client_error", error, self.socket_for(connection))
        return error is None

    async def _exchanges(self, step: Callable[[], Any], pump: Any) -> None:
        """Take steps, and between them wait for what they left, or for input."""
        until = getattr(pump, "until", None)  # of a pump that can take them itself
        rest = step()
        while rest is not OVER:
            if rest is not None:
                await rest
            elif until is not None:
                rest = await until(step)
                continue
            else:
                await pump.wait(FOREVER)
            rest = step()

    def _exchange(
        self, connection: ServerConnection, request: IncomingMessage, response: ServerResponse, context: Context
    ) -> Any:
        """Hand one request to whoever listens for it. Returns what is left of that, to be awaited, or None."""
        event: str = "request"
        args: tuple[Any, ...] = (request, response)
        try:
            if request._flags & SPECIAL or request._first == "CONNECT":
                event, args = self._special(connection, request, response)
            listeners = iter(self.take_listeners(event))
            for listener in listeners:
                if (rest := begin(listener, args, context)) is not None:
                    return self._rest(connection, response, rest, listeners, args, context)
        except Exception as error:
            self._handler_failed(connection, request, response, error)
        return None

    async def _rest(
        self, connection: Any, response: Any, rest: Any, listeners: Any, args: tuple[Any, ...], context: Context
    ) -> None:
        """What is left of a listener that waits for something, and those behind it."""
        try:
            await rest
            for listener in listeners:
                if (rest := begin(listener, args, context)) is not None:
                    await rest
        except Exception as error:
            self._handler_failed(connection, args[0], response, error)
        connection.parked = True

    async def _client_error(self, connection: ServerConnection, error: Any) -> None:
        """Tell `client_error` listeners, if there are any, and leave the transport to them."""
        socket = self._client_failed(connection, error)
        if socket is not None:
            pump: Any = connection.pump
            await self.dispatch("client_error", error, socket)
            while not pump.closed:
                await pump.wait(FOREVER)
            connection.receive_lost(None)  # the stream had the pump, so nobody told the connection

    async def dispatch(self, event: str, *args: Any) -> bool:
        """Call the listeners of a hook one after the other, as the server does; returns whether there are any.

        With it a ``check_continue`` listener hands a request on (SRV-22):
        ``await server.dispatch("request", req, res)``.

        Args:
            event: ``request``, ``upgrade``, …: a hook, or any other event.
            *args: for the listeners.
        """
        listeners = self.take_listeners(event)
        for listener in listeners:
            result: Any = listener(*args)
            if result is not None and hasattr(result, "__await__"):
                await result
        return bool(listeners)

    async def _farewell(self, pump: Any) -> None:
        """Let the last bytes go out, for as long as a slow reader may take."""
        now = self._runtime().now
        pump.flush()
        due = now() + self.linger_timeout
        while pump.unsent and not pump.closed and now() < due:
            await pump.wait(due)
        if pump.unsent:
            pump.abort()
