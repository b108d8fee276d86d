"""IncomingMessage and ServerResponse with the methods that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ... import _incoming, _response
from ..._checks import check_count
from ..._pump import FOREVER
from ..._serializer import NO_BODY
from .._messages import FAIRNESS, Watched, collect, join, piping

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["IncomingMessage", "ServerResponse"]


class IncomingMessage(Watched, _incoming.IncomingMessage):
    """A received request or response; its body is read with ``for``, :meth:`read` or :meth:`resume`."""

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        while True:
            piece = self.read_nowait()
            if piece:
                return piece
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
        if not n:
            return b""
        if n > 0:
            while (piece := self.read_nowait(n)) is None:
                self._park()
            return piece
        pieces: list[Any] = []
        while not collect(self, pieces):
            self._park()
        return join(pieces)

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
        with piping(self, destination):
            for piece in self:
                destination.write(piece)
            destination.end()
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
        connection: Any = self._connection
        req = self.req
        if req is None:
            connection.pump.wait(FOREVER)
            return
        due = req._due(req._options.idle_timeout)
        had = connection._parser.buffered
        req._park(due)
        if not connection.eof:
            req._check_moved("body", due, connection._parser.buffered != had)


class ServerResponse(Watched, _response.ServerResponse):
    """The response to one request."""

    __slots__ = ()

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
