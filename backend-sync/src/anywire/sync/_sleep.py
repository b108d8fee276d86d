"""How a thread sleeps: in a poll of its own that other threads can end. And what a fork leaves behind.

``poll``, not ``select``, so descriptors above 1024 work. Some sleepers are kept for the next
one to use; who wakes one late wakes somebody for nothing, which is allowed everywhere, or
nobody, if it was closed.

A forked child has the parent's descriptors, but not its threads, and must never write
to a socket of the parent's (ASK-10). So everything here belongs to a *generation*, and
the child begins a new one.
"""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

__all__ = ["GENERATION", "Sleeper", "borrow", "forked", "give_back"]

KEPT = 16
"""Sleepers kept for later. Each has two descriptors, and a burst of busy threads is not to cost them for ever."""

BRIEF = 0.01
"""Seconds of one poll that nobody can end."""

LONGEST = 86400.0
"""Seconds of one poll: more overflows."""


class Sleeper:
    """A poll object, and a descriptor that ends its poll."""

    __slots__ = ("_fds", "_poll", "_writer", "lock", "reader")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._fds: dict[int, int] = {}
        self._poll = select.poll()
        self.reader = self._writer = -1
        with suppress(OSError):  # no descriptors are left: it can be told nothing, and so it never sleeps for long
            self.reader, self._writer = os.pipe()
            os.set_blocking(self.reader, False)
            os.set_blocking(self._writer, False)
            self._poll.register(self.reader, select.POLLIN)

    def wake(self) -> None:
        """End the poll, or the next one. From any thread, and too late is no harm."""
        with self.lock, suppress(OSError):  # as awake as can be, or closed
            os.write(self._writer, b"!")

    def sleep(self, due: float, wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Sleep until a descriptor is ready for what is wanted, until `due`, or until woken.

        Returns:
            ``(descriptor, events)`` of those that are ready.
        """
        fds = dict(wanted)
        if fds != self._fds:
            for fd in self._fds.keys() - fds.keys():
                self._poll.unregister(fd)
            for fd, mask in fds.items():
                self._poll.register(fd, mask)
            self._fds = fds
        longest = LONGEST if self.reader >= 0 else BRIEF
        ready = self._poll.poll(max(0.0, min(due - monotonic(), longest) * 1000.0))
        found = [each for each in ready if each[0] != self.reader]
        if len(found) < len(ready):
            self.drain()
        return found

    def drain(self) -> None:
        """Forget that it was woken."""
        os.read(self.reader, 4096)

    def close(self) -> None:
        """Close the descriptors."""
        with self.lock:
            writer, self._writer = self._writer, -1
        if writer >= 0:
            os.close(self.reader)
            os.close(writer)


_free: list[Sleeper] = []
GENERATION = [0]
"""Its one item is another one in a forked child."""

forked: weakref.WeakSet[Any] = weakref.WeakSet()
"""Objects whose ``forked()`` is called in a child."""


def borrow() -> Sleeper:
    """A sleeper, until :func:`give_back`."""
    try:
        return _free.pop()
    except IndexError:
        return Sleeper()


def give_back(sleeper: Sleeper) -> None:
    """It may be used again."""
    if len(_free) < KEPT and sleeper.reader >= 0:
        _free.append(sleeper)
    else:
        sleeper.close()


def _begin_anew() -> None:
    GENERATION[0] += 1
    for sleeper in _free:
        sleeper.lock = threading.Lock()  # who held it does not exist here
        sleeper.close()
    _free.clear()
    for each in list(forked):
        each.forked()


os.register_at_fork(after_in_child=_begin_anew)
