"""LoopRuntime: the awaiting facade on an event loop of your own that calls back when a socket is ready.

If your runtime is such a loop and steps coroutines, this is the backend: hand it your
:class:`Loop`. ``examples/selectors_backend`` has one on the standard library's ``selectors``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..._pump import FOREVER, NOBODY
from .._door import Listening, LoopDoor
from .._messages import FAIRNESS
from .._sockets import connect_outcome, listening_sockets
from .._watched_pump import WRITABLE, WatchedPump
from ._connector import SocketConnector

if TYPE_CHECKING:
    from ..._pump import Feed
    from ._runtime import Hold
    from ._server import Server

__all__ = ["Loop", "LoopPump", "LoopRuntime", "Parking"]


class Parking(Protocol):
    """One suspension of one coroutine. Awaiting it goes straight on if it was woken before."""

    def wake(self) -> None:
        """Let it go on, soon; idempotent, and harmless when nobody waits here any more."""

    def __await__(self) -> Generator[Any, None, None]: ...


class Loop(Protocol):
    """An event loop. All of it is for the loop's own thread; what a callback raises is the loop's to report."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""

    def soon(self, call: Callable[[], object]) -> None:
        """Call `call` in a later turn; in the order in which this is asked for."""

    def at(self, when: float, call: Callable[[], object]) -> Any:
        """Call `call` at `when`, or soon if that is past. Returns a timer."""

    def forget(self, timer: Any) -> None:
        """Do not call it after all. Harmless if it was called."""

    def watch(self, sock: Any, events: int, call: Callable[[int], object]) -> None:
        """Call ``call(events)`` whenever `sock` can be read (``READABLE``) or written (``WRITABLE``).

        In place of what was watched for before; 0 ends it, before `sock` is closed. A call that
        was on its way may still come.
        """

    def parking(self) -> Parking:
        """A new place to park."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` as a task of its own; the task has ``cancel()``, which does not wait."""

    def report(self, message: str, error: BaseException) -> None:
        """Tell whoever looks after this loop about an error that nobody waits for."""


class LoopPump(WatchedPump):
    """See :class:`AwaitingPump` for the contract."""

    __slots__ = ()

    fairness = FAIRNESS

    async def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; if that is past, take in what came and let others run."""
        parking = self._loop.parking()
        if due <= 0.0 or self.closed:
            self._read()
            self._loop.soon(parking.wake)
            await parking
            return
        self._prepare(due)
        self._waiting.append(parking)
        try:
            await parking
        finally:
            if parking in self._waiting:
                self._waiting.remove(parking)


class LoopRuntime(SocketConnector):
    """See :class:`Runtime` for what each method promises. A subclass says how to resolve: ``getaddrinfo``.

    Args:
        loop: a :class:`Loop`.
        socket, os, ssl, tempfile: the modules.
    """

    pump_class: type[LoopPump] = LoopPump

    def __init__(self, loop: Loop, socket: Any, os: Any, ssl: Any, tempfile: Any) -> None:
        super().__init__(socket, ssl, tempfile)
        self.loop = loop
        self.now = loop.now
        self.report = loop.report
        self._os = os

    def pump(self, sock: Any, feed: Feed) -> LoopPump:
        """A pump for a connected socket."""
        return self.pump_class(sock, feed, self.loop, self._socket)

    def waiter(self) -> _Waiter:
        """A new waiter."""
        return _Waiter(self.loop)

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Run `work` beside everything else. Returns what cancels it."""
        cancel: Callable[[], object] = self.loop.spawn(work).cancel
        return cancel

    async def within(self, seconds: float, work: Coroutine[Any, Any, None], hold: Hold) -> bool:
        """Run `work` for at most `seconds`, or until ``hold.cancel()``; False if it was cut off."""
        steps = _Steps(work)
        timer = self.loop.at(self.now() + seconds, steps.cut) if seconds < FOREVER else None
        hold.cancel = steps.cut
        try:
            return await steps
        finally:
            hold.cancel = None
            if timer is not None:
                self.loop.forget(timer)

    async def race(self, handles: Sequence[Any], seconds: float | None) -> list[tuple[Any, OSError | None]]:
        """Wait until one of the sockets is connected or failed."""
        loop, waiter = self.loop, self.waiter()
        decided: dict[Any, None] = {}  # a socket is ready until somebody does something about it

        def ready(sock: Any, events: int) -> None:
            decided[sock] = None
            waiter.wake()

        for sock in handles:
            loop.watch(sock, WRITABLE, partial(ready, sock))
        try:
            await waiter.wait(FOREVER if seconds is None else self.now() + seconds)
        finally:
            for sock in handles:
                loop.watch(sock, 0, _nothing)
        return [(sock, connect_outcome(self._socket, sock)) for sock in decided]

    def inject(self, server: Server, handle: Any) -> None:
        """Serve a connection in a task of its own: a socket, or the pump of an upgraded one."""
        pump = handle if isinstance(handle, self.pump_class) else self.pump(handle, NOBODY)
        connection = server.admit(pump)
        if connection is not None:
            connection.cancel = self.loop.spawn(server.serve(connection)).cancel

    async def listen(self, server: Server, options: Any) -> Listening:
        """Bind, and serve every connection in a task of its own."""
        sockets = listening_sockets(self._socket, self._os, options)
        doors = [LoopDoor(self, self.loop, server, sock) for sock in sockets]
        return Listening(self._os, options, sockets, doors)


class _Waiter:
    """How a queued request sleeps; may be woken before it does."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._parking = loop.parking()
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        self._parking.wake()

    async def wait(self, due: float) -> None:
        parking = self._parking
        timer = self._loop.at(due, parking.wake) if due < FOREVER else None
        try:
            await parking
        finally:
            if not self._woken:
                self._parking = self._loop.parking()  # one is good for one suspension
            if timer is not None:
                self._loop.forget(timer)


class _CutOff(BaseException):
    """Thrown into work whose time is over."""


class _Steps:
    """Awaiting it runs a coroutine step by step; True when it came to its end, False if it was cut off."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._parking: Any = None
        self._over: _CutOff | None = None

    def cut(self) -> None:
        """End it where it is parked. Does not wait."""
        if self._over is None:
            self._over = _CutOff()
            if self._parking is not None:
                self._parking.wake()

    def __await__(self) -> Generator[Any, None, bool]:
        work, problem = self._work, None
        thrown = False
        while True:
            try:
                self._parking = work.send(None) if problem is None else work.throw(problem)
            except StopIteration:
                return True
            except _CutOff as over:
                if over is not self._over:
                    raise
                return False
            problem = None
            try:
                if self._over is None or thrown:
                    yield self._parking
            except BaseException as error:
                problem = error
            else:
                if self._over is not None and not thrown:
                    problem, thrown = self._over, True


def _nothing(events: int) -> None:
    pass
