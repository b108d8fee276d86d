"""ClientRequest with the methods that wait, and how it gets its connection."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..._errors import AnywireError
from ..._outgoing import NOWHERE
from ..._pump import FOREVER
from ..._timings import Opening
from .. import _client
from .._turn import Turn
from ._duplex import settle
from ._messages import IncomingMessage
from ._opening import reach, shake_hands
from ._runtime import Hold
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from ..._client_connection import ClientConnection

__all__ = ["ClientRequest"]


class ClientRequest(_client.ClientRequest):
    """A request in progress; see the base class for events and attributes.

    ``await request`` and ``async with request as response`` wait for the response.
    """

    __slots__ = ()

    async_events: ClassVar[frozenset[str]] = frozenset({"upgrade", "connect"})
    message_class = IncomingMessage
    socket_class = Socket

    # ---------------------------------------------------------------- sending

    async def write(self, chunk: Any) -> bool:
        """Send a piece of body; returns once the queue is below its high-water mark (RES-39).

        Returns:
            True to go on. False when the server has answered already, or closed after it did:
            what else is written is thrown away, and :meth:`response` has the answer (ASK-28).

        Raises:
            AnywireError: no connection, or it was lost without an answer.
            ArgumentTypeError, StateError: as ``write_nowait``.
        """
        if self._options.continue_timeout is not None:
            await self._hold_back()
        self._write_unchecked(chunk)
        return await self._pushed()

    async def end(self, data: Any = None, *, trailers: Any = None) -> Self:
        """End the request; returns once everything was handed to the socket (RES-52).

        Args:
            data: a last piece of body.
            trailers: fields for the trailer section; they cause chunked framing.

        Raises:
            AnywireError: no connection, or it was lost without an answer.
        """
        if self._options.continue_timeout is not None and data is not None:
            await self._hold_back()
        self._end_unchecked(data, trailers)
        await self._pushed()
        return self

    async def flush_headers(self) -> None:
        """Send the head now (RES-58)."""
        self.flush_headers_nowait()
        await self._pushed()

    async def _hold_back(self) -> None:
        """Wait before the body is sent, if that was asked for, and only once (ASK-33)."""
        for due in self._held_back():
            if due is None:
                await self._acquire()
            else:
                await self._park(due)

    async def _pushed(self) -> bool:
        """Wait until the transport took most of what we wrote, with an ear for the answer."""
        waited = False
        while not self._over and self._sink is not NOWHERE:
            connection = self._connection
            if connection is None:  # not yet, or again: a replay
                await self._acquire()
                continue
            pump: Any = connection.pump
            if pump.blocked:
                left = pump.unsent
                due = self._write_due()
                await self._park(due)
                if pump.blocked:  # the limit is for a peer that takes nothing at all
                    self._check_moved("write", due, pump.unsent < left)
            elif waited or self._unchecked < pump.fairness:
                return True
            else:
                await self._park(0.0)
                self._check_moved("write", self._deadline or FOREVER, True)
            self._unchecked = 0
            waited = True
            if (connection.bytes_received or connection.lost) and self._advance() is not None:
                return not self._gone() and connection.keep_alive and not connection.lost
        return not self._gone() and self._sink is not NOWHERE

    # ---------------------------------------------------------------- the answer

    async def response(self) -> IncomingMessage:
        """Wait for the response (CLI-32). A request of which nothing was written yet is ended first.

        Returns:
            The response; also the one that switches protocols, if a listener took it.

        Raises:
            ConnectionLost: the server closed without answering (CLI-54, CLI-55).
            ParseError: what it sent is not a response (CLI-58).
            TimedOut: ``deadline``, ``timeout`` or a limit of a phase ran out.
            StateError: ``ERR_HTTP_UNHANDLED_UPGRADE``: the protocol was switched and nobody listens.
        """
        if self._head or not self.writable_ended:
            self._ask()
        due: float | None = None
        while (message := self._advance() or self.res) is None:
            if self._connection is None and not self._took():
                await self._acquire()
                continue  # what is new may have said something
            due = self._head_due(due)
            try:
                await self._connection.pump.wait(due)  # type: ignore[union-attr]
            except BaseException as problem:
                self._interrupted(problem)
                raise
        if due is None and not message._connection.pump.fairness:  # type: ignore[attr-defined]
            await message._breathe()  # type: ignore[attr-defined]
        if self._switched is not None and not self._claimed:
            listeners, args = self._hand_over()
            try:
                for listener in listeners:
                    await settle(listener(*args))
            except BaseException:
                args[1].destroy()  # nobody has it (SEC-40)
                raise
            finally:
                self.emit("close")
        return message  # type: ignore[return-value]  # it was made by our message_class

    async def upgraded(self) -> tuple[IncomingMessage, Socket, bytes]:
        """Wait for the answer to an upgrade or CONNECT.

        Returns:
            ``(message, socket, head)`` as the ``upgrade`` and ``connect`` events have them:
            `socket` is a raw stream, `head` the bytes that followed the answer's head.

        Raises:
            StateError: ``ERR_HTTP_NOT_UPGRADED``: the server answered normally; see ``res``.
            AnywireError: as :meth:`response`.
        """
        self._claimed = True
        return self._upgraded(await self.response())

    def __await__(self) -> Generator[Any, Any, IncomingMessage]:
        return self.response().__await__()

    __aenter__ = response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing behind: a short rest of the response is read so that its connection can be used again."""
        if self._over or self._error is not None:
            return
        if self._is_short(kind):
            await self._discard(self.res)
        if not self._over:
            self.destroy()

    async def _discard(self, message: Any) -> None:
        due = self._now() + 1.0
        with suppress(AnywireError):
            while self._now() < due:
                piece = message.read_nowait()
                if piece is None:
                    await self._park(due)
                elif not piece:
                    return

    # ---------------------------------------------------------------- waiting

    async def _park(self, due: float) -> None:
        """Wait for anything to happen, until `due` at most."""
        try:
            await self._connection.pump.wait(due)  # type: ignore[union-attr]
        except BaseException as problem:
            self._interrupted(problem)
            raise

    async def _acquire(self) -> None:
        """Get a connection within the limits of queue and connect; on return it is attached and fed."""
        try:
            while not self._took():
                if self._in_queue:
                    await self._queue()
                    continue
                connection = await self._open()
                if connection is not None and self._opened(connection):
                    self._begin(connection)
                    break
        except BaseException as problem:
            self._interrupted(problem)
            raise

    async def _queue(self) -> None:
        due = self._due(self._options.queue_timeout)
        waiter = self._runtime.waiter()
        with self._woken_by(Turn(waiter)) as turn:
            while not turn.came and self._now() < due:
                await waiter.wait(self._look(due))
        self._check_queue(due)

    async def _open(self) -> ClientConnection | None:
        """Resolve, connect, TLS. The new connection belongs to nobody yet; on any error nothing is left of it.

        None: it took too long, and who listens for ``timeout`` wants it to go on (CLI-88).
        """
        connection = self._new_connection()
        opening = self._opening = Opening(self._now)
        with self._woken_by(Hold()) as hold:
            for step in reach, shake_hands:
                seconds = self._opening_due(connection, opening) - self._now()
                if not await self._runtime.within(seconds, step(self, connection, opening), hold):
                    self._cut_short()
                    return None
                if connection.secure is None:
                    break
        self._connected(connection, opening)
        return connection
