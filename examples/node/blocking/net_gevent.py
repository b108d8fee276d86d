"""What the examples need of Node's ``net``: TCP connections that know nothing of HTTP."""

from __future__ import annotations

from typing import Any

import gevent
import gevent.socket
from net_sync import Socket, _carry


def connect(port: int, host: str) -> Socket:
    return Socket(gevent.socket.create_connection((host, port)))


def join(one: Any, other: Any) -> None:
    """Carry bytes both ways, until both have ended."""
    gevent.joinall([gevent.spawn(_carry, one, other), gevent.spawn(_carry, other, one)], raise_error=True)
