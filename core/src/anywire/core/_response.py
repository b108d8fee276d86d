"""ServerResponse: what a server says to one request (RES-18 to RES-86)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._checks import check_error
from ._errors import ArgumentTypeError, ArgumentValueError, StateError
from ._framing import CHUNKED_OK
from ._header_store import HeaderStore, field_pairs, pairs, sent_once
from ._outgoing import NOWHERE, UNRENDERED, OutgoingMessage
from ._serializer import (
    CONTINUE,
    PROCESSING,
    check_status,
    reason_phrase,
    render_information,
    render_plain,
    render_response,
)
from ._standalone import StandaloneRequest, has_message, loose_connection, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from ._errors import AnywireError
    from ._incoming import IncomingMessage

__all__ = ["ServerResponse"]


class ServerResponse(OutgoingMessage):
    """The response to one request. Made by the server and handed to ``request`` listeners.

    Made by hand it needs no server: from anything with ``method``, ``http_version_major``, ``http_version_minor`` and
    ``headers``, it is sent over what :meth:`assign_socket` is given (RES-77).

    Events: ``finish()``, ``close()``, ``drain()``, ``timeout(socket)``, ``closing()``.

    Attributes:
        req: the request this answers.
        status_code: sent with the head, 200 unless set (RES-18).
        send_date: add a ``Date`` field (RES-33).
        should_keep_alive: False makes this the last response of the connection (RES-75).
    """

    __slots__ = ("_no_body", "_reason", "req", "status_code")

    def __init__(self, req: IncomingMessage) -> None:
        try:
            connection = req._connection
        except AttributeError:
            req = StandaloneRequest(req)  # type: ignore[assignment]
            connection = req._connection
        self._listeners = None
        self._connection = connection
        self._sink = connection._out
        self._store = None
        self._rare = None
        self._framing = UNRENDERED
        self._head = b""
        self._left = 0
        self._writable_finished = False
        self._no_body = req._first == "HEAD"
        self.writable_ended = False
        self.send_date = True
        self.should_keep_alive = True
        self.use_chunked_encoding_by_default = bool(req._flags & CHUNKED_OK)
        self.req = req
        self.status_code: int = 200
        self._reason: str | None = None

    def __repr__(self) -> str:
        state = "ended" if self.writable_ended else "sending" if self.headers_sent else "new"
        return f"<{type(self).__name__} {self.status_code} {state}>"

    @property
    def closing(self) -> bool:
        """Its server is closing: a response without an end of its own should come to one now (ASK-45).

        The event ``closing`` tells when this becomes True while the response is under way.
        """
        server = getattr(self._connection, "server", None)
        return server is not None and bool(server.draining)

    # ---------------------------------------------------------------- head

    @property
    def status_message(self) -> str | None:
        """Reason phrase; None means the standard one, which it holds once the head is rendered (RES-18, RES-21)."""
        if self._reason is None and self._framing != UNRENDERED:
            return reason_phrase(self.status_code)
        return self._reason

    @status_message.setter
    def status_message(self, text: str | None) -> None:
        self._reason = text

    def write_head(
        self,
        status_code: int,
        status_message: Any = None,
        headers: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
    ) -> Self:
        """Render the head (RES-19 to RES-29). It leaves with the first body bytes, ``end`` or ``flush_headers``.

        Args:
            status_code: 100 to 999.
            status_message: the reason phrase; a mapping or list here is taken for `headers`.
            headers: a mapping, pairs, or a flat ``[name, value, …]`` list (RES-L1). They win over
                fields stored with ``set_header``.

        Raises:
            StateError: ``ERR_HTTP_HEADERS_SENT``, there is a head already (decision 2, RES-27, RES-28).
            ArgumentValueError: a status, name or value that cannot be sent.
        """
        if self._framing != UNRENDERED:
            raise StateError("Cannot write headers after they are sent to the client", code="ERR_HTTP_HEADERS_SENT")
        if status_message is not None and not isinstance(status_message, str):
            if headers is not None:
                raise ArgumentTypeError(
                    f'The "status_message" argument must be of type str. Received {type(status_message).__name__}'
                )
            headers, status_message = status_message, None
        before = self.status_code, self._reason, self._store
        self.status_code = status_code
        if status_message is not None:
            self._reason = status_message
        try:
            if headers is None:
                self._render(None)
            elif self._store is None:
                self._render(None, headers if type(headers) is dict else list(field_pairs(headers)))
            else:
                self._merge(field_pairs(headers))
                self._render(None)
        except BaseException:
            # Nothing was rendered, so nothing may be remembered: the caller may try again.
            self.status_code, self._reason, self._store = before
            raise
        return self

    write_header = write_head

    def _merge(self, headers: Any) -> None:
        """Fields of ``write_head`` over stored ones: they replace, then repeats of one name add up (RES-25)."""
        before = self._store
        assert before is not None, "asked only when there is one"
        # A new store: if anything fails, the old one is what it was.
        self._store = store = HeaderStore()
        store._fields.update(before._fields)
        store.removed = before.removed
        store.update(headers)

    def _render(self, known_length: int | None, fields: Any = None) -> None:
        connection = self._connection
        rare = self._rare
        store = self._store
        server = connection.server
        if type(self.status_code) is not int:
            self.status_code = check_status(self.status_code)
        if fields is None:
            fields = () if store is None else store
        if (unique := server.options.unique_headers) is not None:
            fields = sent_once(fields, unique)
        removed = 0 if store is None else store.removed
        trailers = rare is not None and rare.trailers is not None
        date = server.date.line() if self.send_date else b""
        hint = server.keep_alive_line() if server.keep_alive_hint else b""
        keep_alive = self.should_keep_alive and connection.may_persist()
        given = fields.items() if type(fields) is dict else field_pairs(fields)
        if (
            keep_alive
            and self.use_chunked_encoding_by_default
            and not (self._no_body or removed or trailers or hint or connection.continue_pending)
            and (made := render_plain(self.status_code, self._reason, given, known_length, date))
        ):
            self._head, self._framing = made
            self._left = made[1] if made[1] > 0 else 0
            return
        self._head, framing, last = render_response(
            self.status_code,
            self._reason,
            given,
            no_body=self._no_body,
            known_length=known_length,
            chunked_ok=self.use_chunked_encoding_by_default,
            keep_alive=keep_alive,
            date=date,
            removed=removed,
            continue_pending=connection.continue_pending,
            trailers=trailers,
            hint=hint,
        )
        self._framing = framing
        self._left = framing if framing > 0 else 0
        if last:
            self.should_keep_alive = False

    # ---------------------------------------------------------------- interim responses

    def write_continue_nowait(self) -> None:
        """Send ``100 Continue`` now (RES-68).

        Raises:
            StateError: ``ERR_HTTP_HEADERS_SENT``, the final head was rendered already.
        """
        self._interim(CONTINUE)
        self._connection.continue_pending = False

    def write_processing_nowait(self) -> None:
        """Send ``102 Processing`` now (RES-69). Raises like :meth:`write_continue_nowait`."""
        self._interim(PROCESSING)

    def write_information_nowait(self, status_code: int, headers: Any = ()) -> None:
        """Send an interim response (100 to 199 but 101), such as 103 with ``Link`` fields.

        Raises:
            StateError: ``ERR_HTTP_HEADERS_SENT``.
            ArgumentValueError: not an interim status, or fields that cannot be sent.
        """
        if check_status(status_code) == 101:
            # It would make the client take what follows for another protocol.
            raise ArgumentValueError("Invalid status code: 101", code="ERR_HTTP_INVALID_STATUS_CODE")
        self._interim(render_information(status_code, pairs(headers)))
        if status_code == 100:
            self._connection.continue_pending = False

    def _interim(self, head: bytes) -> None:
        if self._framing != UNRENDERED:
            raise StateError("Cannot write an interim response after the head is sent", code="ERR_HTTP_HEADERS_SENT")
        # A 1.0 client would take it for the answer (RFC 9110 section 15.2).
        if self.req._minor >= 1 and not self.destroyed:
            self._sink.append(head)
            self._flush()

    # ---------------------------------------------------------------- end

    def _message_ended(self) -> None:
        # Not if it was given up, or lost its socket: the exchange may be another one by now (SEC-3).
        if self._connection.response is self:
            self._connection.response_ended(not self.should_keep_alive)

    def _blocked(self) -> None:
        super()._blocked()
        if self.writable_ended:
            self._connection.stuck = self
        else:
            self._connection.pump.kick()  # the handler may never wait on us, and the clock of the reader runs

    def _cut(self) -> None:
        """Nothing of this response can be sent any more: ``close`` without ``finish`` (SRV-25, SRV-26)."""
        self._sink = NOWHERE
        if self._listeners is not None:
            self.emit("close")

    def _reset(self) -> None:
        """Forget everything but the listeners and the socket; nothing of it was sent (SRV-10)."""
        listeners, connection = self._listeners, self._connection
        ServerResponse.__init__(self, self.req)
        self._listeners = listeners
        self._connection = connection
        self._sink = connection._out

    def _finish(self) -> None:
        if self._sink is not self._connection._out:
            return  # ended without a socket: it goes out when there is one
        self._writable_finished = True
        if self._listeners is not None or self.req._listeners is not None:
            self._prefinish()
            self.emit("finish")
            self._connection.response_finished(self)

    # ---------------------------------------------------------------- the rest

    @property
    def socket(self) -> Any:
        """The transport, None once the response is finished (RES-67)."""
        return None if self._writable_finished else self._connection.user_socket()

    def assign_socket(self, socket: Any) -> None:
        """Send over `socket` what was written and what will be (RES-77).

        A server's response has its socket already; this is for moving it, and for one without a server.

        Args:
            socket: a server's socket, or anything with ``write(data)``, which must take all it is given.

        Raises:
            ArgumentTypeError: it has no ``write()``.
            StateError: ``ERR_INTERNAL_ASSERTION``: it carries another response, or no request waits there.
        """
        connection = getattr(socket, "connection", None) or loose_connection(self, socket)
        if connection.response not in (None, self):
            raise has_message()
        if not connection.unanswered:
            # The next request's client would take it for its own answer (SEC-1).
            raise StateError("No request waits for an answer on the socket", code="ERR_INTERNAL_ASSERTION")
        waiting = self._sink
        self._connection = connection
        connection.response = self
        if waiting is not connection._out:
            self._sink = connection._out
            self._sink += waiting
            if self.writable_ended:
                self._message_ended()
        if self._listeners is not None:
            self.emit("socket", socket)
        self._flush()

    def detach_socket(self, socket: Any) -> None:
        """Undo :meth:`assign_socket`: what is written waits until there is a socket again (RES-77)."""
        connection = getattr(socket, "connection", None)
        if connection is None:
            connection = self._connection
            if connection.user_socket() is not socket:
                return
            mark(socket, None)
            connection.socket = None
        if connection.response is self:
            connection.response = None
        self._sink = []

    @property
    def destroyed(self) -> bool:
        """The transport is gone or was given up."""
        return self._sink is NOWHERE or bool(self._connection.lost)

    def destroy(self, error: AnywireError | None = None) -> Self:
        """Destroy the transport: ``aborted`` and ``close`` on the request, ``close`` here (RES-71)."""
        check_error(error)
        if self._connection.response is self:
            self._connection.destroy(error)
        return self

    def set_timeout(self, seconds: float, callback: Callable[..., object] | None = None) -> Self:
        """Idle timeout of the connection while this response is pending, 0 for none (RES-72)."""
        self.req.set_timeout(seconds)
        if callback is not None:
            self.on("timeout", callback)
        return self
