"""IncomingMessage and ServerResponse with the methods that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ... import _incoming, _response
from ..._checks import check_count
from ..._pump import FOREVER
from ..._serializer import NO_BODY
from .._messages import Watched, at_hand, collect, join, piping

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["IncomingMessage", "ServerResponse"]


class IncomingMessage(Watched, _incoming.IncomingMessage):
    """A received request or response; its body is read with ``async for``, :meth:`read` or :meth:`resume`."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._connection.pump.fairness and at_hand(self):
            await self._breathe()
        while True:
            piece = self.read_nowait()
            if piece:
                return piece
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
        if not self._connection.pump.fairness and (not n or at_hand(self)):
            await self._breathe()
        if not n:
            return b""
        if n > 0:
            while (piece := self.read_nowait(n)) is None:
                await self._park()
            return piece
        pieces: list[Any] = []
        while not collect(self, pieces):
            await self._park()
        return join(pieces)

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
        with piping(self, destination):
            async for piece in self:
                await destination.write(piece)
            await destination.end()
        return destination

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.req is not None:
            await self.req.__aexit__(kind, error, traceback)

    async def _breathe(self) -> None:
        """A checkpoint, before anything is taken: so nothing is lost if it is cancelled."""
        try:
            await self._connection.pump.wait(-1.0)
        except BaseException as problem:
            if self.req is not None:
                self.req._interrupted(problem)
            raise

    async def _park(self) -> None:
        """Wait for input, within the limits of the exchange."""
        connection: Any = self._connection
        req = self.req
        if req is None:
            await connection.pump.wait(FOREVER)
            return
        due = req._due(req._options.idle_timeout)
        had = connection._parser.buffered
        await req._park(due)
        if not connection.eof:
            req._check_moved("body", due, connection._parser.buffered != had)


class ServerResponse(Watched, _response.ServerResponse):
    """The response to one request."""

    __slots__ = ()

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
