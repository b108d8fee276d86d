"""The pump: a socket that the event loop watches, and sleep for whoever waits on it.

Input is read where the loop says that there is some, so there is neither transport nor
stream between the socket and the core. Waiting is a bare future, woken by whatever happens.

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
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, ClassVar

from anywire.core import FOREVER
from anywire.core.facade import READABLE, WRITABLE, WatchedPump
from anywire.core.facade.awaiting import FAIRNESS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anywire.core import Feed

__all__ = ["Callbacks", "Pump"]


class Callbacks:
    """An event loop as one that calls back: see ``anywire.core.facade.awaiting.Loop`` for what each method promises."""

    __slots__ = ("at", "future", "loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self.at = loop.call_at
        self.future = loop.create_future

    def soon(self, call: Callable[[], object]) -> None:
        """Call it in the next turn, if there will be one."""
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon(call)

    def forget(self, timer: asyncio.TimerHandle) -> None:
        """Do not call it after all."""
        timer.cancel()

    def watch(self, sock: socket.socket, events: int, call: Callable[[int], object]) -> None:
        """Watch a socket."""
        loop = self.loop
        if loop.is_closed():
            return
        for event, add, remove in (
            (READABLE, loop.add_reader, loop.remove_reader),
            (WRITABLE, loop.add_writer, loop.remove_writer),
        ):
            if events & event:
                add(sock, call, event)
            else:
                remove(sock)


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

    def _wake(self) -> None:
        parked, self._parked = self._parked, None
        if parked is not None and not parked.done():
            parked.set_result(None)
        if self._waiting:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    @property
    def _awaited(self) -> bool:
        for each in self._waiting:
            if not each.done():
                return True
        return self._parked is not None

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if self._awaited:
            self._wake()
        else:
            self._arm(self.feed.next_deadline(self._loop.now()))

    # ---------------------------------------------------------------- steps

    def _read(self) -> None:
        step = self._step
        if step is None:
            super()._read()
        elif self._hungry() and self._receive() and not self.closed:
            if self.ended:
                self._watch()
                self._tell()
                return
            self._take(step)
            if self._waiting:
                self._wake()

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
