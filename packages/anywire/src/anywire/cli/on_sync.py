"""The command line on threads."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from anywire.sync import http

from . import blocking
from ._peer import BlockingPeer
from .blocking import Work

__all__ = ["Runtime"]

T = TypeVar("T")

CLOSED = b"\0"
"""Tells the main thread that all is over: what tells it of a signal is its number, and none is 0."""


class Runtime:
    """See :class:`blocking.Runtime`."""

    http: Any = http
    colour = blocking

    def run(self, work: Work, *, uvloop: bool) -> None:
        """Run it here."""
        work()

    def in_thread(self, work: Callable[[], T]) -> T:
        """We are in one."""
        return work()

    def together(self, works: Iterable[Work], most: int) -> None:
        """In `most` threads, each of which takes one work after the other."""
        left = iter(works)
        lock = threading.Lock()
        raised: list[BaseException] = []

        def work_on() -> None:
            try:
                while not raised:
                    with lock:
                        work = next(left, None)
                    if work is None:
                        return
                    work()
            except BaseException as error:
                raised.append(error)

        threads = [threading.Thread(target=work_on, daemon=True) for _ in range(most)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if raised:
            raise raised[0]

    def connect(self, host: str, port: int) -> BlockingPeer:
        """By a socket of the standard library."""
        return BlockingPeer(socket.create_connection((host, port)))

    def until_stopped(self, ready: Callable[[], None], close: Work, again: Callable[[], object]) -> None:
        """Signals come to this, the main thread; another one closes.

        The system may hand a signal to any thread, and a main thread that waits for a lock or a queue is not woken by
        that: what Python writes here at once, wherever it was, wakes it.
        """
        heard, told = socket.socketpair()
        told.setblocking(False)
        with heard, told:
            signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: None)
            ready()
            heard.recv(1)

            def closing() -> None:
                try:
                    close()
                finally:
                    told.send(CLOSED)

            threading.Thread(target=closing).start()
            while heard.recv(1) != CLOSED:
                again()
            signal.set_wakeup_fd(-1)
