"""Roster and Timers: who of a server's threads should work, and when to look again. Pure decisions.

**The adaptive leader.** What costs on threads is having many that could run. So one
worker serves at a time: it polls when there is nothing to do and serves what it
found. It calls another one up only while fewer than :attr:`Roster.limit` are
at work. A monitor looks in every :data:`TICK` seconds:

* Who is still in the step it was in at the last look is *stuck* (a handler that
  blocks) and no longer counts: somebody else takes over.
* Connections wait and little was finished: the limit doubles. So handlers that all
  block soon run side by side.
* Every now and then the limit halves. If that was wrong it doubles again at the next look.
* Nothing to do for a while: the monitor sleeps until the next request.

The backend owns the threads and the one lock that is held around each call here.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any, Final

from ..._pump import FOREVER

__all__ = ["Roster", "Timers"]

TICK: Final = 0.005
"""Seconds between two looks of the monitor."""

BRISK: Final = 16
"""Steps finished in one tick from which on more workers would only fight over the interpreter."""

RELAX: Final = 20
"""Ticks after which the limit halves, and ticks without work after which the monitor sleeps."""

SLACK: Final = 1000
"""Stale timers that are not worth a sweep."""


class Roster:
    """Who works. A worker is any object with the attributes `step`, `seen` and `stuck`.

    Attributes:
        limit: how many may be at work, those that are stuck not counted; at least 1.
        active: how many are at work (serving or polling).
        stuck: how many of these are stuck.
        polling: one of them waits for input.
        total: how many there are, at rest or at work.
        done: steps finished since the last look.
    """

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers
        self.limit = 1
        self.active = 0
        self.stuck = 0
        self.polling = False
        self.total = 0
        self.done = 0
        self._ticks = 0
        self._quiet = 0

    def ends(self, worker: Any) -> None:
        """`worker` is through with its step. Whoever starts one counts it: ``step`` is odd in between."""
        self.done += 1
        worker.step += 1
        if worker.stuck:
            worker.stuck = False
            self.stuck -= 1

    @property
    def surplus(self) -> int:
        """How many of those at work should rest; below zero, how many more might come."""
        return self.active - self.stuck - self.limit

    def too_few(self, waiting: bool) -> bool:
        """Somebody else should come to work: there is work, or nobody polls, and room under the limit."""
        return self.surplus < 0 and (waiting or not self.polling)

    def look(self, workers: Any, waiting: bool, idle_cpu: bool) -> bool:
        """One look of the monitor.

        Args:
            workers: all that there are.
            waiting: connections wait that nobody serves.
            idle_cpu: the process used much less than one processor since the last look.

        Returns:
            False when there is nothing to watch over any more.
        """
        done, self.done = self.done, 0
        for worker in workers:
            # Odd while in a step.
            if worker.step & 1 and worker.step == worker.seen and not worker.stuck:
                worker.stuck = True
                self.stuck += 1
            worker.seen = worker.step
        self._ticks += 1
        if waiting and done < BRISK and (idle_cpu or not done):
            self.limit = min(2 * self.limit, self.max_workers)
        elif self._ticks % RELAX == 0 and self.limit > 1:
            self.limit //= 2
        busy = waiting or done or not self.polling or self.limit > 1
        self._quiet = 0 if busy else self._quiet + 1
        return self._quiet < RELAX


class Timers:
    """Deadlines of many posts in a lazy heap: a post is entered again only for an earlier deadline.

    A post is any object with the attributes `closed` and `armed`, the latter ``inf`` while it has no entry.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Any]] = []
        self._serial = 0
        self._bound = SLACK

    def arm(self, post: Any, deadline: float) -> bool:
        """Look at `post` by `deadline`. True if that is now the earliest of all."""
        if deadline >= post.armed:
            return False
        post.armed = deadline
        self._serial += 1
        heappush(self._heap, (deadline, self._serial, post))
        earliest = self._heap[0][1] == self._serial
        if len(self._heap) > self._bound:
            # Many short connections would otherwise stay in memory until their deadlines come.
            self._heap = [entry for entry in self._heap if entry[2].armed == entry[0] and not entry[2].closed]
            heapify(self._heap)
            self._bound = 2 * len(self._heap) + SLACK
        return earliest

    def next(self) -> float:
        """When the next one is due; it may turn out to be stale."""
        return self._heap[0][0] if self._heap else FOREVER

    def due(self, now: float) -> list[Any]:
        """Take out the posts whose time has come; each may be armed again."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            deadline, _, post = heappop(self._heap)
            if post.armed == deadline:  # else it was entered again, for earlier
                post.armed = FOREVER
                found.append(post)
        return found
