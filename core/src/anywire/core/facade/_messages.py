"""IncomingMessage and ServerResponse: what both facades have of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from .._checks import check_destination
from .._emitter import Emitter
from .._errors import ArgumentTypeError, TruncatedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._emitter import Listener

__all__ = ["FAIRNESS", "Watched", "at_hand", "collect", "join", "piping"]

FAIRNESS: Final = 65536
"""Bytes one task or thread may write before it lets others run, and looks whether the peer answered (ASK-28)."""

GONE: Final = frozenset({"aborted", "close"})
"""Events that tell of a peer that went away: whoever listens wants to hear of it while nobody waits."""


class Watched(Emitter):
    """A message of which somebody may want to hear that it is over."""

    __slots__ = ()

    _connection: Any

    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        super()._add_listener(event, listener, once=once, prepend=prepend)
        if event in GONE:
            self._connection.pump.watch()


def join(pieces: list[Any]) -> bytes:
    """Pieces of one body as one; bytes unless ``set_encoding`` made them str."""
    if not pieces:
        return b""
    if isinstance(pieces[0], str):
        return "".join(pieces)  # type: ignore[return-value]  # set_encoding() is not in the types
    if isinstance(pieces[0], bytes):
        return b"".join(pieces)
    raise ArgumentTypeError(f"not a piece of body: {pieces[0]!r}")


def collect(message: Any, pieces: list[Any]) -> bool:
    """Put what is there of the body of `message` behind its other `pieces`. True: that was the end of it.

    Raises:
        TruncatedError: it was cut short; the error has what was read (MSG-38).
    """
    try:
        while piece := message.read_nowait():
            pieces.append(piece)
    except TruncatedError as error:
        if pieces:
            error.partial = join(pieces)
        raise
    return piece is not None


def at_hand(message: Any) -> bool:
    """Reading will not have to wait."""
    connection = message._connection
    return bool(message.complete or connection._parser.buffered > 0 or connection.lost)


@contextmanager
def piping(message: Any, destination: Any) -> Iterator[None]:
    """A body is being written to `destination`: ``pipe`` and ``unpipe``; cut short it is destroyed (RES-86, MSG-42)."""
    check_destination(destination)
    message._piped(destination, "pipe")
    try:
        yield
    except BaseException:
        if hasattr(destination, "destroy"):
            destination.destroy()
        raise
    finally:
        message._piped(destination, "unpipe")
