"""ClientRequest: a request, from the arguments of ``request()`` to the end of its answer.

**Stages.** The Agent decided in the constructor (the lease: a pooled connection, the
right to open one, or a place in the queue). The request then makes progress inside
whichever call waits on it: getting a connection, sending, looking for the answer,
reading its body. Nothing runs hidden (decision 8).

**The end.** An exchange is over when the response was consumed *and* the request
ended (AGT-44). Then the connection goes back to the Agent, or is closed. Everything
that ends it early passes through :meth:`ClientRequest._fail`, which is synchronous,
releases the lease, aborts the transport, and tells observers in Node's order
(CLI-53 to CLI-64, CLI-74 to CLI-84).

**Replay** (decision 7). A pooled connection may have been closed by the server while
our request was on its way. If nothing of an answer came, every byte of the message is
still at hand, and the method is idempotent or the kernel took none of them, the same bytes
are sent once more, on the same lease and a new connection (RFC 9110 section 9.2.2).
``replay=False`` leaves that to the caller, as Node does.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from ._asked import Asked
from ._checks import check_error
from ._connection import Signal
from ._emitter import Emitter
from ._errors import LocalError
from ._failure import Quiet, fail, forgotten, keep_for_replay, replayed, timed_out, where
from ._framing import UPGRADE
from ._header_store import sent_once
from ._incoming import UPGRADED, IncomingMessage
from ._leniency import NOTHING
from ._limits import Limits
from ._options import RequestOptions, check_timeout, host_header
from ._outgoing import UNRENDERED
from ._request_parts import date_line, obey, pools, set_fields
from ._serializer import render_request, render_simple_request
from ._settings import SETTINGS
from ._socket_options import probe, set_no_delay, when_connected
from ._state import BODY, DONE, HALF, HEAD, IDLE, MESSAGE, joint
from ._timings import Opening, Timings, timings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Self

    from ._client_agent import ClientAgent
    from ._client_connection import ClientConnection
    from ._emitter import Listener
    from ._lease import Lease

__all__ = ["ClientRequest"]

_NO_BODY_EXPECTED: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Methods without chunked framing by default (CLI-11)."""


class ClientRequest(Asked):
    """A request in progress (CLI-1 to CLI-99). Made by ``request()`` and ``get()``.

    Events: ``socket(socket)``, ``response(message)``, ``information(message)``, ``continue()``,
    ``upgrade(message, stream, head)``, ``connect(message, stream, head)``, ``timeout()``, ``abort()``,
    ``error(error)``, ``finish()``, ``drain()``, ``close()``.

    Attributes:
        agent: the agent, or None when ``create_connection`` replaced it (CLI-3).
        aborted: :meth:`abort` was called (CLI-1).
        res: the response once its head arrived (CLI-6).
        reused_socket: the connection had carried another exchange before (CLI-5, decision 4).
        timeout: the ``timeout`` option, seconds or None (CLI-12).
        max_headers_count: most fields of a response, more is an error (CLI-30).
    """

    __slots__ = (
        "_answered_at", "_attached_at", "_began", "_context", "_deadline", "_ended_at", "_error", "_lease", "_now",
        "_opening", "_over", "_pool", "_replay", "_sent_at", "_switched",
        "_timeout_seen", "aborted", "agent", "res", "reused_socket", "timeout",
    )  # fmt: skip

    _claim: Callable[[], bool] | None = None
    """On threads: may the caller end the exchange? True for one of them, who then sets `_over` or `_error`."""

    def __init__(self, options: RequestOptions, agent: ClientAgent | None, now: Callable[[], float]) -> None:
        self._lease: Lease[Any, Any] | None = None  # first: __del__ looks at both
        self._pool: ClientAgent | None = None  # the agent that gave the lease
        self._listeners = None
        self._context: Context | None = None
        self._connection: ClientConnection | None = None
        self._sink = []
        self._rare = None
        self._framing = UNRENDERED
        self._head = b""
        self._left = 0
        self._writable_finished = False
        self.writable_ended = False
        self.send_date = False
        method = options.method
        self.use_chunked_encoding_by_default = method not in _NO_BODY_EXPECTED
        # AGT-38 to AGT-41
        self.should_keep_alive = agent is not None and pools(agent)
        self._options = options
        self._now = now
        self._method = method
        self._path = options.path
        self._error: Exception | None = None
        self._over = False
        self._replay: bytes | None = None
        self._switched: tuple[IncomingMessage, bytes] | None = None
        self._timeout_seen = False
        self._began = began = now()
        self._attached_at: float | None = None
        self._sent_at: float | None = None
        self._answered_at: float | None = None
        self._ended_at: float | None = None
        self._opening: Opening | None = None
        self._deadline = options.deadline + began if options.deadline else None
        self.agent = agent
        self.aborted = False
        self.res: IncomingMessage | None = None
        self.reused_socket = False
        self.timeout = options.timeout
        self._made_store = self._raw_fields = None
        early = (options.headers is not None or not options.set_host or options.auth is not None) and set_fields(self)
        if options.signal is not None:
            obey(self, options.signal)
        if early:  # list-form headers and Expect render the head at once (MOD-47, CLI-18)
            self._render(self._early_length())
            self._sink.append(self._head)
            self._head = b""

    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        self._remember_context()
        super()._add_listener(event, listener, once=once, prepend=prepend)

    def _remember_context(self) -> None:
        """What is told while nobody waits is told in the context of who first listened, not of some loop (ASK-52)."""
        if self._context is None:
            self._context = copy_context()

    def _kick(self) -> None:
        """Wake whoever waits on this request."""
        if self._connection is not None:
            self._connection.pump.kick()

    def __del__(self) -> None:
        """Nobody holds this any more: its place in the pool is to be given up (ASK-7).

        This may run inside any line of any thread, so all it does is to leave word.
        """
        if self._lease is not None:
            forgotten(self)

    def __repr__(self) -> str:
        state = "over" if self._over else "answered" if self.res is not None else "waiting"
        return f"<{type(self).__name__} {where(self)} {state}>"

    # ---------------------------------------------------------------- properties

    @property
    def socket(self) -> Any:
        """The transport once there is one, also afterwards (CLI-4)."""
        return None if self._connection is None else self._connection.user_socket()

    @property
    def destroyed(self) -> bool:
        """Destroyed, aborted or failed (CLI-L1)."""
        return self._error is not None or (self._connection is not None and self._connection.lost and not self._over)

    @property
    def error(self) -> Exception | None:
        """What ended this request early, or None."""
        return self._error

    @property
    def timings(self) -> Timings:
        """Seconds in each phase so far (ASK-49)."""
        return timings_of(self)

    def _is_response(self) -> bool:
        return False

    # ---------------------------------------------------------------- sending

    def _render(self, known_length: int | None) -> None:
        if (
            known_length == 0
            and self._made_store is None
            and self._raw_fields is None
            and not self.use_chunked_encoding_by_default
            and not self.send_date
        ):
            # Nearly every GET: nothing but Host, and nothing behind it. The rules below would say the same.
            if not self.should_keep_alive or self.agent is None:
                self.should_keep_alive = False
            host = host_header(self._options)
            self._head = render_simple_request(self._method, self._path, host, self.should_keep_alive)
            self._framing = self._left = 0
            return
        store = self._store
        rare = self._rare
        fields: Any = self._raw_fields if store is None else store
        if (unique := self._options.unique_headers) is not None:
            fields = sent_once(fields, unique)
        self._head, self._framing, last = render_request(
            self._method,
            self._path,
            fields,
            known_length=known_length,
            chunked_by_default=self.use_chunked_encoding_by_default,
            keep_alive=self.should_keep_alive,
            has_agent=self.agent is not None,
            removed=0 if store is None else store.removed,
            date=date_line(self) if self.send_date else b"",
            trailers=rare is not None and rare.trailers is not None,
        )
        self._left = self._framing if self._framing > 0 else 0
        if last:
            self.should_keep_alive = False

    def _early_length(self) -> int | None:
        # GET and its like have no body unless one is written before the head leaves (WIR-4, MOD-47).
        return None if self.use_chunked_encoding_by_default or self._rare is not None else 0

    def _put(self, data: bytes) -> None:
        if self._gone():
            return
        super()._put(data)
        connection = self._connection
        if connection is not None and connection.sending == IDLE:
            connection.sending = HALF[IDLE][HEAD]

    def _message_ended(self) -> None:
        connection = self._connection
        if connection is not None and not (self._over or self._error is not None):
            self._sent_at = self._now()
            connection.request_ended()
            if connection.receiving == DONE:
                # First out with it: what is over may carry the next request at once (CLI-66).
                self._flush()
                self._maybe_over()

    def _drained(self) -> None:
        if self.writable_ended:
            self._sent_at = self._now()
        super()._drained()
        self._maybe_over()

    def _mismatch(self, size: int) -> None:
        if not self._gone():
            super()._mismatch(size)

    def _flush(self) -> bool:
        if self._over or self._error is not None:
            return False
        if self._connection is None and self.writable_ended:
            return True  # it goes out when there is a connection, however much it is
        return super()._flush()

    def _gone(self) -> bool:
        """Nothing we write can still arrive: the exchange ended early or the answer closed it (CLI-67)."""
        return self._over or self._error is not None

    # ---------------------------------------------------------------- a connection

    def _attach(self, connection: ClientConnection, reused: bool) -> None:
        """The connection is ours until the exchange is over."""
        self._connection = connection
        self._attached_at = now = self._now()
        self.reused_socket = reused
        options = self._options
        rules = None if options.plain else options.parsing
        if connection.rules != rules:
            if reused:  # whoever opened it had other limits (CLI-30)
                limits, lenient, tolerate = self.parser_options()
                connection.set_limits(limits, lenient=lenient, tolerate=tolerate)
            connection.rules = rules
        connection.start(self)
        queued = self._sink
        if reused:
            queued = keep_for_replay(self, queued)
        self._sink = connection._out
        self._sink += queued
        if self.writable_ended:
            self._sent_at = now
            connection.sending = HALF[IDLE][MESSAGE]
        elif queued:
            connection.sending = HALF[IDLE][HEAD]
        # The request's own limit rules while it has the connection (AGT-67).
        limit = self.timeout if self.timeout is not None or self._pool is None else self._pool.timeout
        connection.idle_timeout = limit or 0.0
        if self._listeners is not None:
            self.emit("socket", connection.user_socket())

    def parser_options(self) -> tuple[Limits, bool, frozenset[str]]:
        """Limits of the answer, whether the lenient parser reads it, leniencies (MOD-50, MOD-53, CLI-30, ASK-36)."""
        options = self._options
        limits = Limits(max_header_size=SETTINGS.effective_max_header_size(options.max_header_size))
        if options.max_headers_count is not None:
            limits.max_headers_count = options.max_headers_count
        return limits, SETTINGS.use_insecure_parser(options.insecure_http_parser), options.lenient or NOTHING

    # ---------------------------------------------------------------- the answer

    def _advance(self) -> IncomingMessage | None:
        """Take what came: the response, or None if more input is needed.

        Raises:
            AnywireError: the exchange failed. Not raised yet when it can be replayed: then None,
                and ``_connection`` is None again.
        """
        try:
            while self.res is None:
                if self._error is not None:
                    raise self._error
                connection = self._connection
                if connection is None or (event := connection.next_event()) is None:
                    return None
                if isinstance(event, IncomingMessage):
                    status = event._first
                    if event._flags & UPGRADE if status == 101 else self._method == "CONNECT" and status >= 200:
                        self._switch(event)
                        return None
                    elif status < 200 and status != 101:
                        self._informed(event)
                    else:
                        self._answered(event)
                elif isinstance(event, Signal):
                    raise self._fail(connection.hang_up())
                elif replayed(self, event):
                    return None
                else:
                    raise self._fail(event)
            return self.res
        except BaseException as problem:
            self._raised(problem)
            raise

    def _raised(self, problem: BaseException) -> None:
        """If it was not the exchange that failed it was a listener: then that is its end, whatever it is (SEC-40)."""
        if self._error is None:
            error = LocalError(f"a listener raised {problem!r}", code="ABORT_ERR", phase=self._phase())
            error.__cause__ = problem
            self._fail(error)

    def _informed(self, message: IncomingMessage) -> None:
        message.req = self
        if message._first == 100:
            self._options.continue_timeout = None
            self.emit("continue")
        self.emit("information", message)

    def _answered(self, message: IncomingMessage) -> None:
        self.res = message
        self._answered_at = self._now()
        message.req = self
        self._replay = None
        connection = self._connection
        assert connection is not None
        if not connection.keep_alive:
            self.should_keep_alive = False
        if self._listeners is not None:
            self.emit("response", message)
        if message.complete:
            # Nothing to consume: an answer without a body must not hold its connection (AGT-45 aside).
            if message._listeners is None:
                self._maybe_over()
            else:
                message._ended()

    def _switch(self, message: IncomingMessage) -> None:
        """101 or an answer to CONNECT: the connection leaves the pool (AGT-79, CLI-41 to CLI-50)."""
        connection = self._connection
        assert connection is not None
        if (claim := self._claim) is not None and not claim():
            raise self._error or connection.hang_up()
        message.req = self
        message._flags |= UPGRADED
        message.complete = True
        self.res = message
        self._switched = message, connection.switch()
        self._over = True
        self._leave_agent()
        if isinstance(connection.socket, Emitter):
            connection.socket.emit("agent_remove")
        connection.request = None

    def _leave_agent(self) -> None:
        """The connection stops being the agent's; a queued request gets its place (AGT-70, AGT-79)."""
        lease, self._lease = self._lease, None
        if lease is not None and self._pool is not None:
            self._pool.detach(lease)
            self._settle()

    def _maybe_over(self) -> None:
        """Both halves done? Then the connection goes back, or away (AGT-44 to AGT-47)."""
        connection = self._connection
        if connection is None or connection.receiving != DONE or self._over or self._error is not None:
            return
        what = joint(DONE, connection.sending, connection.keep_alive and self.should_keep_alive)
        if what is None and self.should_keep_alive and connection.keep_alive and not connection.lost:
            return
        if what is not None and connection.pump.blocked:
            return  # not before the request is out (CLI-66)
        if (claim := self._claim) is not None and not claim():
            return
        # Without persistence the end of the response ends the exchange, whatever of the upload is missing (CLI-67).
        message = self.res
        self._over = True
        self._ended_at = now = self._now()
        persists = connection.cycle() and self.should_keep_alive
        lease, self._lease = self._lease, None
        connection.ending = not persists
        pool = self._pool
        try:
            if lease is not None and pool is not None:
                pool.release(lease, now, persists, message)
        finally:  # a hook or a listener of the agent's may raise, and others wait for what was decided (SEC-40)
            try:
                if pool is not None and pool.has_answers:
                    pool.settle()
                if not persists:
                    connection.pump.close()
                if self._listeners is not None:
                    self.emit("close")
                if message is not None and message._end_seen:
                    message._closed()  # else when its reader gets there
            finally:
                if not persists:
                    connection.ended()

    # ---------------------------------------------------------------- failure

    def _fail(self, error: Exception) -> Exception:
        """End the exchange now. Returns `error`, told apart by where it happened."""
        if self._over or self._error is not None or ((claim := self._claim) is not None and not claim()):
            return self._error or error
        self._error = error
        self._ended_at = self._now()
        fail(self, error)
        return error

    def _release(self, connection: ClientConnection | None) -> None:
        """Lease and transport go, synchronously; nothing here may suspend or raise."""
        lease, self._lease = self._lease, None
        if connection is not None and connection.request is self:
            connection.request = None
            connection._lost = True
            connection.pump.abort()
        if lease is not None and self._pool is not None:
            try:
                self._pool.give_up(lease, self._now())
            finally:
                self._settle()

    def destroy(self, error: Exception | None = None) -> Self:
        """End the exchange now, releasing everything (CLI-26, CLI-79 to CLI-85). Never waits.

        Args:
            error: what ``error`` listeners and waiting calls get; default ``ECONNRESET``, ``socket hang up``.
                Mid-response without an error nothing is emitted but ``aborted`` and ``close`` (CLI-82).
        """
        if error is None:
            self._fail(Quiet("socket hang up", phase=self._phase()))
        else:
            self._fail(check_error(error))
        return self

    def abort(self) -> None:
        """Node's older :meth:`destroy`: also sets :attr:`aborted` and emits ``abort``, once (CLI-68 to CLI-78)."""
        if self.aborted:
            return
        self.aborted = True
        if self._listeners is not None:
            self.emit("abort")
        self.destroy()

    def _phase(self) -> str:
        if self._connection is None:
            if self._lease is not None and self._lease.state == "queued":
                return "queue"
            return "connect" if self._opening is None else self._opening.phase
        return "body" if self._connection.receiving == BODY else "head"

    def _settle(self) -> None:
        """Carry out what the Agent decided: wake leases, close connections."""
        pool = self._pool
        if pool is not None and pool.has_answers:
            pool.settle()

    # ---------------------------------------------------------------- the socket

    def set_no_delay(self, no_delay: bool = True) -> None:
        """Switch Nagle's algorithm off (the default) or on, now or once there is a socket (CLI-24)."""
        when_connected(self, lambda connection: set_no_delay(connection.pump, no_delay))

    def set_socket_keep_alive(self, enable: bool = False, initial_delay: float = 0.0) -> None:
        """Switch TCP keep-alive probes, now or once there is a socket (CLI-24).

        Args:
            enable: probe at all.
            initial_delay: seconds of silence before the first probe; 0 is 60.
        """
        when_connected(self, lambda connection: probe(connection, enable, initial_delay))

    # ---------------------------------------------------------------- timeouts

    def set_timeout(self, seconds: float, callback: Callable[..., object] | None = None) -> Self:
        """Idle timeout in seconds, 0 for none; counted once there is a connection (CLI-22, CLI-89 to CLI-96)."""
        seconds = check_timeout(seconds, "seconds")
        if callback is not None:
            self.once("timeout", callback)
        if self._over or self._error is not None:
            return self
        self.timeout = seconds or None
        if self._connection is not None:
            self._connection.set_idle_timeout(seconds)
        return self

    def clear_timeout(self, callback: Callable[..., object] | None = None) -> None:
        """``set_timeout(0)`` (CLI-23)."""
        if callback is not None:
            self.off("timeout", callback)
        self.set_timeout(0)

    def _timed_out(self) -> None:
        """Silence for too long. With a listener it is the listener's to act (CLI-86); else it is an error."""
        if self._timeout_seen:
            return
        if self.listener_count("timeout"):
            self._timeout_seen = True
            self.emit("timeout")
        else:
            limit = self.timeout if self._connection is None else self._connection.idle_timeout
            self._fail(timed_out(self, "timeout", limit, self._phase()))
