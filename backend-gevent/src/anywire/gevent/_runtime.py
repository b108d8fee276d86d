"""One gevent hub, as the blocking facade wants it."""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
import weakref
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from anywire.core import FOREVER, NOBODY, Address, addresses_from_lookup, client_context, server_context
from anywire.core.facade import (
    Listening,
    SocketRuntime,
    connect_outcome,
    listening_sockets,
    numeric_addresses,
    to_addresses,
    wanted_family,
)

from ._native import native
from ._pump import READABLE, WRITABLE, Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from anywire.core import Feed
    from anywire.core.facade.blocking import Connecting, Server

__all__ = ["Runtime", "current_runtime"]

_runtimes: weakref.WeakKeyDictionary[Any, Runtime] = weakref.WeakKeyDictionary()

ACCEPT = 64
"""Connections accepted in one turn of the loop."""


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

    def wait(self, due: float) -> None:
        """Sleep until woken or until `due`."""
        if not self._woken:
            with self._until(due):
                self._sleeper = gevent.getcurrent()
                try:
                    self._hub.switch()
                finally:
                    self._sleeper = None
        self._woken = False

    @contextmanager
    def _until(self, due: float) -> Iterator[None]:
        timer = None if due == FOREVER else self._hub.loop.timer(max(0.0, due - monotonic()))
        if timer is not None:
            timer.start(self._switch, update=True)
        try:
            yield
        finally:
            if timer is not None:
                timer.close()

    def wait_for(self, events: Sequence[tuple[Any, int]], due: float) -> None:
        """Sleep until one of the sockets is ready too."""
        watchers = [self._hub.loop.io(sock.fileno(), event) for sock, event in events]
        try:
            for watcher in watchers:
                watcher.start(self.wake)
            self.wait(due)
        finally:
            for watcher in watchers:
                watcher.close()


class Runtime(SocketRuntime):
    """See ``anywire.core.facade.blocking.Runtime`` for what each method promises."""

    now = staticmethod(monotonic)
    sleep = staticmethod(gevent.sleep)
    waiter = Waiter

    def __init__(self) -> None:
        super().__init__(native)

    def report(self, message: str, error: BaseException) -> None:
        """Print it, as gevent does for a greenlet that dies."""
        gevent.get_hub().handle_error(message, type(error), error, error.__traceback__)

    # ---------------------------------------------------------------- connecting

    def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None, connecting: Connecting
    ) -> list[Address]:
        """Ask gevent's resolver, or the user's."""
        hosts = [host] if lookup is None else addresses_from_lookup(lookup(host, {"family": family}))
        found: list[Address] = []
        for name in hosts:
            found += numeric_addresses(native, name, port, family) or self._lookup(name, port, family, connecting)
        return found

    def _lookup(self, name: str, port: int, family: int | None, connecting: Connecting) -> list[Address]:
        asking = gevent.spawn(
            gevent.socket.getaddrinfo, name, port, wanted_family(native, family), native.SOCK_STREAM
        )
        asking.link(lambda _: connecting.waiter.wake())
        ...
