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

__all__ = ["native", "native_select"]

native: Any = SimpleNamespace(**{name: get_original("socket", name) for name in dir(socket)})
"""The socket module as it was before any patch."""

native_select: Any = (
    SimpleNamespace(poll=get_original("select", "poll"), POLLIN=select.POLLIN) if hasattr(select, "poll") else None
)
"""What is used of the select module, likewise. A poll that waits for nothing lets no other greenlet run."""
