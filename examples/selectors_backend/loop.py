"""An event loop on the standard library's ``selectors``: tasks, timers, sockets, and calls from other threads.

It knows nothing of HTTP. What anywire asks of it are the methods of ``anywire.core.facade.awaiting.Loop``.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from anywire.core.facade import READABLE, Deadline, Deadlines


class Parking:
    """One suspension of one task: the only thing that a coroutine ever yields to the loop.

    It is woken at most once, so a task that has left it cannot be stepped by a wake-up that comes late.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.woken = False
        self.task: Task | None = None  # who is suspended here

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            if self.task is not None:
                self._loop.soon(self.task.step)

    def __await__(self) -> Generator[Parking, None, None]:
        if not self.woken:
            yield self


class Cancelled(BaseException):
    """Thrown into a task that is cancelled."""


class Task:
    """A coroutine that is being run."""

    def __init__(self, loop: Loop, work: Coroutine[Any, Any, Any]) -> None:
        self._loop = loop
        self._work = work
        self._parked: Parking | None = None
        self._cancelling = False
        self._joining: list[Parking] = []
        self._result: Any = None
        self._error: BaseException | None = None
        self.done = False

    def cancel(self) -> None:
        """Throw ``Cancelled`` where the task is suspended, or will be next. Does not wait."""
        if not self.done:
            self._cancelling = True
            if self._parked is not None:
                self._parked.wake()

    def step(self) -> None:
        """Run to the next suspension."""
        self._parked = None
        try:
            if self._cancelling:
                self._cancelling = False
                parking = self._work.throw(Cancelled())
            else:
                parking = self._work.send(None)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:
            self._end(None, error)
            if not isinstance(error, Exception | Cancelled):
                raise  # KeyboardInterrupt, SystemExit: not this task's affair
        else:
            self._parked = parking
            parking.task = self
            if self._cancelling:
                parking.wake()

    def _end(self, result: Any, error: BaseException | None) -> None:
        self.done, self._result, self._error = True, result, error
        self._loop.tasks.discard(self)
        if isinstance(error, Exception) and not self._joining:
            self._loop.report("A task failed, and nobody waits for it", error)
        for parking in self._joining:
            parking.wake()

    async def join(self) -> None:
        """Wait for the end, whatever it is."""
        while not self.done:
            self._joining.append(self._loop.parking())
            await self._joining[-1]

    def result(self) -> Any:
        """What the coroutine returned, or raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Loop:
    """One thread's loop."""

    runtime: Any = None  # anywire's, once somebody has asked for it

    def __init__(self) -> None:
        self.tasks: set[Task] = set()
        self._ready: deque[Callable[[], object]] = deque()
        self._timers = Deadlines()
        self._selector = selectors.DefaultSelector()
        self._threads = ThreadPoolExecutor()
        self._ear, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self.watch(self._ear, READABLE, lambda events: self._ear.recv(4096))

    # ---------------------------------------------------------------- what anywire calls

    now = staticmethod(time.monotonic)

    def soon(self, call: Callable[[], object]) -> None:
        self._ready.append(call)

    def at(self, when: float, call: Callable[[], object]) -> Deadline:
        return self._timers.add(when, call)

    def forget(self, timer: Deadline) -> None:
        self._timers.remove(timer)

    def watch(self, sock: socket.socket, events: int, call: Callable[[int], object]) -> None:
        if sock in self._selector.get_map():
            self._selector.unregister(sock)
        if events:
            self._selector.register(sock, events, call)

    def parking(self) -> Parking:
        return Parking(self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Task:
        task = Task(self, work)
        self.tasks.add(task)
        self.soon(task.step)
        return task

    def report(self, message: str, error: BaseException) -> None:
        logging.getLogger(__name__).error(message, exc_info=error)

    # ---------------------------------------------------------------- other threads

    def soon_from_thread(self, call: Callable[[], object]) -> None:
        """``soon``, from any thread: only this rings the bell that wakes the selector."""
        self._ready.append(call)
        with suppress(OSError):  # full: it rings already; closed: nobody is left to hear it
            self._bell.send(b"!")

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """What `function` returns, in another thread. Who is cancelled meanwhile does not wait for it."""
        parking = self.parking()
        future = self._threads.submit(function)
        future.add_done_callback(lambda _: self.soon_from_thread(parking.wake))
        await parking
        return future.result()

    # ---------------------------------------------------------------- running

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run until `main` ends, then cancel what is left, and return its result."""
        token = _running.set(self)
        task = self.spawn(main)
        joining = self.spawn(task.join())
        try:
            while not joining.done:
                self._turn()
        finally:
            for other in self.tasks:
                other.cancel()
            while self.tasks:
                self._turn()
            self._threads.shutdown(wait=False)
            for each in (self._selector, self._ear, self._bell):
                each.close()
            _running.reset(token)
        return task.result()

    def _turn(self) -> None:
        # An hour at most: there are selectors that cannot sleep for ever.
        pause = 0.0 if self._ready else max(0.0, min(self._timers.first - self.now(), 3600.0))
        calls: list[Callable[[], object]] = [partial(key.data, events) for key, events in self._selector.select(pause)]
        calls += self._timers.due(self.now())
        calls += [self._ready.popleft() for _ in range(len(self._ready))]  # what they add has its turn next time
        for call in calls:
            try:
                call()
            except Exception as error:
                self.report("Error in a callback", error)


_running: ContextVar[Loop] = ContextVar("selectors_backend")


def current_loop() -> Loop:
    """The loop that runs us. Raises RuntimeError outside of one."""
    loop = _running.get(None)
    if loop is None:
        raise RuntimeError("no loop is running: use selectors_backend.run()")
    return loop


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run `main` on a loop of its own."""
    return Loop().run(main)


async def sleep(seconds: float) -> None:
    """Suspend for `seconds`."""
    loop = current_loop()
    parking = loop.parking()
    timer = loop.at(loop.now() + seconds, parking.wake)
    try:
        await parking
    finally:
        loop.forget(timer)
