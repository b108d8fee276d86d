"""The poller that the threads of a server share."""

from __future__ import annotations

import select
from time import monotonic
from typing import Any

from anywire.core import FOREVER

from ._sleep import Sleeper

__all__ = ["Poller"]


class Poller:
    """Tells of what is ready. ``epoll`` where there is one; else ``poll``, woken for every change."""

    def __init__(self) -> None:
        self._sleeper = Sleeper()
        self._wanted: dict[int, int] = {}
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self._epoll.register(self._sleeper.reader, select.POLLIN)
        self.wake = self._sleeper.wake

    def arm(self, fd: int, mask: int) -> None:
        """Tell whenever `fd` is ready."""
        known = fd in self._wanted
        self._wanted[fd] = mask
        if self._epoll is None:
            self.wake()
        elif known:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)

    def watch(self, fd: int, mask: int) -> None:
        """Tell, in place of that, when the peer hangs up or `mask` says, once; not everywhere."""
        if self._epoll is not None:
            self.arm(fd, select.EPOLLRDHUP | select.EPOLLONESHOT | mask)
        else:
            self._wanted.pop(fd, None)

    def forget(self, fd: int) -> None:
        """`fd` is about to be closed, or to be used by somebody else."""
        if self._wanted.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def poll(self, due: float) -> list[tuple[int, int]]:
        """Wait until something is ready, until `due`, or until :attr:`wake` is called. One thread at a time."""
        if self._epoll is None:
            return self._sleeper.sleep(due, tuple(self._wanted.items()))
        found: list[tuple[int, int]] = self._epoll.poll(None if due == FOREVER else max(0.0, due - monotonic()))
        for index, (fd, _) in enumerate(found):
            if fd == self._sleeper.reader:
                self._sleeper.drain()
                del found[index]
                break
        return found

    def close(self) -> None:
        """Close the descriptors."""
        if self._epoll is not None:
            self._epoll.close()
        self._sleeper.close()
