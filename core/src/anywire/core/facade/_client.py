"""ClientRequest: what both facades have of it, the loops that wait aside."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .. import _request
from .._client_connection import ClientConnection
from .._errors import AnywireError, ArgumentTypeError, ConnectionLost, LocalError, StateError, tls_error
from .._failure import expired, limit_of
from .._lease import DONE, OPEN, QUEUED
from .._options import server_name
from .._outgoing import NOWHERE, UNRENDERED, OutgoingMessage
from .._pump import FOREVER
from .._secure import shaken
from .._socket_options import probe
from .._tls import client_feed
from ._duplex import is_duplex
from ._sockets import PROBE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._client_agent import ClientAgent
    from .._emitter import Listener
    from .._incoming import IncomingMessage
    from .._lease import Lease
    from .._options import RequestOptions
    from .._timings import Opening
    from .._user_socket import Socket

__all__ = ["ClientRequest", "handshake"]

DISCARD: Final = 65536
"""Most bytes of an unread response that are read for the sake of its connection (ASK-7)."""


class ClientRequest(_request.ClientRequest):
    """The parts of a facade's request that never wait."""

    __slots__ = ("_claimed", "_runtime", "_unchecked", "_waiter")

    message_class: ClassVar[type[IncomingMessage]]
    socket_class: ClassVar[type[Socket]]

    def __init__(self, options: RequestOptions, agent: ClientAgent | None, runtime: Any) -> None:
        self._runtime = runtime
        self._unchecked = 0  # bytes written since we last looked whether the peer answered
        self._waiter: Any = None
        self._claimed = False  # upgraded() wants what the protocol is switched to, not listeners
        super().__init__(options, agent, runtime.now)

    # ---------------------------------------------------------------- limits

    def _due(self, limit: float | None) -> float:
        """When a wait that begins now has to end."""
        due = self._deadline or FOREVER
        return min(due, self._now() + limit) if limit else due

    def _head_due(self, due: float | None) -> float:
        """When the response has to be here; `due` is what this said before.

        Raises:
            TimedOut: that was before now, whatever trickled in meanwhile.
        """
        if due is None:
            limit = self._options.head_timeout
            return self._due(limit) if limit else self._deadline or FOREVER
        if due != FOREVER and self._now() >= due:
            raise expired(self, "head")
        return due

    def _check_moved(self, phase: str, due: float, moved: bool) -> None:
        """A wait for the body of a message ended. What moved restarts the idle limit, and never the deadline.

        Raises:
            TimedOut: at `due` nothing had `moved`.
        """
        if due == FOREVER or (now := self._now()) < due:
            return
        if not moved or (self._deadline is not None and now >= self._deadline):
            raise expired(self, phase)

    def _write_due(self) -> float:
        """When a server that takes nothing of the request is given up."""
        return self._due(limit_of(self, "write")[1])

    def _interrupted(self, problem: BaseException) -> None:
        """A wait was cancelled: release everything, now, without another suspension (ASK-12)."""
        if isinstance(problem, Exception):  # what create_connection or lookup raised, too (AGT-33)
            self._fail(problem)
        else:
            error = LocalError(f"cancelled in phase {self._phase()}", code="ABORT_ERR", phase=self._phase())
            error.__cause__ = problem
            self._fail(error)

    # ---------------------------------------------------------------- sending and the answer

    def _expects(self) -> float | None:
        """For how long the body is held back: None without ``Expect: 100-continue``."""
        fields: Any = self._raw_fields if self._store is None else self._store.items()
        asked = any(name.lower() == "expect" and str(value).lower() == "100-continue" for name, value in fields)
        return self._options.continue_timeout if asked else None

    def _held_back(self) -> Iterator[float | None]:
        """What to wait for before the body is sent: None is a connection, else anything, until then."""
        limit = self._expects()
        due: float | None = None
        while limit is not None and not self._advised(due):
            due = None if self._connection is None else due or self._due(limit)
            yield due
        self._options.continue_timeout = None

    def _advised(self, due: float | None) -> bool:
        """The body is held back no longer: 100 came, a final answer did, or it is `due`, known once the head is out.

        After a final answer nothing of the body is sent (RFC 9110 section 10.1.1).
        """
        if due is None:
            self.flush_headers_nowait()
        if self._advance() is not None:
            self._sink = NOWHERE
            self.should_keep_alive = False  # it would take what follows for the body
            self._maybe_over()
        elif due is not None and self._now() >= due:
            self._check_moved("head", self._deadline or FOREVER, True)
        elif self._options.continue_timeout is not None:
            return False
        return True

    def _write_unchecked(self, chunk: Any) -> None:
        if self._error is not None:
            raise self._error
        self.write_nowait(chunk)
        self._unchecked += len(chunk)

    def _end_unchecked(self, data: Any, trailers: Any) -> None:
        if self._error is not None:
            raise self._error
        self.end_nowait(data, trailers=trailers)

    def _ask(self) -> None:
        """Somebody waits for the answer: a request of which nothing was written is over, and its head leaves."""
        if self._framing == UNRENDERED and not self.writable_ended:
            self.end_nowait()
        if self._head:
            self.flush_headers_nowait()

    def _is_short(self, kind: object) -> bool:
        """Left without an exception (of `kind`): reading the rest of the answer is worth its connection.

        Of a chunked one nobody knows how much that is: what has arrived is read here, and nothing is waited for.
        """
        message, connection = self.res, self._connection
        if kind is not None or message is None or connection is None or not self.writable_ended:
            return False
        if message._length >= 0:
            return connection._parser._left <= DISCARD
        connection.pump.usable()
        left = DISCARD
        with suppress(AnywireError):
            while left >= 0 and (piece := message.read_nowait()):
                left -= len(piece)
        return False

    def _take_over(self) -> tuple[Any, Any, bytes]:
        """``(message, socket, head)``, once the protocol was switched."""
        assert self._switched is not None and self._connection is not None
        (message, head), self._switched = self._switched, None
        socket: Any = self._connection.user_socket()
        socket._detach()._raw.spoken = bool(head)
        return message, socket, head

    def _upgraded(self, message: Any) -> tuple[Any, Any, bytes]:
        """What ``upgraded()`` returns."""
        if self._switched is None:
            raise StateError(
                f"The server did not upgrade but answered {message.status_code}", code="ERR_HTTP_NOT_UPGRADED"
            )
        taken = self._take_over()
        self.emit("close")
        return taken

    def _hand_over(self) -> tuple[tuple[Listener, ...], tuple[Any, Any, bytes]]:
        """``upgrade`` or ``connect`` listeners and their arguments; ``close`` comes after them.

        Raises:
            StateError: there are none, so nobody could ever close the socket (decision 4).
        """
        event = "connect" if self._method == "CONNECT" else "upgrade"
        listeners = self.take_listeners(event)
        message, socket, _ = taken = self._take_over()
        if not listeners:
            socket.destroy()
            self._error = StateError(
                f"The server answered {message.status_code} and nobody listens for '{event}'; use upgraded()",
                code="ERR_HTTP_UNHANDLED_UPGRADE",
                phase="head",
            )
            self.emit("close")
            raise self._error
        return listeners, taken

    # ---------------------------------------------------------------- a connection

    def _took(self) -> bool:
        """We took the connection that the Agent gave us. False: there is the queue or a connect to be waited for.

        Raises:
            AnywireError: why there will be none.
        """
        try:
            while True:
                if self._error is not None:
                    raise self._error
                lease = self._lease
                agent: Any = self._pool
                if lease is None and self.agent is not None and agent is None:
                    raise StateError(
                        f"{type(self.agent).__name__}.add_request() gave the request no connection;"
                        " it must hand it to add_request() of an Agent",
                        code="ERR_HTTP_NO_CONNECTION",
                    )
                if lease is None or lease.state in (OPEN, QUEUED):  # without an agent there is no lease (MOD-37)
                    return False
                if lease.state == DONE:
                    raise lease.error or ConnectionLost("socket hang up", phase="queue")
                connection: ClientConnection | None = lease.connection
                assert connection is not None, "it is assigned"
                if connection.pump.usable() and connection.reusable:
                    connection.on_idle_end = None  # it is ours from here on
                    if self._error is not None:
                        # Another thread gave us up just before that, and it may be the next one's already.
                        continue  # type: ignore[unreachable]  # mypy knows of no threads
                    self._begin(connection)
                    return True
                agent.retry(lease, self._now(), fresh=self._replay is not None)
                self._settle()
        except BaseException as problem:
            self._interrupted(problem)
            raise

    @property
    def _in_queue(self) -> bool:
        return self._lease is not None and self._lease.state == QUEUED

    @contextmanager
    def _woken_by(self, waiter: Any) -> Iterator[Any]:
        """`waiter` is woken by whoever grants us something, or gives us up."""
        lease = self._lease
        self._waiter = waiter
        if lease is not None:
            lease.waiter = waiter
        try:
            yield waiter
        finally:
            self._waiter = None
            if lease is not None:
                lease.waiter = None

    def _look(self, due: float) -> float:
        """Look after the agent while we queue: what was forgotten cannot (ASK-7). Returns when to look again."""
        lease, agent, now = self._lease, self._pool, self._now()
        if lease is None or agent is None:
            return due
        agent.collect(now)
        return min(due, agent.next_look(lease, now))

    def _check_queue(self, due: float) -> None:
        if self._in_queue and self._now() >= due:
            raise expired(self, "queue")

    @property
    def _opening_limit(self) -> float | None:
        """The limit of the phase, or the idle timeout, which counts from the beginning (CLI-88, AGT-68)."""
        options = self._options
        timeout = self._pool.timeout if options.timeout is None and self._pool is not None else options.timeout
        return limit_of(self, self._phase())[1] or (None if self._timeout_seen else timeout)

    def _opening_due(self, connection: ClientConnection, opening: Opening) -> float:
        """When the step of opening that begins now has to be over: TLS with the rest, if it has no limit of its own."""
        if connection.secure is not None:
            opening.reached("tls")
        if opening.due is None or (opening.phase == "tls" and self._options.tls_timeout):
            opening.due = self._due(self._opening_limit)
        return opening.due

    def _new_connection(self) -> ClientConnection:
        limits, lenient, tolerate = self.parser_options()
        return ClientConnection(
            limits,
            lenient=lenient,
            tolerate=tolerate,
            message_class=self.message_class,
            make_socket=self.socket_class,
        )

    def _how_to_connect(
        self, connection: ClientConnection, opening: Opening
    ) -> tuple[dict[str, Any], Callable[[dict[str, Any]], Any] | None]:
        """Connection options; what replaces connecting, if anything does (AGT-31). The connection has its TLS."""
        options, agent, runtime = self._options, self._pool, self._runtime
        wanted = options.connection_options() if agent is None else agent.connection_options(options)
        create = options.create_connection if agent is None else agent.connector
        name = server_name(options, self.get_header("host"))
        if create is not None:
            wanted["servername"] = name  # AGT-37
            opening.ours = False
            opening.reached("connect")
        if options.protocol == "https:":
            slot = None if agent is None or self._lease is None else agent.session_slot(self._lease.name)
            client_feed(runtime.ssl, runtime.tempfile, wanted, name, connection, slot)
            opening.host = wanted["host"]
        return wanted, create

    def _handle(self, made: Any, connection: ClientConnection) -> Any:
        """What ``create_connection`` returned, as a handle; that of a stream is its pump.

        Raises:
            ArgumentTypeError: no bytes can be carried over it.
        """
        if isinstance(made, self.socket_class):
            return made._carry(connection)
        if hasattr(made, "do_handshake"):
            raise ArgumentTypeError(
                "create_connection must return what TLS is not spoken over yet: return the plain socket and use an"
                f" https agent. Received {type(made).__name__}"
            )
        try:
            return self._runtime.adopt(made)
        except ArgumentTypeError:
            if not is_duplex(made):
                raise
            return self.socket_class.duplex_class(self._runtime, made)

    def _connected(self, connection: ClientConnection, opening: Opening) -> None:
        """The connection is there, by our doing or the user's; sockets of the user's are left as they are."""
        agent = self._pool
        if opening.ours:
            probe(connection, True, agent.keep_alive_delay if agent is not None and agent.keep_alive else PROBE)
        if agent is not None and agent.timeout:
            connection.idle_timeout = agent.timeout

    def _cut_short(self) -> None:
        """Connecting ended without a connection. Returns if that was told to `timeout` listeners: then we try again.

        Raises:
            AnywireError: why there will be none.
        """
        lease, phase = self._lease, self._phase()
        if self._error is not None:
            raise self._error
        if lease is not None and lease.error is not None:
            raise self._fail(lease.error)
        limited = limit_of(self, phase)[1] or (self._deadline is not None and self._now() >= self._deadline)
        if limited or self._timeout_seen or not self.listener_count("timeout"):
            raise expired(self, phase, self._opening_limit)
        self._timed_out()

    def _opened(self, connection: ClientConnection) -> bool:
        """We have a new connection. False if it is not ours any more: look again what was granted."""
        lease: Lease[Any, Any] | None = self._lease
        agent: Any = self._pool
        if lease is None or agent.opened(lease, connection, self._now()):
            return True
        self._settle()
        return False

    def _begin(self, connection: ClientConnection) -> None:
        """Send what was written so far over our connection."""
        lease = self._lease
        self._attach(connection, lease is not None and lease.reused)
        if self._error is not None:
            connection.pump.abort()  # given up by another thread meanwhile, who did not know of it
            raise self._error
        OutgoingMessage._flush(self)  # we know that there is a connection, and that it is not over

    def _release(self, connection: ClientConnection | None) -> None:
        """As the base class; and whoever queues or connects for us stops."""
        super()._release(connection)
        waiter = self._waiter
        if waiter is not None:
            waiter.wake()


@contextmanager
def handshake(connection: ClientConnection, opening: Opening) -> Iterator[tuple[Any, Any]]:
    """Shake hands: inside, wait on the pump while the feed is ``shaking``. On failure the transport is gone.

    Raises:
        TLSError: with an ``ssl.SSLError`` that says why as its cause; or the connection was lost.
    """
    pump: Any = connection.pump
    secure: Any = connection.secure
    secure.attach(pump)
    try:
        secure.shake_hands()
        yield pump, secure
    except BaseException:
        pump.abort()
        raise
    if error := shaken(pump, secure):
        raise tls_error(error, opening.host) from error
