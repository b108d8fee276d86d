"""Clients that take nothing of what waits to be sent to them (SEC-28).

How much the transport still has is looked at whenever the clock is, so a client is given up after between one and two
times ``write_timeout``, and never while it takes anything. The limit is not to be short: a kernel that has megabytes of
its own asks for more in large steps, so to a slow reader they are many seconds apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._server_connection import ServerConnection

__all__ = ["stalls", "still_since", "taken"]


def still_since(connection: ServerConnection, now: float) -> float:
    """Since when the client has taken nothing of what waits for it, as far as anybody looked."""
    requests, unsent, since = connection._unsent
    if (requests, unsent) != (connection.requests, connection.pump.unsent):
        since = now
        connection._unsent = (connection.requests, connection.pump.unsent, since)
    return since


def stalls(connection: ServerConnection, now: float) -> bool:
    """Has a client taken nothing of an unfinished response for too long?"""
    limit = connection.server.write_timeout
    blocked = limit > 0 and connection.exchanging and connection.pump.blocked
    return blocked and now >= still_since(connection, now) + limit


def taken(connection: ServerConnection, now: float) -> bool:
    """Is an ended response still on its way to a reader that is slower than we are, and takes it?"""
    since, limit = still_since(connection, now), connection.server.write_timeout
    return connection.pump.unsent > 0 and (not limit or now < since + limit)
