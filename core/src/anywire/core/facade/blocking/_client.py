"""ClientRequest with the methods that wait, and how it gets its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ... import _request
from ..._client_connection import ClientConnection
from ..._errors import AnywireError, ConnectionLost, LocalError, StateError, os_error
from ..._failure import expired
from ..._lease import ASSIGNED, OPEN, QUEUED
from ..._limits import Limits
from ..._options import server_name
from ..._outgoing import UNRENDERED
from ..._plans import Attempt, Race, Resolve, connect_path_plan, connect_plan
from ..._pump import FOREVER
from ..._settings import SETTINGS
from ..._tls import client_feed
from ._handshake import handshake
from ._messages import DISCARD, FAIRNESS, IncomingMessage
from ._socket import Socket

if TYPE_CHECKING:
    from types import TracebackType

    from ..._client_agent import ClientAgent
    from ..._lease import Lease
    from ..._options import RequestOptions
    from ._runtime import Runtime, Waiter

__all__ = ["ClientRequest", "Connecting", "CutShort"]


class ClientRequest(_request.ClientRequest):
    """A request in progress; see the base class for events and attributes.

    ``request.response()`` and ``with request as response`` wait for the response.
    """

    __slots__ = ("_runtime", "_unchecked", "_waiter")

    def __init__(self, options: RequestOptions, agent: ClientAgent | None, runtime: Runtime) -> None:
        self._runtime = runtime
        self._unchecked = 0
        self._waiter: Any = None
        super().__init__(options, agent, runtime.now)

    # ---------------------------------------------------------------- sending

    def write(self, chunk: Any) -> bool:
        """Send a piece of body; returns once the queue is below its high-water mark (RES-39).

        Returns:
            True to go on. False when the server has answered already, or closed after it did:
            what else is written is thrown away, and :meth:`response` has the answer (ASK-28).

        Raises:
            AnywireError: no connection, or it was lost without an answer.
            ArgumentTypeError, StateError: as ``write_nowait``.
        """
        if self._error is not None:
            raise self._error
        self.write_nowait(chunk)
        if self._connection is None and not self._over:
            self._acquire()
        self._unchecked += len(chunk)
        return self._pushed()

    def end(self, data: Any = None, *, trailers: Any = None) -> Self:
        """End the request; returns once everything was handed to the socket (RES-52).

        Args:
            data: a last piece of body.
            trailers: fields for the trailer section; they cause chunked framing.

        Raises:
            AnywireError: no connection, or it was lost without an answer.
        """
        if self._error is not None:
            raise self._error
        self.end_nowait(data, trailers=trailers)
        if self._connection is None and not self._over:
            self._acquire()
        self._pushed()
        return self

    def flush_headers(self) -> None:
        """Send the head now (RES-58)."""
        self.flush_headers_nowait()
        if self._connection is None and not self._over:
            self._acquire()
        self._pushed()

    def _pushed(self) -> bool:
        """Wait until the transport took most of what we wrote, with an ear for the answer."""
        while (connection := self._connection) is not None and not self._over:
            pump: Any = connection.pump
            if pump.blocked:
                self._unblocked(pump)
            elif self._unchecked < FAIRNESS:
                return True
            else:
                try:
                    pump.wait(0.0)
                except BaseException as problem:
                    self._interrupted(problem)
                    raise
            self._unchecked = 0
            if connection.bytes_received or connection.lost:
                if self._advance() is not None:
                    return not self._gone() and connection.keep_alive and not connection.lost
                if self._connection is None and not self._over:
                    self._acquire()  # a replay
        return not self._gone()

    # ---------------------------------------------------------------- the answer

    def response(self) -> IncomingMessage:
        """Wait for the response (CLI-32). A request of which nothing was written yet is ended first.

        Returns:
            The response; also the one that switches protocols, if a listener took it.

        Raises:
            ConnectionLost: the server closed without answering (CLI-54, CLI-55).
            ParseError: what it sent is not a response (CLI-58).
            TimedOut: ``deadline``, ``timeout`` or a limit of a phase ran out.
            StateError: ``ERR_HTTP_UNHANDLED_UPGRADE``: the protocol was switched and nobody listens.
        """
        message = self._answer()
        if self._switched is not None:
            self._hand_over()
        return message

    def upgraded(self) -> tuple[IncomingMessage, Socket, bytes]:
        """Wait for the answer to an upgrade or CONNECT.

        Returns:
            ``(message, socket, head)`` as the ``upgrade`` and ``connect`` events have them:
            `socket` is a raw stream, `head` the bytes that followed the answer's head.

        Raises:
            StateError: ``ERR_HTTP_NOT_UPGRADED``: the server answered normally; see ``res``.
            AnywireError: as :meth:`response`.
        """
        message = self._answer()
        if self._switched is None:
            raise StateError(
                f"The server did not upgrade but answered {message.status_code}", code="ERR_HTTP_NOT_UPGRADED"
            )
        taken = self._take_over()
        self._switched = None
        self.emit("close")
        return taken

    def _answer(self) -> IncomingMessage:
        if self._framing == UNRENDERED and not self.writable_ended:
            self.end_nowait()
        if self._head:
            self.flush_headers_nowait()
        due: float | None = None
        while True:
            message = self._advance()
            if message is not None or (message := self.res) is not None:
                return message  # type: ignore[return-value]  # made by our own class
            if self._connection is None:
                self._acquire()
                continue
            if due is None:
                due = self._due(self._options.head_timeout)
            elif due != FOREVER and self._now() >= due:  # whatever trickled in meanwhile
                raise self._expired("head", self._options.head_timeout)
            self._park(due)

    def _take_over(self) -> tuple[IncomingMessage, Socket, bytes]:
        assert self._switched is not None and self._connection is not None
        message, head = self._switched
        return message, self._connection.user_socket()._detach(), head  # type: ignore[return-value]

    def _hand_over(self) -> None:
        """Call ``upgrade`` or ``connect`` listeners; without one nobody could ever close the socket (decision 4)."""
        event = "connect" if self._method == "CONNECT" else "upgrade"
        listeners = self.take_listeners(event)
        message, socket, head = self._take_over()
        self._switched = None
        if not listeners:
            socket.destroy()
            error = StateError(
                f"The server answered {message.status_code} and nobody listens for '{event}'; use upgraded()",
                code="ERR_HTTP_UNHANDLED_UPGRADE",
                phase="head",
            )
            self._error = error
            self.emit("close")
            raise error
        for listener in listeners:
            listener(message, socket, head)
        self.emit("close")

    def __enter__(self) -> IncomingMessage:
        return self.response()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing behind: a short rest of the response is read so that its connection can be used again."""
        if self._over or self._error is not None:
            return
        message = self.res
        if kind is None and message is not None and self.writable_ended and 0 <= message._length <= DISCARD:
            self._discard(message)
        if not self._over:
            self.destroy()

    def _discard(self, message: Any) -> None:
        due = self._now() + 1.0
        pump: Any = message._connection.pump
        try:
            while self._now() < due:
                piece = message.read_nowait()
                if piece is None:
                    pump.wait(due)
                elif not piece:
                    return
        except AnywireError:
            pass
        except BaseException as problem:
            self._interrupted(problem)
            raise

    # ---------------------------------------------------------------- waiting

    def _park(self, due: float) -> None:
        """Wait for anything to happen, until `due` at most."""
        assert self._connection is not None
        try:
            self._connection.pump.wait(due)  # type: ignore[attr-defined]
        except BaseException as problem:
            self._interrupted(problem)
            raise

    def _unblocked(self, pump: Any) -> None:
        """Wait while the transport takes no more. ``idle_timeout`` is for a peer that takes nothing at all."""
        limit = self._options.idle_timeout
        due = self._due(limit)
        left = pump.unsent
        self._park(due)
        if due == FOREVER or not pump.blocked or (now := self._now()) < due:
            return
        if pump.unsent >= left or (self._deadline is not None and now >= self._deadline):
            raise self._expired("write", limit)

    def _expired(self, phase: str, limit: float | None) -> Exception:
        return expired(self, phase, limit)

    def _interrupted(self, problem: BaseException) -> None:
        """A wait was cancelled: release everything, now, without another suspension (ASK-12)."""
        if isinstance(problem, AnywireError):
            self._fail(problem)
        else:
            error = LocalError(f"cancelled in phase {self._phase()}", code="ABORT_ERR", phase=self._phase())
            error.__cause__ = problem
            self._fail(error)

    # ---------------------------------------------------------------- a connection

    def _acquire(self) -> None:
        """Get a connection within the limits of queue and connect; on return it is attached and fed."""
        try:
            self._acquire_inside()
        except BaseException as problem:
            self._interrupted(problem)
            raise

    def _acquire_inside(self) -> None:
        runtime, options = self._runtime, self._options
        while True:
            if self._error is not None:
                raise self._error
            lease = self._lease
            connection: ClientConnection
            if lease is None:  # create_connection instead of an agent (MOD-37)
                connection = self._open(None)
                break
            agent: Any = self.agent
            if lease.state == ASSIGNED:
                assert lease.connection is not None
                connection = lease.connection
                if connection.pump.usable() and connection.reusable:
                    connection.on_idle_end = None
                    break
                agent.retry(lease, runtime.now())
                self._settle()
            elif lease.state == OPEN:
                connection = self._open(lease)
                if agent.opened(lease, connection, runtime.now()):
                    break
                self._settle()
            elif lease.state == QUEUED:
                waiter = self._waiter = lease.waiter = runtime.waiter()
                due = self._due(options.queue_timeout)
                try:
                    # Who granted or gave up before there was a waiter could wake nobody: look again.
                    if lease.state == QUEUED and self._error is None:
                        waiter.wait(due)
                finally:
                    self._waiter = lease.waiter = None
                if lease.state == QUEUED and runtime.now() >= due:
                    raise self._expired("queue", options.queue_timeout)
            else:
                raise self._fail(lease.error or ConnectionLost("socket hang up", phase="queue"))
        self._attach(connection, lease is not None and lease.reused)
        if self._error is None:
            self._flush()
        else:
            raise self._error

    def _due(self, limit: float | None) -> float:
        due = self._deadline or FOREVER
        return min(due, self._now() + limit) if limit else due

    def _open(self, lease: Lease[Any, Any] | None) -> ClientConnection:
        """Resolve, connect, TLS. The new connection belongs to nobody yet; on any error nothing is left of it."""
        connection = self._new_connection()
        limit = self._options.connect_timeout or self._options.timeout
        due = self._due(limit)
        connecting = Connecting(self, lease, due, self._runtime.waiter())
        self._waiter = connecting
        if lease is not None:
            lease.waiter = connecting
        try:
            connecting.check()
            self._connect(connection, connecting)
        except CutShort:
            if self._error is not None:
                raise self._error from None
            if lease is not None and lease.error is not None:
                raise self._fail(lease.error) from None
            raise self._expired("connect", limit) from None
        finally:
            self._waiter = None
            if lease is not None:
                lease.waiter = None
        return connection

    def _release(self, connection: ClientConnection | None) -> None:
        """As the base class; and whoever queues or connects for us stops."""
        super()._release(connection)
        waiter = self._waiter
        if waiter is not None:
            waiter.wake()

    def _new_connection(self) -> ClientConnection:
        options = self._options
        limits = Limits()
        limits.max_header_size = SETTINGS.effective_max_header_size(options.max_header_size)
        if options.max_headers_count is not None:
            limits.max_headers_count = options.max_headers_count
        lenient = SETTINGS.use_insecure_parser(options.insecure_http_parser)
        return ClientConnection(limits, lenient=lenient, message_class=IncomingMessage, make_socket=Socket)

    def _connect(self, connection: ClientConnection, connecting: Connecting) -> None:
        runtime, options, agent = self._runtime, self._options, self.agent
        wanted = options.connection_options() if agent is None else agent.connection_options(options)
        secure = None
        if options.protocol == "https:":
            name = server_name(options, self.get_header("host"))
            slot = None if agent is None or self._lease is None else agent.session_slot(self._lease.name)
            secure = client_feed(runtime.ssl, runtime.tempfile, wanted, name, connection, slot)
        create = options.create_connection if agent is None else agent.create_connection
        if create is None:
            handle = drive(runtime, wanted, connecting)
        else:
            made: Any = create(wanted)
            handle = made._release() if isinstance(made, Socket) else runtime.adopt(made)
        connection.pump = pump = runtime.open(handle, connection)
        if secure is not None:
            handshake(pump, secure, wanted["host"], connecting)
        pump.set_tcp_keep_alive(60.0 if agent is None or not agent.keep_alive else agent.keep_alive_delay)
        if agent is not None and agent.timeout:
            connection.idle_timeout = agent.timeout


class CutShort(Exception):
    """Connecting is to stop: its time is up, or nobody wants it any more."""


class Connecting:
    """How long connecting may go on: until `due`, or until the request is given up.

    Attributes:
        due: when its limit is reached; ``inf`` for never.
        waiter: is woken when the request is given up, and may be for nothing.
        pump: what is waited on instead, while it shakes hands.
    """

    __slots__ = ("_lease", "_request", "due", "pump", "waiter")

    def __init__(self, request: ClientRequest, lease: Lease[Any, Any] | None, due: float, waiter: Waiter) -> None:
        self._request = request
        self._lease = lease
        self.due = due
        self.waiter: Any = waiter
        self.pump: Any = None

    @property
    def unwanted(self) -> bool:
        """The request was given up."""
        return self._request._error is not None or (self._lease is not None and self._lease.state != OPEN)

    def check(self) -> None:
        """Go on?

        Raises:
            CutShort: no.
        """
        if self.unwanted or self._request._now() >= self.due:
            raise CutShort

    def wake(self) -> None:
        """Look whether to go on. Who is about to wait on a pump could miss a kick, and cannot miss its end."""
        self.waiter.wake()
        pump = self.pump
        if pump is not None and self.unwanted:
            pump.abort()


def drive(runtime: Runtime, wanted: dict[str, Any], connecting: Connecting) -> Any:
    """Carry out ``connect_plan``. However it ends, no handle but the winner survives.

    Raises:
        ConnectError: nothing could be reached.
        CutShort: see :class:`Connecting`.
    """
    if path := wanted.get("path"):
        plan = connect_path_plan(path)
    else:
        plan = connect_plan(
            wanted["host"],
            wanted["port"],
            family=wanted.get("family"),
            lookup=wanted.get("lookup"),
            local_address=wanted.get("local_address"),
        )
    handles: list[Any] = []
    winner = None
    effect: Any = None
    try:
        effect = plan.send(None)
        while True:
            try:
                if isinstance(effect, Race):
                    answer: Any = runtime.race(effect.handles, effect.seconds, connecting)
                elif isinstance(effect, Attempt):
                    answer = runtime.attempt(effect.address, effect.local_address)
                    handles.append(answer)
                else:
                    answer = runtime.resolve(effect.host, effect.port, effect.family, effect.lookup, connecting)
            except OSError as error:
                effect = plan.throw(error)
            else:
                effect = plan.send(answer)
    except StopIteration as stop:
        winner = stop.value
        return winner
    except OSError as error:
        raise _connect_error(error, wanted, resolving=isinstance(effect, Resolve)) from error
    finally:
        for handle in handles:
            if handle is not winner:
                runtime.discard(handle)


def _connect_error(error: OSError, wanted: dict[str, Any], *, resolving: bool = False) -> AnywireError:
    if isinstance(error, AnywireError):
        return error
    if path := wanted.get("path"):
        return os_error(error, syscall="connect", address=path, phase="connect")
    if resolving:
        return os_error(error, syscall="getaddrinfo", address=wanted["host"], phase="resolve")
    address = getattr(error, "address", None) or wanted["host"]
    return os_error(error, syscall="connect", address=address, port=wanted["port"], phase="connect")
