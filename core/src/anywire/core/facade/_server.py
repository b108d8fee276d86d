"""Server: what both facades have of it, the loops that wait aside."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .. import _server
from .._chars import safe_target
from .._connection import CLOSED_EVENT
from .._emitter import Emitter
from .._errors import AnywireError, ArgumentTypeError, ConnectionLost, StateError, listen_error
from .._framing import EXPECT_CONTINUE, EXPECT_OTHER, UPGRADE
from .._incoming import UPGRADED, IncomingMessage
from .._server_connection import IDLE_GRACE
from .._server_options import listen_options
from .._tls import server_context
from .._user_socket import Socket
from ._duplex import DuplexPump, is_duplex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Context

    from .._response import ServerResponse
    from .._server_connection import ServerConnection
    from .._server_options import ListenOptions, ServerOptions
    from ._runtime import Listener, Pump, Runtime

__all__ = ["OVER", "SPECIAL", "Server"]

OVER: Final = object()
"""Nothing is left to be done on a connection."""

SPECIAL: Final = EXPECT_CONTINUE | EXPECT_OTHER | UPGRADE
"""Flags of requests that may concern other events than ``request``; so does the method CONNECT."""


class Server(_server.Server):
    """The parts of a facade's server that never wait.

    Attributes:
        grace: seconds that leaving the context manager leaves open exchanges; None is no limit.
        scope: where tasks are structured, what ``async with`` opened; else None.
        secure: this is https.
    """

    __slots__ = ("_binding", "_closed", "_ended", "_home", "_listener", "_runtime", "grace", "scope", "secure")

    message_class: ClassVar[type[IncomingMessage]]
    response_class: ClassVar[type[ServerResponse]]
    socket_class: ClassVar[type[Socket]]
    serve: Callable[[ServerConnection], Any]
    _exchange: Callable[[ServerConnection, Any, Any, Context], Any]
    _client_error: Callable[[ServerConnection, Any], Any]

    def __init__(
        self,
        options: ServerOptions,
        runtime: Callable[[], Any],
        wall_clock: Callable[[], float],
        *,
        secure: bool = False,
    ) -> None:
        super().__init__(options, wall_clock, self.message_class, self.response_class)
        self.secure = secure
        self._runtime = runtime
        self._listener: Listener | None = None
        self._home: Runtime | None = None  # of the loop it listens on
        self._binding = False  # listen() is under way
        self._closed: list[Any] = []  # waiters of those who wait for the last connection to go
        self._ended = False
        self.scope: Any = None
        self.grace: float | None = 10.0

    def __repr__(self) -> str:
        address = self.address()
        where = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else address or "not listening"
        return f"<{type(self).__name__} {where} connections={len(self.connections)}>"

    # ---------------------------------------------------------------- listening

    def _where(self, *args: Any) -> ListenOptions:
        """What ``listen()`` was called with, checked; and this server is ready to listen."""
        if self._listener is not None or self._binding:
            raise StateError(
                "Listen method has been called more than once without closing.", code="ERR_SERVER_ALREADY_LISTEN"
            )
        port, host, path, backlog, fd, sock, ipv6_only, readable_all, writable_all, callback = args
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
        runtime: Runtime = self._runtime()
        self._home = runtime
        if self.secure:
            self.context = server_context(runtime.ssl, runtime.tempfile, self.options.tls)
        self.draining = self._ended = False
        self.idle_grace = 0.0
        self._binding = True
        return options

    def _cannot_listen(self, error: OSError, options: ListenOptions) -> AnywireError:
        failure = listen_error(error, path=options.path, host=options.host, port=options.port)
        if self.listener_count("error"):
            self.emit("error", failure)
        return failure

    def _listens(self, listener: Listener, callback: Callable[[], object] | None, wanted: bool = True) -> None:
        """The port is bound, if it is still wanted: ``close()`` may have come meanwhile (SRV-91)."""
        if not wanted:
            self._ended = True
            listener.stop()
            listener.finish()
            raise StateError("The server was closed before it could listen.", code="ERR_SERVER_NOT_RUNNING")
        self._listener = listener
        if callback is not None:
            self.once("listening", callback)
        self.emit("listening")

    @property
    def listening(self) -> bool:
        """Accepting connections."""
        return self._listener is not None

    def address(self) -> tuple[str, int] | str | None:
        """``(host, port)``, the path of a Unix socket, or None when not listening (SRV-85)."""
        return None if self._listener is None else self._listener.address()

    @property
    def _running(self) -> bool:
        return self._listener is not None or bool(self.connections)

    def _check_running(self) -> None:
        if not self._running:
            raise StateError("Server is not running.", code="ERR_SERVER_NOT_RUNNING")

    def get_connections(self, callback: Callable[[None, int], object] | None = None) -> int:
        """How many connections are open (SRV-92)."""
        count = len(self.connections)
        if callback is not None:
            callback(None, count)
        return count

    # ---------------------------------------------------------------- closing

    def _begin_close(self, callback: Callable[..., object] | None) -> bool:
        """Stop accepting. False if there is nothing to wait for."""
        if self._running and self._home is not None and self._runtime() is not self._home:
            raise StateError(
                "This server listens on another event loop: close() has to be called there, while it runs",
                code="ERR_SERVER_NOT_RUNNING",
            )
        running = self._running or self.draining or self._binding
        error = None if running else StateError("Server is not running.", code="ERR_SERVER_NOT_RUNNING")
        if callback is not None:
            self.once("close", callback if error is None else partial(callback, error))
        if error is not None or self._binding:
            self._binding = False
            self.emit("close")
            if error is not None and callback is None:
                raise error
            return False
        listener, self._listener = self._listener, None
        self.draining = True
        if listener is not None:
            listener.stop()
        self._announce()
        return True

    def _announce(self) -> None:
        """Tell who wants to know that this is the time to come to an end (ASK-45)."""
        try:
            self.emit("closing")
        except Exception as error:
            self._runtime().report("A listener raised while its server was closed", error)
        for connection in self.connections.copy():
            response = connection.response
            try:
                if response is not None:
                    response.emit("closing")
            except Exception as error:
                self._runtime().report("A listener raised while its server was closed", error)
                self._destroy(connection)

    def _hurry(self, grace: float) -> None:
        """Let idle connections go soon."""
        self.idle_grace = min(IDLE_GRACE, grace / 2)
        for connection in self.connections.copy():
            connection.hurry()

    @contextmanager
    def _closing(self) -> Iterator[Any]:
        """A waiter that is woken whenever a connection has gone."""
        waiter = self._runtime().waiter()
        self._closed.append(waiter)
        try:
            yield waiter
        finally:
            self._closed.remove(waiter)

    def _check_closed(self) -> None:
        if self._listener is None and self.draining and not self.connections:
            self.draining = False
            self._ended = True
            self.emit("close")

    def close_idle_connections(self) -> None:
        """Close connections that carry no request now (SRV-L4)."""
        for connection in self.connections.copy():
            if not connection.exchanging and not connection.half_close_due:
                self._destroy(connection)

    def close_all_connections(self) -> None:
        """Abort every connection (SRV-L4)."""
        for connection in self.connections.copy():
            self._destroy(connection)

    def _end_all(self) -> None:
        """The grace is over. A handler that waits for something else would otherwise outlive its server."""
        for connection in self.connections.copy():
            self._destroy(connection)
            if connection.served and connection.cancel is not None:
                connection.cancel()

    def _destroy(self, connection: ServerConnection) -> None:
        """Destroy one of several: a listener of one that raises must not spare the others (SEC-40)."""
        try:
            connection.destroy()
        except Exception as error:
            self._runtime().report("A listener raised while its connection was closed", error)

    # ---------------------------------------------------------------- one connection

    _tell = Emitter.emit
    """What the server itself says. From outside, to emit ``connection`` is to bring one."""

    def emit(self, event: str, *args: Any) -> bool:
        """Call listeners; or with ``connection`` have a connection served that no listener accepted (SRV-5).

        Args:
            event: ``connection``, or anything else.
            *args: for ``connection``: a connected ``socket.socket``, such as one end of a ``socketpair()``; a
                :class:`Socket` that ``upgrade`` or ``connect`` handed out; or any stream of bytes, as
                ``create_connection`` may return it. It is the server's from now on.

        Raises:
            ArgumentTypeError: `args` is nothing of this kind.
            StateError: a :class:`Socket` that still speaks HTTP.
        """
        if event != "connection" or len(args) != 1:
            return super().emit(event, *args)
        runtime: Runtime = self._runtime()
        stream = args[0]
        handle = stream._give() if isinstance(stream, Socket) else self._adopted(runtime, stream)
        if self.secure and self.context is None:
            self.context = server_context(runtime.ssl, runtime.tempfile, self.options.tls)
        if not isinstance(handle, DuplexPump):
            runtime.inject(self, handle)
        elif (connection := self.admit(handle)) is not None:
            connection.cancel = handle._spawn(partial(self.serve, connection))
        return True

    def _adopted(self, runtime: Runtime, stream: Any) -> Any:
        try:
            return runtime.adopt(stream)
        except ArgumentTypeError:
            if not is_duplex(stream):
                raise
            return self.socket_class.duplex_class(runtime, stream)

    def socket_for(self, connection: ServerConnection) -> Any:
        """The user-visible transport."""
        if connection.socket is None:
            connection.socket = self.socket_class(connection, self)
        return connection.socket

    def admit(self, pump: Pump) -> ServerConnection | None:
        """A transport was accepted: its connection, or None if ``max_connections`` says no (SRV-46)."""
        if self._ended:  # accepted before, and told only now: nobody would ever close it (ASK-47)
            pump.abort()
            return None
        if self._at_limit:
            try:
                if self._listeners is not None:
                    self.emit("drop", _server.Dropped.of(pump))
            except Exception as error:
                self._runtime().report("A listener raised while a connection was dropped", error)
            finally:
                pump.abort()
            return None
        try:
            return self.begin(pump, self._runtime().ssl)
        except BaseException:
            pump.abort()
            raise

    def _broke(self, connection: ServerConnection, error: BaseException) -> None:
        """What serves a connection failed, or was cancelled."""
        connection.destroy()
        if isinstance(error, Exception):
            self._runtime().report("Error while serving a connection", error)

    def _over(self, connection: ServerConnection) -> None:
        """Nobody serves a connection any more."""
        self.connections.discard(connection)
        if not connection.switched:
            connection.pump.close()
        self._has_room()
        if self.draining:
            for waiter in list(self._closed):
                waiter.wake()
            self._check_closed()

    def _has_room(self) -> None:
        if self._listener is not None:
            self._listener.resume()

    # ---------------------------------------------------------------- one exchange

    def _step(self, connection: ServerConnection, pump: Pump) -> Any:
        """Run exchanges until there is something to wait for.

        Returns:
            1. None: something has to happen first, input as a rule;
            2. ``OVER``: nothing is left to be done;
            3. where one awaits: what to await before the next step, as the rest of a handler that has begun.
        """
        # Another thread may be ending the response at this moment: then it kicks us when it has.
        if connection.parked and connection.left_pending():
            return None
        next_event = connection.next_event
        while not connection.detached:
            event = next_event()
            if event is None:
                if connection.half_close_due:
                    connection.half_close_if_due()
                return None
            if isinstance(event, IncomingMessage):
                connection.parked = False
                if not event.complete or connection.idle_timeout:
                    pump.kick()  # the handler may never wait on us, and its clock runs all the same
                connection.response = response = self.server_response_class(event)
                connection.context = context = copy_context()  # no exchange sees what another sets (ASK-52)
                rest = self._exchange(connection, event, response, context)
                if rest is not None:
                    return rest
                connection.parked = True  # from here on, whoever ends the response kicks
                if connection.message is None:
                    connection.parked = False
                    continue  # answered, and ready for the next
                if connection.switched:
                    return OVER
                if connection.left_pending():
                    return None
            elif event is CLOSED_EVENT:
                return OVER
            elif (rest := self._client_error(connection, event)) is not None:
                return rest
        # Taken over: for good, or by a client_error listener.
        return OVER if connection.switched or pump.closed else None

    def _special(self, connection: ServerConnection, request: Any, response: Any) -> tuple[str, tuple[Any, ...]]:
        """Expect, Upgrade and CONNECT: which event it is, and with what (SRV-19 to SRV-24, SRV-67 to SRV-74)."""
        args = request, response
        flags = request._flags
        event = "connect" if request._first == "CONNECT" else "upgrade" if flags & UPGRADE else ""
        wanted = self.options.should_upgrade_callback
        if event == "upgrade" and wanted is not None and not wanted(request):
            event = ""
        if event and self.listener_count(event):
            socket = self.socket_for(connection)
            if event == "upgrade" and flags & EXPECT_CONTINUE:
                response.write_continue_nowait()  # who is asked for both owes 100 before 101 (RFC 9110 section 7.8)
                connection.pump.flush()
            connection.response = None
            head = connection.switch()
            request._flags |= UPGRADED
            request.complete = True
            socket._detach()
            self.connections.discard(connection)
            self._has_room()
            return event, (request, socket, head)
        if event == "connect":
            connection.destroy()
            return event, args
        if flags & EXPECT_CONTINUE:
            if self.listener_count("check_continue"):
                return "check_continue", args
            response.write_continue_nowait()
        elif flags & EXPECT_OTHER:
            if not self.listener_count("check_expectation"):
                self.answer_expectation(response)
            return "check_expectation", args
        return "request", args

    def _handler_failed(self, connection: ServerConnection, request: Any, response: Any, error: Exception) -> None:
        """A listener raised (SRV-10)."""
        # What the peer did, a handler may let pass through; anything else somebody should hear of.
        lost = self.socket_for(connection).destroyed if connection.switched else connection.lost
        if error is not connection.error and not (lost and isinstance(error, ConnectionLost)):
            self._runtime().report(f"Error in a handler for {request.method} {safe_target(request.url)}", error)
        if connection.switched:
            self.socket_for(connection).destroy()
        else:
            self.answer_failure(response, error)

    def _client_failed(self, connection: ServerConnection, error: AnywireError) -> Socket | None:
        """Malformed input, a timeout, a lost connection (SRV-31 to SRV-40).

        Returns:
            What ``client_error`` listeners are given beside `error`; None without any: then it was answered.
        """
        if not self.listener_count("client_error"):
            self.answer_error(connection, error)
            connection.pump.flush()
            return None
        socket: Socket = self.socket_for(connection)
        if not connection.lost:
            # What is wrong was received; what is sent from here on is the listener's own.
            connection.give_up()
            socket._detach()
        return socket
