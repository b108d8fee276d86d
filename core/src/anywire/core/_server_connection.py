"""ServerConnection: one client's connection, as the server's half of the protocol sees it.

**One exchange at a time.** A head is parsed only when the response before it has
ended, so pipelined requests wait as bytes, in order, bounded by ``max_buffered``
(decision 6 in place of SRV-11 to SRV-16).

**After the response** one of four things happens:

1. the request was complete and both sides persist: the halves cycle and the next
   head may be parsed;
2. the request has body left, and little of it: it is *drained*, parsed and thrown
   away, then 1;
3. more of it, or the connection does not persist: the connection *lingers*. What is
   queued goes out, we half-close, and read on without parsing until the peer's FIN
   or a bound. Closing at once would make the kernel answer unread input with a
   reset, which can destroy the response in the peer's buffers (RFC 9112 section 9.6);
4. nothing can be unread: it is closed at once.

**Phases and their clocks** (decision 5; SRV-47 to SRV-63):

========== =========================================== ============================
phase      begins                                      limit
========== =========================================== ============================
accept     when the connection is accepted             ``headers_timeout``, then 408
head       with the first byte of a later head         ``headers_timeout``, then 408
body       keeps the clock of its head                 ``request_timeout``, then 408
handler    when the request is complete                none but ``timeout``
keep-alive when the response ended                     ``keep_alive_timeout``, then close
idle       when the server closes (accept, keep-alive) ``idle_grace``, then linger
drain      when the response ended before the request  ``linger_timeout``, then close
linger     when the connection is being closed         ``linger_timeout``, then close
write      while the client takes nothing of what      ``write_timeout``, then close
           waits for it, in whatever phase
========== =========================================== ============================

``timeout`` is the idle limit of Node's sockets: no byte in or out for so long. It
is replaced by ``keep_alive_timeout`` between requests. Stray line breaks between
requests do not end the keep-alive phase (SRV-52 is a hazard we do not follow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._connection import CLOSED_EVENT, Connection, Signal
from ._errors import AnywireError, ConnectionLost, ParseError, TimedOut, TruncatedError
from ._framing import EXPECT_CONTINUE, KEEP_ALIVE, REQUEST
from ._pump import FOREVER
from ._stalled import stalls, still_since, taken
from ._state import BODY, CLOSED, CYCLE, DONE, FAIL, FAILED, HALF, HEAD, IDLE, MESSAGE, SWITCHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._incoming import IncomingMessage
    from ._response import ServerResponse
    from ._server import Server

__all__ = ["ServerConnection"]

_COMPLETE: Final = HALF[IDLE][MESSAGE]
_BEGUN: Final = HALF[IDLE][HEAD]
_READY: Final = HALF[DONE][CYCLE]

_ACCEPT: Final = "accept"
_HEAD: Final = "head"
_BODY: Final = "body"
_HANDLER: Final = "handler"
_KEEP_ALIVE: Final = "keep-alive"
_DRAIN: Final = "drain"
_LINGER: Final = "linger"
_IDLE: Final = (_ACCEPT, _KEEP_ALIVE)
_LIMITS: Final = {
    **dict.fromkeys((_ACCEPT, _HEAD), "headers_timeout"),
    **dict.fromkeys((_DRAIN, _LINGER), "linger_timeout"),
    _BODY: "request_timeout",
    _KEEP_ALIVE: "keep_alive_timeout",
}
"""Which attribute of the server says how long a phase may last."""
_AFTER: Final = frozenset((_KEEP_ALIVE, _DRAIN, _LINGER))
"""Phases that begin when the response has ended."""

HINTED: Final = 1.0
"""Seconds that an idle connection stays beyond what ``keep_alive_hint`` promised: a request sent in time is on its way
(ASK-25; Node 24 adds as much)."""

IDLE_GRACE: Final = 1.0
"""Seconds that ``close(grace)`` leaves idle connections for a request that is already on its way, and then for whoever
sent it too late to see our FIN (ASK-47)."""

LINGER_BYTES: Final = 1 << 20
"""Input thrown away while lingering before we reset after all."""


class ServerConnection(Connection):
    """See the module docstring. Made by the server for each accepted transport.

    Attributes:
        server: the server, read for limits and timeouts whenever they are used.
        response: the response to the current request, set by whoever dispatches it.
        stuck: a response that ended while the transport took no more: ``finish`` is due when its queue is empty.
        cancel: ends whoever serves the connection, handler included, if the backend can do that.
        served: whoever serves the connection has begun, and will clean up; before that it must not be cancelled.
        greeted: the first step was taken; with it TLS is spoken, if it is to be.
        half_close_due: the last response is queued: FIN behind it, then read on until the peer's.
        parked: whoever serves the connection sleeps until the response has ended.
        continue_pending: the client waits for ``100 Continue`` and has not been told (SRV-21).
        requests: how many requests were parsed here.
    """

    __slots__ = (
        "_discarded",
        "_phase",
        "_since",
        "_unsent",
        "cancel",
        "continue_pending",
        "greeted",
        "half_close_due",
        "parked",
        "requests",
        "response",
        "served",
        "server",
        "stuck",
    )

    message: IncomingMessage | None

    def __init__(self, server: Server) -> None:
        super().__init__(
            REQUEST, server.limits, lenient=server.lenient, require_host=server.options.require_host_header
        )
        self.server = server
        self.idle_timeout = server.timeout or 0.0
        self.response: ServerResponse | None = None
        self.stuck: ServerResponse | None = None
        self.continue_pending = False
        self.cancel: Callable[[], object] | None = None
        self.greeted = False
        self.half_close_due = False
        self.parked = False
        self.served = False
        self.requests = 0
        self._discarded = 0
        self._unsent = (0, 0, 0.0)  # which response, how much of it is left, since when that much
        self._phase: str = _ACCEPT
        self._since: float | None = None

    @property
    def joins_duplicates(self) -> bool:
        """See ``join_duplicate_headers`` of the server's options."""
        return self.server.options.join_duplicate_headers

    def user_socket(self) -> Any:
        """The transport as listeners see it."""
        return self.server.socket_for(self)

    # ---------------------------------------------------------------- events

    def next_event(self) -> IncomingMessage | AnywireError | Signal | None:
        """What happened next, one thing at a time. Called between exchanges.

        Returns:
            1. a request: its head was received, and its body can be read from it;
            2. None: needs input, or the current response has to end first;
            3. an error, once: nothing parses after it. Nothing of it was answered yet;
            4. ``CLOSED_EVENT``: flush what is queued, then close.
        """
        state = self.receiving
        if state == IDLE:
            if self._lost:
                return self._gone()
            parser = self._parser
            if (parser._pos == len(parser._buf) and not self.eof) or self.stuck is not None:
                return None
            try:
                head = parser.next_request()
            except ParseError as error:
                self._fail(error)
                return self._gone()
            if head is None:
                return self._no_head()
            length = head[4]
            flags = head[5]
            self.message = message = self.server.incoming_message_class(self, *head)
            if length == 0:
                self.receiving = _COMPLETE
                self._phase = _HANDLER
            else:
                self.receiving = _BEGUN
                if self._phase == _KEEP_ALIVE:
                    self._since = None
                self._phase = _BODY
            self.requests += 1
            self.keep_alive = flags & KEEP_ALIVE != 0
            self.continue_pending = flags & EXPECT_CONTINUE != 0
            return message
        if self._phase == _LINGER:
            return self._linger()
        if state == BODY:
            if self._draining:
                return self._drain()
            return self._gone() if self._lost else None
        if state == DONE:
            return self._gone() if self._lost else None
        return self._gone()

    def _gone(self) -> AnywireError | Signal:
        """Nothing more can be served: why, if there is a reason nobody was told yet (SRV-31), then the end."""
        if self.error is None or self.sending in (CLOSED, FAILED):
            return CLOSED_EVENT
        self.receiving = HALF[self.receiving][FAIL]
        self.sending = HALF[self.sending][FAIL]
        return self.error

    def _no_head(self) -> Signal | None:
        parser = self._parser
        if parser.at_eof:
            self._close_halves()
            return CLOSED_EVENT
        if self._phase == _KEEP_ALIVE and parser.started:
            self._phase = _HEAD
            self._since = None
        return None

    def _drain(self) -> IncomingMessage | AnywireError | Signal | None:
        """Throw away the rest of a request body that was answered without being read."""
        parser = self._parser
        while True:
            try:
                piece = parser.next_body()
            except ParseError:
                # The response is out already; nobody is left to tell (ASK-32).
                self._start_linger()
                return self._linger()
            if piece is None:
                return CLOSED_EVENT if self._lost else None
            if not piece:
                self._message_complete()
                self._draining = False
                self._request_over()
                self._cycle()
                return self.next_event()
            self._discarded += len(piece)
            if self._discarded > self.limits.max_drain:
                self.keep_alive = False
                self._start_linger()
                return self._linger()

    def _start_linger(self) -> None:
        self._phase = _LINGER
        self.half_close_due = True
        self._since = None
        self._draining = False
        self._discarded = 0

    def half_close_if_due(self) -> None:
        """Called before waiting for input."""
        pump = self.pump
        if self.half_close_due and not pump.blocked:
            pump.flush()
            pump.half_close()

    def _linger(self) -> Signal | None:
        if self.receiving == BODY:
            # Who still reads learns that the rest is thrown away (MSG-47, decision 3).
            self.receiving = HALF[BODY][FAIL]
            self._abort_message(self._why())
        parser = self._parser
        self._discarded += len(parser.take_rest())
        if self._lost or self.eof or self._discarded > LINGER_BYTES:
            self._close_halves()
            return CLOSED_EVENT
        return None

    # ---------------------------------------------------------------- sending half

    def may_persist(self) -> bool:
        """Would another exchange be possible after this response? Asked when a head is rendered."""
        if not self.keep_alive or self.server.draining:
            return False
        limit = self.server.max_requests_per_socket
        if limit and self.requests >= limit:
            return False
        # Announcing persistence and then not reading the rest of a large upload would be a lie.
        message = self.message
        return self.receiving != BODY or message is None or message._length <= self.limits.max_drain

    def response_ended(self, last: bool) -> None:
        """The last byte of the response is queued. `last`: the connection ends with it."""
        if self.sending in (CLOSED, FAILED):
            return  # given up a moment ago, by another thread
        self.sending = HALF[self.sending][MESSAGE]
        if last:
            self.keep_alive = False
        state = self.receiving
        if state == DONE and self.keep_alive and not self._lost:
            self._cycle()
        elif state == BODY and self.keep_alive:
            self._draining = True
            self._discarded = 0
            self._phase = _DRAIN
            self._since = None
        elif state in (DONE, BODY, FAILED):  # the last: an answer to a malformed body, behind which all is noise
            self._start_linger()
        if self.parked:
            self.pump.kick()

    def _cycle(self) -> None:
        """Both halves are done and the connection persists: ready for the next head."""
        self.sending = _READY
        self.message = None
        self.response = None
        self.context = None
        self._phase = _KEEP_ALIVE
        self._since = None
        if self.server.keep_alive_timeout:
            self.idle_timeout = self.server.timeout  # what one exchange had set ends with it (RES-72, SRV-52)
        # Last: on threads whoever serves the connection may be looking for the next head already.
        self.receiving = _READY

    @property
    def exchanging(self) -> bool:
        """A request was handed out and its response has not ended."""
        return self.sending == IDLE and self.receiving in (BODY, DONE)

    @property
    def pending(self) -> bool:
        """The next event waits for whoever holds the response."""
        return self.exchanging and not self._lost and self.error is None

    def left_pending(self) -> bool:
        """The handler has returned: is its exchange pending still?

        A FIN that came before there was an exchange to give up is noticed now (SRV-27).
        """
        if self.eof:
            self.notice()
        return self.pending

    @property
    def unanswered(self) -> bool:
        """As :attr:`exchanging`; also if the rest of the request will never come, and nobody was told yet."""
        return self.sending == IDLE and self.message is not None

    # ---------------------------------------------------------------- observers

    def message_consumed(self, message: IncomingMessage) -> None:
        """The request's body was read to its end."""
        if self.receiving == DONE and message is self.message:
            if self._phase == _BODY:  # not if the response ended first, and we linger
                self._phase = _HANDLER
            elif self._phase == _LINGER:
                message._closed()
            elif self._draining:
                self._draining = False
                self._cycle()
                message._closed()

    def response_finished(self, response: ServerResponse) -> None:
        """Order of the closing events (RES-83)."""
        message = response.req
        if message._end_seen or not message.complete:
            if message._end_seen:
                message._closed()
            response.emit("close")
        else:
            response.emit("close")
            message._ended()
            message._closed()

    def _request_over(self) -> None:
        message = self.message
        if message is not None and message._listeners is not None and not message._end_seen:
            message._ended()
            message._closed()

    def flushed(self) -> None:
        """The transport's queue emptied after it had been blocked."""
        self._active = True
        if self._phase in _AFTER:
            self._since = None  # the phase begins now that the response is out
        response, self.stuck = self.stuck or self.response, None
        if response is not None:
            self._within(self.context, response._drained)

    def _end_of_input(self, error: ParseError) -> AnywireError:
        """A request cut short: its reader gets what the reader of a response does (decision 18)."""
        if error.code != "HPE_INVALID_EOF_STATE":
            return error
        if self._lost:
            return self._why()
        why = TruncatedError(error.message, code=error.code, phase=error.phase)  # SRV-30
        why.status_hint = error.status_hint  # a client that only half-closed can still be told
        return why

    def notice(self) -> None:
        """Tell the request and the response that the peer went away, if it did (SRV-25, SRV-27)."""
        if self._lost:
            self._notice_loss(self.context, self._noticed)
        else:
            self._within(self.context, self._noticed)

    def _noticed(self) -> None:
        self._tell()
        if not self._lost:
            if not self.eof or self.server.http_allow_half_open or not self.exchanging:
                return
            if self.receiving == BODY:
                self._read_ahead()
                if self.receiving != DONE:
                    return  # cut short: next_event says so (SRV-30)
            # The peer's FIN with a request pending: Node gives the exchange up (SRV-27).
            self._lost = True
            self.pump.close()
        response = self.stuck or self.response
        if response is not None and not response._writable_finished:
            self.response = self.stuck = None
            self._abort_message(self.error or ConnectionLost("aborted", phase=self._phase), response.req)
            response._cut()
        elif self.receiving == BODY and self.sending != IDLE:
            # Answered early, and the rest of the request will not come (MSG-47).
            self._abort_message(self.error or ConnectionLost("aborted", phase=self._phase))

    def _read_ahead(self) -> None:
        """After the FIN: is what is here the whole body? Keeps the pieces for the reader."""
        message = self.message
        assert message is not None, "there is a body"
        pieces: list[bytes] = []
        try:
            while piece := self.read_body():
                pieces.append(piece)
            self._phase = _HANDLER
        except AnywireError:
            pass  # observers were told
        if pieces:
            rare = message._make_rare()
            rare.pushed_back += b"".join(pieces)

    def _abort_message(self, error: AnywireError, message: IncomingMessage | None = None) -> None:
        message = message or self.message
        if message is not None:
            message._abort(error)
            message._closed()

    def _body_failed(self, error: AnywireError) -> AnywireError:
        self._fail(error)
        self._abort_message(error)
        return error

    # ---------------------------------------------------------------- time

    def _limit(self) -> float:
        """Seconds that the phase may last; 0 is no limit."""
        server, phase = self.server, self._phase
        if server.idle_grace and phase in _IDLE and not self._parser.started:
            return server.idle_grace
        limit: float = getattr(server, _LIMITS[phase]) if phase != _HANDLER else 0.0
        return limit + HINTED if limit and phase == _KEEP_ALIVE and server.keep_alive_hint else limit

    def next_deadline(self, now: float) -> float:
        """When :meth:`handle_deadline` has something to do; ``inf`` for never."""
        if self._lost:
            return FOREVER
        since = self._since
        if since is None:
            since = self._since = now
        phase = self._phase
        server = self.server
        limit = server.keep_alive_timeout
        if limit and phase == _KEEP_ALIVE and not (server.idle_grace or server.keep_alive_hint):
            return since + limit  # what the rest would say, too: asked after each exchange
        limit = self._limit()
        due = since + limit if limit else FOREVER
        if self.idle_timeout and not (phase == _KEEP_ALIVE and limit):
            due = min(due, self._idle_deadline(now))
        if (phase == _HANDLER or phase == _BODY) and self.pump.blocked and (limit := server.write_timeout):
            due = min(due, still_since(self, now) + limit)
        return due

    def _strike(self, now: float) -> None:
        if not (self._lost or self.receiving == SWITCHED or now < self.next_deadline(now)):
            self._within(self.context, lambda: self._struck(now))

    def _struck(self, now: float) -> None:
        phase = self._phase
        limit = self._limit()
        since = self._since
        if phase in _AFTER and limit and since is not None and now >= since + limit and taken(self, now):
            self._since = None  # its time begins when the response is out (SRV-49)
            return
        if stalls(self, now):
            error = TimedOut("The client takes nothing of its response", phase="write")
            error.limit = self.server.write_timeout
            self.destroy(error)
            return
        if not limit or since is None or now < since + limit:
            self._idle_struck()
            self.server.timed_out(self)
        elif self.server.idle_grace and phase in _IDLE and not self._parser.started:
            self._retire(now)
        elif phase == _KEEP_ALIVE:
            # Bytes that wait unparsed are a request that came in time: it will be served, if the answer before it is
            # read (SEC-28).
            serving = self._parser.started and not self.pump.unsent
            if not serving:
                self._idle_struck()
            if serving or not self.server.timed_out(self):
                self._since = FOREVER
        elif phase in (_DRAIN, _LINGER):
            self._lost = True
            self.pump.abort()
        else:
            error = TimedOut("Request timeout", code="ERR_HTTP_REQUEST_TIMEOUT", phase=phase)
            error.status_hint = 408
            error.elapsed = now - since
            self._fail(error)
            self._since = FOREVER
            self._abort_message(error)
            if self.message is not None and not self.server.listener_count("client_error"):
                # A handler is busy elsewhere, and may be for long: the client is not kept waiting for it.
                self.server.answer_error(self, error)
                self.pump.flush()
                self.pump.half_close()
            self.pump.kick()

    def hurry(self) -> None:
        """The server is closing, and has set ``idle_grace``."""
        if self._phase in _IDLE:
            self._since = None
        if self.secure is not None:
            self.secure.hurry(self.server.idle_grace)
        self.pump.kick()

    def _retire(self, now: float) -> None:
        """The server closes, and nobody has asked for anything: FIN, and what comes now was sent too late (ASK-47)."""
        self._since = now
        if self.pump.usable() and not self._parser.buffered:
            self.receiving = HALF[self.receiving][FAIL]
            self.give_up()
            linger = self.server.linger_timeout
            if linger:  # but not for so long as behind an answer
                self._since = now - max(0.0, linger - self.server.idle_grace)
        self.pump.kick()  # an end, or a request that nobody was told of

    def give_up(self) -> None:
        """Answered or not, this connection ends: let what is queued go out, and linger."""
        self.sending = HALF[self.sending][FAIL]
        response, self.response = self.response, None
        if response is not None and not response._writable_finished:
            response._cut()
        self._start_linger()
