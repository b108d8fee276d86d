"""Door: a listening socket on a loop that calls back, for backends of either colour."""

from __future__ import annotations

from typing import Any

from ._sockets import ACCEPT_PAUSE, ACCEPTS
from ._watched_pump import READABLE

__all__ = ["Door"]


class Door:
    """Accepts, and hands every connection to ``runtime.inject()``, until it is closed.

    Args:
        runtime: has ``accept``, ``inject`` and ``report``.
        loop: has ``now``, ``at`` and ``watch`` of :class:`anywire.core.facade.awaiting.Loop`.
        server: whose connections they are.
        sock: listening, and ours from now on.
    """

    __slots__ = ("_closed", "_loop", "_runtime", "_server", "_sock")

    def __init__(self, runtime: Any, loop: Any, server: Any, sock: Any) -> None:
        self._runtime = runtime
        self._loop = loop
        self._server = server
        self._sock = sock
        self._closed = False
        self._open()

    def _open(self) -> None:
        if not self._closed:
            self._loop.watch(self._sock, READABLE, self._knocked)

    def _knocked(self, events: int) -> None:
        runtime, loop = self._runtime, self._loop
        try:
            for _ in range(ACCEPTS):
                if self._closed or (sock := runtime.accept(self._sock)) is None:
                    return
                runtime.inject(self._server, sock)
        except OSError as error:
            runtime.report("Cannot accept", error)
            loop.watch(self._sock, 0, self._knocked)
            loop.at(loop.now() + ACCEPT_PAUSE, self._open)

    def close(self) -> None:
        """Accept no more, now."""
        self._closed = True
        self._loop.watch(self._sock, 0, self._knocked)
        self._sock.close()
