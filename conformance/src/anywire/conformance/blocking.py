"""Adapters for runtimes of the blocking colour: threads and gevent.

The coroutines of the suite never suspend here, because everything they wait on blocks; ``drive`` runs them.
"""

from __future__ import annotations

import importlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from .backends import PATIENCE, Backend, drive, https_beside
from .errors import ScenarioError
from .peers import Threads

__all__ = ["Blocking", "on_gevent", "on_threads"]

T = TypeVar("T")


def on_threads() -> Backend:
    """``anywire.sync``: every task is a thread."""
    return Blocking("anywire.sync", importlib.import_module("anywire.sync.http"))


def on_gevent() -> Backend:
    """``anywire.gevent``: every task is a greenlet, in a hub of a thread of its own."""
    return _Gevent("anywire.gevent", importlib.import_module("anywire.gevent.http"))


class _ThreadTask:
    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], cancel: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=lambda: drive(work()), daemon=True)
        self._thread.start()
        self.cancel = cancel

    def join(self) -> None:
        self._thread.join(PATIENCE)


class Blocking:
    """See :class:`~.backends.Backend`. For any facade of the blocking colour that threads may use.

    Args:
        name: what to call it.
        http: the ``http`` module.
    """

    virtual = False
    cancels = False

    def __init__(self, name: str, http: Any) -> None:
        self.name = name
        self.http = http
        self.https = https_beside(http)
        self.world = Threads()
        self.reports: list[str] = []

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `scenario` in a thread of its own, so that one that hangs can be left behind."""
        self.reports = []
        hook, threading.excepthook = threading.excepthook, self._died
        try:
            return self._in_thread(scenario)
        finally:
            threading.excepthook = hook

    def _died(self, dead: threading.ExceptHookArgs) -> None:
        if not isinstance(dead.exc_value, ScenarioError):  # a run that hung may end during the next
            self.reports.append(repr(dead.exc_value))

    def _in_thread(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        results: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                results.append(self.inside(scenario))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if errors:
            raise errors[0]
        if not results:
            raise RuntimeError("it hangs")
        return results[0]

    def inside(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the thread does."""
        return drive(scenario())

    def now(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

    def flag(self) -> Any:
        """A ``threading.Event`` with patience."""
        return _ThreadFlag()

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        """A thread. Threads cannot be cancelled; cases destroy the request instead."""
        return _ThreadTask(work, _cannot_cancel)

    def duplex(self, port: int) -> Any:
        """A connection to a peer that is no socket, to whoever does not know."""
        return _Stream(socket, port)

    def hook(self, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        """Run to its end at once."""
        return lambda *args: drive(function(*args))


class _Stream:
    """A socket in disguise."""

    set_keep_alive: Callable[..., object]

    def __init__(self, module: Any, port: int) -> None:
        self._sock = sock = module.create_connection(("127.0.0.1", port))
        self.recv = sock.recv
        self.sendall = sock.sendall

    def shutdown_write(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):  # the peer may be gone
            self._sock.shutdown(socket.SHUT_RDWR)  # ends a recv that is under way
        self._sock.close()


class _ThreadFlag:
    def __init__(self) -> None:
        self._event = threading.Event()
        self.set = self._event.set

    def wait(self) -> None:
        if not self._event.wait(PATIENCE):
            raise ScenarioError("what is waited for does not happen")


def _cannot_cancel() -> None:
    raise NotImplementedError("a thread cannot be cancelled")


class _Gevent(Blocking):
    cancels = True

    def duplex(self, port: int) -> Any:
        return _Stream(importlib.import_module("gevent.socket"), port)

    def __init__(self, name: str, http: Any) -> None:
        super().__init__(name, http)
        self._gevent = importlib.import_module("gevent")
        self._flags: list[_GeventFlag] = []

    def inside(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """A hub for one run."""
        self._gevent.get_hub().handle_error = self._reported
        try:
            result: T = self._gevent.with_timeout(PATIENCE, super().inside, scenario)
            return result
        finally:
            for flag in self._flags:
                flag.close()  # an open watcher keeps the loop alive
            self._flags.clear()
            self._gevent.get_hub().destroy(destroy_loop=True)

    def _reported(self, where: Any, kind: Any, error: Any, traceback: Any) -> None:
        if kind.__name__ != "HubDestroyed":  # the end of a run
            self.reports.append(f"{where}: {error!r}")

    def flag(self) -> Any:
        flag = _GeventFlag(self._gevent)
        self._flags.append(flag)
        return flag

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        return _GeventTask(self._gevent, work)


class _GeventFlag:
    """An event that any thread may set: libev's async watcher is the one thing that is allowed from outside."""

    def __init__(self, gevent: Any) -> None:
        self._event = importlib.import_module("gevent.event").Event()
        self._watcher = gevent.get_hub().loop.async_()
        self._watcher.start(self._event.set)

    def set(self) -> None:
        try:
            self._watcher.send()
        except Exception:
            pass  # the hub is gone, nobody waits

    def wait(self) -> None:
        self._event.wait()

    def close(self) -> None:
        self._watcher.stop()
        self._watcher.close()


class _GeventTask:
    def __init__(self, gevent: Any, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._greenlet = gevent.spawn(lambda: drive(work()))

    def join(self) -> None:
        self._greenlet.join()

    def cancel(self) -> None:
        self._greenlet.kill(block=False)
