"""The standard library's own calls, whether or not the program has been monkey-patched, before or after us.

Our sockets are the standard library's, made non-blocking: none of their calls ever
waits, so none has to be replaced. Waiting is done in ``_pump`` and ``_runtime``.
"""

from __future__ import annotations

import select
import socket
from types import SimpleNamespace
from typing import Any

from gevent.monkey import get_original

__all__ = ["native", "poll"]

native: Any = SimpleNamespace(**{name: get_original("socket", name) for name in dir(socket)})
"""The socket module as it was before any patch."""

_poll: Any = get_original("select", "poll")()


def poll(fd: int) -> bool:
    """Would a read of `fd` return now? Never waits."""
    _poll.register(fd, select.POLLIN)
    try:
        return bool(_poll.poll(0))
    finally:
        _poll.unregister(fd)
