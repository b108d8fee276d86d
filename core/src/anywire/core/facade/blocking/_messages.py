"""IncomingMessage and ServerResponse with the methods that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ... import _incoming, _response
from ..._checks import check_count, check_destination
from ..._errors import AnywireError, ArgumentTypeError, TruncatedError
from ..._pump import FOREVER
from ..._serializer import NO_BODY

if TYPE_CHECKING:
    from types import TracebackType

    from ..._emitter import Listener

__all__ = ["FAIRNESS", "IncomingMessage", "ServerResponse"]

FAIRNESS = 65536
"""Bytes one task may write before it lets others run, and looks whether the peer answered (ASK-28)."""

GONE = frozenset({"aborted", "close"})
"""Events that tell of a peer that went away: whoever listens wants to hear of it while nobody waits."""

DISCARD = 65536
"""Most bytes of an unread response that are read for the sake of its connection (ASK-7)."""


class IncomingMessage(_incoming.IncomingMessage):
    """A received request or response; its body is read with ``for``, :meth:`read` or :meth:`resume`."""

    __slots__ = ()

    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        super()._add_listener(event, listener, once=once, prepend=prepend)
        if event in GONE:
            self._connection.pump.watch()  # type: ignore[attr-defined]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        while True:
            piece = self.read_nowait()
            if piece:
                return piece  # type: ignore[no-any-return]
            if piece is not None:
                raise StopIteration
            self._park()

    def read(self, n: int = -1) -> bytes:
        """Read from the body.

        Args:
            n: at most so many bytes, whatever is there first; negative reads to the end.

        Returns:
            bytes (str after ``set_encoding``), empty at the end.

        Raises:
            TruncatedError: the message ended early; ``partial`` has what this call had read.
            ParseError: the body is malformed.
            ArgumentTypeError: `n` is not an int.
        """
        if type(n) is not int:
            n = check_count(n, "n")
        if n == 0:
            return b""
        if n > 0:
            while (piece := self.read_nowait()) is None:
                self._park()
            if len(piece) > n:
                self.push_back(piece[n:])
                piece = piece[:n]
            return piece  # type: ignore[no-any-return]
        pieces: list[bytes] = []
        try:
            for piece in self:
                pieces.append(piece)
        except AnywireError as error:
            if pieces and isinstance(error, TruncatedError):
                error.partial = join(pieces)
            raise
        return join(pieces)  # type: ignore[no-any-return]

    def resume(self) -> None:
        """Read to the end, or until :meth:`pause`; ``data`` and ``end`` listeners get it (MSG-23)."""
        self._paused = False
        for _ in self:
            if self._paused:
                return

    def pipe(self, destination: Any) -> Any:
        """Write the whole body to `destination` (anything with ``write()`` and ``end()``); returns it.

        If this message is cut short the destination is destroyed, if it can be, and not ended (MSG-42 is a hazard).

        Raises:
            ArgumentTypeError: `destination` has no ``write()`` or no ``end()``.
        """
        check_destination(destination)
        self._piped(destination, "pipe")
        try:
            for piece in self:
                destination.write(piece)
        except BaseException:
            if hasattr(destination, "destroy"):
                destination.destroy()
            raise
        else:
            destination.end()
        finally:
            self._piped(destination, "unpipe")
        return destination

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.req is not None:
            self.req.__exit__(kind, error, traceback)

    def _park(self) -> None:
        """Wait for input, within the limits of the exchange."""
        req = self.req
        pump: Any = self._connection.pump
        if req is None:
            pump.wait(FOREVER)
            return
        parser = self._connection._parser
        limit = req._options.idle_timeout
        due = req._due(limit)
        had = parser.buffered
        try:
            pump.wait(due)
        except BaseException as problem:
            req._interrupted(problem)
            raise
        if due == FOREVER or (now := req._now()) < due or self._connection.eof:
            return
        # Input restarts the idle limit, and never the deadline.
        if parser.buffered == had or (req._deadline is not None and now >= req._deadline):
            raise req._expired("body", limit)


class ServerResponse(_response.ServerResponse):
    """The response to one request."""

    __slots__ = ()

    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        super()._add_listener(event, listener, once=once, prepend=prepend)
        if event in GONE:
            self._connection.pump.watch()

    def write(self, chunk: Any) -> bool:
        """Send a piece of body; returns once the queue is below its high-water mark (RES-39).

        Raises:
            ConnectionLost: the client is gone (ASK-26); nothing more can be sent.
            ArgumentTypeError, StateError: as ``write_nowait``.
        """
        below = self.write_nowait(chunk)
        connection = self._connection
        if below:
            connection.written += len(chunk)
            if connection.written < FAIRNESS or self._framing == NO_BODY:
                return True
            connection.written = 0
            connection.pump.wait(0.0)
        self._drain()
        return True

    def _drain(self) -> None:
        connection = self._connection
        pump = connection.pump
        while pump.blocked and not connection.lost:
            pump.wait(FOREVER)
        if connection.lost and not self._writable_finished:
            raise connection.error or connection.hang_up()

    def end(self, data: Any = None, *, trailers: Any = None) -> Self:
        """End the response; returns once everything was handed to the socket (RES-52).

        Does not raise if the client is gone: there is nothing left to do about it.

        Args:
            data: a last piece of body.
            trailers: fields for the trailer section; they cause chunked framing.
        """
        self.end_nowait(data, trailers=trailers)
        connection = self._connection
        pump = connection.pump
        while pump.blocked and not connection.lost:
            pump.wait(FOREVER)
        return self

    def flush_headers(self) -> None:
        """Send the head now (RES-58)."""
        self.flush_headers_nowait()
        self._drain()

    def write_continue(self) -> None:
        """Send ``100 Continue`` (RES-68)."""
        self.write_continue_nowait()
        self._drain()

    def write_processing(self) -> None:
        """Send ``102 Processing`` (RES-69)."""
        self.write_processing_nowait()
        self._drain()

    def write_information(self, status_code: int, headers: Any = ()) -> None:
        """Send an interim response, such as 103 with ``Link`` fields (RES-L4)."""
        self.write_information_nowait(status_code, headers)
        self._drain()

    def write_early_hints(self, headers: Any) -> None:
        """Send ``103 Early Hints`` (RES-L4)."""
        self.write_information(103, headers)


def join(pieces: list[Any]) -> Any:
    """Pieces of one body as one; bytes unless ``set_encoding`` made them str."""
    if not pieces:
        return b""
    if isinstance(pieces[0], str):
        return "".join(pieces)
    if isinstance(pieces[0], bytes):
        return b"".join(pieces)
    raise ArgumentTypeError(f"not a piece of body: {pieces[0]!r}")
