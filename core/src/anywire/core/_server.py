"""Server: listeners, limits and the rules that hold for all its connections.

The part of a server that never waits. It is what a :class:`ServerConnection` asks
whenever it needs a limit, so a change applies at once. Facades add ``listen``,
``close`` and the loop that serves one connection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ._checks import check_subclass
from ._date import DateLine
from ._emitter import Emitter
from ._errors import AnywireError, tls_error
from ._incoming import IncomingMessage
from ._limits import Limits
from ._options import check_timeout
from ._raw import RawStream
from ._response import ServerResponse
from ._secure import SecureFeed, hand_over, shaken
from ._serializer import canned_response
from ._server_connection import ServerConnection
from ._settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from ._pump import Pump
    from ._server_options import ServerOptions

__all__ = ["Dropped", "Server"]


class Dropped(NamedTuple):
    """Whom ``drop`` is about: a TCP connection beyond ``max_connections`` (SRV-L7).

    Families are ``"IPv4"`` or ``"IPv6"``.
    """

    local_address: str
    local_port: int
    local_family: str
    remote_address: str
    remote_port: int
    remote_family: str

    @classmethod
    def of(cls, pump: Pump) -> Dropped | None:
        """What to say of a transport; None if it is not TCP."""
        local, remote = pump.info("sockname"), pump.info("peername")
        known = isinstance(local, tuple) and isinstance(remote, tuple)
        return cls(*_place(local), *_place(remote)) if known else None


class Connections(dict["ServerConnection", None]):
    """A set in the order of accepting, so that what is done to all of them is done in the same order every time.

    Threads change it meanwhile: go through a ``copy()``, which is one step, as ``list()`` of it is only under a GIL.
    """

    __slots__ = ()

    def add(self, connection: ServerConnection) -> None:
        """It is being served."""
        self[connection] = None

    def discard(self, connection: ServerConnection) -> None:
        """It is served no more."""
        self.pop(connection, None)


class Server(Emitter):
    """What an HTTP server knows (SRV-1 to SRV-92).

    Events: ``request(req, res)``, ``check_continue(req, res)``, ``check_expectation(req, res)``,
    ``connect(req, socket, head)``, ``upgrade(req, socket, head)``, ``client_error(error, socket)``,
    ``connection(socket)``, ``timeout(socket)``, ``drop(info)``, ``listening()``, ``closing()``, ``close()``,
    ``error(error)``;
    of https also ``tls_client_error(error, socket)``.

    Attributes:
        timeout: seconds a connection may be silent; 0 is no limit (SRV-47).
        keep_alive_timeout: seconds between a response and the next request; default 5 (SRV-49).
        keep_alive_hint: tell clients of that in a ``Keep-Alive`` field, and wait a second longer (SRV-L5).
        headers_timeout: seconds a head may take; default 60 (SRV-60, decision 5).
        request_timeout: seconds a whole request may take to arrive; default 300 (SRV-L1).
        write_timeout: seconds without a byte taken of a response that waits to be; default 60 (SEC-28).
        linger_timeout: seconds to wait for the client's FIN, or for a body nobody reads; default 5.
        max_connections: open connections beyond which new ones are dropped, or wait; None is no limit (SRV-46, ASK-44).
        max_requests_per_socket: requests after which a connection is closed; 0 is no limit (SRV-L3).
        http_allow_half_open: answer a request whose client half-closed (SRV-28).
        draining: ``close()`` was called: every response is the last of its connection (SRV-88).
        idle_grace: seconds that idle connections may still stay, because ``close(grace)`` was called; 0: it was not.
        connections: every connection that is being served, in the order of accepting.
        context: the ``SSLContext`` of an https server that listens.
    """

    async_events: ClassVar[frozenset[str]] = frozenset(
        {"request", "check_continue", "check_expectation", "connect", "upgrade", "client_error"}
    )

    __slots__ = (
        "__weakref__",
        "_max_connections",
        "connections",
        "context",
        "date",
        "draining",
        "headers_timeout",
        "http_allow_half_open",
        "idle_grace",
        "incoming_message_class",
        "keep_alive_hint",
        "keep_alive_timeout",
        "lenient",
        "limits",
        "linger_timeout",
        "max_requests_per_socket",
        "options",
        "request_timeout",
        "server_response_class",
        "timeout",
        "write_timeout",
    )

    def __init__(
        self,
        options: ServerOptions,
        wall_clock: Callable[[], float],
        message_class: type[IncomingMessage] = IncomingMessage,
        response_class: type[ServerResponse] = ServerResponse,
    ) -> None:
        super().__init__()
        self.options = options
        self.limits = Limits(
            max_header_size=options.max_header_size,
            max_headers_count=options.max_headers_count,
            max_buffered=options.max_buffered,
            max_drain=options.max_drain,
            max_trailer_size=options.max_trailer_size,
            max_chunk_extension_size=options.max_chunk_extension_size,
        )
        self.lenient = SETTINGS.use_insecure_parser(options.insecure_http_parser)
        self.date = DateLine(wall_clock)
        self.connections = Connections()
        self.context: Any = None
        self.draining = False
        self.idle_grace = 0.0
        self.timeout: float = options.timeout
        self.keep_alive_timeout: float = options.keep_alive_timeout
        self.keep_alive_hint: bool = options.keep_alive_hint
        self.headers_timeout: float = options.headers_timeout
        self.request_timeout: float = options.request_timeout
        self.write_timeout: float = options.write_timeout
        self.linger_timeout: float = options.linger_timeout
        self._max_connections: int | None = options.max_connections
        self.max_requests_per_socket: int = options.max_requests_per_socket
        self.http_allow_half_open: bool = options.http_allow_half_open
        self.incoming_message_class = check_subclass(
            options.incoming_message_class, "incoming_message_class", message_class
        )
        self.server_response_class = check_subclass(
            options.server_response_class, "server_response_class", response_class
        )

    @property
    def max_connections(self) -> int | None:
        """Most connections; None is no limit (SRV-46). A change counts at once: who waits is let in (ASK-44)."""
        return self._max_connections

    @max_connections.setter
    def max_connections(self, count: int | None) -> None:
        self._max_connections = count
        self._has_room()

    @property
    def full(self) -> bool:
        """Accept nobody now: they are to wait until a connection has gone (ASK-44)."""
        return self.options.at_max_connections == "pause" and self._at_limit

    @property
    def _at_limit(self) -> bool:
        most = self._max_connections
        return bool(most) and len(self.connections) >= most  # type: ignore[operator]

    def _has_room(self) -> None:
        """There may be: accept again, if that was paused; facades do."""

    @property
    def max_headers_count(self) -> int:
        """Most fields in a head; more is answered with 431 (SRV-41), on connections accepted from now on (SRV-43)."""
        return self.limits.max_headers_count

    @max_headers_count.setter
    def max_headers_count(self, count: int) -> None:
        self.limits = replace(self.limits, max_headers_count=count)

    def set_timeout(self, seconds: float = 0.0, callback: Callable[..., object] | None = None) -> Self:
        """Set :attr:`timeout` for connections accepted from now on (SRV-59)."""
        self.timeout = check_timeout(seconds, "seconds")
        if callback is not None:
            self.on("timeout", callback)
        return self

    def ref(self) -> Self:
        """Node keeps its process alive by this (SRV-92); here ``serve_forever`` does, and this changes nothing."""
        return self

    def unref(self) -> Self:
        """See :meth:`ref`."""
        return self

    def socket_for(self, connection: ServerConnection) -> Any:
        """The user-visible transport of `connection`; facades override it."""
        return connection.socket

    # ---------------------------------------------------------------- connections

    def begin(self, pump: Any, ssl: Any) -> ServerConnection:
        """A connection over a transport that was accepted, behind TLS if that is spoken here."""
        connection = ServerConnection(self)
        connection.pump = pump
        before = hand_over(pump, connection)
        if self.context is not None:
            limit = self.headers_timeout
            connection.secure = SecureFeed(ssl, self.context, connection, server_side=True, limit=limit)
            connection.secure.attach(pump)
        if isinstance(before, RawStream):  # of an upgraded connection: what was read is ours (SRV-5)
            before.pour(connection.secure or connection)
        self.connections.add(connection)
        return connection

    def handshake_error(self, connection: ServerConnection) -> AnywireError | None:
        """The handshake is over: why it failed, and then the connection is gone and ``tls_client_error`` was told.

        ``client_error`` is next (MOD-77), which may wait.
        """
        pump: Any = connection.pump
        peer = pump.info("peername")
        assert connection.secure is not None, "it shook hands"
        problem = shaken(pump, connection.secure)
        if problem is None:
            return None
        name = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a client"
        error = problem if isinstance(problem, AnywireError) else tls_error(problem, name)
        connection.destroy()
        if self._listeners is not None:
            self.emit("tls_client_error", error, self.socket_for(connection))
        return error

    # ---------------------------------------------------------------- what connections ask

    def keep_alive_line(self) -> bytes:
        """What :attr:`keep_alive_hint` tells: whole seconds, and ``max_requests_per_socket`` if it is set (SRV-L5)."""
        if not self.keep_alive_timeout:
            return b""
        most = b", max=%d" % self.max_requests_per_socket if self.max_requests_per_socket else b""
        return b"Keep-Alive: timeout=%d%b\r\n" % (self.keep_alive_timeout, most)

    def timed_out(self, connection: ServerConnection) -> bool:
        """A connection was silent for too long (SRV-56). Returns True if it was destroyed.

        As the page says, a listener of the request counts as long as it is not answered (MSG-36).
        """
        socket = connection.user_socket()
        message, response = connection.message, connection.response
        heard = False
        if message is not None and (response is not None or not message.complete):
            heard = message.emit("timeout", socket)
        if response is not None:
            heard = response.emit("timeout", socket) or heard
        heard = self.emit("timeout", socket) or heard
        if not heard:
            connection.destroy()
        return not heard

    def answer_error(self, connection: ServerConnection, error: AnywireError) -> None:
        """The default answer to bytes that are no request: 400, 408, 431, … if nothing was sent yet (SRV-32)."""
        response = connection.response
        if response is not None and response.headers_sent and not response._head:
            # Nothing is ever appended to a started response; a clean end would make it look complete (SRV-35).
            connection.destroy(error)
        elif not connection.lost and error.status_hint:  # what destroy() was given may be any exception
            connection.send(canned_response(error.status_hint))
        connection.give_up()

    def answer_expectation(self, response: ServerResponse) -> None:
        """The default answer to an Expect we do not know (SRV-23)."""
        response.write_head(417)
        response.end_nowait()

    def answer_failure(self, response: ServerResponse, error: BaseException) -> None:
        """A handler raised: 500 if the head is unsent, else the connection is destroyed (SRV-10).

        If what it raised is the request's own fault, that is what ``next_event`` says next: the
        answer is :meth:`answer_error`'s or that of a ``client_error`` listener (SRV-31).
        """
        connection = response._connection
        if response.destroyed or response.writable_ended:
            return
        if connection.response is not response:
            # It was given up, or its socket was taken away: what is sent now would be in the name of another (SEC-3).
            if connection.response is None and connection.unanswered:
                connection.destroy()
            return
        if response.headers_sent and (response._sink or not response._head):
            response.destroy()
            return
        if error is connection.error:
            return
        response._reset()
        response.status_code = 500
        response.end_nowait("Internal Server Error")


def _place(name: tuple[str, int]) -> tuple[str, int, str]:
    return name[0], name[1], "IPv6" if ":" in name[0] else "IPv4"
