"""ClientRequest with the methods that block, and how it gets its connection."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from ..._errors import AnywireError
from ..._outgoing import NOWHERE
from ..._pump import FOREVER
from ..._timings import Opening
from .. import _client
from .._connect import Connecting, CutShort
from .._messages import FAIRNESS
from .._turn import Turn
from ._messages import IncomingMessage
from ._opening import reach, shake_hands
from ._socket import Socket

if TYPE_CHECKING:
    from types import TracebackType

    from ..._client_connection import ClientConnection

__all__ = ["ClientRequest"]


class ClientRequest(_client.ClientRequest):
    """A request in progress; see the base class for events and attributes.

    ``request.response()`` and ``with request as response`` wait for the response.
    """

    __slots__ = ()

    message_class = IncomingMessage
    socket_class = Socket

    # ---------------------------------------------------------------- sending

    def write(self, chunk: Any) -> bool:
        """Send a piece of body; returns once the queue is below its high-water mark (RES-39).

        Returns:
            True to go on. False when the server has answered already, or closed after it did:
            what else is written is thrown away, and :meth:`response` has the answer (ASK-28).

        Raises:
            AnywireError: no connection, or it was lost without an answer.
            ArgumentTypeError, StateError: as ``write_nowait``.
        """
        if self._options.continue_timeout is not None:
            self._hold_back()
        self._write_unchecked(chunk)
        return self._pushed()

    def end(self, data: Any = None, *, trailers: Any = None) -> Self:
        """End the request; returns once everything was handed to the socket (RES-52).

        Args:
            data: a last piece of body.
            trailers: fields for the trailer section; they cause chunked framing.

        Raises:
            AnywireError: no connection, or it was lost without an answer.
        """
        if self._options.continue_timeout is not None and data is not None:
            self._hold_back()
        self._end_unchecked(data, trailers)
        self._pushed()
        return self

    def flush_headers(self) -> None:
        """Send the head now (RES-58)."""
        self.flush_headers_nowait()
        self._pushed()

    def _hold_back(self) -> None:
        """Wait before the body is sent, if that was asked for, and only once (ASK-33)."""
        for due in self._held_back():
            if due is None:
                self._acquire()
            else:
                self._park(due)

    def _pushed(self) -> bool:
        """Wait until the transport took most of what we wrote, with an ear for the answer."""
        while not self._over and self._sink is not NOWHERE:
            connection = self._connection
            if connection is None:  # not yet, or again: a replay
                self._acquire()
                continue
            pump: Any = connection.pump
            if pump.blocked:
                left = pump.unsent
                due = self._write_due()
                self._park(due)
                if pump.blocked:  # the limit is for a peer that takes nothing at all
                    self._check_moved("write", due, pump.unsent < left)
            elif self._unchecked < FAIRNESS:
                return True
            else:
                self._park(0.0)
                self._check_moved("write", self._deadline or FOREVER, True)
            self._unchecked = 0
            if (connection.bytes_received or connection.lost) and self._advance() is not None:
                return not self._gone() and connection.keep_alive and not connection.lost
        return not self._gone() and self._sink is not NOWHERE

    # ---------------------------------------------------------------- the answer

    def response(self) -> IncomingMessage:
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
                self._acquire()
                continue  # what is new may have said something
            due = self._head_due(due)
            try:
                self._connection.pump.wait(due)  # type: ignore[union-attr]
            except BaseException as problem:
                self._interrupted(problem)
                raise
        if self._switched is not None and not self._claimed:
            listeners, args = self._hand_over()
            try:
                for listener in listeners:
                    listener(*args)
            except BaseException:
                args[1].destroy()  # nobody has it (SEC-40)
                raise
            finally:
                self.emit("close")
        return message  # type: ignore[return-value]  # it was made by our message_class

    def upgraded(self) -> tuple[IncomingMessage, Socket, bytes]:
        """Wait for the answer to an upgrade or CONNECT.

        Returns:
            ``(message, socket, head)`` as the ``upgrade`` and ``connect`` events have them:
            `socket` is a raw stream, `head` the bytes that followed the answer's head.

        Raises:
            StateError: ``ERR_HTTP_NOT_UPGRADED``: the server answered normally; see ``res``.
            AnywireError: as :meth:`response`.
        """
        self._claimed = True
        return self._upgraded(self.response())

    __enter__ = response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing behind: a short rest of the response is read so that its connection can be used again."""
        if self._over or self._error is not None:
            return
        if self._is_short(kind):
            self._discard(self.res)
        if not self._over:
            self.destroy()

    def _discard(self, message: Any) -> None:
        due = self._now() + 1.0
        with suppress(AnywireError):
            while self._now() < due:
                piece = message.read_nowait()
                if piece is None:
                    self._park(due)
                elif not piece:
                    return

    # ---------------------------------------------------------------- waiting

    def _park(self, due: float) -> None:
        """Wait for anything to happen, until `due` at most."""
        try:
            self._connection.pump.wait(due)  # type: ignore[union-attr]
        except BaseException as problem:
            self._interrupted(problem)
            raise

    def _acquire(self) -> None:
        """Get a connection within the limits of queue and connect; on return it is attached and fed."""
        try:
            while not self._took():
                if self._in_queue:
                    self._queue()
                    continue
                connection = self._open()
                if connection is not None and self._opened(connection):
                    self._begin(connection)
                    break
        except BaseException as problem:
            self._interrupted(problem)
            raise

    def _queue(self) -> None:
        due = self._due(self._options.queue_timeout)
        waiter = self._runtime.waiter()
        with self._woken_by(Turn(waiter)) as turn:
            # Who granted or gave up before there was a waiter could wake nobody: look at the lease, too.
            while not turn.came and self._in_queue and self._error is None and self._now() < due:
                waiter.wait(self._look(due))
        self._check_queue(due)

    def _open(self) -> ClientConnection | None:
        """Resolve, connect, TLS. The new connection belongs to nobody yet; on any error nothing is left of it.

        None: it took too long, and who listens for ``timeout`` wants it to go on (CLI-88).
        """
        connection = self._new_connection()
        opening = self._opening = Opening(self._now)
        connecting = Connecting(self, self._opening_due(connection, opening), self._runtime.waiter())
        with self._woken_by(connecting):
            try:
                connecting.check()
                reach(self, connection, connecting, opening)
                if connection.secure is not None:
                    connecting.due = self._opening_due(connection, opening)
                    shake_hands(connection, connecting, opening)
            except CutShort:
                self._cut_short()
                return None
        self._connected(connection, opening)
        return connection
