"""anywire on that loop: the one thing a loop of sockets cannot do, and where the runtime is kept."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from functools import partial
from typing import Any

from anywire.core.facade.awaiting import LoopRuntime

from .loop import current_loop


class Runtime(LoopRuntime):
    """``LoopRuntime`` connects, accepts and waits; how names are resolved only the loop knows."""

    async def getaddrinfo(self, host: str, port: int, family: int, kind: int) -> Any:
        # The system's resolver blocks, and cannot be told to hurry.
        return await current_loop().in_thread(partial(socket.getaddrinfo, host, port, family, kind))


def current_runtime() -> Runtime:
    """The runtime of the running loop, always the same one: pooled connections belong to it."""
    loop = current_loop()
    runtime: Runtime | None = loop.runtime
    if runtime is None:
        runtime = loop.runtime = Runtime(loop, socket, os, ssl, tempfile)
    return runtime
