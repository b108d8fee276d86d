"""ClientConnection: one connection to a server, as the client's half of the protocol sees it.

It carries one exchange at a time (WIR-92). :meth:`ClientConnection.start` begins
one; when the response is complete and the request is ended, the halves cycle and
the connection may be pooled, or everything ends.

**It does not keep its exchange alive.** Requests and responses belong to the caller; the
connection, which the runtime holds, refers to them weakly. So one that the caller has
forgotten can be collected, and says so (ASK-7, :meth:`ClientRequest.__del__`).

**An idle connection owes us nothing.** Whatever arrives on it — bytes, FIN, an
error — makes it useless: bytes before a request would be taken for the answer to
the next one (SEC-1, against AGT-60). :attr:`ClientConnection.reusable` says so at
hand-out time, and ``on_idle_end`` lets the pool know early.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ._connection import CLOSED_EVENT, Connection, Signal
from ._errors import AnywireError, ConnectionLost, ParseError, StateError
from ._failure import describe, let_go
from ._framing import KEEP_ALIVE, RESPONSE
from ._incoming import IS_RESPONSE, IncomingMessage
from ._leniency import NOTHING
from ._parser import Parser
from ._pump import FOREVER
from ._state import BODY, CYCLE, DONE, FINISH, HALF, HEAD, IDLE, MESSAGE, SWITCHED, joint

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._client_agent import ClientAgent
    from ._limits import Limits
    from ._request import ClientRequest

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """See the module docstring.

    Attributes:
        request: the request being carried, or None while idle and when nobody holds it any more.
        abandoned: nobody holds the request that was being carried.
        bytes_sent: bytes of the current request handed to the transport.
        bytes_received: did any byte arrive since the request started?
        key: the pool's name of this connection; opaque here.
        probed_after: seconds of silence after which TCP probes the peer; None for never.
        rules: ``RequestOptions.parsing`` of the request whose answers are parsed here.
        pooled_by: the agent that had it last.
        on_idle_end: called once when the connection dies or is spoilt while no request owns it.
    """

    __slots__ = (
        "_informational",
        "_make_socket",
        "_message",
        "_message_class",
        "_request",
        "bytes_received",
        "bytes_sent",
        "ending",
        "key",
        "on_idle_end",
        "pooled_by",
        "probed_after",
        "rules",
    )

    def __init__(
        self,
        limits: Limits,
        *,
        lenient: bool = False,
        tolerate: frozenset[str] = NOTHING,
        message_class: type[IncomingMessage] = IncomingMessage,
        make_socket: Callable[[ClientConnection], Any],
    ) -> None:
        self._request: weakref.ref[ClientRequest] | None = None
        self._message: weakref.ref[IncomingMessage] | None = None
        super().__init__(RESPONSE, limits, lenient=lenient, tolerate=tolerate)
        self.probed_after: float | None = None
        self.bytes_sent = 0
        self.bytes_received = False
        self.on_idle_end: Callable[[ClientConnection], None] | None = None
        self.key: Any = None
        self.pooled_by: ClientAgent | None = None
        self.rules: object = None
        self.ending = False
        self._informational = 0
        self._message_class = message_class
        self._make_socket = make_socket

    @property
    def request(self) -> ClientRequest | None:
        """See the class."""
        known = self._request
        return None if known is None else known()

    @request.setter
    def request(self, request: ClientRequest | None) -> None:
        self._request = None if request is None else weakref.ref(request)

    # The base class has a slot of this name; nothing is in it here.
    @property
    def message(self) -> IncomingMessage | None:
        """What is being received, if anybody holds it."""
        known = self._message
        return None if known is None else known()

    @message.setter
    def message(self, message: IncomingMessage | None) -> None:
        self._message = None if message is None else weakref.ref(message)

    @property
    def abandoned(self) -> bool:
        """See the class."""
        known = self._request
        return known is not None and known() is None

    def user_socket(self) -> Any:
        """The transport as listeners see it."""
        if self.socket is None:
            self.socket = self._make_socket(self)
        return self.socket

    # ---------------------------------------------------------------- in

    def receive_data(self, data: bytes) -> None:
        """Take in what the transport read."""
        self._parser.receive_data(data)
        self._active = True
        self.bytes_received = True

    @property
    def reusable(self) -> bool:
        """Idle, whole, and silent: may the next request go out here?"""
        parser = self._parser
        silent = parser._pos == len(parser._buf) and not self.eof
        return silent and not self._lost and self.receiving == IDLE and self.sending == IDLE

    def data_to_send(self) -> bytes:
        """Everything queued for the peer, exactly once."""
        data = super().data_to_send()
        self.bytes_sent += len(data)
        return data

    def set_limits(self, limits: Limits, *, lenient: bool, tolerate: frozenset[str] = NOTHING) -> None:
        """Parse by other limits and leniencies from here on.

        Raises:
            StateError: not idle: something may be half parsed.
        """
        if not self.reusable:
            raise StateError("A byte of an answer is here already", code="ERR_INTERNAL_ASSERTION")
        self._set_parser(Parser(RESPONSE, limits, lenient=lenient, tolerate=tolerate), limits)

    def _fail(self, error: AnywireError) -> AnywireError:
        error.status_hint = 0  # a client answers nothing, and nobody shall take it for what the server said (ASK-35)
        return super()._fail(error)

    # ---------------------------------------------------------------- an exchange

    def start(self, request: ClientRequest) -> None:
        """Carry `request` from here on; StateError if there is another one, or a byte of its answer."""
        if self._request is not None or self.receiving != IDLE:
            raise StateError("The connection carries an exchange already", code="ERR_INTERNAL_ASSERTION")
        self._request = weakref.ref(request)
        self.bytes_sent = 0
        self.bytes_received = False
        self._informational = 0
        self.keep_alive = True
        self._active = True

    def next_event(self) -> IncomingMessage | AnywireError | Signal | None:
        """What happened next, one thing at a time.

        Returns:
            1. a message: an interim response (its ``status_code`` is below 200 and the exchange
               goes on), the final response, or the answer that switches protocols (``upgrade``);
            2. None: needs input;
            3. an error, which ends the exchange;
            4. ``CLOSED_EVENT``: there is no exchange.
        """
        known = self._request
        if known is None or (request := known()) is None or self.receiving == SWITCHED:
            return CLOSED_EVENT
        if self.receiving != IDLE:
            return self.error
        parser = self._parser
        if parser._pos == len(parser._buf) and not (self.eof or self._lost):
            return None  # asked once before anything can be here
        try:
            head = parser.next_response(request._method)
        except ParseError as error:
            if error.code == "HPE_INVALID_EOF_STATE":
                return self._fail(self.hang_up())
            return self._fail(error)
        if head is None:
            if self._lost or parser.at_eof:
                return self._fail(self.hang_up())
            return None
        status, reason, minor, fields, length, flags = head
        if status < 200 and status != 101:
            self._informational += 1
            if self._informational > self.limits.max_informational:
                return self._fail(
                    ParseError("HPE_INVALID_STATUS", f"More than {self.limits.max_informational} interim responses")
                )
            return self._message_class(self, status, reason, minor, fields, 0, flags | IS_RESPONSE)
        message = self._message_class(self, status, reason, minor, fields, length, flags | IS_RESPONSE)
        self._message = weakref.ref(message)
        if not flags & KEEP_ALIVE or status == 101:  # of a 101 without Upgrade nobody knows what follows (CLI-45)
            self.keep_alive = False
        self.receiving = HALF[IDLE][MESSAGE if length == 0 else HEAD]
        return message

    def request_ended(self) -> None:
        """The last byte of the request is queued."""
        self.sending = HALF[self.sending][FINISH if self.sending == BODY else MESSAGE]

    def message_consumed(self, message: IncomingMessage) -> None:
        """The response was read to its end."""
        request: ClientRequest | None = message.req
        if request is not None and request.res is message:
            if request._over:
                message._closed()
            elif request._error is None:  # else its failure told the message, in whatever thread it came
                request._maybe_over()

    def leave_agent(self) -> None:
        """``agent_remove`` was emitted on the socket: it belongs to the user from here on (AGT-70, AGT-72)."""
        if (request := self.request) is not None:
            request._leave_agent()
        elif self.pooled_by is not None:
            self.pooled_by.forget(self)

    def cycle(self) -> bool:
        """End the exchange. Returns True if another one may follow here."""
        self._request = self._message = None
        parser = self._parser
        if self._lost or self.eof or parser._pos != len(parser._buf):
            return False
        if joint(self.receiving, self.sending, self.keep_alive) != CYCLE:
            return False
        self.receiving = self.sending = HALF[DONE][CYCLE]
        return True

    def destroy(self, error: AnywireError | None = None) -> None:
        """Give the transport up now, and with it the request it carries."""
        if (request := self.request) is None:
            super().destroy(error)
        else:
            request.destroy(error)

    def _phase_name(self) -> str:
        return "idle" if self.request is None else "body" if self.receiving == BODY else "head"

    def _end_of_input(self, error: ParseError) -> AnywireError:
        """A response cut short is the network's doing: it raises, with what came (decision 18)."""
        return self._why() if error.code == "HPE_INVALID_EOF_STATE" else error

    def _why(self) -> AnywireError:
        error = super()._why()
        message = self.message
        if message is not None and message.req is not None:
            describe(message.req, error)
        return error

    def _body_failed(self, error: AnywireError) -> AnywireError:
        request = self.request
        self._fail(error)
        if request is not None:
            request._fail(error)
        return error

    # ---------------------------------------------------------------- observers

    def flushed(self) -> None:
        """The transport's queue emptied after it had been blocked."""
        self._active = True
        if (request := self.request) is not None:
            self._run(request, request._drained)

    def _run(self, request: ClientRequest, tell: Callable[[], object]) -> None:
        """Tell listeners of an exchange. What one raises ends it, and comes out of whatever waits for it (SEC-40).

        Not out of here: who happens to run here, a loop or the thread that waits, differs from runtime to runtime.
        """
        try:
            self._within(request._context, tell)
        except Exception as error:
            if request._over or request._error is not None:
                raise  # nobody would hear of it
            request._fail(error)

    def ended(self) -> None:
        """An exchange told all there is to tell of its end: the socket's ``close`` comes behind it, as in Node."""
        self.ending = False
        self._tell_closed()

    def notice(self) -> None:
        """Something happened while nobody waited."""
        request = self.request
        if request is None:
            if not self.reusable and self.on_idle_end is not None:
                tell, self.on_idle_end = self.on_idle_end, None
                tell(self)
            self._tell()
            if not self.ending:
                self._tell_closed()
            return
        self._run(request, self._tell)
        if self._lost:
            if self.receiving != DONE and self.error is None:  # if it is complete its reader notices nothing
                self.error = ConnectionLost("socket hang up", phase=self._phase_name())
            let_go(request)
        elif self.eof and self.receiving in (BODY, DONE) and self.sending == DONE:
            # Everything was said on both sides. Nobody need read it for the socket to go, as in Node (ASK-7).
            self.pump.close()

    # ---------------------------------------------------------------- time

    def next_deadline(self, now: float) -> float:
        """When :meth:`handle_deadline` has something to do; ``inf`` for never."""
        return self._idle_deadline(now) if self.idle_timeout and not self._lost else FOREVER

    def _strike(self, now: float) -> None:
        if self._lost or now < self.next_deadline(now):
            return
        if (request := self.request) is not None:
            self._run(request, self._idle_struck)
        else:
            self._idle_struck()
        if (request := self.request) is not None:
            self._run(request, request._timed_out)
        elif not self._lost:
            if self.pooled_by is not None:
                self.pooled_by.timed_out(self)
            self.destroy()
