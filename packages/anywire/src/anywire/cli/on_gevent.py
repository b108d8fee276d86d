"""The command line on gevent."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import gevent
import gevent.event
import gevent.socket

from anywire.gevent import http

from . import blocking
from ._peer import BlockingPeer
from .blocking import Work

__all__ = ["Runtime"]

T = TypeVar("T")


class Runtime:
    """See :class:`blocking.Runtime`."""

    http: Any = http
    colour = blocking

    def run(self, work: Work, *, uvloop: bool) -> None:
        """Run it here: this greenlet is the hub's main one."""
        work()

    def in_thread(self, work: Callable[[], T]) -> T:
        """In a thread of the hub's pool."""
        result: T = gevent.get_hub().threadpool.apply(work)
        return result

    def together(self, works: Iterable[Work], most: int) -> None:
        """As greenlets."""
        gevent.joinall([gevent.spawn(work) for work in works], raise_error=True)

    def connect(self, host: str, port: int) -> BlockingPeer:
        """By a socket of gevent's."""
        return BlockingPeer(gevent.socket.create_connection((host, port)))

    def until_stopped(self, ready: Callable[[], None], close: Work, again: Callable[[], object]) -> None:
        """By the hub's signal watchers."""
        stopped = gevent.event.Event()

        def stop() -> None:
            if stopped.is_set():
                again()
            stopped.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, stop)
        ready()
        stopped.wait()
        close()
