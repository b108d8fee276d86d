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
"""A pump's ``fairness`` where not every call is a checkpoint."""

GONE = frozenset({"aborted", "close"})
"""Events that tell of a peer that went away: whoever listens wants to hear of it while nobody waits."""

DISCARD = 65536
"""Most bytes of an unread response that are read for the sake of its connection (ASK-7)."""


class IncomingMessage(_incoming.IncomingMessage):
    """A received request or response; its body is read with ``async for``, :meth:`read` or :meth:`resume`."""

    __slots__ = ()

    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        super()._add_listener(event, listener, once=once, prepend=prepend)
        if event in GONE:
            self._connection.pump.watch()  # type: ignore[attr-defined]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._connection.pump.fairness and self._at_hand():  # type: ignore[attr-defined]
            await self._breathe()
        while True:
            piece = self.read_nowait()
            if piece:
                return piece  # type: ignore[no-any-return]
            if piece is not None:
                raise StopAsyncIteration
            await self._park()

    async def read(self, n: int = -1) -> bytes:
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
        if n >= 0 and not self._connection.pump.fairness and (not n or self._at_hand()):  # type: ignore[attr-defined]
            await self._breathe()
        if n == 0:
            return b""
        if n > 0:
            while (piece := self.read_nowait()) is None:
                await self._park()
            if len(piece) > n:
                self.push_back(piece[n:])
                piece = piece[:n]
            return piece  # type: ignore[no-any-return]
        pieces: list[bytes] = []
        try:
            async for piece in self:
                pieces.append(piece)
        except AnywireError as error:
            if pieces and isinstance(error, TruncatedError):
                error.partial = join(pieces)
            raise
        return join(pieces)  # type: ignore[no-any-return]

    async def resume(self) -> None:
        """Read to the end, or until :meth:`pause`; ``data`` and ``end`` listeners get it (MSG-23)."""
        self._paused = False
        async for _ in self:
            if self._paused:
                return

    async def pipe(self, destination: Any) -> Any:
        """Write the whole body to `destination` (anything with ``await write()`` and ``await end()``); returns it.

        If this message is cut short the destination is destroyed, if it can be, and not ended (MSG-42 is a hazard).

        Raises:
            ArgumentTypeError: `destination` has no ``write()`` or no ``end()``.
        """
        check_destination(destination)
        self._piped(destination, "pipe")
        try:
            async for piece in self:
                await destination.write(piece)
        except BaseException:
            if hasattr(destination, "destroy"):
                destination.destroy()
            raise
        else:
            await destination.end()
        finally:
            self._piped(destination, "unpipe")
        return destination

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.req is not None:
            await self.req.__aexit__(kind, error, traceback)

    def _at_hand(self) -> bool:
        """Reading will not have to wait."""
        connection = self._connection
        return self.complete or connection._parser.buffered > 0 or connection.lost

    async def _breathe(self) -> None:
        """A checkpoint, before anything is taken: so nothing is lost if it is cancelled."""
        try:
            await self._connection.pump.wait(-1.0)  # type: ignore[attr-defined]
        except BaseException as problem:
            if self.req is not None:
                self.req._interrupted(problem)
            raise

    async def _park(self) -> None:
        """Wait for input, within the limits of the exchange."""
        req = self.req
        pump: Any = self._connection.pump
        if req is None:
            await pump.wait(FOREVER)
            return
        parser = self._connection._parser
        limit = req._options.idle_timeout
        due = req._due(limit)
        had = parser.buffered
        try:
            await pump.wait(due)
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

    async def write(self, chunk: Any) -> bool:
        """Send a piece of body; returns once the queue is below its high-water mark (RES-39).

        Raises:
            ConnectionLost: the client is gone (ASK-26); nothing more can be sent.
            ArgumentTypeError, StateError: as ``write_nowait``.
        """
        below = self.write_nowait(chunk)
        connection = self._connection
        if below and (fairness := connection.pump.fairness):
            connection.written += len(chunk)
            if connection.written < fairness or self._framing == NO_BODY:
                return True
            connection.written = 0
            await connection.pump.wait(0.0)
        await self._drain()
        return True

    async def _drain(self) -> None:
        connection = self._connection
        pump = connection.pump
        if not pump.fairness:
            await pump.wait(-1.0)
        while pump.blocked and not connection.lost:
            await pump.wait(FOREVER)
        if connection.lost and not self._writable_finished:
            raise connection.error or connection.hang_up()

    async def end(self, data: Any = None, *, trailers: Any = None) -> Self:
        """End the response; returns once everything was handed to the socket (RES-52).

        Does not raise if the client is gone: there is nothing left to do about it.

        Args:
            data: a last piece of body.
            trailers: fields for the trailer section; they cause chunked framing.
        """
        self.end_nowait(data, trailers=trailers)
        connection = self._connection
        pump = connection.pump
        if not pump.fairness:
            await pump.wait(-1.0)
        while pump.blocked and not connection.lost:
            await pump.wait(FOREVER)
        return self

    async def flush_headers(self) -> None:
        """Send the head now (RES-58)."""
        self.flush_headers_nowait()
        await self._drain()

    async def write_continue(self) -> None:
        """Send ``100 Continue`` (RES-68)."""
        self.write_continue_nowait()
        await self._drain()

    async def write_processing(self) -> None:
        """Send ``102 Processing`` (RES-69)."""
        self.write_processing_nowait()
        await self._drain()

    async def write_information(self, status_code: int, headers: Any = ()) -> None:
        """Send an interim response, such as 103 with ``Link`` fields (RES-L4)."""
        self.write_information_nowait(status_code, headers)
        await self._drain()

    async def write_early_hints(self, headers: Any) -> None:
        """Send ``103 Early Hints`` (RES-L4)."""
        await self.write_information(103, headers)


def join(pieces: list[Any]) -> Any:
    """Pieces of one body as one; bytes unless ``set_encoding`` made them str."""
    if not pieces:
        return b""
    if isinstance(pieces[0], str):
        return "".join(pieces)
    if isinstance(pieces[0], bytes):
        return b"".join(pieces)
    raise ArgumentTypeError(f"not a piece of body: {pieces[0]!r}")
