"""What server and client connections share: input, output, the idle clock, failure.

**The drain rule.** Give a connection one input (``receive_data``,
``receive_eof``, ``receive_lost``, ``handle_deadline``, or a call on one of its
messages), then: take ``next_event()`` until it says None, send
``data_to_send()``, read on if ``want_read``, and come back by
``next_deadline(now)``.

Input is only taken in; it is parsed when somebody asks for the next event, one
event at a time, so state read between two events always matches the first. Input
never raises out of ``receive_*``: what was wrong with it is the last event, after
everything that parsed before it.

Read ahead is bounded: once ``Limits.max_buffered`` bytes wait unparsed,
``want_read`` is False until somebody consumes them.

**Time.** ``next_deadline(now)`` and ``handle_deadline(now)`` are the only places
where a clock enters. A phase that began since the last call is stamped with
`now`; so the backend asks whenever it parks, and arms its one timer only if the
answer is earlier than what is armed. A timer that strikes stale costs one
comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._chars import safe_target
from ._emitter import Emitter
from ._errors import AnywireError, ConnectionLost, ParseError, TruncatedError, os_error
from ._failure import where
from ._leniency import NOTHING
from ._parser import Parser
from ._pump import FOREVER
from ._state import BODY, END, FAIL, FAILED, FINISH, HALF, IDLE, SWITCH, SWITCHED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from ._incoming import IncomingMessage
    from ._limits import Limits
    from ._pump import Pump
    from ._secure import SecureFeed

__all__ = ["CLOSED_EVENT", "Connection", "Signal"]


class Signal:
    """An event without content. Compare with ``is``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


CLOSED_EVENT: Final = Signal("CLOSED_EVENT")
"""Nothing more will happen here: flush, close, forget."""


class Connection:
    """One transport's worth of HTTP/1.1. See the module docstring for the drain rule.

    Attributes:
        limits: how much the peer may send; read when a message begins.
        receiving, sending: states of the two halves (``_state``).
        message: what is being received, from its head until the exchange is over.
        keep_alive: may another exchange follow on this connection?
        error: why the connection failed, or None.
        pump: the backend's transport, set once by whoever connects the two.
        socket: the user-visible transport object, made on first use by the facade.
        eof: the peer's FIN arrived.
        secure: the TLS between it and its pump, or None.
        detached: its pump feeds something else now.
        context: of a server's: that of the exchange, for what is told while nobody waits (ASK-52).
        written: bytes written since the writer last let others run; the facades' counter.
        idle_timeout: seconds without a byte in or out until ``timeout``; 0 is none.
    """

    __slots__ = (
        "_active",
        "_bound",
        "_draining",
        "_lost",
        "_out",
        "_parser",
        "_quiet_since",
        "_untold",
        "context",
        "detached",
        "eof",
        "error",
        "idle_timeout",
        "keep_alive",
        "limits",
        "message",
        "pump",
        "receiving",
        "secure",
        "sending",
        "socket",
        "written",
    )

    def __init__(
        self,
        role: str,
        limits: Limits,
        *,
        lenient: bool = False,
        require_host: bool = True,
        tolerate: frozenset[str] = NOTHING,
    ) -> None:
        parser = Parser(role, limits, lenient=lenient, require_host=require_host, tolerate=tolerate)
        self._set_parser(parser, limits)
        self._out: list[bytes] = []
        self.receiving: str = IDLE
        self.sending: str = IDLE
        self.keep_alive = True
        self.error: AnywireError | None = None
        self._lost = False
        self.eof = False
        self.written = 0
        self._draining = False
        self._untold = ["close"]  # of the socket's listeners; a list, for that gives it to one thread only
        self.message: IncomingMessage | None = None
        self.pump: Pump = None  # type: ignore[assignment]  # set before anything else is called
        self.socket: Any = None
        self.secure: SecureFeed | None = None
        self.context: Context | None = None
        self.detached = False
        self.idle_timeout: float = 0.0
        self._active = True
        self._quiet_since = FOREVER

    def _set_parser(self, parser: Parser, limits: Limits) -> None:
        self.limits = limits
        self._parser = parser
        # One element must always fit, or its end could never arrive.
        self._bound = 1 + max(
            limits.max_buffered - 1, limits.max_header_size, limits.max_trailer_size, limits.max_chunk_extension_size
        )

    # ---------------------------------------------------------------- in

    def receive_data(self, data: bytes) -> None:
        """Take in what the transport read."""
        self._parser.receive_data(data)
        self._active = True

    def receive_eof(self) -> None:
        """Take in the peer's FIN."""
        self.eof = True
        self._parser.receive_eof(truncated=self.secure is not None and self.secure.truncated)

    def receive_lost(self, error: OSError | None) -> None:
        """Take in that the transport is gone. What was read before stays readable."""
        self._lost = True
        if error is not None and self.error is None:
            self.error = os_error(error, syscall="read", phase=self._phase_name())
        elif error is None:
            self.receive_eof()

    @property
    def lost(self) -> bool:
        """The transport is gone or given up: nothing sent from here on arrives."""
        return self._lost

    # ---------------------------------------------------------------- out

    @property
    def want_read(self) -> bool:
        """False while ``max_buffered`` bytes wait to be consumed."""
        parser = self._parser
        return len(parser._buf) - parser._pos < self._bound  # asked with each piece

    def data_to_send(self) -> bytes:
        """Everything queued for the peer, exactly once."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._active = True
        return data

    def say_goodbye(self) -> None:
        """HTTP has no last words."""

    def send(self, data: bytes) -> None:
        """Queue bytes that were rendered elsewhere."""
        self._out.append(data)

    # ---------------------------------------------------------------- receiving half

    def read_body(self) -> bytes | None:
        """The next piece of the current message's body.

        Returns:
            1. a non-empty piece;
            2. ``b""``: the message is complete, trailers are in place;
            3. None: needs input.

        Raises:
            ParseError: the body is malformed.
            TruncatedError: the connection ended inside the message (never silently: decision 18).
        """
        if self.receiving != BODY:
            if self.receiving == FAILED:
                raise self._why()
            return b""
        try:
            piece = self._parser.next_body()
        except ParseError as error:
            raise self._body_failed(self._end_of_input(error)) from None
        if piece:
            return piece
        if piece is None:
            if self._lost:
                raise self._body_failed(self._why())
            return None
        self._message_complete()
        return b""

    def _message_complete(self) -> None:
        self.receiving = HALF[self.receiving][FINISH]
        message = self.message
        if message is not None:
            message.complete = True
            if self._parser.raw_trailers:
                message._set_trailers(self._parser.raw_trailers)

    def _end_of_input(self, error: ParseError) -> AnywireError:
        """What a parse error inside a body is to this role: EOF may be the network's doing."""
        return error

    def _body_failed(self, error: AnywireError) -> AnywireError:
        """The body cannot be read to its end. Overridden to tell observers."""
        return self._fail(error)

    def _why(self) -> AnywireError:
        """The error that explains why nothing more can be read."""
        if self.error is not None and not isinstance(self.error, ConnectionLost):
            return self.error
        if isinstance(self.error, TruncatedError):
            return self.error
        cause = self.error
        if cause is None or cause.syscall is None:
            error = TruncatedError(f"aborted{self._whose()}", phase="body")
        else:  # not a FIN but a reset: say what the system said (CLI-57)
            error = TruncatedError(f"{cause.message}{self._whose()}", code=cause.code, phase="body")
            error.syscall = cause.syscall
        error.__cause__ = cause
        error.response_started = True
        return error

    def _whose(self) -> str:
        """The exchange that was cut short, for messages."""
        message = self.message
        if message is None:
            return ""
        return (
            f": {where(message.req)}" if message.req is not None else f": {message.method} {safe_target(message.url)}"
        )

    # ---------------------------------------------------------------- the end

    def _fail(self, error: AnywireError) -> AnywireError:
        """Both halves end here. Returns `error`, the first one given wins."""
        self.receiving = HALF[self.receiving][FAIL]
        self.keep_alive = False
        if self.error is None:
            self.error = error
        return error

    def _close_halves(self) -> None:
        self.receiving = HALF[self.receiving][END if self.receiving != BODY else FAIL]
        self.sending = HALF[self.sending][END if self.sending != BODY else FAIL]

    def destroy(self, error: AnywireError | None = None) -> None:
        """Give the transport up now. Synchronous, idempotent, safe at every point."""
        if not self._lost:
            self._lost = True
            if error is not None and self.error is None:
                self.error = error
            self.pump.abort()
        self.notice()  # also of a loss that nobody was told of yet

    def notice(self) -> None:
        """Overridden: tell observers what happened while nobody waited."""

    def message_consumed(self, message: IncomingMessage) -> None:
        """Overridden: the body of `message` was read to its end."""

    @property
    def joins_duplicates(self) -> bool:
        """Overridden: what the server says of its requests (MOD-L3)."""
        return False

    def user_socket(self) -> Any:
        """Overridden: the transport as listeners see it."""
        return self.socket

    def set_idle_timeout(self, seconds: float) -> None:
        """Idle timeout of this connection in seconds, 0 for none."""
        self.idle_timeout = seconds
        self._active = True
        self.pump.kick()

    def switch(self) -> bytes:
        """Leave HTTP: both halves become ``SWITCHED``. Returns what was received beyond the head (SRV-69)."""
        self.receiving = HALF[self.receiving][SWITCH]
        self.sending = HALF[self.sending][SWITCH]
        return self._parser.take_rest()

    @property
    def switched(self) -> bool:
        return self.receiving == SWITCHED

    # ---------------------------------------------------------------- time

    def _idle_deadline(self, now: float) -> float:
        if not self.idle_timeout:
            return FOREVER
        if self._active:
            self._active = False
            self._quiet_since = now
        return self._quiet_since + self.idle_timeout

    def handle_deadline(self, now: float) -> None:
        """Do what is due. A stale timer finds nothing due and does nothing.

        What a listener raises ends the connection, and nothing else (SEC-40).
        """
        try:
            self._strike(now)
        except BaseException:
            self.pump.abort()
            raise

    def _strike(self, now: float) -> None:
        raise NotImplementedError

    def _idle_struck(self) -> None:
        """Report once per silence: only traffic restarts the clock (SRV-48, CLI-87)."""
        self._quiet_since = FOREVER
        if isinstance(self.socket, Emitter):
            self.socket.emit("timeout")

    def _tell(self) -> None:
        """Start of every ``notice()``: data for who waits by ``readable``."""
        message = self.message
        if message is not None and message._listeners is not None and self.receiving == BODY and self._parser.buffered:
            message.emit("readable")

    def _tell_closed(self) -> None:
        """The socket's ``close``, behind all that the exchange is told which it ends."""
        if self._lost and self._untold and isinstance(self.socket, Emitter):
            try:
                event = self._untold.pop()
            except IndexError:  # another thread was faster
                return
            self.socket.emit(event)

    def _notice_loss(self, context: Context | None, tell: Callable[[], object]) -> None:
        """Tell the exchange, then the socket's listeners, whatever the exchange's raise."""
        try:
            self._within(context, tell)
        finally:
            self._within(context, self._tell_closed)

    def _within(self, context: Context | None, tell: Callable[[], object]) -> None:
        """Tell listeners in the context of their exchange: timers and callbacks of a socket were begun in another's."""
        if context is None:
            tell()
        else:
            context.copy().run(tell)  # a copy: it may be entered already

    def _phase_name(self) -> str:
        if self.receiving == BODY:
            return "body"
        return "idle" if self.receiving == IDLE and self.sending == IDLE else "head"

    def hang_up(self) -> ConnectionLost:
        """Node's ``socket hang up``: the peer closed before the message began (CLI-54)."""
        if isinstance(self.error, ConnectionLost):
            return self.error
        error = ConnectionLost("socket hang up", phase=self._phase_name())
        if self.error is not None:
            error.__cause__ = self.error
        return error
