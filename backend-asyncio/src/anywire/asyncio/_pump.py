"""The pump: a socket that the event loop watches, and sleep for whoever waits on it.

Input is read where the loop says that there is some, so there is neither transport nor
stream between the socket and the core. Waiting is a bare future, woken by whatever happens.

**One callback for all that is ready.** The loop does not watch our sockets but an epoll object that does: who is
ready is one call of the system, and costs a loop in Python less than a handle, a context and a turn for each. uvloop
would not even tell of a peer that resets: libuv stops watching what has an error. Where several are ready, what is
answered is sent behind all of them: to wake a peer for each answer costs the system more than to send it.

**Steps.** A server connection has one long-lived task. To wake it for each request costs as
much as reading and answering do, so while it waits for input the step it would take next
is taken in the callback that brought the input, in its name (see :meth:`Pump.until`).
Only if a handler has to wait for something is the task woken, to wait for it.
"""

from __future__ import annotations

import asyncio
import select
import socket
from asyncio import _enter_task, _leave_task
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ClassVar, Final

from anywire.core import FOREVER, HIGH_WATER_MARK
from anywire.core.facade import READABLE, WRITABLE, WatchedPump
from anywire.core.facade.awaiting import FAIRNESS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anywire.core import Feed

__all__ = ["Callbacks", "Pump"]


class Callbacks:
    """An event loop as one that calls back: see ``anywire.core.facade.awaiting.Loop`` for what each method promises."""

    __slots__ = ("_calls", "_epoll", "at", "future", "held", "loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self.at = loop.call_at
        self.future = loop.create_future
        self.held: list[Pump] | None = None  # who has something to send, while several are served in a row
        self._epoll: Any = None  # while something is watched
        self._calls: dict[int, Callable[[int], object]] = {}

    def soon(self, call: Callable[[], object]) -> None:
        """Call it in the next turn, if there will be one."""
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon(call)

    def forget(self, timer: asyncio.TimerHandle) -> None:
        """Do not call it after all."""
        timer.cancel()

    def watch(self, sock: socket.socket, events: int, call: Callable[[int], object]) -> None:
        """Watch a socket, in the way that the system has."""
        (self._watch_closely if hasattr(select, "epoll") else self._watch_each)(sock.fileno(), events, call)

    def _watch_each(self, fd: int, events: int, call: Callable[[int], object]) -> None:
        loop = self.loop
        if loop.is_closed():
            return
        for event, add, remove in (
            (READABLE, loop.add_reader, loop.remove_reader),
            (WRITABLE, loop.add_writer, loop.remove_writer),
        ):
            if events & event:
                add(fd, call, event)
            else:
                remove(fd)

    def _watch_closely(self, fd: int, events: int, call: Callable[[int], object]) -> None:
        """By an epoll object of ours, which the loop watches."""
        calls = self._calls
        if events:
            if self._epoll is None:
                if self.loop.is_closed():
                    return
                self._epoll = select.epoll()
                self.loop.add_reader(self._epoll.fileno(), self._look)
            (self._epoll.modify if fd in calls else self._epoll.register)(fd, _ASKED[events])
            calls[fd] = call
        elif calls.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            if not calls:
                if not self.loop.is_closed():
                    self.loop.remove_reader(self._epoll.fileno())
                self._epoll.close()
                self._epoll = None

    def _look(self) -> None:
        calls = self._calls
        ready = self._epoll.poll(0)
        held = self.held = [] if len(ready) > 1 else None
        try:
            for fd, said in ready:
                call = calls.get(fd)
                if call is not None:
                    call(_TOLD.get(said, READABLE | WRITABLE))
        finally:
            self.held = None
            for pump in held or ():
                pump.let_out()


_ASKED: Final = {READABLE: 1, WRITABLE: 4, READABLE | WRITABLE: 5}
"""What to watch for, in epoll's numbers."""
_TOLD: Final = {1: READABLE, 4: WRITABLE}
"""What epoll says; all else, such as errors, is found out by reading and writing."""


class Pump(WatchedPump):
    """See ``anywire.core.facade.awaiting.AwaitingPump`` for the contract."""

    __slots__ = ("_context", "_parked", "_said", "_step", "_task")

    fairness = FAIRNESS
    select: ClassVar[Any] = select if hasattr(select, "poll") else None

    def __init__(self, sock: socket.socket, feed: Feed, loop: Callbacks) -> None:
        self._parked: asyncio.Future[None] | None = None  # who waits in until()
        self._step: Callable[[], Any] | None = None  # what it gave
        self._said: Any = None  # by that
        self._task: Any = None
        self._context: Any = None
        super().__init__(sock, feed, loop, socket)

    # ---------------------------------------------------------------- waiting

    def wait(self, due: float) -> Awaitable[None]:
        """Park until something happened, or until `due`; a checkpoint if that is past."""
        if due <= 0.0 or self.closed:
            return asyncio.sleep(0)
        self._prepare(due)
        waiting = self._waiting
        if waiting:  # others, or waits that were cancelled
            waiting[:] = [each for each in waiting if not each.done()]
        waiter = self._loop.future()
        waiting.append(waiter)
        return waiter  # type: ignore[no-any-return]

    def _wake(self) -> bool:
        """Wake who waits; False if nobody does."""
        woken = False
        parked, self._parked = self._parked, None
        if parked is not None and not parked.done():
            parked.set_result(None)
            woken = True
        if self._waiting:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
                    woken = True
            self._waiting.clear()
        return woken

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if not self._wake():
            self._arm(self.feed.next_deadline(self._loop.now()))

    # ---------------------------------------------------------------- sending

    def flush(self) -> None:
        """One send for everything that is queued, in a moment if others are being served in the same turn."""
        held = self._loop.held
        if held is None or self.closed or self._half_closed or self._broken is not None:
            super().flush()
        elif data := self.feed.data_to_send():
            if not self._queue:
                self._queue = deque()
                held.append(self)
            self._queue.append(data)
            self.unsent += len(data)
            self.blocked = self.unsent > HIGH_WATER_MARK

    def let_out(self) -> None:
        """Send what was held back."""
        queue = self._queue
        if not queue or self._watching & WRITABLE:
            return
        if len(queue) > 1:
            self._queue = deque((b"".join(queue),))
        if self._transmit():
            self._loop.soon(self._flushed)
        if self._queue:
            self._watch()

    def _flushed(self) -> None:
        try:
            if not self.closed:
                self.feed.flushed()
        finally:
            self._wake()

    def half_close(self) -> None:
        """FIN after what is queued."""
        self.let_out()
        super().half_close()

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        self.let_out()
        super().close()

    def abort(self) -> None:
        """Gone, now; but not what would be out already if nobody else had been served."""
        self.let_out()
        super().abort()

    # ---------------------------------------------------------------- steps

    def _read(self) -> None:
        if not self._hungry() or not self._receive() or self.closed:
            return
        if self.ended:
            self._watch()
        elif self._step is not None:
            self._take(self._step)
            if self._waiting:
                self._wake()
            return
        # Who waits is woken first: what is noticed is told to listeners, and they may raise.
        if not self._wake() or self.ended:
            self.feed.notice()

    async def until(self, step: Callable[[], Any]) -> Any:
        """Wait until `step`, taken whenever something happened, says anything but None; returns that.

        For input it is taken in the callback that brings it, in the name of this task, which so need not be woken for
        an exchange that waits for nothing. (By what asyncio documents for tasks of other makes; eager tasks of Python
        3.12 begin like that.)
        """
        self._task = task = asyncio.current_task()
        assert task is not None, "this runs in one"
        self._context = copy_context()
        try:
            while (said := self._said) is None:
                if self.closed:
                    await asyncio.sleep(0)
                else:
                    self._step = step
                    self._prepare(FOREVER)
                    self._parked = self._loop.future()
                    await self._parked
                    self._step = None
                if self._said is None:
                    self._said = step()
        except asyncio.CancelledError as error:
            if (said := self._said) is None:
                raise
            task.uncancel()  # what has begun hears of it, where it waits
            task.cancel(*error.args)
        finally:
            self._step = self._parked = self._task = self._said = None
        if isinstance(said, BaseException):
            raise said
        return said

    def _take(self, step: Callable[[], Any]) -> None:
        """See :meth:`until`."""
        loop, task = self._loop.loop, self._task
        parked, self._parked = self._parked, None  # not to be woken by what it does itself
        _enter_task(loop, task)
        try:
            said = self._context.run(step)
        except BaseException as error:
            said = error
        finally:
            _leave_task(loop, task)
        if said is None:
            self._parked = parked
            deadline = self.feed.next_deadline(loop.time())
            if deadline < self._due:
                self._arm(deadline)
            return
        self._said = said
        self._step = None
        if parked is not None and not parked.done():
            parked.set_result(None)
