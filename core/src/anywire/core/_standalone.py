"""A ServerResponse without a server: made from something like a request, sent over anything with ``write()`` (RES-77).

It is how a handler is tried without a network, and how one is run behind a gateway that has a protocol of its own. What
is rendered waits until :meth:`ServerResponse.assign_socket` says where it goes. Nothing here ever waits or blocks.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ._errors import ArgumentTypeError, ConnectionLost, StateError
from ._framing import CHUNKED_OK

if TYPE_CHECKING:
    from ._response import ServerResponse

__all__ = ["Loose", "StandaloneRequest", "has_message", "loose_connection", "mark"]


class StandaloneRequest:
    """What a response asks of its request, taken from an object that is only like one.

    ``method``, ``http_version_major``, ``http_version_minor`` and ``headers`` are looked at; the defaults are those
    of ``GET`` in HTTP/1.1.
    """

    complete = True
    _listeners = None
    _end_seen = True

    def __init__(self, like: Any) -> None:
        major, minor = getattr(like, "http_version_major", 1), getattr(like, "http_version_minor", 1)
        self.persistent = major > 1 or (major == 1 and minor >= 1)
        takes_chunks = self.persistent or "chunked" in str((getattr(like, "headers", None) or {}).get("te", "")).lower()
        self._first = getattr(like, "method", "GET")
        self._minor = 1 if self.persistent else 0
        self._flags = CHUNKED_OK if takes_chunks else 0
        self._connection = Loose(self.persistent)

    def set_timeout(self, seconds: float) -> None:
        """There is no clock here."""

    def _closed(self) -> None:
        """Nobody listens."""


class _NoClock:
    """The server's ``date``: without a clock there is no ``Date`` line."""

    def line(self) -> bytes:
        return b""


class _NoOptions:
    unique_headers = None
    join_duplicate_headers = False


class _NoServer:
    date = _NoClock()
    keep_alive_hint = False
    options = _NoOptions()


class Loose:
    """What a response asks of its connection and of the connection's pump."""

    server = _NoServer()
    unanswered = True
    continue_pending = False
    error = None
    written = 0
    stuck = None
    # As a pump: it takes everything at once, so nobody ever waits for it.
    fairness = sys.maxsize
    blocked = False
    unsent = 0

    def __init__(self, persistent: bool) -> None:
        self._out: list[bytes] = []
        self._persistent = persistent
        self.socket: Any = None
        self.response: Any = None
        self.lost = False

    @property
    def pump(self) -> Loose:
        return self

    @property
    def closed(self) -> bool:
        """Nothing can be sent: destroyed, or not assigned yet."""
        return self.lost or self.socket is None

    def may_persist(self) -> bool:
        """Would another exchange be possible?"""
        return self._persistent

    def flush(self) -> None:
        """Write what is queued, if there is anything to write it to."""
        if self.socket is not None and self._out:
            data = b"".join(self._out)
            self._out.clear()
            self.socket.write(data)

    def user_socket(self) -> Any:
        """What was assigned."""
        return self.socket

    def response_ended(self, last: bool) -> None:
        """Whoever assigned the socket sees to what comes next."""

    def response_finished(self, response: Any) -> None:
        """There is nothing to close."""

    def hang_up(self) -> ConnectionLost:
        """It was destroyed."""
        return ConnectionLost("socket hang up")

    def destroy(self, error: BaseException | None = None) -> None:
        """Nothing more is written."""
        self.lost = True
        if hasattr(self.socket, "destroy"):
            self.socket.destroy(error)

    def watch(self) -> None:
        """Nobody can go away here."""

    def kick(self) -> None:
        """Nobody waits."""


def loose_connection(response: ServerResponse, socket: Any) -> Loose:
    """Join `response` to `socket`, which need only have ``write()``.

    Raises:
        ArgumentTypeError: it has not.
        StateError: ``ERR_INTERNAL_ASSERTION``: it has another response.
    """
    if not callable(getattr(socket, "write", None)):
        raise ArgumentTypeError(f'The "socket" argument must have write(). Received {type(socket).__name__}')
    if getattr(socket, "_http_message", None) not in (None, response):
        raise has_message()
    connection = response._connection
    if not isinstance(connection, Loose):
        connection = Loose(connection.may_persist())
    connection.socket = socket
    mark(socket, response)
    return connection


def has_message() -> StateError:
    """One response at a time."""
    return StateError("The socket has a message already", code="ERR_INTERNAL_ASSERTION")


def mark(socket: Any, response: ServerResponse | None) -> None:
    """Note whose `socket` is, if it can be noted there."""
    try:
        socket._http_message = response
    except AttributeError:
        pass
