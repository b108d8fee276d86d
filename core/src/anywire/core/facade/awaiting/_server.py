"""Server with the methods that wait, and the loop that serves one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ... import _server
from ..._connection import CLOSED_EVENT
from ..._errors import ConnectionLost, StateError, listen_error
from ..._framing import EXPECT_CONTINUE, EXPECT_OTHER, UPGRADE
from ..._incoming import UPGRADED
from ..._pump import FOREVER
from ..._server_options import listen_options
from ..._tls import server_context
from ._messages import IncomingMessage, ServerResponse
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ..._server_connection import ServerConnection
    from ..._server_options import ServerOptions
    from ._runtime import AwaitingPump, Listener, Runtime

__all__ = ["Server"]

_SPECIAL = EXPECT_CONTINUE | EXPECT_OTHER | UPGRADE

IDLE_GRACE = 1.0
"""Seconds that ``close(grace)`` leaves idle connections for a request that is already on its way (ASK-47)."""


class Server(_server.Server):
    """An HTTP server; see the base class for events, limits and timeouts.

    An async context manager: leaving it closes the server with :attr:`grace`.
    """

    __slots__ = ("_closed", "_ended", "_listener", "_runtime", "grace", "scope", "secure")

    def __init__(
        self,
        options: ServerOptions,
        runtime: Callable[[], Runtime],
        wall_clock: Callable[[], float],
        *,
        secure: bool = False,
    ) -> None:
        super().__init__(options, wall_clock, IncomingMessage, ServerResponse)
        self.secure = secure
        self._runtime = runtime
        self._listener: Listener | None = None
        self._closed: Any = None
        self.scope: Any = None
        self._ended = False
        self.grace: float | None = 10.0

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
            StateError: ``ERR_SERVER_ALREADY_LISTEN``.
            ArgumentTypeError, ArgumentValueError: ``ERR_SOCKET_BAD_PORT`` and the like.
            ConnectError: binding failed: ``EADDRINUSE``, ``EACCES``, …; also emitted as ``error`` if anybody listens.
        """
        if self._listener is not None:
            raise StateError(
                "Listen method has been called more than once without closing.", code="ERR_SERVER_ALREADY_LISTEN"
            )
        options = listen_options(
            port,
            host,
            path=path,
            backlog=backlog,
            fd=fd,
            sock=sock,
            ipv6_only=ipv6_only,
            readable_all=readable_all,
            writable_all=writable_all,
            callback=callback,
        )
        runtime = self._runtime()
        if self.secure:
            self.context = server_context(runtime.ssl, runtime.tempfile, self.options.tls)
        self.draining = self._ended = False
        try:
            self._listener = await runtime.listen(self, options)
        except OSError as error:
            failure = listen_error(error, path=options.path, host=options.host, port=options.port)
            if self.listener_count("error"):
                self.emit("error", failure)
            raise failure from error
        if callback is not None:
            self.once("listening", callback)
        self.emit("listening")
        return self

    @property
    def listening(self) -> bool:
        """Accepting connections."""
        return self._listener is not None

    def address(self) -> tuple[str, int] | str | None:
        """``(host, port)``, the path of a Unix socket, or None when not listening (SRV-85)."""
        return None if self._listener is None else self._listener.address()

    async def serve_forever(self) -> None:
        """Serve until the server is closed, or the task is cancelled, which closes it with :attr:`grace`."""
        runtime = self._runtime()
        if self._listener is None and not self.connections:
            raise StateError("Server is not running.", code="ERR_SERVER_NOT_RUNNING")
        waiter = runtime.waiter()
        self.once("close", waiter.wake)
        try:
            await waiter.wait(FOREVER)
        except BaseException:
            self.off("close", waiter.wake)
            raise

    async def close(self, grace: float | None = None, callback: Callable[..., object] | None = None) -> Self:
        """Stop accepting, let exchanges finish, and return when every connection is gone (SRV-87 to SRV-90).

        From now on each response is the last of its connection. Idle connections stay for a
        moment, so that a request that is on its way is answered and not reset (ASK-47).

        Args:
            grace: seconds after which what is left is aborted; None waits as long as it takes
                (idle connections then end with ``keep_alive_timeout``, as in Node).
            callback: a one-time ``close`` listener; gets an error if the server was not running.
        """
        if self._listener is None and not self.draining:
            error = StateError("Server is not running.", code="ERR_SERVER_NOT_RUNNING")
            if callback is not None:
                callback(error)
                return self
            raise error
        if callback is not None:
            self.once("close", callback)
        runtime = self._runtime()
        listener, self._listener = self._listener, None
        self.draining = True
        if listener is not None:
            listener.stop()
        if grace is not None:
            await self._drain(runtime, grace)
        else:
            await self._gone(runtime, FOREVER)
        return self

    async def _drain(self, runtime: Runtime, grace: float) -> None:
        start = runtime.now()
        try:
            await self._gone(runtime, start + min(grace, IDLE_GRACE))
            self.close_idle_connections()
            await self._gone(runtime, start + grace)
        finally:
            # A handler that waits for something else would otherwise outlive its server.
            for connection in list(self.connections):
                self._destroy(connection)
                if connection.served and connection.cancel is not None:
                    connection.cancel()
        await self._gone(runtime, FOREVER)

    async def _gone(self, runtime: Runtime, due: float) -> None:
        """Wait until no connection is left, or until `due`."""
        while self.connections and runtime.now() < due:
            waiter = runtime.waiter()
            self._closed = waiter
            await waiter.wait(due)
        self._check_closed()

    def _check_closed(self) -> None:
        if self._listener is None and self.draining and not self.connections:
            self.draining = False
            self._ended = True
            self.emit("close")

    def close_idle_connections(self) -> None:
        """Close connections that carry no request now (SRV-L4)."""
        for connection in list(self.connections):
            if not connection.exchanging and not connection.half_close_due:
                self._destroy(connection)

    def close_all_connections(self) -> None:
        """Abort every connection (SRV-L4)."""
        for connection in list(self.connections):
            self._destroy(connection)

    def _destroy(self, connection: ServerConnection) -> None:
        """Destroy one of several: a listener of one that raises must not spare the others (SEC-40)."""
        try:
            connection.destroy()
        except Exception as error:
            self._runtime().report("A listener raised while its connection was closed", error)

    def get_connections(self, callback: Callable[[None, int], object] | None = None) -> int:
        """How many connections are open (SRV-92)."""
        count = len(self.connections)
        if callback is not None:
            callback(None, count)
        return count

    async def __aenter__(self) -> Self:
        scope = self._runtime().server_scope(self)
        if scope is not None:
            await scope.__aenter__()
            self.scope = scope
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self.scope is not None:
            return await self.scope.__aexit__(kind, error, traceback)  # type: ignore[no-any-return]
        if self._listener is not None or self.connections:
            await self.close(self.grace)
        return None

    # ---------------------------------------------------------------- one connection

    def socket_for(self, connection: ServerConnection) -> Socket:
        """The user-visible transport."""
        if connection.socket is None:
            connection.socket = Socket(connection, self)
        return connection.socket  # type: ignore[no-any-return]

    def admit(self, pump: AwaitingPump) -> ServerConnection | None:
        """A transport was accepted: its connection, or None if ``max_connections`` says no (SRV-46)."""
        if self._ended:  # accepted before, and told only now: nobody would ever close it (ASK-47)
            pump.abort()
            return None
        if self.max_connections and len(self.connections) >= self.max_connections:
            try:
                if self._listeners is not None:
                    self.emit("drop", {"remote": pump.info("peername"), "local": pump.info("sockname")})
            finally:
                pump.abort()
            return None
        return self.begin(pump, self._runtime().ssl)

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one connection to its end. Run by the backend, once per accepted transport."""
        pump: Any = connection.pump
        connection.served = True
        try:
            if connection.secure is not None and not await self._shake_hands(connection, pump):
                return
            if self.listener_count("connection"):
                self.emit("connection", self.socket_for(connection))
            await self._exchanges(connection, pump)
            if not connection.switched:
                await self._farewell(pump)
        except BaseException as error:
            connection.destroy()
            if not isinstance(error, Exception):
                raise
            self._runtime().report("Error while serving a connection", error)
        finally:
            self.connections.discard(connection)
            if not connection.switched:
                pump.close()
            if self.draining:
                if self._closed is not None:
                    self._closed.wake()
                self._check_closed()

    async def _shake_hands(self, connection: ServerConnection, pump: Any) -> bool:
        """TLS before anything else; who fails is told apart and dropped without a word (MOD-77)."""
        secure: Any = connection.secure
        while secure.shaking:
            await pump.wait(FOREVER)
        error = self.handshake_error(connection)
        if error is not None and self._listeners is not None:
            await self._call("client_error", error, self.socket_for(connection))
        return error is None

    async def _exchanges(self, connection: ServerConnection, pump: Any) -> None:
        next_event = connection.next_event
        while True:
            event = next_event()
            if event is None:
                if connection.half_close_due and not pump.blocked:
                    pump.flush()
                    pump.half_close()
                await pump.wait(FOREVER)
            elif isinstance(event, IncomingMessage):
                if not event.complete or connection.idle_timeout:
                    pump.kick()  # the handler may never wait on us, and its clock runs all the same
                await self._exchange(connection, event)
                if connection.message is None:
                    continue  # answered, and ready for the next
                if connection.switched:
                    return
                while connection.exchanging and not connection.lost and connection.error is None:
                    connection.parked = True
                    await pump.wait(FOREVER)
                connection.parked = False
            elif event is CLOSED_EVENT:
                return
            else:
                await self._client_error(connection, event)

    async def _exchange(self, connection: ServerConnection, request: IncomingMessage) -> None:
        """Hand one request to whoever listens for it."""
        response: Any = self.server_response_class(request)
        connection.response = response
        try:
            if request._flags & _SPECIAL or request._first == "CONNECT":
                await self._special(connection, request, response)
            else:
                for listener in self.take_listeners("request"):
                    result: Any = listener(request, response)
                    if result is not None and hasattr(result, "__await__"):
                        await result
        except Exception as error:
            # What the peer did, a handler may let pass through; anything else somebody should hear of.
            if error is not connection.error and not (connection.lost and isinstance(error, ConnectionLost)):
                self._runtime().report(f"Error in a handler for {request.method} {request.url!r}", error)
            if connection.switched:
                self.socket_for(connection).destroy()
            else:
                self.answer_failure(response, error)

    async def _call(self, event: str, *args: Any) -> bool:
        listeners = self.take_listeners(event)
        for listener in listeners:
            result: Any = listener(*args)
            if result is not None and hasattr(result, "__await__"):
                await result
        return bool(listeners)

    async def _special(self, connection: ServerConnection, request: IncomingMessage, response: ServerResponse) -> None:
        """Expect, Upgrade and CONNECT (SRV-19 to SRV-24, SRV-67 to SRV-74)."""
        flags = request._flags
        event = "connect" if request._first == "CONNECT" else "upgrade" if flags & UPGRADE else ""
        if event and self.listener_count(event):
            socket = self.socket_for(connection)
            connection.response = None
            head = connection.switch()
            request._flags |= UPGRADED
            request.complete = True
            socket._detach()
            self.connections.discard(connection)
            await self._call(event, request, socket, head)
            return
        if event == "connect":
            connection.destroy()
            return
        if flags & EXPECT_CONTINUE:
            if await self._call("check_continue", request, response):
                return
            response.write_continue_nowait()
        elif flags & EXPECT_OTHER:
            if not await self._call("check_expectation", request, response):
                self.answer_expectation(response)
            return
        await self._call("request", request, response)

    async def _client_error(self, connection: ServerConnection, error: Any) -> None:
        """Malformed input, a timeout, a lost connection (SRV-31 to SRV-40)."""
        if not self.listener_count("client_error"):
            self.answer_error(connection, error)
            connection.pump.flush()
            return
        socket = self.socket_for(connection)
        if not connection.lost:
            # What is wrong was received; what is sent from here on is the listener's own.
            connection.give_up()
            socket._detach()
        await self._call("client_error", error, socket)
        pump: Any = connection.pump
        while not pump.closed:
            await pump.wait(FOREVER)
        connection.receive_lost(None)  # the stream had the pump, so nobody told the connection

    async def _farewell(self, pump: Any) -> None:
        """Let the last bytes go out, for as long as a slow reader may take."""
        runtime = self._runtime()
        pump.flush()
        due = runtime.now() + self.linger_timeout
        while pump.unsent and not pump.closed and runtime.now() < due:
            await pump.wait(due)
        if pump.unsent:
            pump.abort()
