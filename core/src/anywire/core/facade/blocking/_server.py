"""Server with the methods that wait, and the loop that serves one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

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
    from ._runtime import BlockingPump, Listener, Runtime, Waiter

__all__ = ["Server"]

_SPECIAL = EXPECT_CONTINUE | EXPECT_OTHER | UPGRADE

IDLE_GRACE = 1.0
"""Seconds that ``close(grace)`` leaves idle connections for a request that is already on its way (ASK-47)."""


class Server(_server.Server):
    """An HTTP server; see the base class for events, limits and timeouts.

    A context manager: leaving it closes the server with :attr:`grace`.
    """

    __slots__ = ("_closed", "_listener", "_runtime", "grace", "secure")

    async_events: ClassVar[frozenset[str]] = frozenset()

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
        self._closed: list[Waiter] = []
        self.grace: float | None = 10.0

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
        self.draining = False
        try:
            self._listener = runtime.listen(self, options)
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

    def serve_forever(self) -> None:
        """Serve until the server is closed, or the task is cancelled, which closes it with :attr:`grace`."""
        runtime = self._runtime()
        if self._listener is None and not self.connections:
            raise StateError("Server is not running.", code="ERR_SERVER_NOT_RUNNING")
        waiter = runtime.waiter()
        self.once("close", waiter.wake)
        try:
            while self._listener is not None or self.connections:
                waiter.wait(FOREVER)
        except KeyboardInterrupt:
            if self._listener is not None or self.connections:
                self.close(self.grace)
        finally:
            self.off("close", waiter.wake)

    def close(self, grace: float | None = None, callback: Callable[..., object] | None = None) -> Self:
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
            self._drain(runtime, grace)
        else:
            self._gone(runtime, FOREVER)
        if listener is not None:
            listener.finish()
        return self

    def _drain(self, runtime: Runtime, grace: float) -> None:
        start = runtime.now()
        try:
            self._gone(runtime, start + min(grace, IDLE_GRACE))
            self.close_idle_connections()
            self._gone(runtime, start + grace)
        finally:
            # A handler that waits for something else would otherwise outlive its server.
            for connection in list(self.connections):
                connection.destroy()
                if connection.served and connection.cancel is not None:
                    connection.cancel()
        self._gone(runtime, FOREVER)

    def _gone(self, runtime: Runtime, due: float) -> None:
        """Wait until no connection is left, or until `due`."""
        waiter = runtime.waiter()
        self._closed.append(waiter)
        try:
            while self.connections and runtime.now() < due:
                waiter.wait(due)
        finally:
            self._closed.remove(waiter)
        self._check_closed()

    def _check_closed(self) -> None:
        if self._listener is None and self.draining and not self.connections:
            self.draining = False
            self.emit("close")

    def close_idle_connections(self) -> None:
        """Close connections that carry no request now (SRV-L4)."""
        for connection in list(self.connections):
            if not connection.exchanging and not connection.half_close_due:
                connection.destroy()

    def close_all_connections(self) -> None:
        """Abort every connection (SRV-L4)."""
        for connection in list(self.connections):
            connection.destroy()

    def get_connections(self, callback: Callable[[None, int], object] | None = None) -> int:
        """How many connections are open (SRV-92)."""
        count = len(self.connections)
        if callback is not None:
            callback(None, count)
        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None or self.connections:
            self.close(self.grace)

    # ---------------------------------------------------------------- one connection

    def socket_for(self, connection: ServerConnection) -> Socket:
        """The user-visible transport."""
        if connection.socket is None:
            connection.socket = Socket(connection, self)
        return connection.socket  # type: ignore[no-any-return]

    def admit(self, pump: BlockingPump) -> ServerConnection | None:
        """A transport was accepted: its connection, or None if ``max_connections`` says no (SRV-46)."""
        if self.max_connections and len(self.connections) >= self.max_connections:
            if self._listeners is not None:
                self.emit("drop", {"remote": pump.info("peername"), "local": pump.info("sockname")})
            pump.abort()
            return None
        return self.begin(pump, self._runtime().ssl)

    def serve(self, connection: ServerConnection) -> None:
        """Serve one connection to its end. Run by the backend, once per accepted transport."""
        pump: Any = connection.pump
        connection.served = True
        going = self.step(connection)
        while going:
            try:
                pump.wait(FOREVER)
            except BaseException:
                connection.destroy()
                self._over(connection, pump)
                raise
            going = self.step(connection)

    def step(self, connection: ServerConnection) -> bool:
        """Shake hands if need be, then run exchanges, until the connection has to wait for something.

        Returns:
            True: call again when something happened. False: it is over and forgotten.
        """
        pump: Any = connection.pump
        try:
            if connection.secure is not None and connection.secure.shaking:
                return True
            greeted = connection.greeted or self._greet(connection)
            if greeted and not self._exchanges(connection, pump):
                return True
            if not connection.switched:
                self._farewell(connection, pump)
        except Exception as error:
            connection.destroy()
            self._runtime().report("Error while serving a connection", error)
        except BaseException:
            connection.destroy()
            self._over(connection, pump)
            raise
        self._over(connection, pump)
        return False

    def _greet(self, connection: ServerConnection) -> bool:
        """The first step. Who failed to shake hands is dropped without a word (MOD-77)."""
        connection.greeted = True
        if connection.secure is not None and (error := self.handshake_error(connection)) is not None:
            if self._listeners is not None:
                self.emit("client_error", error, self.socket_for(connection))
            return False
        if self.listener_count("connection"):
            self.emit("connection", self.socket_for(connection))
        return True

    def _over(self, connection: ServerConnection, pump: Any) -> None:
        self.connections.discard(connection)
        if not connection.switched:
            pump.close()
        if self.draining:
            for waiter in list(self._closed):
                waiter.wake()
            self._check_closed()

    def _exchanges(self, connection: ServerConnection, pump: Any) -> bool:
        """Returns True when the connection is over, False when it has to wait."""
        # Another thread may be ending the response at this moment: then it kicks us when it has.
        if connection.parked and connection.exchanging and not connection.lost and connection.error is None:
            return False
        next_event = connection.next_event
        while not connection.detached:
            event = next_event()
            if event is None:
                if connection.half_close_due and not pump.blocked:
                    pump.flush()
                    pump.half_close()
                return False
            if isinstance(event, IncomingMessage):
                connection.parked = False
                if not event.complete or connection.idle_timeout:
                    pump.kick()  # the handler may never wait on us, and its clock runs all the same
                self._exchange(connection, event)
                connection.parked = True  # from here on, whoever ends the response kicks
                if connection.message is None:
                    continue  # answered, and ready for the next
                if connection.switched:
                    return True
                if connection.exchanging and not connection.lost and connection.error is None:
                    return False
            elif event is CLOSED_EVENT:
                return True
            else:
                self._client_error(connection, event)
        return bool(pump.closed)  # it is in the hands of a client_error listener

    def _exchange(self, connection: ServerConnection, request: IncomingMessage) -> None:
        """Hand one request to whoever listens for it."""
        response: Any = self.server_response_class(request)
        connection.response = response
        try:
            if request._flags & _SPECIAL or request._first == "CONNECT":
                self._special(connection, request, response)
            else:
                self.emit("request", request, response)
        except Exception as error:
            # What the peer did, a handler may let pass through; anything else somebody should hear of.
            if error is not connection.error and not (connection.lost and isinstance(error, ConnectionLost)):
                self._runtime().report(f"Error in a handler for {request.method} {request.url!r}", error)
            if connection.switched:
                self.socket_for(connection).destroy()
            else:
                self.answer_failure(response, error)

    def _special(self, connection: ServerConnection, request: IncomingMessage, response: ServerResponse) -> None:
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
            self.emit(event, request, socket, head)
            return
        if event == "connect":
            connection.destroy()
            return
        if flags & EXPECT_CONTINUE:
            if self.emit("check_continue", request, response):
                return
            response.write_continue_nowait()
        elif flags & EXPECT_OTHER:
            if not self.emit("check_expectation", request, response):
                self.answer_expectation(response)
            return
        self.emit("request", request, response)

    def _client_error(self, connection: ServerConnection, error: Any) -> None:
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
        self.emit("client_error", error, socket)

    def _farewell(self, connection: ServerConnection, pump: Any) -> None:
        """Let the last bytes go out, for as long as a slow reader may take."""
        runtime = self._runtime()
        pump.flush()
        due = runtime.now() + self.linger_timeout
        while pump.unsent and not pump.closed and runtime.now() < due:
            pump.wait(due)
        if pump.unsent:
            pump.abort()
