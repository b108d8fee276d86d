"""What Node lets users set of a TCP socket: keep-alive probes and Nagle's algorithm (CLI-24).

A socket module is neither imported nor needed: the pump knows how to probe, and the two numbers of ``TCP_NODELAY``
are the same on every platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._checks import check_timeout
from ._client_connection import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._request import ClientRequest

__all__ = ["probe", "set_no_delay", "when_connected"]

IPPROTO_TCP: Final = 6
TCP_NODELAY: Final = 1


def when_connected(request: ClientRequest, act: Callable[[Any], object]) -> None:
    """Call `act` with the request's connection, now or when the request gets one (CLI-24)."""
    connection = request._connection
    if connection is not None:
        act(connection)
    elif not request.destroyed:
        request.once("socket", lambda socket: act(socket.connection))


def probe(connection: Any, enable: bool, initial_delay: float) -> None:
    """Switch TCP keep-alive probes after `initial_delay` seconds of silence, 0 for 60."""
    delay = (check_timeout(initial_delay, "initial_delay") or 60.0) if enable else None
    pump = connection.pump
    pump.set_tcp_keep_alive(delay)
    if isinstance(connection, ClientConnection):
        # A stream of the user's is told each time: what it makes of it is its own affair.
        connection.probed_after = None if pump.info("socket") is None else delay


def set_no_delay(pump: Any, no_delay: bool) -> None:
    """Switch TCP_NODELAY; nothing happens on a transport without it."""
    sock = pump.info("socket")
    if sock is not None and isinstance(pump.info("peername"), tuple):
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, int(no_delay))
