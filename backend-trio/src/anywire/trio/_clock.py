"""One timer service per run: every deadline of every pump, in one heap, struck by one system task.

A cancel scope of its own for each deadline would cost as much as the wait it limits. Here
it is an entry in a heap and, if it is the earliest, one assignment to the only scope
there is. The task is trio's ``sleep_forever`` in that scope, so ``MockClock`` moves it as
it moves everything else.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import trio
from anywire.core import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "Entry"]

Entry: TypeAlias = list[Any]
"""``[deadline, number, call]``; the call is None once the deadline does not count any more."""

_LOG = logging.getLogger("anywire.trio")


class Clock:
    """Calls at deadlines. Belongs to one run."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._numbers = itertools.count()
        self._dead = 0
        self._scope = trio.CancelScope()

    def arm(self, deadline: float, call: Callable[[], object]) -> Entry:
        """Have `call` called at `deadline`; soon, but not yet, if that is past."""
        entry = [deadline, next(self._numbers), call]
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._scope.deadline = deadline
        return entry

    def disarm(self, entry: Entry) -> None:
        """Forget a deadline. Its call is let go now, its place in the heap when the dead outnumber the others."""
        entry[2] = None
        self._dead += 1
        if self._dead > 64 and self._dead > len(self._heap) // 2:
            self._heap = [each for each in self._heap if each[2] is not None]
            heapq.heapify(self._heap)
            self._dead = 0
        if not self._heap or self._heap[0][2] is None:
            self._next()

    def _next(self) -> None:
        """The earliest deadline that counts becomes the scope's: a clock that jumps must not jump to a dead one."""
        heap = self._heap
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
            self._dead -= 1
        self._scope.deadline = heap[0][0] if heap else FOREVER

    async def run(self) -> None:
        """The system task."""
        while True:
            with self._scope:
                self._next()
                await trio.sleep_forever()
            self._scope = trio.CancelScope()
            now = trio.current_time()
            due = []
            while self._heap and self._heap[0][0] <= now:
                due.append(heapq.heappop(self._heap))
            for entry in due:
                call, entry[2] = entry[2], None
                if call is None:
                    self._dead -= 1
                else:
                    self.guard(call)

    def guard(self, call: Callable[[], object]) -> None:
        """Call what may call a user's listener: what that raises is the fault of nobody who waits here."""
        try:
            call()
        except Exception as error:
            self.report("Error in a listener", error)

    def report(self, message: str, error: BaseException) -> None:
        """Log it: nobody waits for it."""
        _LOG.error(message, exc_info=error)
