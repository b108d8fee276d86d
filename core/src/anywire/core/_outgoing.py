"""OutgoingMessage: what a response and a request have in common when they are sent.

A head is *rendered* at the latest possible moment, and once: by ``write_head``,
by the first ``write``, by ``flush_headers`` or by ``end``. Rendering decides the
framing (see ``_serializer``); what follows is checked against it, so that we
never send more or fewer bytes than we announced.

Rendered bytes go into a *sink*, a plain list: the connection's output queue, or,
for a request that has no connection yet, a list of its own that is handed over
when it gets one. A head is put into the sink together with the first body bytes
or the end of the message, so a small message is one piece and one send.

Nothing here waits. ``*_nowait`` hands bytes to the transport at once and says
whether the queue is below its high-water mark; the facades add the waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._emitter import Emitter
from ._errors import ArgumentTypeError, StateError
from ._header_store import HeaderStore, pairs
from ._serializer import CHUNKED, LAST_CHUNK, NO_BODY, chunk_header, render_last_chunk
from ._standalone import Loose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NoReturn, Self

__all__ = ["HIGH_WATER_MARK", "OutgoingMessage"]

HIGH_WATER_MARK: Final = 16384
"""Bytes a transport may hold back before ``write_nowait`` says False (RES-49, RES-66)."""

UNRENDERED: Final = -9
"""Value of ``_framing`` before there is a head."""

SMALL_CHUNK: Final = 8192
"""Up to here copying a chunk next to its size line is cheaper than three pieces."""


class _Nowhere(list[bytes]):
    """A sink that keeps nothing."""

    __slots__ = ()

    def append(self, data: bytes) -> None:
        pass

    def __iadd__(self, data: Iterable[bytes]) -> Self:  # type: ignore[misc,override]
        return self


NOWHERE: Final[list[bytes]] = _Nowhere()
"""The sink of a response that was cut off: what is still written must reach neither peer nor memory (SRV-26)."""


class _Rare:
    """State that most messages never need."""

    __slots__ = ("corked", "drain_due", "prefinished", "trailers")

    def __init__(self) -> None:
        self.corked = 0
        self.drain_due = False
        self.prefinished = False
        self.trailers: Any = None


class OutgoingMessage(Emitter):
    """The sending side of an exchange: RES-1 to RES-66 and, for requests, CLI-9 to CLI-29."""

    __slots__ = (
        "__weakref__",
        "_connection",
        "_framing",
        "_head",
        "_left",
        "_rare",
        "_sink",
        "_store",
        "_writable_finished",
        "send_date",
        "should_keep_alive",
        "use_chunked_encoding_by_default",
        "writable_ended",
    )

    writable_high_water_mark = HIGH_WATER_MARK
    writable_object_mode = False

    _connection: Any
    _sink: list[bytes]
    _store: HeaderStore | None
    _rare: _Rare | None
    _framing: int
    _head: bytes
    _left: int
    send_date: bool
    should_keep_alive: bool
    use_chunked_encoding_by_default: bool
    writable_ended: bool
    _writable_finished: bool

    # ---------------------------------------------------------------- header fields

    def set_header(self, name: str, value: Any) -> Self:
        """Store a header field, replacing one of the same name in any case (RES-1, RES-2).

        Args:
            name: a token.
            value: str, number, or a list of them for one line each (RES-13).

        Raises:
            StateError: ``ERR_HTTP_HEADERS_SENT``, the head was rendered already (RES-16).
            ArgumentValueError: the name or value cannot be sent (RES-9 to RES-12).
        """
        if self._framing != UNRENDERED:
            raise _sent("set")
        store = self._store
        if store is None:
            store = self._store = HeaderStore()
        store.set(name, value)
        return self

    def append_header(self, name: str, value: Any) -> Self:
        """Add one more line under `name` (RES-L4). Raises like :meth:`set_header`."""
        if self._framing != UNRENDERED:
            raise _sent("append")
        store = self._store
        if store is None:
            store = self._store = HeaderStore()
        store.append(name, value)
        return self

    def set_headers(self, headers: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Self:
        """:meth:`set_header` for each pair (RES-L4)."""
        for name, value in pairs(headers):
            self.set_header(name, value)
        return self

    def get_header(self, name: str) -> Any:
        """The stored value with its type, or None (RES-3)."""
        _check_name_type(name)
        return None if self._store is None else self._store.get(name)

    def get_headers(self) -> dict[str, Any]:
        """A new dict of lower-case name → value (RES-4)."""
        return {} if self._store is None else self._store.as_dict()

    def get_header_names(self) -> list[str]:
        """Lower-case names in order (RES-5)."""
        return [name.lower() for name in self.get_raw_header_names()]

    def get_raw_header_names(self) -> list[str]:
        """Names as they were spelled, in order (CLI-L5)."""
        return [] if self._store is None else [name for name, _ in self._store.items()]

    def has_header(self, name: str) -> bool:
        """Is there a stored field of that name, in any case (RES-6)?"""
        _check_name_type(name)
        return self._store is not None and self._store.has(name)

    def remove_header(self, name: str) -> None:
        """Remove a field; for Connection, Content-Length, Transfer-Encoding and Date also the automatic one (RES-7).

        Raises:
            StateError: ``ERR_HTTP_HEADERS_SENT``.
        """
        _check_name_type(name)
        if self._framing != UNRENDERED:
            raise _sent("remove")
        if self._store is None:
            self._store = HeaderStore()
        self._store.remove(name)

    @property
    def headers_sent(self) -> bool:
        """True once the head is rendered, even if no byte left yet (RES-17)."""
        return self._framing != UNRENDERED

    @property
    def chunked_encoding(self) -> bool:
        """True once a head was rendered with chunked framing (RES-76)."""
        return self._framing == CHUNKED

    # ---------------------------------------------------------------- state

    @property
    def writable(self) -> bool:
        """More may be written: neither ended nor destroyed (Node's stays True, RES-65)."""
        return not (self.writable_ended or self.destroyed)

    @property
    def finished(self) -> bool:
        """``end()`` was called. Node's old name of :attr:`writable_ended` (CLI-7)."""
        return self.writable_ended

    @property
    def writable_finished(self) -> bool:
        """Ended, and every byte was handed to the operating system (CLI-8)."""
        return self._writable_finished or (self.writable_ended and not self.destroyed and self.writable_length == 0)

    @property
    def writable_length(self) -> int:
        """Bytes waiting here and in the transport (RES-66)."""
        waiting = sum(map(len, self._sink)) + len(self._head)
        pump = self._pump()
        return waiting if pump is None else waiting + pump.unsent

    @property
    def writable_corked(self) -> int:
        """Depth of :meth:`cork` (RES-59)."""
        return 0 if self._rare is None else self._rare.corked

    @property
    def destroyed(self) -> bool:
        """The transport is gone or was given up."""
        raise NotImplementedError

    def _make_rare(self) -> _Rare:
        rare = self._rare
        if rare is None:
            rare = self._rare = _Rare()
        return rare

    # ---------------------------------------------------------------- body

    def write_nowait(self, chunk: Any) -> bool:
        """Send a piece of body without waiting (RES-39 to RES-51).

        Args:
            chunk: bytes-like, or str sent as UTF-8. Empty sends only the head.

        Returns:
            False when :data:`HIGH_WATER_MARK` bytes wait in the transport; a ``drain``
            event follows. False also when the connection is gone (RES-51).

        Raises:
            ArgumentTypeError: `chunk` is neither str nor bytes-like.
            StateError: ``ERR_STREAM_WRITE_AFTER_END``; ``ERR_HTTP_CONTENT_LENGTH_MISMATCH``
                when more is written than Content-Length announced.
        """
        data = as_bytes(chunk, "chunk")
        if self.writable_ended:
            raise StateError("write after end", code="ERR_STREAM_WRITE_AFTER_END", phase="write")
        if self._framing == UNRENDERED:
            self._render(None)
        self._put(data)
        return self._flush()

    def end_nowait(self, data: Any = None, *, trailers: Any = None) -> Self:
        """End the message without waiting (RES-52 to RES-57). A second call does nothing.

        Args:
            data: a last piece of body.
            trailers: a mapping or pairs for the trailer section, see :meth:`add_trailers`.

        Raises:
            ArgumentTypeError: `data` is neither str nor bytes-like nor None.
            StateError: ``ERR_HTTP_CONTENT_LENGTH_MISMATCH`` when the body does not match the
                Content-Length that was announced; the connection is destroyed, for the peer
                must not take it for complete.
        """
        if self.writable_ended:
            return self
        body = data if type(data) is bytes else b"" if data is None else as_bytes(data, "chunk")
        if trailers is not None:
            self.add_trailers(trailers)
        rare = self._rare
        if self._framing == UNRENDERED:
            # With trailers waiting the length must not be announced: they need chunked framing.
            self._render(len(body) if rare is None or rare.trailers is None else None)
        if rare is not None:
            rare.corked = 0
        framing = self._framing
        if framing == CHUNKED:
            last = LAST_CHUNK if rare is None or rare.trailers is None else render_last_chunk(rare.trailers)
            if body:
                self._put(body)
                self._sink.append(last)
            else:
                self._sink.append(self._head + last)
                self._head = b""
        else:
            if framing >= 0 and len(body) != self._left:
                self._mismatch(len(body))
            self._left = 0
            head = self._head
            self._head = b""
            if framing == NO_BODY or not body:
                if head:
                    self._sink.append(head)
            elif len(body) <= SMALL_CHUNK:
                self._sink.append(head + body)
            else:
                if head:
                    self._sink.append(head)
                self._sink.append(body)
        self.writable_ended = True
        if self._connection is not None:  # else a request's: all of it goes out when there is one
            self._message_ended()
            self._flush()
        return self

    def flush_headers_nowait(self) -> bool:
        """Render the head if needed and send it now (RES-58)."""
        if self._framing == UNRENDERED:
            self._render(self._early_length())
        if self._head:
            self._sink.append(self._head)
            self._head = b""
        return self._flush()

    def _put(self, data: bytes) -> None:
        """Queue head and body bytes according to the framing."""
        head = self._head
        framing = self._framing
        size = len(data)
        if framing == CHUNKED and size:
            head += chunk_header(size)
            if size <= SMALL_CHUNK:
                self._sink.append(b"%b%b\r\n" % (head, data))
            else:
                self._sink += (head, data, b"\r\n")
        elif framing == NO_BODY or not size:
            if head:
                self._sink.append(head)
        else:
            if framing >= 0:
                if size > self._left:
                    self._mismatch(size)
                self._left -= size
            if head and size <= SMALL_CHUNK:
                self._sink.append(head + data)
            else:
                if head:
                    self._sink.append(head)
                self._sink.append(data)
        self._head = b""

    def _mismatch(self, size: int) -> None:
        if self.destroyed:
            return  # nothing arrives any more, so nothing is wrong (SRV-26, CLI-28)
        if not self._head:
            # Part of the message may be on the wire; only an abort tells the peer that the rest is missing.
            self.destroy()
        self._framing, self._head = (UNRENDERED, b"") if self._head else (self._framing, b"")
        raise StateError(
            f"Response body's length does not match Content-Length: {self._left} bytes left, {size} given"
            if self._is_response()
            else f"Request body's length does not match Content-Length: {self._left} bytes left, {size} given",
            code="ERR_HTTP_CONTENT_LENGTH_MISMATCH",
            phase="write",
        )

    def add_trailers(self, headers: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Set the trailer section, replacing an earlier one (RES-60 to RES-64).

        It is sent only with chunked framing; set before the head is rendered, it causes it.
        """
        if self.writable_ended:
            return
        trailers = list(pairs(headers))
        render_last_chunk(trailers)  # validates, before anything is sent
        self._make_rare().trailers = trailers

    def pipe(self, destination: Any = None) -> NoReturn:
        """Not possible: this is the end that is written to (CLI-27, RES-74).

        Raises:
            StateError: ``ERR_STREAM_CANNOT_PIPE``.
        """
        raise StateError("Cannot pipe, not readable", code="ERR_STREAM_CANNOT_PIPE")

    def cork(self) -> None:
        """Hold output back until :meth:`uncork` or ``end`` (RES-59). Nests."""
        self._make_rare().corked += 1

    def uncork(self) -> None:
        """Undo one :meth:`cork`; the last one sends what was held back. Harmless alone."""
        rare = self._rare
        if rare is not None and rare.corked:
            rare.corked -= 1
            if not rare.corked:
                self._flush()

    # ---------------------------------------------------------------- flushing

    def _flush(self) -> bool:
        """Hand the sink to the transport, if there is one. Returns whether to go on writing."""
        connection = self._connection
        pump = None if connection is None else connection.pump
        rare = self._rare
        if pump is None:
            return self._queued()
        if pump.closed or self._sink is NOWHERE:
            return isinstance(connection, Loose) and not connection.lost and self._queued()
        if rare is not None and rare.corked:
            return self.writable_length < HIGH_WATER_MARK
        pump.flush()
        if pump.blocked:
            self._blocked()
            return False
        if self.writable_ended:
            if not self._writable_finished:
                self._finish()
        elif rare is not None and rare.drain_due:
            self._drained()
        return True

    def _queued(self) -> bool:
        """There is no transport yet. Returns whether to go on writing (CLI-20, RES-49)."""
        if self.writable_length < HIGH_WATER_MARK:
            return True
        self._make_rare().drain_due = True
        return False

    def _blocked(self) -> None:
        """The transport's queue is full; :meth:`_drained` follows."""
        self._make_rare().drain_due = True
        if self.writable_ended and self._listeners is not None:
            self._prefinish()

    def _drained(self) -> None:
        """The transport's queue emptied: ``drain`` or ``finish`` is due (RES-49, RES-80)."""
        rare = self._rare
        if self.writable_ended:
            if not self._writable_finished:
                self._finish()
        elif rare is not None and rare.drain_due:
            rare.drain_due = False
            self.emit("drain")

    def _prefinish(self) -> None:
        """The transport has the last byte, though the kernel may not: ``prefinish``, once (CLI-40, RES-78)."""
        rare = self._make_rare()
        if not rare.prefinished:
            rare.prefinished = True
            self.emit("prefinish")

    def _finish(self) -> None:
        self._writable_finished = True
        if self._listeners is not None:
            self._prefinish()
            self.emit("finish")

    # ---------------------------------------------------------------- for the two kinds

    def _render(self, known_length: int | None) -> None:
        """Render the head into ``_head``; sets ``_framing`` and ``_left``."""
        raise NotImplementedError

    def _early_length(self) -> int | None:
        """The body length to announce when the head leaves before anything was written; None if it may be any."""
        return None

    def _message_ended(self) -> None:
        """The last byte is in the sink."""
        raise NotImplementedError

    def _pump(self) -> Any:
        connection = self._connection
        return None if connection is None else connection.pump

    def _is_response(self) -> bool:
        return True

    def destroy(self, error: Any = None) -> Self:
        """Destroy the transport."""
        raise NotImplementedError


def as_bytes(chunk: Any, what: str) -> bytes:
    """A body piece as bytes: str is encoded as UTF-8, bytes-like is copied unless it is bytes (RES-40)."""
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise ArgumentTypeError(f'The "{what}" argument must be of type str or bytes-like. Received {type(chunk).__name__}')


def _check_name_type(name: object) -> None:
    if not isinstance(name, str):
        raise ArgumentTypeError(f'The "name" argument must be of type str. Received {type(name).__name__}')


def _sent(verb: str) -> StateError:
    return StateError(f"Cannot {verb} headers after they are sent to the client", code="ERR_HTTP_HEADERS_SENT")
