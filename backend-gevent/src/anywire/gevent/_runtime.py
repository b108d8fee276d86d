"""One gevent hub, as the blocking facade wants it."""

from __future__ import annotations

import os
import ssl
import tempfile
import weakref
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from anywire.core import FOREVER, NOBODY
from anywire.core.facade import WRITABLE, Listening, LoopDoor, listening_sockets
from anywire.core.facade.blocking import SocketConnector

from ._native import native
from ._pump import HubLoop, Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anywire.core.facade.blocking import Server

__all__ = ["Runtime", "current_runtime"]

_runtimes: weakref.WeakKeyDictionary[Any, Runtime] = weakref.WeakKeyDictionary()


def current_runtime() -> Runtime:
    """The runtime of this thread's hub."""
    hub = gevent.get_hub()
    runtime = _runtimes.get(hub)
    if runtime is None:
        runtime = _runtimes[hub] = Runtime()
    return runtime


class Waiter:
    """How a greenlet sleeps; may be woken before it does."""

    __slots__ = ("_hub", "_sleeper", "_woken")

    def __init__(self) -> None:
        self._hub: Any = gevent.get_hub()
        self._sleeper: Any = None
        self._woken = False

    def wake(self) -> None:
        """Wake the sleeper, or the next one to come."""
        self._woken = True
        if self._sleeper is not None:
            self._hub.loop.run_callback(self._switch)

    def _switch(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            sleeper.switch()

    def wait(self, due: float, sockets: Sequence[Any] = (), event: int = WRITABLE) -> list[Any]:
        """Sleep until woken, until `due`, or until `event` of one of `sockets`. Returns those that are ready."""
        ready: list[Any] = []
        loop = self._hub.loop
        watchers = [loop.io(sock.fileno(), event) for sock in sockets]
        if due != FOREVER:
            watchers.append(loop.timer(max(0.0, due - monotonic())))
            watchers[-1].start(self._switch, update=True)
        for watcher, sock in zip(watchers, sockets, strict=False):
            watcher.start(self._found, ready, sock)
        try:
            if not self._woken:
                self._sleeper = gevent.getcurrent()
                self._hub.switch()
        finally:
            self._sleeper = None
            for watcher in watchers:
                watcher.close()
        self._woken = False
        return ready

    def _found(self, ready: list[Any], sock: Any) -> None:
        ready.append(sock)
        self._switch()


class Runtime(SocketConnector):
    """See ``anywire.core.facade.blocking.Runtime`` for what each method promises."""

    writable = WRITABLE
    pump_class = Pump
    now = staticmethod(monotonic)
    sleep = staticmethod(gevent.sleep)
    getaddrinfo = staticmethod(gevent.socket.getaddrinfo)  # not the module's: it asks gevent's resolver
    waiter = Waiter

    def __init__(self) -> None:
        super().__init__(native, ssl, tempfile)

    def report(self, message: str, error: BaseException) -> None:
        """Print it, as gevent does for a greenlet that dies."""
        gevent.get_hub().handle_error(message, type(error), error, error.__traceback__)

    def spawn(self, work: Callable[[], None]) -> Callable[[], object]:
        """Run `work` in a greenlet. Returns what kills it, without waiting for that."""
        return partial(gevent.spawn(work).kill, block=False)

    def let_go(self, pump: Pump) -> None:
        """The parent's, and we are a forked child whose hub goes on: stop watching its socket."""
        pump.abort()

    # ---------------------------------------------------------------- connecting

    def adopt(self, candidate: Any) -> Any:
        """Take a socket of the user's, gevent's own included."""
        if isinstance(candidate, gevent.socket.socket):
            candidate = native.socket(fileno=candidate.detach())
        return super().adopt(candidate)

    # ---------------------------------------------------------------- listening

    def inject(self, server: Server, handle: Any) -> None:
        """Serve a connection in a greenlet of its own: a socket, or the pump of an upgraded one."""
        connection = server.admit(handle if isinstance(handle, Pump) else Pump(handle, NOBODY))
        if connection is not None:
            connection.cancel = self.spawn(partial(server.serve, connection))

    def listen(self, server: Server, options: Any) -> Listening:
        """Accept in the hub; each connection is served by a greenlet of its own."""
        sockets = listening_sockets(native, os, options)
        return Listening(os, options, sockets, [LoopDoor(self, HubLoop(), server, sock) for sock in sockets])
