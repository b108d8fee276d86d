"""IncomingMessage: a head that was received, and the body behind it.

The message *is* the event: the connection builds it straight from the parser's
tuple and hands it out, so one object per request is all there is. Whatever most
exchanges never ask for (header mapping, trailers, decoders, listeners) is made on
first use and hides behind a None slot.

The body is pulled. :meth:`IncomingMessage.read_nowait` asks the connection for
the next piece, the connection asks the parser, and nothing is parsed ahead of a
reader. The facades add the methods that wait.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final

from ._chars import safe_target
from ._checks import check_error, check_timeout, wrong_type
from ._emitter import Emitter
from ._errors import AnywireError, ArgumentValueError
from ._fields import distinct_fields, join_fields, parse_fields

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from ._connection import Connection
    from ._emitter import Listener
    from ._timings import Timings

__all__ = ["IncomingMessage", "UPGRADED"]

UPGRADED: Final = 1 << 16
"""Flag bit: handed out by ``upgrade`` or ``connect`` (MSG-11)."""
IS_RESPONSE: Final = 1 << 17
"""Flag bit: we are the client and this is an answer."""

_NOT_MADE: Final[dict[str, str | list[str]]] = {}


class _Rare:
    """State that most messages never need."""

    __slots__ = ("decoder", "pushed_back", "raw_trailers", "rest", "trailers")

    def __init__(self) -> None:
        self.decoder: codecs.IncrementalDecoder | None = None
        self.pushed_back: bytes = b""  # read ahead by the connection
        self.rest: Any = b""  # of a piece that was longer than its reader wanted; str after set_encoding
        self.raw_trailers: list[str] = []
        self.trailers: dict[str, str | list[str]] | None = None


class IncomingMessage(Emitter):
    """A received request (on a server) or response (on a client): MSG-1 to MSG-48.

    Events: ``data(chunk)``, ``end()``, ``aborted()``, ``error(error)`` behind it, ``close()``, and on servers
    ``timeout(socket)``.

    Attributes:
        complete: the whole message was received and parsed (MSG-8).
        aborted: the connection ended before the exchange did (MSG-9, MSG-40).
        req: on a client the request this answers, else None (MSG-12).
    """

    __slots__ = (
        "__weakref__",
        "_close_seen",
        "_connection",
        "_end_seen",
        "_error",
        "_fields",
        "_first",
        "_flags",
        "_headers",
        "_length",
        "_minor",
        "_paused",
        "_rare",
        "_raw",
        "_second",
        "aborted",
        "complete",
        "req",
    )

    # Node's `readable`-side high-water mark (MSG-13).
    readable_high_water_mark = 16384

    def __init__(
        self, connection: Connection, first: Any, second: str, minor: int, fields: bytes, length: int, flags: int
    ) -> None:
        self._listeners = None
        self._connection = connection
        self._first = first
        self._second = second
        self._minor = minor
        self._fields = fields
        self._length = length
        self._flags = flags
        self._raw: list[str] | None = None
        self._headers = _NOT_MADE
        self._rare: _Rare | None = None
        self._error: Exception | None = None
        self._end_seen = False
        self._paused = False
        self._close_seen = False
        self.complete = length == 0
        self.aborted = False
        self.req: Any = None

    def __repr__(self) -> str:
        what = f"{self.status_code} {self.status_message}"
        if not self._flags & IS_RESPONSE:
            what = f"{self.method} {safe_target(self.url)}"
        state = "aborted" if self.aborted else "complete" if self.complete else "receiving"
        return f"<{type(self).__name__} {what!r} {state}>"

    # ---------------------------------------------------------------- the start line

    @property
    def method(self) -> str | None:
        """Request method; None on a client (MSG-2)."""
        return None if self._flags & IS_RESPONSE else self._first

    @property
    def url(self) -> str:
        """Request target exactly as received; ``""`` on a client (MSG-2, MSG-4)."""
        return "" if self._flags & IS_RESPONSE else self._second

    @property
    def status_code(self) -> int | None:
        """Status code; None on a server (MSG-3)."""
        return self._first if self._flags & IS_RESPONSE else None

    @property
    def status_message(self) -> str | None:
        """Reason phrase, ``""`` if the peer sent none; None on a server (MSG-3)."""
        return self._second if self._flags & IS_RESPONSE else None

    @property
    def timings(self) -> Timings | None:
        """Seconds in each phase of the exchange so far (ASK-49); None on a server."""
        return None if self.req is None else self.req.timings

    @property
    def http_version(self) -> str:
        """``"1.1"`` or ``"1.0"`` (MSG-1)."""
        return f"1.{self._minor}"

    @property
    def http_version_major(self) -> int:
        """Always 1: other major versions are refused by the parser."""
        return 1

    @property
    def http_version_minor(self) -> int:
        """The digit behind the dot."""
        return self._minor

    @property
    def upgrade(self) -> bool:
        """True inside ``upgrade`` and ``connect`` events (MSG-11)."""
        return bool(self._flags & UPGRADED)

    # ---------------------------------------------------------------- fields

    @property
    def raw_headers(self) -> list[str]:
        """Flat ``[name, value, name, value, …]`` as received, case and duplicates kept (MSG-6)."""
        raw = self._raw
        if raw is None:
            raw = self._raw = parse_fields(self._fields)
        return raw

    @property
    def headers(self) -> dict[str, str | list[str]]:
        """Lower-case name → value, joined by Node's rules (MSG-5, MSG-15 to MSG-21).

        ``set-cookie`` is a list, everything else a str. Of ``authorization``, ``content-type`` and others that should
        be there once the first value counts (MSG-15): where a second one matters, see :attr:`headers_distinct`.
        Made on first use; it is yours to change. If the request target names an authority, that is ``host``, whatever
        the field of that name says (RFC 9112 section 3.2.2).
        """
        headers = self._headers
        if headers is _NOT_MADE:
            joins = self._connection.joins_duplicates if self.req is None else self.req._options.join_duplicate_headers
            headers = self._headers = join_fields(self.raw_headers, join_duplicates=joins)
            if (authority := self._authority()) is not None:
                headers["host"] = authority
        return headers

    def _authority(self) -> str | None:
        """That of an absolute-form target."""
        if self._flags & IS_RESPONSE or self._second[0] in "/*" or self._first == "CONNECT":
            return None
        return self._second.partition("//")[2].partition("/")[0].partition("?")[0]

    @property
    def headers_distinct(self) -> dict[str, list[str]]:
        """Lower-case name → every value received under it (MSG-L1); ``host`` as in :attr:`headers`."""
        distinct = distinct_fields(self.raw_headers)
        if (authority := self._authority()) is not None:
            distinct["host"] = [authority]
        return distinct

    @property
    def trailers(self) -> dict[str, str | list[str]]:
        """The trailer section, joined like :attr:`headers`; ``{}`` until the message is complete (MSG-7)."""
        rare = self._rare
        if rare is None or not rare.raw_trailers:
            return {}
        if rare.trailers is None:
            rare.trailers = join_fields(rare.raw_trailers)
        return rare.trailers

    @property
    def raw_trailers(self) -> list[str]:
        """The trailer section as received, flat; ``[]`` until the message is complete (MSG-7)."""
        return [] if self._rare is None else self._rare.raw_trailers

    @property
    def trailers_distinct(self) -> dict[str, list[str]]:
        """Like :attr:`headers_distinct`, of the trailer section (MSG-L1)."""
        return distinct_fields(self.raw_trailers)

    def _set_trailers(self, section: bytes) -> None:
        self._make_rare().raw_trailers = parse_fields(section)

    def _make_rare(self) -> _Rare:
        rare = self._rare
        if rare is None:
            rare = self._rare = _Rare()
        return rare

    # ---------------------------------------------------------------- body

    def set_encoding(self, encoding: str) -> Self:
        """Deliver the body as str from here on, multi-byte sequences kept whole (MSG-25).

        Args:
            encoding: a Python codec name; malformed input becomes U+FFFD, as in Node.

        Raises:
            ArgumentTypeError: `encoding` is not a str.
            ArgumentValueError: ``ERR_UNKNOWN_ENCODING``.
        """
        if not isinstance(encoding, str):
            raise wrong_type("encoding", "str", encoding, "argument")
        try:
            decoder = codecs.getincrementaldecoder(encoding)("replace")
        except LookupError:
            raise ArgumentValueError(f"Unknown encoding: {encoding!r}", code="ERR_UNKNOWN_ENCODING") from None
        self._make_rare().decoder = decoder
        return self

    def read_nowait(self, n: int = -1) -> bytes | None:
        """The next piece of body without waiting (MSG-23, MSG-24).

        Args:
            n: at most so many bytes (characters after :meth:`set_encoding`), if positive.

        Returns:
            1. a non-empty ``bytes`` (``str`` after :meth:`set_encoding`);
            2. ``b""`` when the message is over;
            3. None when more input is needed.

        Raises:
            TruncatedError: the connection ended inside the message.
            ParseError: the body is malformed.
        """
        rare = self._rare
        if rare is not None and (rare.rest or rare.pushed_back):
            if rare.rest:
                piece, rare.rest = rare.rest, b""
                return self._hand_out(piece, n)
            piece, rare.pushed_back = rare.pushed_back, b""
            return self._deliver(piece, rare, n)
        if self._end_seen:
            return b""
        if not self.complete:
            if self._error is not None and self._connection.message is not self:
                raise self._error
            try:
                data = self._connection.read_body()
            except AnywireError as error:
                self._error = error
                raise
            if data:
                if self._listeners is None and rare is None and n <= 0:
                    return data
                return self._deliver(data, self._rare, n)
            if data is None:
                return None
        elif self._error is not None and self.req is not None:
            raise self._error
        return self._ended()

    def _deliver(self, data: bytes, rare: _Rare | None, n: int) -> bytes | None:
        piece: Any = data
        if rare is not None and rare.decoder is not None:
            piece = rare.decoder.decode(data)
            while not piece:  # half a character: nothing to show yet
                more = self._more()
                if not more:
                    return more if more is None else self._ended()
                piece = rare.decoder.decode(more)
        return self._hand_out(piece, n)

    def _hand_out(self, piece: bytes, n: int) -> bytes:
        if 0 < n < len(piece):
            self._make_rare().rest = piece[n:]
            piece = piece[:n]
        if self._listeners is not None:
            self._tell("data", piece)
        return piece

    def _tell(self, event: str, *args: Any) -> None:
        try:
            self.emit(event, *args)
        except BaseException as problem:
            if self.req is not None:  # of a request the handler tells it
                self.req._raised(problem)
            raise

    def _more(self) -> bytes | None:
        if self.complete:
            return b""
        try:
            return self._connection.read_body()
        except AnywireError as error:
            self._error = error
            raise

    def _ended(self) -> bytes:
        """Everything was consumed: ``end``, once. Returns what a reader gets."""
        rare = self._rare
        if rare is not None and rare.decoder is not None:
            rest: Any = rare.decoder.decode(b"", True)
            rare.decoder = None
            if rest:
                return self._hand_out(rest, -1)
        if not self._end_seen:
            self._end_seen = True
            if self._listeners is not None:
                self._tell("end")
            self._connection.message_consumed(self)
        return b""

    @property
    def readable_length(self) -> int:
        """Bytes received and not read yet, those of messages behind this one included (MSG-27)."""
        waiting = self._connection._parser.buffered if self._connection.message is self else 0
        rare = self._rare
        return waiting if rare is None else waiting + len(rare.pushed_back) + len(rare.rest)

    def pause(self) -> Self:
        """End a ``resume()`` that is under way after the piece it delivers; reading otherwise pauses by itself."""
        self._paused = True
        return self

    def is_paused(self) -> bool:
        """:meth:`pause` was called, and no ``resume()`` since."""
        return self._paused

    def _piped(self, destination: Any, event: str) -> None:
        """Tell a destination that has listeners: ``pipe`` and ``unpipe`` (RES-86)."""
        if isinstance(destination, Emitter):
            destination.emit(event, self)

    # ---------------------------------------------------------------- the rest

    @property
    def socket(self) -> Any:
        """The transport this message came over (MSG-10)."""
        return self._connection.user_socket()

    @property
    def destroyed(self) -> bool:
        """:meth:`destroy` was called or the transport is gone (MSG-L2)."""
        return self._connection.lost

    def destroy(self, error: AnywireError | None = None) -> Self:
        """Destroy the transport (MSG-32 to MSG-35). With `error`, the exchange fails with it."""
        check_error(error)
        if self._connection.message is self:
            self._connection.destroy(error)
        return self

    def set_timeout(self, seconds: float, callback: Callable[..., object] | None = None) -> Self:
        """Idle timeout of the connection in seconds, 0 for none (MSG-36)."""
        seconds = check_timeout(seconds, "seconds")
        if self._connection.message is self:  # else the connection is somebody else's already (CLI-96)
            self._connection.set_idle_timeout(seconds)
        if callback is not None:
            self.on("timeout", callback)
        return self

    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        if self.req is not None:
            self.req._remember_context()
        super()._add_listener(event, listener, once=once, prepend=prepend)

    def _abort(self, error: Exception) -> None:
        """The exchange died: ``aborted``, once."""
        if self.aborted:
            return
        self.aborted = True
        if self._error is None:
            self._error = error
        if self._listeners is not None:
            self.emit("aborted")

    def _closed(self) -> None:
        """Nothing more will come of this message: ``close``, once; in front of it why, if it was cut (MSG-L3)."""
        if not self._close_seen:
            self._close_seen = True
            if self._listeners is not None:
                if self.aborted and self.listener_count("error"):
                    self.emit("error", self._why())
                self.emit("close")

    def _why(self) -> Exception | None:
        """What a reader gets who wants more than there is."""
        return self._connection._why() if self._connection.message is self else self._error
