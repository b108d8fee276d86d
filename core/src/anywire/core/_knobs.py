"""What a request does to its socket, now or once there is one, and who may end it from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._date import DateLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._request import ClientRequest

__all__ = ["date_line", "obey", "set_no_delay", "when_connected"]


def date_line(request: ClientRequest) -> bytes:
    """The ``Date`` line of a request that wants one (CLI-13)."""
    clock = request._options.wall_clock
    return b"" if clock is None else DateLine(clock).line()


def when_connected(request: ClientRequest, act: Callable[[Any], object]) -> None:
    """Call `act` with the request's pump, now or when the request gets one (CLI-24)."""
    connection = request._connection
    if connection is not None:
        act(connection.pump)
    elif not request.destroyed:
        request.once("socket", lambda socket: act(socket.connection.pump))


def set_no_delay(pump: Any, no_delay: bool) -> None:
    """Switch TCP_NODELAY; nothing happens on a transport without it."""
    sock = pump.info("socket")
    if sock is not None and isinstance(pump.info("peername"), tuple):
        sock.setsockopt(6, 1, int(no_delay))  # IPPROTO_TCP, TCP_NODELAY: the same numbers on every platform


def obey(request: ClientRequest, signal: Any) -> None:
    """MOD-L2: `signal` has ``aborted`` and ``once("abort", f)``; when it fires, `request` is destroyed."""
    if signal.aborted:
        request.destroy()
    else:
        signal.once("abort", lambda *_: request.destroy())
