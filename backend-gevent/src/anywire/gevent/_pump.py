"""The pump: one persistent io watcher per connection, whose callback reads into the core and switches.

The callback runs in the hub. It reads, and switches straight to whoever waits, so a
response costs no further turn of the loop. Waiting is a bare ``hub.switch()``: it is
the only place where a greenlet leaves, and whatever is thrown into it there
(``gevent.Timeout``, ``kill``) finds nothing to clean up but its place in the list.

Greenlets are switched to from the hub alone. Who wants to wake one from elsewhere asks
the hub to look again, for by then it may wait for something else.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

import gevent
from anywire.core.facade import WatchedPump
from gevent import getcurrent

from ._native import native, native_select

if TYPE_CHECKING:
    from collections.abc import Callable

    from anywire.core import Feed

__all__ = ["HubLoop", "Pump"]


class HubLoop:
    """A hub as the loop of one socket: see ``anywire.core.facade.awaiting.Loop`` for what each method promises."""

    __slots__ = ("_loop", "_watcher", "hub", "soon")

    now = staticmethod(monotonic)

    def __init__(self) -> None:
        self.hub: Any = gevent.get_hub()
        self._loop = self.hub.loop
        self._watcher: Any = None
        self.soon = self._loop.run_callback

    def at(self, when: float, call: Callable[[], object]) -> Any:
        """Call `call` at `when`. Always a new timer: libev lets one that has run strike at once."""

        def strike() -> None:
            timer.close()
            call()

        timer = self._loop.timer(max(0.0, when - monotonic()))
        timer.start(strike, update=True)
        return timer

    def forget(self, timer: Any) -> None:
        """Do not call it after all."""
        timer.close()

    def watch(self, sock: Any, events: int, call: Callable[[int], object]) -> None:
        """Watch `sock`; the bits of `events` are libev's own."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = self._loop.io(sock.fileno(), events) if events else None
        if self._watcher is not None:
            self._watcher.start(call, pass_events=True)


class Pump(WatchedPump):
    """See ``anywire.core.facade.blocking.BlockingPump`` for the contract."""

    __slots__ = ("_hub",)

    select: ClassVar[Any] = native_select

    def __init__(self, sock: Any, feed: Feed) -> None:
        loop = HubLoop()
        self._hub = loop.hub
        super().__init__(sock, feed, loop, native)

    def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; with `due` in the past take in what is there."""
        if due <= 0.0 or self.closed:
            self._loop.soon(self._read)
            gevent.sleep(0)
            return
        self._prepare(due)
        me = getcurrent()
        self._waiting.append(me)
        try:
            self._hub.switch()
        except BaseException:
            if me in self._waiting:
                self._waiting.remove(me)
            raise

    def _wake(self) -> None:
        waiting = self._waiting
        if len(waiting) == 1:
            waiting.pop().switch()
            return
        for _ in range(len(waiting)):
            if not waiting:  # who was woken killed the next one
                break
            waiting.pop(0).switch()
